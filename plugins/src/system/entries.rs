//! Changes to what stands in a directory, other than the content of files.

use super::cause::Cause;
use super::metadata::Attributes;
use super::resolve::{Place, Route};
use super::tree::{Found, absolute};
use super::{Kind, Mode, Owner, System, diff, sys};
use crate::Action;
use crate::effect::Diff;
use anyhow::{Context as _, Result, bail};
use nix::fcntl::renameat;
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
            let Some(place @ Place { found: Some(found), .. }) = place else {
                self.record(Action::Remove, &path, false, None);
                return Ok(false);
            };
            let name = place.name.as_deref().context("a root cannot be removed")?;
            let shown = match found.kind() {
                Kind::File => self.show_content(&place, Some(&found), found.metadata.attributes(), b"")?,
                _ => None,
            };
            self.tree.delete(&place.dir, name, found.kind())?;
            self.record(Action::Remove, &path, true, shown);
            Ok(true)
        };
        remove().with_context(|| format!("cannot remove {}", path.display()))
    }

    /// Gives a thing the name of another in the same directory, in the place of a file if it is one; else nothing may
    /// stand there but an empty directory. It is no effect: it is how something that was made aside is there all at
    /// once.
    pub fn take_place(&self, from: impl AsRef<Path>, to: impl AsRef<Path>) -> Result<()> {
        let (from, to) = (absolute(from.as_ref()), absolute(to.as_ref()));
        let rename = || -> Result<()> {
            let name = from.file_name().context("a root has no name")?;
            let route = Route { follow_last: false, any_link: false, parents: None };
            let place = self.tree.resolve(&self.base, &to, route, &mut Vec::new())?;
            let place = place.context("its directory is missing")?;
            if self.mode() == Mode::Plan || from.parent() != to.parent() {
                bail!("it cannot be moved there");
            }
            let handle = place.dir.handle()?;
            renameat(handle, name, handle, place.name()?).map_err(Cause)?;
            Ok(self.tree.touch(&place.dir)?)
        };
        rename().with_context(|| format!("cannot rename {} to {}", from.display(), to.display()))
    }

    /// Has two files of one directory change their names, at once: at no time is one of the names missing. It is no
    /// effect, and it is not on the disk before that is asked for: see [`System::checkpoint`].
    pub fn exchange(&self, one: impl AsRef<Path>, other: impl AsRef<Path>) -> Result<()> {
        let (one, other) = (absolute(one.as_ref()), absolute(other.as_ref()));
        let exchange = || -> Result<()> {
            let name = one.file_name().context("a root has no name")?;
            let route = Route { follow_last: false, any_link: false, parents: None };
            let place = self.tree.resolve(&self.base, &other, route, &mut Vec::new())?;
            let place = place.context("its directory is missing")?;
            if self.mode() == Mode::Plan || one.parent() != other.parent() {
                bail!("they cannot be exchanged");
            }
            sys::exchange(place.dir.handle()?, name, place.name()?).map_err(Cause)?;
            Ok(self.tree.touch(&place.dir)?)
        };
        exchange().with_context(|| format!("cannot exchange {} and {}", one.display(), other.display()))
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
}

