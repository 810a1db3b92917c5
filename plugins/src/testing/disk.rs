//! A disk in memory that remembers what was written to it, and at what time the power would fail.

use crate::disk::gpt::{self, Found};
use crate::disk::superblock;
use crate::system::{Disk, ReadAt};
use anyhow::{Context as _, Result, bail};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};

/// What happened to a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// A sector was written: its number and its content.
    Write(u64, Vec<u8>),
    /// All that was written before is on the disk.
    Sync,
}

/// What the kernel was told of a partition: its number, and where it begins and how long it is, in bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PartitionCall {
    /// It is there.
    Add(u32, u64, u64),
    /// It has another size.
    Resize(u32, u64, u64),
    /// It is gone.
    Delete(u32),
}

/// A disk of any size, whose sectors are kept once they have been written. Clones are the same disk.
#[derive(Clone, Debug)]
pub struct FakeDisk {
    sector_size: u32,
    state: Arc<Mutex<State>>,
}

#[derive(Clone, Debug, Default)]
struct State {
    bytes: u64,
    sectors: BTreeMap<u64, Vec<u8>>,
    log: Vec<Operation>,
    /// So many operations are done before all fail.
    left: Option<usize>,
    calls: Vec<PartitionCall>,
    /// What the kernel knows: where partitions begin and how long they are, in bytes.
    partitions: BTreeMap<u32, (u64, u64)>,
    mapped: Option<(String, String)>,
}

impl FakeDisk {
    /// An empty disk.
    pub fn new(sector_size: u32, bytes: u64) -> Self {
        Self { sector_size, state: Arc::new(Mutex::new(State { bytes, ..State::default() })) }
    }

    /// A disk that begins with this.
    pub fn of(sector_size: u32, bytes: u64, content: &[u8]) -> Self {
        let disk = Self::new(sector_size, bytes.max(content.len() as u64));
        for (number, sector) in (0..).zip(content.chunks(sector_size as usize)) {
            disk.put(number, sector.to_vec());
        }
        disk
    }

    /// Another disk with the same content.
    pub fn copy(&self) -> Self {
        let state = State { log: Vec::new(), calls: Vec::new(), left: None, ..self.state().clone() };
        Self { sector_size: self.sector_size, state: Arc::new(Mutex::new(state)) }
    }

    /// Does what was done to another disk.
    pub fn replay<'a>(&self, operations: impl IntoIterator<Item = &'a Operation>) {
        for operation in operations {
            if let Operation::Write(number, content) = operation {
                self.put(*number, content.clone());
            }
        }
    }

    /// Gives a sector another content.
    pub fn put(&self, number: u64, mut content: Vec<u8>) {
        content.resize(self.sector_size as usize, 0);
        self.state().sectors.insert(number, content);
    }

    /// What is in a sector.
    pub fn get(&self, number: u64) -> Vec<u8> {
        self.state().sectors.get(&number).cloned().unwrap_or_else(|| vec![0; self.sector_size as usize])
    }

    /// The numbers of the sectors that were ever written.
    pub fn written(&self) -> Vec<u64> {
        self.state().sectors.keys().copied().collect()
    }

    /// Gives it another size.
    pub fn resize(&self, bytes: u64) {
        let mut state = self.state();
        state.bytes = bytes;
        let end = bytes / u64::from(self.sector_size);
        state.sectors.retain(|number, _| *number < end);
    }

    /// After so many operations (sectors written, synchronizations, and calls about partitions) all fail, until
    /// it is called again.
    pub fn cut_after(&self, operations: Option<usize>) {
        self.state().left = operations;
    }

    /// What happened since the last call.
    pub fn take_log(&self) -> Vec<Operation> {
        std::mem::take(&mut self.state().log)
    }

    /// What the kernel was told of its partitions since the last call.
    pub fn take_partition_calls(&self) -> Vec<PartitionCall> {
        std::mem::take(&mut self.state().calls)
    }

    /// Makes it one of the device mapper, with this name and UUID.
    pub fn map(&self, name: &str, uuid: &str) {
        self.state().mapped = Some((name.to_owned(), uuid.to_owned()));
    }

    /// Its name and UUID for the device mapper, if it has any.
    pub(super) fn mapped(&self) -> Option<(String, String)> {
        self.state().mapped.clone()
    }

    /// The partitions that the kernel knows: where each begins and how long it is, in bytes.
    pub fn partitions(&self) -> BTreeMap<u32, (u64, u64)> {
        self.state().partitions.clone()
    }

    fn call(&self, call: PartitionCall) -> Result<()> {
        let mut state = self.state();
        state.count()?;
        match &call {
            PartitionCall::Add(number, start, length) | PartitionCall::Resize(number, start, length) => {
                state.partitions.insert(*number, (*start, *length));
            }
            PartitionCall::Delete(number) => _ = state.partitions.remove(number),
        }
        state.calls.push(call);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a test has failed while it held the lock")
    }
}

impl State {
    fn count(&mut self) -> Result<()> {
        match &mut self.left {
            Some(0) => bail!("the power has failed"),
            Some(left) => *left -= 1,
            None => {}
        }
        Ok(())
    }
}

