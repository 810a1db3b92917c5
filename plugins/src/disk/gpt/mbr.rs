//! The DOS table in the first sector, which protects a GPT from programs that do not know it (UEFI 2.10, 5.2).

use super::super::bytes::{le32, put};

/// The type of the entry that protects.
const PROTECTIVE: u8 = 0xee;
const TABLE: usize = 446;
const ENTRY: usize = 16;
const SIGNATURE: [u8; 2] = [0x55, 0xaa];

/// What a first sector is by its DOS table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// There is no table, or none with partitions.
    None,
    /// It protects a GPT, whose last sector is this, as far as 32 bits reach.
    Protective { last: u64 },
    /// It protects a GPT and has partitions of its own.
    Hybrid,
    /// It has partitions, and there should be no GPT.
    Dos,
}

/// Reads the first sector of a disk.
pub(super) fn kind(sector: &[u8]) -> Kind {
    if sector.get(510..512) != Some(&SIGNATURE) {
        return Kind::None;
    }
    let entries = || sector.get(TABLE..510).unwrap_or_default().chunks_exact(ENTRY);
    // The boot sector of a file system has the same signature, and there text or code where entries would be.
    if entries().any(|entry| entry[0] & 0x7f != 0) {
        return Kind::None;
    }
    // Entries that begin with the disk are made by mkfs.vfat, and are no partitions.
    let used = |entry: &&[u8]| entry[4] != 0 && le32(entry, 8) != 0 && le32(entry, 12) != 0;
    let protective = entries().filter(used).find(|entry| entry[4] == PROTECTIVE);
    match (protective, entries().filter(used).count()) {
        (_, 0) => Kind::None,
        (Some(entry), 1) => {
            Kind::Protective { last: u64::from(le32(entry, 8)) + u64::from(le32(entry, 12)) - 1 }
        }
        (Some(_), _) => Kind::Hybrid,
        (None, _) => Kind::Dos,
    }
}

/// Whether the first sector protects the whole of a disk of so many sectors.
pub(super) fn protects(sector: &[u8], sectors: u64) -> bool {
    match kind(sector) {
        // Some write the greatest size on every disk.
        Kind::Protective { last } => last == sectors - 1 || last >= u64::from(u32::MAX),
        Kind::Hybrid => true,
        Kind::None | Kind::Dos => false,
    }
}

/// Has the first sector protect a disk of so many sectors. The code of a boot loader is kept; the beginning of a
/// file system is not.
pub(super) fn protect(sector: &mut [u8], sectors: u64) {
    let is_file_system = sector.get(54..57) == Some(b"FAT")
        || sector.get(82..85) == Some(b"FAT")
        || sector.get(3..11).is_some_and(|name| name == b"NTFS    " || name == b"EXFAT   ");
    let has_table = sector.get(510..512) == Some(&SIGNATURE);
    if !has_table || is_file_system {
        sector.fill(0);
    }
    let mut entry = [0; ENTRY];
    put(&mut entry, 1, &[0, 2, 0, PROTECTIVE, 0xff, 0xff, 0xff]);
    put(&mut entry, 8, &1_u32.to_le_bytes());
    let size = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    put(&mut entry, 12, &size.to_le_bytes());
    put(sector, TABLE, &[0; 64]);
    put(sector, TABLE, &entry);
    put(sector, 510, &SIGNATURE);
}
