//! A machine: a disk with partitions, and a view of this machine's files in which it is booted.

use cosette_plugins::testing::{LayoutBuilder, LoopDisk, TarBuilder, TarEntry, own_mounts, run};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const PROGRAMS: [&str; 6] = ["sfdisk", "partx", "mkfs.ext4", "nsenter", "unshare", "blkid"];

const OEM: u32 = 1;
const STATE: u32 = 2;
const RECOVERY: u32 = 3;
const PERSISTENT: u32 = 4;

/// Mounts a view of the files of this machine, over which nothing outside of it changes, says so, and keeps it.
const BOOT: &str = "\
set -e
mount -t tmpfs -o size=256m tmpfs \"$1\"
mkdir \"$1/upper\" \"$1/work\" \"$1/root\"
mount -t overlay -o lowerdir=/,upperdir=\"$1/upper\",workdir=\"$1/work\" overlay \"$1/root\"
root=$1/root
for directory in dev proc sys; do mount --rbind /$directory \"$root/$directory\"; done
mount -t tmpfs tmpfs \"$root/run\"
mkdir -p \"$root/run/cos\" \"$root/run/cosette\" \"$root/run/cosette\" \"$root/run/initramfs/cos-state\" \"$root/oem\" \"$root/usr/local\" \"$root/layouts\" \"$root/system/oem\"
mount --bind \"$2\" \"$root/layouts\"
echo -n 1 > \"$root/run/cos/$3_mode\"
mount -o ro \"$4\" \"$root/run/initramfs/cos-state\"
mount \"$5\" \"$root/oem\"
if [ -n \"$6\" ]; then mount \"$6\" \"$root/usr/local\"; fi
echo booted
exec sleep 1000
";

/// A machine, booted or not.
pub(crate) struct Machine {
    pub(crate) disk: LoopDisk,
    layouts: tempfile::TempDir,
    view: tempfile::TempDir,
    booted: Option<Child>,
    /// The partition of the booted system.
    holder: u32,
}

impl Machine {
    /// A machine without systems, of which the active one is booted all the same.
    pub(crate) fn new() -> Option<Self> {
        Self::with_partitions([16, 200, 100, 32])
    }

    /// The same with partitions of so many MiB.
    pub(crate) fn with_partitions(mebibytes: [u64; 4]) -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: the life of a machine: not root");
            return None;
        }
        // The table and its copy take a part of a mebibyte each.
        let disk = LoopDisk::new(mebibytes.iter().sum::<u64>() + 2, &PROGRAMS)?;
        own_mounts();
        let names = ["oem", "state", "recovery", "persistent"];
        let lines = names.iter().zip(mebibytes).map(|(name, size)| format!("size={size}MiB, name={name}\n"));
        let sizes: String = lines.collect();
        let table = disk.file().with_file_name("table");
        std::fs::write(&table, format!("label: gpt\n{sizes}")).unwrap();
        let script =
            format!("sfdisk --quiet --no-reread --no-tell-kernel {} < {}", disk.path(), table.display());
        run("sh", &["-c", &script]);
        run("partx", &["--add", disk.path()]);
        for (number, label) in [
            (OEM, "COS_OEM"),
            (STATE, "COS_STATE"),
            (RECOVERY, "COS_RECOVERY"),
            (PERSISTENT, "COS_PERSISTENT"),
        ] {
            run("mkfs.ext4", &["-q", "-b", "4096", "-m", "0", "-L", label, &disk.partition(number)]);
        }
        let (layouts, view) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut machine = Self { disk, layouts, view, booted: None, holder: STATE };
        machine.boot("active");
        Some(machine)
    }

    /// The machine is put off, and goes on with the disk that is in this file.
    pub(crate) fn move_to(&mut self, file: &Path) {
        self.stop();
        self.disk = LoopDisk::over(file, &PROGRAMS).unwrap();
        run("partx", &["--add", self.disk.path()]);
    }

    /// Boots a system, whichever was booted before.
    pub(crate) fn boot(&mut self, system: &str) {
        self.stop();
        self.holder = if system == "recovery" { RECOVERY } else { STATE };
        let holder = self.disk.partition(self.holder);
        let persistent = if system == "recovery" { String::new() } else { self.disk.partition(PERSISTENT) };
        let mut boot = Command::new("unshare");
        boot.args(["--mount", "--propagation", "private", "sh", "-c", BOOT, "sh"]);
        boot.arg(self.view.path()).arg(self.layouts.path()).arg(system).arg(holder);
        boot.arg(self.disk.partition(OEM)).arg(persistent);
        let mut booted = boot.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(booted.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "booted\n");
        self.booted = Some(booted);
    }

    /// Puts it off.
    pub(crate) fn stop(&mut self) {
        if let Some(mut booted) = self.booted.take() {
            booted.kill().unwrap();
            booted.wait().unwrap();
        }
    }

    /// Makes a source: an image of containers in a directory. Every version is another one, of a few MiB.
    pub(crate) fn source(&self, version: &str) -> String {
        self.source_with(version, &[])
    }

    /// The same with further files.
    pub(crate) fn source_with(&self, version: &str, files: &[(&str, &str)]) -> String {
        let large: String = (0..40_000_u32).map(|number| format!("{version} {number:x} ")).collect();
        let mut tar = TarBuilder::new().dir("etc", 0o755).dir("bin", 0o755).dir("system/oem", 0o755);
        tar = tar.file("etc/os-release", &format!("VERSION={version}\n")).file("usr/share/large", &large);
        tar = tar.entry(TarEntry { mode: 0o4755, owner: (0, 7), ..TarEntry::new("bin/setuid", b'0') });
        for (name, content) in files {
            tar = tar.file(name, content);
        }
        let path = self.layouts.path().join(version);
        if !path.exists() {
            LayoutBuilder::new(&path).image("", &[tar.finish()]);
        }
        format!("oci-layout:/layouts/{version}")
    }

    /// Where a source is, for those who are not in it.
    pub(crate) fn layout(&self, version: &str) -> PathBuf {
        self.layouts.path().join(version)
    }

    /// The root of the booted system, as it is seen in it.
    pub(crate) fn root(&self) -> PathBuf {
        self.view.path().join("root")
    }

    fn enter(&self) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--mount=/proc/{}/ns/mnt", self.booted.as_ref().unwrap().id())).arg("--");
        command
    }

    /// The binary, on this machine.
    pub(crate) fn cosette(&self, arguments: &[&str]) -> Command {
        let mut command = self.enter();
        command.arg(env!("CARGO_BIN_EXE_cosette")).arg("--root").arg(self.root()).args(arguments);
        command
    }

    /// Runs it; what it printed, if its status is the expected one.
    #[track_caller]
    pub(crate) fn run(&self, status: i32, arguments: &[&str]) -> String {
        let output = self.cosette(arguments).output().unwrap();
        let text = text(&output);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}\n{text}");
        text
    }

    /// Runs a program in it that must succeed, with `$ROOT` for the root.
    #[track_caller]
    pub(crate) fn shell(&self, script: &str) -> String {
        let output = self.enter().args(["sh", "-c", script]).env("ROOT", self.root()).output().unwrap();
        assert!(output.status.success(), "{script}\n{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// A path of the booted system, for those who are not in it.
    fn outside(&self, path: &str) -> PathBuf {
        let namespace = format!("/proc/{}/root", self.booted.as_ref().unwrap().id());
        PathBuf::from(format!("{namespace}{}/{path}", self.root().display()))
    }

    /// Has somebody look at the images of a partition.
    fn images<T>(&self, partition: u32, look: impl Fn(&Path) -> T) -> T {
        if partition == self.holder {
            return look(&self.outside("run/initramfs/cos-state/cOS"));
        }
        let mounted = self.disk.mount(partition);
        look(&Path::new(&mounted.path()).join("cOS"))
    }

    /// The versions of active, passive and recovery system, by what stands in their images; nothing if there is none.
    pub(crate) fn versions(&self) -> [Option<String>; 3] {
        let [active, passive] = self
            .images(STATE, |images| ["active.img", "passive.img"].map(|name| version(&images.join(name))));
        [active, passive, self.images(RECOVERY, |images| version(&images.join("recovery.img")))]
    }

    /// The digest of an image and the one that `state.yaml` has for it.
    pub(crate) fn digests(&self, system: &str) -> (String, String) {
        let image = |images: &Path| images.join(format!("{system}.img")).display().to_string();
        let sum = self.images(STATE, |images| run("sha256sum", &[&image(images)]));
        let known: serde_json::Value = serde_json::from_str(&self.state()).unwrap();
        let slot = known["slots"].as_array().unwrap().iter().find(|slot| slot["name"] == system).unwrap();
        (format!("sha256:{}", &sum[..64]), slot["image"].as_str().unwrap_or_default().to_owned())
    }

    /// What `cosette state --json` prints.
    #[track_caller]
    pub(crate) fn state(&self) -> String {
        let output = self.cosette(&["--json", "state"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// What must be the same after an operation, however it ended: mounts and their flags, loop devices that belong to
    /// images of this machine, temporary files.
    pub(crate) fn traces(&self) -> String {
        // Neither the numbers of mounts nor those of file systems without a device outlive a boot; and others may mount
        // something at the same time.
        let mounts = self.shell(&format!(
            "grep -F -e $ROOT -e {} /proc/self/mountinfo | \
             sed 's/^[0-9]* [0-9]* //; s/^0:[0-9]* //; s/master:[0-9]* //' | sort",
            self.disk.path()
        ));
        let loops = run("losetup", &["--list", "--noheadings", "--output", "BACK-FILE"]);
        let root = self.root().display().to_string();
        let loops: Vec<_> = loops.lines().filter(|file| file.contains(&root)).collect();
        let files = self.shell(
            "cd $ROOT/run/initramfs/cos-state; find . -name 'transition*' -o -name '.cosette*'; ls $ROOT/run/cosette",
        );
        let files: Vec<_> =
            files.lines().filter(|name| !name.ends_with(".json") && !name.ends_with(".lock")).collect();
        format!("{mounts}\n{loops:?}\n{files:?}")
    }

    /// Starts a script in it.
    pub(crate) fn shell_in_background(&self, script: &str) -> Child {
        self.enter().args(["sh", "-c", script]).env("ROOT", self.root()).spawn().unwrap()
    }

    /// The binary, called by the name of elemental: its status and what it printed.
    pub(crate) fn elemental(&self, arguments: &[&str]) -> (i32, String) {
        let link = self.layouts.path().join("elemental");
        if !link.exists() {
            std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_cosette"), &link).unwrap();
        }
        // Elemental knows no other root: it is the one of the process.
        let output = self
            .enter()
            .arg("chroot")
            .arg(self.root())
            .arg("/layouts/elemental")
            .args(arguments)
            .output()
            .unwrap();
        (output.status.code().unwrap(), text(&output))
    }

    /// The free space of a partition is used up, while the machine is off, but for so many KiB.
    pub(crate) fn fill_stopped(&mut self, number: u32, kib: u64) {
        self.stop();
        self.fill(number, kib);
        self.boot("active");
    }

    /// Frees it again.
    pub(crate) fn unfill_stopped(&mut self, number: u32) {
        self.stop();
        self.unfill(number);
        self.boot("active");
    }

    fn fill(&self, number: u32, kib: u64) {
        let mounted = self.disk.mount(number);
        let free = run("df", &["--output=avail", "-k", &mounted.path()]);
        let free: u64 = free.lines().last().unwrap().trim().parse().unwrap();
        // What ext4 keeps back for itself counts as free, and cannot be had.
        let filler =
            format!("head -c {}K /dev/zero > {}/filler || true", free.saturating_sub(kib), mounted.path());
        run("sh", &["-c", &filler]);
    }

    fn unfill(&self, number: u32) {
        let mounted = self.disk.mount(number);
        let _ = std::fs::remove_file(Path::new(&mounted.path()).join("filler"));
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        self.stop();
    }
}

/// All that a program printed.
pub(crate) fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The version in an image, which must be whole: its file system is checked, and all of it is read.
fn version(image: &Path) -> Option<String> {
    if !image.exists() {
        return None;
    }
    let image = image.display().to_string();
    run("e2fsck", &["-fn", &image]);
    let release = run("debugfs", &["-R", "cat /etc/os-release", &image]);
    let version = release.trim().strip_prefix("VERSION=").unwrap_or_else(|| panic!("{release}")).to_owned();
    let large = run("debugfs", &["-R", "cat /usr/share/large", &image]);
    assert!(large.starts_with(&format!("{version} 0 ")) && large.ends_with(&format!("{version} 9c3f ")));
    Some(version)
}

/// The number of the partition with the systems.
pub(crate) const STATE_PARTITION: u32 = STATE;
/// The number of the partition with the recovery system.
pub(crate) const RECOVERY_PARTITION: u32 = RECOVERY;
/// The number of the partition with the documents.
pub(crate) const OEM_PARTITION: u32 = OEM;
/// The number of the partition with persistent data.
pub(crate) const PERSISTENT_PARTITION: u32 = PERSISTENT;
