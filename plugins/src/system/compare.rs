//! Whether one tree is what another one is, in all that a file system knows of it but the time of access.

use super::cause::Cause;
use super::change::open_path;
use super::copy::{DEEPEST, PIECE, open_directory};
use super::tree::list;
use super::walk::next_data;
use super::{Directory, System, stop, sys};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::libc;
use nix::sys::stat::{FileStat, Mode as Bits, SFlag, fstat, fstatat};
use std::collections::{BTreeSet, HashMap};
use std::ffi::{CString, OsStr, OsString};
use std::ops::RangeInclusive;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

/// What the file system of a copy may not be able to keep.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The times of modification that it can have, in seconds. Parts of a second may be missing in the copy.
    pub times: RangeInclusive<i64>,
    /// Whether a symbolic link can have several names.
    pub names_of_links: bool,
    /// A directory at the top that it has, or leaves out, as it likes.
    pub own: Option<&'static str>,
}

impl System {
    /// Compares a tree with a copy of it. Returns the first differences, with paths; none if they are the same.
    pub fn compare(&self, tree: &Directory, copy: &Directory, kept: &Kept) -> Result<Vec<String>> {
        let device = |top: &Directory| -> Result<u64> { Ok(fstat(top).map_err(Cause)?.st_dev) };
        let mut comparing = Comparing {
            kept,
            devices: [device(tree)?, device(copy)?],
            of_tree: HashMap::new(),
            of_copy: HashMap::new(),
            buffers: [vec![0; PIECE], vec![0; PIECE]],
            found: Vec::new(),
        };
        let (tree, copy, mut path) = (tree.as_fd(), copy.as_fd(), PathBuf::from("/"));
        let compared = comparing.things(tree, copy, OsStr::new("."), &mut path, 0);
        compared.with_context(|| format!("cannot compare {}", path.display()))?;
        Ok(comparing.found)
    }
}

/// So many differences are enough to know.
const ENOUGH: usize = 5;

struct Comparing<'a> {
    kept: &'a Kept,
    /// The file systems of both, beyond which nothing is looked at.
    devices: [u64; 2],
    /// What things with several names in one are in the other.
    of_tree: HashMap<u64, u64>,
    of_copy: HashMap<u64, u64>,
    buffers: [Vec<u8>; 2],
    found: Vec<String>,
}

