//! Writes the files that wait until users and packages are there.
//!
//! ```yaml
//! #cloud-config
//! write_files:
//! - path: /home/alice/.profile
//!   owner: alice:alice
//!   defer: true
//!   content: |
//!     export EDITOR=vi
//! ```
//!
//! ```text before
//! -- /etc/passwd
//! alice:x:1000:1000::/home/alice:/bin/sh
//! -- /etc/group
//! alice:x:1000:
//! -- /home/alice/ 0700 1000:1000
//! ```
//!
//! ```text after
//! -- /home/alice/.profile 0644 1000:1000
//! export EDITOR=vi
//! ```
//!
//! They are the files of `write_files` with `defer: true`, and are written like the others.

use super::write_files::Files;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::{Findings, record};

record! {
    /// Files that are written late.
    pub(crate) struct WriteFilesDeferred {
        /// The files.
        write_files: Files<true>,
    }
}

impl Plugin for WriteFilesDeferred {
    const KEY: &'static str = "write_files_deferred";

    fn check(&self, findings: &mut Findings) {
        self.write_files.check(findings);
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        self.write_files.write(cx, sys);
        Ok(())
    }
}
