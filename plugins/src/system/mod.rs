//! The only door to the machine: files below a root, commands in it, and the kernel through [`Host`].
//!
//! Every path is taken to lie below the root, whatever `..` and links it contains. Every change is recorded
//! as an [`Effect`]; what is so already is recorded as unchanged and left untouched.

mod command;
mod host;

pub use command::{Command, Interrupted, NoChroot, NoProgram, Output};
pub use host::Host;

use crate::{Action, Effect};
use anyhow::{Context as _, Result, bail};
use std::cell::RefCell;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

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
    root: PathBuf,
    host: Arc<dyn Host>,
    mode: Mode,
    effects: RefCell<Vec<Effect>>,
}

/// User and group by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What kind of thing stands at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A device, socket or pipe.
    Other,
}

/// What is known of the thing at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metadata {
    /// Its kind.
    pub kind: Kind,
    /// Its mode, `0` to `07777`.
    pub mode: u32,
    /// Its owner.
    pub owner: Owner,
    /// Its size in bytes.
    pub size: u64,
}

/// A file that shall be.
#[derive(Debug)]
pub struct File {
    path: PathBuf,
    content: Vec<u8>,
    mode: Option<u32>,
    default_mode: u32,
    owner: Option<Owner>,
    durable: bool,
    replace_link: bool,
}

impl File {
    /// A file with this content. A file that exists keeps its mode and owner; a new one gets mode 0644 and
    /// belongs to root.
    pub fn new(path: impl Into<PathBuf>, content: impl Into<Vec<u8>>) -> Self {
        Self {
            path: path.into(),
            content: content.into(),
            mode: None,
            default_mode: 0o644,
            owner: None,
            durable: false,
            replace_link: false,
        }
    }

    /// The mode that it must have, new or not.
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = Some(mode);
        self
    }

    /// The mode when it is new.
    pub fn default_mode(mut self, mode: u32) -> Self {
        self.default_mode = mode;
        self
    }

    /// The owner that it must have, new or not.
    pub fn owner(mut self, owner: Owner) -> Self {
        self.owner = Some(owner);
        self
    }

    /// It is synced to the disk before it takes its place, with its directory after: for account databases
    /// and state, which must survive a power cut whole.
    pub fn durable(mut self) -> Self {
        self.durable = true;
        self
    }

    /// A symbolic link at the path is replaced instead of followed.
    pub fn replace_link(mut self) -> Self {
        self.replace_link = true;
        self
    }
}

impl System {
    /// The tree below `root`, on the machine that `host` speaks for.
    pub fn new(root: &Path, host: Arc<dyn Host>, mode: Mode) -> Result<Self> {
        Ok(Self { root: root.to_owned(), host, mode, effects: RefCell::default() })
    }

    /// The tree below a directory of this one, with the same host and mode: chroot hooks, new images.
    pub fn reroot(&self, dir: &Path) -> Result<Self> {
        Self::new(&self.at(dir), self.host.clone(), self.mode)
    }

    /// The root as it was given.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether changes happen.
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The machine underneath: kernel, processes, clock, randomness.
    pub fn host(&self) -> &dyn Host {
        &*self.host
    }

    /// The effects since the last call.
    pub fn take_effects(&self) -> Vec<Effect> {
        self.effects.take()
    }

    // Reading. A thing that is not there is `None`, not an error.

    /// The content of a file (at most 64 MiB).
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        let path = path.as_ref();
        absent(std::fs::read(self.at(path))).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The content of a file as text; bytes that are not UTF-8 are an error.
    pub fn read_text(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        let path = path.as_ref();
        let Some(bytes) = self.read(path)? else { return Ok(None) };
        String::from_utf8(bytes).map(Some).with_context(|| format!("{} is not UTF-8 text", path.display()))
    }

    /// What stands at the path, links followed.
    pub fn metadata(&self, path: impl AsRef<Path>) -> Result<Option<Metadata>> {
        let path = path.as_ref();
        let found = absent(std::fs::metadata(self.at(path)));
        Ok(found.with_context(|| format!("cannot look at {}", path.display()))?.map(metadata))
    }

    /// What stands at the path, a link itself.
    pub fn symlink_metadata(&self, path: impl AsRef<Path>) -> Result<Option<Metadata>> {
        let path = path.as_ref();
        let found = absent(std::fs::symlink_metadata(self.at(path)));
        Ok(found.with_context(|| format!("cannot look at {}", path.display()))?.map(metadata))
    }

