//! Clones a repository of git, and keeps it at a branch, a tag or a commit.
//!
//! ```yaml
//! git:
//!   url: https://git.example.org/site.git
//!   path: /srv/site
//!   branch: main
//! ```
//!
//! <!-- answer: config --get remote.origin.url: https://git.example.org/site.git -->
//! <!-- answer: rev-parse: 9e1aef4d24a7d2f4e6ce2e5d1d4bb4ca6cf6a7bd -->
//! <!-- answer: symbolic-ref: refs/heads/main -->
//!
//! ```text before
//! -- /srv/site/.git/HEAD
//! ref: refs/heads/main
//! ```
//!
//! The `git` of the root does it. A repository that is missing is cloned beside its place and put there when it is
//! complete; in a directory that is not empty and no repository, nothing is done. One that exists is fetched and
//! brought to what is wanted, also when `branch` or `url` have changed: changes to its files are lost, while files
//! that git does not know stay. Submodules are left alone, and no hook runs.
//!
//! Without `branch`, `tag` and `commit`, the branch that the repository is on counts, and for a new one the first
//! of the server. A `commit` (all of its 40 or 64 digits) that is there already needs no network.
//! `branch_only` fetches only what is asked for.
//!
//! `auth` holds `username` and `password` (or a token) for https, and `private_key` for ssh. Of a server by ssh the
//! key must be known: `public_key` gives it as `ssh-keyscan` prints it, and without it the known_hosts of the root
//! count. `insecure` takes any key, so that anybody on the way can pretend to be the server; the certificate of
//! an https server is always verified. Nothing secret is among the arguments of a program or stays in the
//! repository.

use crate::git::{Access, HostKeys, Reference, Remote, Transport, Wanted};
use crate::path::AbsolutePath;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Span, Spanned, record};

record! {
    /// A repository of git. It may hold secrets, and so it has no `Debug`.
    pub(crate) struct Git {
        /// Where it comes from: `https://`, `ssh://`, `user@host:path`, `git://`, `http://`, `file://` or a path.
        url: Option<Address>,
        /// Where it goes.
        path: Option<AbsolutePath>,
        /// The branch that is checked out.
        branch: Option<Name>,
        /// The tag that is checked out.
        tag: Option<Name>,
        /// The commit that is checked out.
        commit: Option<Commit>,
        /// Fetch nothing else.
        branch_only: bool,
        /// How to prove who one is, and who the server must be.
        auth: Auth,
    }
}

record! {
    /// How to prove who one is, and who the server must be.
    #[derive(Default)]
    struct Auth {
        /// The user; `git` for ssh with a key.
        username: Option<UserName>,
        /// The password, or a token.
        password: Option<Spanned<String>>,
        /// A private key for ssh, without a password.
        private_key: Option<PrivateKey>,
        /// The key that the server has: a line of known_hosts or of authorized_keys.
        public_key: Option<HostKeys>,
        /// Take any key of an SSH server.
        insecure: bool,
    }
}

/// The address of a repository; the empty one means none.
struct Address(Option<Remote>, Span);

impl Decode for Address {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        if text.trim().is_empty() {
            return Some(Self(None, node.span));
        }
        match Remote::parse(text.trim()) {
            Ok(remote) => Some(Self(Some(remote), node.span)),
            Err(error) => {
                findings.error(node.span, error.to_string());
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::text("address of a repository")
    }
}

/// The name of a branch or a tag, by the rules of git-check-ref-format(1).
struct Name(Spanned<String>);

impl Decode for Name {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let name = Spanned::<String>::decode(node, findings)?;
        let bad = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
        let forbidden = |c: char| c.is_control() || " ~^:?*[\\".contains(c);
        let is_bad = name.starts_with('-')
            || *name == "@"
            || name.ends_with('.')
            || name.contains("..")
            || name.contains("@{")
            || name.contains(forbidden)
            || name.split('/').any(bad);
        if is_bad && !name.is_empty() {
            findings.error(node.span, format!("{:?} cannot be a branch or a tag", name.value));
            return None;
        }
        Some(Self(name))
    }

    fn shape() -> Shape {
        Shape::text("name of a branch or a tag")
    }
}

/// All digits of a commit.
struct Commit(String);

