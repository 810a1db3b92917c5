//! The host of a view: what cannot be done there is remembered, as if it had been.

use anyhow::{Result, bail};
use cosette_plugins::Host;
use cosette_plugins::system::http::Client;
use cosette_plugins::system::{
    Command, Disk, DiskAccess, Interrupted, Module, Mounted, NewMount, Output, Owner,
};
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// What the kernel shows for an id that does not exist in the user namespace (see user_namespaces(7)).
pub(super) const OVERFLOW: u32 = 65534;

/// A host that leaves the running kernel alone: parameters that are set are remembered only, and
/// modules are not loaded.
///
/// Where not all ids exist, so is the owner that a file cannot get, and files of ids that do not exist count as
/// those of root. Everything else is the other host's.
pub struct ViewHost<H> {
    host: H,
    pretends_owners: bool,
    /// By device and inode.
    given: Mutex<HashMap<(u64, u64), Owner>>,
    parameters: Mutex<HashMap<PathBuf, String>>,
    said: Mutex<Vec<Said>>,
    not_run: Mutex<Vec<String>>,
}

/// Programs by which plugins act on a machine and its disks. What is in a script of a document is its own affair.
const OF_THE_MACHINE: [&str; 3] = ["mount", "swapon", "shutdown"];

/// What a program printed.
#[derive(Debug)]
pub struct Said {
    /// What stands for the program in reports.
    pub label: String,
    /// The end of its output.
    pub text: String,
}

impl<H: Host> ViewHost<H> {
    /// A host on top of another one.
    pub fn new(host: H, pretends_owners: bool) -> Self {
        Self {
            host,
            pretends_owners,
            given: Mutex::default(),
            parameters: Mutex::default(),
            said: Mutex::default(),
            not_run: Mutex::default(),
        }
    }

    /// What programs have printed since this was asked for, those that printed something.
    pub fn take_said(&self) -> Vec<Said> {
        std::mem::take(&mut lock(&self.said))
    }

    /// The programs that were not run, because they act on the machine, since this was asked for.
    pub fn take_not_run(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.not_run))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An owner as it is outside, as far as it can be known: nearly everything that is foreign belongs to root.
pub(super) fn foreign_is_root(found: Owner) -> Owner {
    let known = |id| if id == OVERFLOW { 0 } else { id };
    Owner { uid: known(found.uid), gid: known(found.gid) }
}

impl<H: Host> Host for ViewHost<H> {
    fn set_owner(&self, file: BorrowedFd<'_>, owner: Owner) -> Result<()> {
        if !self.pretends_owners {
            return self.host.set_owner(file, owner);
        }
        let found = nix::sys::stat::fstat(file)?;
        let key = (found.st_dev, found.st_ino);
        let mut given = lock(&self.given);
        match self.host.set_owner(file, owner) {
            Ok(()) => _ = given.remove(&key),
            Err(_) => _ = given.insert(key, owner),
        }
        Ok(())
    }

    fn owner(&self, device: u64, inode: u64, found: Owner) -> Owner {
        if !self.pretends_owners {
            return self.host.owner(device, inode, found);
        }
        match lock(&self.given).get(&(device, inode)) {
            Some(owner) => *owner,
            None => foreign_is_root(self.host.owner(device, inode, found)),
        }
    }

    fn run(&self, root: &Path, command: &Command) -> Result<Output> {
        if command.argv().next().is_some_and(|program| OF_THE_MACHINE.iter().any(|name| program == name)) {
            lock(&self.not_run).push(command.label().to_owned());
            return Ok(Output { status: 0, stdout: Vec::new(), tail: Vec::new() });
        }
        // systemctl(1) then makes links, and passes over what it would ask the manager for.
        let output = self.host.run(root, &command.clone().variable("SYSTEMD_OFFLINE", "1"))?;
        let text = String::from_utf8_lossy(&output.tail).into_owned();
        if !text.is_empty() {
            lock(&self.said).push(Said { label: command.label().to_owned(), text });
        }
        Ok(output)
    }

    fn hostname(&self) -> Result<String> {
        self.host.hostname()
    }

    fn set_hostname(&self, name: &str) -> Result<()> {
        self.host.set_hostname(name)
    }

