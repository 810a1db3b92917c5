//! What must be known of an image before it is used: `/etc/cosette/policy.yaml`.
//!
//! **Invariant:** a policy of which any part is not understood lets nothing through.

use super::failure::{Failure, Reason};
use super::key::PublicKey;
use super::{Digest, Source, Store, signature};
use crate::System;
use cosette_schema::yaml::{self, Node};
use cosette_schema::{Decode, Findings, Origin, Shape, Spanned, record};
use std::path::Path;

/// Where it stands.
const PATH: &str = "/etc/cosette/policy.yaml";

/// What must be known of images before they are used.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
}

/// What must be known of the images whose names begin so.
#[derive(Clone, Debug)]
struct Rule {
    /// Nothing for all images.
    prefix: String,
    require: Requirement,
    /// Files of keys, or keys.
    keys: Vec<String>,
}

/// What must be known of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Requirement {
    Signature,
    Digest,
    Nothing,
}

/// What makes an image trustworthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verified {
    /// Nobody has asked yet.
    Unchecked,
    /// The policy says nothing about it, which is to be said loudly.
    Unmentioned,
    /// The policy says that nothing is required.
    NotRequired,
    /// The source names the digest itself.
    Digest,
    /// A signature by the key that is called so.
    Signature(String),
}

record! {
    /// The policy.
    struct File {
        /// What is required of images that no entry is about.
        default: Option<Requirement>,
        /// The keys of entries that have none of their own.
        keys: Vec<Spanned<String>>,
        /// What is required of which images; of several entries for one image the longest counts.
        repositories: Vec<Spanned<Entry>>,
    }
}

record! {
    /// What is required of some images.
    struct Entry {
        /// How their names begin: `quay.io/org`, whole parts only.
        prefix: Spanned<String> = required,
        /// What is required: `signature`, `digest` or `none`.
        require: Requirement = required,
        /// Files with public keys, or such keys.
        keys: Vec<Spanned<String>>,
    }
}

impl Policy {
    /// The policy of the machine. Without a file it says nothing about any image.
    pub fn load(sys: &System) -> Result<Self, Failure> {
        let text = sys.read_text(PATH).map_err(Failure::or(Reason::Policy))?;
        text.map_or_else(|| Ok(Self::default()), |text| Self::parse(&text))
    }

    /// A policy that requires of every image a signature by one of these keys, files or keys themselves.
    pub fn signed_by(keys: Vec<String>) -> Self {
        Self { rules: vec![Rule { prefix: String::new(), require: Requirement::Signature, keys }] }
    }

    fn parse(text: &str) -> Result<Self, Failure> {
        let mut findings = Findings::new(Origin::new(PATH));
        let file = yaml::parse(text, &mut findings).and_then(|node| File::decode(&node, &mut findings));
        let rules = file.map(|file| rules(file, &mut findings)).unwrap_or_default();
        let findings: Vec<String> = findings.into_vec().iter().map(ToString::to_string).collect();
        if findings.is_empty() {
            return Ok(Self { rules });
        }
        let first = "the policy is not understood, and so no image is used";
        Err(Failure::new(Reason::Policy, format!("{first}: {}", findings.join("; "))))
    }

    /// Fails unless the source, which leads to that digest, may be used.
    pub(super) fn check(
        &self,
        sys: &System,
        source: &Source,
        top: Option<&Digest>,
        store: Option<&mut dyn Store>,
    ) -> Result<Verified, Failure> {
        let name = source.name();
        let rules = self.rules.iter().filter(|rule| rule.is_about(&name));
        let Some(rule) = rules.max_by_key(|rule| rule.prefix.len()) else {
            return Ok(if source.pinned().is_some() { Verified::Digest } else { Verified::Unmentioned });
        };
        let refuse = |message: String| Err(Failure::new(Reason::Policy, message));
        match (rule.require, source, top, store) {
            (Requirement::Nothing, ..) => Ok(Verified::NotRequired),
            (Requirement::Digest, ..) if source.pinned().is_some() => Ok(Verified::Digest),
            (Requirement::Digest, ..) => {
                refuse(format!("{PATH} requires that it is named by its digest: {name}@sha256:…"))
            }
            (Requirement::Signature, Source::Registry(_), Some(top), Some(store)) => {
                signature::verify(store, top, &rule.public_keys(sys)?).map(Verified::Signature)
            }
            (Requirement::Signature, ..) => refuse(format!(
                "{PATH} requires a signature, which only a registry can hold: an entry for {name} with `require: none` allows it"
            )),
        }
    }
}

