//! SSH keys that stand on a server.
//!
//! **Invariants:** the server proves who it is, where its address begins with https; what it sends is small,
//! text, and judged like keys that are written down. Nothing that a server does or fails to do takes a key
//! away.

use crate::System;
use crate::system::http::Request;
use anyhow::{Context as _, Result, bail};
use std::time::Duration;

/// The largest list of keys that is read.
const LARGEST: u64 = 256 << 10;
/// How long one try of fetching it may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Where keys stand.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    address: String,
}

impl Source {
    /// Reads `github:USER`, `gitlab:USER` or an address; nothing when the line has not their shape.
    pub(super) fn parse(line: &str) -> Option<Result<Self>> {
        let (scheme, rest) = line.split_once(':')?;
        match scheme {
            "github" => Some(Self::of_user("https://github.com/", rest, ".keys")),
            "gitlab" => Some(Self::of_user("https://gitlab.com/", rest, ".keys")),
            "http" | "https" if rest.starts_with("//") => Some(Ok(Self { address: line.to_owned() })),
            _ if rest.starts_with("//")
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c)) =>
            {
                Some(Err(anyhow::anyhow!("keys are not fetched by `{scheme}`: use an https address")))
            }
            _ => None,
        }
    }

    /// Reads an entry of `ssh_import_id` as ssh-import-id(1) does: `gh:USER`, `lp:USER` or `USER`, of Launchpad.
    pub(super) fn parse_import(entry: &str) -> Result<Self> {
        match entry.split_once(':') {
            Some(("gh", user)) => Self::of_user("https://github.com/", user, ".keys"),
            Some(("lp", user)) => Self::of_user("https://launchpad.net/~", user, "/+sshkeys"),
            Some(_) => bail!("keys are imported from `gh:USER` (GitHub) and `lp:USER` (Launchpad) only"),
            None => Self::of_user("https://launchpad.net/~", entry, "/+sshkeys"),
        }
    }

    /// The user is not quoted in errors.
    fn of_user(before: &str, user: &str, after: &str) -> Result<Self> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
        if user.is_empty() || user.starts_with('.') || !user.chars().all(fits) {
            bail!("there can be no user of this name whose keys could be fetched");
        }
        Ok(Self { address: format!("{before}{user}{after}") })
    }

    /// Whether anybody on the way could put in a key of their own.
    pub(super) fn is_open(&self) -> bool {
        self.address.starts_with("http:")
    }

    /// The list of keys. Nothing in plan mode.
    pub(super) fn fetch(&self, sys: &System) -> Result<Option<String>> {
        let request = Request::get(&self.address).largest(LARGEST).timeout(TIMEOUT);
        let fetched = sys.fetch_body(&request).and_then(|body| {
            body.map(|body| String::from_utf8(body).ok().context("what it sends is no text")).transpose()
        });
        fetched.with_context(|| format!("cannot fetch the keys at {}", request.shown()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(source: Result<Source>) -> String {
        source.unwrap().address
    }

    #[test]
    fn a_source_is_an_address() {
        let parse = |line: &str| Source::parse(line).map(address);
        assert_eq!(parse("github:a-b").as_deref(), Some("https://github.com/a-b.keys"));
        assert_eq!(parse("gitlab:a.b_c").as_deref(), Some("https://gitlab.com/a.b_c.keys"));
        assert_eq!(parse("https://h/k?x").as_deref(), Some("https://h/k?x"));
        assert_eq!(parse("command=\"x\" ssh-rsa AAAA https://example.org"), None);
        assert_eq!(parse("githubber"), None);
        let import = |entry: &str| address(Source::parse_import(entry));
        assert_eq!(import("gh:alice"), "https://github.com/alice.keys");
        assert_eq!(import("lp:alice"), "https://launchpad.net/~alice/+sshkeys");
        assert_eq!(import("alice"), "https://launchpad.net/~alice/+sshkeys");
    }

    #[test]
    fn what_leads_elsewhere_is_refused_without_being_quoted() {
        let bad = [
            "github:",
            "github:../CANARY",
            "gitlab:CANARY/x",
            "github:CANARY?x",
            "ftp://CANARY",
            "file:///CANARY",
        ];
        let errors = bad.map(|line| Source::parse(line).unwrap());
        let imports = ["gl:CANARY", "gh:", "", "lp:CANARY/x"].map(Source::parse_import);
        for error in errors.into_iter().chain(imports) {
            let text = error.unwrap_err().to_string();
            assert!(!text.contains("CANARY"), "{text}");
        }
    }
}
