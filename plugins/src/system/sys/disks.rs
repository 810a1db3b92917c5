//! Requests to block devices, and to file systems that grow.

use nix::errno::Errno;
use nix::libc;
use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The bytes of a logical sector of a block device (BLKSSZGET).
pub(in crate::system) fn sector_size(device: BorrowedFd<'_>) -> nix::Result<u32> {
    const BLKSSZGET: libc::Ioctl = 0x1268;
    let mut size: libc::c_int = 0;
    // SAFETY: the call writes one `int` to the live pointer.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), BLKSSZGET, &raw mut size) })?;
    u32::try_from(size).map_err(|_| Errno::EINVAL)
}

/// The bytes of a block device (BLKGETSIZE64).
pub(in crate::system) fn device_size(device: BorrowedFd<'_>) -> nix::Result<u64> {
    const BLKGETSIZE64: libc::Ioctl = nix::request_code_read!(0x12, 114, size_of::<usize>()) as libc::Ioctl;
    let mut size = 0_u64;
    // SAFETY: the call writes 64 bits to the live pointer, whatever `size_t` is in its number.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), BLKGETSIZE64, &raw mut size) })?;
    Ok(size)
}

/// Whether a block device cannot be written to (BLKROGET).
pub(in crate::system) fn is_read_only(device: BorrowedFd<'_>) -> nix::Result<bool> {
    const BLKROGET: libc::Ioctl = 0x125e;
    let mut read_only: libc::c_int = 0;
    // SAFETY: the call writes one `int` to the live pointer.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), BLKROGET, &raw mut read_only) })?;
    Ok(read_only != 0)
}

/// What the kernel is told of a partition (`linux/blkpg.h`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::system) enum PartitionChange {
    Add = 1,
    Delete = 2,
    Resize = 3,
}

/// Tells the kernel of a partition, in bytes (BLKPG).
pub(in crate::system) fn change_partition(
    disk: BorrowedFd<'_>,
    change: PartitionChange,
    number: u32,
    start: u64,
    length: u64,
) -> nix::Result<()> {
    const BLKPG: libc::Ioctl = 0x1269;
    #[repr(C)]
    struct Partition {
        start: libc::c_longlong,
        length: libc::c_longlong,
        number: libc::c_int,
        names: [u8; 128],
    }
    #[repr(C)]
    struct Request {
        operation: libc::c_int,
        flags: libc::c_int,
        length: libc::c_int,
        partition: *mut Partition,
    }
    let number = libc::c_int::try_from(number).map_err(|_| Errno::EINVAL)?;
    let signed = |value: u64| libc::c_longlong::try_from(value).map_err(|_| Errno::EINVAL);
    let mut partition = Partition { start: signed(start)?, length: signed(length)?, number, names: [0; 128] };
    let mut request = Request {
        operation: change as libc::c_int,
        flags: 0,
        length: size_of::<Partition>() as libc::c_int,
        partition: &raw mut partition,
    };
    // SAFETY: both structures have the layout of the header, and live until the call has returned.
    Errno::result(unsafe { libc::ioctl(disk.as_raw_fd(), BLKPG, &raw mut request) }).map(drop)
}

/// What matters of the size of an XFS.
pub(in crate::system) struct XfsGeometry {
    /// The bytes of a block.
    pub(in crate::system) block_size: u32,
    /// The blocks for data.
    pub(in crate::system) blocks: u64,
    /// How much of it inodes may take, in percent.
    pub(in crate::system) inode_percent: u32,
}

/// The size of the XFS that a directory is on (XFS_IOC_FSGEOMETRY_V1 of `xfs/xfs_fs.h`).
pub(in crate::system) fn xfs_geometry(directory: BorrowedFd<'_>) -> nix::Result<XfsGeometry> {
    #[repr(C)]
    #[derive(Default)]
    struct Geometry {
        block_size: u32,
        before: [u32; 6],
        inode_percent: u32,
        blocks: u64,
        rest: [u64; 9],
    }
    const GEOMETRY: libc::Ioctl = nix::request_code_read!(b'X', 100, size_of::<Geometry>()) as libc::Ioctl;
    const { assert!(size_of::<Geometry>() == 112) };
    let mut found = Geometry::default();
    // SAFETY: the structure is as large as the number of the call says, and live.
    Errno::result(unsafe { libc::ioctl(directory.as_raw_fd(), GEOMETRY, &raw mut found) })?;
    let Geometry { block_size, blocks, inode_percent, .. } = found;
    Ok(XfsGeometry { block_size, blocks, inode_percent })
}

