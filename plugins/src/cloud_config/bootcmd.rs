//! Runs commands at every boot, before all other modules.
//!
//! ```yaml
//! #cloud-config
//! bootcmd:
//! - echo 10.0.0.1 registry >> /etc/hosts
//! - [cloud-init-per, once, mymkfs, mkfs, "/dev/vdb"]
//! - null
//! ```
//!
//! ```text commands
//! echo 10.0.0.1 registry >> /etc/hosts
//! 'cloud-init-per' 'once' 'mymkfs' 'mkfs' '/dev/vdb'
//! ```
//!
//! They are one script for `/bin/sh`: what a line sets stays set for the next. A text is a line as it is, a list is
//! a command whose words are quoted. A line that fails stops nothing; the last one decides whether the step has
//! failed. `INSTANCE_ID` is set if metadata gave the machine an id.

use super::script::Script;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::record;

record! {
    /// Commands for every boot.
    pub(crate) struct Bootcmd {
        /// Lines for the shell, and commands as lists of words.
        bootcmd: Script,
    }
}

impl Plugin for Bootcmd {
    const KEY: &'static str = "bootcmd";

    fn apply(&self, _cx: &Context, sys: &System) -> Result<()> {
        self.bootcmd.run(Self::KEY, sys)
    }
}
