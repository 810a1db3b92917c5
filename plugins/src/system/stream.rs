//! Files that are written piece by piece, because they may be larger than memory, and what is remembered of
//! where they came from.
//!
//! **Invariant:** as with [`System::write`], the old file stays whole until the new one is complete. Files of
//! the kernel and mount points, which could only be written in place, are refused.

use super::cause::Cause;
use super::overlay::{self, Body};
use super::replace::{Replacement, cut, write_all};
use super::resolve::{Place, Route};
use super::tree::{Found, absolute, read};
use super::write::Target;
use super::{File, Kind, System, sys};
use crate::Action;
use crate::effect::Diff;
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, fallocate};
use nix::sys::stat::{FileStat, fstat};
use nix::unistd::{Whence, lseek};
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// How much is read at once.
const PIECE: usize = 256 << 10;

/// The extended attribute that holds what is remembered.
const MEMORY: &CStr = c"user.cosette.origin";

const LATER: Diff = Diff::Hidden("it is fetched when the step really runs");

/// A file that is being filled.
pub struct Sink<'a> {
    file: BorrowedFd<'a>,
    written: u64,
    memory: Option<Vec<u8>>,
}

impl Sink<'_> {
    /// Adds to its end.
    pub fn add(&mut self, piece: &[u8]) -> Result<()> {
        write_all(self.file, piece)?;
        self.written += piece.len() as u64;
        Ok(())
    }

    /// How many bytes it has.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// Takes the space for so many bytes, so that a disk that is too small is found out first.
    pub fn reserve(&self, length: u64) -> Result<()> {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        match fallocate(self.file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, length.max(1)) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS | Errno::EINTR) => Ok(()),
            Err(Errno::EFBIG) => bail!("the file system takes no files as large as this"),
            Err(error) => Err(Cause(error).into()),
        }
    }

    /// Begins anew with an empty file.
    pub fn restart(&mut self) -> Result<()> {
        cut(self.file, 0)?;
        lseek(self.file, 0, Whence::SeekSet).map_err(Cause)?;
        self.written = 0;
        Ok(())
    }

    /// Has something remembered of the file for as long as it is not changed, where the file system can.
    pub fn remember(&mut self, memory: impl Into<Vec<u8>>) {
        self.memory = Some(memory.into());
    }
}

