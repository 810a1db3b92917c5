//! The programs that make file systems.

use super::super::failure::{Class, Classify as _};
use anyhow::{Context as _, Result, anyhow};
use cosette_plugins::System;
use cosette_plugins::program::failure;
use cosette_plugins::system::{Command, NoProgram};
use std::time::Duration;

/// However small the tree is, a program may take so long: mke2fs takes minutes for a directory of 50,000 files.
const PATIENCE: Duration = Duration::from_secs(3600);

/// And a second more for so many bytes.
const BYTES_PER_SECOND: u64 = 1 << 20;

/// Runs a program that has so many bytes to work on, and must succeed.
pub(super) fn run(sys: &System, command: Command, bytes: u64, remedy: &'static str) -> Result<()> {
    let command =
        command.variable("LC_ALL", "C").at_most(PATIENCE + Duration::from_secs(bytes / BYTES_PER_SECOND));
    let output = match sys.run(&command) {
        Err(error) if error.is::<NoProgram>() => Err(error).context(remedy),
        output => output.with_context(|| format!("`{}`", command.label())),
    };
    match output? {
        Some(output) if !output.success() => {
            let class = match String::from_utf8_lossy(&output.tail).contains("No space left on device") {
                true => Class::NoRoom,
                false => Class::Image,
            };
            Err(anyhow!("`{}` {}", command.label(), failure(&output))).class(class)
        }
        _ => Ok(()),
    }
}
