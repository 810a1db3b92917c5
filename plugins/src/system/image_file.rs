//! Files that are disks: what a virtual machine, or a program that writes images to disks, takes for one.

use super::cause::Cause;
use super::resolve::Route;
use super::tree::absolute;
use super::{Disk, Mode, ReadAt, System};
use crate::Action;
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode as Bits;
use nix::unistd::{fsync, ftruncate};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Where these disks are used, sectors have this size.
const SECTOR: u32 = 512;

/// An open file that is a disk. No kernel is told of its partitions.
struct ImageFile {
    file: File,
    bytes: u64,
}

impl System {
    /// Makes a file that is a disk of so many bytes: zeros, which take no space. Nothing may be there yet, and there is
    /// none in plan mode.
    pub fn create_disk_file(&self, path: impl AsRef<Path>, bytes: u64) -> Result<Box<dyn Disk>> {
        let path = absolute(path.as_ref());
        let make = || -> Result<Box<dyn Disk>> {
            if self.mode() == Mode::Plan {
                bail!("a plan makes none");
            }
            let route = Route { follow_last: false, any_link: false, parents: None };
            let (place, _) = self.reach(&path, route)?;
            let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            // It may hold secrets of the machine that it is for.
            let private = Bits::S_IRUSR | Bits::S_IWUSR;
            let file = openat(place.dir.handle()?, place.name()?, flags, private).map_err(Cause)?;
            match ftruncate(&file, i64::try_from(bytes).unwrap_or(i64::MAX)) {
                Err(Errno::EFBIG) => bail!("the file system takes no files as large as this"),
                result => result.map_err(Cause)?,
            }
            self.tree.touch(&place.dir)?;
            Ok(Box::new(ImageFile { file: File::from(file), bytes }))
        };
        let disk = make().with_context(|| format!("cannot make {}", path.display()))?;
        self.record(Action::Write, &path, true, None);
        Ok(disk)
    }
}

impl ReadAt for ImageFile {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.file.read_exact_at(buffer, offset).with_context(|| format!("cannot read at byte {offset}"))
    }
}

impl Disk for ImageFile {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.file.write_all_at(bytes, offset).with_context(|| format!("cannot write at byte {offset}"))
    }

    fn sync(&self) -> Result<()> {
        fsync(&self.file).map_err(Cause).context("what was written may not be on the disk")
    }

    fn sector_size(&self) -> u32 {
        SECTOR
    }

    fn bytes(&self) -> u64 {
        self.bytes
    }

    fn add_partition(&self, _number: u32, _start: u64, _length: u64) -> Result<()> {
        Ok(())
    }

    fn resize_partition(&self, _number: u32, _start: u64, _length: u64) -> Result<()> {
        Ok(())
    }

    fn delete_partition(&self, _number: u32) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::system::scratch::Scratch;

    #[test]
    fn a_file_is_a_disk_that_takes_no_space_and_takes_the_place_of_nothing() {
        use std::os::unix::fs::MetadataExt;
        let scratch = Scratch::new();
        let sys = scratch.apply();
        let disk = sys.create_disk_file("/disk", 8 << 30).unwrap();
        disk.write_all_at(b"end", (8 << 30) - 3).unwrap();
        disk.sync().unwrap();
        let mut end = [0; 3];
        disk.read_exact_at(&mut end, (8 << 30) - 3).unwrap();
        assert_eq!((&end, disk.bytes(), disk.sector_size()), (b"end", 8 << 30, 512));
        let found = std::fs::metadata(scratch.at("/disk")).unwrap();
        assert_eq!((found.len(), found.mode() & 0o777), (8 << 30, 0o600));
        assert!(found.blocks() < 100);
        assert!(sys.create_disk_file("/disk", 1).is_err());
        assert!(sys.create_disk_file("/none/disk", 1).is_err());
        assert!(scratch.plan().create_disk_file("/other", 1).is_err());
        assert_eq!(scratch.names("/"), ["disk"]);
    }
}
