//! The system calls that neither std nor nix offers as safe functions: the only unsafe code of this crate.
//!
//! **Invariant:** nothing here decides anything; each function is one call with its buffers checked.
#![allow(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "hooks into the start of a command")]

mod disks;
mod loop_device;

pub(super) use disks::*;
pub(super) use loop_device::*;

use nix::errno::Errno;
use nix::libc;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::Pid;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;

/// Fills the buffer from the kernel's generator (getrandom(2)).
pub(super) fn random(buffer: &mut [u8]) -> nix::Result<()> {
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        // SAFETY: the pointer and the length are those of a live, exclusively borrowed slice.
        let count = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match Errno::result(count) {
            Ok(count) => filled += count as usize,
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// A descriptor that becomes readable when the process ends (pidfd_open(2)).
pub(super) fn pidfd(pid: Pid) -> nix::Result<OwnedFd> {
    // SAFETY: the call takes two integers; what it returns on success is a descriptor that nobody else owns.
    unsafe {
        let fd = Errno::result(libc::syscall(libc::SYS_pidfd_open, pid.as_raw(), 0))?;
        Ok(OwnedFd::from_raw_fd(fd as libc::c_int))
    }
}

/// Sets the mode of what an `O_PATH` handle stands for (fchmodat2(2), Linux 6.6).
pub(super) fn chmod(handle: BorrowedFd<'_>, mode: u32) -> nix::Result<()> {
    let fd = handle.as_raw_fd();
    // SAFETY: the empty path is a constant, terminated string.
    let result = unsafe {
        libc::syscall(libc::SYS_fchmodat2, fd, c"".as_ptr(), mode as libc::mode_t, libc::AT_EMPTY_PATH)
    };
    Errno::result(result).map(drop)
}

/// Has two things in a directory change their names (renameat2(2) with RENAME_EXCHANGE).
pub(super) fn exchange(dir: BorrowedFd<'_>, one: &OsStr, other: &OsStr) -> nix::Result<()> {
    const EXCHANGE: libc::c_uint = 2;
    let name = |name: &OsStr| CString::new(name.as_bytes()).map_err(|_| Errno::EINVAL);
    let (one, other, dir) = (name(one)?, name(other)?, dir.as_raw_fd());
    // SAFETY: both names are terminated and live.
    let result =
        unsafe { libc::syscall(libc::SYS_renameat2, dir, one.as_ptr(), dir, other.as_ptr(), EXCHANGE) };
    Errno::result(result).map(drop)
}

/// The names of the extended attributes of an open file.
pub(super) fn xattr_names(file: BorrowedFd<'_>) -> nix::Result<Vec<CString>> {
    let list = sized(|buffer, length| {
        // SAFETY: `sized` passes a buffer of that length, or none for a question about the length.
        unsafe { libc::flistxattr(file.as_raw_fd(), buffer.cast(), length) }
    })?;
    Ok(list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).flat_map(CString::new).collect())
}

/// The value of an extended attribute of an open file.
pub(super) fn xattr(file: BorrowedFd<'_>, name: &CStr) -> nix::Result<Vec<u8>> {
    sized(|buffer, length| {
        // SAFETY: as above; the name is terminated.
        unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), buffer.cast(), length) }
    })
}

/// Sets an extended attribute of an open file.
pub(super) fn set_xattr(file: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> nix::Result<()> {
    // SAFETY: the name is terminated, and pointer and length are those of a live slice.
    let result =
        unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(result).map(drop)
}

/// Sets an extended attribute of what an `O_PATH` handle stands for, a link itself. This needs `/proc`.
pub(super) fn set_xattr_of_path_handle(handle: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> nix::Result<()> {
    let path = CString::new(format!("/proc/self/fd/{}", handle.as_raw_fd())).map_err(|_| Errno::EINVAL)?;
    // SAFETY: path and name are terminated, and pointer and length are those of a live slice.
    let result =
        unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(result).map(drop)
}

/// The names of the extended attributes of what an `O_PATH` handle stands for. This needs `/proc`.
pub(super) fn xattr_names_of_path_handle(handle: BorrowedFd<'_>) -> nix::Result<Vec<CString>> {
    let path = CString::new(format!("/proc/self/fd/{}", handle.as_raw_fd())).map_err(|_| Errno::EINVAL)?;
    let list = sized(|buffer, length| {
        // SAFETY: the path is terminated; `sized` passes a buffer of that length, or none.
        unsafe { libc::listxattr(path.as_ptr(), buffer.cast(), length) }
    })?;
    Ok(list.split(|byte| *byte == 0).filter(|name| !name.is_empty()).flat_map(CString::new).collect())
}

/// The value of an extended attribute of what an `O_PATH` handle stands for. This needs `/proc`.
pub(super) fn xattr_of_path_handle(handle: BorrowedFd<'_>, name: &CStr) -> nix::Result<Vec<u8>> {
    let path = CString::new(format!("/proc/self/fd/{}", handle.as_raw_fd())).map_err(|_| Errno::EINVAL)?;
    sized(|buffer, length| {
        // SAFETY: as above; the name is terminated, too.
        unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), buffer.cast(), length) }
    })
}

