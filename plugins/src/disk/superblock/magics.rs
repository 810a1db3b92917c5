//! What is only known to be there.

use super::super::bytes::{be16, be32};
use super::{Area, Kind, Probe, Superblock};
use anyhow::Result;

pub(super) const PROBES: &[Probe] = &[magic, hfs];

const MAGICS: &[(Kind, u64, &[u8])] = &[
    (Kind::BitLocker, 3, b"-FVE-FS-"),
    (Kind::Reiserfs, 65536 + 52, b"ReIsEr"),
    (Kind::Reiserfs, 8192 + 52, b"ReIsEr"),
    (Kind::Jfs, 32768, b"JFS1"),
    // With the number of the version: at this place other file systems count.
    (Kind::Nilfs2, 1024, b"\x02\0\0\0\0\0\x34\x34"),
    (Kind::Udf, 32769, b"BEA01"),
    (Kind::Udf, 32769, b"NSR02"),
    (Kind::Udf, 32769, b"NSR03"),
    (Kind::Ufs, 8192 + 1372, b"\x54\x19\x01\x00"),
    (Kind::Ufs, 65536 + 1372, b"\x19\x01\x54\x19"),
    (Kind::Hfsplus, 1024, b"H+\0\x04"),
    (Kind::Hfsplus, 1024, b"HX\0\x05"),
    (Kind::Apfs, 32, b"NXSB"),
    (Kind::Cramfs, 0, b"\x45\x3d\xcd\x28"),
    (Kind::Romfs, 0, b"-rom1fs-"),
    (Kind::Gfs2, 65536, b"\x01\x16\x19\x70"),
    (Kind::Ocfs2, 1024, b"OCFSV2"),
    (Kind::Ocfs2, 2048, b"OCFSV2"),
    (Kind::Ocfs2, 4096, b"OCFSV2"),
    (Kind::Stratis, 512 + 4, b"!Stra0tis\x86\xff\x02^\x41rh"),
    (Kind::Vdo, 0, b"dmvdo001"),
    (Kind::Bluestore, 0, b"bluestore block device"),
    (Kind::OracleAsm, 32, b"ORCLDISK"),
    (Kind::Verity, 0, b"verity\0\0"),
    (Kind::Integrity, 0, b"integrt\0"),
];

fn magic(area: &Area<'_>) -> Result<Option<Superblock>> {
    for (kind, at, magic) in MAGICS {
        if area.has(*at, magic)? {
            return Ok(Some(Superblock::of(*kind)));
        }
    }
    Ok(None)
}

/// Two letters are not enough: its bitmap begins in sector 3, and its blocks are of whole sectors.
fn hfs(area: &Area<'_>) -> Result<Option<Superblock>> {
    let Some(sb) = area.read(1024, 64)?.filter(|sb| sb.starts_with(b"BD")) else { return Ok(None) };
    let block = be32(&sb, 20);
    let plausible = be16(&sb, 14) == 3 && block != 0 && block.is_multiple_of(512);
    Ok(plausible.then(|| Superblock::of(Kind::Hfs)))
}
