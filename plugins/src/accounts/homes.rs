//! The home directories of a root and whom they belong to, looked at when somebody first asks.

use super::defaults::Defaults;
use crate::System;
use crate::system::{Kind, Owner};
use anyhow::Result;
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Home directories and their owners.
pub struct Homes<'a> {
    sys: &'a System,
    defaults: &'a Defaults,
    others: Vec<&'a str>,
    found: OnceCell<BTreeMap<PathBuf, Owner>>,
}

impl<'a> Homes<'a> {
    /// The directories where home directories usually are, and `others`.
    pub fn new(sys: &'a System, defaults: &'a Defaults, others: impl IntoIterator<Item = &'a str>) -> Self {
        Self { sys, defaults, others: others.into_iter().collect(), found: OnceCell::new() }
    }

    /// The owner of a home directory that exists.
    pub fn owner(&self, home: &str) -> Result<Option<Owner>> {
        Ok(self.found()?.get(Path::new(home)).copied())
    }

    /// All users that own one.
    pub fn uids(&self) -> Result<BTreeSet<u32>> {
        Ok(self.found()?.values().map(|owner| owner.uid).collect())
    }

    /// All groups that own one.
    pub fn gids(&self) -> Result<BTreeSet<u32>> {
        Ok(self.found()?.values().map(|owner| owner.gid).collect())
    }

    fn found(&self) -> Result<&BTreeMap<PathBuf, Owner>> {
        if self.found.get().is_none() {
            let _ = self.found.set(self.survey()?);
        }
        Ok(self.found.get_or_init(BTreeMap::new))
    }

    fn survey(&self) -> Result<BTreeMap<PathBuf, Owner>> {
        let base = Path::new(&self.defaults.home);
        let usual = self.sys.read_dir(base)?.unwrap_or_default().into_iter().map(|name| base.join(name));
        let mut homes = BTreeMap::new();
        for path in usual.chain(self.others.iter().map(PathBuf::from)) {
            if let Some(found) = self.sys.symlink_metadata(&path)?
                && found.kind == Kind::Directory
            {
                homes.insert(path, found.owner);
            }
        }
        Ok(homes)
    }
}