impl System {
    /// Makes a file have what `fill` writes; its own content is not looked at. A file that has it already is
    /// kept, and `fill` is not asked in plan mode. All else is as with [`System::write`].
    pub fn write_stream(&self, file: &File, fill: impl FnOnce(&mut Sink<'_>) -> Result<()>) -> Result<bool> {
        let path = absolute(&file.path);
        self.fill(file, &path, fill).with_context(|| format!("cannot write {}", path.display()))
    }

    fn fill(&self, file: &File, path: &Path, fill: impl FnOnce(&mut Sink<'_>) -> Result<()>) -> Result<bool> {
        let Target { place, before, attributes, parents_made } = self.reach_file(file, path)?;
        if let Some(overlay) = &self.tree.overlay {
            // What is there stands for what would be there; nothing else is known of it.
            if before.is_none() {
                let metadata = overlay::metadata(Kind::File, attributes, 0);
                overlay.borrow_mut().put(place.path(), metadata, Body::Content([].into()));
            }
            self.record(Action::Write, path, true, Some(LATER));
            return Ok(true);
        }
        if let Some(found) = &before
            && self.tree.is_kernel(&place.dir, found.device)?
        {
            bail!("it is a file of the kernel");
        }
        let (owner_asked, durable) = (file.owner.is_some(), file.durable);
        let new = Replacement { content: &[], attributes, owner_asked, durable, parents_made };
        let placed = self.tree.put(&place, &new, |temporary| {
            let mut sink = Sink { file: temporary, written: 0, memory: None };
            fill(&mut sink)?;
            let memory = sink.memory.unwrap_or_default();
            if let Some(found) = &before
                && found.metadata.size == sink.written
                && self.may_keep(&place, found, attributes)?
                && let Ok(old) = self.tree.open_file(&place.dir, place.name()?)
                && is_same(temporary, old.as_fd())?
            {
                keep_in_mind(old.as_fd(), &memory)?;
                return Ok(false);
            }
            keep_in_mind(temporary, &memory)?;
            Ok(true)
        })?;
        match &before {
            Some(found) if !placed => self.set_and_record(path, &place, found, attributes, Action::Write),
            _ => {
                self.record(Action::Write, path, true, None);
                Ok(true)
            }
        }
    }

    /// Leaves the content of a file that is there, and makes the rest be as described.
    pub fn keep(&self, file: &File) -> Result<bool> {
        let path = absolute(&file.path);
        let keep = || match self.reach_file(file, &path)? {
            Target { place, before: Some(found), attributes, .. } => {
                self.set_and_record(&path, &place, &found, attributes, Action::Write)
            }
            _ => bail!("it was removed by somebody else meanwhile: run again"),
        };
        keep().with_context(|| format!("cannot write {}", path.display()))
    }

    /// Reads a file piece by piece. False when there is none.
    pub fn read_pieces(&self, path: impl AsRef<Path>, mut take: impl FnMut(&[u8])) -> Result<bool> {
        let path = path.as_ref();
        let mut pieces = || -> Result<bool> {
            let Some((place, found)) = self.find_file(path)? else { return Ok(false) };
            if found.is_planned() {
                take(&self.tree.content(&place.dir, place.name()?)?);
                return Ok(true);
            }
            let file = self.tree.open_file(&place.dir, place.name()?)?;
            let mut buffer = vec![0; PIECE];
            loop {
                match read(file.as_fd(), &mut buffer)? {
                    0 => return Ok(true),
                    count => take(&buffer[..count]),
                }
            }
        };
        pieces().with_context(|| format!("cannot read {}", path.display()))
    }

    /// What is remembered of a file, if it was not changed since.
    pub fn recall(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        let open = || -> Result<Option<OwnedFd>> {
            match self.find_file(path.as_ref())? {
                Some((place, found)) if !found.is_planned() => {
                    Ok(Some(self.tree.open_file(&place.dir, place.name()?)?))
                }
                _ => Ok(None),
            }
        };
        // One that may not be read is fetched again.
        let Ok(Some(file)) = open() else { return Ok(None) };
        let Ok(memory) = sys::xattr(file.as_fd(), MEMORY) else { return Ok(None) };
        let stamp = stamp(&fstat(&file).map_err(Cause)?);
        Ok(memory.strip_prefix(stamp.as_bytes()).map(<[u8]>::to_vec))
    }

    fn find_file(&self, path: &Path) -> Result<Option<(Place, Found)>> {
        let route = Route { follow_last: true, any_link: false, parents: None };
        let place = self.tree.resolve(&self.base, path, route, &mut Vec::new())?;
        Ok(place.and_then(|place| match place.found {
            Some(found) if found.kind() == Kind::File => Some((place, found)),
            _ => None,
        }))
    }
}

/// What a change of the content changes.
fn stamp(stat: &FileStat) -> String {
    format!("{} {}.{:09} ", stat.st_size, stat.st_mtime, stat.st_mtime_nsec)
}

/// Remembers something of the file. A file system that cannot is no error: then it is not remembered.
fn keep_in_mind(file: BorrowedFd<'_>, memory: &[u8]) -> Result<(), Cause> {
    if memory.is_empty() {
        return Ok(());
    }
    let mut value = stamp(&fstat(file)?).into_bytes();
    value.extend_from_slice(memory);
    let _ = sys::set_xattr(file, MEMORY, &value);
    Ok(())
}

/// Whether both files, of one length, have the same content.
fn is_same(new: BorrowedFd<'_>, old: BorrowedFd<'_>) -> Result<bool> {
    let mut left = vec![0; PIECE];
    let mut right = vec![0; PIECE];
    lseek(new, 0, Whence::SeekSet).map_err(Cause)?;
    loop {
        let count = read(new, &mut left)?;
        if count == 0 {
            return Ok(true);
        }
        let mut filled = 0;
        while filled < count {
            match read(old, &mut right[filled..count])? {
                0 => return Ok(false),
                more => filled += more,
            }
        }
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests look at files from outside")]

    use super::*;
    use crate::system::scratch::{Mounted, Scratch, is_root, skipped};
    use crate::system::{Interrupted, Owner};
    use std::os::unix::fs::MetadataExt;

    fn file(path: &str) -> File {
        File::new(path, "").default_mode(0o644)
    }

    fn put(sys: &System, file: &File, content: &[u8]) -> Result<bool> {
        sys.write_stream(file, |sink| sink.add(content))
    }

    fn effects(sys: &System) -> Vec<(Action, bool)> {
        sys.take_effects().into_iter().map(|effect| (effect.action, effect.changed)).collect()
    }

    #[test]
    fn what_fails_half_way_leaves_the_old_file_and_nothing_else() {
        let scratch = Scratch::new();
        scratch.put("/opt/file", "old", 0o600);
        let (sys, before) = (scratch.apply(), scratch.stamp("/opt/file"));
        for path in ["/opt/file", "/opt/new"] {
            let failed = sys.write_stream(&file(path), |sink| {
                sink.add(b"half")?;
                bail!("the wire is cut")
            });
            assert_eq!(format!("{:#}", failed.unwrap_err()), format!("cannot write {path}: the wire is cut"));
            let stopped = sys.write_stream(&file(path), |_| Err(Interrupted { signal: "SIGTERM" }.into()));
            assert!(stopped.unwrap_err().is::<Interrupted>());
        }
        assert_eq!((scratch.stamp("/opt/file"), scratch.names("/opt")), (before, vec!["file".to_owned()]));
        assert_eq!(effects(&sys), []);
    }

    #[test]
    fn a_full_disk_is_found_out_and_leaves_the_old_file() {
        if !is_root("a full disk") {
            return;
        }
        let scratch = Scratch::new();
        let Some(_mounted) = Mounted::tmpfs(scratch.root(), "64k") else { return };
        scratch.put("/file", "old", 0o644);
        let sys = scratch.apply();
        let full = "cannot write /file: no space is left on the file system; free some";
        let endless = sys.write_stream(&file("/file"), |sink| {
            loop {
                sink.add(&[b'x'; 4096])?;
            }
        });
        assert_eq!(format!("{:#}", endless.unwrap_err()), full);
        let reserved = sys.write_stream(&file("/file"), |sink| sink.reserve(1 << 20));
        assert_eq!(format!("{:#}", reserved.unwrap_err()), full);
        assert_eq!((scratch.text("/file").as_str(), scratch.names("/").len()), ("old", 1));
        assert!(put(&sys, &file("/file"), b"new").unwrap());
        assert_eq!(scratch.text("/file"), "new");
    }

    #[test]
    fn nobody_else_can_read_it_before_it_is_whole() {
        let scratch = Scratch::new();
        scratch.dir("/opt", 0o755);
        let root = nix::unistd::geteuid().is_root();
        let owner = Owner { uid: 5, gid: 6 };
        let wanted =
            if root { file("/opt/file").mode(0o4755).owner(owner) } else { file("/opt/file").mode(0o755) };
        let filled = scratch.apply().write_stream(&wanted, |sink| {
            sink.add(b"x")?;
            let [name] = &scratch.names("/opt")[..] else { panic!("one temporary file") };
            assert!(name.starts_with(".cosette-"), "{name}");
            let found = std::fs::metadata(scratch.at("/opt").join(name)).unwrap();
            assert_eq!(found.mode() & 0o7777, 0o600);
            assert!(!root || (found.uid(), found.gid()) == (5, 6));
            Ok(())
        });
        assert!(filled.unwrap());
        assert_eq!(scratch.mode("/opt/file"), if root { 0o4755 } else { 0o755 });
    }

    #[test]
    fn what_has_the_content_is_kept_and_gets_only_what_differs() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        let content = vec![7; PIECE + 1];
        assert!(put(&sys, &file("/a/file"), &content).unwrap());
        let before = scratch.stamp("/a/file");
        assert!(!put(&sys, &file("/a/file"), &content).unwrap());
        assert_eq!(scratch.stamp("/a/file"), before);
        effects(&sys);
        assert!(put(&sys, &file("/a/file").mode(0o600), &content).unwrap());
        assert_eq!((scratch.stamp("/a/file").0, scratch.mode("/a/file")), (before.0, 0o600));
        assert_eq!(effects(&sys), [(Action::SetAttributes, true)]);
        // What was begun anew counts, not what was there before; the mode stays.
        let again = sys.write_stream(&file("/a/file"), |sink| {
            sink.add(&content)?;
            sink.restart()?;
            sink.add(b"short")?;
            assert_eq!(sink.written(), 5);
            Ok(())
        });
        assert!(again.unwrap());
        assert_eq!((scratch.text("/a/file").as_str(), scratch.mode("/a/file")), ("short", 0o600));
        assert!(put(&sys, &file("/a/file"), b"").unwrap());
        assert_eq!(scratch.text("/a/file"), "");
    }

    #[test]
    fn what_is_remembered_is_forgotten_with_the_content() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        let remembered = |content: &[u8]| {
            sys.write_stream(&file("/file"), |sink| {
                sink.remember("v1");
                sink.add(content)
            })
        };
        remembered(b"x").unwrap();
        if sys.recall("/file").unwrap().is_none() {
            return skipped("what is remembered", "the temporary directory has no extended attributes");
        }
        assert_eq!(sys.recall("/file").unwrap().unwrap(), b"v1");
        std::fs::write(scratch.at("/file"), "y").unwrap();
        assert_eq!(sys.recall("/file").unwrap(), None);
        assert!(!remembered(b"y").unwrap());
        assert!(sys.recall("/file").unwrap().is_some());
        // Attributes are taken over, but not what they say of another content.
        put(&sys, &file("/file"), b"z").unwrap();
        assert_eq!((sys.recall("/file").unwrap(), sys.recall("/none").unwrap()), (None, None));
    }

    #[test]
    fn what_stands_in_the_way_is_not_replaced_and_no_link_of_a_user_is_followed() {
        let scratch = Scratch::new();
        scratch.put("/shadow", "secret", 0o600);
        scratch.dir("/dir", 0o755);
        scratch.dir("/etc", 0o755);
        scratch.link("../shadow", "/etc/link");
        let sys = scratch.apply();
        let never = |path: &str| {
            let asked = sys.write_stream(&file(path), |_| panic!("nothing is fetched for {path}"));
            format!("{:#}", asked.unwrap_err())
        };
        assert!(never("/dir").contains("which is not replaced: remove it first"));
        assert!(never("/shadow/file").contains("/shadow"));
        // A link of root's leads on.
        assert!(put(&sys, &file("/etc/link"), b"new").unwrap());
        assert_eq!((scratch.text("/shadow").as_str(), scratch.mode("/shadow")), ("new", 0o600));
        let live =
            System::new(Path::new("/"), std::sync::Arc::new(super::super::Live), super::super::Mode::Apply);
        let kernel = live.unwrap().write_stream(&file("/proc/self/comm"), |_| panic!("nothing is fetched"));
        assert_eq!(
            format!("{:#}", kernel.unwrap_err()),
            "cannot write /proc/self/comm: it is a file of the kernel"
        );
        if !is_root("links of users") {
            return;
        }
        scratch.dir("/home", 0o755);
        scratch.link("/shadow", "/home/file");
        scratch.chown("/home", 1000);
        scratch.chown("/home/file", 1000);
        assert!(never("/home/file").starts_with("cannot write /home/file: "));
        scratch.put("/real", "bound", 0o644);
        scratch.put("/etc/hosts", "", 0o644);
        let Some(_mounted) = Mounted::bind(&scratch.at("/real"), &scratch.at("/etc/hosts")) else { return };
        assert!(put(&sys, &file("/etc/hosts"), b"new").is_err());
        assert_eq!((scratch.text("/real").as_str(), scratch.names("/etc").len()), ("bound", 2));
    }

    #[test]
    fn a_plan_fetches_nothing_and_knows_only_that_there_will_be_a_file() {
        let scratch = Scratch::new();
        let sys = scratch.plan();
        assert!(sys.write_stream(&file("/a/file"), |_| panic!("a plan fetches nothing")).unwrap());
        assert!(sys.exists("/a/file").unwrap() && !scratch.at("/a").exists());
        assert_eq!(effects(&sys), [(Action::CreateDirectory, true), (Action::Write, true)]);
        let gone = scratch.apply().keep(&file("/none"));
        assert!(format!("{:#}", gone.unwrap_err()).contains("run again"));
    }

    #[test]
    fn pieces_are_read_in_order_and_what_is_not_there_is_none() {
        let scratch = Scratch::new();
        let content: String = (0..PIECE).map(|number| char::from(b'a' + (number % 23) as u8)).collect();
        scratch.put("/file", &format!("{content}end"), 0o644);
        let mut seen = Vec::new();
        assert!(scratch.apply().read_pieces("/file", |piece| seen.extend_from_slice(piece)).unwrap());
        assert!(seen.ends_with(b"end") && seen.len() == PIECE + 3);
        assert!(!scratch.plan().read_pieces("/none", |_| panic!("there is nothing")).unwrap());
    }
}