impl Decode for Commit {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?.trim().to_ascii_lowercase();
        if ![0, 40, 64].contains(&text.len()) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            findings.error(node.span, "not a commit").help("write all of its 40 (or 64) digits");
            return None;
        }
        Some(Self(text))
    }

    fn shape() -> Shape {
        Shape::matching("digits of a commit", "^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})?$")
    }
}

/// A user of a server, as the configuration of ssh can hold it.
struct UserName(String);

impl Decode for UserName {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let name = String::decode(node, findings)?;
        let plain = |c: char| c.is_alphanumeric() || "-._@+".contains(c);
        if name.starts_with('-') || !name.chars().all(plain) {
            findings.error(node.span, "a user name begins with `-`, or holds a special character");
            return None;
        }
        Some(Self(name))
    }

    fn shape() -> Shape {
        Shape::text("user name")
    }
}

/// A private key as text.
struct PrivateKey(String);

impl Decode for PrivateKey {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let key = String::decode(node, findings)?;
        let is_key = key.trim_start().starts_with("-----BEGIN ") && key.contains("PRIVATE KEY-----\n");
        if !is_key && !key.trim().is_empty() {
            let error = findings.error(node.span, "not a private key");
            error.help("write the whole file, from `-----BEGIN` on, as a block: `private_key: |`");
            return None;
        }
        Some(Self(key))
    }

    fn shape() -> Shape {
        Shape::text("private key")
    }
}

impl Plugin for Git {
    const KEY: &'static str = "git";

    fn check(&self, findings: &mut Findings) {
        let Some(Address(Some(remote), span)) = &self.url else { return };
        let by_ssh = remote.transport == Transport::Ssh;
        if self.path.is_none() {
            findings.error(*span, "the repository needs a `path`");
        }
        if let (Some(tag), Some(_)) = (given(&self.tag), given(&self.branch)) {
            findings.warn(tag.span, "`branch` is ignored, since there is a `tag`");
        }
        if self.auth.insecure && by_ssh {
            let message = "anybody on the way to the server can pretend to be it: `insecure` takes any key";
            findings.warn(*span, message).help("give its key in `public_key`");
        } else if self.auth.insecure && remote.transport == Transport::Https {
            findings.warn(*span, "`insecure` is ignored: the certificate of the server is verified");
        }
        match &self.auth.password {
            Some(password) if by_ssh && !password.is_empty() => {
                findings.warn(password.span, "a password is of no use over ssh").help("use `private_key`");
            }
            Some(password) if remote.transport == Transport::Http && !password.is_empty() => {
                findings.warn(password.span, "over http everybody on the way can read the password");
            }
            _ => {}
        }
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let (Some(Address(Some(remote), span)), Some(path)) = (&self.url, &self.path) else { return Ok(()) };
        let wanted = Wanted {
            remote: remote.clone(),
            path: path.as_str().into(),
            reference: self.reference(),
            only: self.branch_only,
        };
        cx.attempt(*span, wanted.apply(&self.access(), sys));
        Ok(())
    }
}

impl Git {
    fn reference(&self) -> Reference {
        let text = |name: &Option<Name>| given(name).map(|name| name.value.clone());
        let commit = self.commit.as_ref().map(|commit| commit.0.clone()).filter(|commit| !commit.is_empty());
        match (commit, text(&self.tag), text(&self.branch)) {
            (Some(commit), _, branch) => Reference::Commit { commit, branch },
            (None, Some(tag), _) => Reference::Tag(tag),
            (None, None, Some(branch)) => Reference::Branch(branch),
            (None, None, None) => Reference::Current,
        }
    }

    fn access(&self) -> Access {
        let auth = &self.auth;
        Access {
            username: auth.username.as_ref().map(|name| name.0.clone()).unwrap_or_default(),
            password: auth.password.as_ref().map(|password| password.value.clone()).unwrap_or_default(),
            private_key: auth.private_key.as_ref().map(|key| key.0.clone()).unwrap_or_default(),
            host_keys: auth.public_key.clone(),
            insecure: auth.insecure,
        }
    }
}

