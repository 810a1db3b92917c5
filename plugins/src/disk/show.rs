//! Disks in words for people.

use super::gpt::{Entry, Table};
use super::plan::{Content, Plan, UNFINISHED};
use super::types;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A number of bytes: `512 MiB`, `7.9 GiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some(power) = (0..UNITS.len()).rev().find(|power| bytes >> (10 * (power + 1)) > 0) else {
        return format!("{bytes} B");
    };
    let tenths = (u128::from(bytes) * 10) >> (10 * (power + 1));
    match (tenths / 10, tenths % 10) {
        (whole, 0) => format!("{whole} {}", UNITS[power]),
        (whole, tenth) => format!("{whole}.{tenth} {}", UNITS[power]),
    }
}

/// A partition: `partition 3 (persistent)`.
pub(crate) fn partition(number: u32, entry: &Entry) -> String {
    match &*entry.name {
        "" => format!("partition {number}"),
        name => format!("partition {number} ({name})"),
    }
}

/// The names of file systems and their labels, by partition.
pub(crate) type FileSystems = BTreeMap<u32, (String, String)>;

/// Those that were found.
pub(crate) fn found(contents: &BTreeMap<u32, Content>) -> FileSystems {
    let known = contents.iter().filter_map(|(number, content)| match content {
        Content::Known(found) => {
            Some((*number, (found.kind.name().to_owned(), found.label.clone().unwrap_or_default())))
        }
        Content::Blank | Content::Unknown => None,
    });
    known.collect()
}

/// Those that there are at the end of a plan.
pub(crate) fn planned(contents: &BTreeMap<u32, Content>, plan: &Plan) -> FileSystems {
    let mut all = found(contents);
    for step in &plan.steps {
        if let Some(format) = step.work.format() {
            let label = format.label.clone().unwrap_or_default();
            all.insert(step.number, (format.file_system.name().to_owned(), label));
        }
    }
    all
}

/// Tables of partitions, with what lies on them, in columns of the same widths: a line for each partition, and for
/// the space before, between and behind them.
pub(crate) fn tables<const N: usize>(tables: [(&Table, &FileSystems); N]) -> [String; N] {
    let tables = tables.map(|(table, file_systems)| rows(table, file_systems));
    let mut widths = [0; COLUMNS.len()];
    for row in tables.iter().flatten() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    tables.map(|rows| rows.iter().map(|row| line(row, &widths)).collect())
}

const COLUMNS: [&str; 6] = ["number", "name", "size", "file system", "label", "type"];

type Row = [String; COLUMNS.len()];

fn rows(table: &Table, file_systems: &FileSystems) -> Vec<Row> {
    let bytes = |sectors: u64| sectors * u64::from(table.sector_size);
    let free = |from: u64, until: u64| {
        let bytes = bytes(until.saturating_sub(from));
        let row = || ["-", "(free)", &size(bytes), "", "", ""].map(str::to_owned);
        (bytes >= 1 << 20).then(row)
    };
    let mut entries: Vec<_> = table.entries.iter().collect();
    entries.sort_by_key(|(_, entry)| entry.first);
    let usable = table.usable();
    let mut at = *usable.start();
    let mut rows = vec![COLUMNS.map(str::to_owned)];
    for (number, entry) in entries {
        rows.extend(free(at, entry.first));
        at = entry.last + 1;
        let (kind, label) = file_systems.get(number).cloned().unwrap_or_default();
        let of_type = match entry.kind {
            UNFINISHED => "(unfinished)".to_owned(),
            known => types::name(known).map_or_else(|| known.to_string(), str::to_owned),
        };
        let length = size(bytes(entry.sectors()));
        rows.push([number.to_string(), entry.name.clone(), length, kind, label, of_type]);
    }
    rows.extend(free(at, usable.end() + 1));
    rows
}

fn line(row: &Row, widths: &[usize]) -> String {
    let mut line = String::new();
    for ((cell, width), column) in row.iter().zip(widths).zip(COLUMNS) {
        // Sizes are compared by their ends.
        let _ = match column {
            "size" => write!(line, "{cell:>width$}  "),
            _ => write!(line, "{cell:<width$}  "),
        };
    }
    format!("{}\n", line.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_by_people() {
        let sizes = [0, 1023, 1 << 10, 1536, 512 << 20, (8 << 30) - 1, 8 << 30, u64::MAX];
        let words = ["0 B", "1023 B", "1 KiB", "1.5 KiB", "512 MiB", "7.9 GiB", "8 GiB", "15.9 EiB"];
        assert_eq!(sizes.map(size), words);
    }
}
