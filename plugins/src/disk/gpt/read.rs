//! Finds the table of a disk.

use super::copies::{Copies, Copy, Sectors};
use super::header::{Header, SIGNATURE};
use super::{Entry, Guid, Table, check_sector_size, mbr};
use crate::system::ReadAt;
use anyhow::{Context as _, Result, bail};
use std::fmt;

/// What a disk has for a partition table.
#[derive(Clone, Debug)]
pub(crate) enum Found {
    /// A GPT, of which one copy may be damaged.
    Table {
        /// What counts.
        table: Table,
        /// What is mended when it is written.
        flaws: Vec<Flaw>,
    },
    /// A DOS table with partitions, and no GPT.
    Mbr,
    /// Neither.
    Nothing,
}

/// What is wrong with a table that can be read all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// The copy at the beginning of the disk is damaged or missing.
    PrimaryCorrupt,
    /// The copy at the end is.
    BackupCorrupt,
    /// The disk has grown, or shrunk, since the table was written.
    BackupNotAtEnd,
    /// The two copies differ.
    CopiesDiffer,
    /// The first sector does not protect the whole table from programs that know no GPT.
    Unprotected,
}

impl Flaw {
    /// Whether something has gone wrong; a disk that has grown is in order.
    pub(crate) fn is_damage(self) -> bool {
        matches!(self, Self::PrimaryCorrupt | Self::BackupCorrupt | Self::CopiesDiffer)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::PrimaryCorrupt => "the primary copy of the partition table is damaged",
            Self::BackupCorrupt => "the backup copy of the partition table is damaged",
            Self::BackupNotAtEnd => "the backup copy of the partition table is not at the end of the disk",
            Self::CopiesDiffer => "the two copies of the partition table differ",
            Self::Unprotected => "the protective MBR is missing, or does not protect the whole disk",
        })
    }
}

/// What there is to be done about a table that cannot be used.
const REMEDY: &str =
    "repair it with gdisk(8), or remove it with `wipefs --all` if nothing on the disk is needed";

/// Reads the table of a disk of so many sectors. One that cannot be trusted is an error, and nothing of its
/// disk must be touched.
pub(crate) fn read(disk: &dyn ReadAt, sector_size: u32, sectors: u64) -> Result<Found> {
    check_sector_size(sector_size)?;
    if sectors < 3 {
        return Ok(Found::Nothing);
    }
    let sectors = Sectors { disk, size: sector_size, count: sectors };
    let copies = Copies::read(&sectors).context("the beginning of the disk cannot be read")?;
    let kind = mbr::kind(&copies.first_sector);
    if copies.primary.is_good() && kind == mbr::Kind::Dos {
        bail!(
            "the disk has a GPT and a DOS partition table that does not protect it, and it is not known which \
             is right: convert the one or remove the other with gdisk(8)"
        );
    }
    if let Copy::Strange(why) = copies.primary
        && kind != mbr::Kind::Dos
    {
        bail!("the GUID partition table cannot be used: {why}; {REMEDY}");
    }
    if let Copy::Good(header, array) = &copies.primary {
        let mut flaws = Vec::new();
        let end = sectors.count - 1;
        match copies.backups.iter().find(|(place, _)| *place == header.other) {
            Some((_, Copy::Good(other, other_array))) => {
                if !same(header, array, other, other_array) {
                    flaws.push(Flaw::CopiesDiffer);
                }
            }
            _ => flaws.push(Flaw::BackupCorrupt),
        }
        if header.other != end {
            flaws.push(Flaw::BackupNotAtEnd);
        }
        return found(header.clone(), array.clone(), &copies, &sectors, flaws);
    }
    if !copies.trusts_backup() {
        return Ok(if kind == mbr::Kind::Dos { Found::Mbr } else { Found::Nothing });
    }
    let Some((place, header, array)) = copies.backup() else {
        bail!("{}; {REMEDY}", nothing_good(&copies, &sectors));
    };
    let mut flaws = vec![Flaw::PrimaryCorrupt];
    if place != sectors.count - 1 {
        flaws.push(Flaw::BackupNotAtEnd);
    }
    found(super::write::of_backup(header, &copies, &sectors), array.clone(), &copies, &sectors, flaws)
}

/// Why there is no table, although there should be one.
fn nothing_good(copies: &Copies, sectors: &Sectors<'_>) -> String {
    let other_size = if sectors.size == 512 { 4096 } else { 512 };
    let mut start = [0; 8];
    if sectors.disk.read_exact_at(&mut start, other_size).is_ok() && start == *SIGNATURE {
        return format!(
            "the GUID partition table was made for sectors of {other_size} bytes, and those of this disk have {}",
            sectors.size
        );
    }
    let why = |copy: &Copy| match copy {
        Copy::Damaged(why, _) | Copy::Strange(why) => *why,
        Copy::Missing | Copy::Good(..) => "it is not there",
    };
    let primary = why(&copies.primary);
    let there = copies.backups.iter().find(|(_, copy)| !matches!(copy, Copy::Missing));
    let backup = there.map_or("it is not there", |(_, copy)| why(copy));
    format!(
        "no copy of the GUID partition table can be used (the primary one: {primary}; the backup: {backup})"
    )
}

fn same(header: &Header, array: &[u8], other: &Header, other_array: &[u8]) -> bool {
    let says = |header: &Header| (header.guid, header.first_usable, header.last_usable, header.entry_bytes);
    says(header) == says(other) && array == other_array
}

fn found(
    header: Header,
    array: Vec<u8>,
    copies: &Copies,
    sectors: &Sectors<'_>,
    mut flaws: Vec<Flaw>,
) -> Result<Found> {
    if !mbr::protects(&copies.first_sector, sectors.count) {
        flaws.push(Flaw::Unprotected);
    }
    let slots = array.chunks_exact(header.entry_bytes as usize).zip(1..);
    let entries = slots.filter_map(|(slot, number)| Some((number, Entry::decode(slot)?))).collect();
    let guid: Guid = header.guid;
    let table = Table { sector_size: sectors.size, sectors: sectors.count, guid, entries, header, array };
    table.check().with_context(|| format!("the GUID partition table cannot be used: {REMEDY}"))?;
    Ok(Found::Table { table, flaws })
}
