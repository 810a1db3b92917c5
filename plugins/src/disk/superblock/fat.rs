//! FAT and exFAT.

use super::super::bytes::{le16, le32, le64};
use super::{Area, Kind, Probe, Superblock, serial, text, text16};
use anyhow::Result;

pub(super) const PROBES: &[Probe] = &[vfat, exfat];

/// No directory is followed through more clusters, nor is more of one cluster read.
const MOST_CLUSTERS: usize = 64;
const MOST_BYTES: u64 = 64 << 10;

const NO_NAME: &[u8] = b"NO NAME    ";

/// What stands for a text in a boot sector, and what in a directory.
fn label(name: &[u8]) -> Option<String> {
    if name == NO_NAME { None } else { text(name) }
}

/// The boot sector as the FAT specification of Microsoft has it.
fn vfat(area: &Area<'_>) -> Result<Option<Superblock>> {
    let Some(boot) = area.read(0, 512)? else { return Ok(None) };
    let is_other = [&b"NTFS    "[..], b"EXFAT   ", b"-FVE-FS-"].contains(&&boot[3..11]);
    let (sector, cluster) = (u32::from(le16(&boot, 11)), u32::from(boot[13]));
    let (reserved, tables) = (u32::from(le16(&boot, 14)), u32::from(boot[16]));
    let plausible = boot[510..] == [0x55, 0xaa]
        && matches!(boot[0], 0xeb | 0xe9)
        && sector.is_power_of_two()
        && (512..=4096).contains(&sector)
        && cluster.is_power_of_two()
        && reserved != 0
        && matches!(tables, 1..=4)
        && (boot[21] == 0xf0 || boot[21] >= 0xf8);
    if is_other || !plausible {
        return Ok(None);
    }
    let or = |short: u16, long: u32| if short == 0 { long } else { short.into() };
    let entries = u64::from(le16(&boot, 17));
    let table = u64::from(or(le16(&boot, 22), le32(&boot, 36)));
    let count = u64::from(or(le16(&boot, 19), le32(&boot, 32)));
    let root = u64::from(reserved) + u64::from(tables) * table;
    let data = root + (entries * 32).div_ceil(u64::from(sector));
    let Some(clusters) = count.checked_sub(data).map(|sectors| sectors / u64::from(cluster)) else {
        return Ok(None);
    };
    let bits = match clusters {
        _ if le16(&boot, 22) == 0 => 32,
        0..4085 => 12,
        _ => 16,
    };
    let extended = if bits == 32 { 64 } else { 36 };
    let bytes = |sectors: u64| sectors * u64::from(sector);
    let named = if bits == 32 {
        let chain = Chain {
            table: bytes(reserved.into()),
            data: bytes(data),
            cluster: bytes(cluster.into()),
            clusters,
        };
        chain.find(area, le32(&boot, 44), volume_label)?
    } else {
        let length = (entries * 32).min(4 * MOST_BYTES) as usize;
        area.read(bytes(root), length)?.and_then(|directory| volume_label(&directory).ok().flatten())
    };
    let is_extended = matches!(boot[extended + 2], 0x28 | 0x29);
    let of_boot = is_extended.then(|| label(&boot[extended + 7..extended + 18])).flatten();
    let uuid = is_extended.then(|| serial(le32(&boot, extended + 3))).flatten();
    let found = Superblock { label: named.or(of_boot), uuid, ..Superblock::of(Kind::Vfat(bits)) };
    Ok(Some(found.sized(count, sector)))
}

/// What a part of a directory says: a label, nothing, or that the directory ends here.
type Looked = std::result::Result<Option<String>, End>;

struct End;

fn volume_label(directory: &[u8]) -> Looked {
    const VOLUME: u8 = 0x08;
    const DIRECTORY: u8 = 0x10;
    const LONG_NAME: u8 = 0x0f;
    for entry in directory.chunks_exact(32) {
        let attributes = entry[11];
        match entry[0] {
            0 => return Err(End),
            0xe5 => {}
            _ if attributes & 0x3f == LONG_NAME || le16(entry, 20) != 0 || le16(entry, 26) != 0 => {}
            _ if attributes & (VOLUME | DIRECTORY) == VOLUME => return Ok(label(&entry[..11])),
            _ => {}
        }
    }
    Ok(None)
}

/// Clusters that follow each other, in bytes.
struct Chain {
    table: u64,
    data: u64,
    cluster: u64,
    clusters: u64,
}

impl Chain {
    /// Looks at the clusters of a directory, one after the other.
    fn find(&self, area: &Area<'_>, first: u32, look: fn(&[u8]) -> Looked) -> Result<Option<String>> {
        let mut cluster = first & 0x0fff_ffff;
        for _ in 0..MOST_CLUSTERS {
            if !(2..self.clusters.saturating_add(2)).contains(&u64::from(cluster)) {
                break;
            }
            let at = (u64::from(cluster) - 2).saturating_mul(self.cluster).saturating_add(self.data);
            let Some(directory) = area.read(at, self.cluster.min(MOST_BYTES) as usize)? else { break };
            match look(&directory) {
                Ok(None) => {}
                Ok(found) => return Ok(found),
                Err(End) => break,
            }
            let Some(next) = area.read(self.table.saturating_add(u64::from(cluster) * 4), 4)? else { break };
            cluster = le32(&next, 0) & 0x0fff_ffff;
        }
        Ok(None)
    }
}

fn exfat(area: &Area<'_>) -> Result<Option<Superblock>> {
    let Some(boot) = area.read(0, 512)?.filter(|boot| boot[3..11] == *b"EXFAT   ") else { return Ok(None) };
    let (sector, cluster) = (u32::from(boot[108]), u32::from(boot[109]));
    if !(9..=12).contains(&sector) || sector + cluster > 25 {
        return Ok(None);
    }
    let bytes = |sectors: u32| u64::from(sectors) << sector;
    let chain = Chain {
        table: bytes(le32(&boot, 80)),
        data: bytes(le32(&boot, 88)),
        cluster: 1 << (sector + cluster),
        clusters: le32(&boot, 92).into(),
    };
    let label = chain.find(area, le32(&boot, 96), |directory| {
        const LABEL: u8 = 0x83;
        for entry in directory.chunks_exact(32) {
            match entry[0] {
                0 => return Err(End),
                LABEL => {
                    let length = usize::from(entry[1]).min(11);
                    return Ok(text16((0..length).map(|unit| le16(entry, 2 + 2 * unit))));
                }
                _ => {}
            }
        }
        Ok(None)
    })?;
    let found = Superblock { label, uuid: serial(le32(&boot, 100)), ..Superblock::of(Kind::Exfat) };
    Ok(Some(found.sized(le64(&boot, 72), 1 << sector)))
}
