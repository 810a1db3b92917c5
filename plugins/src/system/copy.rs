//! Copies of whole directories, with everything that the file system knows of them.
//!
//! **Invariant:** a copy that is not complete never has its name. What a crash leaves behind has a name of its own,
//! by which the next run finds and removes it.

use super::cause::Cause;
use super::change::{chmod, open_path};
use super::replace::write_all;
use super::tree::{Dir, Tree, absolute, read};
use super::walk::next_data;
use super::{Directory, Kind, Metadata, Mode, Owner, System, stop, sys};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::libc;
use nix::sys::stat::{
    FileStat, Mode as Bits, SFlag, UtimensatFlags, fstat, fstatat, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{UnlinkatFlags, Whence, ftruncate, linkat, lseek, symlinkat, syncfs, unlinkat};
use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What is added to the name of a copy that is not complete.
const UNFINISHED: &str = ".unfinished";

/// How much is read at once.
pub(super) const PIECE: usize = 256 << 10;

/// Directories within each other, each of which is open while it is copied.
pub(super) const DEEPEST: usize = 200;

impl System {
    /// Makes a directory be there that has the owner, the mode and the extended attributes of another one. If it is
    /// there, it is left as it is.
    pub fn create_dir_like(&self, model: &Directory, path: impl AsRef<Path>) -> Result<()> {
        self.appear(path.as_ref(), |made, _| self.tree.copy_attributes(model.as_fd(), made))
    }

    /// Makes a directory be there that has all that another one has: owners, modes, times, extended attributes, links
    /// of both kinds, holes, devices. What is mounted below it is left out. If it is there, it is left as it is.
    pub fn copy_dir(&self, from: &Directory, to: impl AsRef<Path>) -> Result<()> {
        self.copy_and(from, to.as_ref(), &|_, _| false, |made| Ok(syncfs(made).map_err(Cause)?))
    }

    /// The same, but for what somebody leaves out, by its path in the directory and its kind. It may not be on the disk
    /// yet.
    pub fn copy_dir_without(
        &self,
        from: &Directory,
        to: impl AsRef<Path>,
        leave_out: &dyn Fn(&Path, Kind) -> bool,
    ) -> Result<()> {
        self.copy_and(from, to.as_ref(), leave_out, |_| Ok(()))
    }

    fn copy_and(
        &self,
        from: &Directory,
        to: &Path,
        leave_out: &dyn Fn(&Path, Kind) -> bool,
        then: impl Fn(BorrowedFd<'_>) -> Result<()>,
    ) -> Result<()> {
        self.appear(to, |made, tree| {
            let mut copying = Copying {
                tree,
                top: made,
                device: fstat(from).map_err(Cause)?.st_dev,
                // The copy itself may be in what is copied.
                copy: fstat(made).map(|stat| (stat.st_dev, stat.st_ino)).map_err(Cause)?,
                names: HashMap::new(),
                leave_out,
            };
            copying.directory(from.as_fd(), made, Path::new(""), 0)?;
            tree.copy_attributes(from.as_fd(), made)?;
            then(made)
        })
    }

    /// Removes what stands there, with all that is in it, but nothing that is mounted there: then it fails. What is not
    /// there is fine.
    pub fn remove_tree(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = absolute(path.as_ref());
        let remove = || -> Result<bool> {
            let is_there = self.symlink_metadata(&path)?.is_some();
            if is_there {
                if self.mode() == Mode::Plan {
                    anyhow::bail!("a plan removes no trees");
                }
                let name = path.file_name().context("a root cannot be removed")?;
                let holder = self.directory(path.parent().unwrap_or(&path))?;
                let holder = holder.context("its directory is missing")?;
                let dir = Dir::open(holder.path().to_owned(), nix::unistd::dup(&holder).map_err(Cause)?);
                self.tree.touch(&dir)?;
                self.tree.remove_all(&dir, name)?;
            }
            self.record(crate::Action::Remove, &path, is_there, None);
            Ok(is_there)
        };
        remove().with_context(|| format!("cannot remove {}", path.display()))
    }

    /// Makes a file with the content of another one, holes included. Nothing may stand there; what is not complete is
    /// removed.
    pub fn copy_file(&self, from: impl AsRef<Path>, to: impl AsRef<Path>, mode: u32) -> Result<()> {
        let (from, to) = (from.as_ref(), absolute(to.as_ref()));
        let copy = || -> Result<()> {
            let source =
                self.open_file(from)?.with_context(|| format!("there is no file {}", from.display()))?;
            let holder = self.directory(to.parent().unwrap_or(&to))?.context("its directory is missing")?;
            if self.mode() == Mode::Plan {
                bail!("a plan copies no files");
            }
            let name = to.file_name().context("a root has no name")?;
            let flags =
                OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let made = openat(&holder, name, flags, Bits::S_IRUSR | Bits::S_IWUSR).map_err(Cause)?;
            let stat = fstat(&source).map_err(Cause)?;
            let filled = content(source.as_fd(), made.as_fd(), &stat);
            let finished = filled.and_then(|()| Ok(chmod(made.as_fd(), mode)?));
            if finished.is_err() {
                // The space is needed, and the error says why it went wrong.
                let _ = unlinkat(&holder, name, UnlinkatFlags::NoRemoveDir);
            }
            finished
        };
        copy().with_context(|| format!("cannot write {}", to.display()))?;
        self.record(crate::Action::Write, &to, true, None);
        Ok(())
    }

    /// Makes a directory aside, has it filled, and gives it its name.
    fn appear(&self, path: &Path, fill: impl Fn(BorrowedFd<'_>, &Tree) -> Result<()>) -> Result<()> {
        let path = absolute(path);
        let make = || -> Result<()> {
            if self.symlink_metadata(&path)?.is_some() || self.mode() == Mode::Plan {
                return self.create_dir(&path, None, None).map(drop);
            }
            let (parent, name) =
                (path.parent().unwrap_or(&path), path.file_name().context("a root has no name")?);
            self.create_dir(parent, None, None)?;
            let holder = self.directory(parent)?.context("its directory is missing")?;
            let dir = Dir::open(parent.to_owned(), nix::unistd::dup(holder.as_fd()).map_err(Cause)?);
            let mut unfinished = name.to_owned();
            unfinished.push(UNFINISHED);
            self.tree.remove_all(&dir, &unfinished)?;
            self.tree.touch(&dir)?;
            mkdirat(holder.as_fd(), &*unfinished, Bits::S_IRWXU).map_err(Cause)?;
            let made = open_directory(holder.as_fd(), &unfinished)?;
            let filled = fill(made.as_fd(), &self.tree);
            if filled.is_err() {
                // The space is needed, and the error says why it went wrong.
                let _ = self.tree.remove_all(&dir, &unfinished);
            }
            filled?;
            nix::fcntl::renameat(holder.as_fd(), &*unfinished, holder.as_fd(), name).map_err(Cause)?;
            self.record(crate::Action::CreateDirectory, &path, true, None);
            Ok(())
        };
        make().with_context(|| format!("cannot make the directory {}", path.display()))
    }
}

impl Tree {
    /// Removes what stands there, with all that is in it, but nothing that is mounted there.
    fn remove_all(&self, dir: &Dir, name: &OsStr) -> Result<(), Cause> {
        let Some(found) = self.look(dir, name)? else { return Ok(()) };
        if found.kind() != Kind::Directory {
            return Ok(unlinkat(dir.handle()?, name, UnlinkatFlags::NoRemoveDir)?);
        }
        let inner = self.enter(dir, name)?;
        for child in self.names(&inner)? {
            self.remove_all(&inner, &child)?;
        }
        Ok(unlinkat(dir.handle()?, name, UnlinkatFlags::RemoveDir)?)
    }

    /// Gives one thing the owner, the mode, the extended attributes and the time of another. Both may be handles that
    /// only stand for a path.
    fn copy_attributes(&self, from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<()> {
        let stat = fstat(from).map_err(Cause)?;
        let found = self.found(&stat).metadata;
        self.give(to, Owner { ..found.owner })?;
        if found.kind != Kind::Symlink {
            chmod(to, found.mode)?;
        }
        let names = match sys::xattr_names_of_path_handle(from) {
            Err(Errno::EOPNOTSUPP) => Vec::new(),
            names => names.map_err(Cause)?,
        };
        for name in names.iter().filter(|name| !is_of_overlay(name.to_bytes())) {
            let copied = sys::xattr_of_path_handle(from, name)
                .and_then(|value| sys::set_xattr_of_path_handle(to, name, &value));
            match copied {
                // Gone meanwhile, or the file system has none of this kind.
                Ok(()) | Err(Errno::ENODATA | Errno::EOPNOTSUPP) => {}
                // Labels may be set only as the policy has it.
                Err(Errno::EPERM | Errno::EACCES) if name.to_bytes().starts_with(b"security.") => {}
                Err(error) => {
                    let name = name.to_string_lossy();
                    return Err(Cause(error)).with_context(|| format!("its extended attribute {name}"));
                }
            }
        }
        let (accessed, modified) = (
            TimeSpec::new(stat.st_atime, stat.st_atime_nsec),
            TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec),
        );
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&to));
        let (at, flags) = (nix::fcntl::AT_FDCWD, UtimensatFlags::FollowSymlink);
        Ok(utimensat(at, path.as_str(), &accessed, &modified, flags).map_err(Cause)?)
    }
}

/// What overlayfs keeps for itself would mean something else in another directory.
fn is_of_overlay(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

/// A directory that is being copied.
struct Copying<'a> {
    tree: &'a Tree,
    top: BorrowedFd<'a>,
    /// The file system of the original: what is mounted below has another one.
    device: u64,
    /// The copy itself.
    copy: (u64, u64),
    /// Where the first of several names of a file is in the copy.
    names: HashMap<(u64, u64), PathBuf>,
    leave_out: &'a dyn Fn(&Path, Kind) -> bool,
}

impl Copying<'_> {
    fn directory(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        path: &Path,
        depth: usize,
    ) -> Result<()> {
        if depth > DEEPEST {
            bail!("{}: more than {DEEPEST} directories within each other", path.display());
        }
        let here = Dir::open(PathBuf::new(), nix::unistd::dup(from).map_err(Cause)?);
        for name in self.tree.names(&here)? {
            stop::check()?;
            let path = path.join(&name);
            self.thing(from, to, &name, &path, depth).with_context(|| path.display().to_string())?;
        }
        Ok(())
    }

    fn thing(
        &mut self,
        from: BorrowedFd<'_>,
        to: BorrowedFd<'_>,
        name: &OsString,
        path: &Path,
        depth: usize,
    ) -> Result<()> {
        let name = &**name;
        let stat = fstatat(from, name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(Cause)?;
        let kind = SFlag::from_bits_truncate(stat.st_mode & libc::S_IFMT);
        let key = (stat.st_dev, stat.st_ino);
        if key == self.copy || (self.leave_out)(path, Metadata::of(&stat).kind) {
            return Ok(());
        }
        if kind != SFlag::S_IFDIR && stat.st_nlink > 1 {
            if let Some(first) = self.names.get(&key) {
                return Ok(linkat(self.top, first, to, name, AtFlags::empty()).map_err(Cause)?);
            }
            self.names.insert(key, path.to_owned());
        }
        let private = Bits::S_IRUSR | Bits::S_IWUSR;
        match kind {
            SFlag::S_IFDIR => {
                mkdirat(to, name, Bits::S_IRWXU).map_err(Cause)?;
                let (from, to) = (open_directory(from, name)?, open_directory(to, name)?);
                if stat.st_dev == self.device {
                    self.directory(from.as_fd(), to.as_fd(), path, depth + 1)?;
                }
            }
            SFlag::S_IFREG => {
                let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
                let source = openat(from, name, flags, Bits::empty()).map_err(Cause)?;
                let flags =
                    OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let copy = openat(to, name, flags, private).map_err(Cause)?;
                content(source.as_fd(), copy.as_fd(), &stat)?;
            }
            SFlag::S_IFLNK => {
                let target = readlinkat(from, name).map_err(Cause)?;
                symlinkat(&*target, to, name).map_err(Cause)?;
            }
            kind => mknodat(to, name, kind, private, stat.st_rdev).map_err(Cause)?,
        }
        self.tree.copy_attributes(open_path(from, name)?.as_fd(), open_path(to, name)?.as_fd())
    }
}

/// Copies what a file holds, and leaves its holes out.
fn content(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &FileStat) -> Result<()> {
    ftruncate(to, stat.st_size).map_err(Cause)?;
    let mut buffer = vec![0; PIECE.min(usize::try_from(stat.st_size).unwrap_or(PIECE))];
    let mut at = 0;
    while at < stat.st_size {
        // Or a hole to the end.
        let Some((data, end)) = next_data(from, at)? else { break };
        for file in [from, to] {
            lseek(file, data, Whence::SeekSet).map_err(Cause)?;
        }
        at = data;
        while at < end {
            stop::check()?;
            let length = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            match read(from, &mut buffer[..length])? {
                // It became shorter meanwhile.
                0 => return Ok(()),
                count => {
                    write_all(to, &buffer[..count])?;
                    at += count as i64;
                }
            }
        }
    }
    Ok(())
}

pub(super) fn open_directory(dir: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Cause> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    Ok(openat(dir, name, flags, Bits::empty())?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::{Mounted, Scratch, is_root};
    use std::os::unix::fs::{FileTypeExt, MetadataExt};

    fn copy(scratch: &Scratch, from: &str, to: &str) -> Result<()> {
        let sys = scratch.apply();
        let from = sys.directory(from)?.context("missing")?;
        sys.copy_dir(&from, to)
    }

    #[test]
    fn a_copy_has_everything_that_the_original_has() {
        let scratch = Scratch::new();
        scratch.put("/a/file", "text", 0o640);
        scratch.put("/a/setuid", "x", 0o4755);
        scratch.dir("/a/tmp", 0o1777);
        scratch.put("/a/tmp/deep/er", "deep", 0o600);
        std::fs::hard_link(scratch.at("/a/file"), scratch.at("/a/tmp/name")).unwrap();
        scratch.link("../../etc/passwd", "/a/link");
        nix::unistd::mkfifo(&scratch.at("/a/pipe"), Bits::S_IRWXU).unwrap();
        let sparse = std::fs::File::create(scratch.at("/a/sparse")).unwrap();
        std::os::unix::fs::FileExt::write_at(&sparse, b"end", 8 << 20).unwrap();
        sparse.set_len(16 << 20).unwrap();
        scratch.chmod("/a", 0o750);
        let root = nix::unistd::geteuid().is_root();
        if root {
            scratch.chown("/a/file", 1234);
            scratch.chown("/a/link", 5);
        }
        let labelled = open_directory(nix::fcntl::AT_FDCWD, scratch.at("/a/tmp").as_os_str()).unwrap();
        let can_label = sys::set_xattr(labelled.as_fd(), c"user.test", b"label").is_ok();
        copy(&scratch, "/a", "/state/a.bind").unwrap();
        let at = |path: &str| std::fs::symlink_metadata(scratch.at("/state/a.bind").join(path)).unwrap();
        let before = |path: &str| std::fs::symlink_metadata(scratch.at("/a").join(path)).unwrap();
        for path in ["", "file", "setuid", "tmp", "tmp/deep", "tmp/deep/er", "link", "pipe", "sparse"] {
            let (one, other) = (before(path), at(path));
            assert_eq!(
                (one.mode(), one.uid(), one.gid()),
                (other.mode(), other.uid(), other.gid()),
                "{path}"
            );
            assert_eq!((one.mtime(), one.mtime_nsec()), (other.mtime(), other.mtime_nsec()), "{path}");
        }
        assert_eq!((at("file").ino(), at("file").nlink()), (at("tmp/name").ino(), 2));
        assert!(at("pipe").file_type().is_fifo());
        assert!(at("sparse").blocks() < 1000 && at("sparse").len() == 16 << 20);
        assert!(
            std::fs::read(scratch.at("/a/sparse")).unwrap()
                == std::fs::read(scratch.at("/state/a.bind/sparse")).unwrap()
        );
        assert_eq!(
            std::fs::read_link(scratch.at("/state/a.bind/link")).unwrap(),
            Path::new("../../etc/passwd")
        );
        if can_label {
            let copied =
                open_path(nix::fcntl::AT_FDCWD.as_fd(), scratch.at("/state/a.bind/tmp").as_os_str()).unwrap();
            assert_eq!(sys::xattr_of_path_handle(copied.as_fd(), c"user.test").unwrap(), b"label");
        }
        assert_eq!(scratch.names("/state"), ["a.bind"]);
    }

    #[test]
    fn what_is_left_out_is_not_copied_nor_is_the_copy_itself() {
        let scratch = Scratch::new();
        for path in ["/proc/1", "/etc/issue", "/etc/deep/proc"] {
            scratch.put(path, "", 0o644);
        }
        let sys = scratch.apply();
        let leave_out = |path: &Path, _| path.parent() == Some(Path::new("proc")) || path.ends_with("deep");
        sys.copy_dir_without(&sys.directory("/").unwrap().unwrap(), "/state/tree", &leave_out).unwrap();
        assert_eq!(scratch.names("/state/tree"), ["etc", "proc", "state"]);
        assert_eq!(scratch.names("/state/tree/etc"), ["issue"]);
        assert_eq!(scratch.names("/state/tree/proc").len() + scratch.names("/state/tree/state").len(), 0);
    }

    #[test]
    fn a_file_is_copied_with_its_holes_over_nothing() {
        let scratch = Scratch::new();
        let sparse = std::fs::File::create(scratch.at("/from")).unwrap();
        std::os::unix::fs::FileExt::write_at(&sparse, b"end", 8 << 20).unwrap();
        sparse.set_len(16 << 20).unwrap();
        let sys = scratch.apply();
        sys.copy_file("/from", "/to", 0o640).unwrap();
        let made = std::fs::metadata(scratch.at("/to")).unwrap();
        assert!((made.len(), made.mode() & 0o7777) == (16 << 20, 0o640) && made.blocks() < 1000);
        assert!(std::fs::read(scratch.at("/from")).unwrap() == std::fs::read(scratch.at("/to")).unwrap());
        assert!(sys.copy_file("/from", "/to", 0o640).is_err());
        assert!(
            format!("{:#}", sys.copy_file("/none", "/new", 0o640).unwrap_err()).contains("no file /none")
        );
        assert_eq!(scratch.names("/"), ["from", "to"]);
        if !is_root("a copy of a file without space") {
            return;
        }
        scratch.dir("/state", 0o755);
        let Some(_mounted) = Mounted::tmpfs(&scratch.at("/state"), "64k") else { return };
        std::fs::write(scratch.at("/from"), "x".repeat(1 << 20)).unwrap();
        assert!(crate::system::is_full(&sys.copy_file("/from", "/state/to", 0o640).unwrap_err()));
        assert!(scratch.names("/state").is_empty());
    }

    #[test]
    fn what_is_there_is_kept_and_what_a_crash_left_is_removed() {
        let scratch = Scratch::new();
        scratch.put("/a/file", "image", 0o644);
        scratch.put("/state/a.bind.unfinished/half/way", "h", 0o644);
        copy(&scratch, "/a", "/state/a.bind").unwrap();
        assert_eq!(
            (scratch.names("/state"), scratch.names("/state/a.bind")),
            (vec!["a.bind".into()], vec!["file".into()])
        );
        scratch.put("/state/a.bind/file", "changed", 0o600);
        scratch.put("/a/new", "image", 0o644);
        copy(&scratch, "/a", "/state/a.bind").unwrap();
        assert_eq!(
            (scratch.text("/state/a.bind/file"), scratch.mode("/state/a.bind/file")),
            ("changed".into(), 0o600)
        );
        assert_eq!(scratch.names("/state/a.bind"), ["file"]);
    }

    #[test]
    fn a_copy_without_space_is_an_error_and_leaves_nothing() {
        if !is_root("a copy without space") {
            return;
        }
        let scratch = Scratch::new();
        scratch.dir("/state", 0o755);
        scratch.put("/a/file", &"x".repeat(1 << 20), 0o644);
        let Some(_mounted) = Mounted::tmpfs(&scratch.at("/state"), "64k") else { return };
        let error = format!("{:#}", copy(&scratch, "/a", "/state/a.bind").unwrap_err());
        let expected =
            "cannot make the directory /state/a.bind: file: no space is left on the file system; free some";
        assert_eq!((error.as_str(), scratch.names("/state").len()), (expected, 0));
    }

    #[test]
    fn what_is_mounted_below_is_left_out() {
        if !is_root("mounts below what is copied") {
            return;
        }
        let scratch = Scratch::new();
        scratch.dir("/a/below", 0o755);
        let Some(_mounted) = Mounted::tmpfs(&scratch.at("/a/below"), "64k") else { return };
        scratch.put("/a/below/file", "", 0o644);
        copy(&scratch, "/a", "/b").unwrap();
        assert!(scratch.names("/b/below").is_empty());
    }

    #[test]
    fn a_directory_can_be_made_like_another_one() {
        let scratch = Scratch::new();
        scratch.put("/a/file", "", 0o644);
        scratch.chmod("/a", 0o2750);
        let sys = scratch.apply();
        sys.create_dir_like(&sys.directory("/a").unwrap().unwrap(), "/up/per").unwrap();
        assert_eq!((scratch.mode("/up/per"), scratch.names("/up/per").len()), (0o2750, 0));
    }
}
