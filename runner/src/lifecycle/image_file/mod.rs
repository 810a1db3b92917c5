//! The image of a system: one file that holds the file system that is booted.
//!
//! **Invariant:** what [`build`] and [`adopt`] return has been read back from the disk and is what it was made from. In
//! any other case, also when the disk is full or a signal comes, nothing is left of it.

use super::failure::{Class, Classify as _};
use anyhow::{Result, bail};
use cosette_plugins::System;
use cosette_plugins::image::Digest;
use std::fmt;
use std::path::Path;

/// The room that an image has for changes when nothing is said, in bytes. It takes none on the disk.
pub const MARGIN: u64 = 64 << 20;

/// The file systems that an image can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4, without a journal: nothing is ever to be replayed.
    #[default]
    Ext4,
    /// squashfs.
    Squashfs,
    /// erofs, which GRUB cannot read.
    Erofs,
}

impl FileSystem {
    /// The one of this name. `ext2` is what elemental asks for.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ext4" | "ext3" | "ext2" => Self::Ext4,
            "squashfs" => Self::Squashfs,
            "erofs" => Self::Erofs,
            _ => return None,
        })
    }

    /// Its name, as the kernel knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Squashfs => "squashfs",
            Self::Erofs => "erofs",
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an image shall be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSpec {
    /// Its file system.
    pub file_system: FileSystem,
    /// Its label, of at most 16 bytes. Squashfs has none.
    pub label: String,
    /// ext4: how many bytes are free in it.
    pub margin: u64,
    /// ext4: it is at least so large, in bytes.
    pub at_least: u64,
    /// squashfs and erofs: how it is compressed, as their programs call it: `gzip`, `xz`, `lz4hc,9`. What GRUB can read
    /// when nothing is said.
    pub compression: Option<String>,
}

impl ImageSpec {
    /// An image with a file system and a label, as it is when nothing else is said.
    pub fn new(file_system: FileSystem, label: impl Into<String>) -> Self {
        Self { file_system, label: label.into(), margin: MARGIN, at_least: 0, compression: None }
    }
}

/// What is being done, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking how large it will be.
    Measure,
    /// Setting SELinux labels.
    Label,
    /// Making the file system.
    Build,
    /// Having it reach the disk.
    Sync,
    /// Reading it back.
    ReadBack,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Measure => "measuring the tree",
            Self::Label => "setting SELinux labels",
            Self::Build => "building the image",
            Self::Sync => "writing the image to the disk",
            Self::ReadBack => "reading the image back",
        })
    }
}

/// An image that is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of the whole file.
    pub digest: Digest,
    /// Its file system.
    pub file_system: FileSystem,
    /// What was not as it should be, but is no failure.
    pub warnings: Vec<String>,
}

/// Builds an image from a tree. Both are paths inside the root; what stands at `to` is replaced.
pub fn build(
    _sys: &System,
    _tree: &Path,
    _spec: &ImageSpec,
    _to: &Path,
    _tell: &mut dyn FnMut(Phase),
) -> Result<Built> {
    Err(anyhow::anyhow!("images are not built yet")).class(Class::Image)
}

/// Takes over an image that somebody has built: copied, and read back.
pub fn adopt(_sys: &System, _file: &Path, _to: &Path, _tell: &mut dyn FnMut(Phase)) -> Result<Built> {
    bail!("images are not adopted yet")
}
