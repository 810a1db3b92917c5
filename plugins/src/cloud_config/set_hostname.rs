//! Sets the host name, early in the initramfs.
//!
//! ```yaml
//! #cloud-config
//! hostname: web
//! fqdn: web.example.org
//! prefer_fqdn_over_hostname: true
//! ```
//!
//! ```text before
//! -- /etc/hosts
//! 127.0.0.1 localhost
//! ```
//!
//! ```text after
//! -- /etc/hostname
//! web.example.org
//! -- /etc/hosts
//! 127.0.0.1 localhost web.example.org
//! ```
//!
//! The name is `hostname`, or else the first label of `fqdn`; with `prefer_fqdn_over_hostname: true` it is `fqdn`. A
//! `hostname` with dots is set as it is, as yip does it, unless `prefer_fqdn_over_hostname` is `false`. The
//! name is a template, set and entered into `/etc/hosts` as by the key `hostname` of a step; `manage_etc_hosts`, whatever
//! its value, leaves `/etc/hosts` to `update_etc_hosts`.
//! `preserve_hostname: true` leaves all as it is; `create_hostname_file: false` makes no `/etc/hostname` where there is none.

use super::apart::Unreported;
use crate::keys::hostname::{Wishes, set};
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::{Text, record};

record! {
    /// The name of the machine.
    pub(crate) struct SetHostname {
        /// The name, usually without a domain.
        hostname: Text,
        /// The name with its domain.
        fqdn: Text,
        /// Whether the machine is called by the name with the domain.
        prefer_fqdn_over_hostname: Option<bool>,
        /// Whether the name stays as it is.
        preserve_hostname: bool,
        /// Whether `/etc/hostname` is made where there is none; true when it is left out.
        create_hostname_file: Option<bool>,
        /// Read by the module `update_etc_hosts`.
        manage_etc_hosts: Unreported<Option<String>>,
    }
}

impl Plugin for SetHostname {
    const KEY: &'static str = "set_hostname";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        if self.preserve_hostname {
            return Ok(());
        }
        let given = |text: &Text| !text.as_str().trim().is_empty();
        let (text, first_label) = match (given(&self.hostname), self.prefer_fqdn_over_hostname) {
            (_, Some(true)) if given(&self.fqdn) => (&self.fqdn, false),
            (true, prefer) => (&self.hostname, prefer == Some(false)),
            (false, _) => (&self.fqdn, true),
        };
        let wishes = Wishes {
            first_label,
            new_file: self.create_hostname_file != Some(false),
            hosts: self.manage_etc_hosts.is_none(),
        };
        set(cx, sys, text, wishes)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn the_name_is_the_one_that_is_asked_for() {
        for (keys, name) in [
            ("hostname: web", "web"),
            ("hostname: web.example.org", "web.example.org"),
            ("{hostname: web.example.org, prefer_fqdn_over_hostname: false}", "web"),
            ("fqdn: db.example.org", "db"),
            ("{fqdn: db.example.org, prefer_fqdn_over_hostname: true}", "db.example.org"),
            ("{hostname: web, fqdn: db.example.org}", "web"),
            ("{hostname: web, prefer_fqdn_over_hostname: true}", "web"),
            ("{hostname: '{{ .MachineID }}', fqdn: x.y}", "abc"),
        ] {
            let machine = Machine::new("-- /etc/hosts\n127.0.0.1 localhost\n-- /etc/machine-id\nabc\n");
            machine.check(
                &format!("#cloud-config\n{keys}"),
                &format!("-- /etc/hostname\n{name}\n-- /etc/hosts\n127.0.0.1 localhost {name}\n"),
            );
        }
    }

    #[test]
    fn it_is_left_alone_where_that_is_asked_for_and_a_name_that_is_none_is_an_error() {
        let machine = Machine::new("");
        machine.check("#cloud-config\nhostname: a\npreserve_hostname: true\n", "");
        machine.check("#cloud-config\nhostname:\nfqdn: ''\n", "");
        machine.check(
            "#cloud-config\nhostname: a\ncreate_hostname_file: no\n",
            "-- /etc/hosts\n127.0.0.1 localhost a\n::1 localhost\n",
        );
        let outcome = machine.apply("#cloud-config\nhostname: a b\n");
        assert!(outcome.messages().contains("\"a b\" is not a host name"), "{}", outcome.messages());
    }
}
