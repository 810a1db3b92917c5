//! The block devices of this machine.
#![allow(clippy::disallowed_methods, reason = "this is where devices are opened")]

use super::cause::Cause;
use super::{Disk, DiskAccess, Host, ReadAt, stop, sys};
use anyhow::{Context as _, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg, OFlag, PosixFadviseAdvice, openat, posix_fadvise};
use nix::sys::stat::Mode;
use std::ffi::CString;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

/// How long the lock on a disk is waited for, and how often it is asked for: udev has it while it looks at a disk.
const PATIENCE: Duration = Duration::from_secs(10);
const INTERVAL: Duration = Duration::from_millis(20);

const WRITE_PROTECTED: &str = "it can only be read: the disk is write-protected";

/// An open block device.
pub(super) struct BlockDevice {
    device: Device,
    sector_size: u32,
    bytes: u64,
}

/// By <https://systemd.io/BLOCK_DEVICE_LOCKING> who changes a disk holds a lock on it, and udev leaves it alone.
enum Device {
    Unlocked(File),
    Locked(Flock<File>),
}

impl BlockDevice {
    /// Opens a block device, which is no link to one.
    pub(super) fn open(path: &Path, access: DiskAccess) -> Result<Self> {
        let exclusive = if access == DiskAccess::Exclusive { OFlag::O_EXCL } else { OFlag::empty() };
        let flags = OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOFOLLOW | exclusive;
        let mut options = File::options();
        options.read(true).write(access == DiskAccess::Write).custom_flags(flags.bits());
        let file = options.open(path).map_err(|error| match Errno::try_from(error) {
            Ok(Errno::EBUSY) => anyhow!(
                "it is in use: something on it is mounted, or it is part of a RAID, of LVM or of an encrypted volume"
            ),
            Ok(Errno::EROFS) => anyhow!(WRITE_PROTECTED),
            Ok(Errno::ENOENT) => anyhow!("there is no such device"),
            Ok(error) => Cause(error).into(),
            Err(_) => anyhow!("it cannot be opened"),
        })?;
        if !file.metadata()?.file_type().is_block_device() {
            bail!("it is no block device");
        }
        // A disk and its partitions have caches of their own, and what was written to one is not seen in the other
        // as long as the disk is in use. Forget what is only remembered.
        posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_DONTNEED).map_err(Cause)?;
        if access == DiskAccess::Write && sys::is_read_only(file.as_fd()).map_err(Cause)? {
            bail!(WRITE_PROTECTED);
        }
        let sector_size = sys::sector_size(file.as_fd()).map_err(Cause)?;
        let bytes = sys::device_size(file.as_fd()).map_err(Cause)?;
        let device = match access {
            DiskAccess::Write => Device::Locked(lock(file)?),
            DiskAccess::Read | DiskAccess::Exclusive => Device::Unlocked(file),
        };
        Ok(Self { device, sector_size, bytes })
    }

    fn file(&self) -> &File {
        match &self.device {
            Device::Unlocked(file) => file,
            Device::Locked(file) => file,
        }
    }

    fn change_partition(
        &self,
        change: sys::PartitionChange,
        number: u32,
        start: u64,
        length: u64,
    ) -> Result<()> {
        let result = sys::change_partition(self.file().as_fd(), change, number, start, length);
        result.map_err(|error| match error {
            Errno::EBUSY if change == sys::PartitionChange::Delete => {
                anyhow!("partition {number} is in use")
            }
            Errno::EBUSY => anyhow!("the kernel knows another partition in the place of partition {number}"),
            Errno::ENXIO => anyhow!("the kernel knows no partition {number}"),
            Errno::EINVAL | Errno::ENOTTY => anyhow!("the kernel takes no partition {number} on this device"),
            other => anyhow!(Cause(other)).context(format!("the kernel refuses partition {number}")),
        })
    }
}

fn lock(mut file: File) -> Result<Flock<File>> {
    let mut waited = Duration::ZERO;
    loop {
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(locked) => return Ok(locked),
            Err((unlocked, Errno::EAGAIN | Errno::EINTR)) => file = unlocked,
            Err((_, error)) => return Err(Cause(error)).context("it cannot be locked"),
        }
        if waited >= PATIENCE {
            bail!("somebody else has held the lock of the disk for {} s", PATIENCE.as_secs());
        }
        stop::pause(INTERVAL)?;
        waited += INTERVAL;
    }
}

impl ReadAt for BlockDevice {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file().read_exact_at(buffer, offset).with_context(|| format!("cannot read at byte {offset}"))
    }
}

impl Disk for BlockDevice {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file().write_all_at(bytes, offset).with_context(|| format!("cannot write at byte {offset}"))
    }

    fn sync(&self) -> Result<()> {
        self.file().sync_all().context("what was written may not be on the disk")
    }

    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn add_partition(&self, number: u32, start: u64, length: u64) -> Result<()> {
        let added = self.change_partition(sys::PartitionChange::Add, number, start, length);
        // Only one that is there already can get the size that it has.
        added.or_else(|error| self.resize_partition(number, start, length).map_err(|_| error))
    }

    fn resize_partition(&self, number: u32, start: u64, length: u64) -> Result<()> {
        self.change_partition(sys::PartitionChange::Resize, number, start, length)
    }

    fn delete_partition(&self, number: u32) -> Result<()> {
        self.change_partition(sys::PartitionChange::Delete, number, 0, 0)
    }
}

/// Has an XFS or a btrfs grow to the size of its device; whether it was smaller. A second mount of a file system is the same one; nobody
/// sees this one, and it ends with this call.
pub(super) fn grow_file_system(host: &dyn Host, device: &Path, kind: &str) -> Result<bool> {
    let mount = host.mount_detached(device, kind, false)?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    let root = openat(&mount, ".", flags, Mode::empty()).map_err(Cause)?;
    let bytes = BlockDevice::open(device, DiskAccess::Read)?.bytes;
    match kind {
        "xfs" => grow_xfs(&root, bytes),
        "btrfs" => grow_btrfs(&root, bytes),
        other => bail!("{other} cannot grow in this way"),
    }
}

fn grow_xfs(root: &OwnedFd, bytes: u64) -> Result<bool> {
    let geometry = sys::xfs_geometry(root.as_fd()).map_err(Cause)?;
    let blocks = bytes / u64::from(geometry.block_size.max(1));
    if blocks <= geometry.blocks {
        return Ok(false);
    }
    sys::grow_xfs(root.as_fd(), blocks, geometry.inode_percent)
        .map_err(Cause)
        .context("XFS does not grow")?;
    Ok(true)
}

fn grow_btrfs(root: &OwnedFd, bytes: u64) -> Result<bool> {
    let (highest, number) = sys::btrfs_devices(root.as_fd()).map_err(Cause)?;
    if number != 1 {
        bail!("the btrfs is on {number} devices: grow it by `btrfs filesystem resize`");
    }
    let before = sys::btrfs_device_size(root.as_fd(), highest).map_err(Cause)?;
    // Its sectors are of 4096 bytes.
    if before >= bytes / 4096 * 4096 {
        return Ok(false);
    }
    let all = CString::new(format!("{highest}:max"))?;
    sys::resize_btrfs(root.as_fd(), &all).map_err(Cause).context("btrfs does not grow")?;
    Ok(true)
}