/// Removes an extended attribute of an open file.
pub(super) fn remove_xattr(file: BorrowedFd<'_>, name: &CStr) -> nix::Result<()> {
    // SAFETY: the name is terminated.
    Errno::result(unsafe { libc::fremovexattr(file.as_raw_fd(), name.as_ptr()) }).map(drop)
}

/// Asks for a length, then for that many bytes, again when the value has grown in between.
fn sized(mut call: impl FnMut(*mut u8, usize) -> isize) -> nix::Result<Vec<u8>> {
    loop {
        let length = Errno::result(call(std::ptr::null_mut(), 0))? as usize;
        if length == 0 {
            return Ok(Vec::new());
        }
        let mut buffer = vec![0; length];
        match Errno::result(call(buffer.as_mut_ptr(), length)) {
            Ok(length) => {
                buffer.truncate(length as usize);
                return Ok(buffer);
            }
            Err(Errno::ERANGE) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Loads a module from a file, which the kernel unpacks if it is packed (finit_module(2)).
pub(super) fn load_module(file: BorrowedFd<'_>, parameters: &CStr, packed: bool) -> nix::Result<()> {
    const COMPRESSED_FILE: libc::c_int = 4;
    let flags = if packed { COMPRESSED_FILE } else { 0 };
    // SAFETY: the parameters are terminated, and the kernel copies them.
    let result =
        unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), parameters.as_ptr(), flags) };
    Errno::result(result).map(drop)
}

/// Loads a module from memory (init_module(2)).
pub(super) fn load_module_image(image: &[u8], parameters: &CStr) -> nix::Result<()> {
    // SAFETY: pointer and length are those of a live slice, the parameters are terminated; the kernel copies both.
    let result =
        unsafe { libc::syscall(libc::SYS_init_module, image.as_ptr(), image.len(), parameters.as_ptr()) };
    Errno::result(result).map(drop)
}

/// How a new mount is restricted.
#[derive(Clone, Copy)]
pub(super) enum Restrictions {
    /// Not at all.
    None,
    /// Nothing can be written.
    ReadOnly,
    /// No program runs and no device works.
    Inert,
    /// Neither that, nor can anything be written.
    All,
}

/// Mounts a file system without giving it a place: the handle is all there is of it (fsopen(2), fsconfig(2),
/// fsmount(2); Linux 5.2). Options without a value are flags.
pub(super) fn new_mount(
    kind: &CStr,
    options: &[(&CStr, Option<&CStr>)],
    restrictions: Restrictions,
) -> nix::Result<OwnedFd> {
    const FSOPEN_CLOEXEC: libc::c_uint = 1;
    const FSMOUNT_CLOEXEC: libc::c_uint = 1;
    const SET_FLAG: libc::c_uint = 0;
    const SET_STRING: libc::c_uint = 1;
    const CREATE: libc::c_uint = 6;
    let attributes: libc::c_uint = match restrictions {
        Restrictions::None => 0,
        Restrictions::ReadOnly => 1,
        // Without setuid, devices and programs.
        Restrictions::Inert => 2 | 4 | 8,
        Restrictions::All => 1 | 2 | 4 | 8,
    };
    let null = std::ptr::null::<libc::c_char>();
    // SAFETY: all strings are terminated and live, null stands where the command takes nothing, and each
    // descriptor that is returned is owned by nobody else.
    unsafe {
        let context = Errno::result(libc::syscall(libc::SYS_fsopen, kind.as_ptr(), FSOPEN_CLOEXEC))?;
        let context = OwnedFd::from_raw_fd(context as libc::c_int);
        let configure = |command: libc::c_uint, key: *const libc::c_char, value: *const libc::c_char| {
            Errno::result(libc::syscall(libc::SYS_fsconfig, context.as_raw_fd(), command, key, value, 0))
        };
        for (key, value) in options {
            match value {
                Some(value) => configure(SET_STRING, key.as_ptr(), value.as_ptr())?,
                None => configure(SET_FLAG, key.as_ptr(), null)?,
            };
        }
        configure(CREATE, null, null)?;
        let mount = libc::syscall(libc::SYS_fsmount, context.as_raw_fd(), FSMOUNT_CLOEXEC, attributes);
        Ok(OwnedFd::from_raw_fd(Errno::result(mount)? as libc::c_int))
    }
}

