//! How the things of an archive are made: under their name where nothing stands, or under a temporary one that
//! takes the place of what does.

use super::super::Kind;
use super::super::cause::Cause;
use super::super::temporary::Temporary;
use super::super::tree::{Dir, Found};
use super::Unpacking;
use super::place::inside;
use crate::image::tar::{self, Archive, Entry};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode as Bits, SFlag, makedev, mkdirat, mknodat};
use nix::unistd::{UnlinkatFlags, Whence, ftruncate, linkat, lseek, symlinkat, unlinkat};
use std::ffi::OsStr;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

impl Unpacking<'_> {
    /// Puts the thing of the entry there.
    pub(super) fn put(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        entry: &Entry,
        archive: &mut Archive<impl Read>,
    ) -> Result<()> {
        let mut found = self.tree.look(dir, name)?;
        if let Some(thing) = &found {
            let directories = (thing.kind() == Kind::Directory, entry.kind == tar::Kind::Directory);
            match directories {
                (true, true) => return self.furnish_directory(&self.tree.enter(dir, name)?, entry),
                (false, false) => {
                    if thing.kind() == Kind::Symlink {
                        self.parent = None;
                    }
                }
                _ => {
                    self.remove(dir, name, thing)?;
                    found = None;
                }
            }
        }
        let handle = dir.handle()?;
        let private = Bits::S_IRUSR | Bits::S_IWUSR;
        match &entry.kind {
            tar::Kind::Directory => {
                mkdirat(handle, name, Bits::S_IRWXU).map_err(Cause)?;
                self.furnish_directory(&self.tree.enter(dir, name)?, entry)
            }
            tar::Kind::File => {
                let flags =
                    OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let make = |name: &OsStr| openat(handle, name, flags, private);
                self.place(dir, name, found.is_some(), make, |this, _, file: OwnedFd| {
                    this.fill(file.as_fd(), entry, archive)?;
                    this.furnish_file(file.as_fd(), entry)
                })
            }
            tar::Kind::Symlink(target) => {
                let target = OsStr::from_bytes(target);
                let make = |name: &OsStr| symlinkat(target, handle, name);
                self.place(dir, name, found.is_some(), make, |this, name, ()| this.furnish(dir, name, entry))
            }
            tar::Kind::HardLink(target) => self.link(dir, name, target, found.as_ref()),
            tar::Kind::Fifo => {
                let make = |name: &OsStr| mknodat(handle, name, SFlag::S_IFIFO, private, 0);
                self.place(dir, name, found.is_some(), make, |this, name, ()| this.furnish(dir, name, entry))
            }
            tar::Kind::Character(major, minor) | tar::Kind::Block(major, minor) => {
                let kind = match entry.kind {
                    tar::Kind::Block(..) => SFlag::S_IFBLK,
                    _ => SFlag::S_IFCHR,
                };
                let device = makedev(u64::from(*major), u64::from(*minor));
                let make = |name: &OsStr| mknodat(handle, name, kind, private, device);
                let made = self
                    .place(dir, name, found.is_some(), make, |this, name, ()| this.furnish(dir, name, entry));
                match made {
                    // Also root may not, in a user namespace.
                    Err(error) if error.downcast_ref() == Some(&Cause(Errno::EPERM)) => {
                        self.warn("device files are left out: only root may make them");
                        Ok(())
                    }
                    made => made,
                }
            }
        }
    }

    /// Makes something under its name, or in place of what has it, and gives it all it needs. What cannot be
    /// finished is removed.
    fn place<T>(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        replace: bool,
        make: impl Fn(&OsStr) -> nix::Result<T>,
        finish: impl FnOnce(&mut Self, &OsStr, T) -> Result<()>,
    ) -> Result<()> {
        let handle = dir.handle()?;
        if !replace {
            let made = make(name).map_err(Cause)?;
            let finished = finish(self, name, made);
            if finished.is_err() {
                // The first error is the one to report.
                let _ = unlinkat(handle, name, UnlinkatFlags::NoRemoveDir);
            }
            return finished;
        }
        let tree = std::rc::Rc::clone(&self.tree);
        let make = |name: &str| make(OsStr::new(name));
        let (temporary, made) = Temporary::make(&tree.names, handle, UnlinkatFlags::NoRemoveDir, make)?;
        finish(self, OsStr::new(temporary.name()), made)?;
        Ok(temporary.take_place(name)?)
    }

    /// Gives another thing this name as well.
    fn link(&mut self, dir: &Dir, name: &OsStr, target: &[u8], found: Option<&Found>) -> Result<()> {
        let path = inside(target);
        let shown = || format!("a hard link to {}", String::from_utf8_lossy(target).escape_debug());
        let other = path.file_name().with_context(shown)?;
        // What is remembered is the directory of the entry, which is soon needed again.
        let remembered = self.parent.clone();
        let holder = self.directory_of(&path, false)?;
        self.parent = remembered;
        let holder = holder.context("it does not exist in the image").with_context(shown)?;
        let thing = self.tree.look(&holder, other)?;
        let thing = thing.context("it does not exist in the image").with_context(shown)?;
        if thing.kind() == Kind::Directory {
            bail!("{}: it is a directory", shown());
        }
        if found.is_some_and(|found| (found.device, found.inode) == (thing.device, thing.inode)) {
            return Ok(());
        }
        let (from, handle) = (holder.handle()?, dir.handle()?);
        let make = |name: &OsStr| linkat(from, other, handle, name, AtFlags::empty());
        self.place(dir, name, found.is_some(), make, |_, _, ()| Ok(())).with_context(shown)
    }

    /// Writes the content, with its holes.
    fn fill(&mut self, file: BorrowedFd<'_>, entry: &Entry, archive: &mut Archive<impl Read>) -> Result<()> {
        let Some(chunks) = &entry.chunks else { return self.copy(file, entry.size, archive) };
        for chunk in chunks {
            let offset = i64::try_from(chunk.offset).context("a hole that is too large")?;
            lseek(file, offset, Whence::SeekSet).map_err(Cause)?;
            self.copy(file, chunk.length, archive)?;
        }
        let size = i64::try_from(entry.size).context("a file that is too large")?;
        match ftruncate(file, size) {
            Err(Errno::EFBIG | Errno::EINVAL) => {
                bail!("a file of {size} bytes, which the file system cannot hold")
            }
            result => Ok(result.map_err(Cause)?),
        }
    }

    fn copy(
        &mut self,
        file: BorrowedFd<'_>,
        mut length: u64,
        archive: &mut Archive<impl Read>,
    ) -> Result<()> {
        while length > 0 {
            let most = self.buffer.len().min(usize::try_from(length).unwrap_or(usize::MAX));
            let mut filled = 0;
            while filled < most {
                match archive.read(&mut self.buffer[filled..most])? {
                    0 => bail!("the archive breaks off in its content"),
                    count => filled += count,
                }
            }
            super::super::replace::write_all(file, &self.buffer[..filled])?;
            length -= filled as u64;
        }
        Ok(())
    }
}
