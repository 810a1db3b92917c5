//! The block writes of a disk, recorded by QEMU in the form of dm-log-writes, and disks as a power cut leaves them.

use cosette_plugins::testing::run;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

/// What a disk writes as a whole or not at all.
const SECTOR: usize = 512;

/// Waits for something, not for ever.
#[track_caller]
fn wait_for(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..500 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{what} does not come");
}

/// A disk in a file whose writes are recorded as long as this lives.
pub(crate) struct Recorder {
    file: PathBuf,
    log: PathBuf,
    daemon: Child,
    /// The file below the one that others see has this.
    device: u64,
}

impl Recorder {
    /// Begins to record what is written to a disk in a file; nothing where that is not possible, which is said.
    pub(crate) fn start(file: &Path) -> Option<Self> {
        let has_fuse = File::options().read(true).write(true).open("/dev/fuse").is_ok();
        if !has_fuse {
            let _ = writeln!(std::io::stderr(), "SKIPPED: the record of block writes: no /dev/fuse");
            return None;
        }
        let log = file.with_extension("log");
        // It has to be there, and to be as large as its head.
        File::create(&log).and_then(|log| log.set_len(1 << 20)).unwrap();
        let device = std::fs::metadata(file).unwrap().dev();
        let node = |name: &str, file: &Path| {
            format!("driver=file,node-name={name},filename={},cache.no-flush=on", file.display())
        };
        let mut daemon = Command::new("qemu-storage-daemon");
        daemon.args(["--blockdev", &node("disk", file), "--blockdev", &node("log", &log)]);
        daemon.args(["--blockdev", "driver=blklogwrites,node-name=recorded,file=disk,log=log"]);
        // The file is seen where it is.
        let export =
            format!("type=fuse,id=export,node-name=recorded,mountpoint={},writable=on", file.display());
        let daemon = daemon.args(["--export", &export]).spawn().unwrap();
        let recorder = Self { file: file.to_owned(), log, daemon, device };
        wait_for("the recorded disk", || std::fs::metadata(file).is_ok_and(|seen| seen.dev() != device));
        Some(recorder)
    }

    /// Ends it: what was written, if nobody uses the disk any more.
    pub(crate) fn finish(mut self) -> Recording {
        let file = self.file.display().to_string();
        // A loop device is detached once the last mount is gone, which may be after the last process.
        wait_for("the end of the loop device", || run("losetup", &["--associated", &file]).is_empty());
        self.stop();
        Recording::read(std::fs::read(&self.log).unwrap())
    }

    fn stop(&mut self) {
        if self.daemon.try_wait().is_ok_and(|ended| ended.is_some()) {
            return;
        }
        let daemon = nix::unistd::Pid::from_raw(self.daemon.id().try_into().unwrap());
        let _ = nix::sys::signal::kill(daemon, nix::sys::signal::Signal::SIGTERM);
        let _ = self.daemon.wait();
        wait_for("the disk itself", || {
            std::fs::metadata(&self.file).is_ok_and(|seen| seen.dev() == self.device)
        });
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // After a test that failed the disk may be in use: then it stays until its users are gone.
        if !std::thread::panicking() {
            self.stop();
            return;
        }
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
        let _ = Command::new("umount").arg("--lazy").arg(&self.file).output();
    }
}

/// What was written to a disk, in its order.
pub(crate) struct Recording {
    log: Vec<u8>,
    /// The writes from one flush to the next: all before are on the disk, each of these may be or not.
    pub(crate) windows: Vec<Vec<Write>>,
}

/// One write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Write {
    at: usize,
    bytes: usize,
    /// Where its data are in the log; zeros if it has none.
    data: Option<usize>,
}

impl Recording {
    fn read(log: Vec<u8>) -> Self {
        const MAGIC: u64 = 0x006a_7366_7773_6872;
        const FLUSH: u64 = 1;
        const FUA: u64 = 2;
        const DISCARD: u64 = 4;
        let number = |at: usize| u64::from_le_bytes(log[at..at + 8].try_into().unwrap());
        let size = |at: usize| usize::try_from(number(at)).unwrap();
        assert_eq!(
            (number(0), number(8), number(24) as u32 as usize),
            (MAGIC, 1, SECTOR),
            "no log of writes"
        );
        let (mut at, mut windows) = (SECTOR, vec![Vec::new()]);
        for _ in 0..number(16) {
            let (sector, sectors, flags) = (size(at), size(at + 8), number(at + 16));
            assert_eq!(flags & !(FLUSH | FUA | DISCARD), 0, "an entry of another kind");
            at += SECTOR;
            if flags & FLUSH != 0 {
                windows.push(Vec::new());
            }
            if sectors == 0 {
                continue;
            }
            let bytes = sectors * SECTOR;
            let data = (flags & DISCARD == 0).then_some(at);
            at += if data.is_some() { bytes } else { 0 };
            let write = Write { at: sector * SECTOR, bytes, data };
            // It would be on the disk when it ends, whatever else is: no loop device makes one.
            assert_eq!(flags & FUA, 0, "{write:?}");
            windows.last_mut().unwrap().push(write);
        }
        // A flush after a flush says nothing.
        windows.retain(|window| !window.is_empty());
        Self { log, windows }
    }

    /// The number of writes.
    pub(crate) fn writes(&self) -> usize {
        self.windows.iter().map(Vec::len).sum()
    }

    /// Has a write happen on a disk, as far as the sectors are chosen. Some are `tied` to the one before.
    pub(crate) fn replay(
        &self,
        write: &Write,
        disk: &File,
        tied: impl Fn(usize) -> bool,
        mut choose: impl FnMut() -> bool,
    ) {
        let mut is_chosen = false;
        for offset in (0..write.bytes).step_by(SECTOR) {
            if offset == 0 || !tied(write.at + offset) {
                is_chosen = choose();
            }
            if is_chosen {
                self.copy(write, offset, SECTOR, disk);
            }
        }
    }

    /// The same for all of it.
    pub(crate) fn replay_all<'w>(&self, writes: impl IntoIterator<Item = &'w Write>, disk: &File) {
        for write in writes {
            self.copy(write, 0, write.bytes, disk);
        }
    }

    fn copy(&self, write: &Write, offset: usize, bytes: usize, disk: &File) {
        let zeros;
        let data = match write.data {
            Some(at) => &self.log[at + offset..at + offset + bytes],
            None => {
                zeros = vec![0; bytes];
                &zeros[..]
            }
        };
        disk.write_all_at(data, (write.at + offset).try_into().unwrap()).unwrap();
    }
}

/// Numbers that are the same at every run.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    /// One below this.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % u64::try_from(end).unwrap()).unwrap()
    }
}
