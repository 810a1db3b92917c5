//! Owners that an ordinary user cannot give to files.

use anyhow::Result;
use cosette_plugins::Host;
use cosette_plugins::system::{Command, Output, Owner};
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

/// What the kernel shows for an id that does not exist in the user namespace (see user_namespaces(7)).
pub(super) const OVERFLOW: u32 = 65534;

/// A host in whose view not all ids exist: the owner that a file cannot get is remembered instead, and files
/// of ids that do not exist count as those of root. Everything else is the other host's.
pub struct PretendedOwners<H> {
    host: H,
    /// By device and inode.
    given: Mutex<HashMap<(u64, u64), Owner>>,
}

impl<H: Host> PretendedOwners<H> {
    /// Pretends owners on top of `host`.
    pub fn new(host: H) -> Self {
        Self { host, given: Mutex::default() }
    }
}

/// An owner as it is outside, as far as it can be known: nearly everything that is foreign belongs to root.
pub(super) fn foreign_is_root(found: Owner) -> Owner {
    let known = |id| if id == OVERFLOW { 0 } else { id };
    Owner { uid: known(found.uid), gid: known(found.gid) }
}

impl<H: Host> Host for PretendedOwners<H> {
    fn set_owner(&self, file: BorrowedFd<'_>, owner: Owner) -> Result<()> {
        let found = nix::sys::stat::fstat(file)?;
        let key = (found.st_dev, found.st_ino);
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        match self.host.set_owner(file, owner) {
            Ok(()) => _ = given.remove(&key),
            Err(_) => _ = given.insert(key, owner),
        }
        Ok(())
    }

    fn owner(&self, device: u64, inode: u64, found: Owner) -> Owner {
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        match given.get(&(device, inode)) {
            Some(owner) => *owner,
            None => foreign_is_root(self.host.owner(device, inode, found)),
        }
    }

    fn run(&self, root: &Path, command: &Command) -> Result<Output> {
        self.host.run(root, command)
    }

    fn hostname(&self) -> Result<String> {
        self.host.hostname()
    }

    fn set_hostname(&self, name: &str) -> Result<()> {
        self.host.set_hostname(name)
    }

    fn kernel_file(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        self.host.kernel_file(path)
    }

    fn kernel_dir(&self, path: &Path) -> Result<Option<Vec<OsString>>> {
        self.host.kernel_dir(path)
    }

    fn kernel_link(&self, path: &Path) -> Result<Option<PathBuf>> {
        self.host.kernel_link(path)
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        self.host.variable(name)
    }

    fn now(&self) -> SystemTime {
        self.host.now()
    }

    fn random(&self, buffer: &mut [u8]) {
        self.host.random(buffer);
    }

    fn architecture(&self) -> &'static str {
        self.host.architecture()
    }
}
