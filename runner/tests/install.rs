//! `cosette install` onto disks in files, looked at from outside.
#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "the tests make disks and run the binary"
)]

use cosette_plugins::testing::{LoopDisk, has_programs, own_mounts, run};
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

const PROGRAMS: [&str; 9] = [
    "blkdiscard",
    "grub-mkimage",
    "mkfs.ext4",
    "mke2fs",
    "sgdisk",
    "blkid",
    "e2fsck",
    "fsck.vfat",
    "losetup",
];

#[path = "install/killed.rs"]
mod killed;

/// Of a block device: only if nobody else uses it.
const O_EXCL: i32 = nix::fcntl::OFlag::O_EXCL.bits();

/// A disk of a machine of its own, and the tree of a system without a kernel.
struct Scratch {
    disk: LoopDisk,
    directory: tempfile::TempDir,
}

impl Scratch {
    fn new() -> Option<Self> {
        if !has_programs("installing", &PROGRAMS) {
            return None;
        }
        let disk = LoopDisk::new(1024, &PROGRAMS)?;
        // A machine runs one operation at a time, for which it has a lock.
        own_mounts();
        std::fs::create_dir_all("/run/cosette").unwrap();
        run("mount", &["-t", "tmpfs", "tmpfs", "/run/cosette"]);
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        for path in ["etc", "usr/lib/grub", "boot", "system/oem"] {
            std::fs::create_dir_all(tree.join(path)).unwrap();
        }
        std::fs::write(tree.join("etc/os-release"), "ID=fleet\nGRUB_ENTRY_NAME='Fleet OS'\n").unwrap();
        for platform in ["i386-pc", "x86_64-efi"] {
            let from = format!("/usr/lib/grub/{platform}");
            if !Path::new(&from).exists() {
                eprintln!("SKIPPED: installing: {from} is missing");
                return None;
            }
            run("cp", &["-r", &from, tree.join("usr/lib/grub").to_str().unwrap()]);
        }
        let hooks =
            "stages:\n  after-install-chroot:\n  - files:\n    - {path: /etc/of-hook, content: hooked}\n";
        std::fs::write(directory.path().join("oem.yaml"), hooks).unwrap();
        Some(Self { disk, directory })
    }

