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

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;

    /// The host of a user who may not give files away.
    struct Refusing;

    impl Host for Refusing {
        fn set_owner(&self, _: BorrowedFd<'_>, owner: Owner) -> Result<()> {
            if owner.uid == 0 { Ok(()) } else { bail!("invalid argument") }
        }

        fn owner(&self, _: u64, _: u64, found: Owner) -> Owner {
            found
        }

        fn run(&self, _: &Path, _: &Command) -> Result<Output> {
            unreachable!()
        }

        fn hostname(&self) -> Result<String> {
            unreachable!()
        }

        fn set_hostname(&self, _: &str) -> Result<()> {
            unreachable!()
        }

        fn kernel_file(&self, _: &Path) -> Result<Option<Vec<u8>>> {
            unreachable!()
        }

        fn kernel_dir(&self, _: &Path) -> Result<Option<Vec<OsString>>> {
            unreachable!()
        }

        fn kernel_link(&self, _: &Path) -> Result<Option<PathBuf>> {
            unreachable!()
        }

        fn variable(&self, _: &str) -> Option<OsString> {
            unreachable!()
        }

        fn now(&self) -> SystemTime {
            unreachable!()
        }

        fn random(&self, _: &mut [u8]) {}

        fn architecture(&self) -> &'static str {
            unreachable!()
        }
    }

    #[test]
    fn an_owner_that_cannot_be_given_is_remembered_until_one_can() {
        let file = tempfile::tempfile().unwrap();
        let found = file.metadata().unwrap();
        let (device, inode) = (found.dev(), found.ino());
        let (root, other, nobody) = (owner(0), owner(1234), owner(OVERFLOW));
        let host = PretendedOwners::new(Refusing);
        assert_eq!(host.owner(device, inode, root), root);
        assert_eq!(host.owner(device, inode, nobody), root);
        host.set_owner(file.as_fd(), other).unwrap();
        assert_eq!(host.owner(device, inode, root), other);
        assert_eq!(host.owner(device, inode + 1, root), root);
        host.set_owner(file.as_fd(), root).unwrap();
        assert_eq!(host.owner(device, inode, root), root);
    }

    fn owner(id: u32) -> Owner {
        Owner { uid: id, gid: id }
    }
}
