//! What has to happen to a disk so that its partitions are as described.
//!
//! What is wished for, and the way there; [`plan`] finds it.

mod planner;

pub(crate) use planner::plan;

use super::file_system::FileSystem;
use super::gpt::{Guid, Table};
use super::superblock::{Kind, Superblock};
use super::types;
use std::collections::BTreeSet;

/// The type of a partition that was made, but does not have its file system yet. The next run knows it by that.
pub(crate) const UNFINISHED: Guid = Guid::new(0xd4e56f43_c2d1_4db8_b205_b1a3494ce034);

/// By the Discoverable Partitions Specification: the file system is smaller than the partition, and grows when it
/// is mounted. It stands there until the file system has grown.
pub(crate) const GROW_FILE_SYSTEM: u64 = 1 << 59;

/// What is wanted of a disk.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// The size of the last partition, in bytes; 0 for all that it can have.
    pub(crate) expand: Option<u64>,
    /// The partitions that shall be there.
    pub(crate) add: Vec<Addition>,
}

/// A partition that shall be there.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addition {
    /// The label of the partition.
    pub(crate) name: Option<String>,
    /// The label of its file system.
    pub(crate) label: Option<String>,
    /// Its size in bytes; 0 for all that is left.
    pub(crate) size: u64,
    /// Its file system, if it has one.
    pub(crate) file_system: Option<FileSystem>,
    /// Its type, if that is not the usual one for the file system.
    pub(crate) kind: Option<Guid>,
    /// Whether the machine starts from it.
    pub(crate) bootable: bool,
}

impl Addition {
    /// What it is called in the table: an unfinished one has no label of its own to be known by.
    fn known_by(&self) -> Option<&str> {
        self.name.as_deref().or(self.label.as_deref())
    }

    fn entry_kind(&self) -> Guid {
        match (self.kind, self.file_system) {
            (Some(kind), _) => kind,
            (None, Some(fat)) if self.bootable && fat.is_fat() => types::ESP,
            (None, Some(file_system)) => file_system.partition_type(),
            (None, None) => types::LINUX_GENERIC,
        }
    }
}

/// What lies on a partition.
#[derive(Clone, Debug)]
pub(crate) enum Content {
    /// Something that is known by its superblock.
    Known(Superblock),
    /// Zeros, as far as was looked.
    Blank,
    /// Anything else.
    Unknown,
}

/// Which part of the wish a problem is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// The last partition.
    Expand,
    /// A partition by its place in the list.
    Add(usize),
}

/// Problems, or remarks.
pub(crate) type Remarks = Vec<(Part, String)>;

/// The way to the wish.
#[derive(Debug)]
pub(crate) struct Plan {
    /// The table at its end.
    pub(crate) after: Table,
    /// What happens, in this order.
    pub(crate) steps: Vec<Step>,
    /// What is not as described, and stays so.
    pub(crate) warnings: Remarks,
    /// Partitions whose file system is marked as too small until it has grown.
    marked: BTreeSet<u32>,
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// To which partition.
    pub(crate) number: u32,
    /// What of the wish asks for it.
    pub(crate) part: Part,
    /// What.
    pub(crate) work: Work,
}

/// What happens to a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// It is new, and gets this file system.
    Create(Option<Format>),
    /// It is there, but has no file system yet.
    Format(Format),
    /// It grows from so many bytes, and with it the file system of this kind.
    Grow(u64, Option<Kind>),
}

impl Work {
    /// The file system that is made.
    pub(crate) fn format(&self) -> Option<&Format> {
        match self {
            Self::Create(Some(format)) | Self::Format(format) => Some(format),
            Self::Create(None) | Self::Grow(..) => None,
        }
    }
}

/// A file system to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Format {
    /// Its type.
    pub(crate) file_system: FileSystem,
    /// Its label.
    pub(crate) label: Option<String>,
}

impl Plan {
    /// The table while the plan is carried out: what is not done yet is known by it. `done` are the partitions
    /// that are finished.
    pub(crate) fn interim(&self, done: &BTreeSet<u32>) -> Table {
        let mut table = self.after.clone();
        for step in self.steps.iter().filter(|step| !done.contains(&step.number)) {
            let Some(entry) = table.entries.get_mut(&step.number) else { continue };
            match &step.work {
                Work::Create(None) => {}
                Work::Create(Some(format)) | Work::Format(format) => {
                    entry.kind = UNFINISHED;
                    if entry.name.is_empty() {
                        entry.name = format.label.clone().unwrap_or_default();
                    }
                }
                Work::Grow(..) if self.marked.contains(&step.number) => entry.attributes |= GROW_FILE_SYSTEM,
                Work::Grow(..) => {}
            }
        }
        table
    }
}
