//! The way from a disk as it is to the wish.
//!
//! Pure, and computed as a whole before anything is written: what is impossible changes nothing. What is so already
//! asks for no step. A partition that is there is never moved, made smaller or formatted, unless it was left
//! unfinished.

use super::{Addition, Content, Format, GROW_FILE_SYSTEM, Part, Plan, Remarks, Step, UNFINISHED, Wish, Work};
use crate::disk::file_system::FileSystem;
use crate::disk::gpt::{Entry, Guid, Table};
use crate::disk::show::{self, partition};
use crate::disk::superblock::{Kind, Superblock};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// Partitions begin and end at multiples of so many bytes.
const ALIGNMENT: u64 = 1 << 20;

/// Computes the way from a table, on whose partitions lies what `contents` says, to the wish; or everything that
/// makes it impossible. `new_id` gives partitions their identity.
pub(crate) fn plan(
    before: &Table,
    contents: &BTreeMap<u32, Content>,
    wish: &Wish,
    new_id: &mut dyn FnMut() -> Guid,
) -> Result<Plan, Remarks> {
    let mut planner = Planner {
        contents,
        wish,
        found: find(before, contents, wish),
        plan: Plan {
            after: before.clone(),
            steps: Vec::new(),
            warnings: Vec::new(),
            marked: BTreeSet::new(),
        },
        problems: Vec::new(),
    };
    let first = wish.expand.filter(|size| *size != 0).and_then(|size| Some((planner.last_other()?, size)));
    if let Some((number, size)) = first {
        planner.expand(number, size);
    }
    for index in 0..wish.add.len() {
        match planner.found[index] {
            Some(number) => planner.compare(index, number),
            None => planner.create(index, new_id),
        }
    }
    if let Some(size) = wish.expand.filter(|_| first.is_none()) {
        match planner.last() {
            Some(number) => planner.expand(number, size),
            None => planner.problem(Part::Expand, "the disk has no partition that could grow"),
        }
    }
    planner.check_sizes();
    if planner.problems.is_empty() { Ok(planner.plan) } else { Err(planner.problems) }
}

/// Which of the partitions are those of the wish: by their names, else by the labels of their file systems.
fn find(table: &Table, contents: &BTreeMap<u32, Content>, wish: &Wish) -> Vec<Option<u32>> {
    let named =
        |name: &str| table.entries.iter().find(|(_, entry)| entry.name == name).map(|(number, _)| *number);
    let mut found: Vec<_> =
        wish.add.iter().map(|addition| addition.name.as_deref().and_then(named)).collect();
    for (index, addition) in wish.add.iter().enumerate() {
        let Some(label) = addition.label.as_deref().filter(|_| found[index].is_none()) else { continue };
        let is_it = |number: &u32, entry: &Entry| {
            let of_file_system = matches!(contents.get(number), Some(Content::Known(known)) if known.label.as_deref() == Some(label));
            let unfinished = entry.kind == UNFINISHED && Some(&*entry.name) == addition.known_by();
            !found.contains(&Some(*number)) && (of_file_system || unfinished)
        };
        found[index] =
            table.entries.iter().find(|(number, entry)| is_it(number, entry)).map(|(number, _)| *number);
    }
    found
}

struct Planner<'a> {
    contents: &'a BTreeMap<u32, Content>,
    wish: &'a Wish,
    /// The partition of each addition that is there already.
    found: Vec<Option<u32>>,
    plan: Plan,
    problems: Remarks,
}

