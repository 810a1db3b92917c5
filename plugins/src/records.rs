//! Where cosette keeps what outlives a boot: what was done once, and the reports of the boots before.

use crate::System;
use anyhow::Result;

/// The directories, in the order in which they are asked to take something.
pub const LASTING: [&str; 2] = ["/usr/local/.cosette", "/var/lib/cosette"];

/// Whether a directory is to be asked: nobody wants a `/usr/local` that was not there.
pub fn may_take(directory: &str, sys: &System) -> Result<bool> {
    Ok(!directory.starts_with("/usr/local/") || sys.exists("/usr/local")?)
}
