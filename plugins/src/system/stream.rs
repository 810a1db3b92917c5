//! Files that are written piece by piece, because they may be larger than memory, and what is remembered of
//! where they came from.
//!
//! **Invariant:** as with [`System::write`], the old file stays whole until the new one is complete. Files of
//! the kernel and mount points, which could only be written in place, are refused.

use super::cause::Cause;
use super::overlay::{self, Body};
use super::replace::{Replacement, cut, write_all};
use super::resolve::{Place, Route};
use super::tree::{Found, absolute, read};
use super::write::Target;
use super::{File, Kind, System, sys};
use crate::Action;
use crate::effect::Diff;
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::{FileStat, fstat};
use nix::unistd::{Whence, lseek};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// How much is read at once.
const PIECE: usize = 256 << 10;

/// The extended attribute that holds what is remembered.
const MEMORY: &CStr = c"user.cosette.origin";

const LATER: Diff = Diff::Hidden("it is fetched when the step really runs");

/// A file that is being filled.
pub struct Sink<'a> {
    file: BorrowedFd<'a>,
    written: u64,
    memory: Option<Vec<u8>>,
}

impl Sink<'_> {
    /// Adds to its end.
    pub fn add(&mut self, piece: &[u8]) -> Result<()> {
        write_all(self.file, piece)?;
        self.written += piece.len() as u64;
        Ok(())
    }

    /// How many bytes it has.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes the space for so many bytes, so that a disk that is too small is found out first.
    pub fn reserve(&self, length: u64) -> Result<()> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        match fallocate(self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length.max(1)) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINTR) => Ok(()),
            Err(Errno::EFBIG) => bail!("the file system takes no files as large as this"),
            Err(error) => Err(Cause(error).into()),
        }
    }

    /// Begins anew with an empty file.
    pub fn restart(&mut self) -> Result<()> {
        cut(self.file, 0)?;
        lseek(self.file, 0, Whence::SeekSet).map_err(Cause)?;
        self.written = 0;
        Ok(())
    }

    /// Has something remembered of the file for as long as it is not changed, where the file system can.
    pub fn remember(&mut self, memory: impl Into<Vec<u8>>) {
        self.memory = Some(memory.into());
    }
}

