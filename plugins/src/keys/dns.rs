//! Writes the resolver configuration.
//!
//! ```yaml
//! dns:
//!   nameservers: [8.8.8.8, 1.1.1.1]
//!   search: [example.org]
//!   options: [edns0]
//! ```
//!
//! ```text after
//! -- /etc/resolv.conf 0644
//! search example.org
//! nameserver 8.8.8.8
//! nameserver 1.1.1.1
//! options edns0
//! ```

use crate::system::File;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::record;
use std::fmt::Write;

record! {
    /// Name servers, search domains and resolver options.
    #[derive(Debug)]
    pub(crate) struct Dns {
        /// Addresses of name servers, in the order in which they are asked.
        nameservers: Vec<String>,
        /// Domains in which short names are looked up.
        search: Vec<String>,
        /// Options of resolv.conf(5).
        options: Vec<String>,
        /// The file to write; `/etc/resolv.conf` when it is left out.
        path: Option<String>,
    }
}

impl Plugin for Dns {
    const KEY: &'static str = "dns";

    fn apply(&self, _cx: &Context, sys: &System) -> Result<()> {
        let mut text = String::new();
        if !self.search.is_empty() {
            writeln!(text, "search {}", self.search.join(" "))?;
        }
        for nameserver in &self.nameservers {
            writeln!(text, "nameserver {nameserver}")?;
        }
        if !self.options.is_empty() {
            writeln!(text, "options {}", self.options.join(" "))?;
        }
        if text.is_empty() {
            return Ok(());
        }
        sys.write(File::new(self.path.as_deref().unwrap_or("/etc/resolv.conf"), text).default_mode(0o644))?;
        Ok(())
    }
}
