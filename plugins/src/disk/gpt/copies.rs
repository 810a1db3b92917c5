//! What a disk has of a GPT: its first sector, the primary copy, and backups wherever they may be.

use super::header::{Header, NoHeader, crc32};
use super::mbr;
use crate::system::ReadAt;
use anyhow::Result;

/// One of the copies of a table.
#[derive(Debug)]
pub(super) enum Copy {
    /// There is nothing of it.
    Missing,
    /// There is something of it; its header, if it is only the entries that are damaged.
    Damaged(&'static str, Option<Header>),
    /// It is as it was written, and cannot be worked with.
    Strange(&'static str),
    /// It is good: header and entries.
    Good(Header, Vec<u8>),
}

impl Copy {
    pub(super) fn header(&self) -> Option<&Header> {
        match self {
            Self::Good(header, _) | Self::Damaged(_, Some(header)) => Some(header),
            _ => None,
        }
    }

    pub(super) fn is_good(&self) -> bool {
        matches!(self, Self::Good(..))
    }
}

/// Sectors of a disk.
#[derive(Clone, Copy)]
pub(super) struct Sectors<'a> {
    pub(super) disk: &'a dyn ReadAt,
    pub(super) size: u32,
    pub(super) count: u64,
}

impl Sectors<'_> {
    pub(super) fn read(&self, at: u64, bytes: usize) -> Result<Vec<u8>> {
        let mut buffer = vec![0; bytes];
        self.disk.read_exact_at(&mut buffer, at.saturating_mul(self.size.into()))?;
        Ok(buffer)
    }

    pub(super) fn copy(&self, at: u64) -> Copy {
        if at == 0 || at >= self.count {
            return Copy::Missing;
        }
        let Ok(sector) = self.read(at, self.size as usize) else {
            return Copy::Damaged("its header cannot be read", None);
        };
        let header = match Header::parse(&sector, at) {
            Ok(header) => header,
            Err(NoHeader::Missing) => return Copy::Missing,
            Err(NoHeader::Damaged(why)) => return Copy::Damaged(why, None),
            Err(NoHeader::Strange(why)) => return Copy::Strange(why),
        };
        let end = header.array.saturating_add(header.array_sectors(self.size));
        // The primary entries are before all partitions, those of a backup behind them and before its header.
        let fits = match at {
            1 => header.array >= 2 && end <= header.first_usable,
            _ => {
                let room = 2_u64.saturating_add(header.array_sectors(self.size));
                header.array > header.last_usable && end <= at && room <= header.first_usable
            }
        };
        if !fits || end > self.count {
            return Copy::Strange("its entries are where partitions may be, or nowhere on the disk");
        }
        let Ok(array) = self.read(header.array, header.array_bytes() as usize) else {
            return Copy::Damaged("its entries cannot be read", Some(header));
        };
        match crc32(&array) == header.array_crc {
            true => Copy::Good(header, array),
            false => Copy::Damaged("the checksum of its entries is wrong", Some(header)),
        }
    }
}

/// All that there is.
#[derive(Debug)]
pub(super) struct Copies {
    pub(super) first_sector: Vec<u8>,
    pub(super) primary: Copy,
    /// The places of backups, from that of which most is known: where the primary header says, where the first
    /// sector says that the disk ended when it was written, and where the disk ends now.
    pub(super) backups: Vec<(u64, Copy)>,
}

impl Copies {
    pub(super) fn read(sectors: &Sectors<'_>) -> Result<Self> {
        let first_sector = sectors.read(0, sectors.size as usize)?;
        let primary = sectors.copy(1);
        let said = primary.header().map(|header| header.other);
        let ended = match mbr::kind(&first_sector) {
            mbr::Kind::Protective { last } => Some(last),
            _ => None,
        };
        let mut places: Vec<u64> = Vec::new();
        for place in said.into_iter().chain(ended).chain([sectors.count - 1]) {
            if place > 1 && !places.contains(&place) {
                places.push(place);
            }
        }
        let backups = places.into_iter().map(|place| (place, sectors.copy(place))).collect();
        Ok(Self { first_sector, primary, backups })
    }

    /// Whether a backup alone is this disk's table, and not what was forgotten when it got other contents: as
    /// for the kernel, it takes something at the beginning of the disk that says so.
    pub(super) fn trusts_backup(&self) -> bool {
        let kind = mbr::kind(&self.first_sector);
        matches!(kind, mbr::Kind::Protective { .. } | mbr::Kind::Hybrid)
            || kind == mbr::Kind::None && !matches!(self.primary, Copy::Missing)
    }

    /// The best of the backups that are good.
    pub(super) fn backup(&self) -> Option<(u64, &Header, &Vec<u8>)> {
        self.backups.iter().find_map(|(place, copy)| match copy {
            Copy::Good(header, array) => Some((*place, header, array)),
            _ => None,
        })
    }
}
