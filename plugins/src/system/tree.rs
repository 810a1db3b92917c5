//! The files below a root as one sees them: the disk, and over it what a plan has written.
//!
//! **Invariants:** everything is reached one name at a time from a directory handle, and the last name is
//! never followed, so that nothing here can leave the directory it was given. A directory without a handle
//! exists in the plan only. In plan mode nothing is ever written to the disk.

use super::cause::Cause;
use super::overlay::{Body, Entry, Overlay};
use super::sync::Touched;
use super::temporary::Names;
use super::{Host, Kind, Metadata, Mode, Owner};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{FileStat, Mode as Bits, fstat, fstatat};
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// Files larger than this are not read.
pub(super) const READ_LIMIT: u64 = 64 << 20;

/// What all systems of one root share.
pub(super) struct Tree {
    pub(super) host: Arc<dyn Host>,
    /// The root of the first system; those that came of it by `reroot` lie below.
    pub(super) top: Dir,
    /// What the plan has written; nothing when changes happen.
    pub(super) overlay: Option<RefCell<Overlay>>,
    /// To whom new things belong.
    pub(super) effective: Owner,
    /// The user and group of this process, as the kernel sees them.
    pub(super) process: Owner,
    pub(super) names: Names,
    pub(super) touched: RefCell<Touched>,
    /// Devices, and whether their files are the kernel's own.
    pub(super) kernel: RefCell<Vec<(u64, bool)>>,
    /// How long programs were waited for.
    pub(super) programs: Cell<Duration>,
}

/// A directory that was reached.
#[derive(Clone)]
pub(super) struct Dir {
    /// Its path from the root, without links, beginning with `/`.
    pub(super) path: PathBuf,
    handle: Option<Rc<OwnedFd>>,
}

impl Dir {
    /// A directory that is on the disk.
    pub(super) fn open(path: PathBuf, handle: OwnedFd) -> Self {
        Self { path, handle: Some(Rc::new(handle)) }
    }

    /// The same directory by its new path.
    pub(super) fn renamed(self, path: PathBuf) -> Self {
        Self { path, ..self }
    }

    /// The handle, if the directory is on the disk.
    pub(super) fn on_disk(&self) -> Option<BorrowedFd<'_>> {
        self.handle.as_deref().map(AsFd::as_fd)
    }

    /// The handle; in a directory that only the plan has, there is nothing to be had from the disk.
    pub(super) fn handle(&self) -> Result<BorrowedFd<'_>, Cause> {
        self.on_disk().ok_or(Cause(Errno::ENOENT))
    }
}

/// Something that stands in a directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) metadata: Metadata,
    /// Zero, like the inode, when only the plan has it.
    pub(super) device: u64,
    pub(super) inode: u64,
    /// Whether it has other names as well.
    pub(super) shared: bool,
}

impl Found {
    pub(super) fn kind(&self) -> Kind {
        self.metadata.kind
    }

    /// Whether the plan has it and the disk does not.
    pub(super) fn is_planned(&self) -> bool {
        (self.device, self.inode) == (0, 0)
    }
}

impl Tree {
    pub(super) fn new(top: Dir, host: Arc<dyn Host>, mode: Mode) -> Self {
        let process = Owner { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() };
        Self {
            effective: host.owner(u64::MAX, u64::MAX, process),
            overlay: (mode == Mode::Plan).then(RefCell::default),
            process,
            host,
            top,
            names: Names::default(),
            touched: RefCell::default(),
            kernel: RefCell::default(),
            programs: Cell::default(),
        }
    }

    /// Whether paths may be looked up by the kernel alone, because the disk is all there is.
    pub(super) fn is_disk(&self) -> bool {
        self.overlay.is_none()
    }

