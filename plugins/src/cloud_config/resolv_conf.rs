//! Writes the resolver configuration.
//!
//! ```yaml
//! #cloud-config
//! manage_resolv_conf: true
//! resolv_conf:
//!   nameservers: [8.8.8.8, 1.1.1.1]
//!   searchdomains: [foo.example.com]
//!   domain: example.com
//!   sortlist: [10.0.0.1/255]
//!   options: {rotate: true, timeout: 1}
//! ```
//!
//! ```text before
//! -- /etc/resolv.conf -> ../run/systemd/resolve/stub-resolv.conf
//! ```
//!
//! ```text after
//! -- /etc/resolv.conf
//! domain example.com
//! search foo.example.com
//! nameserver 8.8.8.8
//! nameserver 1.1.1.1
//! options rotate timeout:1
//! sortlist 10.0.0.1/255
//! ```
//!
//! A link is replaced, as `dns` does it. Without `manage_resolv_conf: true` nothing is written.

use crate::keys::dns::{Word, check_nameservers, joined, line, lines};
use crate::system::File;
use crate::{Context, Plugin, System};
use anyhow::{Result, bail};
use cosette_schema::{Findings, Named, Spanned, record};

record! {
    /// The resolver configuration.
    pub(crate) struct ResolvConf {
        /// Whether it is written.
        manage_resolv_conf: bool,
        /// What it says.
        resolv_conf: Spanned<Settings>,
    }
}

record! {
    /// What resolv.conf(5) can say.
    #[derive(Default)]
    struct Settings {
        /// Addresses of name servers, in the order in which they are asked.
        nameservers: Vec<Word>,
        /// Domains in which short names are looked up.
        searchdomains: Vec<Word>,
        /// The domain of this machine; search domains take its place.
        domain: Option<Word>,
        /// Networks whose addresses come first.
        sortlist: Vec<Word>,
        /// Options, those without a value as `rotate: true`.
        options: Named<String>,
    }
}

impl Plugin for ResolvConf {
    const KEY: &'static str = "resolv_conf";

    fn check(&self, findings: &mut Findings) {
        check_nameservers(&self.resolv_conf.nameservers, findings);
        if !self.manage_resolv_conf && self.resolv_conf.span != Default::default() {
            findings
                .warn(self.resolv_conf.span, "`resolv_conf` is ignored")
                .help("add `manage_resolv_conf: true`");
        }
    }

    fn apply(&self, _cx: &Context, sys: &System) -> Result<()> {
        if !self.manage_resolv_conf {
            return Ok(());
        }
        let Settings { nameservers, searchdomains, domain, sortlist, .. } = &self.resolv_conf.value;
        let content = line("domain", domain.as_ref().map_or("", Word::as_str))
            + &lines(searchdomains, nameservers, &self.options()?)
            + &line("sortlist", &joined(sortlist));
        if !content.is_empty() {
            sys.write(File::new("/etc/resolv.conf", content).default_mode(0o644).replace_link())?;
        }
        Ok(())
    }
}

impl ResolvConf {
    fn options(&self) -> Result<String> {
        let mut words = Vec::new();
        for (name, value) in &self.resolv_conf.options.0 {
            let word = match &*value.to_ascii_lowercase() {
                "true" | "yes" | "on" => name.value.clone(),
                "false" | "no" | "off" => continue,
                value => format!("{}:{value}", name.value),
            };
            if word.contains(|c: char| c.is_control() || c.is_whitespace()) {
                bail!("the option {:?} is not one word", word);
            }
            words.push(word);
        }
        Ok(words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn unless_it_is_to_be_managed_nothing_is_written() {
        let machine = Machine::new("");
        for key in ["", "manage_resolv_conf: false\n"] {
            let outcome =
                machine.apply(&format!("#cloud-config\n{key}resolv_conf: {{nameservers: [1.1.1.1]}}"));
            assert!(outcome.effects.is_empty());
            assert!(outcome.messages().contains("`resolv_conf` is ignored; add"), "{}", outcome.messages());
        }
        machine.check("#cloud-config\nmanage_resolv_conf: true", "");
    }

    #[test]
    fn a_value_cannot_add_lines() {
        let texts =
            ["domain: \"a\\nnameserver 6.6.6.6\"", "options: {\"a\\nb\": 1}", "options: {a: \"1\\nb\"}"];
        for text in texts {
            let machine = Machine::new("");
            let outcome =
                machine.apply(&format!("#cloud-config\nmanage_resolv_conf: true\nresolv_conf: {{{text}}}"));
            assert_eq!(outcome.findings.len(), 1, "{text}: {}", outcome.messages());
            machine.assert_tree("");
        }
    }

    #[test]
    fn what_the_resolver_would_ignore_is_a_warning() {
        let outcome = Machine::new("")
            .apply("#cloud-config\nmanage_resolv_conf: true\nresolv_conf: {nameservers: [a, ::1, ::2, ::3]}");
        assert_eq!(outcome.findings.len(), 2, "{}", outcome.messages());
    }
}
