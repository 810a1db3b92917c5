//! Changes to what stands in a directory, other than the content of files.

use super::metadata::Attributes;
use super::resolve::{Place, Route};
use super::tree::{Found, absolute};
use super::{Kind, Owner, System, diff};
use crate::Action;
use crate::effect::Diff;
use anyhow::{Context as _, Result, bail};
use std::path::Path;

impl System {
    /// Makes a directory be there, with those above it. `mode` and `owner` are set on a directory that exists
    /// only when they are given; a new one gets 0755 and belongs to root. Those above get the same owner, and
    /// the same mode but for write permission for everybody and the special bits, plus search permission
    /// where there is read permission.
    pub fn create_dir(
        &self,
        path: impl AsRef<Path>,
        mode: Option<u32>,
        owner: Option<Owner>,
    ) -> Result<bool> {
        let path = absolute(path.as_ref());
        let make = || -> Result<bool> {
            let new = Attributes {
                mode: mode.unwrap_or(0o755) & 0o7777,
                owner: owner.unwrap_or(self.tree.effective),
            };
            let route = Route { follow_last: true, any_link: false, parents: Some(new.of_parents()) };
            let (place, _) = self.reach(&path, route)?;
            match &place.found {
                Some(found) if found.kind() == Kind::Directory => {
                    let wanted = wanted(found, mode, owner);
                    self.set_and_record(&path, &place, found, wanted, Action::CreateDirectory)
                }
                Some(found) => bail!("{} stands there: remove it first", found.kind()),
                None => {
                    self.tree.make_dir(&place.dir, place.name()?, new)?;
                    self.record(Action::CreateDirectory, &path, true, None);
                    Ok(true)
                }
            }
        };
        make().with_context(|| format!("cannot make the directory {}", path.display()))
    }

    /// Makes a symbolic link be there. Another link is replaced in one step; anything else in its place is an
    /// error unless `force`, which replaces files (never devices, nor directories that have content). Missing
    /// directories are made with mode 0755.
    pub fn symlink(&self, target: impl AsRef<Path>, path: impl AsRef<Path>, force: bool) -> Result<bool> {
        let (target, path) = (target.as_ref(), absolute(path.as_ref()));
        let make = || -> Result<bool> {
            if target.as_os_str().is_empty() {
                bail!("a link needs a target");
            }
            let parents = Attributes { mode: 0o755, owner: self.tree.effective };
            let route = Route { follow_last: false, any_link: false, parents: Some(parents) };
            let (place, _) = self.reach(&path, route)?;
            let (dir, name) = (&place.dir, place.name()?);
            let mut before = None;
            let mut replace = false;
            match &place.found {
                None => {}
                Some(found) if found.kind() == Kind::Symlink => {
                    let now = self.tree.target(dir, name)?;
                    if now == target {
                        self.record(Action::Link, &path, false, None);
                        return Ok(false);
                    }
                    before = Some(now.display().to_string());
                    replace = true;
                }
                Some(found) if force && found.kind() == Kind::Directory => {
                    self.tree.delete(dir, name, Kind::Directory).context("a directory stands there")?;
                }
                Some(found) if force && found.kind() == Kind::File => replace = true,
                Some(found) => bail!("{} stands there: remove it first", found.kind()),
            }
            self.tree.put_link(dir, name, target, replace)?;
            let shown =
                (!self.tree.is_disk()).then(|| Diff::Text { before, after: target.display().to_string() });
            self.record(Action::Link, &path, true, shown);
            Ok(true)
        };
        make().with_context(|| format!("cannot make the link {}", path.display()))
    }

    /// Removes a file, a link (not its target) or an empty directory. What is not there is fine.
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<bool> {
        let path = absolute(path.as_ref());
        let remove = || -> Result<bool> {
            let route = Route { follow_last: false, any_link: false, parents: None };
            let place = self.tree.resolve(&self.base, &path, route, &mut Vec::new())?;
            let Some(Place { dir, name, found: Some(found) }) = place else {
                self.record(Action::Remove, &path, false, None);
                return Ok(false);
            };
            let name = name.context("a root cannot be removed")?;
            let shown = self.plan_removal(&dir, &name, &found)?;
            self.tree.delete(&dir, &name, found.kind())?;
            self.record(Action::Remove, &path, true, shown);
            Ok(true)
        };
        remove().with_context(|| format!("cannot remove {}", path.display()))
    }

    /// Sets mode and owner of what stands at the path; links are not followed, and have no mode. The setuid
    /// bit survives a change of owner.
    pub fn set_attributes(
        &self,
        path: impl AsRef<Path>,
        mode: Option<u32>,
        owner: Option<Owner>,
    ) -> Result<bool> {
        let path = absolute(path.as_ref());
        let set = || -> Result<bool> {
            let route = Route { follow_last: false, any_link: false, parents: None };
            match self.tree.resolve(&self.base, &path, route, &mut Vec::new())? {
                Some(place @ Place { found: Some(found), .. }) => {
                    let wanted = wanted(&found, mode, owner);
                    self.set_and_record(&path, &place, &found, wanted, Action::SetAttributes)
                }
                _ => bail!("nothing stands there"),
            }
        };
        set().with_context(|| format!("cannot set mode and owner of {}", path.display()))
    }

    /// Sets what differs; when nothing does, that is recorded as `otherwise`.
    pub(super) fn set_and_record(
        &self,
        path: &Path,
        place: &Place,
        found: &Found,
        wanted: Attributes,
        otherwise: Action,
    ) -> Result<bool> {
        let before = found.metadata.attributes();
        let changed = self.tree.set(place, found, wanted)?;
        let shown = (changed && !self.tree.is_disk()).then(|| diff::attributes(before, wanted));
        self.record(if changed { Action::SetAttributes } else { otherwise }, path, changed, shown);
        Ok(changed)
    }

    /// Goes where something shall be, makes the directories that are missing and records them. Says whether
    /// there were any.
    pub(super) fn reach(&self, path: &Path, route: Route) -> Result<(Place, bool)> {
        let mut made = Vec::new();
        let place = self.tree.resolve(&self.base, path, route, &mut made);
        for dir in &made {
            let inside = dir.strip_prefix(&self.base.path).unwrap_or(dir);
            self.record(Action::CreateDirectory, &absolute(inside), true, None);
        }
        Ok((place?.context("its directory is missing")?, !made.is_empty()))
    }

    /// What a person would see of a removal; in plan mode only.
    fn plan_removal(
        &self,
        dir: &super::tree::Dir,
        name: &std::ffi::OsStr,
        found: &Found,
    ) -> Result<Option<Diff>> {
        if self.tree.is_disk() || found.kind() != Kind::File {
            return Ok(None);
        }
        let content = self.tree.content(dir, name)?;
        let before = (&found.metadata, content.as_slice());
        Ok(Some(diff::content(Some(before), found.metadata.attributes(), b"")))
    }
}

fn wanted(found: &Found, mode: Option<u32>, owner: Option<Owner>) -> Attributes {
    Attributes {
        mode: mode.map_or(found.metadata.mode, |mode| mode & 0o7777),
        owner: owner.unwrap_or(found.metadata.owner),
    }
}
