//! Writes a table so that there is always a whole one.

use super::copies::{Copies, Copy, Sectors};
use super::header::{Header, crc32};
use super::{Entry, Table, mbr};
use crate::system::Disk;
use anyhow::{Context as _, Result, bail};

/// Writes the table, with its backup at the end of the disk.
///
/// What is good of the table before decides the order: the only good copy is written over last. A backup that
/// is no longer at the end stays until the new one is good, and is then made unknown.
pub(crate) fn write(table: &Table, disk: &dyn Disk) -> Result<()> {
    let (size, count) = (table.sector_size, table.sectors);
    if disk.sector_size() != size || disk.bytes() / u64::from(size) != count {
        bail!("the disk is no longer the one that its table was read from: its size has changed");
    }
    table.check()?;
    let sectors = Sectors { disk, size, count };
    let before = Copies::read(&sectors).context("the beginning of the disk cannot be read")?;
    let new = New::of(table)?;

    let protect = || -> Result<()> {
        let mut first_sector = before.first_sector.clone();
        if !mbr::protects(&before.first_sector, count) {
            mbr::protect(&mut first_sector, count);
            disk.write_all_at(&first_sector, 0)?;
            disk.sync()?;
        }
        Ok(())
    };
    let only_backup = !before.primary.is_good() && before.trusts_backup() && before.backup().is_some();
    // A table that a DOS table hides must not come to light.
    let is_hidden = before.primary.is_good() && mbr::kind(&before.first_sector) == mbr::Kind::Dos;
    if only_backup {
        new.primary(disk)?;
        protect()?;
        new.backup(disk)?;
    } else if is_hidden {
        new.backup(disk)?;
        new.primary(disk)?;
        protect()?;
    } else {
        new.backup(disk)?;
        // Before the primary copy, as a DOS table hides that, too.
        protect()?;
        new.primary(disk)?;
    }
    let kept = |place: &u64| *place >= new.backup.array;
    for (place, copy) in before.backups.iter().filter(|(place, _)| !kept(place)) {
        if copy.header().is_some() {
            disk.write_all_at(&vec![0; size as usize], place * u64::from(size))?;
            disk.sync()?;
        }
    }
    Ok(())
}

/// The two copies as they are to be.
struct New {
    size: u32,
    primary: Header,
    backup: Header,
    array: Vec<u8>,
}

impl New {
    fn of(table: &Table) -> Result<Self> {
        let size = table.sector_size;
        let mut array = table.array.clone();
        for (slot, number) in array.chunks_exact_mut(table.header.entry_bytes as usize).zip(1..) {
            match table.entries.get(&number) {
                Some(entry) => {
                    entry.check().with_context(|| format!("partition {number}"))?;
                    entry.encode(slot);
                }
                None if Entry::decode(slot).is_some() => slot.fill(0),
                None => {}
            }
        }
        let end = table.sectors - 1;
        let primary = Header {
            here: 1,
            other: end,
            last_usable: *table.usable().end(),
            guid: table.guid,
            array_crc: crc32(&array),
            ..table.header.clone()
        };
        let backup =
            Header { here: end, other: 1, array: end - primary.array_sectors(size), ..primary.clone() };
        array.resize((primary.array_sectors(size) * u64::from(size)) as usize, 0);
        Ok(Self { size, primary, backup, array })
    }

    fn primary(&self, disk: &dyn Disk) -> Result<()> {
        self.copy(&self.primary, disk)
    }

    fn backup(&self, disk: &dyn Disk) -> Result<()> {
        self.copy(&self.backup, disk)
    }

    fn copy(&self, header: &Header, disk: &dyn Disk) -> Result<()> {
        disk.write_all_at(&self.array, header.array * u64::from(self.size))?;
        disk.write_all_at(&header.encode(self.size), header.here * u64::from(self.size))?;
        disk.sync()
    }
}

/// The primary header that belongs to a backup. Where its entries are the backup does not say; on most disks
/// they follow the header, and on some there is a boot loader at that place.
pub(super) fn of_backup(backup: &Header, copies: &Copies, sectors: &Sectors<'_>) -> Header {
    let known = match &copies.primary {
        Copy::Good(header, _) | Copy::Damaged(_, Some(header)) if header.guid == backup.guid => {
            Some(header.array)
        }
        _ => None,
    };
    let length = backup.array_sectors(sectors.size);
    let before_partitions = backup.first_usable.saturating_sub(length);
    let is_there = |place: &u64| {
        let array = sectors.read(*place, backup.array_bytes() as usize);
        array.is_ok_and(|array| crc32(&array) == backup.array_crc)
    };
    let found = || [2, before_partitions].into_iter().find(is_there);
    let fits = |place: &u64| *place >= 2 && place.saturating_add(length) <= backup.first_usable;
    let array = known.filter(fits).or_else(found).unwrap_or(2);
    Header { array, ..backup.clone() }
}
