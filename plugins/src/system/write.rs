//! Writing a file: what is so already is left alone; what differs in mode or owner only gets those; all else
//! is replaced whole.

use super::metadata::Attributes;
use super::overlay::{self, Body};
use super::replace::{Replacement, has_content};
use super::resolve::{Place, Route};
use super::tree::{Found, absolute};
use super::{File, Kind, System};
use crate::Action;
use anyhow::{Context as _, Result, bail};
use std::os::fd::AsFd;
use std::path::Path;

/// Where a file shall be.
pub(super) struct Target {
    pub(super) place: Place,
    /// The file that stands there.
    pub(super) before: Option<Found>,
    /// What the file shall have.
    pub(super) attributes: Attributes,
    /// Whether directories were made for it.
    pub(super) parents_made: bool,
}

impl System {
    /// Makes a file be as described: a temporary file in the same directory gets owner, mode and content,
    /// then takes its place in one step. Missing directories are made with the mode of the file plus search
    /// permission where there is read permission, everything for the owner, and no write permission for
    /// everybody; they get the owner of the file, and each is an effect of its own.
    ///
    /// If only mode or owner differ, they are set and the effect is [`Action::SetAttributes`]. Extended
    /// attributes of a file that is replaced are kept: its security label, its access control list (unless it
    /// gets another owner), and `user.*`. Links on the way and in the last place are followed only when
    /// neither they nor their directory could have been changed by another user than root. Files of the
    /// kernel, and files that are mount points themselves, are written in place; devices never are.
    pub fn write(&self, file: File) -> Result<bool> {
        let path = absolute(&file.path);
        self.write_file(&file, &path).with_context(|| format!("cannot write {}", path.display()))
    }

    /// Goes where the file shall be; what stands there, if it is a file, and the attributes that it shall have.
    pub(super) fn reach_file(&self, file: &File, path: &Path) -> Result<Target> {
        let new = Attributes {
            mode: file.mode.unwrap_or(file.default_mode) & 0o7777,
            owner: file.owner.unwrap_or(self.tree.effective),
        };
        let follow_last = !file.replace_link;
        let route = Route { follow_last, any_link: false, parents: Some(new.of_parents()) };
        let (place, parents_made) = self.reach(path, route)?;
        let before = match &place.found {
            Some(found) if found.kind() == Kind::File => Some(*found),
            None => None,
            Some(found) if found.kind() == Kind::Symlink => None,
            Some(found) => bail!("{} stands there, which is not replaced: remove it first", found.kind()),
        };
        let attributes = before.map_or(new, |found| Attributes {
            mode: file.mode.map_or(found.metadata.mode, |mode| mode & 0o7777),
            owner: file.owner.unwrap_or(found.metadata.owner),
        });
        Ok(Target { place, before, attributes, parents_made })
    }

    fn write_file(&self, file: &File, path: &Path) -> Result<bool> {
        let Target { place, before, attributes, parents_made } = self.reach_file(file, path)?;
        if let Some(found) = &before
            && self.holds(&place, found, &file.content)?
            && self.may_keep(&place, found, attributes)?
        {
            return self.set_and_record(path, &place, found, attributes, Action::Write);
        }
        let shown = self.show_content(&place, before.as_ref(), attributes, &file.content)?;
        if let Some(overlay) = &self.tree.overlay {
            let metadata = overlay::metadata(Kind::File, attributes, file.content.len());
            overlay.borrow_mut().put(place.path(), metadata, Body::Content(file.content.as_slice().into()));
        } else {
            let owner_asked = file.owner.is_some();
            let durable = file.durable;
            let new = Replacement { content: &file.content, attributes, owner_asked, durable, parents_made };
            let keeps_size = |found: &Found| found.metadata.size == file.content.len() as u64;
            match before.filter(keeps_size).filter(|_| file.in_place) {
                Some(found) => self.tree.write_in_place(&place, &found, &new, false)?,
                None => self.tree.replace(&place, &new)?,
            }
        }
        self.record(Action::Write, path, true, shown);
        self.note_before(before.as_ref());
        Ok(true)
    }

