//! ext4: how large it has to be, and how it is made. Its blocks are those of [`BLOCK`] bytes.
//!
//! The features are listed here rather than taken from `/etc/mke2fs.conf`, so that every host makes what every GRUB
//! reads. There is no journal: the file system is mounted read-only, and what is verified is what is booted, with nothing
//! to be replayed into it.

use super::super::space::Need;
use super::{ImageSpec, program};
use anyhow::{Context as _, Result, bail};
use cosette_plugins::System;
use cosette_plugins::system::{BLOCK, Command, Kind, Metadata, Thing};
use std::path::Path;

const FEATURES: &str = "none,ext_attr,dir_index,filetype,extent,64bit,flex_bg,sparse_super,large_file,huge_file,\
                        dir_nlink,extra_isize,metadata_csum";

/// The bytes of an inode, and how many of them extended attributes can have: behind the fields, without the mark at the
/// front and the zeros at the end.
const INODE: u64 = 256;
const ATTRIBUTES_IN_INODE: u64 = INODE - 128 - 32 - 8;

/// The bytes of a block of extended attributes that these can have.
const ATTRIBUTES_IN_BLOCK: u64 = BLOCK - 32 - 4;

/// Blocks and inodes of a group, at most: as many as a block has bits.
const GROUP: u64 = BLOCK * 8;

/// The bytes of a block of a directory, without its checksum.
const NAMES_IN_BLOCK: u64 = BLOCK - 12;

/// Extents in a block of them when it is half full, as it is after a split, and in an inode.
const EXTENTS_IN_BLOCK: u64 = 170;
const EXTENTS_IN_INODE: u64 = 4;

/// The longest run of blocks that one extent is relied on to hold: half a group, because tables stand between.
const EXTENT: u64 = GROUP / 2;

/// Inodes that every file system has: the reserved ones and `lost+found`, which has blocks.
const OWN_INODES: u64 = 11;
const OWN_BLOCKS: u64 = 5;

/// An inode for so many free bytes.
const BYTES_FOR_INODE: u64 = 16 << 10;

/// What a tree takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Content {
    inodes: u64,
    blocks: u64,
}

impl Content {
    /// Adds a thing. It is an error if the file system cannot hold it.
    pub(super) fn add(&mut self, thing: &Thing<'_>) -> Result<()> {
        self.inodes += 1;
        self.blocks += attributes(thing)?
            + match thing.metadata.kind {
                Kind::Directory => directory(&thing.names),
                Kind::File => thing.blocks + extents(thing.blocks, thing.pieces),
                Kind::Symlink => u64::from(thing.metadata.size >= 60),
                Kind::Other => 0,
            };
        Ok(())
    }

    /// How large the file system is, with this room left in it.
    pub(super) fn size(self, margin: u64, at_least: u64) -> Size {
        let inodes = self.inodes + OWN_INODES + margin / BYTES_FOR_INODE;
        // Twice nothing is nothing: a small tree is not sized to the block.
        let slack = self.blocks / 128 + 64;
        let content = self.blocks + OWN_BLOCKS + slack;
        let mut blocks = content;
        // What describes a file system grows with it.
        loop {
            let layout = Layout::of(blocks, inodes);
            let needed = content + margin.div_ceil(BLOCK) + layout.overhead;
            let needed = needed.max(at_least.div_ceil(BLOCK)).max(layout.fewest).next_multiple_of(256);
            if needed <= blocks {
                let written = content + layout.overhead;
                return Size { bytes: blocks * BLOCK, inodes, written: written * BLOCK };
            }
            blocks = needed;
        }
    }
}

/// The size of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    /// Its size.
    pub(super) bytes: u64,
    /// How many things it can hold.
    pub(super) inodes: u64,
    /// How much of it is written: the rest is holes.
    pub(super) written: u64,
}

impl Size {
    /// What it takes on the file system that holds it.
    pub(super) fn need(self) -> Need {
        // And what that needs to find it.
        Need { bytes: self.written + self.written / 256, files: 1 }
    }
}

