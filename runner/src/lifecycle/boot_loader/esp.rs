//! The EFI system partition: a FAT that is made whole, with all its files, at a place of a disk.
//!
//! It is never mounted, so it can be made where the kernel knows no FAT, and in images of disks. Everything on it belongs
//! to the boot loader, so a new boot loader is a new file system. By Microsoft's specification of FAT32, version 1.03.

mod directory;

use anyhow::{Result, bail};
use cosette_plugins::system::Disk;
use directory::Directory;

/// A file to write.
#[derive(Debug, PartialEq, Eq)]
pub struct EspFile {
    /// Its path, without a slash at the beginning: `EFI/BOOT/BOOTX64.EFI`.
    pub path: String,
    /// Its content.
    pub content: Vec<u8>,
}

/// By their numbers of clusters the two kinds are told apart.
const FEWEST_OF_FAT16: u64 = 4085;
const FEWEST_OF_FAT32: u64 = 65525;

/// From this size on it is FAT32, as mkfs.vfat(8) has it.
const FAT32_FROM: u64 = 512 << 20;

/// The first cluster has this number.
const FIRST: u32 = 2;
const END_OF_CHAIN: u32 = 0x0fff_ffff;
const MEDIA: u8 = 0xf8;

/// Makes the file system at `start`, `bytes` long, over whatever is there. `id` should be random. It is on the disk when
/// this returns.
pub fn make(disk: &dyn Disk, start: u64, bytes: u64, label: &str, id: u32, files: &[EspFile]) -> Result<()> {
    let geometry = Geometry::of(bytes, u64::from(disk.sector_size()))?;
    let mut root = Directory::new(label)?;
    for file in files {
        root.add(&file.path, &file.content)?;
    }
    let mut volume = Volume { disk, start, geometry, chains: vec![MEDIA.into(), END_OF_CHAIN] };
    volume.chains[0] |= 0x0fff_ff00;
    volume.write_root(&root)?;
    volume.write_tables()?;
    disk.sync()?;
    // Without its first sector it is nothing.
    volume.write_boot_sector(label, id)?;
    disk.sync()
}

/// How a volume is divided, in sectors.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    sector: u64,
    sectors: u64,
    cluster: u64,
    reserved: u64,
    /// The length of one of the two tables.
    table: u64,
    /// The root directory, where it has a place of its own.
    root: u64,
    clusters: u64,
    is_fat32: bool,
}

impl Geometry {
    const ROOT_ENTRIES: u64 = 512;

    fn of(bytes: u64, sector: u64) -> Result<Self> {
        let is_fat32 = bytes >= FAT32_FROM;
        let sectors = bytes / sector;
        let smallest = if is_fat32 { (4096 / sector).max(1) } else { 1 };
        for shift in 0..8 {
            let cluster = smallest << shift;
            let (reserved, root) =
                if is_fat32 { (32, 0) } else { (1, (Self::ROOT_ENTRIES * 32).div_ceil(sector)) };
            let entry = if is_fat32 { 4 } else { 2 };
            // A little too long where the tables take clusters away.
            let table = ((sectors / cluster + 2) * entry).div_ceil(sector);
            let clusters = sectors.saturating_sub(reserved + 2 * table + root) / cluster;
            let fits = match is_fat32 {
                true => (FEWEST_OF_FAT32..0x0fff_fff5).contains(&clusters),
                false => (FEWEST_OF_FAT16..FEWEST_OF_FAT32).contains(&clusters),
            };
            if fits && u32::try_from(sectors).is_ok() {
                return Ok(Self { sector, sectors, cluster, reserved, table, root, clusters, is_fat32 });
            }
        }
        bail!("an EFI system partition of {} KiB cannot be: give it 64 MiB", bytes >> 10)
    }

    fn cluster_bytes(&self) -> usize {
        (self.cluster * self.sector) as usize
    }

    /// Where a cluster is, in bytes from the beginning of the volume.
    fn place(&self, cluster: u32) -> u64 {
        let first = self.reserved + 2 * self.table + self.root;
        (first + u64::from(cluster - FIRST) * self.cluster) * self.sector
    }
}

struct Volume<'a> {
    disk: &'a dyn Disk,
    start: u64,
    geometry: Geometry,
    /// The table, as far as it is used: clusters are taken one after another.
    chains: Vec<u32>,
}

