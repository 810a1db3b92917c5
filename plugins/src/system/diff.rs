//! What a person sees of a change that a plan would make.

use super::metadata::Attributes;
use super::resolve::Place;
use super::tree::Found;
use super::{Metadata, System};
use crate::effect::Diff;
use anyhow::Result;

/// Longer content is not shown.
const SHOWN: usize = 64 << 10;

const PRIVATE: Diff = Diff::Hidden("not readable by everybody");
const LARGE: Diff = Diff::Hidden("larger than 64 KiB");
const BINARY: Diff = Diff::Hidden("binary");

impl System {
    /// What a person would see of the new content, in plan mode; nothing otherwise. What not everybody may
    /// read, before or after, is not shown: it may be a secret.
    pub(super) fn show_content(
        &self,
        place: &Place,
        before: Option<&Found>,
        after: Attributes,
        content: &[u8],
    ) -> Result<Option<Diff>> {
        if self.tree.is_disk() {
            return Ok(None);
        }
        if let Some(reason) = Diff::hidden_by_name(place.name()?) {
            return Ok(Some(Diff::Hidden(reason)));
        }
        let old = before.map(|found| &found.metadata);
        if let Some(hidden) = hidden(old, after, content) {
            return Ok(Some(hidden));
        }
        let before = match before {
            None => None,
            Some(_) => match self.tree.content(&place.dir, place.name()?) {
                Ok(content) => Some(content),
                Err(_) => return Ok(Some(Diff::Hidden("the old content cannot be read"))),
            },
        };
        Ok(Some(text(before, content)))
    }
}

/// Why the change is not shown, by what is known without a look at the old content.
fn hidden(before: Option<&Metadata>, after: Attributes, content: &[u8]) -> Option<Diff> {
    let readable = |mode: u32| mode & 0o004 != 0;
    if !readable(after.mode) || before.is_some_and(|before| !readable(before.mode)) {
        return Some(PRIVATE);
    }
    (content.len() > SHOWN || before.is_some_and(|before| before.size > SHOWN as u64)).then_some(LARGE)
}

fn text(before: Option<Vec<u8>>, after: &[u8]) -> Diff {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok().filter(|text| !text.contains('\0'));
    match (before.map(text), text(after.to_vec())) {
        (None, Some(after)) => Diff::Text { before: None, after },
        (Some(Some(before)), Some(after)) => Diff::Text { before: Some(before), after },
        _ => BINARY,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::File;
    use crate::system::scratch::Scratch;

    #[test]
    fn a_person_sees_text_but_neither_secrets_nor_heaps_of_bytes() {
        let scratch = Scratch::new();
        scratch.put("/was-secret", "s3cret", 0o600);
        scratch.put("/text", "old", 0o644);
        scratch.put("/large", &"x".repeat(SHOWN + 1), 0o644);
        std::fs::write(scratch.at("/binary"), b"\xff").unwrap();
        let sys = scratch.plan();
        let shown = |file: File| {
            sys.write(file).unwrap();
            sys.take_effects().pop().unwrap().diff
        };
        assert_eq!(shown(File::new("/was-secret", "open").mode(0o644)), Some(PRIVATE));
        assert_eq!(shown(File::new("/new", "x").mode(0o640)), Some(PRIVATE));
        assert_eq!(shown(File::new("/large", "small")), Some(LARGE));
        assert_eq!(shown(File::new("/new2", vec![b'x'; SHOWN + 1])), Some(LARGE));
        assert_eq!(shown(File::new("/binary", "text")), Some(BINARY));
        assert_eq!(shown(File::new("/text", "a\0b")), Some(BINARY));
        assert_eq!(
            shown(File::new("/shadow", "root:s3cret").mode(0o644)),
            Some(Diff::Hidden("it holds password hashes"))
        );
        let attributes = shown(File::new("/text", "a\0b").mode(0o600));
        assert_eq!(attributes, Some(Diff::Attributes("mode 0644 -> 0600".into())));
        scratch.put("/gone", "bye", 0o644);
        sys.remove("/gone").unwrap();
        let removal = sys.take_effects().pop().unwrap().diff;
        assert_eq!(removal, Some(Diff::Text { before: Some("bye".into()), after: String::new() }));
    }
}
