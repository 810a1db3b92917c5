//! Disks with partitions, for those who install a system.

use super::devices::Device;
use super::gpt::{self, Found, Guid, Table};
use super::plan::{Addition, Wish, plan};
use super::{superblock, types};
use crate::System;
use crate::system::Disk;
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What the other kind of tables is called.
pub(crate) const MBR: &str = "a DOS table of partitions (MBR)";

/// A partition to make.
#[derive(Clone, Debug)]
pub struct NewPartition {
    /// Its label.
    pub name: String,
    /// Its type, by name: `esp`, `bios-boot`, `linux-generic`.
    pub kind: &'static str,
    /// Its size in bytes; 0 for all that is left.
    pub bytes: u64,
}

/// A partition that is there, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub number: u32,
    /// Its label.
    pub name: String,
    /// Where it begins.
    pub start: u64,
    /// How long it is.
    pub bytes: u64,
}

/// Gives a disk that nobody uses a new table, and with it these partitions.
pub fn partition(
    disk: &dyn Disk,
    new: &[NewPartition],
    random: &dyn Fn(&mut [u8]),
) -> Result<Vec<Partition>> {
    let mut id = || {
        let mut bytes = [0; 16];
        random(&mut bytes);
        Guid::v4(bytes)
    };
    let sector = disk.sector_size();
    let empty = Table::new(sector, disk.bytes() / u64::from(sector), id())?;
    let addition = |partition: &NewPartition| -> Result<Addition> {
        let kind = types::named(partition.kind);
        let kind =
            kind.with_context(|| format!("there is no type of partition called {:?}", partition.kind))?;
        let name = Some(partition.name.clone());
        Ok(Addition { name, size: partition.bytes, kind: Some(kind), ..Addition::default() })
    };
    let wish = Wish { expand: None, add: new.iter().map(addition).collect::<Result<_>>()? };
    match plan(&empty, &BTreeMap::new(), &wish, &mut id) {
        Ok(plan) => {
            gpt::write(&plan.after, disk)?;
            Ok(listed(&plan.after))
        }
        Err(problems) => {
            let words: Vec<_> = problems.into_iter().map(|(_, message)| message).collect();
            bail!("the partitions cannot be laid out: {}", words.join("; "))
        }
    }
}

/// The partitions of a disk, by its table.
pub fn partitions(disk: &dyn Disk) -> Result<Vec<Partition>> {
    let sector = disk.sector_size();
    match gpt::read(disk, sector, disk.bytes() / u64::from(sector))? {
        Found::Table { table, .. } => Ok(listed(&table)),
        Found::Mbr | Found::Nothing => bail!("it has no GUID partition table"),
    }
}

/// What a disk carries that a new table would destroy, in words; nothing if that is nothing.
pub fn carried(sys: &System, path: &Path, disk: &dyn Disk) -> Result<Option<String>> {
    let device =
        Device::at(sys, path)?.with_context(|| format!("there is no block device {}", path.display()))?;
    let sector = disk.sector_size();
    carried_by(gpt::read(disk, sector, disk.bytes() / u64::from(sector)), sys, &device, disk)
}

/// The same of a disk whose table was looked for.
pub(crate) fn carried_by(
    read: Result<Found>,
    sys: &System,
    device: &Device,
    disk: &dyn Disk,
) -> Result<Option<String>> {
    Ok(match read {
        Ok(Found::Table { table, .. }) if table.entries.is_empty() => None,
        Ok(Found::Table { table, .. }) => Some(format!("{} partitions", table.entries.len())),
        Ok(Found::Mbr) => Some(MBR.to_owned()),
        Err(error) => Some(format!("a table of partitions that is damaged ({error:#})")),
        Ok(Found::Nothing) => match superblock::probe(disk, 0, disk.bytes()) {
            Ok(Some(found)) => Some(found.kind.name().to_owned()),
            Ok(None) if device.partitions(sys)?.is_empty() => None,
            Ok(None) => Some("partitions that only the kernel knows".to_owned()),
            Err(error) => Some(format!("something that is not clear ({error:#})")),
        },
    })
}

fn listed(table: &Table) -> Vec<Partition> {
    let sector = u64::from(table.sector_size);
    let listed = |(number, entry): (&u32, &gpt::Entry)| Partition {
        number: *number,
        name: entry.name.clone(),
        start: entry.first * sector,
        bytes: entry.sectors() * sector,
    };
    table.entries.iter().map(listed).collect()
}

/// The path of a disk that was named by any path of it: a link, as those below `/dev/disk`, is followed.
pub fn disk_at(sys: &System, path: &Path) -> Result<PathBuf> {
    match Device::at(sys, path)? {
        Some(device) if device.partition(sys)?.is_none() => Ok(device.path().into()),
        Some(_) => bail!("{} is a partition: name the disk", path.display()),
        None => bail!("there is no block device {}", path.display()),
    }
}

/// The path of a partition of a disk, by its number. In a plan it may not be there yet.
pub fn partition_at(sys: &System, disk: &Path, number: u32) -> Result<PathBuf> {
    let device =
        Device::at(sys, disk)?.with_context(|| format!("there is no block device {}", disk.display()))?;
    Ok(device.part(sys, number)?.path().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeDisk;

    const MIB: u64 = 1 << 20;

    fn new(name: &str, kind: &'static str, mib: u64) -> NewPartition {
        NewPartition { name: name.to_owned(), kind, bytes: mib * MIB }
    }

    #[test]
    fn partitions_are_made_and_found() {
        let disk = FakeDisk::new(512, 64 * MIB);
        let wanted =
            [new("bios", "bios-boot", 1), new("efi", "esp", 32), new("persistent", "linux-generic", 0)];
        let made = partition(&disk, &wanted, &|bytes| bytes.fill(7)).unwrap();
        let places: Vec<_> = made.iter().map(|made| (&*made.name, made.number, made.start / MIB)).collect();
        assert_eq!(places, [("bios", 1, 1), ("efi", 2, 2), ("persistent", 3, 34)]);
        assert_eq!(made[2].bytes, 29 * MIB);
        assert_eq!(partitions(&disk).unwrap(), made);
    }

    #[test]
    fn what_does_not_fit_leaves_the_disk_as_it_was() {
        let disk = FakeDisk::new(512, 64 * MIB);
        let error = partition(&disk, &[new("state", "linux-generic", 80)], &|_| {}).unwrap_err().to_string();
        assert!(
            error.starts_with("the partitions cannot be laid out: there is no room for 80 MiB"),
            "{error}"
        );
        assert_eq!(disk.take_log(), []);
        assert_eq!(partitions(&disk).unwrap_err().to_string(), "it has no GUID partition table");
        assert!(partition(&disk, &[new("a", "none-such", 1)], &|_| {}).is_err());
    }
}
