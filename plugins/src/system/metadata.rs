//! What is known of the thing at a path.

use nix::libc;
use nix::sys::stat::FileStat;
use std::fmt;

/// User and group by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl fmt::Display for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.uid, self.gid)
    }
}

/// What kind of thing stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "a file",
            Self::Directory => "a directory",
            Self::Symlink => "a symbolic link",
            Self::Other => "a device, socket or pipe",
        })
    }
}

/// What is known of the thing at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its kind.
    pub kind: Kind,
    /// Its mode, `0` to `07777`.
    pub mode: u32,
    /// Its owner.
    pub owner: Owner,
    /// Its size in bytes.
    pub size: u64,
}

impl Metadata {
    /// What the kernel says.
    pub(super) fn of(stat: &FileStat) -> Self {
        let kind = match stat.st_mode & libc::S_IFMT {
            libc::S_IFREG => Kind::File,
            libc::S_IFDIR => Kind::Directory,
            libc::S_IFLNK => Kind::Symlink,
            _ => Kind::Other,
        };
        Self {
            kind,
            mode: stat.st_mode & 0o7777,
            owner: Owner { uid: stat.st_uid, gid: stat.st_gid },
            size: stat.st_size.try_into().unwrap_or(0),
        }
    }

    pub(super) fn attributes(&self) -> Attributes {
        Attributes { mode: self.mode, owner: self.owner }
    }
}

/// What can be set of a thing apart from its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) mode: u32,
    pub(super) owner: Owner,
}

impl Attributes {
    /// The attributes of the directories that must be made above a thing with these: search permission where
    /// there is read permission, everything for the owner, and never write permission for everybody.
    pub(super) fn of_parents(self) -> Self {
        let mode = self.mode & 0o775;
        Self { mode: 0o700 | mode & 0o775 | (mode & 0o444) >> 2, owner: self.owner }
    }
}
