//! The partitions of a disk with a system.

use super::config::{Partition, Partitions};
use super::failure::{Class, Classify as _};
use anyhow::{Result, bail};
use cosette_plugins::disk::NewPartition;

const MIB: u64 = 1 << 20;

/// One of the partitions, in their order on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// GRUB itself, where a BIOS starts it.
    Bios,
    /// The EFI system partition, with the menu of GRUB.
    Efi,
    /// The documents of the operator.
    Oem,
    /// The recovery system.
    Recovery,
    /// The active and the passive system.
    State,
    /// What outlives all of them.
    Persistent,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Bios, Self::Efi, Self::Oem, Self::Recovery, Self::State, Self::Persistent];

    /// What it is called in the table. Its number is its place among them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bios => "bios",
            Self::Efi => "efi",
            Self::Oem => "oem",
            Self::Recovery => "recovery",
            Self::State => "state",
            Self::Persistent => "persistent",
        }
    }

    /// The label of its file system, if it has one.
    pub fn label(self) -> Option<&'static str> {
        Some(match self {
            Self::Bios => return None,
            Self::Efi => "COS_GRUB",
            Self::Oem => "COS_OEM",
            Self::Recovery => "COS_RECOVERY",
            Self::State => "COS_STATE",
            Self::Persistent => "COS_PERSISTENT",
        })
    }

    /// The type of the partition.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Bios => "bios-boot",
            Self::Efi => "esp",
            _ => "linux-generic",
        }
    }
}

/// The partitions for people.
pub fn table(partitions: &[(Role, NewPartition)]) -> String {
    let shown = partitions.iter().map(|(role, partition)| match partition.bytes {
        0 => format!("{} the rest", role.name()),
        bytes => format!("{} {} MiB", role.name(), bytes / MIB),
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// How large the partitions are, in bytes, where that is said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizes {
    /// The EFI system partition.
    pub efi: Option<u64>,
    /// The documents of the operator.
    pub oem: Option<u64>,
    /// The recovery system.
    pub recovery: Option<u64>,
    /// The active and the passive system.
    pub state: Option<u64>,
    /// What outlives all of them; all that is left where nothing is said.
    pub persistent: Option<u64>,
}

impl Sizes {
    /// By the configuration.
    pub fn of(config: &Partitions) -> Self {
        let bytes = |partition: &Partition| {
            partition.size.filter(|size| *size > 0).map(|size| size.saturating_mul(MIB))
        };
        Self {
            efi: bytes(&config.bootloader),
            oem: bytes(&config.oem),
            recovery: bytes(&config.recovery),
            state: bytes(&config.state),
            persistent: bytes(&config.persistent),
        }
    }

    const BIOS: u64 = MIB;
    const EFI: u64 = 64 * MIB;
    const OEM: u64 = 64 * MIB;

    /// On a disk that is large enough.
    const RECOVERY: u64 = 4096 * MIB;
    const STATE: u64 = 8192 * MIB;

    /// On a smaller one, in percent of what the others leave.
    const RECOVERY_SHARE: u64 = 25;
    const STATE_SHARE: u64 = 55;

    /// What is left for persistent data is at least this.
    const LEAST: u64 = 16 * MIB;

    /// The partitions of a disk of so many bytes.
    pub fn partitions(&self, disk: u64) -> Result<Vec<(Role, NewPartition)>> {
        let (efi, oem) = (self.efi.unwrap_or(Self::EFI), self.oem.unwrap_or(Self::OEM));
        // The table and its copy take a part of a mebibyte each, at both ends.
        let taken = 2 * MIB + Self::BIOS + efi + oem;
        let left = disk.saturating_sub(taken);
        let share = |percent: u64, most: u64| (left / 100 * percent).min(most) / MIB * MIB;
        let recovery = self.recovery.unwrap_or_else(|| share(Self::RECOVERY_SHARE, Self::RECOVERY));
        let state = self.state.unwrap_or_else(|| share(Self::STATE_SHARE, Self::STATE));
        let needed = [recovery, state, self.persistent.unwrap_or(Self::LEAST)]
            .iter()
            .fold(taken, |sum, size| sum.saturating_add(*size));
        let room = || {
            if needed > disk {
                bail!(
                    "the partitions need {} MiB, and the disk has {} MiB",
                    needed.div_ceil(MIB),
                    disk / MIB
                );
            }
            if recovery < Self::LEAST || state < Self::LEAST {
                bail!("recovery and state need {} MiB each at least", Self::LEAST / MIB);
            }
            Ok(())
        };
        room().class(Class::NoRoom)?;
        let bytes = |role| match role {
            Role::Bios => Self::BIOS,
            Role::Efi => efi,
            Role::Oem => oem,
            Role::Recovery => recovery,
            Role::State => state,
            Role::Persistent => self.persistent.unwrap_or(0),
        };
        let partition =
            |role: Role| NewPartition { name: role.name().to_owned(), kind: role.kind(), bytes: bytes(role) };
        Ok(Role::ALL.into_iter().map(|role| (role, partition(role))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mebibytes(sizes: Sizes, disk: u64) -> Vec<u64> {
        let partitions = sizes.partitions(disk * MIB).unwrap();
        partitions.into_iter().map(|(_, partition)| partition.bytes / MIB).collect()
    }

    #[test]
    fn a_large_disk_has_what_is_usual_and_a_small_one_a_share_of_it() {
        assert_eq!(mebibytes(Sizes::default(), 100 << 10), [1, 64, 64, 4096, 8192, 0]);
        assert_eq!(mebibytes(Sizes::default(), 8 << 10), [1, 64, 64, 2015, 4433, 0]);
        let sizes = Sizes { recovery: Some(100 * MIB), persistent: Some(500 * MIB), ..Sizes::default() };
        assert_eq!(mebibytes(sizes, 8 << 10), [1, 64, 64, 100, 4433, 500]);
    }

    #[test]
    fn what_does_not_fit_is_refused_with_numbers() {
        let refused = |sizes: Sizes, disk: u64| sizes.partitions(disk * MIB).unwrap_err().to_string();
        let sizes = Sizes { state: Some(9000 * MIB), ..Sizes::default() };
        assert_eq!(refused(sizes, 8192), "the partitions need 11162 MiB, and the disk has 8192 MiB");
        let sizes = Sizes { recovery: Some(MIB), ..Sizes::default() };
        assert_eq!(refused(sizes, 1000), "recovery and state need 16 MiB each at least");
        assert!(refused(Sizes::default(), 1).contains("the disk has 1 MiB"));
        let sizes = Sizes { state: Some(u64::MAX), recovery: Some(u64::MAX), ..Sizes::default() };
        assert!(refused(sizes, 8192).starts_with("the partitions need"));
    }

    #[test]
    fn every_partition_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Role::ALL.iter().map(|role| role.name()).collect();
        assert_eq!(names.len(), Role::ALL.len());
        assert!(Role::ALL.is_sorted());
    }
}
