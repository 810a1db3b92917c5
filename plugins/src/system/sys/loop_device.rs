//! Requests to loop devices.

use nix::errno::Errno;
use nix::libc;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The number of a loop device that nobody uses yet (LOOP_CTL_GET_FREE).
pub(in crate::system) fn free_loop_device(control: BorrowedFd<'_>) -> nix::Result<u32> {
    const LOOP_CTL_GET_FREE: libc::Ioctl = 0x4c82;
    // SAFETY: the call takes nothing but its number.
    let number = Errno::result(unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE) })?;
    u32::try_from(number).map_err(|_| Errno::EINVAL)
}

/// Has a loop device show a file, read-only, until nobody uses the device any more (LOOP_CONFIGURE, Linux 5.8).
pub(in crate::system) fn show_in_loop_device(
    device: BorrowedFd<'_>,
    file: BorrowedFd<'_>,
) -> nix::Result<()> {
    const LOOP_CONFIGURE: libc::Ioctl = 0x4c0a;
    const READ_ONLY: u32 = 1;
    const AUTOCLEAR: u32 = 4;
    #[repr(C)]
    struct Info {
        ids: [u64; 3],
        offset: u64,
        size_limit: u64,
        number: u32,
        encryption: [u32; 2],
        flags: u32,
        names: [u8; 160],
        init: [u64; 2],
    }
    #[repr(C)]
    struct Configuration {
        file: u32,
        block_size: u32,
        info: Info,
        reserved: [u64; 8],
    }
    const { assert!(size_of::<Info>() == 232 && size_of::<Configuration>() == 304) };
    let configuration = Configuration {
        file: u32::try_from(file.as_raw_fd()).map_err(|_| Errno::EBADF)?,
        block_size: 0,
        info: Info {
            ids: [0; 3],
            offset: 0,
            size_limit: 0,
            number: 0,
            encryption: [0; 2],
            flags: READ_ONLY | AUTOCLEAR,
            names: [0; 160],
            init: [0; 2],
        },
        reserved: [0; 8],
    };
    // SAFETY: the structure has the layout of `linux/loop.h`, and lives until the call has returned.
    Errno::result(unsafe { libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE, &raw const configuration) })
        .map(drop)
}
