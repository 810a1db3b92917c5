//! Brings a disk to the end of a plan.
//!
//! The table is written first, with every new partition marked as unfinished; then each gets its file system and
//! loses the mark. So a run that is cut off anywhere leaves a table that says what is left to do.

use super::devices::Device;
use super::gpt::{self, Found, Table};
use super::plan::{Content, Format, Plan, Step, Work};
use super::{grow, superblock};
use crate::System;
use crate::program::{remedy, run};
use crate::system::{Disk, DiskAccess, Mode, ReadAt};
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};

const MIB: u64 = 1 << 20;

/// What lies on the partitions of a disk. It is read from the partition itself if the kernel knows it: what was
/// written there may not be seen yet where it lies on the disk.
pub(crate) fn contents(
    sys: &System,
    disk: &dyn Disk,
    device: &Device,
    table: &Table,
) -> Result<BTreeMap<u32, Content>> {
    let sector = u64::from(table.sector_size);
    let known: BTreeMap<u32, Device> = device.partitions(sys)?.into_iter().collect();
    let look = |(number, entry): (&u32, &gpt::Entry)| {
        let (start, length) = (entry.first * sector, entry.sectors() * sector);
        let content = match known.get(number) {
            // Where a mapped one begins, the kernel does not show.
            Some(partition) if device.is_mapped(sys)? || partition.start(sys)? * 512 == start => {
                let partition = sys.disk(partition.path().as_ref(), DiskAccess::Read)?;
                content(&*partition, 0, length.min(partition.bytes()))?
            }
            _ => content(disk, start, length)?,
        };
        Ok((*number, content))
    };
    table.entries.iter().map(look).collect()
}

/// The same of a disk that nobody uses.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn contents_of(disk: &dyn ReadAt, table: &Table) -> Result<BTreeMap<u32, Content>> {
    let sector = u64::from(table.sector_size);
    let look = |(number, entry): (&u32, &gpt::Entry)| {
        Ok((*number, content(disk, entry.first * sector, entry.sectors() * sector)?))
    };
    table.entries.iter().map(look).collect()
}

fn content(disk: &dyn ReadAt, start: u64, length: u64) -> Result<Content> {
    Ok(match superblock::probe(disk, start, length) {
        Ok(Some(found)) => Content::Known(found),
        Ok(None) if is_blank(disk, start, length)? => Content::Blank,
        // With the signs of several file systems, it is not for us to say which of them counts.
        Ok(None) | Err(_) => Content::Unknown,
    })
}

