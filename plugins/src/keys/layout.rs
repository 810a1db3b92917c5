//! Partitions a disk, makes file systems on new partitions, and has the last one grow.
//!
//! ```text disk
//! /dev/vda 16384
//! ```
//!
//! ```text before
//! -- /usr/sbin/mkfs.ext4 0755
//! ```
//!
//! ```yaml
//! layout:
//!   device:
//!     path: /dev/vda
//!     init_disk: true
//!   add_partitions:
//!   - pLabel: oem
//!     fsLabel: COS_OEM
//!     size: 64
//!   - pLabel: persistent
//!     fsLabel: COS_PERSISTENT
//!     size: 8GiB
//!     filesystem: ext4
//!   expand_partition:
//!     size: 0
//! ```
//!
//! ```text table
//! number  name            size  file system  label           type
//! 1       oem           64 MiB  ext4         COS_OEM         linux-generic
//! 2       persistent  15.9 GiB  ext4         COS_PERSISTENT  linux-generic
//! ```
//!
//! **The disk** is the one at `path`, or that a file system or a partition with this `label` is on; `label` wins where
//! both are given. The path may be that of a partition, which stands for its disk, and `script://command` is the path
//! that a command prints. A device that is not there is waited for, ten seconds where udev runs.
//!
//! **`add_partitions`** are made where they are not there yet: behind the last partition, or where there is room.
//! `size` is in MiB, or has a unit (`512MiB`, `8GiB`, `1TiB`); 0, or none, is all that is left. `filesystem` is `ext2`,
//! `ext3`, `ext4`, `xfs`, `btrfs`, `vfat`, `fat16`, `fat32`, `swap`, or `none`; ext4 if it is left out. `type` is the type of the
//! partition, by its name in the Discoverable Partitions Specification (`home`, `srv`, `swap`, `esp`) or a GUID. `bootable`
//! makes a FAT partition the EFI system partition, and marks others for firmware without UEFI.
//!
//! A partition is known by its `pLabel`, and where none is called so, by the `fsLabel`. What is there already stays as it
//! is, whatever its size and file system, with a warning if they are not as described. An empty partition, with only
//! zeros in its first and last MiB, gets its file system.
//!
//! **`expand_partition`** has the last partition grow to a `size`, or to the end of the disk if that is 0, and with it
//! its file system, if that is ext2, ext3, ext4, XFS or btrfs, mounted or not. With a size, the last partition before new
//! ones are added is meant; with 0 the last one when they are there. Partitions are never made smaller.
//!
//! **`init_disk`** makes a new table (GPT) first. It is refused where there is a table, a file system or anything that is
//! known, unless `wipe: true`, and always where the disk is in use. The disk gets a GUID made of its `disk_name`, by
//! which the next run knows that this was done. A disk with an MBR table is not touched.
//!
//! Everything is computed before anything is written: what does not fit changes nothing at all. A run that is cut off is
//! completed by the next one. The second copy of the table moves to the end of a disk that has grown, and a damaged
//! copy is mended by the other one. Partitions of mapped devices (several paths to a disk, LVM) take kpartx(8). This
//! happens to the disks of the running machine only.

mod device;
mod make;
mod values;

use crate::disk::plan::{Addition, Part, Wish};
use crate::{Action, Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Span, Spanned, record};
use device::DeviceName;
use std::collections::BTreeMap;
use values::{Format, Size, Type};

/// The UTF-16 units that a table has for the label of a partition.
const LONGEST_NAME: usize = 36;

/// How a disk is partitioned.
pub(crate) struct Layout(Settings);

record! {
    /// How a disk is partitioned.
    struct Settings {
        /// The disk.
        device: Spanned<DeviceName> = required,
        /// The size that the last partition grows to.
        expand_partition: Option<Expansion>,
        /// The partitions that shall be there.
        add_partitions: Vec<Spanned<Partition>>,
    }
}

record! {
    /// How the last partition grows.
    struct Expansion {
        /// Its size in MiB, or with a unit: `8GiB`; 0 for all that it can have.
        size: Spanned<Size>,
    }
}

record! {
    /// A partition.
    struct Partition {
        /// The label of the file system.
        label: Option<Spanned<String>> as "fsLabel",
        /// The label of the partition.
        name: Option<Spanned<String>> as "pLabel",
        /// Its size in MiB, or with a unit: `8GiB`; 0 for all that is left.
        size: Size,
        /// Its file system; `none` for none, and ext4 when it is left out.
        filesystem: Format,
        /// Its type, by name or GUID.
        kind: Option<Type> as "type",
        /// Whether the machine starts from it.
        bootable: bool,
    }
}