/// Has an XFS grow to so many blocks (XFS_IOC_FSGROWFSDATA of `xfs/xfs_fs.h`).
pub(in crate::system) fn grow_xfs(
    directory: BorrowedFd<'_>,
    blocks: u64,
    inode_percent: u32,
) -> nix::Result<()> {
    #[repr(C)]
    struct Growth {
        blocks: u64,
        inode_percent: u32,
        padding: u32,
    }
    const GROW: libc::Ioctl = nix::request_code_write!(b'X', 110, size_of::<Growth>()) as libc::Ioctl;
    let growth = Growth { blocks, inode_percent, padding: 0 };
    // SAFETY: the structure is as large as the number of the call says, and live.
    Errno::result(unsafe { libc::ioctl(directory.as_raw_fd(), GROW, &raw const growth) }).map(drop)
}

/// The highest number of a device of the btrfs that a directory is on, and how many it has
/// (BTRFS_IOC_FS_INFO of `linux/btrfs.h`).
pub(in crate::system) fn btrfs_devices(directory: BorrowedFd<'_>) -> nix::Result<(u64, u64)> {
    const FS_INFO: libc::Ioctl = nix::request_code_read!(0x94, 31, 1024) as libc::Ioctl;
    let mut found = [0_u64; 128];
    // SAFETY: the buffer is as large as the number of the call says, aligned for what is in it, and live.
    Errno::result(unsafe { libc::ioctl(directory.as_raw_fd(), FS_INFO, &raw mut found) })?;
    Ok((found[0], found[1]))
}

/// The size of one device of a btrfs (BTRFS_IOC_DEV_INFO of `linux/btrfs.h`).
pub(in crate::system) fn btrfs_device_size(directory: BorrowedFd<'_>, number: u64) -> nix::Result<u64> {
    #[repr(C)]
    struct Information {
        number: u64,
        uuid: [u8; 16],
        used: u64,
        bytes: u64,
        rest: [u64; 507],
    }
    const DEV_INFO: libc::Ioctl =
        nix::request_code_readwrite!(0x94, 30, size_of::<Information>()) as libc::Ioctl;
    const { assert!(size_of::<Information>() == 4096) };
    let mut found = Information { number, uuid: [0; 16], used: 0, bytes: 0, rest: [0; 507] };
    // SAFETY: the structure is as large as the number of the call says, and live.
    Errno::result(unsafe { libc::ioctl(directory.as_raw_fd(), DEV_INFO, &raw mut found) })?;
    Ok(found.bytes)
}

/// Gives a btrfs another size, as `btrfs filesystem resize` takes it (BTRFS_IOC_RESIZE of `linux/btrfs.h`).
pub(in crate::system) fn resize_btrfs(directory: BorrowedFd<'_>, size: &CStr) -> nix::Result<()> {
    #[repr(C)]
    struct Arguments {
        unused: u64,
        name: [u8; 4088],
    }
    const RESIZE: libc::Ioctl = nix::request_code_write!(0x94, 3, size_of::<Arguments>()) as libc::Ioctl;
    let mut arguments = Arguments { unused: 0, name: [0; 4088] };
    let name = size.to_bytes_with_nul();
    arguments.name.get_mut(..name.len()).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(name);
    // SAFETY: the structure is as large as the number of the call says, and live; the name is terminated.
    Errno::result(unsafe { libc::ioctl(directory.as_raw_fd(), RESIZE, &raw const arguments) }).map(drop)
}

/// Has an ext4 write everything in its journal to its place, on the file system that a directory is on
/// (EXT4_IOC_CHECKPOINT of `linux/ext4.h`, Linux 5.15).
pub(in crate::system) fn checkpoint_ext4(directory: BorrowedFd<'_>) -> nix::Result<()> {
    const CHECKPOINT: libc::Ioctl = nix::request_code_write!(b'f', 43, size_of::<u32>()) as libc::Ioctl;
    let flags = 0_u32;
    // SAFETY: the call reads 32 bits from the live pointer.
    Errno::result(unsafe { libc::ioctl(directory.as_raw_fd(), CHECKPOINT, &raw const flags) }).map(drop)
}
