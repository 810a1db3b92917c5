//! squashfs and erofs, which are compressed and have no room left.

use super::super::space::Need;
use super::{FileSystem, ImageSpec, program};
use anyhow::{Result, bail};
use cosette_plugins::System;
use cosette_plugins::system::{BLOCK, Command, Kind, Thing};
use std::path::Path;

/// How much memory mksquashfs may use, in MiB. What the system has is what it would take otherwise.
const MEMORY: &str = "64M";

/// What a tree takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    things: u64,
    blocks: u64,
}

impl Content {
    /// Adds a thing. It is an error if the file system cannot hold it.
    pub(super) fn add(&mut self, thing: &Thing<'_>, file_system: FileSystem) -> Result<()> {
        self.things += 1;
        self.blocks += thing.blocks;
        for (name, _) in &thing.xattrs {
            let is_kept = [&b"user."[..], b"trusted.", b"security."]
                .iter()
                .any(|kind| name.to_bytes().starts_with(kind));
            if file_system == FileSystem::Squashfs && !is_kept {
                let name = name.to_string_lossy();
                bail!(
                    "squashfs does not hold the extended attribute {}: use ext4 or erofs",
                    name.escape_debug()
                );
            }
        }
        if thing.metadata.kind == Kind::File && file_system == FileSystem::Erofs {
            // Its program writes what is in holes, compressed.
            self.blocks += (thing.metadata.size / BLOCK).saturating_sub(thing.blocks) / 256;
        }
        Ok(())
    }

    /// All bytes of the files.
    pub(super) fn bytes(self) -> u64 {
        self.blocks * BLOCK
    }

    /// What it takes on the file system that holds it: how well it is compressed is not known before, but no system is
    /// compressed to less than a quarter.
    pub(super) fn need(self) -> Need {
        Need { bytes: self.bytes() / 4 + self.things * 16, files: 1 }
    }
}

/// Makes a squashfs. GRUB reads gzip and xz.
pub(super) fn make_squashfs(
    sys: &System,
    tree: &Path,
    spec: &ImageSpec,
    content: Content,
    to: &Path,
) -> Result<()> {
    let (compressor, level) = split(spec.compression.as_deref().unwrap_or("gzip"));
    let mut make = Command::new(format!("mksquashfs {}", tree.display()), "mksquashfs")
        .argument(tree)
        .argument(to)
        .argument("-noappend")
        .argument("-no-progress")
        .argument("-no-recovery")
        .argument("-quiet")
        .argument("-mem")
        .argument(MEMORY)
        .argument("-b")
        .argument("256K")
        .argument("-comp")
        .argument(compressor);
    if let Some(level) = level {
        make = make.argument("-Xcompression-level").argument(level);
    }
    program::run(sys, make, content.bytes().saturating_mul(8), "install squashfs-tools")
}

/// Makes an erofs.
pub(super) fn make_erofs(
    sys: &System,
    tree: &Path,
    spec: &ImageSpec,
    content: Content,
    to: &Path,
) -> Result<()> {
    let mut make = Command::new(format!("mkfs.erofs {}", tree.display()), "mkfs.erofs").argument("--quiet");
    match spec.compression.as_deref() {
        Some("none") => {}
        compression => make = make.argument(format!("-z{}", compression.unwrap_or("lz4"))),
    }
    if knows_labels(sys)? {
        make = make.argument("-L").argument(&*spec.label);
    }
    make = make.argument(to).argument(tree);
    program::run(sys, make, content.bytes().saturating_mul(8), "install erofs-utils")
}

/// Whether mkfs.erofs can give a label: since version 1.8.
fn knows_labels(sys: &System) -> Result<bool> {
    let output = sys.ask(&Command::new("mkfs.erofs --help", "mkfs.erofs").argument("--help"));
    let help = match output {
        Ok(Some(output)) => output.tail,
        // That it is missing is said when it is needed.
        Ok(None) | Err(_) => Vec::new(),
    };
    Ok(String::from_utf8_lossy(&help).lines().any(|line| line.trim_start().starts_with("-L")))
}

/// `zstd,19`: a compressor and its level.
fn split(compression: &str) -> (&str, Option<&str>) {
    match compression.split_once(',') {
        Some((compressor, level)) => (compressor, Some(level)),
        None => (compression, None),
    }
}