    fn kernel_file(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        match lock(&self.parameters).get(path) {
            Some(value) => Ok(Some(format!("{value}\n").into_bytes())),
            None => self.host.kernel_file(path),
        }
    }

    fn set_kernel_parameter(&self, path: &Path, value: &str) -> Result<()> {
        lock(&self.parameters).insert(path.to_owned(), value.to_owned());
        Ok(())
    }

    fn only_says(&self) -> bool {
        true
    }

    /// A disk has no copy in a view.
    fn open_disk(&self, _: &Path, _: DiskAccess) -> Result<Box<dyn Disk>> {
        bail!("disks are not part of a view of the machine: `plan` shows what would be done")
    }

    fn grow_file_system(&self, _: &Path, _: &str) -> Result<bool> {
        bail!("a view of the machine does not change disks")
    }

    fn mount_detached(&self, device: &Path, kind: &str, read_only: bool) -> Result<OwnedFd> {
        if !read_only {
            bail!("a view of the machine does not change disks");
        }
        self.host.mount_detached(device, kind, true)
    }

    fn mount(&self, new: &NewMount, at: BorrowedFd<'_>) -> Result<()> {
        self.host.mount(new, at)
    }

    fn mounted(&self, directory: BorrowedFd<'_>) -> Result<Mounted> {
        self.host.mounted(directory)
    }

    /// It counts as loaded.
    fn load_module(&self, _: &Module) -> Result<bool> {
        Ok(true)
    }

    fn kernel_dir(&self, path: &Path) -> Result<Option<Vec<OsString>>> {
        self.host.kernel_dir(path)
    }

    fn kernel_link(&self, path: &Path) -> Result<Option<PathBuf>> {
        self.host.kernel_link(path)
    }

    fn client(&self) -> Result<Client> {
        self.host.client()
    }

    fn pause(&self, duration: Duration) -> Result<(), Interrupted> {
        self.host.pause(duration)
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
            Ok(None)
        }

        fn set_kernel_parameter(&self, _: &Path, _: &str) -> Result<()> {
            unreachable!()
        }

        fn load_module(&self, _: &Module) -> Result<bool> {
            unreachable!()
        }

        fn open_disk(&self, _: &Path, _: DiskAccess) -> Result<Box<dyn Disk>> {
            bail!("refused")
        }

        fn grow_file_system(&self, _: &Path, _: &str) -> Result<bool> {
            bail!("refused")
        }

        fn mount_detached(&self, _: &Path, _: &str, _: bool) -> Result<OwnedFd> {
            bail!("refused")
        }

        fn mount(&self, _: &NewMount, _: BorrowedFd<'_>) -> Result<()> {
            unreachable!()
        }

        fn mounted(&self, _: BorrowedFd<'_>) -> Result<Mounted> {
            unreachable!()
        }

        fn kernel_dir(&self, _: &Path) -> Result<Option<Vec<OsString>>> {
            unreachable!()
        }

        fn kernel_link(&self, _: &Path) -> Result<Option<PathBuf>> {
            unreachable!()
        }

        fn client(&self) -> Result<Client> {
            unreachable!()
        }

        fn pause(&self, _: Duration) -> Result<(), Interrupted> {
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
        let host = ViewHost::new(Refusing, true);
        assert_eq!(host.owner(device, inode, root), root);
        assert_eq!(host.owner(device, inode, nobody), root);
        host.set_owner(file.as_fd(), other).unwrap();
        assert_eq!(host.owner(device, inode, root), other);
        assert_eq!(host.owner(device, inode + 1, root), root);
        host.set_owner(file.as_fd(), root).unwrap();
        assert_eq!(host.owner(device, inode, root), root);
        assert!(ViewHost::new(Refusing, false).set_owner(file.as_fd(), other).is_err());
    }

    #[test]
    fn parameters_of_the_kernel_are_remembered_only() {
        let host = ViewHost::new(Refusing, false);
        let path = Path::new("/proc/sys/vm/swappiness");
        host.set_kernel_parameter(path, "10").unwrap();
        assert_eq!(host.kernel_file(path).unwrap().unwrap(), b"10\n");
        assert_eq!(host.kernel_file(Path::new("/proc/sys/vm/other")).unwrap(), None);
    }

    fn owner(id: u32) -> Owner {
        Owner { uid: id, gid: id }
    }
}
