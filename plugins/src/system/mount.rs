//! Mounting, at directories that are open: no path leads out of the root, and nobody can turn one elsewhere.

use super::cause::Cause;
use super::resolve::{Place, Route, open_in};
use super::tree::absolute;
use super::{Mode, System, namespace};
use crate::Action;
use crate::disk::devices::Mount;
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag};
use std::ffi::OsString;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A directory of the disk that is open.
#[derive(Debug)]
pub struct Directory {
    pub(super) handle: OwnedFd,
    pub(super) path: PathBuf,
}

impl Directory {
    /// Its path inside the root, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl AsFd for Directory {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.handle.as_fd()
    }
}

/// What is to be mounted is in use, or is mounted in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InUse;

impl fmt::Display for InUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is in use, or mounted in another way: perhaps read-only")
    }
}

impl std::error::Error for InUse {}

/// What is to be mounted.
#[derive(Debug)]
pub enum NewMount<'a> {
    /// A file system in memory that belongs to root, at most so large: `25%`, `512m`.
    Tmpfs {
        /// The size.
        size: &'a str,
    },
    /// The file system of a block device.
    Device {
        /// The path of the device.
        device: &'a Path,
        /// The kind of its file system: `ext4`.
        kind: &'a str,
        /// Whether nothing is to be written to it.
        read_only: bool,
    },
    /// A directory, of which all changes go elsewhere.
    Overlay {
        /// The directory.
        lower: &'a Directory,
        /// Where the changes go.
        upper: &'a Directory,
        /// An empty directory beside that.
        work: &'a Directory,
    },
    /// A directory, shown at another place as well, without what is mounted below it.
    Bind {
        /// The directory.
        directory: &'a Directory,
    },
}

impl NewMount<'_> {
    /// The kind of the file system that is seen then, as the kernel calls it; `bind` if it is any.
    pub fn kind(&self) -> &str {
        match self {
            Self::Tmpfs { .. } => "tmpfs",
            Self::Device { kind, .. } => kind,
            Self::Overlay { .. } => "overlay",
            Self::Bind { .. } => "bind",
        }
    }
}

/// The mount that holds a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mounted {
    /// The kind of its file system.
    pub kind: String,
    /// What is mounted.
    pub source: String,
    /// Whether nothing can be written to it.
    pub read_only: bool,
    /// Whether the directory is where it is mounted, and not one below.
    pub is_point: bool,
}

impl fmt::Display for Mounted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.source, self.kind)
    }
}

impl System {
    /// Where a path leads: the same path without links, as far as it exists.
    pub fn real_path(&self, path: impl AsRef<Path>) -> Result<PathBuf> {
        let path = absolute(path.as_ref());
        let route = Route { follow_last: true, any_link: true, parents: None };
        let mut missing = PathBuf::new();
        for exists in path.ancestors() {
            let place = self.tree.resolve(&self.base, exists, route, &mut Vec::new());
            match place.with_context(|| format!("cannot look at {}", path.display()))? {
                Some(place @ (Place { found: Some(_), .. } | Place { name: None, .. })) => {
                    let found = place.path();
                    let inside = found.strip_prefix(&self.base.path).unwrap_or(&found);
                    let real = absolute(inside);
                    return Ok(if missing.as_os_str().is_empty() { real } else { real.join(missing) });
                }
                _ => {
                    let name = Path::new(exists.file_name().unwrap_or_default());
                    missing =
                        if missing.as_os_str().is_empty() { name.to_owned() } else { name.join(missing) };
                }
            }
        }
        Ok(path)
    }

    /// Opens a directory, on the way to which there is no link; nothing when it is not there.
    pub fn directory(&self, path: impl AsRef<Path>) -> Result<Option<Directory>> {
        let path = absolute(path.as_ref());
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let base = self.base.handle()?;
        match open_in(base, &path, flags, ResolveFlag::RESOLVE_NO_SYMLINKS) {
            Ok(handle) => Ok(Some(Directory { handle, path })),
            Err(Errno::ENOENT) => Ok(None),
            Err(Errno::ELOOP) => bail!("{}: a symbolic link is in the way", path.display()),
            Err(error) => Err(Cause(error)).with_context(|| format!("cannot open {}", path.display())),
        }
    }

    /// Mounts something at a directory. In plan mode that is only recorded.
    pub fn mount(&self, new: &NewMount, at: &Directory) -> Result<()> {
        let mount = || match self.mode() {
            Mode::Plan => Ok(()),
            Mode::Apply => self.host().mount(new, at.as_fd()),
        };
        mount().with_context(|| format!("cannot mount at {}", at.path.display()))?;
        self.record(Action::Mount, &at.path, true, None);
        Ok(())
    }

    /// Unmounts what is mounted at a directory, on the way to which there is no link. It is no effect: it is how a mount
    /// ends that was made for a while.
    pub fn unmount(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = absolute(path.as_ref());
        // Closed before, or it would be in use.
        let is_there = self.directory(&path)?.is_some();
        if is_there && self.mode() == Mode::Apply {
            namespace::unmount(&self.outside(&path))
                .with_context(|| format!("cannot unmount {}", path.display()))?;
        }
        Ok(())
    }

