//! Which file systems were changed, so that they can be synced at the end.
//!
//! A path stands for each, not an open directory: that would keep a later command from unmounting it.

use super::cause::Cause;
use super::resolve::open_in;
use super::tree::{Dir, Tree};
use super::walk::{BLOCK, next_data};
use super::{Mode, System, sys};
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, PosixFadviseAdvice, ResolveFlag, fallocate, openat, posix_fadvise};
use nix::sys::stat::{Mode as Bits, fstat};
use nix::unistd::fsync;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

/// The file systems that were changed.
#[derive(Default)]
pub(super) struct Touched {
    /// A directory in each, with its device.
    file_systems: Vec<(u64, PathBuf)>,
    /// The directory in which the last change was.
    last: PathBuf,
    /// The device of the one that holds something that is not to last.
    passing: Option<u64>,
}

impl Touched {
    /// Those that are to be synced; none after that.
    fn take(&mut self) -> Vec<(u64, PathBuf)> {
        self.last = PathBuf::new();
        let mut touched = std::mem::take(&mut self.file_systems);
        touched.retain(|(device, _)| Some(*device) != self.passing);
        touched
    }
}

/// As long as it lives, a file system is not synced: see [`System::is_passing`].
pub struct Passing<'s>(&'s System);

impl Drop for Passing<'_> {
    fn drop(&mut self) {
        self.0.tree.touched.borrow_mut().passing = None;
    }
}

impl Tree {
    /// Notes that something in the directory was changed.
    pub(super) fn touch(&self, dir: &Dir) -> Result<(), Cause> {
        let mut touched = self.touched.borrow_mut();
        if touched.last != dir.path {
            let device = fstat(dir.handle()?)?.st_dev;
            touched.last.clone_from(&dir.path);
            if touched.file_systems.iter().all(|(known, _)| *known != device) {
                touched.file_systems.push((device, dir.path.clone()));
            }
        }
        Ok(())
    }
}

impl System {
    /// Writes everything that was changed through this handle to the disk: one syncfs for each file system.
    /// A file system that was unmounted since is left out: unmounting has synced it.
    pub fn sync(&self) -> Result<()> {
        let touched = self.tree.touched.borrow_mut().take();
        let mut rest = false;
        for (device, path) in &touched {
            let synced = self.sync_one(self.tree.top.handle()?, *device, path);
            rest |= !synced.with_context(|| format!("cannot sync the file system of {}", path.display()))?;
        }
        if rest {
            nix::unistd::sync();
        }
        Ok(())
    }

    /// Has [`System::sync`] leave out the file system of a directory, until what this returns is dropped: what is there
    /// becomes something else before it is relied on, and need not reach the disk.
    pub fn is_passing(&self, directory: impl AsRef<Path>) -> Result<Passing<'_>> {
        let directory = directory.as_ref();
        let look = || -> Result<u64> {
            let found = self.directory(directory)?.context("there is no such directory")?;
            Ok(fstat(&found).map_err(Cause)?.st_dev)
        };
        let device = look().with_context(|| format!("cannot look at {}", directory.display()))?;
        self.tree.touched.borrow_mut().passing = Some(device);
        Ok(Passing(self))
    }

    /// Has everything that was written to the file system of a directory be in its place, and not in a journal: for
    /// boot loaders, which read it without replaying that. Only ext4 can be asked for it; others are synced.
    pub fn checkpoint(&self, directory: impl AsRef<Path>) -> Result<()> {
        let directory = directory.as_ref();
        if self.mode() == Mode::Plan {
            return Ok(());
        }
        let settle = || -> Result<()> {
            let handle = self.directory(directory)?.context("there is no such directory")?;
            let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
            let opened = openat(&handle, c".", flags, Bits::empty()).map_err(Cause)?;
            nix::unistd::syncfs(&opened).map_err(Cause)?;
            match sys::checkpoint_ext4(opened.as_fd()) {
                // One without a journal, another file system, a kernel that is older, and somebody who is not root.
                Ok(())
                | Err(Errno::ENODEV | Errno::ENOTTY | Errno::EOPNOTSUPP | Errno::EINVAL | Errno::EPERM) => {
                    Ok(())
                }
                Err(error) => Err(Cause(error).into()),
            }
        };
        settle().with_context(|| format!("cannot sync the file system of {}", directory.display()))
    }

    /// Has a file and its name be on the disk, and the kernel forget what it knows of its content: whoever reads it next
    /// reads what the disk has. GRUB does, too: space that was taken for the file and never written reads as zeros for the
    /// kernel, and as what was there before for GRUB, which does not know of such space. It is given back.
    pub fn settle(&self, file: &Path) -> Result<()> {
        let settle = || -> Result<()> {
            let opened = self.open(file, OFlag::O_RDWR)?.context("there is no such file")?;
            fsync(&opened).map_err(Cause)?;
            // It is advice. What cannot be forgotten, as in a tmpfs, is nowhere else.
            let _ = posix_fadvise(&opened, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED);
            if give_back_unwritten(opened.as_fd())? {
                fsync(&opened).map_err(Cause)?;
            }
            let parent = self.open(file.parent().unwrap_or(file), OFlag::O_RDONLY | OFlag::O_DIRECTORY)?;
            Ok(fsync(parent.context("its directory is missing")?).map_err(Cause)?)
        };
        settle().with_context(|| format!("{} does not reach the disk", file.display()))
    }

    /// Has the content of a file stay on the disk for as long as what is returned lives, also when the file loses its
    /// name: whoever reads the disk without the journal may see the name longer than the kernel does.
    pub fn hold(&self, file: &Path) -> Result<Option<OwnedFd>> {
        Ok(self.open_file(file)?.map(OwnedFd::from))
    }

    /// Syncs the file system; false when it is not found at this path any more.
    fn sync_one(&self, root: BorrowedFd<'_>, device: u64, path: &Path) -> Result<bool, Cause> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let Ok(dir) = open_in(root, path, flags, ResolveFlag::RESOLVE_NO_SYMLINKS) else {
            return Ok(false);
        };
        if fstat(dir.as_fd())?.st_dev != device {
            return Ok(false);
        }
        nix::unistd::syncfs(dir.as_fd())?;
        Ok(true)
    }
}

