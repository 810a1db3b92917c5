//! From the name of an entry to its place, what already stands there, and whiteouts.

use super::super::Kind;
use super::super::cause::Cause;
use super::super::metadata::Attributes;
use super::super::resolve::{Place, Route, open_in};
use super::super::tree::{Dir, Found};
use super::Unpacking;
use crate::image::tar::{self, Archive, Entry};
use anyhow::{Context as _, Result, bail};
use nix::fcntl::{OFlag, ResolveFlag};
use nix::unistd::{UnlinkatFlags, unlinkat};
use std::ffi::OsStr;
use std::hash::BuildHasher;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// What whiteouts begin with.
const WHITEOUT: &[u8] = b".wh.";

/// What a name means.
enum Meaning<'n> {
    /// What it says.
    Thing,
    /// The thing of that name in the same directory is gone.
    Gone(&'n OsStr),
    /// Everything that lower layers have in its directory is gone.
    AllGone,
    /// A note of a file system that builders once used.
    Note,
}

impl Unpacking<'_> {
    /// Does what an entry says.
    pub(super) fn entry(&mut self, entry: &Entry, archive: &mut Archive<impl Read>) -> Result<()> {
        let path = inside(&entry.name);
        let Some(name) = path.file_name() else {
            if entry.kind != tar::Kind::Directory {
                bail!("it is to stand in the place of the directory itself");
            }
            let base = self.base.clone();
            return self.furnish_directory(&base, entry);
        };
        match meaning(&path, name)? {
            Meaning::Note => return Ok(()),
            Meaning::Gone(name) => {
                if let Some(dir) = self.directory_of(&path, false)? {
                    self.prune(&dir, name)?;
                }
                return Ok(());
            }
            Meaning::AllGone => {
                if let Some(dir) = self.directory_of(&path, false)? {
                    for name in self.tree.names(&dir)? {
                        self.prune(&dir, &name)?;
                    }
                }
                return Ok(());
            }
            Meaning::Thing => {}
        }
        let dir = self.directory_of(&path, true)?.context("its directory is missing")?;
        self.put(&dir, name, entry, archive)?;
        let place = self.number(&dir, name);
        self.made.insert(place);
        Ok(())
    }

    /// The directory that the last name of the path is in. Links on the way are followed inside; what is
    /// missing is made if asked for, otherwise there is nothing.
    pub(super) fn directory_of(&mut self, path: &Path, make: bool) -> Result<Option<Dir>> {
        let path = path.parent().unwrap_or(Path::new(""));
        if let Some((known, dir)) = &self.parent
            && known == path
        {
            return Ok(Some(dir.clone()));
        }
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
        let dir = match open_in(self.base.handle()?, path, flags, ResolveFlag::RESOLVE_NO_SYMLINKS) {
            Ok(handle) => Dir::open(self.base.path.join(path), handle),
            // A link, or something that the walk can name.
            Err(_) => match self.walk(path, make)? {
                Some(dir) => dir,
                None => return Ok(None),
            },
        };
        self.tree.touch(&dir)?;
        self.parent = Some((path.to_owned(), dir.clone()));
        Ok(Some(dir))
    }

    fn walk(&self, path: &Path, make: bool) -> Result<Option<Dir>> {
        let attributes = Attributes { mode: 0o755, owner: self.tree.effective };
        let route = Route { follow_last: true, any_link: true, parents: make.then_some(attributes) };
        let Some(place) = self.tree.resolve(&self.base, path, route, &mut Vec::new())? else {
            return Ok(None);
        };
        let Place { dir, name, found } = place;
        let Some(name) = name else { return Ok(Some(dir)) };
        match found.map(|found| found.kind()) {
            Some(Kind::Directory) => Ok(Some(self.tree.enter(&dir, &name)?)),
            Some(kind) if make => bail!("{} is {kind}, not a directory", path.display()),
            None if make => self.tree.make_dir(&dir, &name, attributes).map(Some),
            _ => Ok(None),
        }
    }

    /// Removes whatever stands there, with all that is in it.
    pub(super) fn remove(&mut self, dir: &Dir, name: &OsStr, found: &Found) -> Result<(), Cause> {
        self.remove_unless(dir, name, found.kind(), &|_| false).map(drop)
    }

    /// Removes what lower layers have put there; what this layer has made stays.
    fn prune(&mut self, dir: &Dir, name: &OsStr) -> Result<(), Cause> {
        let Some(found) = self.tree.look(dir, name)? else { return Ok(()) };
        let made = std::mem::take(&mut self.made);
        let key = self.key.clone();
        let result = self
            .remove_unless(dir, name, found.kind(), &|path| made.contains(&key.hash_one(path.as_os_str())));
        self.made = made;
        result.map(drop)
    }

    /// Removes a thing unless it is to stay, or something in it is; says whether it is gone.
    fn remove_unless(
        &mut self,
        dir: &Dir,
        name: &OsStr,
        kind: Kind,
        stays: &dyn Fn(&Path) -> bool,
    ) -> Result<bool, Cause> {
        let handle = dir.handle()?;
        let stay = stays(&dir.path.join(name));
        if kind != Kind::Directory {
            if kind == Kind::Symlink {
                self.parent = None;
            }
            if !stay {
                unlinkat(handle, name, UnlinkatFlags::NoRemoveDir)?;
            }
            return Ok(!stay);
        }
        self.parent = None;
        let inner = self.tree.enter(dir, name)?;
        let mut empty = true;
        for child in self.tree.names(&inner)? {
            let Some(found) = self.tree.look(&inner, &child)? else { continue };
            empty &= self.remove_unless(&inner, &child, found.kind(), stays)?;
        }
        if empty && !stay {
            unlinkat(handle, name, UnlinkatFlags::RemoveDir)?;
        }
        Ok(empty && !stay)
    }

    /// Stands for a place in the list of what this layer has made.
    fn number(&self, dir: &Dir, name: &OsStr) -> u64 {
        self.key.hash_one(dir.path.join(name).as_os_str())
    }
}

/// The path below the directory that an entry means: `/` at the front and `..` do not lead out of it.
pub(super) fn inside(name: &[u8]) -> PathBuf {
    let mut path = PathBuf::new();
    for part in name.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => drop(path.pop()),
            part => path.push(OsStr::from_bytes(part)),
        }
    }
    path
}

fn meaning<'n>(path: &Path, name: &'n OsStr) -> Result<Meaning<'n>> {
    let note = [WHITEOUT, WHITEOUT].concat();
    let above = path.parent().into_iter().flat_map(Path::iter);
    for part in above.map(OsStr::as_bytes) {
        if part.starts_with(&note) {
            return Ok(Meaning::Note);
        }
        if part.starts_with(WHITEOUT) {
            bail!("a name that begins with .wh. is not one of a directory");
        }
    }
    let Some(rest) = name.as_bytes().strip_prefix(WHITEOUT) else { return Ok(Meaning::Thing) };
    match rest {
        b".wh..opq" => Ok(Meaning::AllGone),
        rest if rest.starts_with(WHITEOUT) => Ok(Meaning::Note),
        b"" | b"." | b".." => bail!("a whiteout of no name"),
        rest => Ok(Meaning::Gone(OsStr::from_bytes(rest))),
    }
}
