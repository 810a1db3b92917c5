//! The arguments of the commands for the life of a system.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Where a system comes from. It may be said in two ways, but once.
#[derive(Debug, Default, Args)]
pub struct Source {
    /// Where the system comes from: registry.example/os:tag, oci-layout:, oci-archive:, dir: or file:
    ///
    /// If it is left out, what is configured: `system` of the command in /etc/cosette/config.yaml, or, for an upgrade,
    /// UPGRADE_IMAGE in /etc/cos-upgrade-image.
    #[arg(value_name = "SOURCE")]
    source: Option<String>,
    /// The same
    #[arg(long, value_name = "SOURCE", conflicts_with = "source")]
    system: Option<String>,
}

impl Source {
    /// What was said.
    pub fn said(&self) -> Option<&String> {
        self.source.as_ref().or(self.system.as_ref())
    }
}

impl From<Option<String>> for Source {
    fn from(source: Option<String>) -> Self {
        Self { source, system: None }
    }
}

/// Where a new system comes from.
#[derive(Debug, Default, Args)]
pub struct NewSystem {
    #[command(flatten)]
    /// The system.
    pub system: Source,
    /// Where the recovery system comes from; the same system if it is left out
    #[arg(long, value_name = "SOURCE")]
    pub recovery_system: Option<String>,
    /// A document for /oem: a file or a URL. They are run in the order in which they are given
    #[arg(short, long, value_name = "SOURCE")]
    pub cloud_init: Vec<String>,
}

/// Arguments of `install`.
#[derive(Debug, Default, Args)]
pub struct Install {
    /// The disk: /dev/vda, /dev/disk/by-id/…; if it is left out, what is configured: `install: {target: …}`
    #[arg(value_name = "DEVICE")]
    pub device: Option<PathBuf>,
    #[command(flatten)]
    /// Where it comes from.
    pub from: NewSystem,
    /// Use the partitions that are there: efi, oem, recovery and state, and persistent if it is there
    #[arg(long)]
    pub no_format: bool,
    /// Also onto a disk that holds a system, or anything else: it is lost
    #[arg(long)]
    pub force: bool,
    /// Make no entry in the firmware
    #[arg(long)]
    pub disable_boot_entry: bool,
    #[command(flatten)]
    /// What follows.
    pub then: Then,
}

/// What can be built.
#[derive(Debug, Subcommand)]
pub enum Build {
    /// Build the image of a disk with a system: as `install` would leave it
    ///
    /// Nothing is mounted. The image is complete when it is there: until then it has another name.
    Disk(BuildDisk),
}

/// Arguments of `build disk`.
#[derive(Debug, Default, Args)]
pub struct BuildDisk {
    /// The file
    #[arg(value_name = "FILE")]
    pub to: PathBuf,
    /// The size of the disk, in MiB or with a unit: 8GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub size: u64,
    #[command(flatten)]
    /// Where it comes from.
    pub from: NewSystem,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// A size in bytes.
pub(super) fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 7] =
        [("MiB", 20), ("GiB", 30), ("TiB", 40), ("M", 20), ("G", 30), ("T", 40), ("", 20)];
    let parsed = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (number, shift) = parsed.unwrap_or((text, 20));
    let number = number.trim_end().parse::<u64>().ok().filter(|number| *number > 0);
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "it is no size, such as 8GiB".to_owned())
}

/// Arguments of `upgrade`.
#[derive(Debug, Default, Args)]
pub struct Upgrade {
    #[command(flatten)]
    /// Where the system comes from.
    pub source: Source,
    /// Replace the recovery system instead
    #[arg(long)]
    pub recovery: bool,
    /// Also replace the recovery system, from what is configured for it
    #[arg(skip)]
    pub also_recovery: bool,
    /// Also if the system is there already
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    /// What follows.
    pub then: Then,
}

/// Arguments of `recover`.
#[derive(Debug, Default, Args)]
pub struct Recover {
    /// Where the system comes from, as for `upgrade`; the recovery system if it is left out
    #[arg(long, visible_alias = "system", value_name = "SOURCE")]
    pub from: Option<String>,
    /// Wipe the persistent data (COS_PERSISTENT)
    #[arg(long)]
    pub reset_persistent: bool,
    /// Wipe the documents of this machine (COS_OEM)
    #[arg(long)]
    pub reset_oem: bool,
    /// A document for /oem, after that was wiped if it is: a file or a URL. In the order in which they are given
    #[arg(short, long, value_name = "SOURCE")]
    pub cloud_init: Vec<String>,
    #[command(flatten)]
    /// What follows.
    pub then: Then,
}

/// Arguments of `rollback`.
#[derive(Debug, Default, Args)]
pub struct Rollback {
    /// Only for the next boot
    #[arg(long)]
    pub once: bool,
    /// Which system, for the next boot
    #[arg(long, value_name = "SYSTEM", requires = "once")]
    pub to: Option<To>,
    #[command(flatten)]
    /// What follows.
    pub then: Then,
}

/// A system of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum To {
    /// The one in use.
    Active,
    /// The one before.
    Passive,
    /// The one that mends the others.
    Recovery,
}

/// Arguments of `state`.
#[derive(Debug, Default, Args)]
pub struct State {
    /// Tell the boot loader that the system that was booted is good
    ///
    /// A new system has three attempts to boot. The service cosette-boot-complete calls this when boot-complete.target
    /// is reached.
    #[arg(long)]
    pub good: bool,
    /// The file itself
    #[arg(skip)]
    pub as_yaml: bool,
}

/// What is to be done when all is done.
#[derive(Debug, Default, Args)]
pub struct Then {
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Restart when all is done
    #[arg(long, conflicts_with = "poweroff")]
    pub reboot: bool,
    /// Switch off when all is done
    #[arg(long)]
    pub poweroff: bool,
}

#[cfg(test)]
mod tests {
    use super::super::Command;
    use super::super::tests::read;
    use super::*;

    #[test]
    fn sizes_are_in_mebibytes_or_have_a_unit() {
        let cases = [
            ("8GiB", 8 << 30),
            ("512", 512 << 20),
            ("1TiB", 1 << 40),
            ("4G", 4 << 30),
            ("300MiB", 300 << 20),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "GiB", "8GB", "-1GiB", "1.5GiB", "99999999TiB", "8 KiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_source_is_said_by_its_place_or_by_its_name_and_not_by_both() {
        for line in ["cosette upgrade oci:x:1", "cosette upgrade --system oci:x:1"] {
            let Command::Upgrade(upgrade) = read(line).unwrap().command else { panic!() };
            assert_eq!(upgrade.source.said().map(String::as_str), Some("oci:x:1"), "{line}");
        }
        for line in ["cosette install /dev/vda oci:x:1", "cosette install --system oci:x:1 /dev/vda"] {
            let Command::Install(install) = read(line).unwrap().command else { panic!() };
            assert_eq!(install.from.system.said().map(String::as_str), Some("oci:x:1"), "{line}");
            assert_eq!(install.device, Some("/dev/vda".into()));
        }
        let twice = [
            "upgrade --system a b",
            "install /dev/vda --system a b",
            "build disk --size 8 disk.raw --system a b",
            "recover --from a --system b",
        ];
        for line in twice {
            assert_eq!(read(&format!("cosette {line}")).unwrap_err().exit_code(), 2, "{line}");
        }
    }
}