impl System {
    /// Makes a file have what `fill` writes; its own content is not looked at. A file that has it already is
    /// kept, and `fill` is not asked in plan mode. All else is as with [`System::write`].
    pub fn write_stream(&self, file: &File, fill: impl FnOnce(&mut Sink<'_>) -> Result<()>) -> Result<bool> {
        let path = absolute(&file.path);
        self.fill(file, &path, fill).with_context(|| format!("cannot write {}", path.display()))
    }

    fn fill(&self, file: &File, path: &Path, fill: impl FnOnce(&mut Sink<'_>) -> Result<()>) -> Result<bool> {
        let Target { place, before, attributes, parents_made } = self.reach_file(file, path)?;
        if let Some(overlay) = &self.tree.overlay {
            // What is there stands for what would be there; nothing else is known of it.
            if before.is_none() {
                let metadata = overlay::metadata(Kind::File, attributes, 0);
                overlay.borrow_mut().put(place.path(), metadata, Body::Content([].into()));
            }
            self.record(Action::Write, path, true, Some(LATER));
            return Ok(true);
        }
        if let Some(found) = &before
            && self.tree.is_kernel(&place.dir, found.device)?
        {
            bail!("it is a file of the kernel");
        }
        let (owner_asked, durable) = (file.owner.is_some(), file.durable);
        let new = Replacement { content: &[], attributes, owner_asked, durable, parents_made };
        let placed = self.tree.put(&place, &new, |temporary| {
            let mut sink = Sink { file: temporary, written: 0, memory: None };
            fill(&mut sink)?;
            let memory = sink.memory.unwrap_or_default();
            if let Some(found) = &before
                && found.metadata.size == sink.written
                && self.may_keep(&place, found, attributes)?
                && let Ok(old) = self.tree.open_file(&place.dir, place.name()?)
                && is_same(temporary, old.as_fd())?
            {
                keep_in_mind(old.as_fd(), &memory)?;
                return Ok(false);
            }
            keep_in_mind(temporary, &memory)?;
            Ok(true)
        })?;
        match &before {
            Some(found) if !placed => self.set_and_record(path, &place, found, attributes, Action::Write),
            _ => {
                self.record(Action::Write, path, true, None);
                Ok(true)
            }
        }
    }

    /// Leaves the content of a file that is there, and makes the rest be as described.
    pub fn keep(&self, file: &File) -> Result<bool> {
        let path = absolute(&file.path);
        let keep = || match self.reach_file(file, &path)? {
            Target { place, before: Some(found), attributes, .. } => {
                self.set_and_record(&path, &place, &found, attributes, Action::Write)
            }
            _ => bail!("it was removed by somebody else meanwhile: run again"),
        };
        keep().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads a file piece by piece. False when there is none.
    pub fn read_pieces(&self, path: impl AsRef<Path>, mut take: impl FnMut(&[u8])) -> Result<bool> {
        let path = path.as_ref();
        let mut pieces = || -> Result<bool> {
            let Some((place, found)) = self.find_file(path)? else { return Ok(false) };
            if found.is_planned() {
                take(&self.tree.content(&place.dir, place.name()?)?);
                return Ok(true);
            }
            let file = self.tree.open_file(&place.dir, place.name()?)?;
            let mut buffer = vec![0; PIECE];
            loop {
                match read(file.as_fd(), &mut buffer)? {
                    0 => return Ok(true),
                    count => take(&buffer[..count]),
                }
            }
        };
        pieces().with_context(|| format!("cannot read {}", path.display()))
    }

    /// What is remembered of a file, if it was not changed since.
    pub fn recall(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        let open = || -> Result<Option<OwnedFd>> {
            match self.find_file(path.as_ref())? {
                Some((place, found)) if !found.is_planned() => {
                    Ok(Some(self.tree.open_file(&place.dir, place.name()?)?))
                }
                _ => Ok(None),
            }
        };
        // One that may not be read is fetched again.
        let Ok(Some(file)) = open() else { return Ok(None) };
        let Ok(memory) = sys::xattr(file.as_fd(), MEMORY) else { return Ok(None) };
        let stamp = stamp(&fstat(&file).map_err(Cause)?);
        Ok(memory.strip_prefix(stamp.as_bytes()).map(<[u8]>::to_vec))
    }

    fn find_file(&self, path: &Path) -> Result<Option<(Place, Found)>> {
        let route = Route { follow_last: true, any_link: false, parents: None };
        let place = self.tree.resolve(&self.base, path, route, &mut Vec::new())?;
        Ok(place.and_then(|place| match place.found {
            Some(found) if found.kind() == Kind::File => Some((place, found)),
            _ => None,
        }))
    }
}

/// What a change of the content changes.
fn stamp(stat: &FileStat) -> String {
    format!("{} {}.{:09} ", stat.st_size, stat.st_mtime, stat.st_mtime_nsec)
}

/// Remembers something of the file. A file system that cannot is no error: then it is not remembered.
fn keep_in_mind(file: BorrowedFd<'_>, memory: &[u8]) -> Result<(), Cause> {
    if memory.is_empty() {
        return Ok(());
    }
    let mut value = stamp(&fstat(file)?).into_bytes();
    value.extend_from_slice(memory);
    let _ = sys::set_xattr(file, MEMORY, &value);
    Ok(())
}

/// Whether both files, of one length, have the same content.
fn is_same(new: BorrowedFd<'_>, old: BorrowedFd<'_>) -> Result<bool> {
    let mut left = vec![0; PIECE];
    let mut right = vec![0; PIECE];
    lseek(new, 0, Whence::SeekSet).map_err(Cause)?;
    loop {
        let count = read(new, &mut left)?;
        if count == 0 {
            return Ok(true);
        }
        let mut filled = 0;
        while filled < count {
            match read(old, &mut right[filled..count])? {
                0 => return Ok(false),
                more => filled += more,
            }
        }
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}
