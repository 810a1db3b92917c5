//! Temporary names: what is made under one takes its place by rename, or is removed.
//!
//! **Invariant:** a [`Temporary`] that is dropped before [`Temporary::take_place`] leaves nothing behind. Only
//! a crash does; such a leftover has a name that begins with [`PREFIX`].

use super::cause::Cause;
use nix::errno::Errno;
use nix::fcntl::renameat;
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::cell::Cell;
use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::os::fd::BorrowedFd;

/// How temporary names begin.
pub(super) const PREFIX: &str = ".cosette-";

/// A source of names that cannot be predicted: a counter through a hash with a random key. `O_EXCL` and its
/// like do not rely on it; it only keeps others from getting in the way.
#[derive(Default)]
pub(super) struct Names {
    key: RandomState,
    count: Cell<u64>,
}

impl Names {
    fn next(&self) -> String {
        self.count.set(self.count.get() + 1);
        format!("{PREFIX}{:016x}", self.key.hash_one(self.count.get()))
    }
}

/// Something under a temporary name.
pub(super) struct Temporary<'a> {
    dir: BorrowedFd<'a>,
    name: String,
    kind: UnlinkatFlags,
    placed: bool,
}

impl<'a> Temporary<'a> {
    /// Makes something under a name that is not taken; `make` must refuse one that is.
    pub(super) fn make<T>(
        names: &Names,
        dir: BorrowedFd<'a>,
        kind: UnlinkatFlags,
        make: impl Fn(&str) -> nix::Result<T>,
    ) -> Result<(Self, T), Cause> {
        let mut attempts = 0;
        loop {
            let name = names.next();
            match make(&name) {
                Ok(made) => return Ok((Self { dir, name, kind, placed: false }, made)),
                Err(Errno::EEXIST) if attempts < 16 => attempts += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The temporary name.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Gives it its name, in place of what has it now.
    pub(super) fn take_place(mut self, name: &OsStr) -> Result<(), Cause> {
        renameat(self.dir, self.name.as_str(), self.dir, name)?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // Nothing more can be done when this fails too: the first error is the one to report.
            let _ = unlinkat(self.dir, self.name.as_str(), self.kind);
        }
    }
}
