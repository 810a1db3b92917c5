//! Unpacks the layers of an image into a directory.
//!
//! **Invariants:** nothing outside the directory is read, changed or linked to, whatever the archive and the
//! directory hold: every path is resolved below the handle of the directory, links in it included, and the last
//! name is never followed. A file that stands there is replaced in one step.

mod attributes;
mod mark;
mod nodes;
mod place;

use super::stop;
use super::tree::{Dir, Tree};
use super::{Mode, System};
use crate::Action;
use crate::image::tar::{Archive, Entry};
use anyhow::{Context as _, Result, bail};
use std::collections::HashSet;
use std::hash::RandomState;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// More entries than this in one layer are refused.
const MOST_ENTRIES: u32 = 4_000_000;
/// How much is read and written at once.
const BUFFER: usize = 256 << 10;

/// An image that is being unpacked.
pub(crate) struct Unpacking<'a> {
    sys: &'a System,
    /// As it was named, for reports.
    target: PathBuf,
    tree: Rc<Tree>,
    /// The directory.
    base: Dir,
    /// What this layer has made: the places, as numbers that cannot be guessed.
    made: HashSet<u64>,
    key: RandomState,
    /// The directory of the entry before, by its path in the archive.
    parent: Option<(PathBuf, Dir)>,
    /// What directories get when everything in them is done.
    directories: Vec<(PathBuf, attributes::Last)>,
    buffer: Vec<u8>,
    warnings: Vec<String>,
}

impl System {
    /// Begins to unpack into a directory, which exists.
    pub(crate) fn unpack(&self, target: &Path) -> Result<Unpacking<'_>> {
        if self.mode() == Mode::Plan {
            bail!("nothing is unpacked in a plan");
        }
        let base = self.reroot(target)?.base;
        self.tree.touch(&base)?;
        Ok(Unpacking {
            sys: self,
            target: target.to_owned(),
            tree: Rc::clone(&self.tree),
            base,
            made: HashSet::new(),
            key: RandomState::new(),
            parent: None,
            directories: Vec::new(),
            buffer: vec![0; BUFFER],
            warnings: Vec::new(),
        })
    }

    /// Records that an image is in the directory.
    pub(crate) fn record_unpacked(&self, target: &Path, changed: bool) {
        self.record(Action::Unpack, target, changed, None);
    }
}

impl Unpacking<'_> {
    /// Applies a layer over what is there.
    pub(crate) fn layer(&mut self, input: impl Read) -> Result<()> {
        let mut archive = Archive::new(input);
        self.made.clear();
        let mut count = 0;
        while let Some(entry) = archive.next()? {
            stop::check()?;
            count += 1;
            if count > MOST_ENTRIES {
                bail!("it has more than {MOST_ENTRIES} entries");
            }
            let name = || entry_name(&entry);
            self.entry(&entry, &mut archive).with_context(name)?;
        }
        archive.finish()?;
        self.finish_directories()
    }

    /// Ends it. If the directory shall remember this, everything is on the disk before; otherwise it may be there for a
    /// while only, and whoever wants it to stay has it synced. Returns warnings.
    pub(crate) fn finish(mut self, mark: Option<&str>) -> Result<Vec<String>> {
        if let Some(mark) = mark {
            self.sys.sync()?;
            self.mark(mark)?;
        }
        self.sys.record_unpacked(&self.target, true);
        Ok(self.warnings)
    }

    /// Warns once.
    fn warn(&mut self, warning: &str) {
        if self.warnings.iter().all(|known| known != warning) {
            self.warnings.push(warning.to_owned());
        }
    }
}

/// The name of an entry for people, without control characters and not endless.
fn entry_name(entry: &Entry) -> String {
    let name = String::from_utf8_lossy(&entry.name);
    let name: String = name.chars().take(200).flat_map(char::escape_debug).collect();
    name
}

#[cfg(test)]
mod tests;
