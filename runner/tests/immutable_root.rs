//! `cosette mount` on real file systems: images on loop devices, in a mount namespace of its own.

#![allow(clippy::disallowed_methods, reason = "tests look at real files")]
#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

const COSETTE: &str = env!("CARGO_BIN_EXE_cosette");

/// The layout of the default set, with fewer directories.
const COS: &str = "VOLUMES=\"LABEL=COS_OEM:/oem LABEL=COS_PERSISTENT:/usr/local\"\nOVERLAY=tmpfs:25%\n\
                   RW_PATHS=\"/etc /var /usr/local\"\nPERSISTENT_STATE_PATHS=\"/etc/ssh /home /var/log\"\n";

/// A machine that is booting: a tree in memory with a root file system at `/sysroot`, which is an image, and disks.
struct Booting {
    /// Keeps the namespace of mounts.
    holder: Child,
    files: tempfile::TempDir,
    loops: Vec<String>,
}

impl Booting {
    /// A machine whose kernel was told this. Without root and loop devices there is none, which is said.
    fn new(cmdline: &str) -> Option<Self> {
        let possible = nix::unistd::geteuid().is_root()
            && ["losetup", "mkfs.ext4", "mkfs.btrfs", "unshare", "nsenter"].iter().all(|program| {
                let found = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
                found.is_ok_and(|output| output.status.success())
            });
        let unshare = |arguments: &[&str]| {
            let mut command = Command::new("unshare");
            command.args(["--mount", "--propagation", "private"]).args(arguments);
            command
        };
        let possible = possible && unshare(&["true"]).output().is_ok_and(|output| output.status.success());
        if !possible {
            // Past the capture of what tests print.
            let what =
                "SKIPPED: the immutable root: needs root, unshare, losetup, mkfs.ext4 and mkfs.btrfs\n";
            std::io::stderr().write_all(what.as_bytes()).unwrap();
            return None;
        }
        let files = tempfile::tempdir().unwrap();
        fs::write(files.path().join("cmdline"), cmdline).unwrap();
        fs::create_dir(files.path().join("machine")).unwrap();
        let holder = unshare(&["sleep", "600"]).stdin(Stdio::null()).spawn().unwrap();
        let booting = Self { holder, files, loops: Vec::new() };
        // Until the namespace is another one.
        let namespace = format!("/proc/{}/ns/mnt", booting.holder.id());
        while fs::read_link(&namespace).unwrap() == fs::read_link("/proc/self/ns/mnt").unwrap() {
            std::thread::yield_now();
        }
        booting.shell(
            "mount -t tmpfs machine $M && mount --bind $M/../cmdline /proc/cmdline && \
             mkdir -p $M/sysroot $M/run/cos $M/dev/disk/by-label",
        );
        Some(booting)
    }

    fn machine(&self) -> String {
        self.files.path().join("machine").display().to_string()
    }