impl Comparing<'_> {
    fn differ(&mut self, path: &Path, what: impl AsRef<str>) {
        self.found.push(format!("{}: {}", path.display(), what.as_ref()));
    }

    fn things(
        &mut self,
        tree: BorrowedFd<'_>,
        copy: BorrowedFd<'_>,
        name: &OsStr,
        path: &mut PathBuf,
        depth: usize,
    ) -> Result<()> {
        let stats = [stat(tree, name)?, stat(copy, name)?];
        let kinds = stats.map(|stat| SFlag::from_bits_truncate(stat.st_mode & libc::S_IFMT));
        if kinds[0] != kinds[1] {
            self.differ(path, "it is of another kind");
            return Ok(());
        }
        self.attributes(&stats, path);
        if !self.is_first(&stats, kinds[0], path) {
            return Ok(());
        }
        match kinds[0] {
            SFlag::S_IFDIR => {
                let (tree, copy) = (open_directory(tree, name)?, open_directory(copy, name)?);
                let (tree, copy) = (tree.as_fd(), copy.as_fd());
                self.xattrs(sys::xattr_names(tree), sys::xattr_names(copy), path, |which, name| {
                    sys::xattr([tree, copy][which], name)
                })?;
                if depth == DEEPEST {
                    bail!("more than {DEEPEST} directories within each other");
                }
                self.directories(tree, copy, path, depth)
            }
            SFlag::S_IFREG => {
                let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
                let open = |dir| openat(dir, name, flags, Bits::empty()).map_err(Cause);
                let (tree, copy) = (open(tree)?, open(copy)?);
                let (one, other) = (tree.as_fd(), copy.as_fd());
                self.xattrs(sys::xattr_names(one), sys::xattr_names(other), path, |which, name| {
                    sys::xattr([one, other][which], name)
                })?;
                if stats[0].st_size != stats[1].st_size {
                    self.differ(path, "its size is another");
                } else if !self.same_content(tree.into(), copy.into(), stats[0].st_size)? {
                    self.differ(path, "its content is another");
                }
                Ok(())
            }
            kind => {
                if kind == SFlag::S_IFLNK
                    && readlinkat(tree, name).map_err(Cause)? != readlinkat(copy, name).map_err(Cause)?
                {
                    self.differ(path, "its target is another");
                }
                let is_device = matches!(kind, SFlag::S_IFCHR | SFlag::S_IFBLK);
                if is_device && stats[0].st_rdev != stats[1].st_rdev {
                    self.differ(path, "it is another device");
                }
                let (tree, copy) = (open_path(tree, name)?, open_path(copy, name)?);
                let (tree, copy) = (tree.as_fd(), copy.as_fd());
                let names = sys::xattr_names_of_path_handle;
                self.xattrs(names(tree), names(copy), path, |which, name| {
                    sys::xattr_of_path_handle([tree, copy][which], name)
                })
            }
        }
    }

    fn directories(
        &mut self,
        tree: BorrowedFd<'_>,
        copy: BorrowedFd<'_>,
        path: &mut PathBuf,
        depth: usize,
    ) -> Result<()> {
        // A mount point shows what is mounted there.
        let devices = [fstat(tree).map_err(Cause)?.st_dev, fstat(copy).map_err(Cause)?.st_dev];
        let mut names = match devices[0] == self.devices[0] {
            true => list(tree)?,
            false => BTreeSet::new(),
        };
        let own = self.kept.own.filter(|_| depth == 0);
        let is_own = |name: &OsStr| own.is_some_and(|own| name == own);
        for name in list(copy)? {
            if !names.contains(&name) && !is_own(&name) {
                self.differ(&path.join(name), "it is too many");
            }
        }
        let mut missing = Vec::new();
        names.retain(|name: &OsString| {
            let there = !matches!(stat(copy, name), Err(Cause(Errno::ENOENT)));
            if !there && !is_own(name) {
                missing.push(path.join(name));
            }
            there
        });
        missing.iter().for_each(|path| self.differ(path, "it is missing"));
        for name in names {
            if self.found.len() >= ENOUGH {
                self.found.truncate(ENOUGH);
                return Ok(());
            }
            stop::check()?;
            path.push(&name);
            self.things(tree, copy, &name, path, depth + 1)?;
            path.pop();
        }
        Ok(())
    }

    /// Owner, mode and time.
    fn attributes(&mut self, [tree, copy]: &[FileStat; 2], path: &Path) {
        if (tree.st_uid, tree.st_gid) != (copy.st_uid, copy.st_gid) {
            self.differ(path, "its owner is another");
        }
        if tree.st_mode != copy.st_mode {
            self.differ(path, "its mode is another");
        }
        let same = tree.st_mtime == copy.st_mtime
            && (copy.st_mtime_nsec == tree.st_mtime_nsec || copy.st_mtime_nsec == 0);
        if self.kept.times.contains(&tree.st_mtime) && !same {
            self.differ(path, "its time is another");
        }
    }

    /// Whether this is the first name of the thing, which has the same others in both.
    fn is_first(&mut self, [tree, copy]: &[FileStat; 2], kind: SFlag, path: &Path) -> bool {
        let exempt = kind == SFlag::S_IFDIR || (kind == SFlag::S_IFLNK && !self.kept.names_of_links);
        if exempt || (tree.st_nlink == 1 && copy.st_nlink == 1) {
            return true;
        }
        let known = self.of_tree.insert(tree.st_ino, copy.st_ino);
        let back = self.of_copy.insert(copy.st_ino, tree.st_ino);
        if known.unwrap_or(copy.st_ino) != copy.st_ino || back.unwrap_or(tree.st_ino) != tree.st_ino {
            self.differ(path, "it is not the same file under its other names");
        }
        known.is_none()
    }

    fn xattrs(
        &mut self,
        tree: nix::Result<Vec<CString>>,
        copy: nix::Result<Vec<CString>>,
        path: &Path,
        value: impl Fn(usize, &CString) -> nix::Result<Vec<u8>>,
    ) -> Result<()> {
        let names = |names: nix::Result<Vec<CString>>| match names {
            Err(Errno::EOPNOTSUPP) => Ok(BTreeSet::new()),
            names => names.map(BTreeSet::from_iter).map_err(Cause),
        };
        let (tree, copy) = (names(tree)?, names(copy)?);
        for name in tree.union(&copy) {
            let same = match (tree.contains(name), copy.contains(name)) {
                (true, true) => value(0, name).map_err(Cause)? == value(1, name).map_err(Cause)?,
                _ => false,
            };
            if !same {
                let name = name.to_string_lossy();
                self.differ(path, format!("its extended attribute {} is another", name.escape_debug()));
            }
        }
        Ok(())
    }

    /// Compares files of the same size, and passes over what is a hole in both.
    fn same_content(&mut self, tree: std::fs::File, copy: std::fs::File, size: i64) -> Result<bool> {
        let [one, other] = &mut self.buffers;
        let mut at = 0;
        while at < size {
            stop::check()?;
            let length = usize::try_from(size - at).unwrap_or(usize::MAX).min(PIECE);
            let (one, other) = (&mut one[..length], &mut other[..length]);
            let begin = match length == PIECE {
                true => {
                    let next = |file: &std::fs::File| next_data(file.as_fd(), at);
                    let begins = [next(&tree)?, next(&copy)?].map(|data| data.map_or(size, |data| data.0));
                    begins[0].min(begins[1])
                }
                // The seeking would take longer than the reading.
                false => at,
            };
            if begin > at {
                at = begin;
                continue;
            }
            tree.read_exact_at(one, at as u64)?;
            copy.read_exact_at(other, at as u64)?;
            if one != other {
                return Ok(false);
            }
            at += length as i64;
        }
        Ok(true)
    }
}

