//! File systems of Linux, and swap space.

use super::super::bytes::{be32, be64, le16, le32, le64, sixteen};
use super::{Area, Kind, Probe, Superblock, text, text16, uuid};
use anyhow::Result;

pub(super) const PROBES: &[Probe] = &[ext, xfs, btrfs, swap, squashfs, erofs, f2fs, bcachefs, iso9660];

/// The bytes of a block, of which there may be so many zeros.
fn block(shift: u32, greatest: u32) -> Option<u32> {
    (shift <= greatest).then(|| 1 << shift)
}

fn ext(area: &Area<'_>) -> Result<Option<Superblock>> {
    const HAS_JOURNAL: u32 = 0x4;
    const JOURNAL_DEVICE: u32 = 0x8;
    const SIXTY_FOUR_BITS: u32 = 0x80;
    // What ext3 understands; ext2 does not know of a journal that is to be recovered (4).
    const EXT3_INCOMPATIBLE: u32 = 0x2 | 0x4 | 0x10;
    const EXT3_READ_ONLY: u32 = 0x7;
    let Some(sb) = area.read(1024, 1024)?.filter(|sb| le16(sb, 56) == 0xef53) else { return Ok(None) };
    let (compatible, incompatible, read_only) = (le32(&sb, 92), le32(&sb, 96), le32(&sb, 100));
    let is_old = incompatible & !EXT3_INCOMPATIBLE == 0 && read_only & !EXT3_READ_ONLY == 0;
    let kind = match () {
        () if incompatible & JOURNAL_DEVICE != 0 => Kind::Jbd,
        () if !is_old => Kind::Ext4,
        () if compatible & HAS_JOURNAL != 0 => Kind::Ext3,
        () => Kind::Ext2,
    };
    let Some(block) = block(le32(&sb, 24).saturating_add(10), 16) else { return Ok(None) };
    let high = if incompatible & SIXTY_FOUR_BITS != 0 { le32(&sb, 336) } else { 0 };
    let blocks = u64::from(high) << 32 | u64::from(le32(&sb, 4));
    let found =
        Superblock { label: text(&sb[120..136]), uuid: uuid(sixteen(&sb, 104)), ..Superblock::of(kind) };
    Ok(Some(found.sized(blocks, block)))
}

fn xfs(area: &Area<'_>) -> Result<Option<Superblock>> {
    let Some(sb) = area.read(0, 512)?.filter(|sb| sb.starts_with(b"XFSB")) else { return Ok(None) };
    let block = be32(&sb, 4);
    if !block.is_power_of_two() || !(512..=65536).contains(&block) {
        return Ok(None);
    }
    let (label, uuid) = (text(&sb[108..120]), uuid(sixteen(&sb, 32)));
    Ok(Some(Superblock { label, uuid, ..Superblock::of(Kind::Xfs) }.sized(be64(&sb, 8), block)))
}

fn btrfs(area: &Area<'_>) -> Result<Option<Superblock>> {
    let Some(sb) = area.read(64 << 10, 4096)?.filter(|sb| sb[64..72] == *b"_BHRfS_M") else {
        return Ok(None);
    };
    Ok(Some(Superblock {
        kind: Kind::Btrfs,
        label: text(&sb[0x12b..0x22b]),
        uuid: uuid(sixteen(&sb, 32)),
        // Of this device, not of all together.
        bytes: Some(le64(&sb, 0xc9 + 8)),
        block: Some(le32(&sb, 0x90)),
    }))
}

fn swap(area: &Area<'_>) -> Result<Option<Superblock>> {
    for page in [4096_u32, 8192, 16384, 32768, 65536] {
        let Some(magic) = area.read(u64::from(page) - 10, 10)? else { break };
        let is_asleep = [
            &b"S1SUSPEND"[..],
            b"S2SUSPEND",
            b"ULSUSPEND",
            b"LINHIB0001",
            b"\xed\xc3\x02\xe9\x98\x56\xe5\x0c",
        ]
        .iter()
        .any(|sign| magic.starts_with(sign));
        if !is_asleep && magic != b"SWAPSPACE2" && magic != b"SWAP-SPACE" {
            continue;
        }
        let Some(header) = area.read(1024, 44)? else { break };
        let kind = if is_asleep { Kind::Swsuspend } else { Kind::Swap };
        let found = Superblock::of(kind);
        // The first version has neither, and its numbers may be those of another machine.
        if magic == b"SWAP-SPACE" || le32(&header, 0) != 1 {
            return Ok(Some(found));
        }
        let (label, uuid) = (text(&header[28..44]), uuid(sixteen(&header, 12)));
        let pages = u64::from(le32(&header, 4)) + 1;
        return Ok(Some(Superblock { label, uuid, ..found }.sized(pages, page)));
    }
    Ok(None)
}