    fn install(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let tree = format!("dir:{}", self.directory.path().join("tree").display());
        let document = self.directory.path().join("oem.yaml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_cosette"));
        command.args(["install", self.disk.path(), "--system", &tree]);
        command.args(["--cloud-init", document.to_str().unwrap(), "--disable-boot-entry"]).args(arguments);
        command
    }

    /// The same onto a disk in a file.
    fn build(&self, to: &Path) -> Command {
        let tree = format!("dir:{}", self.directory.path().join("tree").display());
        let mut command = Command::new(env!("CARGO_BIN_EXE_cosette"));
        command.args(["build", "disk", "--size", "1GiB", "--system", &tree]).arg(to);
        command
    }

    /// Makes the disk one on which nothing ever was.
    fn blank(&self) {
        self.disk.forget_partitions();
        run("blkdiscard", &["--force", self.disk.path()]);
    }

    #[track_caller]
    fn installs(&self, arguments: &[&str]) -> String {
        let output = self.install(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    #[track_caller]
    fn refuses(&self, arguments: &[&str], status: i32) -> String {
        let output = self.install(arguments);
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{errors}");
        errors
    }

    /// The first bytes of the disk.
    fn first(&self, bytes: usize) -> Vec<u8> {
        let mut first = vec![0; bytes];
        File::open(self.disk.file()).unwrap().read_exact(&mut first).unwrap();
        first
    }

    /// That nothing of the disk is mounted or open any more.
    fn is_free(&self) {
        let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
        assert!(!mounts.contains(self.disk.path()) && !mounts.contains("/run/cosette/install"), "{mounts}");
        // The mounts of a process that was killed go away after it.
        let is_free = || File::options().read(true).custom_flags(O_EXCL).open(self.disk.path()).is_ok();
        for _ in 0..500 {
            if is_free() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("something has {} open", self.disk.path());
    }
}

#[test]
fn a_disk_gets_a_system_and_is_not_taken_from_it() {
    let Some(scratch) = Scratch::new() else { return };
    let before = scratch.disk.digest();
    let shown = scratch.installs(&["--dry-run"]);
    assert!(shown.contains("state 491 MiB, persistent the rest"), "{shown}");
    assert_eq!(scratch.disk.digest(), before);

    let told = scratch.installs(&[]);
    assert!(told.contains("image: active.img (ext4)") && told.contains("done: dir:"), "{told}");
    scratch.is_free();
    let words = run("sgdisk", &["-v", scratch.disk.path()]);
    assert!(words.contains("No problems found"), "{words}");
    let labels = ["COS_GRUB", "COS_OEM", "COS_RECOVERY", "COS_STATE", "COS_PERSISTENT"];
    for (number, label) in (2..).zip(labels) {
        let partition = scratch.disk.partition(number);
        assert_eq!(run("blkid", &["-p", "-s", "LABEL", "-o", "value", &partition]).trim(), label);
        match number {
            2 => run("fsck.vfat", &["-n", &partition]),
            _ => run("e2fsck", &["-f", "-n", &partition]),
        };
    }
    // The first sector is that of GRUB, with the table.
    let first = scratch.first(512);
    assert!(
        first[0x5c..0x64] == 2048_u64.to_le_bytes()
            && first[0x180..0x190].windows(4).any(|part| part == b"GRUB")
    );
    {
        let state = scratch.disk.mount(5);
        let has = |path: &str| Path::new(&state.path()).join(path).exists();
        assert!(has("cOS/active.img") && has("cOS/passive.img") && !has("cOS/.cosette"));
        let told = std::fs::read_to_string(Path::new(&state.path()).join("state.yaml")).unwrap();
        assert!(told.contains("from: 'install'"), "{told}");
        let image = format!("{}/cOS/active.img", state.path());
        assert_eq!(run("debugfs", &["-R", "cat /etc/of-hook", &image]), "hooked");
        let oem = scratch.disk.mount(3);
        assert!(Path::new(&oem.path()).join("90_custom.yaml").exists());
        std::fs::write(Path::new(&oem.path()).join("own.yaml"), "name: own\n").unwrap();
    }

    let before = scratch.disk.digest();
    for arguments in [&[][..], &["--no-format"]] {
        let errors = scratch.refuses(arguments, 19);
        assert!(errors.contains("has a system already: --force replaces it"), "{errors}");
    }
    assert_eq!(scratch.disk.digest(), before);
    {
        let _in_use = scratch.disk.mount(6);
        let errors = scratch.refuses(&["--force"], 19);
        assert!(errors.contains("it is in use"), "{errors}");
    }
    scratch.installs(&["--no-format", "--force"]);
    scratch.is_free();
    {
        let oem = scratch.disk.mount(3);
        assert!(Path::new(&oem.path()).join("own.yaml").exists(), "the partitions are kept");
    }
    scratch.installs(&["--force"]);
    let oem = scratch.disk.mount(3);
    assert!(!Path::new(&oem.path()).join("own.yaml").exists(), "the partitions are new");
}

#[test]
fn what_is_no_disk_and_what_holds_something_else_is_refused() {
    let Some(scratch) = Scratch::new() else { return };
    run("mkfs.ext4", &["-q", "-F", "-L", "DATA", scratch.disk.path()]);
    let before = scratch.disk.digest();
    for arguments in [&[][..], &["--dry-run"]] {
        let errors = scratch.refuses(arguments, 19);
        assert!(errors.contains("carries ext4: --force destroys that"), "{errors}");
    }
    assert_eq!(scratch.disk.digest(), before);
    let errors = scratch.refuses(&["--no-format"], 12);
    assert!(errors.contains("has no partition called \"efi\""), "{errors}");
    scratch.is_free();
}
