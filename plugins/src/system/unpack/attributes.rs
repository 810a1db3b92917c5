//! Owner, mode, extended attributes and time of what was made, in the order in which the kernel keeps them: a
//! change of owner takes away the setuid bit and the capabilities, one of the content these as well.

use super::super::cause::Cause;
use super::super::change::{chmod, open_path};
use super::super::resolve::open_in;
use super::super::tree::Dir;
use super::super::{Owner, sys};
use super::Unpacking;
use crate::image::tar::{Entry, Kind};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag, openat};
use nix::sys::stat::{Mode as Bits, UtimensatFlags, fchmod, futimens, utimensat};
use nix::sys::time::TimeSpec;
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;

/// What a directory gets last.
pub(super) struct Last {
    mode: u32,
    modified: (i64, u32),
}

impl Unpacking<'_> {
    /// For a file that is open for writing.
    pub(super) fn furnish_file(&mut self, file: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
        self.own(file, entry)?;
        fchmod(file, Bits::from_bits_truncate(entry.mode)).map_err(Cause)?;
        for (name, value) in &entry.xattrs {
            self.xattr(name, |name| sys::set_xattr(file, name, value))?;
        }
        Ok(futimens(file, &TimeSpec::UTIME_OMIT, &time(entry.modified)).map_err(Cause)?)
    }

    /// For a link, a device or a pipe, which is not opened.
    pub(super) fn furnish(&mut self, dir: &Dir, name: &OsStr, entry: &Entry) -> Result<()> {
        let handle = dir.handle()?;
        let is_link = matches!(entry.kind, Kind::Symlink(_));
        let owner = Owner { uid: entry.uid, gid: entry.gid };
        if !is_link || owner != self.tree.effective || !entry.xattrs.is_empty() {
            let thing = open_path(handle, name)?;
            self.own(thing.as_fd(), entry)?;
            if !is_link {
                chmod(thing.as_fd(), entry.mode)?;
            }
            for (name, value) in &entry.xattrs {
                self.xattr(name, |name| sys::set_xattr_of_path_handle(thing.as_fd(), name, value))?;
            }
        }
        let flags = UtimensatFlags::NoFollowSymlink;
        Ok(utimensat(handle, name, &TimeSpec::UTIME_OMIT, &time(entry.modified), flags).map_err(Cause)?)
    }

    /// For a directory, whose time, and mode if it would be in the way, come last.
    pub(super) fn furnish_directory(&mut self, dir: &Dir, entry: &Entry) -> Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let opened = openat(dir.handle()?, c".", flags, Bits::empty()).map_err(Cause)?;
        self.own(opened.as_fd(), entry)?;
        fchmod(&opened, Bits::from_bits_truncate(entry.mode | 0o700)).map_err(Cause)?;
        for (name, value) in &entry.xattrs {
            self.xattr(name, |name| sys::set_xattr(opened.as_fd(), name, value))?;
        }
        let path = dir.path.strip_prefix(&self.base.path).unwrap_or(&dir.path).to_owned();
        self.directories.push((path, Last { mode: entry.mode, modified: entry.modified }));
        Ok(())
    }

    /// Gives the directories of a layer what they get last, from the deepest.
    pub(super) fn finish_directories(&mut self) -> Result<()> {
        self.parent = None;
        let directories: Vec<(PathBuf, Last)> = std::mem::take(&mut self.directories);
        for (path, last) in directories.into_iter().rev() {
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
            let opened = match open_in(self.base.handle()?, &path, flags, ResolveFlag::RESOLVE_NO_SYMLINKS) {
                Ok(opened) => opened,
                // It was replaced or removed later in the layer.
                Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => continue,
                Err(error) => return Err(Cause(error)).with_context(|| path.display().to_string()),
            };
            if last.mode & 0o700 != 0o700 {
                fchmod(&opened, Bits::from_bits_truncate(last.mode)).map_err(Cause)?;
            }
            futimens(&opened, &TimeSpec::UTIME_OMIT, &time(last.modified)).map_err(Cause)?;
        }
        Ok(())
    }

    fn own(&mut self, file: BorrowedFd<'_>, entry: &Entry) -> Result<()> {
        match self.tree.give(file, Owner { uid: entry.uid, gid: entry.gid }) {
            Err(error) if self.may_not_give(&error) => {
                self.warn("files do not get their owners: this user may not give them away");
                Ok(())
            }
            result => result,
        }
    }

    /// Whether the reason is that this is not root, or not everybody's.
    fn may_not_give(&self, error: &anyhow::Error) -> bool {
        match error.downcast_ref() {
            Some(Cause(Errno::EPERM)) => self.tree.process.uid != 0,
            Some(Cause(Errno::EINVAL)) => true,
            _ => false,
        }
    }

    fn xattr(&mut self, name: &[u8], set: impl Fn(&CString) -> nix::Result<()>) -> Result<()> {
        // Those by which this directory is remembered, and what would be a whiteout if it became part of one.
        if super::mark::NAMES.iter().any(|mark| mark.to_bytes() == name)
            || name.starts_with(b"trusted.overlay.")
        {
            return Ok(());
        }
        let shown = String::from_utf8_lossy(name).escape_debug().to_string();
        let name = CString::new(name).ok().filter(|name| name.count_bytes() <= 255);
        let name = name.with_context(|| format!("an extended attribute of the name {shown:.100}"))?;
        match set(&name) {
            Ok(()) => Ok(()),
            Err(Errno::EOPNOTSUPP | Errno::EPERM | Errno::EACCES) => {
                self.warn(&format!(
                    "files do not get their extended attribute {shown}: it cannot be set here"
                ));
                Ok(())
            }
            Err(Errno::E2BIG | Errno::ERANGE | Errno::EINVAL) => {
                bail!("its extended attribute {shown} is refused by the kernel")
            }
            Err(error) => Err(Cause(error)).with_context(|| format!("its extended attribute {shown}")),
        }
    }
}

fn time((seconds, nanoseconds): (i64, u32)) -> TimeSpec {
    TimeSpec::new(seconds, i64::from(nanoseconds))
}
