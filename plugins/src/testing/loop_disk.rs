//! Disks in files: real block devices of the running kernel, for tests as root.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use sha2::{Digest as _, Sha256};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where the file is: in memory, since tests wait for the disk more than for anything else.
fn directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir());
    directory.expect("a temporary directory can be made")
}

/// A disk in a file of its own, as a loop device, without partitions that the kernel finds by itself.
pub struct LoopDisk {
    directory: tempfile::TempDir,
    file: PathBuf,
    path: String,
}

impl LoopDisk {
    /// A disk of so many mebibytes with sectors of 512 bytes; nothing where there can be none, or where one of the
    /// programs is missing, which is said.
    pub fn new(mebibytes: u64, programs: &[&str]) -> Option<Self> {
        Self::with_sectors(mebibytes, 512, programs)
    }

    /// The same with sectors of so many bytes.
    pub fn with_sectors(mebibytes: u64, sector: u32, programs: &[&str]) -> Option<Self> {
        let directory = directory();
        let file = directory.path().join("disk");
        let made = std::fs::File::create(&file).and_then(|file| file.set_len(mebibytes << 20));
        made.expect("a file can be made");
        Self::attach(directory, file, sector, programs)
    }

    /// The disk that a file holds already.
    pub fn over(file: &Path, programs: &[&str]) -> Option<Self> {
        Self::attach(directory(), file.to_owned(), 512, programs)
    }

    fn attach(directory: tempfile::TempDir, file: PathBuf, sector: u32, programs: &[&str]) -> Option<Self> {
        let sector = sector.to_string();
        let output =
            Command::new("losetup").args(["--find", "--show", "--sector-size", &sector]).arg(&file).output();
        match output {
            Ok(output) if output.status.success() => {
                let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
                // Detached when it goes out of scope.
                let disk = Self { directory, file, path };
                // Programs that changed an earlier disk may have left some behind.
                disk.forget_partitions();
                has_programs("a test with a disk in a file", programs).then_some(disk)
            }
            Ok(output) => {
                skipped(&format!("no loop device: {}", String::from_utf8_lossy(&output.stderr).trim()))
            }
            Err(error) => skipped(&format!("no loop device: losetup: {error}")),
        }
    }

    /// Its path: `/dev/loop0`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The path of one of its partitions.
    pub fn partition(&self, number: u32) -> String {
        format!("{}p{number}", self.path)
    }

    /// The file that it is.
    pub fn file(&self) -> PathBuf {
        self.file.clone()
    }

    /// What tells its content from any other; not by way of the device, which may remember what it had before.
    pub fn digest(&self) -> String {
        // Most of it are zeros, of which nothing is as slow as their digest.
        const PIECE: usize = 1 << 20;
        let file = std::fs::File::open(self.file()).expect("the file is there");
        let (zeros, mut piece, mut digest) = (vec![0; PIECE], Vec::with_capacity(PIECE), Sha256::new());
        digest.update(file.metadata().expect("the file is there").len().to_le_bytes());
        for number in 0_u64.. {
            piece.clear();
            let read = (&file).take(PIECE as u64).read_to_end(&mut piece);
            if read.expect("the file can be read") == 0 {
                break;
            }
            if piece != zeros {
                digest.update(number.to_le_bytes());
                digest.update(&piece);
            }
        }
        format!("{:x?}", digest.finalize())
    }

    /// Makes it as large as so many mebibytes.
    pub fn grow(&self, mebibytes: u64) {
        let file = std::fs::File::options().write(true).open(self.file());
        file.and_then(|file| file.set_len(mebibytes << 20)).expect("the file can grow");
        run("losetup", &["--set-capacity", &self.path]);
    }

    /// Mounts a partition for as long as the guard lives.
    pub fn mount(&self, number: u32) -> Mounted {
        let point = self.directory.path().join(format!("mounted{number}"));
        std::fs::create_dir_all(&point).expect("a directory can be made");
        let mounted = Mounted { point };
        run("mount", &[&self.partition(number), &mounted.path()]);
        mounted
    }

    /// The sectors of 512 bytes that a partition has for the kernel.
    pub fn sectors(&self, number: u32) -> u64 {
        let name = self.path.trim_start_matches("/dev/");
        let size = std::fs::read_to_string(format!("/sys/class/block/{name}p{number}/size"));
        size.expect("the kernel knows the partition").trim().parse().expect("a number")
    }

    /// Has the kernel forget all partitions, as at a restart.
    pub fn forget_partitions(&self) {
        let _ = Command::new("partx").args(["--delete", &self.path]).output();
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        self.forget_partitions();
        let _ = Command::new("losetup").args(["--detach", &self.path]).output();
    }
}

/// From now on what this thread and its children mount is theirs alone, and seen nowhere else: a process that makes a
/// namespace of its own meanwhile would keep it in use.
pub fn own_mounts() {
    let mounts = unshare(CloneFlags::CLONE_NEWNS).and_then(|()| {
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)
    });
    mounts.expect("root can make a namespace of mounts");
}

/// A mounted partition.
pub struct Mounted {
    point: PathBuf,
}

impl Mounted {
    /// Where it is mounted.
    pub fn path(&self) -> String {
        self.point.display().to_string()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.point).output();
    }
}

/// Runs a program that must succeed, and returns what it printed.
#[track_caller]
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {errors}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Whether these programs are there, without which a test cannot run. If not, that is said past the capture of test
/// output.
pub fn has_programs(test: &str, programs: &[&str]) -> bool {
    let is_there = |program: &&&str| {
        ["/sbin", "/usr/sbin", "/bin", "/usr/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
    };
    let missing: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
    if !missing.is_empty() {
        let _ = writeln!(std::io::stderr(), "SKIPPED: {test}: {missing:?} are missing");
    }
    missing.is_empty()
}

/// Says past the capture of test output that a test did not run.
fn skipped(reason: &str) -> Option<LoopDisk> {
    let _ = writeln!(std::io::stderr(), "SKIPPED: a test with a disk in a file: {reason}");
    None
}
