//! GUID partition tables (UEFI 2.10, chapter 5): what is read is not trusted, and what is written is always one
//! whole table, the old or the new, whenever the power fails.
//!
//! **Architecture invariant:** nothing here decides which partitions there are to be, and nothing of a disk is
//! written that does not belong to the table.

mod copies;
mod entry;
mod guid;
mod header;
mod mbr;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub(crate) use entry::Entry;
pub(crate) use guid::Guid;
pub(crate) use read::Flaw;
pub(crate) use read::{Found, read};
pub(crate) use write::write;

use anyhow::{Result, bail};
use header::Header;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;

/// A table, in memory.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The bytes of a logical sector.
    pub(crate) sector_size: u32,
    /// The sectors of the disk as it is now.
    pub(crate) sectors: u64,
    /// The GUID of the disk.
    pub(crate) guid: Guid,
    /// The partitions by their numbers, from 1 on.
    pub(crate) entries: BTreeMap<u32, Entry>,
    /// What else the header says.
    header: Header,
    /// The entries as they were read, with all that nobody knows.
    array: Vec<u8>,
}

impl Table {
    /// One without partitions: 128 entries of 128 bytes.
    pub(crate) fn new(sector_size: u32, sectors: u64, guid: Guid) -> Result<Self> {
        check_sector_size(sector_size)?;
        let header = Header::new(sector_size, guid);
        let least = header.first_usable + 1 + header.array_sectors(sector_size) + 1;
        if sectors < least {
            bail!("the disk is too small for a GPT: it has {sectors} sectors, and {least} are needed");
        }
        let array = vec![0; header.array_bytes() as usize];
        Ok(Self { sector_size, sectors, guid, entries: BTreeMap::new(), header, array })
    }

    /// The sectors that partitions may have: up to the backup at the end of the disk as it is now.
    pub(crate) fn usable(&self) -> RangeInclusive<u64> {
        self.header.first_usable..=self.header.last_usable(self.sector_size, self.sectors)
    }

    /// So many partitions it can have.
    pub(crate) fn capacity(&self) -> u32 {
        self.header.capacity
    }

    /// That all partitions are where they may be, with names that can be written.
    fn check(&self) -> Result<()> {
        let usable = self.usable();
        let mut places: Vec<_> = self.entries.iter().collect();
        places.sort_by_key(|(_, entry)| entry.first);
        for (number, entry) in &places {
            if **number == 0 || **number > self.capacity() {
                bail!("there is no room for a partition {number}: the table has {} entries", self.capacity());
            }
            if entry.first > entry.last {
                bail!("partition {number} ends before it begins");
            }
            if entry.first < *usable.start() || entry.last > *usable.end() {
                bail!(
                    "partition {number} (sectors {} to {}) is outside of what partitions may have, {} to {}",
                    entry.first,
                    entry.last,
                    usable.start(),
                    usable.end()
                );
            }
        }
        for pair in places.windows(2) {
            if let [(number, entry), (next, behind)] = pair
                && behind.first <= entry.last
            {
                bail!("the partitions {number} and {next} overlap");
            }
        }
        Ok(())
    }
}

/// A header with signature, place and checksums corrected, for tests of what is behind them.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn mended(disk: &dyn crate::system::ReadAt, mut sector: Vec<u8>, at: u64) -> Vec<u8> {
    use super::bytes::{le32, le64, put};
    put(&mut sector, 0, header::SIGNATURE);
    put(&mut sector, 12, &92_u32.to_le_bytes());
    put(&mut sector, 24, &at.to_le_bytes());
    let length = u64::from(le32(&sector, 80)) * u64::from(le32(&sector, 84));
    let mut array = vec![0; length.min(1 << 20) as usize];
    if disk.read_exact_at(&mut array, le64(&sector, 72).saturating_mul(sector.len() as u64)).is_ok() {
        put(&mut sector, 88, &header::crc32(&array).to_le_bytes());
    }
    put(&mut sector, 16, &[0; 4]);
    let crc = header::crc32(&sector[..92]);
    put(&mut sector, 16, &crc.to_le_bytes());
    sector
}

fn check_sector_size(sector_size: u32) -> Result<()> {
    if !sector_size.is_power_of_two() || !(512..=65536).contains(&sector_size) {
        bail!("a disk with sectors of {sector_size} bytes");
    }
    Ok(())
}
