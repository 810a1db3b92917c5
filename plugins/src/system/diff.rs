//! What a person sees of a change that a plan would make.

use super::Metadata;
use super::metadata::Attributes;
use crate::effect::Diff;

/// Longer content is not shown.
const SHOWN: usize = 64 << 10;

/// A change of content; `before` is nothing for a new file. What not everybody may read, before or after, is
/// not shown: it may be a secret.
pub(super) fn content(before: Option<(&Metadata, &[u8])>, after: Attributes, text: &[u8]) -> Diff {
    let readable = |mode: u32| mode & 0o004 != 0;
    if !readable(after.mode) || before.is_some_and(|(metadata, _)| !readable(metadata.mode)) {
        return Diff::Hidden("not readable by everybody");
    }
    if text.len() > SHOWN || before.is_some_and(|(metadata, _)| metadata.size > SHOWN as u64) {
        return Diff::Hidden("larger than 64 KiB");
    }
    let shown = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).ok().filter(|text| !text.contains('\0'));
    match (before.map(|(_, bytes)| shown(bytes)), shown(text)) {
        (None, Some(after)) => Diff::Text { before: None, after },
        (Some(Some(before)), Some(after)) => Diff::Text { before: Some(before), after },
        _ => Diff::Hidden("binary"),
    }
}

/// A change of attributes: `mode 0644 -> 0600, owner 0:0 -> 1:1`.
pub(super) fn attributes(before: Attributes, after: Attributes) -> Diff {
    let mut parts = Vec::new();
    if before.mode != after.mode {
        parts.push(format!("mode {:04o} -> {:04o}", before.mode, after.mode));
    }
    if before.owner != after.owner {
        parts.push(format!("owner {} -> {}", before.owner, after.owner));
    }
    Diff::Attributes(parts.join(", "))
}
