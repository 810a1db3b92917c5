//! The room that is left on file systems.

use super::cause::Cause;
use super::{Directory, System};
use anyhow::{Context as _, Error, Result};
use nix::errno::Errno;
use nix::sys::statvfs::fstatvfs;
use std::path::Path;

/// The room that is left on a file system, for this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreeSpace {
    /// In bytes.
    pub bytes: u64,
    /// In files; nothing where there can be as many as there is room for.
    pub files: Option<u64>,
}

impl System {
    /// The room that is left on the file system that holds a directory, which exists.
    pub fn free_space(&self, directory: impl AsRef<Path>) -> Result<FreeSpace> {
        let directory = directory.as_ref();
        let ask = || -> Result<FreeSpace> {
            let opened: Option<Directory> = self.directory(self.real_path(directory)?)?;
            let found = fstatvfs(opened.context("there is no such directory")?).map_err(Cause)?;
            // Root may use what is kept from others.
            let is_root = self.tree.process.uid == 0;
            let blocks = if is_root { found.blocks_free() } else { found.blocks_available() };
            let files = if is_root { found.files_free() } else { found.files_available() };
            let has_files = found.files() > 0;
            Ok(FreeSpace { bytes: blocks * found.fragment_size(), files: has_files.then_some(files) })
        };
        ask().with_context(|| format!("cannot tell how much room there is at {}", directory.display()))
    }
}

/// Whether it failed because a file system or a quota is full.
pub fn is_full(error: &Error) -> bool {
    is_due_to(error, &[Errno::ENOSPC, Errno::EDQUOT])
}

/// Whether it failed because a file system is read-only.
pub fn is_read_only(error: &Error) -> bool {
    is_due_to(error, &[Errno::EROFS])
}

fn is_due_to(error: &Error, causes: &[Errno]) -> bool {
    error.chain().any(|cause| {
        let errno = match (cause.downcast_ref(), cause.downcast_ref::<std::io::Error>()) {
            (Some(Cause(errno)), _) => *errno,
            (_, Some(error)) => error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw),
            _ => return false,
        };
        causes.contains(&errno)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::{Mounted, Scratch, is_root};

    #[test]
    fn the_room_is_that_of_the_file_system_below_links() {
        let scratch = Scratch::new();
        scratch.dir("/var/state", 0o755);
        scratch.link("/var/state", "/state");
        let sys = scratch.apply();
        assert!(sys.free_space("/state").unwrap().bytes > 0);
        let error = format!("{:#}", sys.free_space("/none").unwrap_err());
        assert_eq!(error, "cannot tell how much room there is at /none: there is no such directory");
        if !is_root("room on a small file system") {
            return;
        }
        let Some(_mounted) = Mounted::tmpfs(&scratch.at("/var/state"), "64k") else { return };
        assert_eq!(sys.free_space("/state").unwrap().bytes, 64 << 10);
        let full = sys.write(crate::system::File::new("/state/file", vec![0; 1 << 20])).unwrap_err();
        assert!(is_full(&full));
        assert!(!is_full(&sys.free_space("/none").unwrap_err()));
    }
}
