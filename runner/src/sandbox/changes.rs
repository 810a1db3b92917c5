//! What differs between the view and the machine: found by a walk over what was written, compared with what
//! was there.
//!
//! Compared are kind, content, mode and owner; times and extended attributes are not. A file that was written
//! but is as it was is no change.

use super::View;
use super::compare::{Side, attributes, diff, same};
use super::host::foreign_is_root;
use super::layers::{Base, Layer};
use anyhow::{Context as _, Result};
use cosette_plugins::effect::Diff;
use cosette_plugins::system::{Kind, Metadata, Owner};
use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Everything that is different in the view.
#[derive(Debug, Default)]
pub struct Changes {
    /// By path.
    pub files: Vec<Change>,
    /// The host name before and after, if it was changed.
    pub hostname: Option<(String, String)>,
}

/// One path that is different.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Where.
    pub path: PathBuf,
    /// What happened, at most: what was modified may have another mode and owner too.
    pub kind: ChangeKind,
    /// What was there; nothing when it was created.
    pub before: Option<Metadata>,
    /// What is there; nothing when it was removed.
    pub after: Option<Metadata>,
    /// The content or target before and after, of files and links whose content changed; without it for
    /// directories and devices. Empty after removal.
    pub diff: Option<Diff>,
}

/// What happened to a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// There was nothing.
    Created,
    /// It is of another kind, or has another content or target.
    Modified,
    /// Only its mode or owner are others.
    Attributes,
    /// There is nothing any more. What was below a directory is not told of.
    Removed,
}

impl ChangeKind {
    /// The word for it in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Modified => "modified",
            Self::Attributes => "attributes",
            Self::Removed => "removed",
        }
    }
}

/// The owner that a file is said to have, by device and inode and what the kernel says (see `Host::owner`).
pub type OwnerOf<'a> = &'a dyn Fn(u64, u64, Owner) -> Owner;

/// Locks that stay behind, by convention; they matter only when they have content.
const LOCKS: [&str; 1] = ["/etc/.pwd.lock"];

impl View {
    /// What was changed in the view so far.
    pub fn changes(&self, owner_of: OwnerOf<'_>) -> Result<Changes> {
        let mut walk = Walk { view: self, owner_of, found: Vec::new() };
        for layer in &self.layers {
            let upper = self.in_store(&layer.upper);
            if layer.at != Path::new("/") {
                walk.attributes_of(layer, &upper)?;
            }
            let public = walk.reachable(&layer.at);
            walk.directory(layer, &layer.at, &upper, public)?;
        }
        walk.found.sort_by(|a, b| a.path.cmp(&b.path));
        let hostname = nix::unistd::gethostname().context("cannot ask for the host name")?;
        let hostname = hostname.to_string_lossy().into_owned();
        let changed = hostname != self.hostname;
        Ok(Changes { files: walk.found, hostname: changed.then(|| (self.hostname.clone(), hostname)) })
    }
}

struct Walk<'a> {
    view: &'a View,
    owner_of: OwnerOf<'a>,
    found: Vec<Change>,
}