/// A copy of the mount that holds a directory, which shows that directory only (open_tree(2), Linux 5.2).
pub(super) fn clone_mount(directory: BorrowedFd<'_>) -> nix::Result<OwnedFd> {
    const CLONE: libc::c_uint = 1;
    let flags = CLONE | libc::O_CLOEXEC as libc::c_uint | libc::AT_EMPTY_PATH as libc::c_uint;
    // SAFETY: the empty path is a terminated constant, and the descriptor is owned by nobody else.
    unsafe {
        let mount = libc::syscall(libc::SYS_open_tree, directory.as_raw_fd(), c"".as_ptr(), flags);
        Ok(OwnedFd::from_raw_fd(Errno::result(mount)? as libc::c_int))
    }
}

/// Gives a mount its place: the directory that is open (move_mount(2), Linux 5.2).
pub(super) fn place_mount(mount: BorrowedFd<'_>, at: BorrowedFd<'_>) -> nix::Result<()> {
    const FROM_EMPTY_PATH: libc::c_uint = 0x04;
    const TO_EMPTY_PATH: libc::c_uint = 0x40;
    let (mount, at, empty) = (mount.as_raw_fd(), at.as_raw_fd(), c"".as_ptr());
    let flags = FROM_EMPTY_PATH | TO_EMPTY_PATH;
    // SAFETY: the empty paths are terminated constants, and the descriptors are live.
    Errno::result(unsafe { libc::syscall(libc::SYS_move_mount, mount, empty, at, empty, flags) }).map(drop)
}

/// What the system error of a start is raised by when it was the chroot that failed.
const CHROOT_FAILED: i32 = 1 << 16;

/// Makes the command start with default signal dispositions, without foreign descriptors, chrooted if a root
/// is given, in `/`.
pub(super) fn prepare_start(command: &mut std::process::Command, root: Option<CString>) {
    let enter = move || {
        for number in 1..=libc::SIGRTMAX() {
            // SAFETY: a zeroed `sigaction` is valid and means the default disposition. KILL, STOP and the
            // two signals of the C library are refused, which is as well.
            unsafe {
                let default: libc::sigaction = std::mem::zeroed();
                libc::sigaction(number, &raw const default, std::ptr::null_mut());
            }
        }
        // SAFETY: three integers. Kernels before 5.11 refuse the flag; all our own descriptors are marked
        // when they are opened, so that this is only about those we inherited.
        unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        if let Some(root) = &root {
            nix::unistd::chroot(root.as_c_str())
                .and_then(|()| nix::unistd::chdir(c"/"))
                .map_err(|error| std::io::Error::from_raw_os_error(CHROOT_FAILED + error as i32))?;
        }
        Ok(())
    };
    // SAFETY: the closure makes system calls only; it neither allocates nor takes locks.
    unsafe { command.pre_exec(enter) };
}

/// Tells the failure of the chroot of [`prepare_start`] from one of the program itself.
pub(super) fn start_failure(error: &std::io::Error) -> (bool, Errno) {
    let raw = error.raw_os_error().unwrap_or(0);
    (raw >= CHROOT_FAILED, Errno::from_raw(raw % CHROOT_FAILED))
}

/// Installs the handler, unless the signal is ignored, as `nohup` and shells have it. Calls that wait are
/// restarted, except poll(2).
pub(super) fn handle(signal: Signal, handler: extern "C" fn(libc::c_int)) -> nix::Result<()> {
    let action = SigAction::new(SigHandler::Handler(handler), SaFlags::SA_RESTART, SigSet::empty());
    // SAFETY: the caller's handlers are `stop::on_signal`, which stores to an atomic and writes to a pipe.
    unsafe {
        let before = sigaction(signal, &action)?;
        if matches!(before.handler(), SigHandler::SigIgn) {
            sigaction(signal, &before)?;
        }
    }
    Ok(())
}
