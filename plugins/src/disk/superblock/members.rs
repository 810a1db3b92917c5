//! What is part of something greater: members of RAID, of LVM, of pools, and what is encrypted.

use super::super::bytes::{be16, le32, le64, sixteen};
use super::{Area, Kind, Probe, Superblock, text, uuid};
use anyhow::Result;

pub(super) const PROBES: &[Probe] = &[linux_raid, firmware_raid, lvm2, luks, zfs];

const RAID_MAGIC: u32 = 0xa92b_4efc;

/// md(4): at the end (0.90, 1.0), at the beginning (1.1) or 4 KiB behind it (1.2).
fn linux_raid(area: &Area<'_>) -> Result<Option<Superblock>> {
    let last = (area.length / 512).checked_sub(16).map(|sector| (sector & !7) * 512);
    for at in [Some(0), Some(4096), last].into_iter().flatten() {
        if let Some(sb) = area.read(at, 256)?
            && le32(&sb, 0) == RAID_MAGIC
            && le32(&sb, 4) == 1
        {
            let (label, uuid) = (text(&sb[32..64]), uuid(sixteen(&sb, 16)));
            return Ok(Some(Superblock { label, uuid, ..Superblock::of(Kind::LinuxRaid) }));
        }
    }
    let Some(at) = (area.length & !0xffff).checked_sub(64 << 10) else { return Ok(None) };
    let Some(sb) = area.read(at, 128)? else { return Ok(None) };
    let words = |number: u32| number == RAID_MAGIC || number.swap_bytes() == RAID_MAGIC;
    Ok(words(le32(&sb, 0)).then(|| {
        let mut id = [0; 16];
        id[..4].copy_from_slice(&sb[20..24]);
        id[4..].copy_from_slice(&sb[52..64]);
        Superblock { uuid: uuid(id), ..Superblock::of(Kind::LinuxRaid) }
    }))
}

/// RAID of the firmware, whose signs are in the last sectors.
fn firmware_raid(area: &Area<'_>) -> Result<Option<Superblock>> {
    let from_end = |sectors: u64| (area.length / 512).checked_sub(sectors).map(|sector| sector * 512);
    for (sectors, magic, kind) in [
        (2, &b"Intel Raid ISM Cfg Sig. "[..], Kind::IntelRaid),
        (1, b"\xde\x11\xde\x11", Kind::DdfRaid),
        (257, b"\xde\x11\xde\x11", Kind::DdfRaid),
    ] {
        if let Some(at) = from_end(sectors)
            && area.has(at, magic)?
        {
            return Ok(Some(Superblock::of(kind)));
        }
    }
    Ok(None)
}

fn lvm2(area: &Area<'_>) -> Result<Option<Superblock>> {
    for sector in 0..4 {
        let Some(label) = area.read(sector * 512, 512)? else { return Ok(None) };
        if label.starts_with(b"LABELONE") && label[24..32] == *b"LVM2 001" {
            let id = label.get(le32(&label, 20) as usize..).and_then(|id| id.get(..32));
            let id = id.filter(|id| id.iter().all(u8::is_ascii_graphic));
            let uuid = id.map(|id| {
                let mut id = String::from_utf8_lossy(id).into_owned();
                [26, 22, 18, 14, 10, 6].into_iter().for_each(|at| id.insert(at, '-'));
                id
            });
            return Ok(Some(Superblock { uuid, ..Superblock::of(Kind::Lvm2) }));
        }
    }
    Ok(None)
}

fn luks(area: &Area<'_>) -> Result<Option<Superblock>> {
    // Its second header may have any of these places.
    for at in std::iter::once(0).chain((14..=22).map(|shift| 1_u64 << shift)) {
        let magic: &[u8; 6] = if at == 0 { b"LUKS\xba\xbe" } else { b"SKUL\xba\xbe" };
        let Some(header) = area.read(at, 512)? else { break };
        if header.starts_with(magic) {
            let label = (be16(&header, 6) == 2).then(|| text(&header[24..72])).flatten();
            let uuid = text(&header[168..208]);
            return Ok(Some(Superblock { label, uuid, ..Superblock::of(Kind::Luks) }));
        }
    }
    Ok(None)
}

/// Each device has four labels, two at its beginning and two at its end, each with a ring of uberblocks.
fn zfs(area: &Area<'_>) -> Result<Option<Superblock>> {
    const LABEL: u64 = 256 << 10;
    const RING: u64 = 128 << 10;
    const MAGIC: u64 = 0x00ba_b10c;
    let end = area.length / LABEL * LABEL;
    for label in
        [Some(0), Some(LABEL), end.checked_sub(2 * LABEL), end.checked_sub(LABEL)].into_iter().flatten()
    {
        let Some(ring) = area.read(label + RING, RING as usize)? else { continue };
        let is_one =
            |block: &[u8]| matches!(le64(block, 0), found if found == MAGIC || found.swap_bytes() == MAGIC);
        if ring.chunks(1024).any(is_one) {
            return Ok(Some(Superblock::of(Kind::Zfs)));
        }
    }
    Ok(None)
}
