//! The home directories of a root and whom they belong to.

use super::defaults::Defaults;
use crate::System;
use crate::system::{Kind, Owner};
use anyhow::Result;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Home directories and their owners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Homes(BTreeMap<PathBuf, Owner>);

impl Homes {
    /// Looks at all directories where home directories usually are, and at `others`.
    pub fn survey<'h>(
        sys: &System,
        defaults: &Defaults,
        others: impl IntoIterator<Item = &'h str>,
    ) -> Result<Self> {
        let base = Path::new(&defaults.home);
        let usual = sys.read_dir(base)?.unwrap_or_default().into_iter().map(|name| base.join(name));
        let mut homes = BTreeMap::new();
        for path in usual.chain(others.into_iter().map(PathBuf::from)) {
            if let Some(found) = sys.symlink_metadata(&path)?
                && found.kind == Kind::Directory
            {
                homes.insert(path, found.owner);
            }
        }
        Ok(Self(homes))
    }

    /// The owner of a home directory that exists.
    pub fn owner(&self, home: &str) -> Option<Owner> {
        self.0.get(Path::new(home)).copied()
    }

    /// All users that own one.
    pub fn uids(&self) -> BTreeSet<u32> {
        self.0.values().map(|owner| owner.uid).collect()
    }

    /// All groups that own one.
    pub fn gids(&self) -> BTreeSet<u32> {
        self.0.values().map(|owner| owner.gid).collect()
    }
}
