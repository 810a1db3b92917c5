//! Writes the resolver configuration.
//!
//! ```yaml
//! dns:
//!   nameservers: [8.8.8.8, 1.1.1.1]
//!   search: [example.org]
//!   options: [edns0]
//! ```
//!
//! ```text before
//! -- /etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf
//! ```
//!
//! ```text after
//! -- /etc/resolv.conf 0644
//! search example.org
//! nameserver 8.8.8.8
//! nameserver 1.1.1.1
//! options edns0
//! ```
//!
//! `path` names another file. A link in the place of the file is replaced by it. yip writes through the link,
//! but what is behind it belongs to systemd-resolved or netconfig, which soon overwrite it, and lies in `/run`,
//! which the next boot empties. Where they shall have the last word, leave `dns` out.
//!
//! Name servers, search domains and options are each optional (yip writes nothing without a name server);
//! the search domain `.`, alone, means that there is none.

use crate::path::AbsolutePath;
use crate::system::File;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Spanned, record};
use std::net::{IpAddr, Ipv6Addr};

/// The name servers after the third are not asked by the C library (resolv.conf(5)).
const NAMESERVERS_ASKED: usize = 3;

record! {
    /// Name servers, search domains and resolver options.
    #[derive(Debug)]
    pub(crate) struct Dns {
        /// Addresses of name servers, in the order in which they are asked.
        nameservers: Vec<Word>,
        /// Domains in which short names are looked up.
        search: Vec<Word>,
        /// Options of resolv.conf(5).
        options: Vec<Word>,
        /// The file to write; `/etc/resolv.conf` when it is left out.
        path: Option<AbsolutePath>,
    }
}

impl Plugin for Dns {
    const KEY: &'static str = "dns";

    fn check(&self, findings: &mut Findings) {
        check_nameservers(&self.nameservers, findings);
    }

    fn apply(&self, _cx: &Context, sys: &System) -> Result<()> {
        let content = self.resolv_conf();
        if !content.is_empty() {
            let path = self.path.as_ref().map_or("/etc/resolv.conf", AbsolutePath::as_str);
            sys.write(File::new(path, content).default_mode(0o644).replace_link())?;
        }
        Ok(())
    }
}

impl Dns {
    fn resolv_conf(&self) -> String {
        lines(&self.search, &self.nameservers, &joined(&self.options))
    }
}

/// Warns of name servers that are not asked.
pub(crate) fn check_nameservers(nameservers: &[Word], findings: &mut Findings) {
    for nameserver in nameservers.iter().filter(|nameserver| !is_address(nameserver.as_str())) {
        findings.warn(
            nameserver.0.span,
            format!("the name server {:?} is not an IP address", nameserver.as_str()),
        );
    }
    if let Some(unused) = nameservers.get(NAMESERVERS_ASKED) {
        let message = format!("only the first {NAMESERVERS_ASKED} name servers are asked (resolv.conf(5))");
        findings.warn(unused.0.span, message);
    }
}

/// The lines of resolv.conf(5) for search domains, name servers and options, as far as there are any.
pub(crate) fn lines(search: &[Word], nameservers: &[Word], options: &str) -> String {
    let search = joined(search);
    let mut content = line("search", if search == "." { "" } else { &search });
    for nameserver in nameservers {
        content += &line("nameserver", nameserver.as_str());
    }
    content + &line("options", options)
}

/// A line of resolv.conf(5), if there is anything to say.
pub(crate) fn line(keyword: &str, words: &str) -> String {
    match words {
        "" => String::new(),
        words => format!("{keyword} {words}\n"),
    }
}

/// The words that are not empty, with a blank between them.
pub(crate) fn joined(words: &[Word]) -> String {
    words.iter().map(Word::as_str).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Whether it is an address as resolv.conf(5) takes it, perhaps with the zone of a link-local one: `fe80::1%eth0`.
fn is_address(text: &str) -> bool {
    match text.split_once('%') {
        Some((address, zone)) => address.parse::<Ipv6Addr>().is_ok() && !zone.is_empty(),
        None => text.parse::<IpAddr>().is_ok(),
    }
}

/// What may stand in a line of resolv.conf(5): a control character could begin another line.
#[derive(Debug)]
pub(crate) struct Word(Spanned<String>);

impl Word {
    /// The word.
    pub(crate) fn as_str(&self) -> &str {
        self.0.trim()
    }
}

impl Decode for Word {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let word = Self(Spanned::decode(node, findings)?);
        if word.as_str().contains(char::is_control) {
            findings.error(node.span, format!("{:?} holds a control character", word.as_str()));
            return None;
        }
        Some(word)
    }

    fn shape() -> Shape {
        Shape::text("word")
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn search_domains_are_written_without_name_servers() {
        let machine = Machine::new("");
        machine.check("dns: {search: [x, y]}", "-- /etc/resolv.conf\nsearch x y\n");
    }

    #[test]
    fn a_lone_dot_means_no_search_domain() {
        let machine = Machine::new("");
        machine.check("dns: {search: [.], nameservers: [::1]}", "-- /etc/resolv.conf\nnameserver ::1\n");
        let machine = Machine::new("-- /etc/resolv.conf\nnameserver 9.9.9.9\n");
        machine.check("dns: {search: [.]}", "");
        machine.check("dns: {}", "");
    }

    #[test]
    fn another_file_can_be_named_and_keeps_its_mode() {
        let machine = Machine::new("-- /etc/dns/upstream 0600\n");
        let step = "dns: {nameservers: [9.9.9.9], path: /etc/dns/upstream}";
        machine.check(step, "-- /etc/dns/upstream 0600\nnameserver 9.9.9.9\n");
    }

    #[test]
    fn a_value_cannot_add_lines() {
        let machine = Machine::new("");
        let outcome = machine.apply(r#"dns: {nameservers: ["1.1.1.1\nnameserver 6.6.6.6", 8.8.8.8]}"#);
        assert!(
            outcome.messages().contains(r#""1.1.1.1\nnameserver 6.6.6.6" holds a control character"#),
            "{}",
            outcome.messages()
        );
        machine.assert_tree("-- /etc/resolv.conf\nnameserver 8.8.8.8\n");
    }

    #[test]
    fn what_the_resolver_would_ignore_is_a_warning() {
        let machine = Machine::new("");
        let outcome = machine.apply("dns: {nameservers: [dns.example.org, fe80::1%eth0, 1.1.1.1, 8.8.8.8]}");
        assert_eq!(outcome.findings.len(), 2, "{}", outcome.messages());
        assert!(outcome.messages().contains("\"dns.example.org\" is not an IP address"));
        assert!(outcome.messages().contains("only the first 3 name servers are asked"));
    }

    #[test]
    fn planning_writes_nothing() {
        let machine = Machine::new("");
        let outcome = machine.plan("dns: {nameservers: [9.9.9.9]}");
        assert!(outcome.findings.is_empty() && outcome.effects[0].changed);
        machine.assert_tree("");
    }
}