fn wanted(found: &Found, mode: Option<u32>, owner: Option<Owner>) -> Attributes {
    Attributes {
        mode: mode.map_or(found.metadata.mode, |mode| mode & 0o7777),
        owner: owner.unwrap_or(found.metadata.owner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::File;
    use crate::system::scratch::{Scratch, is_root};
    use nix::sys::stat::umask;
    use std::os::unix::fs::MetadataExt;

    fn error(result: Result<bool>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    fn last(sys: &System) -> (Action, bool) {
        sys.take_effects().last().map(|effect| (effect.action, effect.changed)).unwrap()
    }

    #[test]
    fn directories_get_exactly_their_mode_and_those_above_never_let_everybody_write() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        assert!(sys.create_dir("/a/b/tmp", Some(0o1777), None).unwrap());
        assert!(sys.create_dir("/secret/dir", Some(0o600), None).unwrap());
        assert!(sys.create_dir("/plain/group", Some(0o2775), None).unwrap());
        assert!(sys.create_dir("/default", None, None).unwrap());
        let modes = ["/a", "/a/b/tmp", "/secret", "/secret/dir", "/plain", "/plain/group", "/default"];
        let modes = modes.map(|path| scratch.mode(path));
        assert_eq!(modes, [0o775, 0o1777, 0o700, 0o600, 0o775, 0o2775, 0o755]);
        assert_eq!(sys.take_effects().len(), 8);
    }

    #[test]
    fn what_was_made_aside_takes_its_place_where_nothing_is_lost() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        for (name, mode) in [("/d/aside", 0o700), ("/d/empty", 0o755), ("/d/full/x", 0o755)] {
            scratch.dir(name, mode);
        }
        assert!(sys.take_place("/d/aside", "/d/full").is_err());
        assert!(sys.take_place("/d/aside", "/elsewhere").is_err());
        assert!(scratch.plan().take_place("/d/aside", "/d/new").is_err());
        sys.take_place("/d/aside", "/d/empty").unwrap();
        assert_eq!(
            (scratch.names("/d"), scratch.mode("/d/empty")),
            (vec!["empty".into(), "full".into()], 0o700)
        );
        sys.take_place("/d/empty", "/d/new").unwrap();
        assert!(sys.take_effects().is_empty());
    }

    #[test]
    fn two_files_exchange_their_names_and_none_of_them_is_made_by_that() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        scratch.put("/d/one", "1", 0o644);
        scratch.put("/d/other", "2", 0o644);
        sys.exchange("/d/one", "/d/other").unwrap();
        assert_eq!((scratch.text("/d/one").as_str(), scratch.text("/d/other").as_str()), ("2", "1"));
        for (one, other) in [("/d/none", "/d/one"), ("/d/one", "/d/none"), ("/d/one", "/one")] {
            assert!(sys.exchange(one, other).is_err());
        }
        assert!(scratch.plan().exchange("/d/one", "/d/other").is_err());
        assert_eq!(scratch.names("/d"), ["one", "other"]);
    }

    #[test]
    fn a_directory_that_exists_is_touched_only_as_asked() {
        let scratch = Scratch::new();
        scratch.dir("/d", 0o711);
        let before = scratch.stamp("/d");
        let sys = scratch.apply();
        assert!(!sys.create_dir("/d", None, None).unwrap());
        assert!(!sys.create_dir("/d", Some(0o711), None).unwrap());
        assert_eq!((last(&sys), scratch.stamp("/d")), ((Action::CreateDirectory, false), before));
        assert!(sys.create_dir("/d", Some(0o750), None).unwrap());
        assert_eq!((last(&sys), scratch.mode("/d")), ((Action::SetAttributes, true), 0o750));
        scratch.link("d", "/link");
        assert!(!sys.create_dir("/link", None, None).unwrap());
        scratch.put("/f", "", 0o644);
        assert_eq!(
            error(sys.create_dir("/f", None, None)),
            "cannot make the directory /f: a file stands there: remove it first"
        );
    }

    #[test]
    fn a_link_replaces_links_and_on_demand_files_but_no_device_and_no_full_directory() {
        let scratch = Scratch::new();
        scratch.put("/file", "", 0o644);
        scratch.put("/full/x", "", 0o644);
        scratch.dir("/empty", 0o755);
        nix::unistd::mkfifo(&scratch.at("/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for sys in [scratch.plan(), scratch.apply()] {
            assert!(sys.symlink("one", "/new/link", false).unwrap());
            assert!(!sys.symlink("one", "/new/link", false).unwrap());
            assert!(sys.symlink("two", "/new/link", false).unwrap());
            assert_eq!(sys.read_link("/new/link").unwrap().as_deref(), Some(Path::new("two")));
            assert!(error(sys.symlink("x", "/file", false)).contains("a file stands there"));
            assert!(error(sys.symlink("x", "/empty", false)).contains("a directory stands there"));
            assert!(sys.symlink("x", "/file", true).unwrap());
            assert!(sys.symlink("x", "/empty", true).unwrap());
            assert!(error(sys.symlink("x", "/full", true)).contains("the directory is not empty"));
            assert!(error(sys.symlink("x", "/pipe", true)).contains("a device"));
            assert!(error(sys.symlink("", "/e", true)).contains("a link needs a target"));
        }
        assert_eq!(scratch.names("/new"), ["link"]);
    }

    #[test]
    fn removal_takes_links_not_their_targets_and_what_is_missing_is_fine() {
        let scratch = Scratch::new();
        scratch.put("/dir/file", "", 0o644);
        scratch.link("/dir/file", "/link");
        for sys in [scratch.plan(), scratch.apply()] {
            assert!(sys.remove("/link").unwrap());
            assert!(!sys.remove("/link").unwrap());
            assert!(!sys.remove("/none/at/all").unwrap());
            assert_eq!(error(sys.remove("/dir")), "cannot remove /dir: the directory is not empty");
            assert!(sys.remove("/dir/file").unwrap());
            assert!(sys.remove("/dir").unwrap());
            assert!(!sys.exists("/dir").unwrap());
        }
        assert!(scratch.names("/").is_empty());
    }

    #[test]
    fn attributes_are_set_where_they_differ_and_links_have_no_mode() {
        let scratch = Scratch::new();
        scratch.put("/f", "", 0o644);
        scratch.link("f", "/link");
        for sys in [scratch.plan(), scratch.apply()] {
            assert!(sys.set_attributes("/f", Some(0o4711), None).unwrap());
            assert!(!sys.set_attributes("/f", Some(0o4711), None).unwrap());
            assert!(error(sys.set_attributes("/link", Some(0o600), None)).contains("no mode of its own"));
            assert!(error(sys.set_attributes("/none", Some(0o600), None)).contains("nothing stands there"));
            assert_eq!(sys.metadata("/link").unwrap().unwrap().mode, 0o4711);
        }
    }

    #[test]
    fn root_changes_owners_and_the_setuid_bit_survives() {
        if !is_root("owners") {
            return;
        }
        let scratch = Scratch::new();
        scratch.put("/f", "", 0o4755);
        scratch.link("f", "/link");
        let sys = scratch.apply();
        let owner = Some(Owner { uid: 7, gid: 8 });
        assert!(sys.set_attributes("/f", None, owner).unwrap());
        assert!(sys.set_attributes("/link", None, owner).unwrap());
        assert!(sys.create_dir("/a/b", Some(0o750), owner).unwrap());
        assert_eq!(scratch.mode("/f"), 0o4755);
        for path in ["/f", "/link", "/a", "/a/b"] {
            let found = std::fs::symlink_metadata(scratch.at(path)).unwrap();
            assert_eq!((found.uid(), found.gid()), (7, 8), "{path}");
        }
    }

    #[test]
    fn the_umask_has_no_say() {
        // It belongs to the whole process: another one is started for it.
        if std::env::var_os("COSETTE_TEST_UMASK").is_none() {
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            again.args(["--exact", "system::entries::tests::the_umask_has_no_say"]);
            assert!(again.env("COSETTE_TEST_UMASK", "").status().unwrap().success());
            return;
        }
        for mask in [0, 0o777] {
            let scratch = Scratch::new();
            umask(nix::sys::stat::Mode::from_bits_truncate(mask));
            let sys = scratch.apply();
            sys.write(File::new("/a/f", "x").mode(0o664)).unwrap();
            sys.create_dir("/d", Some(0o777), None).unwrap();
            assert_eq!(["/a", "/a/f", "/d"].map(|path| scratch.mode(path)), [0o775, 0o664, 0o777]);
        }
    }

    #[test]
    fn another_root_sees_the_same_files_plan_or_not() {
        for mode in [Mode::Apply, Mode::Plan] {
            let scratch = Scratch::new();
            let sys = if mode == Mode::Apply { scratch.apply() } else { scratch.plan() };
            sys.write(File::new("/image/etc/os-release", "ID=x")).unwrap();
            sys.symlink("/image", "/current", false).unwrap();
            let inner = sys.reroot(Path::new("/current")).unwrap();
            assert_eq!((inner.mode(), inner.root()), (mode, scratch.at("/image").as_path()));
            assert_eq!(inner.read_text("/etc/os-release").unwrap().as_deref(), Some("ID=x"));
            inner.symlink("/etc", "/abs", false).unwrap();
            inner.write(File::new("/abs/../../../new/file", "1")).unwrap();
            assert_eq!(sys.read_text("/image/new/file").unwrap().as_deref(), Some("1"));
            let targets: Vec<_> = inner.take_effects().into_iter().map(|effect| effect.target).collect();
            assert_eq!(targets, ["/abs", "/new", "/abs/../../../new/file"]);
            assert_eq!(scratch.at("/image").exists(), mode == Mode::Apply);
            let error = format!("{:#}", sys.reroot(Path::new("/none")).unwrap_err());
            assert_eq!(error, "cannot open the root /none: there is no such file or directory");
        }
    }
}