/// What is wrong with any part of it is wrong with all: where a partition is left out, the others would be at other
/// places.
impl Decode for Layout {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let before = findings.errors();
        let settings = Settings::decode(node, findings)?;
        settings.validate(findings);
        (findings.errors() == before).then_some(Self(settings))
    }

    fn shape() -> Shape {
        Settings::shape()
    }
}

impl Settings {
    fn validate(&self, findings: &mut Findings) {
        let device = &self.device;
        match (&device.label, &device.path) {
            (None, None) => {
                findings.error(device.span, "the disk has neither a `path` nor a `label`");
            }
            (Some(_), Some(path)) => {
                findings.warn(path.span, "`path` does not count beside `label`");
            }
            _ => {}
        }
        if device.wipe && !device.init_disk {
            findings.warn(device.span, "`wipe` does nothing without `init_disk: true`");
        }
        let mut names = BTreeMap::new();
        for (partition, place) in self.add_partitions.iter().zip(1..) {
            partition.validate(partition.span, findings);
            if let Some(name) = text(&partition.name)
                && let Some(before) = names.insert(name, place)
            {
                let message = format!("partition {before} of the list is called {name:?}, too");
                findings.error(partition.span, message);
            }
        }
    }

    fn wish(&self) -> Wish {
        let addition = |partition: &Spanned<Partition>| Addition {
            name: text(&partition.name).map(str::to_owned),
            label: text(&partition.label).filter(|_| partition.filesystem.0.is_some()).map(str::to_owned),
            size: partition.size.0,
            file_system: partition.filesystem.0,
            kind: partition.kind.as_ref().map(|kind| kind.0),
            bootable: partition.bootable,
        };
        Wish {
            expand: self.expand_partition.as_ref().map(|expansion| expansion.size.0),
            add: self.add_partitions.iter().map(addition).collect(),
        }
    }

    /// The place in the document of a part of it.
    fn span(&self, part: Part) -> Span {
        let of_device = self.device.span;
        match part {
            Part::Expand => self.expand_partition.as_ref().map_or(of_device, |expansion| expansion.size.span),
            Part::Add(index) => self.add_partitions.get(index).map_or(of_device, |partition| partition.span),
        }
    }
}

/// A text that is given and not empty.
fn text(value: &Option<Spanned<String>>) -> Option<&str> {
    value.as_ref().map(|text| &*text.value).filter(|text| !text.is_empty())
}

impl Partition {
    fn validate(&self, span: Span, findings: &mut Findings) {
        let file_system = self.filesystem.0;
        if text(&self.name).is_none() && (text(&self.label).is_none() || file_system.is_none()) {
            findings
                .error(span, "the partition has no label, by which the next run would know it")
                .help("give it a `pLabel`, or its file system an `fsLabel`");
        }
        let of_control = |label: &Spanned<String>| label.chars().any(char::is_control);
        for label in self.name.iter().chain(&self.label).filter(|label| of_control(label)) {
            findings.error(label.span, "a label cannot hold control characters");
        }
        if let Some(name) = self.name.as_ref().filter(|name| name.encode_utf16().count() > LONGEST_NAME) {
            let message = format!("the label of a partition has {LONGEST_NAME} characters at most");
            findings.error(name.span, message);
        }
        let Some(label) = self.label.as_ref().filter(|label| !label.is_empty()) else { return };
        match file_system {
            None => {
                findings.warn(label.span, "`fsLabel` does nothing without a file system");
            }
            Some(file_system) if label.len() > file_system.longest_label() => {
                let (name, most) = (file_system.name(), file_system.longest_label());
                findings.error(label.span, format!("a label of {name} has {most} bytes at most"));
            }
            Some(_) => {}
        }
    }
}

impl Plugin for Layout {
    const KEY: &'static str = "layout";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let Self(settings) = self;
        if !sys.is_own_kernel() {
            cx.warn(
                settings.device.span,
                "left out: disks are those of a running machine, and this root is not its own",
            );
            return Ok(());
        }
        if sys.host().only_says() {
            sys.done(Action::Partition, settings.device.name(), true);
            return Ok(());
        }
        let Some(found) = cx.attempt(settings.device.span, settings.device.find(cx, sys)) else {
            return Ok(());
        };
        let Some(device) = found else { return Ok(()) };
        settings.make(cx, sys, &device)
    }
}

#[cfg(test)]
mod against_disks;
#[cfg(test)]
mod tests;
