//! `/proc`, `/sys` and `/dev` of the view: what is needed to run programs, and nothing that changes the machine.

use super::mounts;
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::mount::MsFlags;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

/// Directories at the root that belong to the kernel, or to what runs: not shown as they are.
pub(super) const OWN: [&str; 4] = ["dev", "proc", "run", "sys"];

/// Settings of the kernel that exist once for each namespace of host names.
const OWN_SETTINGS: [&str; 2] = ["sys/kernel/hostname", "sys/kernel/domainname"];

const PROC: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// Mounts the processes of the view. A container may hide parts of its `/proc`; then the kernel refuses a
/// fresh one, and the old one is shown, with a note.
pub(super) fn processes(at: &Path) -> Result<Option<String>> {
    std::fs::create_dir(at)?;
    match mounts::new("proc", at, PROC, "") {
        Ok(()) => protect(at).map(|()| None),
        Err(Errno::EPERM | Errno::EACCES) => {
            mounts::bind(Path::new("/proc"), at)?;
            mounts::make_read_only(at)?;
            let note = "/proc is that of the machine, and read-only: parts of it are hidden here, \
                        so the kernel refuses a new one";
            Ok(Some(note.to_owned()))
        }
        Err(errno) => Err(errno).context("cannot mount /proc in the view"),
    }
}

/// Makes everything read-only that is not about single processes.
fn protect(at: &Path) -> Result<()> {
    for entry in std::fs::read_dir(at)? {
        let entry = entry?;
        let name = entry.file_name();
        let kind = entry.file_type()?;
        if name.as_encoded_bytes().iter().all(u8::is_ascii_digit) || kind.is_symlink() {
            continue;
        }
        if kind.is_dir() || entry.metadata()?.permissions().mode() & 0o222 != 0 {
            mounts::bind(&entry.path(), &entry.path())?;
            mounts::change(&entry.path(), PROC | MsFlags::MS_RDONLY)?;
        }
    }
    for setting in OWN_SETTINGS.map(|setting| at.join(setting)) {
        if setting.exists() {
            mounts::bind(&setting, &setting)?;
            mounts::change(&setting, PROC)?;
        }
    }
    Ok(())
}

/// Shows the devices of the machine, to look at.
pub(super) fn hardware(at: &Path) -> Result<()> {
    std::fs::create_dir(at)?;
    let machine = Path::new("/sys");
    if machine.join("kernel").exists() {
        mounts::bind(machine, at)?;
        mounts::make_read_only(at)?;
    }
    Ok(())
}

/// Makes the device files that every program may expect.
pub(super) fn devices(at: &Path) -> Result<()> {
    std::fs::create_dir(at)?;
    for name in ["null", "zero", "full", "random", "urandom", "tty"] {
        let node = Path::new("/dev").join(name);
        if node.exists() {
            std::fs::write(at.join(name), "")?;
            mounts::bind(&node, &at.join(name))?;
        }
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("ptmx", "pts/ptmx"),
    ] {
        symlink(target, at.join(name))?;
    }
    std::fs::create_dir(at.join("shm"))?;
    std::fs::set_permissions(at.join("shm"), Permissions::from_mode(0o1777))?;
    std::fs::create_dir(at.join("pts"))?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NOEXEC;
    // Few stages need a terminal of their own: a kernel without them is no reason to stop.
    let _ = mounts::new("devpts", &at.join("pts"), flags, "newinstance,ptmxmode=0666,mode=0620");
    Ok(())
}
