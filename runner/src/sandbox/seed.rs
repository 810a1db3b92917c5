//! What is put into the upper layers before the view starts.
//!
//! For an ordinary user the kernel refuses to copy up what belongs to ids that do not exist in the user
//! namespace. Directories that are there already, and are the user's own, need no copying.

use super::host::OVERFLOW;
use super::layers::Layer;
use super::view::copy_attributes;
use anyhow::{Context as _, Result};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Directories whose files are copied, so that they can be changed in place: what stages write to.
pub(super) const COPIED: [&str; 3] = ["/etc", "/oem", "/system"];

/// Files above this size, in bytes, are not copied.
pub(super) const LARGEST_FILE: u64 = 1 << 20;

/// Of a larger tree the rest stays as it is.
const MOST_ENTRIES: usize = 50_000;

/// Directories of which all below them are made; of others those of the first levels.
const WHOLE: [&str; 9] = ["/etc", "/home", "/oem", "/opt", "/root", "/srv", "/system", "/usr/local", "/var"];

/// What the user may not read.
#[derive(Debug, Default)]
pub(super) struct Unreadable {
    /// They are shown as empty.
    pub(super) directories: Vec<PathBuf>,
    /// They can be replaced only.
    pub(super) files: Vec<PathBuf>,
    /// Those for which something stands in.
    pub(super) replaced: Vec<PathBuf>,
}

/// Fills the upper layer of an overlay.
pub(super) struct Seed<'a> {
    /// The tree that is viewed.
    root: &'a Path,
    store: &'a Path,
    unreadable: &'a mut Unreadable,
    /// Directories to be hidden, once there is an overlay.
    hidden: Vec<PathBuf>,
    left: usize,
}

impl<'a> Seed<'a> {
    pub(super) fn new(root: &'a Path, store: &'a Path, unreadable: &'a mut Unreadable) -> Self {
        Self { root, store, unreadable, hidden: Vec::new(), left: MOST_ENTRIES }
    }

    /// Makes the directories of a layer, and copies its files if it is one of [`COPIED`] or in one. Returns
    /// the directories that cannot be read.
    pub(super) fn fill(mut self, layer: &mut Layer) -> Result<Vec<PathBuf>> {
        let at = layer.at.clone();
        let depth = levels(&at);
        let files = COPIED.iter().any(|copied| at.starts_with(copied));
        self.directory(layer, &at, files, depth)?;
        Ok(self.hidden)
    }

    fn directory(&mut self, layer: &mut Layer, at: &Path, files: bool, depth: usize) -> Result<()> {
        let entries = match std::fs::read_dir(below(self.root, at)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                self.hidden.push(at.to_owned());
                return Ok(());
            }
            // It went away meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error).with_context(|| format!("cannot list {}", at.display())),
        };
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot list {}", at.display()))?;
            if self.left == 0 {
                break;
            }
            let (path, kind) = (at.join(entry.file_name()), entry.file_type()?);
            let upper = self.store.join(&layer.upper).join(path.strip_prefix(&layer.at).unwrap_or(&path));
            if kind.is_dir() {
                let found = entry.metadata()?;
                if ours(&found) {
                    continue;
                }
                self.left -= 1;
                std::fs::create_dir(&upper).with_context(|| format!("cannot make {}", path.display()))?;
                copy_attributes(&found, &upper)?;
                layer.seeded(&upper)?;
                let depth = (depth - 1).max(if whole(&path) { usize::MAX } else { 0 });
                if depth > 0 {
                    self.directory(layer, &path, files, depth)?;
                }
            } else if files && !ours(&entry.metadata()?) {
                self.left -= 1;
                file(self.root, &path, &upper, layer, self.unreadable)?;
            }
        }
        Ok(())
    }
}

/// Puts a copy of a small file or link of the tree at `root` into an upper layer; whether it was one, and could
/// be read.
pub(super) fn file(
    root: &Path,
    at: &Path,
    upper: &Path,
    layer: &mut Layer,
    unreadable: &mut Unreadable,
) -> Result<bool> {
    let from = below(root, at);
    match copy(&from, upper) {
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {}
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(true),
        Ok(false) => return Ok(false),
        copied => {
            copied
                .and_then(|_| layer.seeded(upper))
                .with_context(|| format!("cannot copy {}", at.display()))?;
            return Ok(true);
        }
    }
    let Some(content) = stand_in(root, at) else {
        unreadable.files.push(at.to_owned());
        return Ok(false);
    };
    std::fs::write(upper, &content)?;
    copy_attributes(&std::fs::symlink_metadata(&from)?, upper)?;
    layer.seeded(upper)?;
    if !content.is_empty() {
        unreadable.replaced.push(at.to_owned());
    }
    layer.stand_ins.insert(at.to_owned(), content);
    Ok(true)
}

/// The account databases that nobody may read, with the accounts that everybody knows of, all locked, and
/// their lock.
fn stand_in(root: &Path, at: &Path) -> Option<Vec<u8>> {
    let (names, rest) = match at.to_str()? {
        "/etc/shadow" => ("/etc/passwd", ":*:::::::"),
        "/etc/gshadow" => ("/etc/group", ":*::"),
        // Whoever edits those takes this lock, which is always empty.
        "/etc/.pwd.lock" => return Some(Vec::new()),
        _ => return None,
    };
    let names = std::fs::read_to_string(below(root, Path::new(names))).ok()?;
    let names = names.lines().filter_map(|line| line.split_once(':')).filter(|(name, _)| !name.is_empty());
    Some(names.map(|(name, _)| format!("{name}{rest}\n")).collect::<String>().into_bytes())
}

/// Copies a small regular file or a link; whether it was one.
pub(super) fn copy(from: &Path, to: &Path) -> std::io::Result<bool> {
    let found = std::fs::symlink_metadata(from)?;
    if found.is_symlink() {
        std::os::unix::fs::symlink(std::fs::read_link(from)?, to)?;
    } else if found.is_file() && found.len() <= LARGEST_FILE {
        let content = std::fs::read(from)?;
        std::fs::write(to, content)?;
    } else {
        return Ok(false);
    }
    copy_attributes(&found, to)?;
    Ok(true)
}

/// A path of the view in the tree at `root`.
pub(super) fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// How many levels of the directories of a layer are made.
fn levels(at: &Path) -> usize {
    match at.to_str() {
        _ if whole(at) => usize::MAX,
        // What is there is not for a stage.
        Some("/tmp") => 1,
        _ => 3,
    }
}

fn whole(at: &Path) -> bool {
    WHOLE.iter().any(|whole| at.starts_with(whole))
}

/// Whether something belongs to ids that exist here: others are shown as the overflow id.
fn ours(found: &std::fs::Metadata) -> bool {
    found.uid() != OVERFLOW && found.gid() != OVERFLOW
}
