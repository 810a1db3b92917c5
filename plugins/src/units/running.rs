//! Whether the service manager of a root is running, and can be asked to do things.

use crate::System;
use crate::system::Kind;
use anyhow::Result;
use std::path::Path;

/// Whether systemd runs in the root of this system.
///
/// That is so when the root is the machine's own, sd_booted(3) holds, and the process with the number 1 has
/// the same root: in the initramfs a service may run with the new system as its root, while the systemd that
/// could be asked is still the one of the initramfs.
pub fn systemd_is_running(sys: &System) -> Result<bool> {
    if sys.host().only_says() {
        return Ok(true);
    }
    if !sys.host().lives_in(sys.root()) {
        return Ok(false);
    }
    let booted = sys.symlink_metadata("/run/systemd/system")?;
    if booted.is_none_or(|found| found.kind != Kind::Directory) {
        return Ok(false);
    }
    let mounts = |process: &str| {
        let path = format!("/proc/{process}/mountinfo");
        sys.host().kernel_file(Path::new(&path)).ok().flatten()
    };
    // An ordinary user may not look at the mounts of process 1; systemctl will tell them what they may do.
    Ok(match (mounts("1"), mounts("self")) {
        (Some(first), Some(own)) => root_mount(&first) == root_mount(&own),
        _ => true,
    })
}

/// The device of the file system that is mounted at `/`, and which directory of it is: the third and fourth
/// field of proc_pid_mountinfo(5). Of several, the last one is on top.
fn root_mount(mountinfo: &[u8]) -> Option<(&[u8], &[u8])> {
    let lines = mountinfo.split(|byte| *byte == b'\n').rev();
    lines.map(|line| line.split(|byte| *byte == b' ').skip(2)).find_map(|mut fields| {
        let (device, directory) = (fields.next()?, fields.next()?);
        (fields.next()? == b"/").then_some((device, directory))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_on_top_of_the_root_is_found() {
        let mountinfo = b"1 0 0:2 / / rw - rootfs rootfs rw\n22 1 0:20 / /proc rw - proc proc rw\n\
            30 1 7:0 /sub / ro shared:1 - ext4 /dev/loop0 ro\n31 30 0:30 / /run rw - tmpfs tmpfs rw\n";
        assert_eq!(root_mount(mountinfo), Some((&b"7:0"[..], &b"/sub"[..])));
        assert_eq!(root_mount(b"22 1 0:20 / /proc rw - proc proc rw\nnonsense\n"), None);
    }
}