fn stat(dir: BorrowedFd<'_>, name: &OsStr) -> Result<FileStat, Cause> {
    Ok(fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::Scratch;
    use std::fs;

    const ALL: Kept = Kept { times: i64::MIN..=i64::MAX, names_of_links: true, own: None };

    fn compare(scratch: &Scratch, kept: &Kept) -> Vec<String> {
        let sys = scratch.apply();
        let open = |path: &str| sys.directory(path).unwrap().unwrap();
        sys.compare(&open("/tree"), &open("/copy"), kept).unwrap()
    }

    /// Two trees of which one is a copy of the other.
    fn twins() -> Scratch {
        let scratch = Scratch::new();
        scratch.put("/tree/d/file", "text", 0o644);
        scratch.put("/tree/d/other", "text", 0o644);
        fs::hard_link(scratch.at("/tree/d/file"), scratch.at("/tree/name")).unwrap();
        scratch.link("target", "/tree/link");
        nix::unistd::mkfifo(&scratch.at("/tree/pipe"), Bits::S_IRWXU).unwrap();
        let sparse = fs::File::create(scratch.at("/tree/sparse")).unwrap();
        sparse.write_at(b"middle", 5 << 20).unwrap();
        sparse.set_len(1 << 33).unwrap();
        let sys = scratch.apply();
        sys.copy_dir(&sys.directory("/tree").unwrap().unwrap(), "/copy").unwrap();
        scratch
    }

    #[test]
    fn a_copy_is_the_same() {
        assert_eq!(compare(&twins(), &ALL), [""; 0]);
    }

    #[test]
    fn every_difference_is_found_and_named() {
        let now = filetime();
        type Change = Box<dyn Fn(&Scratch)>;
        let cases: Vec<(Change, &str)> = vec![
            (Box::new(|s| fs::remove_file(s.at("/copy/d/other")).unwrap()), "/d/other: it is missing"),
            (Box::new(|s| s.put("/copy/d/new", "", 0o644)), "/d/new: it is too many"),
            (Box::new(|s| s.chmod("/copy/d/other", 0o4644)), "/d/other: its mode is another"),
            (
                Box::new(|s| {
                    fs::remove_file(s.at("/copy/link")).unwrap();
                    s.put("/copy/link", "", 0o777);
                }),
                "/link: it is of another kind",
            ),
            (
                Box::new(move |s| {
                    fs::write(s.at("/copy/d/other"), "tex!").unwrap();
                    set_time(&s.at("/copy/d/other"), &s.at("/tree/d/other"));
                }),
                "/d/other: its content is another",
            ),
            (
                Box::new(|s| {
                    let file = fs::File::options().write(true).open(s.at("/copy/sparse")).unwrap();
                    file.write_at(b"x", 7 << 30).unwrap();
                    set_time(&s.at("/copy/sparse"), &s.at("/tree/sparse"));
                }),
                "/sparse: its content is another",
            ),
            (
                Box::new(|s| {
                    fs::write(s.at("/copy/d/other"), "longer").unwrap();
                    set_time(&s.at("/copy/d/other"), &s.at("/tree/d/other"));
                }),
                "/d/other: its size is another",
            ),
            (
                Box::new(move |s| {
                    fs::File::options()
                        .write(true)
                        .open(s.at("/copy/d/other"))
                        .unwrap()
                        .set_times(now)
                        .unwrap()
                }),
                "/d/other: its time is another",
            ),
            (
                Box::new(|s| {
                    fs::remove_file(s.at("/copy/name")).unwrap();
                    fs::copy(s.at("/copy/d/file"), s.at("/copy/name")).unwrap();
                    set_time(&s.at("/copy/name"), &s.at("/tree/name"));
                }),
                "/name: it is not the same file under its other names",
            ),
        ];
        for (change, expected) in cases {
            let scratch = twins();
            change(&scratch);
            for dir in ["/", "/d/"] {
                set_time(&scratch.at(&format!("/copy{dir}")), &scratch.at(&format!("/tree{dir}")));
            }
            assert_eq!(compare(&scratch, &ALL), [expected]);
        }
    }

    #[test]
    fn a_link_to_elsewhere_and_an_attribute_are_found() {
        let scratch = twins();
        fs::remove_file(scratch.at("/copy/link")).unwrap();
        scratch.link("elsewhere", "/copy/link");
        let file = fs::File::open(scratch.at("/copy/d/other")).unwrap();
        let has_xattrs = sys::set_xattr(file.as_fd(), c"user.test", b"1").is_ok();
        let all = compare(&scratch, &Kept { times: 0..=0, ..ALL });
        assert!(all.contains(&"/link: its target is another".to_owned()), "{all:?}");
        let expected = "/d/other: its extended attribute user.test is another".to_owned();
        assert_eq!(all.contains(&expected), has_xattrs);
    }

    #[test]
    fn what_a_file_system_cannot_keep_is_no_difference() {
        let scratch = twins();
        fs::create_dir(scratch.at("/copy/lost+found")).unwrap();
        fs::File::options()
            .write(true)
            .open(scratch.at("/copy/d/other"))
            .unwrap()
            .set_times(filetime())
            .unwrap();
        assert_eq!(compare(&scratch, &Kept { times: 0..=0, own: Some("lost+found"), ..ALL }), [""; 0]);
        for number in 0..10 {
            scratch.put(&format!("/copy/d/{number}"), "", 0o644);
        }
        assert_eq!(compare(&scratch, &Kept { times: 0..=0, ..ALL }).len(), ENOUGH);
    }

    fn filetime() -> fs::FileTimes {
        fs::FileTimes::new().set_modified(std::time::SystemTime::UNIX_EPOCH)
    }

    fn set_time(of: &Path, like: &Path) {
        let modified = fs::metadata(like).unwrap().modified().unwrap();
        fs::File::open(of).unwrap().set_times(fs::FileTimes::new().set_modified(modified)).unwrap();
    }
}
