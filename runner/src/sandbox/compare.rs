//! The comparison of one path before and after, and what a person may see of it.

use anyhow::{Context as _, Result};
use cosette_plugins::effect::Diff;
use cosette_plugins::system::{Kind, Metadata};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Longer texts are not shown, in bytes.
const LARGEST_TEXT: u64 = 64 * 1024;

/// Something on one side of the comparison.
pub(super) struct Side {
    /// Where it can be looked at.
    pub(super) path: PathBuf,
    /// What the kernel says of it.
    pub(super) kernel: std::fs::Metadata,
    /// The same, with the owner that it shall have.
    pub(super) metadata: Metadata,
}

/// Whether both are of one kind and have the same content. `stand_in` is what was there instead of a file
/// that cannot be read.
pub(super) fn same(before: &Side, after: &Side, stand_in: Option<&Vec<u8>>) -> Result<bool> {
    if before.metadata.kind != after.metadata.kind {
        return Ok(false);
    }
    let found = match (before.metadata.kind, stand_in) {
        (Kind::Directory, _) => Ok(true),
        (Kind::Symlink, _) => target(before).and_then(|before| Ok(before == target(after)?)),
        (Kind::Other, _) => Ok(before.kernel.file_type() == after.kernel.file_type()
            && before.kernel.rdev() == after.kernel.rdev()),
        (Kind::File, Some(content)) => std::fs::read(&after.path).map(|after| after == *content),
        (Kind::File, None) if before.metadata.size != after.metadata.size => Ok(false),
        (Kind::File, None) => same_content(&before.path, &after.path),
    };
    match found {
        // What the user may not read can only have been replaced.
        Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => Ok(false),
        found => found.with_context(|| format!("cannot compare {}", after.path.display())),
    }
}

fn target(side: &Side) -> std::io::Result<PathBuf> {
    std::fs::read_link(&side.path)
}

fn same_content(a: &Path, b: &Path) -> std::io::Result<bool> {
    let (mut a, mut b) = (File::open(a)?, File::open(b)?);
    let (mut from_a, mut from_b) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    loop {
        let (read_a, read_b) = (fill(&mut a, &mut from_a)?, fill(&mut b, &mut from_b)?);
        if from_a[..read_a] != from_b[..read_b] {
            return Ok(false);
        }
        if read_a == 0 {
            return Ok(true);
        }
    }
}

/// Reads until the buffer is full or the file ends.
fn fill(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

/// What a person may see of the contents of two files or links; of other things nothing. `public` tells whether
/// everybody may get to them.
pub(super) fn diff(before: Option<&Side>, after: Option<&Side>, public: bool) -> Option<Diff> {
    let before = match (content(before, public), content(after, public)) {
        (_, Some(Err(reason))) | (Some(Err(reason)), _) => return Some(Diff::Hidden(reason)),
        (None, None) => return None,
        (before, None) => Diff::Text { before: before.and_then(Result::ok), after: String::new() },
        (before, Some(Ok(after))) => Diff::Text { before: before.and_then(Result::ok), after },
    };
    Some(before)
}

/// The text of a file or the target of a link; the reason why it is not shown.
fn content(side: Option<&Side>, public: bool) -> Option<std::result::Result<String, &'static str>> {
    let side = side?;
    match side.metadata.kind {
        Kind::Directory | Kind::Other => None,
        Kind::Symlink => {
            Some(target(side).map(|target| target.display().to_string()).map_err(|_| UNREADABLE))
        }
        Kind::File if !public || side.metadata.mode & 0o004 == 0 => Some(Err(PRIVATE)),
        Kind::File if let Some(reason) = side.path.file_name().and_then(Diff::hidden_by_name) => {
            Some(Err(reason))
        }
        Kind::File if side.metadata.size > LARGEST_TEXT => Some(Err("longer than 64 KiB")),
        Kind::File => Some(match std::fs::read(&side.path).map(String::from_utf8) {
            Ok(Ok(text)) if !text.contains('\0') => Ok(text),
            Ok(_) => Err("binary"),
            Err(_) => Err(UNREADABLE),
        }),
    }
}

const PRIVATE: &str = "not readable by everybody";
const UNREADABLE: &str = "not readable";

/// The change of mode and owner in words: `mode 0644 -> 0600, owner 0:0 -> 8:8`.
pub(super) fn attributes(before: &Metadata, after: &Metadata) -> String {
    let mut words = Vec::new();
    if before.mode != after.mode {
        words.push(format!("mode {:04o} -> {:04o}", before.mode, after.mode));
    }
    if before.owner != after.owner {
        let (from, to) = (before.owner, after.owner);
        words.push(format!("owner {}:{} -> {}:{}", from.uid, from.gid, to.uid, to.gid));
    }
    words.join(", ")
}
