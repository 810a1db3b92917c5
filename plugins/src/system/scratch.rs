//! What the tests of this module share: a tree in a temporary directory, and what only root can test.

use super::{Live, Mode, System};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A tree that is removed with this.
pub(super) struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    pub(super) fn root(&self) -> &Path {
        self.dir.path()
    }

    pub(super) fn apply(&self) -> System {
        System::new(self.root(), Arc::new(Live), Mode::Apply).unwrap()
    }

    pub(super) fn plan(&self) -> System {
        System::new(self.root(), Arc::new(Live), Mode::Plan).unwrap()
    }

    /// Where a path inside the root lies outside.
    pub(super) fn at(&self, path: &str) -> PathBuf {
        self.root().join(path.trim_start_matches('/'))
    }

    /// Puts a file there, with its directories.
    pub(super) fn put(&self, path: &str, content: &str, mode: u32) {
        self.dir(Path::new(path).parent().unwrap().to_str().unwrap(), 0o755);
        std::fs::write(self.at(path), content).unwrap();
        self.chmod(path, mode);
    }

    /// Puts a directory there, with those above it.
    pub(super) fn dir(&self, path: &str, mode: u32) {
        std::fs::create_dir_all(self.at(path)).unwrap();
        if path != "/" {
            self.chmod(path, mode);
        }
    }

    pub(super) fn link(&self, target: &str, path: &str) {
        std::os::unix::fs::symlink(target, self.at(path)).unwrap();
    }

    pub(super) fn chmod(&self, path: &str, mode: u32) {
        std::fs::set_permissions(self.at(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }

    pub(super) fn chown(&self, path: &str, uid: u32) {
        std::os::unix::fs::lchown(self.at(path), Some(uid), Some(uid)).unwrap();
    }

    pub(super) fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap()
    }

    pub(super) fn mode(&self, path: &str) -> u32 {
        std::fs::symlink_metadata(self.at(path)).unwrap().mode() & 0o7777
    }

    /// What changes when a file is touched in any way: inode, time of modification and of change.
    pub(super) fn stamp(&self, path: &str) -> (u64, i64, i64, i64, i64) {
        let found = std::fs::symlink_metadata(self.at(path)).unwrap();
        (found.ino(), found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec())
    }

    /// Every name in a directory.
    pub(super) fn names(&self, path: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.at(path)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Whether this process may give files to anybody: as root, but not in a user namespace of its own.
pub(super) fn may_give_away() -> bool {
    let users = std::fs::read_to_string("/proc/self/uid_map").unwrap();
    nix::unistd::geteuid().is_root() && users.trim_end().ends_with("4294967295")
}

/// Whether this is root; if not, says loudly what is not tested.
pub(super) fn is_root(what: &str) -> bool {
    let root = may_give_away();
    if !root {
        skipped(what, "needs root");
    }
    root
}

/// Says loudly what is not tested: past the capture of what tests print.
pub(super) fn skipped(what: &str, why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: {what}: {why}").unwrap();
}

/// A file system that is unmounted when this is dropped.
pub(super) struct Mounted(PathBuf);

impl Mounted {
    /// A tmpfs of that size. When mounting is not permitted, says so and returns nothing.
    pub(super) fn tmpfs(at: &Path, size: &str) -> Option<Self> {
        Self::try_mount("a small tmpfs", at, |at| {
            let options = format!("size={size}");
            let flags = nix::mount::MsFlags::empty();
            nix::mount::mount(Some("none"), at, Some("tmpfs"), flags, Some(options.as_str()))
        })
    }

    /// A bind mount.
    pub(super) fn bind(source: &Path, at: &Path) -> Option<Self> {
        Self::try_mount("a bind mount", at, |at| {
            nix::mount::mount(Some(source), at, None::<&str>, nix::mount::MsFlags::MS_BIND, None::<&str>)
        })
    }

    fn try_mount(what: &str, at: &Path, mount: impl Fn(&Path) -> nix::Result<()>) -> Option<Self> {
        match mount(at) {
            Ok(()) => Some(Self(at.to_owned())),
            Err(error) => {
                skipped(what, &format!("cannot mount: {error}"));
                None
            }
        }
    }

    /// Makes it read-only.
    pub(super) fn read_only(&self) {
        let flags = nix::mount::MsFlags::MS_REMOUNT | nix::mount::MsFlags::MS_RDONLY;
        nix::mount::mount(None::<&str>, &self.0, None::<&str>, flags, None::<&str>).unwrap();
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = nix::mount::umount2(&self.0, nix::mount::MntFlags::MNT_DETACH);
    }
}
