//! What a directory remembers: an extended attribute, which is not part of its content and goes where it goes.

use super::super::cause::Cause;
use super::super::{System, sys};
use super::Unpacking;
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode as Bits;
use nix::unistd::fsync;
use std::ffi::CStr;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The first is seen and set by root alone.
pub(super) const NAMES: [&CStr; 2] = [c"trusted.cosette.images", c"user.cosette.images"];

impl System {
    /// What the directory remembers; an empty text if there is nothing.
    pub(crate) fn mark(&self, dir: &Path) -> Result<String> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let Some(dir) = self.open(dir, flags)? else { return Ok(String::new()) };
        for name in NAMES {
            if let Ok(value) = sys::xattr(dir.as_fd(), name) {
                return Ok(String::from_utf8(value).unwrap_or_default());
            }
        }
        Ok(String::new())
    }
}

impl Unpacking<'_> {
    /// Has the directory remember this, and nothing if it is empty, from now on and after a power cut.
    pub(crate) fn mark(&mut self, text: &str) -> Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let dir = openat(self.base.handle()?, c".", flags, Bits::empty()).map_err(Cause)?;
        let marked = write(&dir, text).context("the directory cannot remember what it holds")?;
        if !marked {
            self.warn("its file system has no extended attributes, so that it is unpacked again each time");
        }
        fsync(&dir).map_err(Cause)?;
        Ok(())
    }
}

fn write(dir: &OwnedFd, text: &str) -> Result<bool, Cause> {
    let mut marked = text.is_empty();
    for name in NAMES {
        // Only one may be left.
        let result = match marked {
            true => sys::remove_xattr(dir.as_fd(), name),
            false => sys::set_xattr(dir.as_fd(), name, text.as_bytes()).map(|()| marked = true),
        };
        match result {
            Ok(()) | Err(Errno::ENODATA | Errno::EOPNOTSUPP | Errno::EPERM | Errno::EACCES) => {}
            Err(Errno::ENOSPC | Errno::E2BIG | Errno::ERANGE) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(marked)
}
