//! Files that hold file systems, mounted to be looked at.
//!
//! **Invariant:** such a mount has no place and its loop device clears itself, so that nothing is left of either when
//! the handle is closed, also by SIGKILL.
#![allow(clippy::disallowed_methods, reason = "devices are opened here")]

use super::cause::Cause;
use super::{Directory, System, sys};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::{Path, PathBuf};

/// Others may take a free device first, so often.
const ATTEMPTS: u32 = 64;

/// A loop device that shows a file, read-only. It is the file's until both the handle and what uses it, a mount, are gone.
pub(super) fn attach(file: BorrowedFd<'_>) -> Result<(File, PathBuf)> {
    let opened = File::open("/dev/loop-control").map_err(|error| Cause(errno(&error)));
    let control = opened.context("the kernel has no loop devices")?;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let number =
            sys::free_loop_device(control.as_fd()).map_err(Cause).context("no loop device is free")?;
        let path = PathBuf::from(format!("/dev/loop{number}"));
        let device = File::open(&path).map_err(|error| Cause(errno(&error)));
        let device = device.with_context(|| path.display().to_string())?;
        match sys::show_in_loop_device(device.as_fd(), file) {
            Ok(()) => return Ok((device, path)),
            Err(Errno::EBUSY) if attempt < ATTEMPTS => {}
            Err(Errno::EINVAL | Errno::ENOTTY) => bail!("the kernel is too old for it: Linux 5.8 is needed"),
            Err(error) => return Err(Cause(error)).with_context(|| path.display().to_string()),
        }
    }
}

fn errno(error: &std::io::Error) -> Errno {
    error.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

impl System {
    /// The file system of this kind that a file holds, read-only, where nobody else can see it.
    pub fn image(&self, file: &Path, kind: &str) -> Result<Directory> {
        let mount = || -> Result<Directory> {
            let opened = self.open_file(file)?.context("there is no such file")?;
            let handle = self.host().mount_image(opened.as_fd(), kind)?;
            Ok(Directory { handle, path: PathBuf::from("/") })
        };
        mount().with_context(|| format!("cannot look into the image {}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use crate::system::scratch::{Scratch, is_root};
    use std::path::Path;
    use std::process::Command;

    fn backing_files() -> String {
        let output =
            Command::new("losetup").args(["--list", "--noheadings", "--output", "BACK-FILE"]).output();
        String::from_utf8(output.unwrap().stdout).unwrap()
    }

    #[test]
    fn an_image_is_seen_through_its_handle_only_and_leaves_nothing() {
        if !is_root("images on loop devices") {
            return;
        }
        let scratch = Scratch::new();
        scratch.put("/tree/etc/issue", "from an image", 0o644);
        let (tree, file) = (scratch.at("/tree"), scratch.at("/image"));
        let made =
            Command::new("mke2fs").args(["-q", "-t", "ext4", "-d"]).arg(&tree).arg(&file).arg("4M").output();
        assert!(made.unwrap().status.success());
        let sys = scratch.apply();
        let before = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let shown = scratch.root().file_name().unwrap().to_str().unwrap();
        {
            let image = sys.image(Path::new("/image"), "ext4").unwrap();
            assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
            assert!(backing_files().contains(shown));
            let names = crate::system::tree::list(std::os::fd::AsFd::as_fd(&image)).unwrap();
            assert!(names.contains(std::ffi::OsStr::new("etc")));
        }
        assert!(!backing_files().contains(shown));
        let error = format!("{:#}", sys.image(Path::new("/tree/etc/issue"), "ext4").unwrap_err());
        assert!(error.starts_with("cannot look into the image /tree/etc/issue: "), "{error}");
        assert!(sys.image(Path::new("/none"), "ext4").unwrap_err().to_string().contains("/none"));
        assert!(!backing_files().contains(shown));
    }
}
