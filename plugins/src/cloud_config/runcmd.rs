//! Runs commands once, when the network is there and all else is done.
//!
//! ```yaml
//! #cloud-config
//! runcmd:
//! - test -e /srv/app || mkdir /srv/app
//! - [ls, -l, "it's"]
//! ```
//!
//! ```text commands
//! test -e /srv/app || mkdir /srv/app
//! 'ls' '-l' 'it'\''s'
//! ```
//!
//! They are written as those of `bootcmd`, and are one script, too. It is run at most once for each instance and
//! text of the script, even if it fails: that it has been started is recorded before it starts. Nothing is
//! rendered as a template.

use super::script::Script;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::record;

record! {
    /// Commands for once.
    pub(crate) struct Runcmd {
        /// Lines for the shell, and commands as lists of words.
        runcmd: Script,
    }
}

impl Plugin for Runcmd {
    const KEY: &'static str = "runcmd";

    fn apply(&self, _cx: &Context, sys: &System) -> Result<()> {
        self.runcmd.run(Self::KEY, sys)
    }
}
