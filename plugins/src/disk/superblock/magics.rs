//! What is only known to be there.

use super::{Area, Kind, Probe, Superblock};
use anyhow::Result;

pub(super) const PROBES: &[Probe] = &[magic];

const MAGICS: &[(Kind, u64, &[u8])] = &[
    (Kind::BitLocker, 3, b"-FVE-FS-"),
    (Kind::Reiserfs, 65536 + 52, b"ReIsEr"),
    (Kind::Reiserfs, 8192 + 52, b"ReIsEr"),
    (Kind::Jfs, 32768, b"JFS1"),
    (Kind::Nilfs2, 1024 + 6, b"\x34\x34"),
    (Kind::Udf, 32769, b"BEA01"),
    (Kind::Udf, 32769, b"NSR02"),
    (Kind::Udf, 32769, b"NSR03"),
    (Kind::Ufs, 8192 + 1372, b"\x54\x19\x01\x00"),
    (Kind::Ufs, 65536 + 1372, b"\x19\x01\x54\x19"),
    (Kind::Hfs, 1024, b"BD"),
    (Kind::Hfsplus, 1024, b"H+"),
    (Kind::Hfsplus, 1024, b"HX"),
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
