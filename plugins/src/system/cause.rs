//! Why the kernel refused something, in words that say what to do.

use nix::errno::Errno;
use std::fmt;

/// An error of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cause(pub(super) Errno);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Errno::ENOENT => "there is no such file or directory",
            Errno::ENOTDIR => "a part of the path is not a directory",
            Errno::EISDIR => "a directory stands there",
            Errno::ELOOP => "its symbolic links form a loop, or there are too many",
            Errno::ENAMETOOLONG => "the path is too long",
            Errno::EACCES => "permission is denied; root may be needed",
            Errno::EPERM => "the operation is not permitted; root may be needed, or the file is immutable",
            Errno::EROFS => "the file system is read-only; mount it writable first",
            Errno::ENOSPC => "no space is left on the file system; free some",
            Errno::EDQUOT => "the disk quota is used up; free some space",
            Errno::EOVERFLOW => "its owner does not exist in this user namespace",
            Errno::EFBIG => "the file is larger than 64 MiB",
            Errno::EBUSY => "it is in use, perhaps as a mount point",
            Errno::ENOTEMPTY | Errno::EEXIST => "the directory is not empty",
            other => return write!(f, "{}", other.desc()),
        })
    }
}

impl std::error::Error for Cause {}

impl From<Errno> for Cause {
    fn from(errno: Errno) -> Self {
        Self(errno)
    }
}