/// A name that is not the empty text.
fn given(name: &Option<Name>) -> Option<&Spanned<String>> {
    name.as_ref().map(|name| &name.0).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    const COMMIT: &str = "9e1aef4d24a7d2f4e6ce2e5d1d4bb4ca6cf6a7bd";

    #[test]
    fn without_an_address_nothing_happens() {
        for step in ["git: {}", "git: {url: '', path: /x}", "git: {url: ~, branch: main}"] {
            let outcome = Machine::new("").check(step, "");
            assert!(outcome.effects.is_empty() && outcome.commands.is_empty());
        }
    }

    #[test]
    fn what_is_wrong_is_said_without_a_secret() {
        for (keys, message) in [
            ("url: 'ext::sh -c hunter2', path: /x", "holds a space"),
            ("url: 'ext::hunter2', path: /x", "not the address of a repository"),
            ("url: https://h/x", "needs a `path`"),
            ("url: https://h/x, path: x", "is not absolute"),
            ("url: https://h/x, path: /x, branch: --upload-pack=x", "cannot be a branch or a tag"),
            ("url: https://h/x, path: /x, branch: 'a b'", "cannot be a branch or a tag"),
            ("url: https://h/x, path: /x, tag: a..b", "cannot be a branch or a tag"),
            ("url: https://h/x, path: /x, tag: v1, branch: b", "`branch` is ignored"),
            ("url: https://h/x, path: /x, commit: 9e1aef4", "write all of its 40"),
            ("url: https://h/x, path: /x, auth: {private_key: hunter2}", "not a private key"),
            ("url: https://h/x, path: /x, auth: {public_key: hunter2}", "not the public key"),
            ("url: https://h/x, path: /x, auth: {insecure: true}", "`insecure` is ignored"),
            ("url: g@h:x, path: /x, auth: {insecure: true}", "can pretend to be it"),
            ("url: g@h:x, path: /x, auth: {password: hunter2}", "use `private_key`"),
            ("url: http://h/x, path: /x, auth: {password: hunter2}", "can read the password"),
            ("url: g@h:x, path: /x, auth: {username: \"a\\nProxyCommand hunter2\"}", "special character"),
        ] {
            let outcome = Machine::new("").plan(&format!("git: {{{keys}}}"));
            let messages = outcome.messages();
            assert!(messages.contains(message) && !messages.contains("hunter2"), "{keys}: {messages}");
        }
    }

    #[test]
    fn planning_runs_nothing_and_knows_a_commit_that_is_there() {
        let step = format!("git: {{url: 'https://ann:hunter2@h/x', path: /srv/x, commit: {COMMIT}}}");
        for (tree, changed) in [
            ("", true),
            (&*format!("-- /srv/x/.git/HEAD\n{COMMIT}\n"), false),
            ("-- /srv/x/.git/HEAD\nref: x\n", true),
        ] {
            let machine = Machine::new(tree);
            let outcome = machine.plan(&step);
            assert!(outcome.findings.is_empty() && outcome.commands.is_empty(), "{}", outcome.messages());
            let effects: Vec<_> =
                outcome.effects.iter().map(|effect| (effect.target.as_str(), effect.changed)).collect();
            assert_eq!(effects, [("/srv/x of https://h/x", changed)]);
            machine.assert_tree("");
        }
    }

    #[test]
    fn what_is_no_repository_is_left_alone() {
        for (tree, message) in [
            ("-- /srv/x/file\n", "/srv/x is not empty, and no repository"),
            ("-- /srv/x\n", "a file stands at /srv/x"),
            ("-- /srv/y/\n-- /srv/x -> y\n", "a symbolic link stands at /srv/x"),
        ] {
            let machine = Machine::new(tree);
            let outcome = machine.apply("git: {url: 'https://h/x', path: /srv/x}");
            assert!(outcome.messages().contains(message), "{}", outcome.messages());
            assert!(outcome.commands.is_empty());
            machine.assert_tree("");
        }
    }

    #[test]
    fn a_failure_leaves_neither_secrets_nor_half_a_repository() {
        let machine = Machine::new("-- /run/ 0755\n-- /srv/ 0755\n");
        machine.host.answer("fetch --quiet", 128, "fatal: hunter2 and https://ann:hunter2@h/x are wrong\n");
        let outcome =
            machine.apply("git: {url: 'https://h/x', path: /srv/x, branch: b, auth: {password: hunter2}}");
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:1:12: `git fetch` ended with status 128; the end of its output:\n\
             fatal: *** and https://h/x are wrong\n"
        );
        assert!(!format!("{:?}", outcome).contains("hunter2"));
        machine.assert_tree("");
    }
}