impl ReadAt for FakeDisk {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        let state = self.state();
        let end = offset.checked_add(buffer.len() as u64);
        if end.is_none_or(|end| end > state.bytes) {
            bail!("the disk ends before");
        }
        let size = u64::from(self.sector_size);
        let mut at = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let within = (at % size) as usize;
            let length = rest.len().min(size as usize - within);
            let (part, behind) = rest.split_at_mut(length);
            match state.sectors.get(&(at / size)) {
                Some(sector) => part.copy_from_slice(&sector[within..within + length]),
                None => part.fill(0),
            }
            (rest, at) = (behind, at + length as u64);
        }
        Ok(())
    }
}

impl Disk for FakeDisk {
    /// Whole sectors only: a disk knows no other.
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        let mut state = self.state();
        let size = u64::from(self.sector_size);
        assert!(offset.is_multiple_of(size) && (bytes.len() as u64).is_multiple_of(size), "whole sectors");
        if offset.checked_add(bytes.len() as u64).is_none_or(|end| end > state.bytes) {
            bail!("the disk ends before");
        }
        for (number, sector) in (offset / size..).zip(bytes.chunks(size as usize)) {
            state.count()?;
            state.sectors.insert(number, sector.to_vec());
            state.log.push(Operation::Write(number, sector.to_vec()));
        }
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        let mut state = self.state();
        state.count()?;
        state.log.push(Operation::Sync);
        Ok(())
    }

    fn sector_size(&self) -> u32 {
        self.sector_size
    }

    fn bytes(&self) -> u64 {
        self.state().bytes
    }

    fn add_partition(&self, number: u32, start: u64, length: u64) -> Result<()> {
        self.call(PartitionCall::Add(number, start, length))
    }

    fn resize_partition(&self, number: u32, start: u64, length: u64) -> Result<()> {
        self.call(PartitionCall::Resize(number, start, length))
    }

    fn delete_partition(&self, number: u32) -> Result<()> {
        self.call(PartitionCall::Delete(number))
    }
}

/// A partition of a disk.
#[derive(Debug)]
pub(super) struct FakePartition {
    pub(super) disk: FakeDisk,
    pub(super) start: u64,
    pub(super) length: u64,
}

impl FakePartition {
    /// Makes a file system as a program of that name would, as far as others look at it: ext ones only.
    pub(super) fn make_file_system(&self, program: &str, label: &str) -> Result<()> {
        const BLOCK: u64 = 1024;
        let mut superblock = vec![0; 4096];
        let features: [u32; 2] = match program {
            "mkfs.ext2" => [0, 0],
            "mkfs.ext3" => [4, 0],
            _ => [4, 0x40],
        };
        let blocks = u32::try_from(self.length / BLOCK)?;
        let fields = [(4, blocks), (32, 8192), (40, 1024), (76, 1), (92, features[0]), (96, features[1])];
        for (at, value) in fields {
            superblock[1024 + at..1024 + at + 4].copy_from_slice(&value.to_le_bytes());
        }
        superblock[1024 + 56..1024 + 58].copy_from_slice(&[0x53, 0xef]);
        superblock[1024 + 120..1024 + 120 + label.len()].copy_from_slice(label.as_bytes());
        self.write_all_at(&superblock, 0)
    }
}

impl ReadAt for FakePartition {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        self.disk.read_exact_at(buffer, self.start + offset)
    }
}

impl Disk for FakePartition {
    fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<()> {
        self.disk.write_all_at(bytes, self.start + offset)
    }

    fn sync(&self) -> Result<()> {
        self.disk.sync()
    }

    fn sector_size(&self) -> u32 {
        self.disk.sector_size()
    }

    fn bytes(&self) -> u64 {
        self.length
    }

    fn add_partition(&self, _: u32, _: u64, _: u64) -> Result<()> {
        bail!("a partition has no partitions")
    }

    fn resize_partition(&self, _: u32, _: u64, _: u64) -> Result<()> {
        bail!("a partition has no partitions")
    }

    fn delete_partition(&self, _: u32) -> Result<()> {
        bail!("a partition has no partitions")
    }
}

/// Reads the partition table of a disk of any content. If it has one, it is written and read once more, and must
/// be the same.
pub fn reread_gpt(disk: &FakeDisk) -> Result<()> {
    let sectors = disk.bytes() / u64::from(disk.sector_size());
    let read = || gpt::read(disk, disk.sector_size(), sectors);
    let Found::Table { table, .. } = read()? else { return Ok(()) };
    gpt::write(&table, disk)?;
    let Found::Table { table: again, flaws } = read().context("what was just written")? else {
        bail!("what was just written is no table");
    };
    assert_eq!((again.guid, &again.entries), (table.guid, &table.entries));
    assert!(flaws.is_empty(), "{flaws:?}");
    Ok(())
}

/// Corrects signatures, places and checksums of the headers at the beginning and at the end of a disk of any
/// content.
pub fn mend_gpt(disk: &FakeDisk) {
    let end = disk.bytes() / u64::from(disk.sector_size()) - 1;
    for sector in [1, end] {
        disk.put(sector, gpt::mended(disk, disk.get(sector), sector));
    }
}

/// Looks what is on a disk of any content.
pub fn probe_disk(disk: &FakeDisk) {
    let bytes = disk.bytes();
    for (start, length) in [(0, bytes), (512, bytes - 512), (0, bytes / 2)] {
        let _ = superblock::probe(disk, start, length);
    }
}
