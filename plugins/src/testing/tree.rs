//! Trees of files as text, so that a test can be read at a glance.
//!
//! ```text
//! -- /etc/issue 0644 0:0
//! Welcome
//! -- /home/alice/ 0700 1000:1000
//! -- /etc/mtab -> ../proc/self/mounts
//! -- /etc/motd removed
//! ```
//!
//! A header begins with `-- /`; a name that ends in `/` is a directory; mode and owner may be left out (0644,
//! directories 0755, `0:0`); `no-newline` takes the last line feed off the content. Directories that only
//! hold files need no line. `removed` stands in expectations only, which list what differs from the
//! beginning.

use super::{FakeHost, TarBuilder, TarEntry};
use crate::system::{Host, Owner};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::fmt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// A tree of files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    entries: BTreeMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    File { mode: u32, owner: (u32, u32), content: Vec<u8> },
    Directory { mode: u32, owner: (u32, u32) },
    Link { target: PathBuf },
    Removed,
}

impl Tree {
    /// Reads a tree from its text.
    pub fn parse(text: &str) -> Result<Self> {
        let mut entries = BTreeMap::new();
        let mut lines = text.split_inclusive('\n').peekable();
        while let Some(header) = lines.next() {
            if header.trim().is_empty() {
                continue;
            }
            let Some(rest) = header.strip_prefix("-- ") else { bail!("expected `-- /path`: {header:?}") };
            let mut content = String::new();
            while let Some(line) = lines.next_if(|line| !line.starts_with("-- /")) {
                content.push_str(line);
            }
            let (path, entry) = Entry::parse(rest.trim_end(), content)
                .with_context(|| format!("in the header {:?}", header.trim_end()))?;
            entries.insert(path, entry);
        }
        Ok(Self { entries })
    }

    /// Writes the tree below `root`; owners are only pretended.
    pub fn create(&self, root: &Path, host: &FakeHost) -> Result<()> {
        for (path, entry) in &self.entries {
            let at = root.join(&path[1..]);
            if let Some(parent) = at.parent() {
                std::fs::create_dir_all(parent)?;
            }
            match entry {
                Entry::File { mode, owner, content } => {
                    std::fs::write(&at, content)?;
                    std::fs::set_permissions(&at, PermissionsExt::from_mode(*mode))?;
                    host.pretend_owner(&at, Owner { uid: owner.0, gid: owner.1 })?;
                }
                Entry::Directory { mode, owner } => {
                    std::fs::create_dir_all(&at)?;
                    std::fs::set_permissions(&at, PermissionsExt::from_mode(*mode))?;
                    host.pretend_owner(&at, Owner { uid: owner.0, gid: owner.1 })?;
                }
                Entry::Link { target } => symlink(target, &at)?,
                Entry::Removed => bail!("{path}: nothing can be removed from a tree that is only beginning"),
            }
        }
        Ok(())
    }

    /// The tree as a tar archive.
    pub fn archive(&self) -> Vec<u8> {
        self.entries
            .iter()
            .fold(TarBuilder::new(), |archive, (path, entry)| {
                let name = path.trim_start_matches('/');
                match entry {
                    Entry::File { mode, owner, content } => archive.entry(TarEntry {
                        mode: *mode,
                        owner: *owner,
                        content,
                        ..TarEntry::new(name, b'0')
                    }),
                    Entry::Directory { mode, owner } => {
                        archive.entry(TarEntry { mode: *mode, owner: *owner, ..TarEntry::new(name, b'5') })
                    }
                    Entry::Link { target } => archive.symlink(name, target.to_str().unwrap_or_default()),
                    Entry::Removed => archive,
                }
            })
            .finish()
    }

