//! The only door to the machine: files below a root, commands in it, and the kernel through [`Host`].
//!
//! Every path is taken to lie below the root, whatever `..` and links it contains. Every change is recorded
//! as an [`Effect`]; what is so already is recorded as unchanged and left untouched.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests look at files from outside"))]

mod block;
mod block_device;
mod cause;
mod change;
mod command;
mod compare;
mod copy;
mod diff;
mod digest;
mod entries;
mod file;
mod host;
pub mod http;
mod image_file;
mod journal;
mod kernel;
mod live;
mod lock;
mod loop_device;
mod metadata;
mod module;
mod mount;
mod namespace;
mod overlay;
mod process;
mod read;
mod read_to_write;
mod replace;
mod resolve;
#[cfg(test)]
mod scratch;
mod service_manager;
mod space;
pub mod stop;
mod stream;
mod sync;
mod sys;
mod systemd;
mod temporary;
mod tree;
mod unpack;
mod walk;
mod write;

pub use block::{Disk, DiskAccess, ReadAt};
pub use command::{Command, Interrupted, NoChroot, NoProgram, Output, TooSlow};
pub use compare::Kept;
pub use file::File;
pub use host::Host;
pub use journal::Journal;
pub use live::Live;
pub use lock::{Held, Lock};
pub use metadata::{Kind, Metadata, Owner};
#[cfg(any(test, feature = "testing"))]
pub(crate) use module::Refused;
pub use module::{Image, Module};
pub use mount::{Directory, InUse, Mounted, NewMount};
pub use namespace::{PrivateMounts, enter, private_mounts};
pub use service_manager::ServiceManager;
pub use space::{FreeSpace, is_full, is_read_only};
pub use stop::stop_requested;
pub use stream::Sink;
pub use sync::Passing;
pub use systemd::{Door, Job, Limits, Refusal, Systemd};
pub use walk::{BLOCK, Thing};

use crate::effect::{Before, Diff};
use crate::{Action, Effect};
use anyhow::{Context as _, Result, anyhow, bail};
use cause::Cause;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag, OpenHow, openat2};
use resolve::{Place, Route};
use std::cell::{Cell, RefCell};
use std::fmt;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tree::{Dir, Tree};

/// Whether changes happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    Apply,
    /// They are written to memory only, where later reads find them; no command runs.
    Plan,
}

/// A machine, or a tree that will be one.
pub struct System {
    /// As it was given.
    root: PathBuf,
    /// The same, independent of the current directory: where commands are chrooted to.
    absolute: PathBuf,
    tree: Rc<Tree>,
    /// Where paths begin.
    base: Dir,
    effects: RefCell<Vec<Effect>>,
    has_shell: Cell<bool>,
}

