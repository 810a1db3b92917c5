//! What lies on a disk or partition, by its superblocks: file systems, swap, and members of RAID, LVM and the
//! like. Types, labels and UUIDs are those of blkid(8).
//!
//! Everything is read from at most a few places, of at most some hundred KiB, whatever the bytes say.

mod fat;
mod file_systems;
mod magics;
mod members;
mod ntfs;
#[cfg(test)]
mod tests;

use super::gpt::Guid;
use crate::system::ReadAt;
use anyhow::{Result, bail};
use std::fmt;

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Superblock {
    /// What it is.
    pub(crate) kind: Kind,
    /// Its label.
    pub(crate) label: Option<String>,
    /// Its UUID, or what is shown for one.
    pub(crate) uuid: Option<String>,
    /// Its size by its own words; that of its part on this device, if it is on several.
    pub(crate) bytes: Option<u64>,
    /// The bytes of a block.
    pub(crate) block: Option<u32>,
}

impl Superblock {
    fn of(kind: Kind) -> Self {
        Self { kind, label: None, uuid: None, bytes: None, block: None }
    }

    fn sized(self, blocks: u64, block: u32) -> Self {
        Self { bytes: blocks.checked_mul(block.into()), block: Some(block), ..self }
    }
}

macro_rules! kinds {
    ($($(#[$meta:meta])* $kind:ident = $name:literal,)*) => {
        /// What can be found.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum Kind {
            $($(#[$meta])* $kind,)*
            /// FAT, with as many bits for a cluster.
            Vfat(u8),
        }

        impl Kind {
            /// What blkid(8) calls it.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                    Self::Vfat(_) => "vfat",
                }
            }
        }
    };
}

kinds! {
    Ext2 = "ext2",
    Ext3 = "ext3",
    Ext4 = "ext4",
    /// The journal of an ext file system elsewhere.
    Jbd = "jbd",
    Xfs = "xfs",
    Btrfs = "btrfs",
    Exfat = "exfat",
    Ntfs = "ntfs",
    Swap = "swap",
    /// Swap space that the machine sleeps in.
    Swsuspend = "swsuspend",
    Squashfs = "squashfs",
    Erofs = "erofs",
    Iso9660 = "iso9660",
    F2fs = "f2fs",
    Bcachefs = "bcachefs",
    Bcache = "bcache",
    Zfs = "zfs_member",
    Luks = "crypto_LUKS",
    BitLocker = "BitLocker",
    Lvm2 = "LVM2_member",
    LinuxRaid = "linux_raid_member",
    IntelRaid = "isw_raid_member",
    DdfRaid = "ddf_raid_member",
    Reiserfs = "reiserfs",
    Jfs = "jfs",
    Nilfs2 = "nilfs2",
    Udf = "udf",
    Ufs = "ufs",
    Hfs = "hfs",
    Hfsplus = "hfsplus",
    Apfs = "apfs",
    Cramfs = "cramfs",
    Romfs = "romfs",
    Gfs2 = "gfs2",
    Ocfs2 = "ocfs2",
    Stratis = "stratis",
    Vdo = "vdo",
    Bluestore = "ceph_bluestore",
    OracleAsm = "oracleasm",
    Verity = "DM_verity_hash",
    Integrity = "DM_integrity",
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Most magics lie within so many bytes: they are read at once.
const HEAD: u64 = 68 << 10;

/// The part of a disk that is looked at.
struct Area<'a> {
    disk: &'a dyn ReadAt,
    start: u64,
    length: u64,
    head: Vec<u8>,
}

impl<'a> Area<'a> {
    fn new(disk: &'a dyn ReadAt, start: u64, length: u64) -> Result<Self> {
        let mut area = Self { disk, start, length, head: Vec::new() };
        area.head = area.read(0, length.min(HEAD) as usize)?.unwrap_or_default();
        Ok(area)
    }

    /// So many bytes from a place on; nothing if they are not all there.
    fn read(&self, at: u64, bytes: usize) -> Result<Option<Vec<u8>>> {
        let (Some(end), Some(from)) = (at.checked_add(bytes as u64), self.start.checked_add(at)) else {
            return Ok(None);
        };
        if end > self.length {
            return Ok(None);
        }
        if let Some(known) = self.head.get(at as usize..end as usize) {
            return Ok(Some(known.to_vec()));
        }
        let mut buffer = vec![0; bytes];
        self.disk.read_exact_at(&mut buffer, from)?;
        Ok(Some(buffer))
    }

    /// Whether this is at a place.
    fn has(&self, at: u64, magic: &[u8]) -> Result<bool> {
        Ok(self.read(at, magic.len())?.is_some_and(|found| found == magic))
    }
}

/// Looks for some kinds.
type Probe = fn(&Area<'_>) -> Result<Option<Superblock>>;

/// Looks what lies in a part of a disk, by its first byte and its length. It is an error if there are the signs
/// of several things, as after `mkfs` without `wipefs`.
pub(crate) fn probe(disk: &dyn ReadAt, start: u64, length: u64) -> Result<Option<Superblock>> {
    let area = Area::new(disk, start, length)?;
    // What is a member of something shows what it is a member of, too.
    for probe in members::PROBES {
        if let Some(member) = probe(&area)? {
            return Ok(Some(member));
        }
    }
    let mut found = Vec::new();
    for probe in file_systems::PROBES.iter().chain(fat::PROBES).chain(ntfs::PROBES).chain(magics::PROBES) {
        found.extend(probe(&area)?);
    }
    // CD-ROMs that boot from everywhere are several things on purpose.
    let tolerant = |found: &Superblock| matches!(found.kind, Kind::Iso9660 | Kind::Udf | Kind::Vfat(_));
    if found.len() > 1 && !found.iter().all(tolerant) {
        let names: Vec<_> = found.iter().map(|found| found.kind.name()).collect();
        bail!(
            "it carries the signs of several file systems ({}): remove what is stale with `wipefs --offset`",
            names.join(", ")
        );
    }
    Ok(found.into_iter().next())
}

/// A text up to its first zero, without blanks at the end; nothing if it is empty.
fn text(bytes: &[u8]) -> Option<String> {
    let bytes = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
    trimmed(&String::from_utf8_lossy(bytes))
}

/// The same of UTF-16.
fn text16(units: impl Iterator<Item = u16>) -> Option<String> {
    let units = units.take_while(|unit| *unit != 0);
    let text: String =
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect();
    trimmed(&text)
}

fn trimmed(text: &str) -> Option<String> {
    let text = text.trim_end_matches(|character: char| character.is_ascii_whitespace());
    (!text.is_empty()).then(|| text.to_owned())
}

/// A UUID in the order in which it is written; nothing if it is zero.
fn uuid(bytes: [u8; 16]) -> Option<String> {
    (bytes != [0; 16]).then(|| Guid::new(u128::from_be_bytes(bytes)).to_string())
}

/// The serial number that FAT has for a UUID.
fn serial(number: u32) -> Option<String> {
    (number != 0).then(|| format!("{:04X}-{:04X}", number >> 16, number & 0xffff))
}