impl Rule {
    /// Whether it is about what has that name, which it is by whole parts of it.
    fn is_about(&self, name: &str) -> bool {
        name.strip_prefix(self.prefix.as_str()).is_some_and(|rest| {
            self.prefix.is_empty()
                || rest.is_empty()
                || rest.starts_with('/')
                || self.prefix.ends_with(['/', ':'])
        })
    }

    fn public_keys(&self, sys: &System) -> Result<Vec<PublicKey>, Failure> {
        let mut keys = Vec::new();
        for key in &self.keys {
            let (name, pem) = if key.starts_with('/') {
                let text = sys.read_text(Path::new(key)).map_err(Failure::or(Reason::Policy))?;
                let missing =
                    || Failure::new(Reason::Policy, format!("there is no file {key} with a public key"));
                (key.as_str(), text.ok_or_else(missing)?)
            } else {
                ("a key in the policy", key.clone())
            };
            keys.extend(PublicKey::read(name, &pem).map_err(Failure::or(Reason::Policy))?);
        }
        Ok(keys)
    }
}

/// The rules of a file, whose sense is checked.
fn rules(file: File, findings: &mut Findings) -> Vec<Rule> {
    let texts = |keys: Vec<Spanned<String>>, findings: &mut Findings| -> Vec<String> {
        for key in keys.iter().filter(|key| !key.starts_with('/') && !key.contains("-----BEGIN ")) {
            let error = findings.error(key.span, "it is neither the absolute path of a key nor a key");
            error.help("a key begins with `-----BEGIN PUBLIC KEY-----`");
        }
        keys.into_iter().map(|key| key.value).collect()
    };
    let common = texts(file.keys, findings);
    let mut rules: Vec<Rule> = Vec::new();
    for entry in file.repositories {
        let (span, Entry { prefix, require, keys }) = (entry.span, entry.value);
        if !is_prefix(&prefix) {
            let error = findings.error(prefix.span, "names of images do not begin so");
            error.help("begin with the registry: `docker.io/library/debian`, or with `oci-layout:`, `dir:` or the like");
        }
        if rules.iter().any(|rule| rule.prefix == prefix.value) {
            findings.error(prefix.span, "there are two entries for it").help("remove one of them");
        }
        let mut keys = texts(keys, findings);
        if keys.is_empty() {
            keys.clone_from(&common);
        }
        if keys.is_empty() && require == Requirement::Signature {
            findings.error(span, "a signature is required, but there are no `keys`");
        }
        rules.push(Rule { prefix: prefix.value, require, keys });
    }
    if let Some(require) = file.default {
        if common.is_empty() && require == Requirement::Signature {
            findings.error(None, "a signature is required by default, but there are no `keys`");
        }
        rules.push(Rule { prefix: String::new(), require, keys: common });
    }
    rules
}

/// Whether a name can begin so: with a registry, which has a dot or a port, or with the kind of a local source.
fn is_prefix(text: &str) -> bool {
    const LOCAL: [&str; 4] = ["oci-layout:", "oci-archive:", "dir:", "file:"];
    if let Some(rest) = LOCAL.iter().find_map(|kind| text.strip_prefix(kind)) {
        return rest.is_empty() || rest.starts_with('/');
    }
    let registry = text.split('/').next().unwrap_or_default();
    (registry.contains(['.', ':']) || registry == "localhost")
        && !text.contains("//")
        && !text.contains(|letter: char| letter.is_whitespace() || letter.is_control() || letter == '@')
}

