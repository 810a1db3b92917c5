//! What was written in a view, as a directory on the machine: `try --keep`.

use super::{Change, ChangeKind, Changes, View};
use anyhow::{Context as _, Result};
use cosette_plugins::System;
use cosette_plugins::system::{File, Kind, Owner};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

impl View {
    /// Writes what was changed to a directory that was opened before the view was entered, as a layer of the [OCI image
    /// specification](https://github.com/opencontainers/image-spec/blob/main/layer.md): what was removed is an empty
    /// file `.wh.NAME`. Owners that this user cannot give are left out, and so are extended attributes and devices.
    pub fn keep(&self, changes: &Changes, directory: &System) -> Result<()> {
        changes.files.iter().try_for_each(|change| {
            self.keep_one(change, directory).with_context(|| format!("cannot keep {}", change.path.display()))
        })
    }

    fn keep_one(&self, change: &Change, directory: &System) -> Result<()> {
        let path = &change.path;
        let Some(after) = change.after.filter(|_| change.kind != ChangeKind::Removed) else {
            return directory.write(File::new(whiteout(path)?, "")).map(drop);
        };
        let owner = (!self.pretends_owners()).then_some(after.owner);
        self.parents(path, directory)?;
        match after.kind {
            Kind::Directory => directory.create_dir(path, Some(after.mode), owner).map(drop),
            Kind::Symlink => directory.symlink(std::fs::read_link(path)?, path, true).map(drop),
            Kind::File => {
                let file = File::new(path, std::fs::read(path)?).mode(after.mode);
                directory.write(owner.into_iter().fold(file, File::owner)).map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Directories that were there are in a layer when something below them is, and look as they did.
    fn parents(&self, path: &Path, directory: &System) -> Result<()> {
        let parents: Vec<&Path> =
            path.ancestors().skip(1).filter(|parent| *parent != Path::new("/")).collect();
        for parent in parents.into_iter().rev() {
            if directory.symlink_metadata(parent)?.is_none() {
                let found = std::fs::metadata(parent)?;
                let owner = Owner { uid: found.uid(), gid: found.gid() };
                let owner = (!self.pretends_owners()).then_some(owner);
                directory.create_dir(parent, Some(found.mode() & 0o7777), owner)?;
            }
        }
        Ok(())
    }
}

fn whiteout(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().context("it has no name")?;
    let mut whiteout = std::ffi::OsString::from(".wh.");
    whiteout.push(name);
    Ok(path.with_file_name(whiteout))
}
