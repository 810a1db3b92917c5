//! Images of random content, unpacked here, by umoci and by GNU tar: the trees must be the same.
#![allow(clippy::disallowed_methods, reason = "tests run programs and look at files from outside")]

use super::{Policy, Request, Source, unpack};
use crate::system::{Live, Mode, System};
use crate::testing::{LayoutBuilder, TarBuilder, TarEntry};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn skipped(what: &str) {
    writeln!(std::io::stderr(), "SKIPPED: the comparison with {what}").unwrap();
}

/// A sequence of numbers that is always the same for the same seed.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn name(&mut self) -> String {
        ["a", "b", "c", "name with space", "ümlaut", "long-name-of-a-file-that-is-still-a-name"]
            [self.below(6)]
        .into()
    }
}

/// What stands where, while layers are made up.
type Tree = BTreeMap<String, u8>;

/// Adds what a builder could: it mentions directories before what is in them, links only to what is there, and
/// removes only what lower layers have.
fn layer(random: &mut Random, tree: &mut Tree) -> Vec<u8> {
    let mut archive = TarBuilder::new();
    let lower = tree.clone();
    let mut touched = BTreeSet::new();
    for step in 0..30 {
        let dirs: Vec<String> =
            tree.iter().filter(|(_, kind)| **kind == b'5').map(|(path, _)| path.clone()).collect();
        let dir = match random.below(dirs.len() + 1) {
            0 => String::new(),
            index => format!("{}/", dirs[index - 1]),
        };
        let path = format!("{dir}{}", random.name());
        let below = format!("{path}/");
        if touched.iter().any(|other: &String| *other == path || other.starts_with(&below)) || path.len() > 95
        {
            continue;
        }
        let modified = 1_000_000_000 + random.below(1_000_000) as u64;
        let owner = (random.below(3) as u32 * 1000, random.below(2) as u32 * 50);
        let entry = |kind| TarEntry { modified, owner, ..TarEntry::new(&path, kind) };
        if lower.contains_key(&path) && random.below(3) == 0 {
            tree.retain(|other, _| *other != path && !other.starts_with(&below));
            archive = archive.file(&format!("{dir}.wh.{}", &path[dir.len()..]), "");
            touched.insert(path);
            continue;
        }
        let kind = *[b'0', b'0', b'5', b'5', b'5', b'2', b'1', b'6', b'3', b'4']
            .get(random.below(10))
            .unwrap_or(&b'0');
        if kind != b'5' || tree.get(&path) != Some(&b'5') {
            tree.retain(|other, _| !other.starts_with(&below));
        }
        let files: Vec<String> = tree
            .iter()
            .filter(|(other, kind)| **kind == b'0' && **other != path)
            .map(|(path, _)| path.clone())
            .collect();
        archive = match kind {
            b'0' => {
                let content = "x".repeat(random.below(2000));
                let mode = [0o644, 0o755, 0o600, 0o4755, 0o2755][random.below(5)];
                let value = format!("{step}\n=\u{0}").into_bytes();
                let archive = match random.below(4) {
                    0 => archive.pax(&[("SCHILY.xattr.user.test", &value), ("mtime", b"1500000000.125")]),
                    _ => archive,
                };
                archive.entry(TarEntry { mode, content: content.as_bytes(), ..entry(b'0') })
            }
            b'5' => archive.entry(TarEntry { mode: [0o755, 0o700, 0o1777][random.below(3)], ..entry(b'5') }),
            b'2' => archive
                .entry(TarEntry { link: ["a", "../b", "/etc", "nowhere"][random.below(4)], ..entry(b'2') }),
            b'1' if files.is_empty() => continue,
            b'1' => archive.entry(TarEntry { link: &files[random.below(files.len())], ..entry(b'1') }),
            b'6' => archive.entry(entry(b'6')),
            kind => archive.entry(TarEntry { device: (1, random.below(9) as u32), ..entry(kind) }),
        };
        tree.insert(path.clone(), if kind == b'1' { b'0' } else { kind });
        touched.insert(path);
    }
    archive.finish()
}

