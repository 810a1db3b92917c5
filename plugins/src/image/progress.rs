//! How far the layers of an image have come.

use super::failure::Reason;
use super::pieces::Pieces;
use super::resolve::Resolved;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Whoever wants to know how far something has come.
pub trait Progress {
    /// It is known what comes, and that it may be used.
    fn resolved(&mut self, _resolved: &Resolved) {}
    /// So many of all bytes are done. Called often.
    fn advanced(&mut self, done: u64, all: u64);

    /// Asked as often: why there will be no room for all of it, if that is so. Then it ends.
    fn no_room(&mut self) -> Option<String> {
        None
    }
}

/// Nobody wants to know.
impl Progress for () {
    fn advanced(&mut self, _: u64, _: u64) {}
}

/// How many bytes were taken from where they are stored.
pub(super) type Counter = Arc<AtomicU64>;

/// Counts what is read.
pub(super) struct Counted<R> {
    pub(super) input: R,
    pub(super) counter: Counter,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.input.read(buffer)?;
        self.counter.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

/// Tells how far it is while an archive is read.
pub(super) struct Told<'a> {
    pub(super) archive: Pieces,
    pub(super) counter: Counter,
    pub(super) all: u64,
    pub(super) told: u64,
    pub(super) progress: &'a mut dyn Progress,
}

impl Read for Told<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.archive.read(buffer)?;
        let done = self.counter.load(Ordering::Relaxed);
        if done != self.told {
            self.told = done;
            self.progress.advanced(done, self.all);
            if let Some(why) = self.progress.no_room() {
                return Err(Reason::NoRoom.io(why));
            }
        }
        Ok(count)
    }
}
