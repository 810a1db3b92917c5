//! `cosette try`: a stage runs for real in a throw-away copy of the machine.

use super::wrong_usage;
use crate::command_line::{Options, Selection};
use anyhow::Result;

/// Runs a stage in a throw-away copy of the machine and shows what it changed.
pub(super) fn try_stage(_options: &Options, arguments: &Selection) -> Result<u8> {
    match arguments.resolve() {
        Ok(_) => anyhow::bail!("not there yet"),
        Err(message) => Ok(wrong_usage(&message)),
    }
}
