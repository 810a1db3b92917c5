//! What a tree consists of: all that says how large a file system has to be to hold it.

use super::cause::Cause;
use super::change::open_path;
use super::copy::DEEPEST;
use super::tree::list;
use super::{Kind, Metadata, System, stop, sys};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{FileStat, Mode as Bits, fstat, fstatat};
use nix::unistd::{Whence, lseek};
use std::collections::HashSet;
use std::ffi::{CString, OsStr};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// The bytes that a piece of a file is counted in.
pub const BLOCK: u64 = 4096;

/// A thing in a tree. One that has several names is there once.
#[derive(Debug)]
pub struct Thing<'a> {
    /// Its path in the tree; nothing for the tree itself.
    pub path: &'a Path,
    /// Its kind, owner, mode and size.
    pub metadata: Metadata,
    /// When it was modified, in seconds.
    pub modified: i64,
    /// How many blocks of a file are not in holes.
    pub blocks: u64,
    /// In how many pieces these are.
    pub pieces: u64,
    /// The names in a directory, in bytes.
    pub names: Vec<u8>,
    /// The names of its extended attributes, and the bytes of their values.
    pub xattrs: Vec<(CString, usize)>,
}

impl System {
    /// Shows everything in a tree, and the tree itself, to somebody. What is mounted below it is left out.
    pub fn walk(&self, tree: &Path, see: &mut dyn FnMut(&Thing<'_>) -> Result<()>) -> Result<()> {
        let mut walk = || -> Result<()> {
            let top = self.directory(tree)?.context("there is no such directory")?;
            let device = fstat(&top).map_err(Cause)?.st_dev;
            let mut walk = Walk { device, seen: HashSet::new(), see };
            let stat = fstat(&top).map_err(Cause)?;
            let mut path = PathBuf::new();
            let seen = walk.thing(top.as_fd(), OsStr::new("."), &mut path, &stat, 0);
            seen.with_context(|| Path::new("/").join(path).display().to_string())
        };
        walk().with_context(|| format!("cannot look through {}", tree.display()))
    }
}

impl System {
    /// The bytes of a file that are not in holes.
    pub fn allocated(&self, file: &Path) -> Result<u64> {
        let count = || -> Result<u64> {
            let opened = self.open_file(file)?.context("there is no such file")?;
            Ok(blocks_of(opened.as_fd(), &fstat(&opened).map_err(Cause)?)?.0 * BLOCK)
        };
        count().with_context(|| format!("cannot look at {}", file.display()))
    }
}

struct Walk<'a> {
    device: u64,
    /// What has several names and was seen already.
    seen: HashSet<u64>,
    see: &'a mut dyn FnMut(&Thing<'_>) -> Result<()>,
}

impl Walk<'_> {
    fn thing(
        &mut self,
        dir: BorrowedFd<'_>,
        name: &OsStr,
        path: &mut PathBuf,
        stat: &FileStat,
        depth: usize,
    ) -> Result<()> {
        let metadata = Metadata::of(stat);
        let mut thing = Thing {
            path,
            metadata,
            modified: stat.st_mtime,
            blocks: 0,
            pieces: 0,
            names: Vec::new(),
            xattrs: Vec::new(),
        };
        let handle = open_path(dir, name)?;
        thing.xattrs = xattrs(handle.as_fd())?;
        match metadata.kind {
            Kind::Directory => {
                let names = list(handle.as_fd())?;
                thing.names = names.iter().map(|name| u8::try_from(name.len()).unwrap_or(u8::MAX)).collect();
                (self.see)(&thing)?;
                if stat.st_dev != self.device {
                    return Ok(());
                }
                if depth == DEEPEST {
                    bail!("more than {DEEPEST} directories within each other");
                }
                for name in names {
                    stop::check()?;
                    let stat = fstatat(&handle, &*name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(Cause)?;
                    if Metadata::of(&stat).kind != Kind::Directory
                        && stat.st_nlink > 1
                        && !self.seen.insert(stat.st_ino)
                    {
                        continue;
                    }
                    path.push(&name);
                    // When it goes wrong, the path stays that of where.
                    self.thing(handle.as_fd(), &name, path, &stat, depth + 1)?;
                    path.pop();
                }
                Ok(())
            }
            Kind::File => {
                (thing.blocks, thing.pieces) = data(dir, name, stat)?;
                (self.see)(&thing)
            }
            _ => (self.see)(&thing),
        }
    }
}