/// How a file system of so many blocks is laid out.
struct Layout {
    /// The blocks that describe it.
    overhead: u64,
    /// The fewest blocks that it must have: inodes need groups, and the last group must be worth its tables, or is left
    /// out.
    fewest: u64,
}

impl Layout {
    fn of(blocks: u64, inodes: u64) -> Self {
        let groups = blocks.div_ceil(GROUP).max(inodes.div_ceil(GROUP));
        let table = (inodes.div_ceil(groups).next_multiple_of(BLOCK / INODE) * INODE).div_ceil(BLOCK);
        let descriptors = (groups * 64).div_ceil(BLOCK);
        // Bitmaps and inodes; every group with a copy of the superblock, which most do not have.
        let each = 2 + table + 1 + descriptors;
        let begun = (groups - 1) * GROUP + each + 64;
        Self { overhead: groups * each, fewest: begun }
    }
}

/// The blocks of a directory with names of these lengths.
fn directory(names: &[u8]) -> u64 {
    let entry = |length: u8| (8 + u64::from(length)).next_multiple_of(4);
    let bytes = 24 + names.iter().map(|length| entry(*length)).sum::<u64>();
    let longest = names.iter().map(|length| entry(*length)).max().unwrap_or(0);
    // No entry lies across two blocks.
    let blocks = bytes.div_ceil(NAMES_IN_BLOCK - longest);
    blocks + extents(blocks, blocks)
}

/// The blocks that say where so many blocks are, which lie in so many pieces.
fn extents(blocks: u64, pieces: u64) -> u64 {
    let mut extents = pieces + blocks / EXTENT;
    let mut described = 0;
    while extents > EXTENTS_IN_INODE {
        extents = extents.div_ceil(EXTENTS_IN_BLOCK);
        described += extents;
    }
    described
}

/// The blocks that extended attributes need beside the inode.
fn attributes(thing: &Thing<'_>) -> Result<u64> {
    let entry = |(name, value): &(std::ffi::CString, usize)| {
        let name = name.to_bytes();
        // What is before the first dot is a number.
        let suffix =
            name.iter().position(|byte| *byte == b'.').map_or(name.len(), |dot| name.len() - dot - 1);
        (16 + suffix.next_multiple_of(4) + value.next_multiple_of(4)) as u64
    };
    let bytes: u64 = thing.xattrs.iter().map(entry).sum();
    if bytes > ATTRIBUTES_IN_BLOCK {
        bail!("its extended attributes have {bytes} bytes, more than ext4 can hold");
    }
    Ok(u64::from(bytes > ATTRIBUTES_IN_INODE))
}

/// Makes the file system.
pub(super) fn make(
    sys: &System,
    tree: &Path,
    (top, modified): (Metadata, i64),
    spec: &ImageSpec,
    size: Size,
    to: &Path,
) -> Result<()> {
    let make = Command::new(format!("mke2fs -d {}", tree.display()), "mke2fs")
        .variable("MKE2FS_CONFIG", "/dev/null")
        .argument("-q")
        .argument("-F")
        .argument("-b")
        .argument(BLOCK.to_string())
        .argument("-I")
        .argument(INODE.to_string())
        .argument("-N")
        .argument(size.inodes.to_string())
        // Nothing is kept from anybody.
        .argument("-m")
        .argument("0")
        .argument("-O")
        .argument(FEATURES)
        // What is not used is a hole.
        .argument("-E")
        .argument("lazy_itable_init=1")
        .argument("-L")
        .argument(&*spec.label)
        .argument("-d")
        .argument(tree)
        .argument(to)
        .argument(format!("{}k", size.bytes >> 10));
    program::run(sys, make, size.written, REMEDY)?;
    // mke2fs gives its own to the top.
    let script = format!(
        "sif / mode 0{:o}\nsif / uid {}\nsif / gid {}\nsif / mtime @{}\n",
        0o40000 | top.mode,
        top.owner.uid,
        top.owner.gid,
        modified
    );
    let mend = Command::new("debugfs", "debugfs")
        .argument("-w")
        .argument("-f")
        .argument("-")
        .argument(to)
        .input(script);
    program::run(sys, mend, size.written, REMEDY).context("the attributes of the top directory")
}

