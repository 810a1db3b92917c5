//! Disks: what is mounted, which block devices there are, what lies on them, and how they are partitioned.

mod bytes;
pub(crate) mod devices;
pub(crate) mod file_system;
pub(crate) mod gpt;
pub(crate) mod grow;
mod labels;
pub(crate) mod layout;
mod partitions;
pub(crate) mod plan;
#[cfg(test)]
mod programs;
pub(crate) mod show;
pub(crate) mod superblock;
pub(crate) mod types;
pub(crate) mod udev;

pub use labels::{Labelled, disk_of_mount, labelled, make_file_system};
pub(crate) use partitions::{MBR, carried_by};
pub use partitions::{NewPartition, Partition, carried, disk_at, partition, partition_at, partitions};

use crate::System;
use crate::system::{DiskAccess, ReadAt};
use anyhow::{Context as _, Result};
use std::path::Path;
use superblock::{Kind, Superblock};

/// A file system that can be mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mountable {
    /// As mount(2) wants to hear it.
    pub kind: &'static str,
    /// Its label.
    pub label: Option<String>,
}

impl Mountable {
    /// What is on a block device, which is no link to one; nothing if it is none of the kinds that machines are made of.
    pub fn on(device: &Path, sys: &System) -> Result<Option<Self>> {
        let disk = sys.disk(device, DiskAccess::Read)?;
        Ok(Self::found(&*disk, disk.bytes())?.map(|(found, _)| found))
    }

    /// The same of a file that holds a file system, with the size of that by its own words.
    pub fn in_file(path: &Path, sys: &System) -> Result<Option<(Self, Option<u64>)>> {
        let file = sys.open_file(path)?.with_context(|| format!("there is no file {}", path.display()))?;
        let bytes = file.metadata()?.len();
        Self::found(&InFile(file), bytes).with_context(|| path.display().to_string())
    }

    fn found(disk: &dyn ReadAt, length: u64) -> Result<Option<(Self, Option<u64>)>> {
        let found = superblock::probe(disk, 0, length)?;
        let mountable =
            |Superblock { kind, label, bytes, .. }| Some((Self { kind: driver(kind)?, label }, bytes));
        Ok(found.and_then(mountable))
    }
}

/// What is in a file.
struct InFile(std::fs::File);

impl ReadAt for InFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        Ok(std::os::unix::fs::FileExt::read_exact_at(&self.0, buffer, offset)?)
    }
}

fn driver(kind: Kind) -> Option<&'static str> {
    match kind {
        // Its driver mounts the older two as well.
        Kind::Ext2 | Kind::Ext3 => Some(Kind::Ext4.name()),
        Kind::Ext4 | Kind::Xfs | Kind::Btrfs | Kind::F2fs => Some(kind.name()),
        Kind::Squashfs | Kind::Erofs | Kind::Iso9660 | Kind::Vfat(_) => Some(kind.name()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    #[test]
    fn only_file_systems_can_be_mounted_and_only_one_at_a_time() {
        let on = |signs: &[(usize, &[u8])]| {
            let mut head = vec![0; 68 << 10];
            for (at, sign) in signs {
                head[*at..at + sign.len()].copy_from_slice(sign);
            }
            let machine = Machine::new("");
            machine.host.disk("vda", &head, machine.root());
            Mountable::on(Path::new("/dev/vda"), &machine.system(Mode::Plan))
        };
        let found = |kind, label: &str| Some(Mountable { kind, label: Some(label.to_owned()) });
        let ext2: [(usize, &[u8]); 2] = [(1080, &[0x53, 0xef]), (1024 + 120, b"COS_OEM")];
        let iso: [(usize, &[u8]); 2] = [(0x8001, b"CD001"), (0x8028, b"cidata  ")];
        assert_eq!(on(&ext2).unwrap(), found("ext4", "COS_OEM"));
        assert_eq!(on(&iso).unwrap(), found("iso9660", "cidata"));
        assert_eq!(on(&[]).unwrap(), None);
        assert_eq!(on(&[(0, b"LUKS\xba\xbe\0\x01")]).unwrap(), None);
        assert!(on(&[ext2, iso].concat()).unwrap_err().to_string().contains("(ext2, iso9660)"));
        let machine = Machine::new("");
        assert!(Mountable::on(Path::new("/dev/vda"), &machine.system(Mode::Plan)).is_err());
    }
}