impl Walk<'_> {
    /// Compares a directory, of which `upper` holds what was written. `public` tells whether everybody may
    /// look into it.
    fn directory(&mut self, layer: &Layer, at: &Path, upper: &Path, public: bool) -> Result<()> {
        let mut seen = BTreeSet::new();
        for entry in std::fs::read_dir(upper).with_context(|| format!("cannot list {}", at.display()))? {
            let name = entry.with_context(|| format!("cannot list {}", at.display()))?.file_name();
            let (path, upper) = (at.join(&name), upper.join(&name));
            seen.insert(name);
            let mounted =
                layer.scaffold.contains(&path) || self.view.layers.iter().any(|other| other.at == path);
            if !mounted {
                self.entry(layer, &path, &upper, public)?;
            }
        }
        for name in self.gone(layer, at, upper, &seen)? {
            let path = at.join(name);
            if let Some(before) = self.before(layer, &path)? {
                self.removed(path, &before, public);
            }
        }
        Ok(())
    }

    fn entry(&mut self, layer: &Layer, path: &Path, upper: &Path, public: bool) -> Result<()> {
        let before = self.before(layer, path)?;
        let Some(after) = self.after(path, upper)? else {
            if let Some(before) = before {
                self.removed(path.to_owned(), &before, public);
            }
            return Ok(());
        };
        let ours = layer.untouched(&after.kernel) || before.is_none() && layer.was_seeded(&after.kernel);
        let locked = LOCKS.iter().any(|lock| path == Path::new(lock)) && after.metadata.size == 0;
        if !(ours || locked && before.is_none()) {
            self.compare(layer, path, before.as_ref(), &after, public)?;
        }
        if after.metadata.kind == Kind::Directory {
            self.directory(layer, path, upper, public && searchable(&after.metadata))?;
        }
        Ok(())
    }

    fn compare(
        &mut self,
        layer: &Layer,
        path: &Path,
        before: Option<&Side>,
        after: &Side,
        public: bool,
    ) -> Result<()> {
        let kind = match before {
            None => ChangeKind::Created,
            Some(before) if !same(before, after, layer.stand_ins.get(path))? => ChangeKind::Modified,
            Some(before) if before.metadata.mode != after.metadata.mode => ChangeKind::Attributes,
            Some(before) if before.metadata.owner != after.metadata.owner => ChangeKind::Attributes,
            Some(_) => return Ok(()),
        };
        let diff = match (kind, before) {
            (ChangeKind::Attributes, Some(before)) => {
                Some(Diff::Attributes(attributes(&before.metadata, &after.metadata)))
            }
            _ => diff(before, Some(after), public),
        };
        let before = before.map(|before| before.metadata);
        self.found.push(Change { path: path.to_owned(), kind, before, after: Some(after.metadata), diff });
        Ok(())
    }

    fn removed(&mut self, path: PathBuf, before: &Side, public: bool) {
        let diff = diff(Some(before), None, public);
        let (kind, before) = (ChangeKind::Removed, Some(before.metadata));
        self.found.push(Change { path, kind, before, after: None, diff });
    }

    /// Compares the directory at the top of a layer itself.
    fn attributes_of(&mut self, layer: &Layer, upper: &Path) -> Result<()> {
        let before = self.side(self.view.on_machine(&layer.at))?;
        let after = self.after(&layer.at, upper)?;
        if let (Some(before), Some(after)) = (before, after) {
            self.compare(layer, &layer.at, Some(&before), &after, true)?;
        }
        Ok(())
    }

    /// The names that were in a directory and are not any more, without those hidden by an entry of the upper
    /// layer, which `entry` sees.
    fn gone(
        &self,
        layer: &Layer,
        at: &Path,
        upper: &Path,
        seen: &BTreeSet<OsString>,
    ) -> Result<BTreeSet<OsString>> {
        match &layer.base {
            Base::Copies(copies) => {
                let inside = copies.iter().filter(|path| path.parent() == Some(at));
                let names = inside.filter_map(|path| path.file_name()).map(OsString::from);
                Ok(names.filter(|name| !seen.contains(name)).collect())
            }
            Base::Overlay => {
                let made =
                    std::fs::metadata(upper).with_context(|| format!("cannot look at {}", at.display()))?;
                // Only a directory that was made anew can hide what is below it without saying so.
                if at == layer.at || layer.was_seeded(&made) {
                    return Ok(BTreeSet::new());
                }
                let (before, after) = (names(&self.view.on_machine(at))?, names(at)?);
                Ok(before.into_iter().filter(|name| !after.contains(name) && !seen.contains(name)).collect())
            }
        }
    }

    /// What was at a path of the view at the beginning.
    fn before(&self, layer: &Layer, path: &Path) -> Result<Option<Side>> {
        if layer.shows(path) { self.side(self.view.on_machine(path)) } else { Ok(None) }
    }

    /// What is at a path of the view, as the upper layer has it.
    fn after(&self, path: &Path, upper: &Path) -> Result<Option<Side>> {
        let Some(mut side) = self.side(upper.to_owned())? else { return Ok(None) };
        if side.kernel.file_type().is_char_device() && side.kernel.rdev() == 0 {
            return Ok(None);
        }
        // Programs of the view know the file by other numbers than those of the upper layer.
        if let Ok(seen) = std::fs::symlink_metadata(path) {
            let found = Owner { uid: seen.uid(), gid: seen.gid() };
            side.metadata.owner = (self.owner_of)(seen.dev(), seen.ino(), found);
        }
        Ok(Some(side))
    }

    fn side(&self, path: PathBuf) -> Result<Option<Side>> {
        let kernel = match std::fs::symlink_metadata(&path) {
            Ok(kernel) => kernel,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            // A directory was put where a file is.
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => return Ok(None),
            Err(error) => return Err(error).context("cannot compare the view with the machine"),
        };
        let mut owner = Owner { uid: kernel.uid(), gid: kernel.gid() };
        if self.view.pretends_owners() {
            owner = foreign_is_root(owner);
        }
        let file_type = kernel.file_type();
        let kind = match () {
            () if file_type.is_symlink() => Kind::Symlink,
            () if file_type.is_dir() => Kind::Directory,
            () if file_type.is_file() => Kind::File,
            () => Kind::Other,
        };
        let metadata = Metadata { kind, mode: kernel.mode() & 0o7777, owner, size: kernel.len() };
        Ok(Some(Side { path, kernel, metadata }))
    }

    /// Whether everybody may look into a directory, on the machine and now.
    fn reachable(&self, at: &Path) -> bool {
        at.ancestors().all(|directory| {
            let open = |path: &Path| std::fs::metadata(path).map_or(true, |found| found.mode() & 0o001 != 0);
            open(directory) && open(&self.view.on_machine(directory))
        })
    }
}

fn searchable(directory: &Metadata) -> bool {
    directory.mode & 0o001 != 0
}

fn names(directory: &Path) -> Result<BTreeSet<OsString>> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Ok(BTreeSet::new()) };
    Ok(entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<_, _>>()?)
}