    /// What stands under the name, a link itself.
    pub(super) fn look(&self, dir: &Dir, name: &OsStr) -> Result<Option<Found>, Cause> {
        let path = || dir.path.join(name);
        let planned = self.overlay.as_ref().and_then(|overlay| overlay.borrow().get(&path()).cloned());
        if let Some(Entry::Absent) = planned {
            return Ok(None);
        }
        if let Some(Entry::Present(metadata, body)) = &planned
            && !matches!(body, Body::Disk)
        {
            return Ok(Some(Found { metadata: *metadata, device: 0, inode: 0, shared: false }));
        }
        let Some(handle) = dir.on_disk() else { return Ok(None) };
        let found = match fstatat(handle, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
            Ok(stat) => self.found(&stat),
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(Some(match planned {
            Some(Entry::Present(metadata, _)) => Found { metadata, ..found },
            _ => found,
        }))
    }

    /// What is known of the directory itself.
    pub(super) fn look_at(&self, dir: &Dir) -> Result<Found, Cause> {
        let planned = self.overlay.as_ref().and_then(|overlay| overlay.borrow().get(&dir.path).cloned());
        let found = dir.on_disk().map(fstat).transpose()?.map(|stat| self.found(&stat));
        match (planned, found) {
            (Some(Entry::Present(metadata, _)), Some(found)) => Ok(Found { metadata, ..found }),
            (Some(Entry::Present(metadata, _)), None) => {
                Ok(Found { metadata, device: 0, inode: 0, shared: false })
            }
            (_, Some(found)) => Ok(found),
            (_, None) => Err(Cause(Errno::ENOENT)),
        }
    }

    /// What the kernel said, with the owner as the host has it.
    pub(super) fn found(&self, stat: &FileStat) -> Found {
        let mut metadata = Metadata::of(stat);
        metadata.owner = self.host.owner(stat.st_dev, stat.st_ino, metadata.owner);
        Found { metadata, device: stat.st_dev, inode: stat.st_ino, shared: stat.st_nlink > 1 }
    }

    /// Goes into the directory of that name, which is no link.
    pub(super) fn enter(&self, dir: &Dir, name: &OsStr) -> Result<Dir, Cause> {
        let path = dir.path.join(name);
        let planned = self.overlay.as_ref().and_then(|overlay| overlay.borrow().get(&path).cloned());
        if let Some(Entry::Present(_, Body::Directory)) = planned {
            return Ok(Dir { path, handle: None });
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        Ok(Dir::open(path, openat(dir.handle()?, name, flags, Bits::empty())?))
    }

    /// The target of the link of that name.
    pub(super) fn target(&self, dir: &Dir, name: &OsStr) -> Result<PathBuf, Cause> {
        if let Some(overlay) = &self.overlay
            && let Some(Entry::Present(_, Body::Link(target))) = overlay.borrow().get(&dir.path.join(name))
        {
            return Ok(target.clone());
        }
        Ok(readlinkat(dir.handle()?, name)?.into())
    }

    /// The content of the file of that name, which is known to be one.
    pub(super) fn content(&self, dir: &Dir, name: &OsStr) -> Result<Vec<u8>, Cause> {
        if let Some(overlay) = &self.overlay
            && let Some(Entry::Present(_, Body::Content(content))) =
                overlay.borrow().get(&dir.path.join(name))
        {
            return Ok(content.to_vec());
        }
        let file = self.open_file(dir, name)?;
        read_all(file.as_fd(), &fstat(&file)?)
    }

    /// Opens a file of the disk for reading; never waits for the other end of a pipe.
    pub(super) fn open_file(&self, dir: &Dir, name: &OsStr) -> Result<OwnedFd, Cause> {
        let flags =
            OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        Ok(openat(dir.handle()?, name, flags, Bits::empty())?)
    }

    /// The names in a directory, in byte order.
    pub(super) fn names(&self, dir: &Dir) -> Result<Vec<OsString>, Cause> {
        let mut names = match dir.on_disk() {
            Some(handle) => list(handle)?,
            None => BTreeSet::new(),
        };
        if let Some(overlay) = &self.overlay {
            for (name, present) in overlay.borrow().names(&dir.path) {
                if present {
                    names.insert(name);
                } else {
                    names.remove(&name);
                }
            }
        }
        Ok(names.into_iter().collect())
    }
}

/// Everything that can be read, up to [`READ_LIMIT`].
pub(super) fn read_all(file: BorrowedFd<'_>, stat: &FileStat) -> Result<Vec<u8>, Cause> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if size > READ_LIMIT {
        return Err(Cause(Errno::EFBIG));
    }
    // One byte more than expected, so that the end is seen without another call.
    let mut content = vec![0; usize::try_from(size).unwrap_or(0).max(511) + 1];
    let mut filled = 0;
    loop {
        let count = read(file, &mut content[filled..])?;
        filled += count;
        // A file of the kernel says that its size is nothing, and may come in pieces.
        if count == 0 || (filled < content.len() && filled as u64 == size) {
            content.truncate(filled);
            return Ok(content);
        }
        if filled as u64 > READ_LIMIT {
            return Err(Cause(Errno::EFBIG));
        }
        if filled == content.len() {
            content.resize(filled * 2, 0);
        }
    }
}

/// Reads once, through interruptions.
pub(super) fn read(file: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Cause> {
    loop {
        match nix::unistd::read(file, buffer) {
            Err(Errno::EINTR) => {}
            result => return Ok(result?),
        }
    }
}

/// The names in a directory of the disk.
pub(super) fn list(handle: BorrowedFd<'_>) -> Result<BTreeSet<OsString>, Cause> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let mut dir = nix::dir::Dir::openat(handle, c".", flags, Bits::empty())?;
    let mut names = BTreeSet::new();
    for entry in dir.iter() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.insert(OsStr::from_bytes(name).to_owned());
        }
    }
    Ok(names)
}

/// The path with a single `/` at its front and no `.` in it; `..` stays.
pub(super) fn absolute(path: &Path) -> PathBuf {
    let mut result = PathBuf::from("/");
    result.extend(path.components().filter_map(|component| match component {
        std::path::Component::Normal(name) => Some(name),
        std::path::Component::ParentDir => Some(component.as_os_str()),
        _ => None,
    }));
    result
}