    /// Whether the file has the content already.
    fn holds(&self, place: &Place, found: &Found, content: &[u8]) -> Result<bool> {
        let (dir, name) = (&place.dir, place.name()?);
        if self.tree.is_kernel(dir, found.device)? {
            // The kernel adds a newline, and some of its files can only be written.
            let now = self.tree.content(dir, name).unwrap_or_default();
            return Ok(!now.is_empty() && now.trim_ascii_end() == content.trim_ascii_end());
        }
        if found.metadata.size != content.len() as u64 {
            return Ok(false);
        }
        if content.is_empty() {
            return Ok(true);
        }
        if found.is_planned() {
            return Ok(self.tree.content(dir, name)? == content);
        }
        // One that may not be read is replaced.
        match self.tree.open_file(dir, name) {
            Ok(file) => Ok(has_content(file.as_fd(), content)?),
            Err(_) => Ok(false),
        }
    }

    /// Whether the file itself may get these attributes: not if it has other names that another user may have
    /// made, perhaps of somebody else's file.
    pub(super) fn may_keep(&self, place: &Place, found: &Found, attributes: Attributes) -> Result<bool> {
        Ok(found.metadata.attributes() == attributes
            || !(found.shared && self.tree.is_exposed(&place.dir)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::{Before, Diff};
    use crate::system::scratch::{Scratch, may_give_away};
    use crate::{Effect, system::Owner};

    fn effects(sys: &System) -> Vec<(Action, String, bool)> {
        sys.take_effects()
            .into_iter()
            .map(|Effect { action, target, changed, .. }| (action, target, changed))
            .collect()
    }

    #[test]
    fn a_new_file_has_content_and_mode_and_its_directories_are_effects_of_their_own() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        assert!(sys.write(File::new("/a/b/c", "hello\n").mode(0o640)).unwrap());
        assert_eq!(scratch.text("/a/b/c"), "hello\n");
        assert_eq!((scratch.mode("/a/b/c"), scratch.mode("/a"), scratch.mode("/a/b")), (0o640, 0o750, 0o750));
        assert_eq!(
            effects(&sys),
            [
                (Action::CreateDirectory, "/a".into(), true),
                (Action::CreateDirectory, "/a/b".into(), true),
                (Action::Write, "/a/b/c".into(), true),
            ]
        );
        assert_eq!(scratch.names("/a/b"), ["c"]);
        assert_eq!(sys.metadata("/a/b/c").unwrap().unwrap().owner, sys.tree.effective);
    }

    #[test]
    fn a_second_run_changes_nothing_not_even_times() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        let run = || sys.write(File::new("/etc/issue", "hello").mode(0o600)).unwrap();
        assert!(run());
        let before = (scratch.stamp("/etc/issue"), scratch.stamp("/etc"));
        sys.take_effects();
        assert!(!run());
        assert_eq!((scratch.stamp("/etc/issue"), scratch.stamp("/etc")), before);
        assert_eq!(effects(&sys), [(Action::Write, "/etc/issue".into(), false)]);
    }

    #[test]
    fn only_the_mode_differs_and_only_the_mode_is_set() {
        let scratch = Scratch::new();
        scratch.put("/f", "same", 0o644);
        let inode = scratch.stamp("/f").0;
        let sys = scratch.apply();
        assert!(sys.write(File::new("/f", "same").mode(0o600)).unwrap());
        assert_eq!((scratch.mode("/f"), scratch.stamp("/f").0), (0o600, inode));
        assert_eq!(effects(&sys), [(Action::SetAttributes, "/f".into(), true)]);
    }

    #[test]
    fn a_file_that_exists_keeps_its_mode_with_setuid() {
        let scratch = Scratch::new();
        scratch.put("/f", "old", 0o4755);
        scratch.apply().write(File::new("/f", "new content")).unwrap();
        assert_eq!((scratch.text("/f").as_str(), scratch.mode("/f")), ("new content", 0o4755));
        scratch.apply().write(File::new("/g", "x").mode(0o6711)).unwrap();
        assert_eq!(scratch.mode("/g"), 0o6711);
    }

    #[test]
    fn a_plan_writes_nothing_and_shows_what_it_would() {
        let scratch = Scratch::new();
        scratch.put("/etc/motd", "old\n", 0o644);
        let sys = scratch.plan();
        assert!(sys.write(File::new("/etc/motd", "new\n")).unwrap());
        assert!(!sys.write(File::new("/etc/motd", "new\n")).unwrap());
        assert!(sys.write(File::new("/etc/secret", "s3cret").mode(0o600)).unwrap());
        assert_eq!(sys.read_text("/etc/motd").unwrap().as_deref(), Some("new\n"));
        assert_eq!(scratch.text("/etc/motd"), "old\n");
        assert_eq!(scratch.names("/etc"), ["motd"]);
        let diffs: Vec<_> = sys.take_effects().into_iter().map(|effect| effect.diff).collect();
        let shown = Diff::Text { before: Some("old\n".into()), after: "new\n".into() };
        assert_eq!(diffs, [Some(shown), None, Some(Diff::Hidden("not readable by everybody"))]);
    }

    #[test]
    fn what_was_there_before_is_noted_as_far_as_everybody_may_know() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        let before = |content: &str, mode: u32| {
            sys.write(File::new("/a", content).mode(mode)).unwrap();
            sys.take_effects().pop().map(|effect| effect.before).unwrap()
        };
        assert_eq!(before("hello\n", 0o644), Before::Nothing);
        assert_eq!(before("secret", 0o600), Before::Bytes(6));
        assert_eq!(before("hello\n", 0o644), Before::File);
        assert_eq!(before("hello\n", 0o644), Before::Unknown);
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let scratch = Scratch::new();
        scratch.dir("/d", 0o755);
        nix::unistd::mkfifo(&scratch.at("/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        scratch.link("/pipe", "/to-pipe");
        for (path, what) in [("/d", "a directory"), ("/pipe", "a device"), ("/to-pipe", "a device")] {
            for sys in [scratch.apply(), scratch.plan()] {
                let error = format!("{:#}", sys.write(File::new(path, "x")).unwrap_err());
                assert!(error.contains(path) && error.contains(what), "{error}");
            }
        }
        assert_eq!(scratch.names("/"), ["d", "pipe", "to-pipe"]);
    }

    #[test]
    fn an_owner_that_may_not_be_set_is_an_error_and_nothing_is_left() {
        let scratch = Scratch::new();
        scratch.put("/f", "old", 0o644);
        let file = File::new("/f", "new").owner(Owner { uid: 12345, gid: 12345 });
        if may_give_away() {
            scratch.apply().write(file.mode(0o4711)).unwrap();
            let found = scratch.apply().metadata("/f").unwrap().unwrap();
            assert_eq!((found.owner.uid, found.owner.gid, found.mode), (12345, 12345, 0o4711));
        } else {
            let error = format!("{:#}", scratch.apply().write(file).unwrap_err());
            assert!(error.contains("cannot give it to 12345:12345"), "{error}");
            assert_eq!((scratch.text("/f").as_str(), scratch.names("/")), ("old", vec!["f".to_owned()]));
        }
    }

    #[test]
    fn a_link_is_followed_or_replaced_as_asked_and_a_dangling_one_creates_its_target() {
        let scratch = Scratch::new();
        scratch.put("/real", "old", 0o644);
        scratch.link("/real", "/link");
        scratch.link("later/target", "/dangling");
        let sys = scratch.apply();
        sys.write(File::new("/link", "through")).unwrap();
        sys.write(File::new("/dangling", "made")).unwrap();
        assert_eq!(
            (scratch.text("/real").as_str(), scratch.text("/later/target").as_str()),
            ("through", "made")
        );
        sys.write(File::new("/link", "own").replace_link()).unwrap();
        assert_eq!((scratch.text("/real").as_str(), scratch.text("/link").as_str()), ("through", "own"));
        assert!(std::fs::symlink_metadata(scratch.at("/link")).unwrap().is_file());
    }
}
