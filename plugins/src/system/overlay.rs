//! What a plan has written: memory that lies over the disk.
//!
//! **Invariant:** keys are canonical paths, absolute and without links. A directory that the plan has made
//! hides whatever the disk has at its path, because it was entered without a handle (see [`super::tree`]).

use super::metadata::Attributes;
use super::{Kind, Metadata};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// All that a plan has written.
#[derive(Default)]
pub(super) struct Overlay {
    entries: BTreeMap<PathBuf, Entry>,
    /// The name that the machine would have.
    pub(super) hostname: Option<String>,
    /// The parameters that its kernel would have, by their paths.
    pub(super) parameters: BTreeMap<PathBuf, String>,
}

/// What the plan knows of one path.
#[derive(Clone)]
pub(super) enum Entry {
    /// Nothing is there any more.
    Absent,
    /// Something is there.
    Present(Metadata, Body),
}

/// What is in a thing.
#[derive(Clone)]
pub(super) enum Body {
    /// What the disk has at this path; only attributes were changed.
    Disk,
    /// A file with this content.
    Content(Rc<[u8]>),
    /// A directory that was made.
    Directory,
    /// A link to this target.
    Link(PathBuf),
}

impl Overlay {
    /// What the plan knows of the path; nothing if only the disk does.
    pub(super) fn get(&self, path: &Path) -> Option<&Entry> {
        self.entries.get(path)
    }

    /// Notes that the path now holds this.
    pub(super) fn put(&mut self, path: PathBuf, metadata: Metadata, body: Body) {
        self.entries.insert(path, Entry::Present(metadata, body));
    }

    /// Notes that nothing is at the path.
    pub(super) fn remove(&mut self, path: PathBuf) {
        self.entries.insert(path, Entry::Absent);
    }

    /// Changes mode and owner of what is at the path; `metadata` is what it was.
    pub(super) fn set(&mut self, path: PathBuf, metadata: Metadata) {
        let body = match self.entries.remove(&path) {
            Some(Entry::Present(_, body)) => body,
            _ => Body::Disk,
        };
        self.entries.insert(path, Entry::Present(metadata, body));
    }

    /// The names in the directory that the plan has written (`true`) or removed (`false`).
    pub(super) fn names<'a>(&'a self, dir: &'a Path) -> impl Iterator<Item = (OsString, bool)> + 'a {
        let below = (Bound::Excluded(dir.to_owned()), Bound::Unbounded);
        self.entries
            .range(below)
            .take_while(move |(path, _)| path.starts_with(dir))
            .filter(move |(path, _)| path.parent() == Some(dir))
            .filter_map(|(path, entry)| {
                Some((path.file_name()?.to_owned(), matches!(entry, Entry::Present(..))))
            })
    }
}

/// The metadata of something new.
pub(super) fn metadata(kind: Kind, attributes: Attributes, size: usize) -> Metadata {
    Metadata { kind, mode: attributes.mode, owner: attributes.owner, size: size as u64 }
}

#[cfg(test)]
mod tests {
    use crate::system::scratch::{Scratch, may_give_away};
    use crate::system::{File, Kind, Owner, System};
    use std::fmt::Write as _;
    use std::path::{Path, PathBuf};

    /// A generator of choices that gives the same ones for the same seed (xorshift).
    struct Choices(u64);

    impl Choices {
        fn next(&mut self, below: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 >> 11) as usize % below
        }