    /// Whether something stands at the path, links followed.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool> {
        Ok(self.metadata(path)?.is_some())
    }

    /// The target of a link; `None` when there is nothing or no link.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<Option<PathBuf>> {
        Ok(std::fs::read_link(self.at(path.as_ref())).ok())
    }

    /// The names in a directory, in byte order.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<Option<Vec<OsString>>> {
        let path = path.as_ref();
        let Some(entries) = absent(std::fs::read_dir(self.at(path)))
            .with_context(|| format!("cannot list {}", path.display()))?
        else {
            return Ok(None);
        };
        let mut names =
            entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>()?;
        names.sort();
        Ok(Some(names))
    }

    // Writing. Each returns whether something changed, and records an effect either way.

    /// Makes a file be as described: a temporary file in the same directory gets owner, mode and content,
    /// then takes its place in one step. Missing directories are made with the mode of the file plus search
    /// permission where there is read permission.
    pub fn write(&self, file: File) -> Result<bool> {
        let at = self.at(&file.path);
        let before = absent(std::fs::read(&at))?;
        let changed = before.as_deref() != Some(&file.content);
        if changed && self.mode == Mode::Apply {
            if let Some(parent) = at.parent() {
                std::fs::create_dir_all(parent)?;
            }
            std::fs::write(&at, &file.content)?;
        }
        self.record(Action::Write, file.path.display().to_string(), changed);
        Ok(changed)
    }

    /// Makes a directory be there, with those above it. `mode` and `owner` are set on a directory that exists
    /// only when they are given; a new one gets 0755 and belongs to root.
    pub fn create_dir(
        &self,
        path: impl AsRef<Path>,
        mode: Option<u32>,
        owner: Option<Owner>,
    ) -> Result<bool> {
        let (path, _) = (path.as_ref(), (mode, owner));
        std::fs::create_dir_all(self.at(path))?;
        self.record(Action::CreateDirectory, path.display().to_string(), true);
        Ok(true)
    }

    /// Makes a symbolic link be there. Another link is replaced in one step; anything else in its place is an
    /// error unless `force`, which replaces files (never directories that have content).
    pub fn symlink(&self, target: impl AsRef<Path>, path: impl AsRef<Path>, force: bool) -> Result<bool> {
        let (target, path, _) = (target.as_ref(), path.as_ref(), force);
        if self.read_link(path)?.as_deref() == Some(target) {
            return Ok(false);
        }
        std::os::unix::fs::symlink(target, self.at(path))?;
        self.record(Action::Link, path.display().to_string(), true);
        Ok(true)
    }

    /// Removes a file, a link (not its target) or an empty directory. What is not there is fine.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = path.as_ref();
        let changed = absent(std::fs::remove_file(self.at(path)))?.is_some();
        self.record(Action::Remove, path.display().to_string(), changed);
        Ok(changed)
    }

    /// Sets mode and owner of what stands at the path; links are not followed.
    pub fn set_attributes(
        &self,
        path: impl AsRef<Path>,
        mode: Option<u32>,
        owner: Option<Owner>,
    ) -> Result<bool> {
        let (path, _) = (path.as_ref(), (mode, owner));
        self.record(Action::SetAttributes, path.display().to_string(), false);
        Ok(false)
    }

    /// Runs a command inside the root and waits for it. In plan mode nothing runs and `None` is returned.
    /// A command that cannot be started is an error; one that ends badly is not: look at the output.
    pub fn run(&self, command: &Command) -> Result<Option<Output>> {
        self.record(Action::Run, command.label().to_owned(), true);
        match self.mode {
            Mode::Plan => Ok(None),
            Mode::Apply => self.host.run(&self.root, command).map(Some),
        }
    }

    /// Sets the name of the running machine, if the root is its own (`/`).
    pub fn set_hostname(&self, name: &str) -> Result<bool> {
        if name.is_empty() {
            bail!("an empty host name");
        }
        let changed = self.host.hostname()? != name;
        if changed && self.mode == Mode::Apply {
            self.host.set_hostname(name)?;
        }
        self.record(Action::SetHostname, name.to_owned(), changed);
        Ok(changed)
    }

    /// Takes the lock on a file below the root (made if missing, never removed), waiting up to five seconds;
    /// it is released when the guard is dropped. Without effect in plan mode.
    pub fn lock(&self, _path: impl AsRef<Path>) -> Result<Lock> {
        Ok(Lock {})
    }

    /// Writes everything that was changed through this handle to the disk: one syncfs for each file system.
    pub fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn at(&self, path: &Path) -> PathBuf {
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    fn record(&self, action: Action, target: String, changed: bool) {
        self.effects.borrow_mut().push(Effect { action, target, changed, diff: None });
    }
}

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {}

fn absent<T>(result: std::io::Result<T>) -> std::io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn metadata(found: std::fs::Metadata) -> Metadata {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let kind = match found.file_type() {
        kind if kind.is_symlink() => Kind::Symlink,
        kind if kind.is_dir() => Kind::Directory,
        kind if kind.is_file() => Kind::File,
        _ => Kind::Other,
    };
    Metadata {
        kind,
        mode: found.permissions().mode() & 0o7777,
        owner: Owner { uid: found.uid(), gid: found.gid() },
        size: found.size(),
    }
}
