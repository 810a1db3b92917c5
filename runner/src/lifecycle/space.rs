//! Room on the partitions, which is looked for before anything is written.

use super::acquire;
use super::failure::{Class, Classify as _};
use super::image_file::FileSystem;
use anyhow::{Context as _, Result, anyhow};
use cosette_plugins::System;
use cosette_plugins::image::{Resolved, Source};
use cosette_plugins::system::{BLOCK, Kind};
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

/// What a source is going to take, as far as it can be known before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// As a tree. Nothing for a finished image.
    pub tree: Need,
    /// As an image.
    pub image: Need,
}

/// How many times larger the files of a system are than its compressed layers, at least: two to three times are usual.
/// What fits is not to be refused; what turns out not to fit is refused when the tree is there, or the disk full, with
/// nothing lost but time.
const EXPANSION: u64 = 2;

/// How many times smaller squashfs and erofs are, at most.
const COMPRESSION: u64 = 4;

/// Estimates what a source is going to take. Of a directory that is exact.
pub fn estimate(sys: &System, resolved: &Resolved, file_system: FileSystem) -> Result<Estimate> {
    let tree = match resolved.source() {
        Source::File(path) => {
            let image = Need { bytes: sys.allocated(path)?, files: 1 };
            return Ok(Estimate { tree: Need::default(), image });
        }
        Source::Directory(path) => {
            let mut tree = Need::default();
            sys.walk(&sys.real_path(path)?, &mut |thing| {
                if !acquire::is_left_out(thing.path, thing.metadata.kind) {
                    tree.files += 1;
                    // A directory has a block at least.
                    let blocks = thing.blocks.max(u64::from(thing.metadata.kind == Kind::Directory));
                    tree.bytes += blocks * BLOCK;
                }
                Ok(())
            })?;
            tree
        }
        _ => Need { bytes: resolved.size.saturating_mul(EXPANSION), files: 0 },
    };
    let bytes = match file_system {
        FileSystem::Ext4 => tree.bytes,
        FileSystem::Squashfs | FileSystem::Erofs => tree.bytes / COMPRESSION,
    };
    Ok(Estimate { tree, image: Need { bytes, files: 1 } })
}

/// A number of bytes for people.
pub fn shown(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    match bytes {
        0..MIB => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ => format!("{} MiB", bytes.div_ceil(MIB)),
    }
}
