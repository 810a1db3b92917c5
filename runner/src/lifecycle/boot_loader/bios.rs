//! GRUB where a BIOS starts it: the first sector of the disk, which loads the rest from a partition of its own.
//!
//! The fields are those of `include/grub/i386/pc/boot.h` and `include/grub/offsets.h` of GRUB: they are what
//! grub-bios-setup(8) fills in, which needs the device and a file system that is mounted.

use anyhow::{Context as _, Result, bail};
use cosette_plugins::disk::Partition;
use cosette_plugins::system::Disk;

/// A BIOS counts in sectors of this size.
const SECTOR: usize = 512;

/// In the first sector: the sector of the disk where the rest begins, in 64 bits.
const KERNEL_SECTOR: usize = 0x5c;

/// A jump over a check: without it, the drive number is not what some BIOSes say, but that of the first disk.
const DRIVE_CHECK: usize = 0x66;
const NO_OPERATIONS: [u8; 2] = [0x90, 0x90];

/// From the signature of the disk on, the first sector belongs to its table.
const TABLE: std::ops::Range<usize> = 0x1b8..0x1fe;

/// In the first sector of the rest: where its other sectors are (64 bits), how many (16 bits), and where to they are
/// loaded (16 bits), which stands there already.
const LIST_START: usize = SECTOR - 12;
const LIST_LENGTH: usize = SECTOR - 4;
const LIST_SEGMENT: usize = SECTOR - 2;
const SEGMENT: u16 = 0x820;

/// What GRUB consists of on a BIOS.
#[derive(Debug)]
pub struct BiosImages {
    /// The first sector: `boot.img`.
    pub boot: Vec<u8>,
    /// The rest, made by grub-mkimage(1).
    pub core: Vec<u8>,
}

/// Writes GRUB to a disk, the rest to this partition. The table of the disk stays as it is, and the first sector is
/// written last: until then the disk starts as it did before.
pub fn install(disk: &dyn Disk, partition: &Partition, images: &BiosImages) -> Result<()> {
    if disk.sector_size() as usize != SECTOR {
        bail!("a BIOS starts no disk with sectors of {} bytes", disk.sector_size());
    }
    let core = core_at(partition, &images.core)?;
    let mut first = vec![0; SECTOR];
    disk.read_exact_at(&mut first, 0)?;
    let boot = boot_at(partition, &images.boot, &first)?;
    disk.write_all_at(&core, partition.start)?;
    disk.sync()?;
    disk.write_all_at(&boot, 0)?;
    disk.sync()
}

fn boot_at(partition: &Partition, image: &[u8], first: &[u8]) -> Result<Vec<u8>> {
    if image.len() != SECTOR || image.get(TABLE.end..) != Some(&[0x55, 0xaa]) {
        bail!("boot.img is none of GRUB: it is a sector with a signature");
    }
    let mut boot = image.to_vec();
    let sector = partition.start / SECTOR as u64;
    boot[KERNEL_SECTOR..KERNEL_SECTOR + 8].copy_from_slice(&sector.to_le_bytes());
    boot[DRIVE_CHECK..DRIVE_CHECK + 2].copy_from_slice(&NO_OPERATIONS);
    boot[TABLE].copy_from_slice(&first[TABLE]);
    Ok(boot)
}

fn core_at(partition: &Partition, image: &[u8]) -> Result<Vec<u8>> {
    let mut core = image.to_vec();
    core.resize(image.len().next_multiple_of(SECTOR), 0);
    if core.len() as u64 > partition.bytes {
        bail!("GRUB has {} KiB, and its partition {} KiB", core.len().div_ceil(1024), partition.bytes / 1024);
    }
    let sixteen = |at: usize| core.get(at..at + 2).map(|bytes| u16::from_le_bytes([bytes[0], bytes[1]]));
    let rest = u16::try_from((core.len() / SECTOR).saturating_sub(1)).ok();
    let rest = rest.filter(|rest| *rest > 0 && sixteen(LIST_SEGMENT) == Some(SEGMENT));
    let rest = rest.context("core.img is none of GRUB: its first sector does not load the others")?;
    let next = partition.start / SECTOR as u64 + 1;
    core[LIST_START..LIST_START + 8].copy_from_slice(&next.to_le_bytes());
    core[LIST_LENGTH..LIST_LENGTH + 2].copy_from_slice(&rest.to_le_bytes());
    Ok(core)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::disk::{NewPartition, partition};
    use cosette_plugins::testing::FakeDisk;

    const MIB: u64 = 1 << 20;

    fn images(core: usize) -> BiosImages {
        let mut boot = vec![0xb0; SECTOR];
        boot[510..].copy_from_slice(&[0x55, 0xaa]);
        let mut core = vec![0xc0; core];
        core[LIST_SEGMENT..SECTOR].copy_from_slice(&SEGMENT.to_le_bytes());
        BiosImages { boot, core }
    }

    fn disk() -> (FakeDisk, Partition) {
        let disk = FakeDisk::new(512, 8 * MIB);
        let new = NewPartition { name: "bios".into(), kind: "bios-boot", bytes: MIB };
        let made = partition(&disk, &[new], &|bytes| bytes.fill(1)).unwrap();
        (disk, made.into_iter().next().unwrap())
    }

    #[test]
    fn the_first_sector_loads_the_partition_and_keeps_the_table() {
        let (disk, bios) = disk();
        let table = disk.get(0)[446..].to_vec();
        install(&disk, &bios, &images(1300)).unwrap();
        let first = disk.get(0);
        assert_eq!((&first[446..], &first[..4]), (&*table, &[0xb0; 4][..]));
        assert_eq!(first[KERNEL_SECTOR..KERNEL_SECTOR + 8], 2048_u64.to_le_bytes());
        let core = disk.get(2048);
        assert_eq!(core[LIST_START..LIST_START + 8], 2049_u64.to_le_bytes());
        assert_eq!(core[LIST_LENGTH..], [2, 0, 0x20, 0x08]);
        let last = disk.get(2050);
        assert_eq!((last[1300 - 1024 - 1], last[1300 - 1024]), (0xc0, 0));
        assert_eq!(cosette_plugins::disk::partitions(&disk).unwrap(), [bios]);
    }

    #[test]
    fn what_is_cut_off_leaves_the_first_sector_or_writes_it_whole() {
        let (disk, bios) = disk();
        let before = disk.get(0);
        for operations in 0..4 {
            let copy = disk.copy();
            copy.cut_after(Some(operations));
            assert!(install(&copy, &bios, &images(1000)).is_err());
            assert!(copy.get(0) == before);
        }
    }

    #[test]
    fn what_is_none_of_grub_and_what_does_not_fit_is_refused() {
        let (disk, bios) = disk();
        let refused =
            |images: &BiosImages, disk: &FakeDisk| install(disk, &bios, images).unwrap_err().to_string();
        let large = refused(&images(2 << 20), &disk);
        assert_eq!(large, "GRUB has 2048 KiB, and its partition 1024 KiB");
        let boot = BiosImages { boot: vec![0; 512], ..images(1000) };
        assert!(refused(&boot, &disk).starts_with("boot.img is none of GRUB"));
        let core = BiosImages { core: vec![0; 1024], ..images(1000) };
        assert!(refused(&core, &disk).starts_with("core.img is none of GRUB"));
        assert!(refused(&images(512), &disk).starts_with("core.img is none of GRUB"));
        let large_sectors = FakeDisk::new(4096, 8 * MIB);
        assert!(refused(&images(1000), &large_sectors).contains("sectors of 4096 bytes"));
    }
}