    /// Has the file system that is mounted at a directory be writable or not. Where others see it, it is still as it was
    /// mounted for them.
    pub fn set_read_only(&self, path: impl AsRef<Path>, read_only: bool) -> Result<()> {
        let path = absolute(path.as_ref());
        let set = || match (self.directory(&path)?.is_some(), self.mode()) {
            (false, _) => bail!("there is no such directory"),
            (true, Mode::Plan) => Ok(()),
            (true, Mode::Apply) => namespace::set_read_only(&self.outside(&path), read_only),
        };
        let how = if read_only { "read-only" } else { "writable" };
        set().with_context(|| format!("cannot make {} {how}", path.display()))
    }

    /// A path inside of the root, as the kernel sees it.
    pub fn outside(&self, path: &Path) -> PathBuf {
        self.absolute.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Whether a block device is mounted anywhere.
    pub fn is_mounted(&self, device: &Path) -> Result<bool> {
        let table = self.host().kernel_file(Path::new("/proc/self/mountinfo"))?.unwrap_or_default();
        Ok(Mount::table(&table).iter().any(|mount| Path::new(&mount.source) == device))
    }

    /// The names in the root of the file system on a block device, which is mounted for that where nobody sees it.
    pub fn names_on(&self, device: &Path, kind: &str) -> Result<Vec<OsString>> {
        let look = || -> Result<Vec<OsString>> {
            let mount = self.host().mount_detached(device, kind, true)?;
            Ok(super::tree::list(mount.as_fd())?.into_iter().collect())
        };
        look().with_context(|| format!("cannot look into {}", device.display()))
    }

    /// The mount that holds a directory.
    pub fn mounted(&self, directory: &Directory) -> Result<Mounted> {
        let path = directory.path.display();
        self.host()
            .mounted(directory.as_fd())
            .with_context(|| format!("cannot tell what is mounted at {path}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::{self, Scratch, is_root};

    #[test]
    fn links_are_followed_within_the_root_as_far_as_the_path_exists() {
        let scratch = Scratch::new();
        scratch.dir("/var/home", 0o755);
        scratch.link("/var/home", "/home");
        scratch.link("../../../../etc", "/var/up");
        scratch.link("/nowhere", "/dangling");
        let sys = scratch.apply();
        for (path, real) in [
            ("/home", "/var/home"),
            ("/home/me/new", "/var/home/me/new"),
            ("/var/up/x", "/var/up/x"),
            ("/none/a", "/none/a"),
            ("/", "/"),
            ("/home/..", "/var"),
        ] {
            assert_eq!(sys.real_path(path).unwrap(), Path::new(real), "{path}");
        }
        assert!(sys.directory("/home").unwrap_err().to_string().contains("a symbolic link is in the way"));
        assert!(sys.directory("/none").unwrap().is_none());
        assert_eq!(sys.directory("/var/home/").unwrap().unwrap().path(), Path::new("/var/home"));
    }

    #[test]
    fn overlays_and_binds_are_mounted_at_open_directories_and_told_from_what_is_below() {
        if !is_root("overlays and binds") {
            return;
        }
        let scratch = Scratch::new();
        let Some(_mounted) = scratch::Mounted::tmpfs(scratch.root(), "1m") else { return };
        for dir in ["/etc", "/upper", "/work", "/state", "/shown", "/memory"] {
            scratch.dir(dir, 0o755);
        }
        scratch.put("/etc/issue", "image", 0o644);
        scratch.put("/state/kept", "kept", 0o644);
        let sys = scratch.apply();
        let dir = |path: &str| sys.directory(path).unwrap().unwrap();
        assert!(!sys.mounted(&dir("/etc")).unwrap().is_point);
        let (lower, upper, work) = (dir("/etc"), dir("/upper"), dir("/work"));
        sys.mount(&NewMount::Overlay { lower: &lower, upper: &upper, work: &work }, &lower).unwrap();
        sys.mount(&NewMount::Bind { directory: &dir("/state") }, &dir("/shown")).unwrap();
        sys.mount(&NewMount::Tmpfs { size: "64k" }, &dir("/memory")).unwrap();
        std::fs::write(scratch.at("/etc/issue"), "changed").unwrap();
        assert_eq!(
            (scratch.text("/upper/issue"), scratch.text("/shown/kept")),
            ("changed".into(), "kept".into())
        );
        let found = sys.mounted(&dir("/etc")).unwrap();
        assert_eq!((&*found.kind, found.read_only, found.is_point), ("overlay", false, true));
        assert!(sys.mounted(&dir("/shown")).unwrap().is_point);
        assert_eq!(scratch.mode("/memory"), 0o755);
        let targets: Vec<_> = sys.take_effects().into_iter().map(|effect| effect.target).collect();
        assert_eq!(targets, ["/etc", "/shown", "/memory"]);
    }
}
