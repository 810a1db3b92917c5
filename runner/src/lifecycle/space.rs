//! Room on the partitions, which is looked for before anything is written.

use super::failure::{Class, Classify as _};
use anyhow::{Context as _, Result, anyhow};
use cosette_plugins::System;
use std::path::Path;

/// What is going to be written to a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// In bytes.
    pub bytes: u64,
    /// In files.
    pub files: u64,
}

impl std::ops::Add for Need {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), files: self.files.saturating_add(other.files) }
    }
}

/// Fails if the file system that holds a directory has not the room for this.
pub fn check(sys: &System, directory: &Path, need: Need) -> Result<()> {
    let free = sys.free_space(directory)?;
    let short = if free.bytes < need.bytes {
        Err(anyhow!("{} are needed, and {} are free", shown(need.bytes), shown(free.bytes)))
    } else if free.files.is_some_and(|files| files < need.files) {
        Err(anyhow!("{} files are needed, and there can be {} more", need.files, free.files.unwrap_or(0)))
    } else {
        Ok(())
    };
    short.with_context(|| format!("there is not enough room at {}", directory.display())).class(Class::NoRoom)
}

/// A number of bytes for people.
pub fn shown(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes {
        0..MIB => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", bytes.div_ceil(MIB)),
    }
}
