//! Headers (UEFI 2.10, table 5.5).

use super::super::bytes::{le32, le64, put, sixteen};
use super::Guid;
use super::entry::ENTRY_BYTES;

pub(super) const SIGNATURE: &[u8; 8] = b"EFI PART";

/// The bytes that the specification describes.
const HEADER_BYTES: usize = 92;

/// A new table has so many entries, and no table has less room for them (UEFI 2.10, 5.3.2).
const CAPACITY: u32 = 128;

/// More entries than this many bytes has nobody, and they are read into memory.
const MOST_ARRAY_BYTES: u64 = 1 << 20;

const MOST_ENTRY_BYTES: u32 = 4096;

/// One header, with all its bytes, so that those that nobody knows are kept.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub(super) raw: Vec<u8>,
    pub(super) here: u64,
    pub(super) other: u64,
    pub(super) first_usable: u64,
    pub(super) last_usable: u64,
    pub(super) guid: Guid,
    pub(super) array: u64,
    pub(super) capacity: u32,
    pub(super) entry_bytes: u32,
    pub(super) array_crc: u32,
}

/// Why there is no header.
#[derive(Debug)]
pub(super) enum NoHeader {
    /// Its signature is not there.
    Missing,
    /// It is there, but not what was written.
    Damaged(&'static str),
    /// It was written so, and cannot be worked with.
    Strange(&'static str),
}

impl Header {
    /// That of a new table.
    pub(super) fn new(sector_size: u32, guid: Guid) -> Self {
        let mut raw = vec![0; HEADER_BYTES];
        put(&mut raw, 0, SIGNATURE);
        put(&mut raw, 8, &0x0001_0000_u32.to_le_bytes());
        put(&mut raw, 12, &(HEADER_BYTES as u32).to_le_bytes());
        let mut header = Self {
            raw,
            here: 1,
            other: 0,
            first_usable: 0,
            last_usable: 0,
            guid,
            array: 2,
            capacity: CAPACITY,
            entry_bytes: ENTRY_BYTES as u32,
            array_crc: 0,
        };
        header.first_usable = header.array + header.array_sectors(sector_size);
        header
    }

    /// What a sector holds.
    pub(super) fn parse(sector: &[u8], here: u64) -> Result<Self, NoHeader> {
        if !sector.starts_with(SIGNATURE) {
            return Err(NoHeader::Missing);
        }
        let size = le32(sector, 12) as usize;
        let Some(raw) = sector.get(..size).filter(|_| size >= HEADER_BYTES) else {
            return Err(NoHeader::Damaged("its header says a wrong size of itself"));
        };
        let header = Self {
            raw: raw.to_vec(),
            here: le64(raw, 24),
            other: le64(raw, 32),
            first_usable: le64(raw, 40),
            last_usable: le64(raw, 48),
            guid: Guid::from_stored(sixteen(raw, 56)),
            array: le64(raw, 72),
            capacity: le32(raw, 80),
            entry_bytes: le32(raw, 84),
            array_crc: le32(raw, 88),
        };
        if header.checksum() != le32(raw, 16) {
            return Err(NoHeader::Damaged("the checksum of its header is wrong"));
        }
        if header.here != here {
            return Err(NoHeader::Damaged("its header was written for another place"));
        }
        let whole = header.entry_bytes.is_power_of_two() && header.entry_bytes <= MOST_ENTRY_BYTES;
        if !whole || header.entry_bytes < ENTRY_BYTES as u32 {
            return Err(NoHeader::Strange("the size of its entries is none that UEFI allows"));
        }
        if header.capacity == 0 || header.array_bytes() > MOST_ARRAY_BYTES {
            return Err(NoHeader::Strange("it has none or more than a mebibyte of entries"));
        }
        if header.first_usable > header.last_usable {
            return Err(NoHeader::Strange("its header leaves no room for partitions"));
        }
        Ok(header)
    }

    /// The sector that holds it.
    pub(super) fn encode(&self, sector_size: u32) -> Vec<u8> {
        let mut header = self.clone();
        let raw = &mut header.raw;
        for (at, value) in [
            (24, self.here),
            (32, self.other),
            (40, self.first_usable),
            (48, self.last_usable),
            (72, self.array),
        ] {
            put(raw, at, &value.to_le_bytes());
        }
        put(raw, 56, &self.guid.stored());
        for (at, value) in [(80, self.capacity), (84, self.entry_bytes), (88, self.array_crc)] {
            put(raw, at, &value.to_le_bytes());
        }
        let checksum = header.checksum();
        put(&mut header.raw, 16, &checksum.to_le_bytes());
        header.raw.resize(sector_size as usize, 0);
        header.raw
    }

    /// The bytes of its entries.
    pub(super) fn array_bytes(&self) -> u64 {
        u64::from(self.capacity) * u64::from(self.entry_bytes)
    }

    /// The sectors of its entries.
    pub(super) fn array_sectors(&self, sector_size: u32) -> u64 {
        self.array_bytes().div_ceil(u64::from(sector_size))
    }

    /// The last sector that partitions may have, with the backup at the end of a disk of so many sectors. A
    /// header that was written for just this size may have left out more.
    pub(super) fn last_usable(&self, sector_size: u32, sectors: u64) -> u64 {
        let last = sectors.saturating_sub(2 + self.array_sectors(sector_size));
        let is_of_this_size = self.here.max(self.other) == sectors.saturating_sub(1);
        if is_of_this_size { last.min(self.last_usable) } else { last }
    }

    fn checksum(&self) -> u32 {
        let mut raw = self.raw.clone();
        put(&mut raw, 16, &[0; 4]);
        crc32(&raw)
    }
}

/// The checksum of headers and of arrays of entries.
pub(super) fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
