//! A file that shall be, as callers describe it.

use super::Owner;
use std::fmt;
use std::path::PathBuf;

/// A file that shall be.
pub struct File {
    pub(super) path: PathBuf,
    pub(super) content: Vec<u8>,
    pub(super) mode: Option<u32>,
    pub(super) default_mode: u32,
    pub(super) owner: Option<Owner>,
    pub(super) durable: bool,
    pub(super) replace_link: bool,
    pub(super) in_place: bool,
}

impl File {
    /// A file with this content. A file that exists keeps its mode and owner; a new one gets mode 0644 and
    /// belongs to root.
    pub fn new(path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            content: content.into(),
            mode: None,
            default_mode: 0o644,
            owner: None,
            durable: false,
            replace_link: false,
            in_place: false,
        }
    }

    /// The mode that it must have, new or not.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// The mode when it is new.
    pub fn default_mode(mut self, mode: u32) -> Self {
        self.default_mode = mode;
        self
    }

    /// The owner that it must have, new or not.
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// It is synced to the disk before it takes its place, with its directory after: for account databases
    /// and state, which must survive a power cut whole.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// A symbolic link at the path is replaced instead of followed.
    pub fn replace_link(mut self) -> Self {
        self.replace_link = true;
        self
    }

    /// A file of this size is overwritten by one write, and so stays where it is on the disk: for what a boot loader
    /// reads and writes there, without the help of a file system.
    pub fn in_place(mut self) -> Self {
        self.in_place = true;
        self
    }
}

/// Without the content, which may be a secret.
impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("File")
            .field("path", &self.path)
            .field("bytes", &self.content.len())
            .field("mode", &self.mode)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}
