//! The single changes, on the disk or, in plan mode, in the overlay: a directory, a link, attributes, removal.
//! (Files are in [`super::replace`].)
//!
//! **Invariant:** a thing appears under its name with its mode and owner already set.

use super::cause::Cause;
use super::metadata::Attributes;
use super::overlay::{self, Body};
use super::resolve::Place;
use super::temporary::Temporary;
use super::tree::{Dir, Found, Tree};
use super::{Kind, Owner, sys};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode as Bits, fstat, mkdirat};
use nix::unistd::{UnlinkatFlags, symlinkat, unlinkat};
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

impl Tree {
    /// Makes a directory where nothing is. The process's umask has no say.
    pub(super) fn make_dir(&self, dir: &Dir, name: &OsStr, attributes: Attributes) -> Result<Dir> {
        if let Some(overlay) = &self.overlay {
            let metadata = overlay::metadata(Kind::Directory, attributes, 0);
            overlay.borrow_mut().put(dir.path.join(name), metadata, Body::Directory);
            return Ok(self.enter(dir, name)?);
        }
        let parent = dir.handle()?;
        let private = Bits::S_IRWXU;
        let (temporary, ()) = Temporary::make(&self.names, parent, UnlinkatFlags::RemoveDir, |name| {
            mkdirat(parent, name, private)
        })?;
        let made = self.furnish(dir, OsStr::new(temporary.name()), attributes)?;
        self.touch(dir)?;
        match temporary.take_place(name) {
            Ok(()) => Ok(made.renamed(dir.path.join(name))),
            // Somebody was faster, which is as well.
            Err(Cause(Errno::EEXIST | Errno::ENOTEMPTY)) => Ok(self.enter(dir, name)?),
            // Control groups and their like cannot be renamed.
            Err(Cause(Errno::EPERM | Errno::EINVAL | Errno::EXDEV)) => {
                mkdirat(parent, name, private).map_err(Cause)?;
                self.furnish(dir, name, attributes)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sets owner and mode of a directory that was just made.
    fn furnish(&self, dir: &Dir, name: &OsStr, attributes: Attributes) -> Result<Dir> {
        let made = self.enter(dir, name)?;
        // Where others may write, they may have put another directory in its place.
        if self.is_exposed(dir)? && !self.names(&made)?.is_empty() {
            bail!("it was replaced by somebody else meanwhile: run again");
        }
        self.give(made.handle()?, attributes.owner)?;
        chmod(made.handle()?, attributes.mode)?;
        Ok(made)
    }

    /// Makes a link where nothing is, or in place of what is no directory.
    pub(super) fn put_link(
        &self,
        dir: &Dir,
        name: &OsStr,
        target: &Path,
        replace: bool,
    ) -> Result<(), Cause> {
        if let Some(overlay) = &self.overlay {
            let attributes = Attributes { mode: 0o777, owner: self.effective };
            let metadata = overlay::metadata(Kind::Symlink, attributes, target.as_os_str().len());
            overlay.borrow_mut().put(dir.path.join(name), metadata, Body::Link(target.to_owned()));
            return Ok(());
        }
        let parent = dir.handle()?;
        self.touch(dir)?;
        if !replace {
            return Ok(symlinkat(target, parent, name)?);
        }
        let (temporary, ()) = Temporary::make(&self.names, parent, UnlinkatFlags::NoRemoveDir, |name| {
            symlinkat(target, parent, name)
        })?;
        temporary.take_place(name)
    }

    /// Removes what stands there; a directory must be empty.
    pub(super) fn delete(&self, dir: &Dir, name: &OsStr, kind: Kind) -> Result<(), Cause> {
        if let Some(overlay) = &self.overlay {
            if kind == Kind::Directory && !self.names(&self.enter(dir, name)?)?.is_empty() {
                return Err(Cause(Errno::ENOTEMPTY));
            }
            overlay.borrow_mut().remove(dir.path.join(name));
            return Ok(());
        }
        self.touch(dir)?;
        let flag = match kind {
            Kind::Directory => UnlinkatFlags::RemoveDir,
            _ => UnlinkatFlags::NoRemoveDir,
        };
        Ok(unlinkat(dir.handle()?, name, flag)?)
    }

    /// Sets mode and owner of what was found, if they differ: the owner first, because a change of owner
    /// takes the setuid bit away.
    pub(super) fn set(&self, place: &Place, found: &Found, wanted: Attributes) -> Result<bool> {
        let before = found.metadata.attributes();
        if before == wanted {
            return Ok(false);
        }
        let is_link = found.kind() == Kind::Symlink;
        if is_link && before.mode != wanted.mode {
            bail!("it is a symbolic link, which has no mode of its own");
        }
        if found.shared && found.kind() != Kind::Directory && self.is_exposed(&place.dir)? {
            bail!("it has other names (hard links), and others may write to its directory: remove it first");
        }
        if let Some(overlay) = &self.overlay {
            let super::Metadata { kind, size, .. } = found.metadata;
            let Attributes { mode, owner } = wanted;
            overlay.borrow_mut().set(place.path(), super::Metadata { kind, size, mode, owner });
            return Ok(true);
        }
        let opened = match &place.name {
            Some(name) => Some(open_path(place.dir.handle()?, name)?),
            None => None,
        };
        let handle = opened.as_ref().map_or_else(|| place.dir.handle(), |opened| Ok(opened.as_fd()))?;
        let now = fstat(handle).map_err(Cause)?;
        if (now.st_dev, now.st_ino) != (found.device, found.inode) {
            bail!("it was replaced by somebody else meanwhile: run again");
        }
        self.touch(&place.dir)?;
        if before.owner != wanted.owner {
            self.host.set_owner(handle, wanted.owner)?;
        }
        if !is_link && (before.mode != wanted.mode || wanted.mode & 0o6000 != 0) {
            chmod(handle, wanted.mode)?;
        }
        Ok(true)
    }

    /// Gives what is open to the owner, unless it is theirs.
    pub(super) fn give(&self, file: BorrowedFd<'_>, owner: Owner) -> Result<()> {
        if self.found(&fstat(file).map_err(Cause)?).metadata.owner != owner {
            self.host.set_owner(file, owner).with_context(|| format!("cannot give it to {owner}"))?;
        }
        Ok(())
    }

    /// Whether users whom this process does not trust may put things into the directory.
    pub(super) fn is_exposed(&self, dir: &Dir) -> Result<bool, Cause> {
        let holder = self.look_at(dir)?.metadata;
        Ok(!self.trusts(holder.owner) || self.others_may_write(&holder))
    }
}

/// A handle of what has this name, a link itself.
pub(super) fn open_path(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Cause> {
    let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(dir, name, flags, Bits::empty())?)
}

/// Sets the mode of what an `O_PATH` handle stands for; kernels before 6.6 need `/proc` for it.
pub(super) fn chmod(handle: BorrowedFd<'_>, mode: u32) -> Result<(), Cause> {
    match sys::chmod(handle, mode) {
        Err(Errno::ENOSYS | Errno::EPERM) => {
            let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
            let follow = nix::sys::stat::FchmodatFlags::FollowSymlink;
            let bits = Bits::from_bits_truncate(mode);
            Ok(nix::sys::stat::fchmodat(nix::fcntl::AT_FDCWD, path.as_str(), bits, follow)?)
        }
        result => Ok(result?),
    }
}