impl Planner<'_> {
    fn problem(&mut self, part: Part, message: impl Into<String>) {
        self.problems.push((part, message.into()));
    }

    fn warn(&mut self, part: Part, message: String) {
        self.plan.warnings.push((part, message));
    }

    fn bytes(&self, sectors: u64) -> u64 {
        sectors * u64::from(self.plan.after.sector_size)
    }

    fn length(&self, entry: &Entry) -> u64 {
        self.bytes(entry.sectors())
    }

    /// The sectors between two aligned places.
    fn alignment(&self) -> u64 {
        ALIGNMENT / u64::from(self.plan.after.sector_size)
    }

    /// The last partition on the disk.
    fn last(&self) -> Option<u32> {
        let entries = self.plan.after.entries.iter();
        entries.max_by_key(|(_, entry)| entry.last).map(|(number, _)| *number)
    }

    /// The last partition that is not one of the additions: the one to grow before they are made.
    fn last_other(&self) -> Option<u32> {
        let entries = self.plan.after.entries.iter();
        let others = entries.filter(|(number, _)| !self.found.contains(&Some(**number)));
        others.max_by_key(|(_, entry)| entry.last).map(|(number, _)| *number)
    }

    /// The free space, in aligned sectors.
    fn gaps(&self) -> Vec<Range<u64>> {
        let usable = self.plan.after.usable();
        let mut taken: Vec<_> =
            self.plan.after.entries.values().map(|entry| (entry.first, entry.last + 1)).collect();
        taken.sort_unstable();
        taken.push((usable.end() + 1, 0));
        let (mut at, step) = (*usable.start(), self.alignment());
        let mut gaps = Vec::new();
        for (first, end) in taken {
            let gap = at.next_multiple_of(step)..first / step * step;
            if gap.start < gap.end {
                gaps.push(gap);
            }
            at = at.max(end);
        }
        gaps
    }

    /// A partition that is there already is left as it is, unless it was not finished.
    fn compare(&mut self, index: usize, number: u32) {
        let (part, wish) = (Part::Add(index), self.wish);
        let addition = &wish.add[index];
        let Some(entry) = self.plan.after.entries.get(&number).cloned() else { return };
        let called = partition(number, &entry);
        let (size, kind) = (self.length(&entry), entry.kind);
        let grows = wish.expand.is_some() && self.last() == Some(number);
        if addition.size != 0 && size.abs_diff(addition.size) > ALIGNMENT && !grows {
            let (is, wanted) = (show::size(size), show::size(addition.size));
            self.warn(part, format!("{called} is of {is}, not of {wanted}, and stays so"));
        }
        let format =
            addition.file_system.map(|file_system| Format { file_system, label: addition.label.clone() });
        let Some(format) = format else {
            if kind == UNFINISHED {
                self.finish(number, addition);
                self.plan.steps.push(Step { number, part, work: Work::Create(None) });
            }
            return;
        };
        match self.contents.get(&number) {
            _ if kind == UNFINISHED => {
                self.finish(number, addition);
                self.plan.steps.push(Step { number, part, work: Work::Format(format) });
            }
            Some(Content::Blank) => self.plan.steps.push(Step { number, part, work: Work::Format(format) }),
            Some(Content::Known(known)) => {
                let mut differs = Vec::new();
                if !is_of(&known.kind, format.file_system) {
                    differs.push(format!("carries {}, not {}", known.kind.name(), format.file_system.name()));
                } else if format.label.is_some() && format.label != known.label {
                    let found = known.label.as_deref().unwrap_or_default();
                    let wanted = format.label.as_deref().unwrap_or_default();
                    differs.push(format!("has a file system with the label {found:?}, not {wanted:?}"));
                }
                if addition.name.as_ref().is_some_and(|name| *name != entry.name) {
                    let name = addition.name.as_deref().unwrap_or_default();
                    differs.push(format!(
                        "is known by the label of its file system, and is not called {name:?}"
                    ));
                }
                for words in differs {
                    self.warn(part, format!("{called} {words}, and stays so"));
                }
            }
            _ => {
                let kind = format.file_system.name();
                let words = "holds something that is no file system that is known, and stays so";
                self.warn(part, format!("{called} {words}: {kind} is made only where there is nothing"));
            }
        }
    }

    /// What an unfinished partition is in the end.
    fn finish(&mut self, number: u32, addition: &Addition) {
        if let Some(entry) = self.plan.after.entries.get_mut(&number) {
            entry.kind = addition.entry_kind();
            entry.name = addition.name.clone().unwrap_or_default();
        }
    }

    /// Every file system that is made must fit its partition.
    fn check_sizes(&mut self) {
        for step in &self.plan.steps {
            let Some(format) = step.work.format() else { continue };
            let Some(entry) = self.plan.after.entries.get(&step.number) else { continue };
            let (least, most) = format.file_system.sizes(u64::from(self.plan.after.sector_size));
            let (name, size) = (format.file_system.name(), self.length(entry));
            let (words, bound) = match size {
                size if size < least => ("needs", format!("{} at least", show::size(least))),
                size if size > most => ("can have", format!("{} at most", show::size(most))),
                _ => continue,
            };
            let message = format!("{name} {words} {bound}, and the partition has {}", show::size(size));
            self.problems.push((step.part, message));
        }
    }

    fn create(&mut self, index: usize, new_id: &mut dyn FnMut() -> Guid) {
        let (part, addition) = (Part::Add(index), &self.wish.add[index]);
        let taken = |number: &u32| !self.plan.after.entries.contains_key(number);
        let Some(number) = (1..=self.plan.after.capacity()).find(taken) else {
            let most = self.plan.after.capacity();
            return self.problem(part, format!("the table is full: it holds {most} partitions at most"));
        };
        let place = match self.place(addition.size) {
            Ok(place) => place,
            Err(message) => return self.problem(part, message),
        };
        let format =
            addition.file_system.map(|file_system| Format { file_system, label: addition.label.clone() });
        let attributes = if addition.bootable { Entry::LEGACY_BOOT } else { 0 };
        let entry = Entry {
            kind: addition.entry_kind(),
            id: new_id(),
            first: place.start,
            last: place.end - 1,
            attributes,
            name: addition.name.clone().unwrap_or_default(),
        };
        self.plan.after.entries.insert(number, entry);
        self.found[index] = Some(number);
        self.plan.steps.push(Step { number, part, work: Work::Create(format) });
    }

    /// Where a partition of so many bytes goes, 0 for all that is left: behind the last one, or else where there
    /// is room.
    fn place(&self, size: u64) -> Result<Range<u64>, String> {
        let gaps = self.gaps();
        let length = size.div_ceil(ALIGNMENT).saturating_mul(self.alignment());
        let behind =
            self.last().and_then(|number| self.plan.after.entries.get(&number)).map_or(0, |entry| entry.last);
        let at_end = gaps.last().filter(|gap| gap.start > behind).cloned();
        let largest =
            gaps.iter().max_by_key(|gap| (gap.end - gap.start, std::cmp::Reverse(gap.start))).cloned();
        if size == 0 {
            let all = at_end.or(largest);
            return all.ok_or_else(|| "nothing is left of the disk".to_owned());
        }
        let fits = |gap: &Range<u64>| gap.end - gap.start >= length;
        let gap = at_end.filter(fits).or_else(|| gaps.iter().find(|gap| fits(gap)).cloned());
        gap.map(|gap| gap.start..gap.start + length).ok_or_else(|| {
            let wanted = show::size(size);
            match largest.map_or(0, |gap| self.bytes(gap.end - gap.start)) {
                0 => format!("there is no room for {wanted}: nothing is left of the disk"),
                free => format!("there is no room for {wanted}: {} are left in one piece", show::size(free)),
            }
        })
    }

    /// Has a partition grow to so many bytes, 0 for all that it can have.
    fn expand(&mut self, number: u32, size: u64) {
        let Some(entry) = self.plan.after.entries.get(&number).cloned() else { return };
        let (called, is) = (partition(number, &entry), self.length(&entry));
        let part = Part::Expand;
        let step = self.alignment();
        let next =
            self.plan.after.entries.values().map(|other| other.first).filter(|first| *first > entry.first);
        let limit = next.min().unwrap_or(self.plan.after.usable().end() + 1);
        // The end of the whole partition is aligned, as its beginning usually is.
        let end = match size {
            0 => limit / step * step,
            size => entry.first + size.div_ceil(u64::from(self.plan.after.sector_size)),
        };
        if end > limit {
            let (most, wanted) = (show::size(self.bytes(limit - entry.first)), show::size(size));
            return self.problem(part, format!("{called} cannot grow to {wanted}: there is room for {most}"));
        }
        if size != 0 && size + ALIGNMENT < is {
            let (is, wanted) = (show::size(is), show::size(size));
            let words = "and partitions are never made smaller";
            return self.problem(part, format!("{called} is larger than {wanted} already ({is}), {words}"));
        }
        let grows = end > entry.last + 1;
        let length = if grows { self.bytes(end - entry.first) } else { is };
        let new = self.plan.steps.iter().any(|step| step.number == number);
        let follows = match (new, self.contents.get(&number)) {
            (true, _) | (_, None | Some(Content::Blank | Content::Unknown)) => None,
            (false, Some(Content::Known(known))) => {
                let unfinished = entry.attributes & GROW_FILE_SYSTEM != 0;
                if !grows && !is_smaller(known, length, unfinished) {
                    return;
                }
                match known.kind {
                    Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Xfs | Kind::Btrfs => Some(known.kind),
                    _ if !grows => return,
                    _ => {
                        let name = known.kind.name();
                        let words = "which cannot grow with it: make a new partition behind it instead";
                        return self.problem(part, format!("{called} carries {name}, {words}"));
                    }
                }
            }
        };
        if let Some(entry) = self.plan.after.entries.get_mut(&number).filter(|_| grows) {
            entry.last = end - 1;
        }
        if let Some(entry) = self.plan.after.entries.get_mut(&number).filter(|_| follows.is_some()) {
            if grows || entry.attributes & GROW_FILE_SYSTEM != 0 {
                self.plan.marked.insert(number);
            }
            entry.attributes &= !GROW_FILE_SYSTEM;
        }
        if !new && (grows || follows.is_some()) {
            self.plan.steps.push(Step { number, part, work: Work::Grow(is, follows) });
        }
    }
}

/// Whether what was found is this file system.
fn is_of(kind: &Kind, wanted: FileSystem) -> bool {
    match (kind, wanted) {
        (Kind::Vfat(bits), FileSystem::Fat16) => *bits == 16,
        (Kind::Vfat(bits), FileSystem::Fat32) => *bits == 32,
        (Kind::Vfat(_), FileSystem::Vfat) => true,
        (kind, wanted) => kind.name() == wanted.name(),
    }
}

/// Whether a file system can grow on a partition of so many bytes. What is left behind it may be too little for
/// one more group of an ext file system; where growth was interrupted, it is tried all the same.
fn is_smaller(found: &Superblock, length: u64, unfinished: bool) -> bool {
    let Some(bytes) = found.bytes else { return false };
    let block = u64::from(found.block.unwrap_or(4096));
    let spare = match found.kind {
        _ if unfinished => block,
        // A group is what one block of bits describes.
        Kind::Ext2 | Kind::Ext3 | Kind::Ext4 => 8 * block * block,
        _ => ALIGNMENT,
    };
    length.saturating_sub(bytes) >= spare.max(block)
}

#[cfg(test)]
mod tests;
