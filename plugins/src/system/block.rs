//! Disks: what can be read and written at any place, in sectors.

use anyhow::Result;

/// What a disk is opened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskAccess {
    /// To look at it.
    Read,
    /// To look at it, if nobody uses it: neither a mount nor a volume on top.
    Exclusive,
    /// To write to it, with nobody else writing to it and udev(7) waiting.
    Write,
}

/// What can be read at any place.
pub trait ReadAt {
    /// Fills the buffer with what begins at an offset in bytes.
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()>;
}

/// A block device.
pub trait Disk: ReadAt {
    /// Writes bytes at an offset in bytes.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()>;

    /// Has everything that was written be on the disk, before anything that is written later.
    fn sync(&self) -> Result<()>;

    /// The bytes of a logical sector: what is written at once or not at all.
    fn sector_size(&self) -> u32;

    /// The size in bytes.
    fn bytes(&self) -> u64;

    /// Tells the kernel of a partition; start and length are in bytes. One that it has already at this place is
    /// as good.
    fn add_partition(&self, number: u32, start: u64, length: u64) -> Result<()>;

    /// Tells the kernel of the new size of a partition, which may be mounted.
    fn resize_partition(&self, number: u32, start: u64, length: u64) -> Result<()>;

    /// Has the kernel forget a partition, which nobody uses.
    fn delete_partition(&self, number: u32) -> Result<()>;
}