impl Volume<'_> {
    fn write_at(&self, at: u64, bytes: &[u8]) -> Result<()> {
        self.disk.write_all_at(bytes, self.start + at)
    }

    /// Takes the clusters for so many bytes; 0 stands for none.
    fn take(&mut self, bytes: usize) -> Result<u32> {
        let count = bytes.div_ceil(self.geometry.cluster_bytes());
        let first = self.chains.len();
        if (first + count) as u64 > self.geometry.clusters + u64::from(FIRST) {
            let size = (self.geometry.sectors * self.geometry.sector) >> 20;
            bail!("the boot loader does not fit its EFI system partition of {size} MiB");
        }
        let chain = (first + 1..first + count).map(|next| next as u32).chain([END_OF_CHAIN]).take(count);
        self.chains.extend(chain);
        Ok(if count == 0 { 0 } else { first as u32 })
    }

    fn write_clusters(&self, first: u32, mut content: Vec<u8>) -> Result<()> {
        content.resize(content.len().next_multiple_of(self.geometry.cluster_bytes()), 0);
        if content.is_empty() { Ok(()) } else { self.write_at(self.geometry.place(first), &content) }
    }

    fn write_root(&mut self, root: &Directory) -> Result<()> {
        let slots = root.slots();
        if self.geometry.is_fat32 {
            let first = self.take(slots * 32)?;
            // The root has this number by the boot sector.
            let content = self.write_below(root, first, 0)?;
            return self.write_clusters(first, content);
        }
        if slots as u64 > Geometry::ROOT_ENTRIES {
            bail!("there are too many files in the root of the EFI system partition");
        }
        let mut content = self.write_below(root, 0, 0)?;
        content.resize((self.geometry.root * self.geometry.sector) as usize, 0);
        self.write_at((self.geometry.reserved + 2 * self.geometry.table) * self.geometry.sector, &content)
    }

    /// Writes what is in a directory, and returns its own content. `here` and `above` are the clusters of the directory
    /// and of the one that it is in; that of the root is always 0.
    fn write_below(&mut self, directory: &Directory, here: u32, above: u32) -> Result<Vec<u8>> {
        let is_root = directory.is_root();
        let mut clusters = Vec::new();
        for (_, node) in directory.nodes() {
            let first = match node {
                directory::Node::File(content) => {
                    let first = self.take(content.len())?;
                    self.write_clusters(first, content.clone())?;
                    first
                }
                directory::Node::Directory(below) => {
                    let first = self.take(below.slots() * 32)?;
                    let content = self.write_below(below, first, if is_root { 0 } else { here })?;
                    self.write_clusters(first, content)?;
                    first
                }
            };
            clusters.push(first);
        }
        Ok(directory.encode(here, above, &clusters))
    }

    fn write_tables(&self) -> Result<()> {
        let mut table = Vec::new();
        for entry in &self.chains {
            if self.geometry.is_fat32 {
                table.extend_from_slice(&entry.to_le_bytes());
            } else {
                table.extend_from_slice(&(*entry as u16).to_le_bytes());
            }
        }
        let length = self.geometry.table * self.geometry.sector;
        table.resize(length as usize, 0);
        let first = self.geometry.reserved * self.geometry.sector;
        self.write_at(first, &table)?;
        self.write_at(first + length, &table)
    }

    fn write_boot_sector(&self, label: &str, id: u32) -> Result<()> {
        let Geometry { sector, sectors, cluster, reserved, table, is_fat32, .. } = self.geometry;
        let mut reserved_part = vec![0; (reserved * sector) as usize];
        let mut put = |at: usize, bytes: &[u8]| reserved_part[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &[0xeb, if is_fat32 { 0x58 } else { 0x3c }, 0x90]);
        put(3, b"MSWIN4.1");
        put(11, &(sector as u16).to_le_bytes());
        put(13, &[cluster as u8]);
        put(14, &(reserved as u16).to_le_bytes());
        put(16, &[2]);
        put(17, &(if is_fat32 { 0 } else { Geometry::ROOT_ENTRIES as u16 }).to_le_bytes());
        let small = u16::try_from(sectors).ok().filter(|_| !is_fat32);
        put(19, &small.unwrap_or(0).to_le_bytes());
        put(21, &[MEDIA]);
        put(24, &32_u16.to_le_bytes());
        put(26, &64_u16.to_le_bytes());
        put(28, &u32::try_from(self.start / sector).unwrap_or(0).to_le_bytes());
        put(32, &(if small.is_some() { 0 } else { sectors as u32 }).to_le_bytes());
        let of_kind = match is_fat32 {
            false => {
                put(22, &(table as u16).to_le_bytes());
                36
            }
            true => {
                put(36, &(table as u32).to_le_bytes());
                put(44, &FIRST.to_le_bytes());
                put(48, &1_u16.to_le_bytes());
                put(50, &6_u16.to_le_bytes());
                64
            }
        };
        put(of_kind, &[0x80, 0, 0x29]);
        put(of_kind + 3, &id.to_le_bytes());
        put(of_kind + 7, &directory::padded_label(label)?);
        put(of_kind + 18, if is_fat32 { b"FAT32   " } else { b"FAT16   " });
        put(510, &[0x55, 0xaa]);
        if is_fat32 {
            let used = self.chains.len() as u64 - u64::from(FIRST);
            let information = sector as usize;
            put(information, b"RRaA");
            put(information + 484, b"rrAa");
            put(information + 488, &((self.geometry.clusters - used) as u32).to_le_bytes());
            put(information + 492, &(self.chains.len() as u32).to_le_bytes());
            put(information + 510, &[0x55, 0xaa]);
            let copy = 6 * information;
            reserved_part.copy_within(..2 * information, copy);
        }
        self.write_at(0, &reserved_part)
    }
}

#[cfg(test)]
mod tests;