/// Whether there are only zeros where file systems and the like have their beginnings: in the first and in the last
/// mebibyte.
fn is_blank(disk: &dyn ReadAt, start: u64, length: u64) -> Result<bool> {
    let mut buffer = vec![0; usize::try_from(length.min(MIB))?];
    for at in [start, start + length - buffer.len() as u64] {
        disk.read_exact_at(&mut buffer, at)?;
        if buffer.iter().any(|byte| *byte != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The block device with this label: that of a file system, or else that of a partition. What cannot be read does
/// not count.
pub(crate) fn labelled(sys: &System, label: &str) -> Result<Option<Device>> {
    let devices = Device::all(sys)?;
    for device in &devices {
        let Ok(disk) = sys.disk(device.path().as_ref(), DiskAccess::Read) else { continue };
        if let Ok(Some(found)) = superblock::probe(&*disk, 0, disk.bytes())
            && found.label.as_deref() == Some(label)
        {
            return Ok(Some(device.clone()));
        }
    }
    for device in devices {
        let Ok(disk) = sys.disk(device.path().as_ref(), DiskAccess::Read) else { continue };
        let sector = disk.sector_size();
        let sectors = disk.bytes() / u64::from(sector);
        if let Ok(Found::Table { table, .. }) = gpt::read(&*disk, sector, sectors)
            && table.entries.values().any(|entry| entry.name == label)
        {
            return Ok(Some(device));
        }
    }
    Ok(None)
}

/// Overwrites the places where something could be found that does not count any more.
pub(crate) fn wipe(disk: &dyn Disk, start: u64, length: u64) -> Result<()> {
    let zeros = vec![0; usize::try_from(length.min(MIB))?];
    for at in [start, start + length - zeros.len() as u64] {
        disk.write_all_at(&zeros, at)?;
    }
    Ok(())
}

/// Writes the table of the plan, as far as it is not finished, and tells the kernel.
pub(crate) fn write_table(sys: &System, disk: &dyn Disk, device: &Device, plan: &Plan) -> Result<()> {
    let table = plan.interim(&BTreeSet::new());
    let sector = u64::from(table.sector_size);
    for step in &plan.steps {
        if let (Work::Create(_), Some(entry)) = (&step.work, table.entries.get(&step.number)) {
            wipe(disk, entry.first * sector, entry.sectors() * sector)?;
        }
    }
    disk.sync()?;
    gpt::write(&table, disk)?;
    tell_kernel(sys, disk, device, &table)
}

/// Has the kernel know what the table says, without a look at partitions that are as it knows them: those may be
/// mounted.
pub(crate) fn tell_kernel(sys: &System, disk: &dyn Disk, device: &Device, table: &Table) -> Result<()> {
    let sector = u64::from(table.sector_size);
    let known: BTreeMap<u32, Device> = device.partitions(sys)?.into_iter().collect();
    if device.is_mapped(sys)? {
        return tell_mapper(sys, device, table, &known);
    }
    for (number, entry) in &table.entries {
        let (start, length) = (entry.first * sector, entry.sectors() * sector);
        match known.get(number) {
            None => disk.add_partition(*number, start, length)?,
            Some(partition) if partition.start(sys)? * 512 != start => bail!(
                "the kernel knows partition {number} at another place than the table says: restart the machine"
            ),
            Some(partition) if partition.sectors(sys)? * 512 != length => {
                disk.resize_partition(*number, start, length)?;
            }
            Some(_) => {}
        }
    }
    Ok(())
}

/// The same for a mapped device, which has no partitions for the kernel itself: kpartx(8) maps them.
fn tell_mapper(sys: &System, device: &Device, table: &Table, known: &BTreeMap<u32, Device>) -> Result<()> {
    const REMEDY: &str = "partitions of mapped devices need kpartx: install it, or multipath-tools";
    let sectors = u64::from(table.sector_size) / 512;
    for (number, entry) in &table.entries {
        let size = known.get(number).map(|partition| partition.sectors(sys)).transpose()?;
        if size != Some(entry.sectors() * sectors) {
            let path = device.path();
            return remedy(run(sys, &["kpartx", "-u", "-s", &path]), REMEDY).map(drop);
        }
    }
    Ok(())
}

/// What is left to do once the table is written: file systems are made and grow, one by one. `failed` hears of each
/// that did not work out.
pub(crate) fn finish(
    sys: &System,
    disk: Option<&dyn Disk>,
    device: &Device,
    plan: &Plan,
    failed: &mut dyn FnMut(&Step, anyhow::Error),
) -> Result<()> {
    let mut done = BTreeSet::new();
    let mut written = plan.interim(&done);
    for step in &plan.steps {
        let worked = match &step.work {
            Work::Create(None) | Work::Grow(_, None) => continue,
            Work::Create(Some(format)) | Work::Format(format) => make(sys, device, step.number, format),
            Work::Grow(_, Some(kind)) => {
                device.part(sys, step.number).and_then(|part| grow::grow(sys, &part, kind.name()))
            }
        };
        match worked {
            Ok(()) => {
                done.insert(step.number);
                let table = plan.interim(&done);
                if let Some(disk) = disk
                    && table.entries != written.entries
                {
                    gpt::write(&table, disk)?;
                    written = table;
                }
            }
            Err(error) => failed(step, error),
        }
    }
    Ok(())
}

fn make(sys: &System, disk: &Device, number: u32, format: &Format) -> Result<()> {
    let partition = disk.part(sys, number)?;
    format.file_system.make(sys, &partition.path(), format.label.as_deref())?;
    if sys.mode() == Mode::Apply {
        sys.disk(partition.path().as_ref(), DiskAccess::Read)?.sync()?;
    }
    Ok(())
}