    /// A path of the machine, as it is seen from outside.
    fn at(&self, path: &str) -> PathBuf {
        format!("/proc/{}/root{}{path}", self.holder.id(), self.machine()).into()
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    fn try_shell(&self, script: &str) -> Output {
        let mut command = Command::new("nsenter");
        command.args(["--mount", "--target", &self.holder.id().to_string(), "sh", "-euc", script]);
        command.env("M", self.machine()).env("COSETTE", COSETTE).output().unwrap()
    }

    fn shell(&self, script: &str) -> String {
        let output = self.try_shell(script);
        assert!(output.status.success(), "{script}\n{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Adds a disk with a file system of this label, or without one, and gives the path of its device.
    fn disk(&mut self, label: &str, kind: &str, content: &str) -> String {
        let image = self.files.path().join(label);
        fs::File::create(&image)
            .unwrap()
            .set_len(if kind == "btrfs" { 128 << 20 } else { 16 << 20 })
            .unwrap();
        let (image, tree) = (image.display(), self.files.path().join(format!("{label}.d")));
        fs::create_dir_all(&tree).unwrap();
        let tree = tree.display();
        self.shell(&format!("cd {tree}; {content}"));
        match kind {
            "ext4" => self.shell(&format!("mkfs.ext4 -q -L {label} -d {tree} {image}")),
            "btrfs" => self.shell(&format!("mkfs.btrfs -q -L {label} -r {tree} {image}")),
            _ => String::new(),
        };
        let device = self.shell(&format!("losetup --find --show {image}")).trim().to_owned();
        self.shell(&format!(
            "cp -a {device} $M/dev/; ln -s ../../{} $M/dev/disk/by-label/{label}",
            device.trim_start_matches("/dev/")
        ));
        self.loops.push(device.clone());
        device
    }

    /// Adds the image with the root file system, and mounts it.
    fn image(&mut self, content: &str) {
        let usual = "mkdir -p etc/ssh home/me var/log usr/local oem run root; echo image > etc/ssh/key; echo image > etc/motd; \
                     echo 'LABEL=COS_OEM /oem ext4 defaults 0 2' > etc/fstab; chmod 700 etc/ssh; chown 7:8 home/me; chmod 750 home; \
                     echo image > home/me/file;";
        let device = self.disk("COS_ACTIVE", "ext4", &format!("{usual}{content}"));
        self.shell(&format!("mount -o ro {device} $M/sysroot"));
    }

    fn layout(&self, text: &str) {
        fs::write(self.at("/run/cos/cos-layout.env"), text).unwrap();
    }

    fn mount(&self) -> Output {
        self.try_shell("$COSETTE --root $M --color never mount")
    }

    /// Mounts, and asserts that nothing is wrong and that a second time changes nothing.
    #[track_caller]
    fn mounts(&self) -> String {
        let output = self.mount();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            output.status.success() && output.stderr.is_empty(),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let before = (self.table(), fs::metadata(self.at("/sysroot/etc/fstab")).unwrap().modified().unwrap());
        let again = self.mount();
        let again = String::from_utf8_lossy(&again.stdout).into_owned();
        assert!(again.contains("0 failed; 0 changes"), "{again}");
        let after = (self.table(), fs::metadata(self.at("/sysroot/etc/fstab")).unwrap().modified().unwrap());
        assert_eq!(before, after);
        text
    }

    /// What is mounted in the machine: place, kind and source, sorted.
    fn table(&self) -> Vec<String> {
        let machine = self.machine();
        let table = fs::read_to_string(format!("/proc/{}/mountinfo", self.holder.id())).unwrap();
        let lines = table.lines().filter_map(|line| {
            let (place, what) = line.split_once(" - ")?;
            let fields: Vec<&str> = place.split(' ').collect();
            let (root, point) = (fields[3], fields[4].strip_prefix(&machine)?);
            let kind = what.split(' ').next()?;
            Some(format!("{point} {kind} {root} {}", fields[5].split(',').next()?))
        });
        let mut lines: Vec<_> = lines.collect();
        lines.sort();
        lines
    }

    /// What a reboot does: all that is in memory is gone.
    fn reboot(&self) {
        self.shell(
            "umount -R $M/sysroot; umount -R $M/run/overlay 2>/dev/null || :; rm -rf $M/run/overlay $M/run/cosette; \
             mount -o ro /dev/$(basename $(readlink $M/dev/disk/by-label/COS_ACTIVE)) $M/sysroot",
        );
    }
}

impl Drop for Booting {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
        for device in &self.loops {
            let _ = Command::new("losetup").args(["--detach", device]).status();
        }
    }
}

fn cos(cmdline: &str) -> Option<Booting> {
    let mut booting = Booting::new(cmdline)?;
    booting.image("");
    booting.disk("COS_OEM", "ext4", "echo 'name: x' > 90.yaml");
    booting.disk("COS_PERSISTENT", "btrfs", ":");
    booting.layout(COS);
    Some(booting)
}

#[test]
fn what_is_ephemeral_is_forgotten_and_what_is_persistent_is_kept() {
    let Some(booting) = cos("root=LABEL=COS_ACTIVE cos-img/filename=/cOS/active.img\n") else { return };
    booting.mounts();
    assert_eq!(
        booting.table(),
        [
            " tmpfs / rw",
            "/run/overlay tmpfs / rw",
            "/sysroot ext4 / ro",
            "/sysroot/etc overlay / rw",
            "/sysroot/etc/ssh overlay / rw",
            "/sysroot/home overlay / rw",
            "/sysroot/oem ext4 / rw",
            "/sysroot/usr/local btrfs / rw",
            "/sysroot/var overlay / rw",
            "/sysroot/var/log overlay / rw",
        ]
    );
    let fstab = booting.text("/sysroot/etc/fstab");
    assert_eq!(
        fstab.replace(&booting.loops[0], "DEVICE"),
        "# cosette mount replaces: LABEL=COS_OEM /oem ext4 defaults 0 2\n\
         # >>> cosette mount: written at each boot >>>\n\
         DEVICE / auto ro 0 0\n\
         overlay /etc overlay defaults,lowerdir=/etc,upperdir=/run/overlay/etc.overlay/upper,workdir=/run/overlay/etc.overlay/work,x-systemd.requires-mounts-for=/run/overlay 0 0\n\
         overlay /etc/ssh overlay defaults,lowerdir=/etc/ssh,upperdir=/usr/local/.state/etc-ssh.overlay/upper,workdir=/usr/local/.state/etc-ssh.overlay/work,x-systemd.requires-mounts-for=/usr/local 0 0\n\
         overlay /home overlay defaults,lowerdir=/home,upperdir=/usr/local/.state/home.overlay/upper,workdir=/usr/local/.state/home.overlay/work,x-systemd.requires-mounts-for=/usr/local 0 0\n\
         LABEL=COS_OEM /oem auto defaults 0 0\n\
         tmpfs /run/overlay tmpfs defaults,mode=0755,size=25% 0 0\n\
         LABEL=COS_PERSISTENT /usr/local auto defaults 0 0\n\
         overlay /var overlay defaults,lowerdir=/var,upperdir=/run/overlay/var.overlay/upper,workdir=/run/overlay/var.overlay/work,x-systemd.requires-mounts-for=/run/overlay 0 0\n\
         overlay /var/log overlay defaults,lowerdir=/var/log,upperdir=/usr/local/.state/var-log.overlay/upper,workdir=/usr/local/.state/var-log.overlay/work,x-systemd.requires-mounts-for=/usr/local 0 0\n\
         # <<< cosette mount <<<\n"
    );
    assert_eq!(
        booting.text("/sysroot/etc/systemd/system/etc.mount.d/override.conf"),
        "[Mount]\nLazyUnmount=true\n"
    );
    let modes = "cd $M/sysroot; stat -c '%a %u %g %n' etc etc/ssh home home/me run";
    assert_eq!(
        booting.shell(modes),
        "755 0 0 etc\n700 0 0 etc/ssh\n750 0 0 home\n755 7 8 home/me\n755 0 0 run\n"
    );
    let change = "for file in etc/motd etc/ssh/key home/me/file home/new usr/local/new oem/new var/new var/log/new; do \
                  echo changed > $M/sysroot/$file; done; rm -r $M/sysroot/etc/systemd";
    booting.shell(change);
    assert!(!booting.try_shell("echo x > $M/sysroot/root/x").status.success(), "the rest is read-only");
    booting.reboot();
    booting.mounts();
    let kept = "cd $M/sysroot; cat etc/motd etc/ssh/key home/me/file home/new usr/local/new oem/new var/log/new; ls var";
    let words: Vec<String> = booting.shell(kept).split_whitespace().map(str::to_owned).collect();
    assert_eq!(words, ["image", "changed", "changed", "changed", "changed", "changed", "changed", "log"]);
    assert_eq!(booting.text("/sysroot/etc/fstab"), fstab);
    let report = booting.shell("$COSETTE --root $M --json status");
    assert!(report.contains(r#""stage":"mount","result":"applied""#), "{report}");
}

#[test]
fn a_bind_is_a_copy_of_the_image_that_is_made_once() {
    let Some(mut booting) = Booting::new("\n") else { return };
    booting.image("ln home/me/file home/hard; ln -s me/file home/soft; truncate -s 4M home/sparse");
    booting.disk("COS_PERSISTENT", "ext4", ":");
    booting.layout(
        "VOLUMES=LABEL=COS_PERSISTENT:/usr/local\nRW_PATHS=/etc\nPERSISTENT_STATE_PATHS='/home /etc/ssh'\nPERSISTENT_STATE_BIND=true\n",
    );
    booting.mounts();
    let state = "cd $M/sysroot/usr/local/.state; ls; stat -c '%a %u %h' home.bind home.bind/me home.bind/hard; \
                 stat -c %b home.bind/sparse; readlink home.bind/soft";
    assert_eq!(booting.shell(state), "etc-ssh.bind\nhome.bind\n750 0 3\n755 7 2\n644 0 2\n0\nme/file\n");
    booting.shell("cd $M/sysroot; echo changed > home/me/file; rm home/hard; echo new > etc/ssh/new");
    // The image changes, too, as it does in an upgrade.
    booting.shell(
        "umount -R $M/sysroot; D=/dev/$(basename $(readlink $M/dev/disk/by-label/COS_ACTIVE)); mount $D $M/sysroot; \
         echo newer > $M/sysroot/home/me/file; echo newer > $M/sysroot/etc/ssh/key; mount -o remount,ro $M/sysroot",
    );
    booting.reboot();
    booting.mounts();
    assert_eq!(
        booting.shell("cd $M/sysroot; cat home/me/file etc/ssh/key etc/ssh/new; ls home"),
        "changed\nimage\nnew\nme\nsoft\nsparse\n"
    );
    assert!(
        booting
            .text("/sysroot/etc/fstab")
            .contains("\n/usr/local/.state/home.bind /home none defaults,bind,x-systemd")
    );
}

#[test]
fn a_volume_that_is_missing_or_damaged_costs_its_state_and_nothing_else() {
    let Some(mut booting) = Booting::new("rd.cos.oemtimeout=1\n") else { return };
    booting.image("");
    booting.disk("COS_PERSISTENT", "none", ":");
    booting.layout(COS);
    let begun = std::time::Instant::now();
    let output = booting.mount();
    assert!(begun.elapsed().as_secs() < 20, "{:?}", begun.elapsed());
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("LABEL=COS_OEM at /oem: there is no such device after 1 s"), "{text}");
    assert!(text.contains("LABEL=COS_PERSISTENT holds no known file system"), "{text}");
    assert!(text.contains("2 failed"), "{text}");
    booting.shell("for dir in etc etc/ssh home usr/local var/log; do echo x > $M/sysroot/$dir/new; done");
    let fstab = booting.text("/sysroot/etc/fstab");
    assert!(!fstab.contains("COS_PERSISTENT") && fstab.contains("overlay /home overlay"), "{fstab}");
    assert!(fstab.starts_with("LABEL=COS_OEM /oem ext4"), "what the image says of /oem stays: {fstab}");
}

#[test]
fn links_in_the_image_lead_nowhere_else() {
    let Some(mut booting) = Booting::new("\n") else { return };
    booting.image("rmdir root; mkdir var/home; ln -s ../../../../../var/home srv; ln -s /../../../outside opt; ln -s /var root");
    booting.shell("mkdir $M/outside $M/var; touch $M/outside/x");
    booting.layout("RW_PATHS='/etc /srv /opt /var /root'\n");
    let output = booting.mount();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        text.contains("overlay at /var/home") && text.contains("/opt: a symbolic link is in the way"),
        "{text}"
    );
    booting
        .shell("echo new > $M/sysroot/var/home/new; test -z \"$(ls $M/var)\"; test \"$(ls $M/outside)\" = x");
    assert!(booting.table().iter().all(|line| line.starts_with(' ')
        || line.starts_with("/run/overlay")
        || line.starts_with("/sysroot")));
}

#[test]
fn a_live_root_gets_volumes_only_and_what_is_switched_off_nothing() {
    let Some(mut booting) = Booting::new("rd.cos.mount=LABEL=COS_OEM:/oem\n") else { return };
    booting.image("");
    booting.disk("COS_OEM", "ext4", "echo oem > file");
    booting.shell(
        "mkdir $M/live $M/upper $M/work; mount --move $M/sysroot $M/live; \
         mount -t overlay -o lowerdir=$M/live,upperdir=$M/upper,workdir=$M/work live $M/sysroot",
    );
    booting.mounts();
    let table = booting.table();
    assert!(!table.iter().any(|line| line.contains("/run/overlay") || line.contains("/etc")), "{table:?}");
    assert_eq!(booting.text("/sysroot/oem/file"), "oem\n");
    assert!(booting.text("/sysroot/etc/fstab").contains("\nLABEL=COS_OEM /oem auto defaults 0 0\n"));
    booting.shell("umount $M/sysroot/oem");
    booting.layout("OVERLAY=''\nVOLUMES=LABEL=COS_OEM:/oem\n");
    assert!(String::from_utf8_lossy(&booting.mount().stdout).contains("0 applied, 1 skipped, 0 failed"));
    booting.shell(
        "echo rd.cos.disable > $M/../off; mount --bind $M/../off /proc/cmdline; rm $M/run/cos/cos-layout.env",
    );
    assert!(
        String::from_utf8_lossy(&booting.mount().stdout).contains("switched off on the kernel command line")
    );
    assert!(!booting.table().iter().any(|line| line.contains("/oem")));
}

#[test]
fn one_that_was_killed_is_completed_by_the_next() {
    let Some(booting) = cos("\n") else { return };
    booting.layout(&format!("{COS}PERSISTENT_STATE_BIND=true\n"));
    booting.mounts();
    let (table, fstab) = (booting.table(), booting.text("/sysroot/etc/fstab"));
    for milliseconds in [1, 3, 5, 8, 12, 18, 25, 40] {
        booting.reboot();
        booting.shell("rm -rf $M/sysroot/usr/local/.state");
        booting.try_shell(&format!("timeout -s KILL 0.{milliseconds:03} $COSETTE --root $M mount"));
        booting.mounts();
        assert_eq!(
            (booting.table(), booting.text("/sysroot/etc/fstab")),
            (table.clone(), fstab.clone()),
            "{milliseconds}"
        );
        assert_eq!(
            booting.shell("cd $M/sysroot; cat home/me/file; ls usr/local/.state"),
            "image\netc-ssh.bind\nhome.bind\nvar-log.bind\n"
        );
    }
}

#[test]
fn a_dry_run_says_what_would_be_and_does_nothing() {
    let Some(booting) = cos("\n") else { return };
    let before = booting.table();
    let shown = booting.shell("$COSETTE --root $M mount --dry-run");
    assert_eq!(booting.table(), before);
    assert!(!Path::new(&booting.at("/run/overlay")).exists());
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(
        lines[..3],
        [
            "mount LABEL=COS_OEM at /oem",
            "mount tmpfs of 25% at /run/overlay",
            "mount overlay at /etc, changes in /run/overlay/etc.overlay"
        ]
    );
    assert!(shown.contains("\nfstab LABEL=COS_PERSISTENT /usr/local auto defaults 0 0\n"), "{shown}");
}
