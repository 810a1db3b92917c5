//! Keys of SSH servers, in any of the forms in which people have them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape};

/// The keys of which a server must have one, as `TYPE BASE64`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HostKeys(Vec<String>);

impl HostKeys {
    /// Reads lines of known_hosts, lines of authorized_keys, or the bare key in base64. The hosts of known_hosts do
    /// not count: the keys are for the server of the repository.
    fn parse(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let keys: Option<Vec<String>> = lines.map(key).collect();
        keys.filter(|keys| !keys.is_empty()).map(Self)
    }

    /// The lines of known_hosts that say so of a host.
    pub(super) fn known_hosts(&self, host: &str) -> String {
        self.0.iter().map(|key| format!("{host} {key}\n")).collect()
    }
}

/// The key in a line.
fn key(line: &str) -> Option<String> {
    line.split_ascii_whitespace().find_map(|word| {
        let blob = BASE64_STANDARD.decode(word).ok()?;
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let kind = rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)?;
        let kind = std::str::from_utf8(kind).ok()?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-@.".contains(&byte);
        (!kind.is_empty() && kind.bytes().all(plain)).then(|| format!("{kind} {word}"))
    })
}

impl Decode for HostKeys {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let keys = Self::parse(&String::decode(node, findings)?);
        if keys.is_none() {
            let error = findings.error(node.span, "not the public key of an SSH server");
            error.help("write what `ssh-keyscan HOST` says, once you have made sure that it is true");
        }
        keys
    }

    fn shape() -> Shape {
        Shape::text("public key of an SSH server")
    }
}

#[cfg(test)]
mod tests {
    use super::HostKeys;

    const KEY: &str = "AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl";

    #[test]
    fn a_key_is_read_in_every_form_that_it_has() {
        let expected = format!("it ssh-ed25519 {KEY}\n");
        for text in [
            format!("github.com ssh-ed25519 {KEY}\n"),
            format!("# a comment\n\n[host]:22,1.2.3.4 ssh-ed25519 {KEY} comment"),
            format!("ssh-ed25519 {KEY} root@host"),
            KEY.to_owned(),
        ] {
            assert_eq!(HostKeys::parse(&text).unwrap().known_hosts("it"), expected);
        }
        let two = format!("ssh-ed25519 {KEY}\n{KEY}");
        assert_eq!(HostKeys::parse(&two).unwrap().known_hosts("it"), expected.repeat(2));
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "# x", "ssh-ed25519", "ssh-ed25519 AAAA", &format!("{KEY}\nrubbish"), "AAAABAoKCgo="]
        {
            assert_eq!(HostKeys::parse(text), None, "{text}");
        }
    }
}
