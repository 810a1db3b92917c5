//! The machine underneath a root: its kernel, processes, clock and randomness.

use super::http::Client;
use super::{
    Command, Disk, DiskAccess, Interrupted, Journal, Mounted, NewMount, Output, ServiceManager, Systemd,
};
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, SystemTime};

/// The running machine. Files below the root are not its business (see [`super::System`]); all else is.
pub trait Host {
    /// Runs a command chrooted into `root` and waits for it. [`super::NoProgram`], [`super::NoChroot`] and
    /// [`super::Interrupted`] are among its errors.
    fn run(&self, root: &Path, command: &Command) -> Result<Output>;

    /// The name of the running machine.
    fn hostname(&self) -> Result<String>;

    /// Sets the name of the running machine.
    fn set_hostname(&self, name: &str) -> Result<()>;

    /// The content of a file of the running kernel, below `/proc` or `/sys`; nothing when there is none.
    fn kernel_file(&self, path: &Path) -> Result<Option<Vec<u8>>>;

    /// The names in a directory of the running kernel, in byte order; nothing when there is none.
    fn kernel_dir(&self, path: &Path) -> Result<Option<Vec<OsString>>>;

    /// The target of a link of the running kernel.
    fn kernel_link(&self, path: &Path) -> Result<Option<std::path::PathBuf>>;

    /// Writes a parameter of the running kernel, a file below `/proc/sys`.
    fn set_kernel_parameter(&self, path: &Path, value: &str) -> Result<()>;

    /// The client of HTTP, set up once: see [`super::http::open`] and [`super::http::body`].
    fn client(&self) -> Result<Client>;

    /// Waits before another try, but not once this process is told to stop.
    fn pause(&self, duration: Duration) -> Result<(), Interrupted>;

    /// Loads a module into the running kernel; whether it was not there yet.
    fn load_module(&self, module: &super::Module) -> Result<bool>;

    /// Whether disks and services are out of reach, and what would be done to them is only said: in a view of a machine.
    fn only_says(&self) -> bool {
        false
    }

    /// A conversation with the systemd that runs this machine.
    fn systemd(&self) -> Result<Systemd> {
        bail!("there is no systemd to be asked here")
    }

    /// The journal of systemd, if the standard error of this process leads there.
    fn journal(&self) -> Option<Journal> {
        None
    }

    /// The service manager that started this process, if it wants to know how far it is.
    fn service_manager(&self) -> Option<ServiceManager> {
        None
    }

    /// Says something in the log of the kernel, where there is no other yet: on one line, and as well as it goes.
    fn log_to_kernel(&self, _line: &str) {}

    /// Opens a block device, which is no link to one.
    fn open_disk(&self, path: &Path, access: DiskAccess) -> Result<Box<dyn Disk>>;

    /// Has an XFS or a btrfs grow to the size of its device; whether it was smaller.
    fn grow_file_system(&self, device: &Path, kind: &str) -> Result<bool>;

    /// Mounts a block device with a file system of this kind, perhaps read-only, and where nobody else can see it.
    /// It is unmounted when the handle is closed.
    fn mount_detached(&self, device: &Path, kind: &str, read_only: bool) -> Result<OwnedFd>;

    /// Mounts the file system of this kind that a file holds, read-only and where nobody else can see it. Nothing is left
    /// of it when the handle is closed.
    fn mount_image(&self, _file: BorrowedFd<'_>, _kind: &str) -> Result<OwnedFd> {
        bail!("images cannot be mounted here")
    }

    /// Mounts something at a directory, where everybody sees it.
    fn mount(&self, new: &NewMount, at: BorrowedFd<'_>) -> Result<()>;

    /// The mount that holds a directory: the one on top, if it is a mount point.
    fn mounted(&self, directory: BorrowedFd<'_>) -> Result<Mounted>;

    /// A variable of the environment of this process.
    fn variable(&self, name: &str) -> Option<OsString>;

    /// The time.
    fn now(&self) -> SystemTime;

    /// Fills a buffer with random bytes fit for keys.
    fn random(&self, buffer: &mut [u8]);

    /// Sets the owner of an open file; the fake host only remembers it, so that tests run as any user.
    fn set_owner(&self, file: BorrowedFd<'_>, owner: super::Owner) -> Result<()>;

    /// The owner of a file as `set_owner` would have it: `found` is what the kernel says of device and inode.
    /// Device and inode `u64::MAX` stand for a file that does not exist yet, and `found` for this process.
    fn owner(&self, device: u64, inode: u64, found: super::Owner) -> super::Owner;

    /// Whether the tree at `root` is the one that the running machine lives in, so that its host name may be
    /// set. A host of tests may say yes for any tree.
    fn lives_in(&self, root: &Path) -> bool {
        root == Path::new("/")
    }

    /// The processor architecture by Go's name: `amd64`, `arm64`, `riscv64`.
    fn architecture(&self) -> &'static str;
}