impl Decode for Requirement {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        Some(match text.as_str() {
            "signature" => Self::Signature,
            "digest" => Self::Digest,
            "none" => Self::Nothing,
            _ => {
                let error = findings.error(node.span, "it is not known what that requires");
                error.help("write `signature`, `digest` or `none`");
                return None;
            }
        })
    }

    fn shape() -> Shape {
        Shape::TEXT
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::{Machine, Signer};

    fn checked(policy: &str, source: &str) -> Result<Verified, (Reason, String)> {
        let machine = Machine::new(&format!("-- /etc/cosette/policy.yaml\n{policy}\n"));
        let (sys, source) = (machine.system(Mode::Apply), Source::parse(source).unwrap());
        let top = Digest::of(b"");
        Policy::load(&sys)
            .and_then(|policy| policy.check(&sys, &source, Some(&top), None))
            .map_err(|failure| (failure.reason, failure.to_string()))
    }

    #[test]
    fn the_longest_entry_counts_and_whole_parts_of_names_only() {
        let policy = "default: digest\nrepositories:\n- {prefix: quay.io/org, require: none}\n\
            - {prefix: quay.io/org/strict, require: digest}\n- {prefix: 'oci-layout:', require: none}\n\
            - {prefix: 'localhost:5000/', require: none}";
        let refused = |source| checked(policy, source).is_err_and(|(reason, _)| reason == Reason::Policy);
        for allowed in ["quay.io/org/x", "quay.io/org/strict2", "oci-layout:/x", "localhost:5000/x:1"] {
            assert_eq!(checked(policy, allowed), Ok(Verified::NotRequired), "{allowed}");
        }
        for strict in ["quay.io/org/strict", "quay.io/org/strict/x", "quay.io/organ/x", "debian", "dir:/x"] {
            assert!(refused(strict), "{strict}");
        }
        let pinned = format!("debian@{}", Digest::of(b""));
        assert_eq!(checked(policy, &pinned), Ok(Verified::Digest));
    }

    #[test]
    fn what_no_policy_is_about_is_said_to_be_so() {
        assert_eq!(checked("", "debian"), Ok(Verified::Unmentioned));
        assert_eq!(checked("", &format!("debian@{}", Digest::of(b""))), Ok(Verified::Digest));
        let sys = Machine::new("").system(Mode::Apply);
        let nothing = Policy::load(&sys).unwrap();
        let source = Source::parse("debian").unwrap();
        assert_eq!(nothing.check(&sys, &source, None, None).unwrap(), Verified::Unmentioned);
    }

    #[test]
    fn what_cannot_be_signed_is_refused_where_a_signature_is_required() {
        let policy = "default: signature\nkeys: [/key]";
        for source in ["dir:/x", "file:/x", "oci-layout:/x", "oci-archive:/x"] {
            let (reason, message) = checked(policy, source).unwrap_err();
            assert_eq!(reason, Reason::Policy);
            assert!(message.contains("which only a registry can hold"), "{message}");
        }
    }

    #[test]
    fn a_policy_that_is_not_understood_lets_nothing_through() {
        for (policy, expected) in [
            ("default: nothing", "/etc/cosette/policy.yaml:1:10: it is not known what that requires"),
            ("repositorys: []", "unknown key `repositorys`; did you mean `repositories`?"),
            ("repositories: [{prefix: quay.io}]", "missing key `require`"),
            ("repositories: [{prefix: quay.io, require: signature}]", "but there are no `keys`"),
            ("repositories: [{prefix: debian, require: none}]", "names of images do not begin so"),
            ("repositories: [{prefix: '', require: none}]", "names of images do not begin so"),
            ("repositories: [{prefix: q.io, require: none}, {prefix: q.io, require: digest}]", "two entries"),
            (
                "default: signature\nkeys: [key.pub]",
                ":2:8: it is neither the absolute path of a key nor a key",
            ),
            ("default: signature", "but there are no `keys`"),
            ("- x", "expected a map"),
            ("{", "/etc/cosette/policy.yaml:1:"),
        ] {
            let (reason, message) = checked(policy, "quay.io/x").unwrap_err();
            assert_eq!(reason, Reason::Policy, "{policy}");
            assert!(message.contains(expected), "{policy}: {message}");
        }
    }

    #[test]
    fn keys_stand_in_files_and_in_the_policy() {
        let pem = Signer::ecdsa().public();
        let machine = Machine::new(&format!("-- /two.pub\n{pem}{pem}-- /none.pub\nx\n"));
        let sys = machine.system(Mode::Apply);
        let keys = |keys: &[&str]| {
            let policy = Policy::signed_by(keys.iter().map(ToString::to_string).collect());
            policy.rules[0].public_keys(&sys).map(|keys| keys.len()).map_err(|failure| failure.to_string())
        };
        assert_eq!(keys(&["/two.pub", &pem]), Ok(3));
        assert!(keys(&["/missing.pub"]).unwrap_err().contains("there is no file /missing.pub"));
        assert!(keys(&["/two.pub", "/none.pub"]).unwrap_err().contains("/none.pub holds no public key"));
    }
}