impl System {
    /// The tree below `root`, on the machine that `host` speaks for.
    pub fn new(root: &Path, host: Arc<dyn Host>, mode: Mode) -> Result<Self> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let handle = match openat2(AT_FDCWD, root, OpenHow::new().flags(flags)) {
            Ok(handle) => handle,
            Err(Errno::ENOSYS | Errno::EPERM) => bail!(
                "the kernel refuses openat2(2), without which files cannot be kept inside the root: Linux 5.6 \
                 is needed, and in a container a seccomp profile that allows it"
            ),
            Err(error) => {
                return Err(Cause(error)).context(format!("cannot open the root {}", root.display()));
            }
        };
        let absolute = std::path::absolute(root).context("cannot tell the current directory")?;
        let base = Dir::open(PathBuf::from("/"), handle);
        let tree = Rc::new(Tree::new(base.clone(), host, mode));
        Ok(Self::of(root.to_owned(), absolute, tree, base))
    }

    fn of(root: PathBuf, absolute: PathBuf, tree: Rc<Tree>, base: Dir) -> Self {
        Self { root, absolute, tree, base, effects: RefCell::default(), has_shell: Cell::new(false) }
    }

    /// The tree below a directory of this one, with the same host and mode: chroot hooks, new images. A plan
    /// goes on in it. Its effects are its own.
    pub fn reroot(&self, dir: &Path) -> Result<Self> {
        let enter = || -> Result<Dir> {
            let route = Route { follow_last: true, any_link: false, parents: None };
            match self.tree.resolve(&self.base, dir, route, &mut Vec::new())? {
                Some(Place { dir, name: Some(name), found: Some(found) }) => match found.kind() {
                    Kind::Directory => Ok(self.tree.enter(&dir, &name)?),
                    kind => Err(anyhow!("it is {kind}, not a directory")),
                },
                Some(Place { dir, name: None, .. }) => Ok(dir),
                _ => Err(Cause(Errno::ENOENT).into()),
            }
        };
        let base = enter().with_context(|| format!("cannot open the root {}", dir.display()))?;
        let inside = base.path.strip_prefix(&self.base.path).unwrap_or(&base.path);
        let join =
            |root: &Path| if inside.as_os_str().is_empty() { root.to_owned() } else { root.join(inside) };
        Ok(Self::of(join(&self.root), join(&self.absolute), Rc::clone(&self.tree), base.clone()))
    }

    /// The root as it was given.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether changes happen.
    pub fn mode(&self) -> Mode {
        if self.tree.is_disk() { Mode::Apply } else { Mode::Plan }
    }

    /// The machine underneath: kernel, processes, clock, randomness.
    pub fn host(&self) -> &dyn Host {
        &*self.tree.host
    }

    /// The same, to be shared with the System of another tree.
    pub fn shared_host(&self) -> Arc<dyn Host> {
        Arc::clone(&self.tree.host)
    }

    /// The effects since the last call.
    pub fn take_effects(&self) -> Vec<Effect> {
        self.effects.take()
    }

    /// Whether the root has a shell that commands can be given to.
    pub fn has_shell(&self) -> bool {
        let executable = |found: Metadata| found.kind == Kind::File && found.mode & 0o111 != 0;
        // A shell that is missing may still come.
        if !self.has_shell.get() {
            self.has_shell.set(matches!(self.metadata("/bin/sh"), Ok(Some(found)) if executable(found)));
        }
        self.has_shell.get()
    }

    /// Runs a command that only looks, and changes nothing: the same as [`System::run`] without the effect.
    pub fn ask(&self, command: &Command) -> Result<Option<Output>> {
        let output = match self.mode() {
            Mode::Plan => Ok(None),
            Mode::Apply => {
                let begun = Instant::now();
                let output = self.tree.host.run(&self.absolute, command);
                self.tree.programs.set(self.tree.programs.get() + begun.elapsed());
                output.map(Some)
            }
        };
        output.map_err(|error| self.missing_shell(error, command))
    }

    /// Waits for what a program does that was not started here, such as udev: like [`System::run`] that is no time of
    /// its own. [`Interrupted`] when this process was told to stop.
    pub fn wait_for_others(&self, duration: Duration) -> Result<(), Interrupted> {
        let begun = Instant::now();
        let waited = self.tree.host.pause(duration);
        self.tree.programs.set(self.tree.programs.get() + begun.elapsed());
        waited
    }

    /// How long programs were waited for so far, in this tree and in those below it.
    pub fn time_of_programs(&self) -> Duration {
        self.tree.programs.get()
    }

    /// Runs a command inside the root and waits for it. In plan mode nothing runs and `None` is returned.
    /// A command that cannot be started is an error ([`NoProgram`], [`NoChroot`]); one that ends badly is not:
    /// look at the output. [`Interrupted`] when this process was told to stop.
    pub fn run(&self, command: &Command) -> Result<Option<Output>> {
        let output = self.ask(command);
        // One that was interrupted has run, too.
        if output.as_ref().map_or_else(|error| error.is::<Interrupted>(), |_| true) {
            self.push(Action::Run, command.label().to_owned(), true, None);
        }
        output
    }

    /// Asks a server: see [`http::open`]. In plan mode nobody is asked and `None` is returned. To have told a
    /// server something is an effect, which a view of a machine does not have.
    pub fn fetch(&self, request: &http::Request) -> Result<Option<http::Response>> {
        let tells = request.method == http::Method::Post;
        let response = match self.mode() {
            Mode::Plan => None,
            Mode::Apply if tells && self.host().only_says() => None,
            Mode::Apply => Some(http::open(self.host(), request)?),
        };
        if tells {
            self.push(Action::Send, request.shown(), true, None);
        }
        Ok(response)
    }

    /// The whole body behind an address: see [`http::body`]. In plan mode nobody is asked and `None` is
    /// returned.
    pub fn fetch_body(&self, request: &http::Request) -> Result<Option<Vec<u8>>> {
        match self.mode() {
            Mode::Plan => Ok(None),
            Mode::Apply => http::body(self.host(), request).map(Some),
        }
    }

    /// A conversation with the running systemd. In plan mode and in a view of a machine nobody is asked, and `None` is
    /// returned.
    pub fn systemd(&self) -> Result<Option<Systemd>> {
        match self.mode() {
            _ if self.host().only_says() => Ok(None),
            Mode::Plan => Ok(None),
            Mode::Apply => self.tree.host.systemd().map(Some),
        }
    }

    /// Records what the running systemd was asked for, and whether it changed anything.
    pub fn record_systemd(&self, request: String, changed: bool) {
        self.push(Action::Systemd, request, changed, None);
    }

    /// That the root has no shell says more than that it could not be run, which is found out first.
    fn missing_shell(&self, error: anyhow::Error, command: &Command) -> anyhow::Error {
        match command.argv().next() {
            Some(program) if error.is::<NoChroot>() && program == "/bin/sh" && !self.has_shell() => {
                NoProgram { program: program.into() }.into()
            }
            _ => error,
        }
    }

    /// The name of the running machine, or the one that it would have after this plan.
    pub fn hostname(&self) -> Result<String> {
        let planned = self.tree.overlay.as_ref().and_then(|overlay| overlay.borrow().hostname.clone());
        planned.map_or_else(|| self.tree.host.hostname(), Ok)
    }

    /// Sets the name of the running machine, if the root is its own; otherwise nothing happens, which is no
    /// effect either.
    pub fn set_hostname(&self, name: &str) -> Result<bool> {
        if name.is_empty() {
            bail!("an empty host name");
        }
        if !self.is_own_kernel() {
            return Ok(false);
        }
        let changed = self.hostname()? != name;
        if let Some(overlay) = &self.tree.overlay {
            overlay.borrow_mut().hostname = Some(name.to_owned());
        } else if changed {
            self.tree.host.set_hostname(name)?;
        }
        self.push(Action::SetHostname, name.to_owned(), changed, None);
        Ok(changed)
    }

    /// Records what a program has done, where several commands are one thing to a person, or has found done.
    pub fn done(&self, action: Action, target: String, changed: bool) {
        self.push(action, target, changed, None);
    }

    /// Opens a block device, which is no link to one. A plan only reads.
    pub fn disk(&self, path: &Path, access: DiskAccess) -> Result<Box<dyn Disk>> {
        if self.mode() == Mode::Plan && access == DiskAccess::Write {
            bail!("a plan does not write to {}", path.display());
        }
        self.tree.host.open_disk(path, access).with_context(|| path.display().to_string())
    }

    /// Has the file system on a device grow to its size, an XFS or a btrfs, mounted or not. Without effect in plan
    /// mode.
    pub fn grow_file_system(&self, device: &Path, kind: &str) -> Result<()> {
        let changed = match self.mode() {
            Mode::Plan => true,
            Mode::Apply => {
                self.tree.host.grow_file_system(device, kind).with_context(|| device.display().to_string())?
            }
        };
        self.push(Action::GrowFileSystem, device.display().to_string(), changed, None);
        Ok(())
    }

    /// Records what was done, or in a plan would be, with what a person sees of it.
    pub fn done_as_shown(&self, action: Action, target: String, changed: bool, diff: Option<Diff>) {
        self.push(action, target, changed, diff);
    }

    fn record(&self, action: Action, path: &Path, changed: bool, diff: Option<Diff>) {
        self.push(action, path.display().to_string(), changed, diff);
    }

    fn push(&self, action: Action, target: String, changed: bool, diff: Option<Diff>) {
        let before = Before::Unknown;
        self.effects.borrow_mut().push(Effect { action, target, changed, diff, before });
    }

    /// Notes what the latest effect has changed.
    fn note_before(&self, found: Option<&tree::Found>) {
        let before = match found {
            None => Before::Nothing,
            Some(found) if found.metadata.mode & 0o004 == 0 => Before::File,
            Some(found) => Before::Bytes(found.metadata.size.try_into().unwrap_or(u32::MAX)),
        };
        if let Some(latest) = self.effects.borrow_mut().last_mut() {
            latest.before = before;
        }
    }
}

impl fmt::Debug for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("System").field("root", &self.root).field("mode", &self.mode()).finish_non_exhaustive()
    }
}