/// The blocks of a file that are not in holes, and in how many pieces they are.
fn data(dir: BorrowedFd<'_>, name: &OsStr, stat: &FileStat) -> Result<(u64, u64), Cause> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if u64::try_from(stat.st_blocks).unwrap_or(0) * 512 >= size {
        return Ok((size.div_ceil(BLOCK), u64::from(size > 0)));
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    blocks_of(openat(dir, name, flags, Bits::empty())?.as_fd(), stat)
}

fn blocks_of(file: BorrowedFd<'_>, stat: &FileStat) -> Result<(u64, u64), Cause> {
    let (mut blocks, mut pieces, mut counted) = (0, 0, 0);
    let mut at = 0;
    while at < stat.st_size
        && let Some((begin, end)) = next_data(file, at)?
    {
        let first = (begin as u64 / BLOCK).max(counted);
        counted = (end as u64).div_ceil(BLOCK).max(first);
        blocks += counted - first;
        pieces += 1;
        at = end;
    }
    Ok((blocks, pieces))
}

/// Where the next data of a file is from a place on, from begin to end; nothing if only a hole follows.
pub(super) fn next_data(file: BorrowedFd<'_>, from: i64) -> Result<Option<(i64, i64)>, Cause> {
    match lseek(file, from, Whence::SeekData) {
        Ok(begin) => Ok(Some((begin, lseek(file, begin, Whence::SeekHole)?))),
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The names of extended attributes, and how large their values are.
fn xattrs(handle: BorrowedFd<'_>) -> Result<Vec<(CString, usize)>, Cause> {
    let names = match sys::xattr_names_of_path_handle(handle) {
        Err(Errno::EOPNOTSUPP) => Vec::new(),
        names => names?,
    };
    let sized = |name: CString| match sys::xattr_of_path_handle(handle, &name) {
        Ok(value) => Ok(Some((name, value.len()))),
        Err(Errno::ENODATA | Errno::EOPNOTSUPP) => Ok(None),
        Err(error) => Err(Cause(error)),
    };
    names.into_iter().filter_map(|name| sized(name).transpose()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::Scratch;
    use std::os::unix::fs::FileExt as _;

    #[test]
    fn everything_is_shown_once_with_what_it_takes() {
        let scratch = Scratch::new();
        scratch.put("/t/dir/file", &"x".repeat(5000), 0o644);
        scratch.put("/t/empty", "", 0o644);
        std::fs::hard_link(scratch.at("/t/dir/file"), scratch.at("/t/again")).unwrap();
        scratch.link("target", "/t/link");
        let sparse = std::fs::File::create(scratch.at("/t/sparse")).unwrap();
        sparse.write_at(b"one", 1 << 20).unwrap();
        sparse.write_at(b"two", 9 << 20).unwrap();
        sparse.set_len(1 << 40).unwrap();
        let mut seen = Vec::new();
        let mut see = |thing: &Thing<'_>| {
            seen.push((thing.path.display().to_string(), thing.blocks, thing.pieces, thing.names.clone()));
            Ok(())
        };
        scratch.apply().walk(Path::new("/t"), &mut see).unwrap();
        let thing =
            |path: &str, blocks, pieces, names: &[u8]| (path.to_owned(), blocks, pieces, names.to_vec());
        assert_eq!(
            seen,
            [
                thing("", 0, 0, &[5, 3, 5, 4, 6]),
                thing("again", 2, 1, &[]),
                thing("dir", 0, 0, &[4]),
                thing("empty", 0, 0, &[]),
                thing("link", 0, 0, &[]),
                thing("sparse", 2, 2, &[]),
            ]
        );
        let refuse = &mut |thing: &Thing<'_>| if thing.path == "dir" { bail!("no") } else { Ok(()) };
        let error = format!("{:#}", scratch.apply().walk(Path::new("/t"), refuse).unwrap_err());
        assert_eq!(error, "cannot look through /t: /dir: no");
    }
}
