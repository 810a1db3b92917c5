//! Mounts of this process's own.

use super::cause::Cause;
use super::stop;
use anyhow::{Context as _, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::stat::Mode as Bits;
use nix::unistd::{chdir, chroot};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::Path;

/// Absent arguments of mount(2).
const NONE: Option<&str> = None;

/// The mount namespace of this process, and the one that it comes from.
#[derive(Debug)]
pub struct PrivateMounts {
    inside: OwnedFd,
    outside: OwnedFd,
}

/// Has this process, and those that it starts, see mounts of their own from now on: what is mounted is seen by nobody
/// else, and is gone when they have ended, however that came. What others mount and unmount is still seen.
///
/// A [`super::System`] that was made before does not see them: it is to be called first. Other threads are left alone.
pub fn private_mounts() -> Result<PrivateMounts> {
    let enter = || -> nix::Result<PrivateMounts> {
        let outside = namespace()?;
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_SLAVE, NONE)?;
        Ok(PrivateMounts { inside: namespace()?, outside })
    };
    enter().map_err(Cause).context("cannot have mounts of its own: it takes root")
}

/// Has this process, and those that it starts, see what is mounted at a directory as `/`: the system that is going to
/// run, with what the kernel and the programs that run now have at `/proc`, `/sys`, `/dev`, `/run` and `/tmp`.
///
/// As [`private_mounts`], it is to be called before a [`super::System`] is made.
pub fn enter(root: &Path) -> Result<()> {
    private_mounts()?;
    for name in ["proc", "sys", "dev", "run", "tmp"] {
        let (from, to) = (Path::new("/").join(name), root.join(name));
        // A link would lead out of the root.
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let place = match open(&to, flags, Bits::empty()) {
            Ok(place) => place,
            Err(_) if name == "tmp" => continue,
            Err(error) => {
                return Err(Cause(error)).with_context(|| format!("cannot show {} inside", from.display()));
            }
        };
        let place = format!("/proc/self/fd/{}", place.as_raw_fd());
        mount(Some(&from), place.as_str(), NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
            .map_err(Cause)
            .with_context(|| format!("cannot show {} inside", from.display()))?;
    }
    // pivot_root(2) does not do it where the root is that of an initramfs.
    let enter = || {
        chdir(root)?;
        mount(Some("."), "/", NONE, MsFlags::MS_MOVE, NONE)?;
        chroot(".")?;
        chdir("/")
    };
    enter().map_err(|error| match error {
        Errno::EINVAL => anyhow!("nothing is mounted at {}", root.display()),
        error => anyhow::Error::from(Cause(error)).context(format!("cannot enter {}", root.display())),
    })
}

fn namespace() -> nix::Result<OwnedFd> {
    open("/proc/thread-self/ns/mnt", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Bits::empty())
}

impl PrivateMounts {
    /// Unmounts, for everybody, what is mounted at a place. Fails if it is in use.
    pub fn unmount_for_all(&self, at: &Path) -> Result<()> {
        stop::check()?;
        setns(&self.outside, CloneFlags::CLONE_NEWNS).map_err(Cause)?;
        let unmounted = unmount(at);
        setns(&self.inside, CloneFlags::CLONE_NEWNS).map_err(Cause)?;
        unmounted.with_context(|| format!("cannot unmount {}", at.display()))?;
        // It is a copy of the mount outside, which need not have followed it.
        match umount2(at, MntFlags::UMOUNT_NOFOLLOW) {
            Ok(()) | Err(Errno::EINVAL | Errno::ENOENT) => Ok(()),
            Err(error) => Err(Cause(error)).with_context(|| format!("cannot unmount {}", at.display())),
        }
    }

    /// Mounts a block device for everybody.
    pub fn mount_for_all(&self, device: &Path, kind: &str, at: &Path) -> Result<()> {
        setns(&self.outside, CloneFlags::CLONE_NEWNS).map_err(Cause)?;
        let mounted = mount(Some(device), at, Some(kind), MsFlags::empty(), NONE).map_err(Cause);
        setns(&self.inside, CloneFlags::CLONE_NEWNS).map_err(Cause)?;
        mounted.with_context(|| format!("cannot mount {} at {}", device.display(), at.display()))
    }
}

/// Unmounts what is mounted at a place that is no link.
pub(super) fn unmount(at: &Path) -> Result<()> {
    match umount2(at, MntFlags::UMOUNT_NOFOLLOW) {
        Ok(()) => Ok(()),
        Err(Errno::EBUSY) => bail!("it is in use"),
        Err(error) => Err(Cause(error).into()),
    }
}

/// Has the file system that is mounted at a place be writable, or not, where it is seen from there.
pub(super) fn set_read_only(at: &Path, read_only: bool) -> Result<()> {
    let flags = if read_only { MsFlags::MS_RDONLY } else { MsFlags::empty() };
    match mount(NONE, at, NONE, MsFlags::MS_REMOUNT | flags, NONE) {
        Ok(()) => Ok(()),
        // The kernel has made it so, after an error of the disk, and takes nothing more.
        Err(Errno::EROFS) if read_only => Ok(()),
        Err(Errno::EACCES | Errno::EROFS) => bail!("the device can only be read"),
        Err(Errno::EBUSY) => bail!("files on it are being written"),
        Err(error) => Err(Cause(error).into()),
    }
}