        fn of<T: Copy>(&mut self, values: &[T]) -> T {
            values[self.next(values.len())]
        }
    }

    const PATHS: [&str; 14] = [
        "/a",
        "/b",
        "/a/x",
        "/a/y",
        "/b/x",
        "/a/x/deep",
        "/l",
        "/l/x",
        "/l/new/file",
        "/b/../a/x",
        "/up/a/y",
        "/c",
        "/c/d/e",
        "/a/x/../y",
    ];
    const TARGETS: [&str; 8] = ["/a", "b", "/a/x", "../b/x", "..", "/none/yet", "l", "/c/d"];
    const MODES: [u32; 5] = [0o644, 0o600, 0o755, 0o4755, 0o666];

    fn prepare(scratch: &Scratch) {
        scratch.put("/a/x", "text", 0o644);
        scratch.put("/b/old", "old", 0o600);
        scratch.dir("/c", 0o750);
        scratch.link("..", "/b/up");
        scratch.link("/", "/up");
    }

    /// Does one thing, and returns what came of it.
    fn act(choices: &mut Choices, sys: &System) -> String {
        let path = choices.of(&PATHS);
        let owner = choices.of(&[None, None, Some(Owner { uid: 0, gid: 0 }), Some(Owner { uid: 7, gid: 8 })]);
        let owner = owner.filter(|_| may_give_away());
        let mode = choices.of(&MODES);
        let some = choices.next(2) == 0;
        let result = match choices.next(6) {
            0 | 1 => {
                let mut file =
                    File::new(path, choices.of(&["", "text", "other", "longer text\n"])).default_mode(mode);
                file = if some { file.mode(mode) } else { file };
                file = owner.into_iter().fold(file, File::owner);
                sys.write(if choices.next(4) == 0 { file.replace_link() } else { file })
            }
            2 => sys.create_dir(path, some.then_some(mode | 0o700), owner),
            3 => sys.symlink(choices.of(&TARGETS), path, some),
            4 => sys.remove(path),
            _ => {
                let is_dir =
                    matches!(sys.symlink_metadata(path), Ok(Some(found)) if found.kind == Kind::Directory);
                let mode = if is_dir { mode | 0o700 } else { mode };
                sys.set_attributes(path, some.then_some(mode), owner)
            }
        };
        match result {
            Ok(changed) => format!("{path}: {changed}"),
            Err(error) => format!("{path}: {error:#}"),
        }
    }

    /// All that can be seen of the tree.
    fn view(sys: &System, dir: &Path, out: &mut String) {
        for name in sys.read_dir(dir).unwrap().unwrap() {
            let path = dir.join(name);
            let found = sys.symlink_metadata(&path).unwrap().unwrap();
            let size = if found.kind == Kind::Directory { 0 } else { found.size };
            let through = sys.metadata(&path).map(|found| found.map(|found| found.kind)).ok();
            let target: Option<PathBuf> = sys.read_link(&path).unwrap();
            let text = (found.kind == Kind::File).then(|| sys.read_text(&path).unwrap().unwrap());
            let (kind, mode, owner) = (found.kind, found.mode, found.owner);
            writeln!(out, "{path:?} {kind:?} {mode:o} {owner} {size} {through:?} {target:?} {text:?}")
                .unwrap();
            if found.kind == Kind::Directory {
                view(sys, &path, out);
            }
        }
    }

    #[test]
    fn a_plan_and_what_is_then_applied_are_the_same_whatever_is_done() {
        for seed in 1..=40 {
            let (planned, real) = (Scratch::new(), Scratch::new());
            prepare(&planned);
            prepare(&real);
            let mut untouched = String::new();
            view(&planned.apply(), Path::new("/"), &mut untouched);
            let (plan, apply) = (planned.plan(), real.apply());
            let (mut left, mut right) = (Choices(seed * 0x9e37_79b9), Choices(seed * 0x9e37_79b9));
            let mut story = String::new();
            for _ in 0..40 {
                let (expected, got) = (act(&mut left, &plan), act(&mut right, &apply));
                writeln!(story, "{expected}").unwrap();
                assert_eq!(expected, got, "seed {seed}:\n{story}");
                let mut effects = plan.take_effects();
                effects.iter_mut().for_each(|effect| effect.diff = None);
                assert_eq!(effects, apply.take_effects(), "seed {seed}:\n{story}");
                let (mut left, mut right) = (String::new(), String::new());
                view(&plan, Path::new("/"), &mut left);
                view(&apply, Path::new("/"), &mut right);
                assert_eq!(left, right, "seed {seed}:\n{story}");
            }
            let mut after = String::new();
            view(&planned.apply(), Path::new("/"), &mut after);
            assert_eq!(untouched, after, "the plan wrote: seed {seed}");
        }
    }
}