    /// Reads the tree below `root`.
    pub fn read(root: &Path, host: &FakeHost) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_dir(root, "/", host)?;
        Ok(tree)
    }

    /// This tree with the differences of another laid over it.
    pub fn with(mut self, differences: &Tree) -> Self {
        for (path, entry) in &differences.entries {
            self.entries.remove(path);
            self.entries.remove(path.trim_end_matches('/'));
            if *entry != Entry::Removed {
                self.entries.insert(path.clone(), entry.clone());
            }
        }
        // A directory with mode, owner and something in it like any other says nothing.
        let paths: Vec<String> = self.entries.keys().cloned().collect();
        self.entries.retain(|path, entry| {
            !matches!(entry, Entry::Directory { mode: 0o755, owner: (0, 0) })
                || !paths.iter().any(|other| other != path && other.starts_with(path.as_str()))
        });
        self
    }

    /// This tree without what lies below these directories, and without the directories that only led there.
    pub(super) fn without(mut self, directories: &[&str]) -> Self {
        for directory in directories {
            let below = format!("{directory}/");
            self.entries.retain(|path, _| !path.starts_with(&below));
            for above in Path::new(&below).ancestors().skip(1).take_while(|above| *above != Path::new("/")) {
                let above = format!("{}/", above.display());
                if !self.entries.keys().any(|path| *path != above && path.starts_with(&above)) {
                    self.entries.remove(&above);
                }
            }
        }
        self
    }

    fn read_dir(&mut self, dir: &Path, name: &str, host: &FakeHost) -> Result<()> {
        for child in std::fs::read_dir(dir).with_context(|| format!("cannot list {}", dir.display()))? {
            let at = child?.path();
            let found = std::fs::symlink_metadata(&at)?;
            let mut path = format!("{name}{}", at.file_name().unwrap_or_default().to_string_lossy());
            let owner = host.owner(found.dev(), found.ino(), Owner { uid: found.uid(), gid: found.gid() });
            let (mode, owner) = (found.mode() & 0o7777, (owner.uid, owner.gid));
            if found.is_symlink() {
                self.entries.insert(path, Entry::Link { target: std::fs::read_link(&at)? });
            } else if found.is_dir() {
                path.push('/');
                self.entries.insert(path.clone(), Entry::Directory { mode, owner });
                self.read_dir(&at, &path, host)?;
            } else {
                self.entries.insert(path, Entry::File { mode, owner, content: read_file(&at, mode)? });
            }
        }
        Ok(())
    }
}

/// The content of a file, even if its mode does not let its owner read it.
fn read_file(path: &Path, mode: u32) -> Result<Vec<u8>> {
    let content = std::fs::read(path).or_else(|_| {
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode | 0o400))?;
        let content = std::fs::read(path);
        std::fs::set_permissions(path, PermissionsExt::from_mode(mode))?;
        content
    });
    content.with_context(|| format!("cannot read {}", path.display()))
}

impl Entry {
    fn parse(header: &str, mut content: String) -> Result<(String, Self)> {
        if let Some((path, target)) = header.split_once(" -> ") {
            return Ok((path.to_owned(), Self::Link { target: target.into() }));
        }
        let mut words = header.split(' ');
        let path = words.next().unwrap_or_default().to_owned();
        let directory = path.ends_with('/');
        let (mut mode, mut owner) = (if directory { 0o755 } else { 0o644 }, (0, 0));
        for word in words {
            if word == "removed" {
                return Ok((path, Self::Removed));
            } else if word == "no-newline" {
                content.pop();
            } else if let Some((user, group)) = word.split_once(':') {
                owner = (user.parse()?, group.parse()?);
            } else {
                mode = u32::from_str_radix(word, 8).with_context(|| format!("{word:?} is no mode"))?;
            }
        }
        let content = content.into_bytes();
        Ok((
            path,
            if directory { Self::Directory { mode, owner } } else { Self::File { mode, owner, content } },
        ))
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (path, entry) in &self.entries {
            match entry {
                Entry::File { mode, owner: (user, group), content } => {
                    let text = String::from_utf8_lossy(content);
                    let whole = text.is_empty() || text.ends_with('\n');
                    let end = if whole { "" } else { " no-newline" };
                    writeln!(f, "-- {path} {mode:04o} {user}:{group}{end}")?;
                    write!(f, "{text}{}", if whole { "" } else { "\n" })?;
                }
                Entry::Directory { mode, owner: (user, group) } => {
                    writeln!(f, "-- {path} {mode:04o} {user}:{group}")?;
                }
                Entry::Link { target } => writeln!(f, "-- {path} -> {}", target.display())?,
                Entry::Removed => writeln!(f, "-- {path} removed")?,
            }
        }
        Ok(())
    }
}
