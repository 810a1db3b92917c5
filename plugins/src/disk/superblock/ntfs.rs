//! NTFS.

use super::super::bytes::{le16, le32, le64};
use super::{Area, Kind, Probe, Superblock, text16};
use anyhow::Result;

pub(super) const PROBES: &[Probe] = &[ntfs];

fn ntfs(area: &Area<'_>) -> Result<Option<Superblock>> {
    let Some(boot) = area.read(0, 512)?.filter(|boot| boot[3..11] == *b"NTFS    ") else { return Ok(None) };
    let sector = u32::from(le16(&boot, 11));
    if !sector.is_power_of_two() || !(256..=4096).contains(&sector) {
        return Ok(None);
    }
    let serial = le64(&boot, 72);
    let uuid = (serial != 0).then(|| format!("{serial:016X}"));
    let found = Superblock { label: label(area, &boot, sector)?, uuid, ..Superblock::of(Kind::Ntfs) };
    Ok(Some(found.sized(le64(&boot, 40), sector)))
}

/// The name in the fourth record of the master file table, which describes the volume.
fn label(area: &Area<'_>, boot: &[u8], sector: u32) -> Result<Option<String>> {
    const NAME: u32 = 0x60;
    // Sectors of a cluster, and clusters of a record, or the exponent of two of either.
    let cluster = match boot[13] {
        count @ 0..=0x80 => u64::from(count) * u64::from(sector),
        exponent => u64::from(sector) << (256 - u32::from(exponent)).min(20),
    };
    let record = match boot[64] {
        count @ 0..=0x7f => u64::from(count) * cluster,
        exponent => 1 << (256 - u32::from(exponent)).min(16),
    };
    let table = le64(boot, 48).saturating_mul(cluster);
    let Some(volume) = area.read(table.saturating_add(3 * record), record.min(4096) as usize)? else {
        return Ok(None);
    };
    if !volume.starts_with(b"FILE") {
        return Ok(None);
    }
    let mut at = usize::from(le16(&volume, 20));
    while let Some(attribute) = volume.get(at..) {
        let (kind, length) = (le32(attribute, 0), le32(attribute, 4) as usize);
        if kind == NAME {
            let (units, from) = (le32(attribute, 16) as usize / 2, usize::from(le16(attribute, 20)));
            return Ok(text16((0..units.min(128)).map(|unit| le16(attribute, from + 2 * unit))));
        }
        if kind > NAME || length < 16 {
            break;
        }
        at += length;
    }
    Ok(None)
}
