//! What a plan has written: memory that lies over the disk.
//!
//! **Invariant:** keys are canonical paths, absolute and without links. A directory that the plan has made
//! hides whatever the disk has at its path, because it was entered without a handle (see [`super::tree`]).

use super::metadata::Attributes;
use super::{Kind, Metadata};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// All that a plan has written.
#[derive(Default)]
pub(super) struct Overlay {
    entries: BTreeMap<PathBuf, Entry>,
    /// The name that the machine would have.
    pub(super) hostname: Option<String>,
}

/// What the plan knows of one path.
#[derive(Clone)]
pub(super) enum Entry {
    /// Nothing is there any more.
    Absent,
    /// Something is there.
    Present(Metadata, Body),
}

/// What is in a thing.
#[derive(Clone)]
pub(super) enum Body {
    /// What the disk has at this path; only attributes were changed.
    Disk,
    /// A file with this content.
    Content(Rc<[u8]>),
    /// A directory that was made.
    Directory,
    /// A link to this target.
    Link(PathBuf),
}

impl Overlay {
    /// What the plan knows of the path; nothing if only the disk does.
    pub(super) fn get(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Notes that the path now holds this.
    pub(super) fn put(&mut self, path: PathBuf, metadata: Metadata, body: Body) {
        self.entries.insert(path, Entry::Present(metadata, body));
    }

    /// Notes that nothing is at the path.
    pub(super) fn remove(&mut self, path: PathBuf) {
        self.entries.insert(path, Entry::Absent);
    }

    /// Changes mode and owner of what is at the path; `metadata` is what it was.
    pub(super) fn set(&mut self, path: PathBuf, metadata: Metadata) {
        let body = match self.entries.remove(&path) {
            Some(Entry::Present(_, body)) => body,
            _ => Body::Disk,
        };
        self.entries.insert(path, Entry::Present(metadata, body));
    }

    /// The names in the directory that the plan has written (`true`) or removed (`false`).
    pub(super) fn names<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = (OsString, bool)> + 'a {
        let below = (Bound::Excluded(dir.to_owned()), Bound::Unbounded);
        self.entries
            .range(below)
            .take_while(move |(path, _)| path.starts_with(dir))
            .filter(move |(path, _)| path.parent() == Some(dir))
            .filter_map(|(path, entry)| {
                Some((path.file_name()?.to_owned(), matches!(entry, Entry::Present(..))))
            })
    }
}

/// The metadata of something new.
pub(super) fn metadata(kind: Kind, attributes: Attributes, size: usize) -> Metadata {
    Metadata { kind, mode: attributes.mode, owner: attributes.owner, size: size as u64 }
}