/// A tree as text: everything that an archive can say.
fn describe(root: &Path) -> String {
    fn walk(root: &Path, dir: &Path, inodes: &mut BTreeMap<u64, String>, text: &mut String) {
        let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        for path in paths {
            let found = std::fs::symlink_metadata(&path).unwrap();
            let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
            write!(text, "{name} {:o} {}:{} {}", found.mode(), found.uid(), found.gid(), found.rdev())
                .unwrap();
            if !found.is_dir() {
                write!(text, " {}.{}", found.mtime(), found.mtime_nsec()).unwrap();
                let first = inodes.entry(found.ino()).or_insert(name);
                write!(text, " = {first}").unwrap();
            }
            if found.is_symlink() {
                write!(text, " -> {}", std::fs::read_link(&path).unwrap().display()).unwrap();
            } else if found.is_file() {
                write!(text, " {}", super::Digest::of(&std::fs::read(&path).unwrap())).unwrap();
                let attributes =
                    Command::new("getfattr").args(["-d", "-m", "-", "--absolute-names"]).arg(&path).output();
                if let Ok(output) = attributes {
                    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
                    write!(text, " {:?}", lines.lines().skip(1).collect::<Vec<_>>()).unwrap();
                }
            }
            text.push('\n');
            if found.is_dir() {
                walk(root, &path, inodes, text);
            }
        }
    }
    let mut text = String::new();
    walk(root, root, &mut BTreeMap::new(), &mut text);
    text
}

fn ours(root: &Path) -> String {
    let sys = System::new(root, Arc::new(Live), Mode::Apply).unwrap();
    let source = Source::parse("oci-layout:/layout").unwrap();
    let request = Request { source, platform: None, insecure: None };
    let unpacked = unpack(&sys, &request, &Policy::default(), Path::new("/ours"), &mut ()).unwrap();
    assert_eq!(unpacked.warnings, Vec::<String>::new());
    describe(&root.join("ours"))
}

fn may_compare(program: &str) -> bool {
    if !nix::unistd::geteuid().is_root() {
        skipped(&format!("{program}: it needs root"));
        return false;
    }
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        skipped(&format!("{program}: it is not installed"));
    }
    there
}

#[test]
fn random_images_are_the_same_as_with_umoci() {
    if !may_compare("umoci") {
        return;
    }
    for seed in 0..12 {
        let dir = tempfile::tempdir().unwrap();
        let (mut random, mut tree) = (Random(seed), Tree::new());
        let layers: Vec<_> = (0..4).map(|_| layer(&mut random, &mut tree)).collect();
        LayoutBuilder::new(&dir.path().join("layout")).image("tag", &layers);
        let output = Command::new("umoci")
            .args(["raw", "unpack", "--image", "layout:tag", "theirs"])
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&output.stderr));
        let (ours, theirs) = (ours(dir.path()), describe(&dir.path().join("theirs")));
        assert!(ours == theirs, "seed {seed}\n=== ours\n{ours}\n=== theirs\n{theirs}");
        assert_eq!(ours.lines().count(), tree.len(), "seed {seed}: {ours}\n{tree:#?}");
    }
}

#[test]
fn random_archives_are_the_same_as_with_gnu_tar() {
    if !may_compare("tar") {
        return;
    }
    for seed in 100..112 {
        let dir = tempfile::tempdir().unwrap();
        let archive = layer(&mut Random(seed), &mut Tree::new());
        LayoutBuilder::new(&dir.path().join("layout")).image("", std::slice::from_ref(&archive));
        std::fs::create_dir(dir.path().join("theirs")).unwrap();
        std::fs::write(dir.path().join("archive"), archive).unwrap();
        let output = Command::new("tar")
            .args(["--numeric-owner", "--xattrs", "--xattrs-include=*", "-xpf", "../archive"])
            .current_dir(dir.path().join("theirs"))
            .output()
            .unwrap();
        assert!(output.status.success(), "seed {seed}: {}", String::from_utf8_lossy(&output.stderr));
        let (ours, theirs) = (ours(dir.path()), describe(&dir.path().join("theirs")));
        assert!(ours == theirs, "seed {seed}\n=== ours\n{ours}\n=== theirs\n{theirs}");
    }
}
