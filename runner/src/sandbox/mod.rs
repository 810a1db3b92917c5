//! A throw-away, copy-on-write view of a machine, in which `cosette try` runs a stage.
//!
//! [`enter`] starts this program again, with the same arguments, as the first process of its own namespaces.
//! There [`Inside::build`] makes the view and takes it as its root directory: whatever runs afterwards reads the
//! machine's files and writes to memory. [`View::changes`] tells what was written. With the last process the
//! view is gone.
//!
//! # What is isolated
//! - **Files.** Every directory below the root is an overlay whose upper layer is a tmpfs of at most a quarter
//!   of the memory. What the kernel refuses as a lower layer is bound read-only, and [`View::notes`] says so.
//! - **The kernel.** `/sys` and the writable parts of `/proc` are read-only, but for the host name;
//!   what a stage does by `sysctl` and `modules` is pretended. The user
//!   namespace is there for root too, with every id mapped to itself: loading modules, setting the clock,
//!   mounting disks and making device nodes are refused by the kernel, everything else works. A restart or
//!   shut-down ends the view.
//! - **Processes**, System V IPC and message queues, mounts and the host name.
//! - **Daemons.** `/run` starts empty but for `/run/cos` and its like, so that no socket of systemd, D-Bus or a container
//!   engine can be reached by its path, and nothing takes the view for a machine that systemd manages.
//! - **Devices.** `/dev` has `null`, `zero`, `full`, `random`, `urandom`, `tty` and terminals; no disks.
//!
//! # What is not
//! - **The network**, unless [`Options::network`] is false: downloads work, and so does whatever listens on
//!   the loopback interface or on abstract sockets.
//! - It protects from what a stage does to the machine it is tried on, not from a program that wants to break
//!   out: it is not a jail for hostile code.
//!
//! # As an ordinary user
//! Only one id exists in the namespace, the user's own, which is root there; files of all others seem to
//! belong to `nobody`, and the kernel copies none of them up. So the directories are made in the upper layer
//! beforehand (all of them, below `/usr` those of the first levels and of `/usr/local`), and so are the
//! files of `/etc`, `/oem` and `/system`: there everything works; elsewhere foreign files can be replaced and removed but
//! not changed in place. What the user may not read is empty in the view, and noted. Owners are pretended: see
//! [`ViewHost`].
//!
//! **Invariant:** nothing here prints, and nothing writes outside the namespaces: the only writes on the
//! machine's side are the id maps of the view's own user namespace, and what [`View::keep`] is asked to keep.

#![allow(clippy::disallowed_methods, reason = "this makes the root in which a System will act")]

mod changes;
mod compare;
mod host;
mod identities;
mod keep;
mod kernel;
mod layers;
mod mounts;
mod refusal;
mod run;
mod seed;
mod shell;
mod supervise;
mod view;

pub use changes::{Change, ChangeKind, Changes, OwnerOf};
pub use host::{Said, ViewHost};
pub use view::View;

use anyhow::{Context as _, Result, bail};
use identities::Identities;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{SigSet, Signal};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The variable of the environment that tells a process which part it plays; meant for nobody else. It does
/// no harm when it leaks: a process believes it only if it finds itself in namespaces of its own.
pub const MARKER: &str = "COSETTE_VIEW";

/// What the view shares with the machine.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Whether the network of the machine can be used.
    pub network: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self { network: true }
    }
}

/// Which process this is, after [`enter`].
#[derive(Debug)]
pub enum Entry {
    /// The one that was started by the user: the other one has done everything and ended with this status.
    Done(i32),
    /// The one that shall do the work.
    Inside(Inside),
}

/// Namespaces of one's own, in which the files are still the machine's.
#[derive(Debug)]
pub struct Inside {
    network: bool,
}

/// Enters new namespaces. To be called first, while the process has a single thread and has done nothing:
/// everything up to this call happens twice.
///
/// An error is one sentence that says what to do when namespaces are forbidden.
pub fn enter(options: Options) -> Result<Entry> {
    let part = std::env::var(MARKER).unwrap_or_default();
    if part == identities::WRITER {
        identities::write_for_parent()?;
        return Ok(Entry::Done(0));
    }
    if let Some(outside) = part.strip_prefix("inside ")
        && std::process::id() == 1
        && outside != user_namespace()?
    {
        return inside(options).map(Entry::Inside);
    }
    outside().map(Entry::Done)
}

/// The half on the machine's side.
fn outside() -> Result<i32> {
    let machine = user_namespace()?;
    let identities = Identities::prepare()?;
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWPID)
        .map_err(|errno| refusal::explain(errno, "make namespaces"))?;
    identities.write()?;
    let mut again = this_program();
    again.args(std::env::args_os().skip(1)).env(MARKER, format!("inside {machine}"));
    supervise::run(again)
}

/// The first process of the new process namespace. The mounts are made private here, by the process that
/// mounts, so that no mistake on the other side can make it mount on the machine.
fn inside(options: Options) -> Result<Inside> {
    SigSet::all().thread_unblock().context("cannot receive signals")?;
    nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("cannot arrange to end with the parent")?;
    let namespaces = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWUTS | CloneFlags::CLONE_NEWIPC;
    unshare(namespaces).map_err(|errno| refusal::explain(errno, "make namespaces"))?;
    mounts::make_private()?;
    Ok(Inside { network: options.network })
}

impl Inside {
    /// A directory in memory, seen by this process alone: for a tree that is to be viewed, and is nowhere yet.
    pub fn scratch(&self) -> Result<PathBuf> {
        layers::scratch()
    }

    /// Builds the view of the tree at `root` and makes it the root directory of this process. Files of the
    /// machine that are not part of the tree are out of reach afterwards: read the documents before.
    pub fn build(self, root: &Path) -> Result<View> {
        // Not before: a tree may have been fetched.
        if !self.network {
            unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| refusal::explain(errno, "make namespaces"))?;
        }
        View::build(root, self.network)
    }
}

/// This program, by the name that it was called.
fn this_program() -> Command {
    let mut command = Command::new("/proc/self/exe");
    if let Some(name) = std::env::args_os().next() {
        command.arg0(name);
    }
    command.stdin(Stdio::inherit());
    command
}

/// What identifies the user namespace of this process: `user:[4026531837]`.
fn user_namespace() -> Result<String> {
    match std::fs::read_link("/proc/self/ns/user") {
        Ok(namespace) => Ok(namespace.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            bail!(
                "cannot make a view of the machine: it needs /proc mounted, and a kernel with user namespaces"
            )
        }
        Err(error) => Err(error).context("cannot look at /proc/self/ns/user"),
    }
}
