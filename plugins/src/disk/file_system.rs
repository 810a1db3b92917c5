//! The file systems that can be made on a partition, and the programs that make them.

use super::gpt::Guid;
use super::types;
use crate::System;
use crate::program::{remedy, run};
use anyhow::{Result, bail};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

/// A type of file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FileSystem {
    Ext2,
    Ext3,
    Ext4,
    Xfs,
    Btrfs,
    /// FAT, with as many bits as fit the size.
    Vfat,
    Fat16,
    Fat32,
    Swap,
}

impl FileSystem {
    /// The names by which they are asked for.
    pub(crate) const NAMES: [&str; 9] =
        ["ext2", "ext3", "ext4", "xfs", "btrfs", "vfat", "fat16", "fat32", "swap"];

    /// The one of this name; `fat` and `linux-swap` are those of other tools.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ext2" => Self::Ext2,
            "ext3" => Self::Ext3,
            "ext4" => Self::Ext4,
            "xfs" => Self::Xfs,
            "btrfs" => Self::Btrfs,
            "vfat" | "fat" => Self::Vfat,
            "fat16" => Self::Fat16,
            "fat32" => Self::Fat32,
            "swap" | "linux-swap" => Self::Swap,
            _ => return None,
        })
    }

    /// Its name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Ext2 => "ext2",
            Self::Ext3 => "ext3",
            Self::Ext4 => "ext4",
            Self::Xfs => "xfs",
            Self::Btrfs => "btrfs",
            Self::Vfat => "vfat",
            Self::Fat16 => "fat16",
            Self::Fat32 => "fat32",
            Self::Swap => "swap",
        }
    }

    /// Whether it is FAT of any kind.
    pub(crate) fn is_fat(self) -> bool {
        matches!(self, Self::Vfat | Self::Fat16 | Self::Fat32)
    }

    /// The type of a partition that carries it.
    pub(crate) fn partition_type(self) -> Guid {
        match self {
            Self::Swap => types::SWAP,
            fat if fat.is_fat() => types::BASIC_DATA,
            _ => types::LINUX_GENERIC,
        }
    }

    /// The longest label, in bytes.
    pub(crate) fn longest_label(self) -> usize {
        match self {
            Self::Ext2 | Self::Ext3 | Self::Ext4 => 16,
            Self::Xfs => 12,
            Self::Btrfs => 255,
            Self::Vfat | Self::Fat16 | Self::Fat32 => 11,
            Self::Swap => 15,
        }
    }

    /// The fewest and the most bytes that its program takes for it, on a disk with sectors of so many bytes.
    pub(crate) fn sizes(self, sector: u64) -> (u64, u64) {
        match self {
            Self::Ext2 | Self::Ext3 | Self::Ext4 | Self::Vfat => (MIB, u64::MAX),
            Self::Swap => (64 * KIB, u64::MAX),
            // mkfs.xfs of xfsprogs 5.19 and later; mkfs.btrfs without --mixed.
            Self::Xfs => (300 * MIB, u64::MAX),
            Self::Btrfs => (109 * MIB, u64::MAX),
            // Numbers of clusters, by which the kinds of FAT are told apart.
            Self::Fat16 => (4085 * sector + MIB, 4095 * MIB),
            Self::Fat32 => (65525 * sector + MIB, 2 << 40),
        }
    }

    /// The program that makes it.
    pub(crate) fn program(self) -> &'static str {
        match self {
            Self::Ext2 => "mkfs.ext2",
            Self::Ext3 => "mkfs.ext3",
            Self::Ext4 => "mkfs.ext4",
            Self::Xfs => "mkfs.xfs",
            Self::Btrfs => "mkfs.btrfs",
            Self::Vfat | Self::Fat16 | Self::Fat32 => "mkfs.vfat",
            Self::Swap => "mkswap",
        }
    }

    /// What brings that program.
    fn remedy(self) -> &'static str {
        match self {
            Self::Ext2 | Self::Ext3 | Self::Ext4 => "install e2fsprogs",
            Self::Xfs => "install xfsprogs",
            Self::Btrfs => "install btrfs-progs",
            Self::Vfat | Self::Fat16 | Self::Fat32 => "install dosfstools",
            Self::Swap => "install util-linux",
        }
    }

    /// Fails where the root has no program that makes it.
    pub(crate) fn require(self, sys: &System) -> Result<()> {
        let program = self.program();
        for directory in ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/usr/local/sbin"] {
            if sys.exists(format!("{directory}/{program}"))? {
                return Ok(());
            }
        }
        bail!("the root has no program {program}: {}", self.remedy())
    }

    /// Makes it on a device, over whatever is there.
    pub(crate) fn make(self, sys: &System, device: &str, label: Option<&str>) -> Result<()> {
        let mut words = vec![self.program()];
        words.extend(match self {
            Self::Ext2 | Self::Ext3 | Self::Ext4 => &["-q", "-F"][..],
            Self::Xfs | Self::Btrfs => &["-q", "-f"],
            Self::Vfat => &[],
            Self::Fat16 => &["-F", "16"],
            Self::Fat32 => &["-F", "32"],
            Self::Swap => &["-f"],
        });
        if let Some(label) = label {
            words.extend([if self.is_fat() { "-n" } else { "-L" }, label]);
        }
        words.push(device);
        remedy(run(sys, &words), self.remedy()).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    #[test]
    fn each_is_known_by_its_name() {
        for name in FileSystem::NAMES {
            assert_eq!(FileSystem::named(name).unwrap().name(), name);
        }
        assert_eq!(FileSystem::named("fat"), Some(FileSystem::Vfat));
        assert_eq!(FileSystem::named("ntfs"), None);
    }

    #[test]
    fn each_has_its_program_which_is_not_asked_whether_it_may() {
        let machine = Machine::new("-- /sbin/mkfs.xfs 0755\n");
        let sys = machine.system(Mode::Apply);
        for name in FileSystem::NAMES {
            FileSystem::named(name).unwrap().make(&sys, "/dev/vda1", Some("L")).unwrap();
        }
        FileSystem::Ext4.make(&sys, "/dev/vda1", None).unwrap();
        assert_eq!(
            machine.host.take_commands(),
            [
                "mkfs.ext2 -q -F -L L /dev/vda1",
                "mkfs.ext3 -q -F -L L /dev/vda1",
                "mkfs.ext4 -q -F -L L /dev/vda1",
                "mkfs.xfs -q -f -L L /dev/vda1",
                "mkfs.btrfs -q -f -L L /dev/vda1",
                "mkfs.vfat -n L /dev/vda1",
                "mkfs.vfat -F 16 -n L /dev/vda1",
                "mkfs.vfat -F 32 -n L /dev/vda1",
                "mkswap -f -L L /dev/vda1",
                "mkfs.ext4 -q -F /dev/vda1",
            ]
        );
        assert!(FileSystem::Xfs.require(&sys).is_ok());
        let error = FileSystem::Btrfs.require(&sys).unwrap_err().to_string();
        assert_eq!(error, "the root has no program mkfs.btrfs: install btrfs-progs");
    }
}