const REMEDY: &str = "install e2fsprogs";

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Owner;
    use std::ffi::CString;

    fn thing(kind: Kind, size: u64) -> Thing<'static> {
        Thing {
            path: Path::new("thing"),
            metadata: Metadata { kind, mode: 0o644, owner: Owner { uid: 0, gid: 0 }, size },
            modified: 0,
            blocks: size.div_ceil(BLOCK),
            pieces: 1,
            names: Vec::new(),
            xattrs: Vec::new(),
        }
    }

    fn blocks(thing: &Thing<'_>) -> u64 {
        let mut content = Content::default();
        content.add(thing).unwrap();
        content.blocks
    }

    #[test]
    fn each_thing_takes_the_blocks_that_it_takes() {
        assert_eq!(blocks(&thing(Kind::File, 0)), 0);
        assert_eq!(blocks(&thing(Kind::File, 4097)), 2);
        assert_eq!(blocks(&thing(Kind::Symlink, 59)), 0);
        assert_eq!(blocks(&thing(Kind::Symlink, 60)), 1);
        assert_eq!(blocks(&thing(Kind::Other, 0)), 0);
        let scattered = Thing { pieces: 1000, ..thing(Kind::File, 1000 * BLOCK) };
        assert_eq!(blocks(&scattered), 1000 + 6 + 1);
        let sparse = Thing { blocks: 1, ..thing(Kind::File, 1 << 43) };
        assert_eq!(blocks(&sparse), 1);
        let directory = |names| Thing { names, ..thing(Kind::Directory, 0) };
        assert_eq!(blocks(&directory(vec![])), 1);
        assert_eq!(blocks(&directory(vec![8; 200])), 1);
        assert!((4..=5).contains(&blocks(&directory(vec![255; 50]))));
        let with = |name: &str, length| {
            let xattrs = vec![(CString::new(name).unwrap(), length)];
            Thing { xattrs, ..thing(Kind::File, 0) }
        };
        assert_eq!(blocks(&with("security.capability", 20)), 0);
        assert_eq!(blocks(&with("user.long", 100)), 1);
        let error = Content::default().add(&with("user.long", 5000)).unwrap_err();
        assert_eq!(error.to_string(), "its extended attributes have 5020 bytes, more than ext4 can hold");
    }

    #[test]
    fn the_room_that_is_left_and_the_smallest_size_are_kept() {
        let content = Content { inodes: 10, blocks: 100 };
        let small = content.size(0, 0);
        assert!(small.bytes < 2 << 20 && small.written <= small.bytes, "{small:?}");
        let roomy = content.size(1 << 30, 0);
        assert!(roomy.bytes >= small.bytes + (1 << 30) && roomy.written < 40 << 20, "{roomy:?}");
        assert!(roomy.inodes > 60_000);
        assert_eq!(content.size(0, 3 << 30).bytes, 3 << 30);
    }

    #[test]
    fn many_empty_things_have_their_inodes() {
        let size = Content { inodes: 1_000_000, blocks: 10_000 }.size(0, 0);
        assert!(size.bytes / (BLOCK * GROUP) >= 30 && size.written > 256_000_000, "{size:?}");
        // And the size converges whatever it begins with.
        for inodes in [1, 1000, 32_768, 65_537, 10_000_000] {
            for blocks in [0, 1, 32_000, 32_768, 33_000, 65_000, 1 << 22, 1 << 30] {
                let size = Content { inodes, blocks }.size(0, 0);
                let layout = Layout::of(size.bytes / BLOCK, size.inodes);
                assert!(blocks + layout.overhead <= size.bytes / BLOCK);
            }
        }
    }
}