/// Makes holes of what is not data; whether there is any. A file system that makes no holes takes no space for nothing.
fn give_back_unwritten(file: BorrowedFd<'_>) -> Result<bool, Cause> {
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    // Only whole blocks are given back, also the last one.
    let size = (fstat(file)?.st_size as u64).next_multiple_of(BLOCK) as i64;
    let (mut at, mut is_any) = (0, false);
    while at < size {
        let (begin, end) = next_data(file, at)?.unwrap_or((size, size));
        if begin > at {
            match fallocate(file, flags, at, begin - at) {
                Ok(()) => is_any = true,
                Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(is_any),
                Err(error) => return Err(error.into()),
            }
        }
        at = end;
    }
    Ok(is_any)
}

#[cfg(test)]
mod tests {
    use crate::System;
    use crate::system::scratch::Scratch;
    use crate::system::{File, Live, Mode};
    use crate::testing::{LoopDisk, run};
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn after_a_checkpoint_names_are_seen_without_the_journal() {
        let Some(disk) = LoopDisk::new(64, &["mkfs.ext4", "debugfs"]) else { return };
        run("mkfs.ext4", &["-q", "-F", disk.path()]);
        let directory = tempfile::tempdir().unwrap();
        let point = directory.path().to_str().unwrap();
        run("mount", &[disk.path(), point]);
        let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
        let file = |content: &str| File::new(directory.path().join("name"), content).durable();
        // As a boot loader does, debugfs(8) looks at the disk and leaves the journal alone.
        let seen = || run("debugfs", &["-R", "cat /name", &disk.file().display().to_string()]);
        let checked = ["one", "another"].map(|content| {
            sys.write(file(content)).unwrap();
            sys.checkpoint(directory.path()).unwrap();
            (content, seen())
        });
        let kernel = sys.host().kernel_file(Path::new("/proc/sys/kernel/osrelease")).unwrap().unwrap();
        run("umount", &[point]);
        for (content, seen) in checked {
            assert_eq!(seen, content, "Linux {}", String::from_utf8_lossy(&kernel));
        }
        assert!(sys.checkpoint("/no/such/directory").is_err());
    }

    #[test]
    fn space_that_was_never_written_is_no_part_of_a_file_that_is_settled() {
        let Some(disk) = LoopDisk::new(64, &["mkfs.ext4", "debugfs", "fallocate"]) else { return };
        run("mkfs.ext4", &["-q", "-F", "-b", "4096", disk.path()]);
        let directory = tempfile::tempdir().unwrap();
        let point = directory.path().to_str().unwrap();
        run("mount", &[disk.path(), point]);
        let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
        let file = directory.path().join("file");
        sys.write(File::new(&file, [b'x'; 40_000])).unwrap();
        let name = file.to_str().unwrap();
        run("fallocate", &["--zero-range", "--offset", "8192", "--length", "8192", name]);
        run("fallocate", &["--offset", "40960", "--length", "100000", name]);
        let seen = || {
            sys.checkpoint(directory.path()).unwrap();
            run("debugfs", &["-R", "stat /file", &disk.file().display().to_string()])
        };
        let (before, content) = (seen(), run("sha256sum", &[name]));
        sys.settle(&file).unwrap();
        let (after, same) = (seen(), run("sha256sum", &[name]));
        run("umount", &[point]);
        assert!(before.contains("[u]") && !after.contains("[u]"), "{before}\n{after}");
        assert_eq!(content, same);
    }

    #[test]
    fn what_is_passing_is_not_synced() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        sys.write(File::new("/file", "text")).unwrap();
        let passing = sys.is_passing("/").unwrap();
        assert_eq!(sys.tree.touched.borrow_mut().take(), []);
        sys.write(File::new("/file", "other")).unwrap();
        drop(passing);
        assert_eq!(sys.tree.touched.borrow_mut().take().len(), 1);
        assert_eq!(sys.tree.touched.borrow_mut().take(), []);
        assert!(sys.is_passing("/none").is_err());
    }
}