fn squashfs(area: &Area<'_>) -> Result<Option<Superblock>> {
    let Some(sb) = area.read(0, 96)? else { return Ok(None) };
    let found = Superblock::of(Kind::Squashfs);
    Ok(match &sb[..4] {
        b"hsqs" => Some(Superblock { bytes: Some(le64(&sb, 40)), block: Some(le32(&sb, 12)), ..found }),
        b"sqsh" => Some(found),
        _ => None,
    })
}

fn erofs(area: &Area<'_>) -> Result<Option<Superblock>> {
    let Some(sb) = area.read(1024, 128)?.filter(|sb| le32(sb, 0) == 0xe0f5_e1e2) else { return Ok(None) };
    let Some(block) = block(sb[12].into(), 16) else { return Ok(None) };
    let (label, uuid) = (text(&sb[64..80]), uuid(sixteen(&sb, 48)));
    let found = Superblock { label, uuid, ..Superblock::of(Kind::Erofs) };
    Ok(Some(found.sized(le32(&sb, 36).into(), block)))
}

fn f2fs(area: &Area<'_>) -> Result<Option<Superblock>> {
    let Some(sb) = area.read(1024, 1152)?.filter(|sb| le32(sb, 0) == 0xf2f5_2010) else { return Ok(None) };
    let Some(block) = block(le32(&sb, 16), 16) else { return Ok(None) };
    let label = text16((0..512).map(|unit| le16(&sb, 124 + 2 * unit)));
    let found = Superblock { label, uuid: uuid(sixteen(&sb, 108)), ..Superblock::of(Kind::F2fs) };
    Ok(Some(found.sized(le64(&sb, 36), block)))
}

fn bcachefs(area: &Area<'_>) -> Result<Option<Superblock>> {
    const BCACHE: &[u8] = b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca\x82\x65\xf5\x7f\x48\xba\x6d\x81";
    const BCACHEFS: &[u8] = b"\xc6\x85\x73\xf6\x66\xce\x90\xa9\xd9\x6a\x60\xcf\x80\x3d\xf7\xef";
    let Some(sb) = area.read(4096, 256)? else { return Ok(None) };
    Ok(match &sb[24..40] {
        BCACHE => Some(Superblock { uuid: uuid(sixteen(&sb, 40)), ..Superblock::of(Kind::Bcache) }),
        BCACHEFS => {
            let (label, uuid) = (text(&sb[72..104]), uuid(sixteen(&sb, 56)));
            Some(Superblock { label, uuid, ..Superblock::of(Kind::Bcachefs) })
        }
        _ => None,
    })
}

/// ECMA-119, 8.4.
fn iso9660(area: &Area<'_>) -> Result<Option<Superblock>> {
    let Some(sb) = area.read(32 << 10, 2048)?.filter(|sb| sb[1..6] == *b"CD001") else { return Ok(None) };
    // Its UUID is the time at which it was changed, or else made.
    let time = |at: usize| {
        let digits = std::str::from_utf8(&sb[at..at + 16]).ok()?;
        let is_set =
            digits.bytes().all(|byte| byte.is_ascii_digit()) && digits.bytes().any(|byte| byte != b'0');
        let [year, rest] = is_set.then(|| digits.split_at(4)).map(<[&str; 2]>::from)?;
        let pairs = rest.as_bytes().chunks(2).map(String::from_utf8_lossy);
        Some(pairs.fold(year.to_owned(), |text, pair| text + "-" + &pair))
    };
    let (label, uuid) = (text(&sb[40..72]), time(830).or_else(|| time(813)));
    let found = Superblock { label, uuid, ..Superblock::of(Kind::Iso9660) };
    Ok(Some(found.sized(le32(&sb, 80).into(), le16(&sb, 128).into())))
}
