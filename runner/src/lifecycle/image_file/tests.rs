//! Images of a tree with everything that can be in one, looked at by programs that are not ours, and all that can go
//! wrong while they are made.
#![allow(
    clippy::disallowed_methods,
    reason = "tests make and look at files from outside, with other programs"
)]

use super::*;
use crate::lifecycle::failure::class_of;
use cosette_plugins::system::{Live, stop};
use cosette_plugins::testing::{LoopDisk, Machine, run};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _, PermissionsExt as _, symlink};
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

const ALL: [FileSystem; 3] = [FileSystem::Ext4, FileSystem::Squashfs, FileSystem::Erofs];

/// A tree, and room for images of it.
struct Scratch {
    dir: tempfile::TempDir,
}

impl Scratch {
    /// Nothing, said loudly, where there is no root or a program is missing.
    fn new(what: &str) -> Option<Self> {
        let programs = ["mke2fs", "debugfs", "e2fsck", "mksquashfs", "mkfs.erofs", "setfattr", "losetup"];
        let is_there = |program: &&&str| {
            ["/sbin", "/usr/sbin", "/usr/bin"].iter().any(|dir| Path::new(dir).join(program).exists())
        };
        let missing: Vec<_> = programs.iter().filter(|program| !is_there(program)).collect();
        let attached =
            Command::new("losetup").arg("--find").output().is_ok_and(|output| output.status.success());
        if !nix::unistd::geteuid().is_root() || !missing.is_empty() || !attached {
            let why = format!("needs root, loop devices and programs; missing: {missing:?}");
            writeln!(std::io::stderr(), "SKIPPED: {what}: {why}").unwrap();
            return None;
        }
        let scratch = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir(scratch.tree()).unwrap();
        Some(scratch)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn tree(&self) -> PathBuf {
        self.at("tree")
    }

    fn put(&self, path: &str, content: impl AsRef<[u8]>) {
        let path = self.tree().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Everything that can be in a tree.
    fn everything(&self) {
        let at = |path: &str| self.tree().join(path);
        self.put("etc/issue", "text\n");
        self.put("etc/-n", "a name like an option");
        self.put("etc/a name\nof \"two\" lines", "");
        self.put("empty", "");
        self.put("usr/bin/ping", vec![7; 100_000]);
        self.put("usr/bin/su", "setuid");
        self.put("etc/shadow", "secret");
        fs::create_dir_all(at("tmp/deep/er")).unwrap();
        fs::create_dir(at("lost+found")).unwrap();
        for number in 0..400 {
            self.put(&format!("many/a-file-with-a-name-that-is-not-short-{number}"), "x");
        }
        fs::hard_link(at("usr/bin/su"), at("usr/su")).unwrap();
        symlink("/etc/issue", at("link")).unwrap();
        symlink("long/".repeat(100), at("long-link")).unwrap();
        symlink("nowhere", at("dangling")).unwrap();
        fs::hard_link(at("dangling"), at("dangling-too")).unwrap();
        for (path, kind, major, minor) in [("null", "c", 1, 3), ("disk", "b", 259, 70_000)] {
            run("mknod", &[at(path).to_str().unwrap(), kind, &major.to_string(), &minor.to_string()]);
        }
        run("mknod", &[at("pipe").to_str().unwrap(), "p"]);
        drop(std::os::unix::net::UnixListener::bind(at("socket")).unwrap());
        let sparse = fs::File::create(at("sparse")).unwrap();
        sparse.write_at(b"middle", 30 << 20).unwrap();
        sparse.write_at(b"end", 60 << 20).unwrap();
        sparse.set_len(70 << 20).unwrap();
        let modes =
            [("usr/bin/su", 0o4755), ("etc/shadow", 0o0), ("tmp", 0o1777), ("tmp/deep", 0o2750), ("", 0o750)];
        for (path, mode) in modes {
            fs::set_permissions(at(path), fs::Permissions::from_mode(mode)).unwrap();
        }
        for (path, uid, gid) in
            [("etc/shadow", 0, 42), ("pipe", 100_000, 4_000_000_000), ("link", 7, 8), ("", 3, 4)]
        {
            std::os::unix::fs::lchown(at(path), Some(uid), Some(gid)).unwrap();
        }
        let attributes = [
            ("usr/bin/ping", "security.capability", "0sAQAAAgAgAAAAAAAAAAAAAAAAAAA="),
            ("usr/bin/ping", "security.selinux", "system_u:object_r:ping_exec_t:s0"),
            ("etc", "user.long", &*"v".repeat(1000)),
            ("tmp", "trusted.mark", "1"),
            ("link", "security.selinux", "system_u:object_r:etc_t:s0"),
            ("null", "security.selinux", "system_u:object_r:null_device_t:s0"),
            ("", "user.top", "top"),
        ];
        for (path, name, value) in attributes {
            run("setfattr", &["-h", "-n", name, "-v", value, at(path).to_str().unwrap()]);
        }
        for (path, time) in [
            ("etc/issue", "1970-01-01 00:00:01"),
            ("null", "2037-12-31"),
            ("link", "2001-02-03"),
            ("", "1999-12-31"),
        ] {
            run("touch", &["-h", "-d", time, at(path).to_str().unwrap()]);
        }
    }

    fn build(&self, file_system: FileSystem, to: &Path) -> Result<Built> {
        self.build_and(file_system, to, &mut |_| {})
    }

    fn build_and(&self, file_system: FileSystem, to: &Path, tell: &mut dyn FnMut(Phase)) -> Result<Built> {
        let spec = ImageSpec { margin: 1 << 20, ..ImageSpec::new(file_system, "COS_ACTIVE") };
        build(&sys(), &self.tree(), &spec, to, tell)
    }

    /// Whether a loop device shows something in here.
    fn is_attached(&self) -> bool {
        run("losetup", &["--list", "--noheadings", "--output", "BACK-FILE"])
            .contains(self.dir.path().to_str().unwrap())
    }
}

fn sys() -> System {
    System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap()
}

/// What other programs find in a directory, but for what ext4 has by itself or cannot keep.
fn listed(dir: &Path, links: bool) -> String {
    let script = r#"cd "$1"
        find . -path ./lost+found -prune -o -printf '%p %M %U:%G %l %Ts\n' | sort
        find . ! -type d ! -type l -printf '%p %n %s\n' | sort
        find . -type l $2 -printf '%p %n\n' | sort
        find . -type b -o -type c | sort | xargs stat -c '%n %t:%T'
        find . -type f -print0 | sort -z | xargs -0 sha256sum
        getfattr --absolute-names -h -R -d -m - . | sort"#;
    run("sh", &["-euc", script, "-", dir.to_str().unwrap(), if links { "" } else { "-false" }])
}

/// An image that other programs have mounted.
struct Mount(PathBuf);

impl Mount {
    fn of(image: &Path) -> Self {
        let point = image.with_extension("mounted");
        fs::create_dir(&point).unwrap();
        run("mount", &["-o", "ro,loop", image.to_str().unwrap(), point.to_str().unwrap()]);
        Self(point)
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
fn an_image_has_everything_that_the_tree_has() {
    let Some(scratch) = Scratch::new("images of a tree with everything") else { return };
    scratch.everything();
    for file_system in ALL {
        let image = scratch.at(file_system.name());
        let built = scratch.build(file_system, &image).unwrap();
        assert_eq!(
            (built.file_system, built.bytes, &*built.warnings),
            (file_system, fs::metadata(&image).unwrap().len(), &[] as &[String])
        );
        let sum = run("sha256sum", &[image.to_str().unwrap()]);
        assert_eq!(built.digest.as_str().strip_prefix("sha256:"), sum.split(' ').next());
        let mounted = Mount::of(&image);
        let links = file_system != FileSystem::Ext4;
        assert_eq!(listed(&mounted.0, links), listed(&scratch.tree(), links), "{file_system}");
        drop(mounted);
        assert!(!scratch.is_attached());
        let image = image.to_str().unwrap();
        match file_system {
            FileSystem::Ext4 => {
                run("e2fsck", &["-fn", image]);
                let header = run("dumpe2fs", &["-h", image]);
                let value = |name: &str| {
                    let line = header.lines().find_map(|line| line.strip_prefix(name)).unwrap();
                    line.trim_start_matches(':').trim().to_owned()
                };
                assert_eq!(
                    (value("Filesystem volume name"), value("Filesystem state")),
                    ("COS_ACTIVE".into(), "clean".into())
                );
                assert_eq!(value("Reserved block count"), "0");
                assert!(!value("Filesystem features").contains("has_journal"));
                let free: u64 = value("Free blocks").parse().unwrap();
                assert!((256..1500).contains(&free), "{free}");
                // The margin and the holes are holes.
                let found = fs::metadata(image).unwrap();
                assert!(found.blocks() * 512 < 3 << 20, "{} of {}", found.blocks() * 512, found.len());
            }
            FileSystem::Squashfs => drop(run("unsquashfs", &["-stat", image])),
            FileSystem::Erofs => drop(run("fsck.erofs", &[image])),
        }
    }
}

#[test]
fn trees_of_many_tiny_and_of_few_huge_files_have_room() {
    let Some(scratch) = Scratch::new("trees of every shape") else { return };
    let build = |what: &str| {
        let spec = ImageSpec { margin: 0, ..ImageSpec::new(FileSystem::Ext4, "L") };
        let image = scratch.at("image");
        build(&sys(), &scratch.tree(), &spec, &image, &mut |_| {})
            .unwrap_or_else(|error| panic!("{what}: {error:#}"));
        run("e2fsck", &["-fn", image.to_str().unwrap()]);
        fs::remove_dir_all(scratch.tree()).unwrap();
        fs::create_dir(scratch.tree()).unwrap();
        fs::metadata(image).unwrap()
    };
    build("nothing");
    for number in 0..40_000 {
        let content = if number % 10 == 0 { "tiny" } else { "" };
        scratch.put(&format!("{}/{}", number / 500, number % 500), content);
    }
    build("many tiny files");
    for number in 0..100 {
        scratch.put(&format!("{}{number}", "n".repeat(250)), "");
        let file = scratch.tree().join(format!("{}{number}", "n".repeat(250)));
        run("setfattr", &["-n", "user.large", "-v", &"v".repeat(3000), file.to_str().unwrap()]);
    }
    build("long names and attributes");
    let sparse = fs::File::create(scratch.tree().join("sparse")).unwrap();
    for piece in 0..3000_u64 {
        sparse.write_at(b"x", piece * 10 * (1 << 20)).unwrap();
    }
    sparse.set_len(1 << 42).unwrap();
    let made = build("a huge file of holes");
    assert!(made.len() < 100 << 20);
    scratch.put(
        "large",
        (0..60_u32 << 18).flat_map(|word| word.wrapping_mul(2_654_435_761).to_le_bytes()).collect::<Vec<_>>(),
    );
    build("a large file");
    let deep = "d/".repeat(190);
    scratch.put(&format!("{deep}file"), "x");
    build("deep directories");
}

#[test]
fn what_a_file_system_cannot_hold_is_said_before_anything_is_made() {
    let Some(scratch) = Scratch::new("what file systems cannot hold") else { return };
    scratch.put("etc/issue", "");
    let issue = scratch.tree().join("etc/issue");
    let set = Command::new("setfacl").args(["-m", "u:5:r"]).arg(&issue).status();
    let to = scratch.at("image");
    if set.is_ok_and(|status| status.success()) {
        let failure = scratch.build(FileSystem::Squashfs, &to).unwrap_err();
        assert_eq!(class_of(&failure), Some(Class::Image));
        let expected = "/etc/issue: squashfs does not hold the extended attribute system.posix_acl_access: use ext4 or erofs";
        assert!(format!("{failure:#}").ends_with(expected), "{failure:#}");
        scratch.build(FileSystem::Ext4, &to).unwrap();
        scratch.build(FileSystem::Erofs, &to).unwrap();
    } else {
        writeln!(std::io::stderr(), "SKIPPED: access control lists: no setfacl").unwrap();
    }
    run("touch", &["-d", "2050-01-01", issue.to_str().unwrap()]);
    let built = scratch.build(FileSystem::Ext4, &to).unwrap();
    assert_eq!(built.warnings, ["1 files get another time of change: ext4 cannot hold theirs"]);
    let spec = ImageSpec::new(FileSystem::Ext4, "a label that is too long");
    let failure = build(&sys(), &scratch.tree(), &spec, &to, &mut |_| {}).unwrap_err();
    assert!(format!("{failure:#}").contains("is no label") && !to.exists(), "{failure:#}");
}

#[test]
fn an_image_that_is_not_what_it_was_made_from_is_found_and_removed() {
    let Some(scratch) = Scratch::new("images that are spoilt") else { return };
    scratch.put("etc/issue", "a text that is found again");
    let to = scratch.at("image");
    let mut spoil = |phase| {
        if phase == Phase::ReadBack {
            let content = fs::read(&to).unwrap();
            let at = content.windows(6).position(|part| part == b"a text").unwrap();
            fs::File::options().write(true).open(&to).unwrap().write_at(b"b", at as u64).unwrap();
        }
    };
    let failure = scratch.build_and(FileSystem::Ext4, &to, &mut spoil).unwrap_err();
    assert_eq!(class_of(&failure), Some(Class::ReadBack));
    assert!(format!("{failure:#}").ends_with("/etc/issue: its content is another"), "{failure:#}");
    assert!(!to.exists() && !scratch.is_attached());
}

/// A small file system, mounted.
struct SmallDisk {
    _disk: LoopDisk,
    point: PathBuf,
}

impl SmallDisk {
    fn new(scratch: &Scratch, mebibytes: u64) -> Option<Self> {
        let disk = LoopDisk::new(mebibytes, &["mke2fs"])?;
        run("mke2fs", &["-q", "-t", "ext4", "-m", "0", disk.path()]);
        let point = scratch.at("small");
        fs::create_dir(&point).unwrap();
        run("mount", &[disk.path(), point.to_str().unwrap()]);
        Some(Self { _disk: disk, point })
    }

    fn free(&self) -> u64 {
        run("sync", &[]);
        sys().free_space(&self.point).unwrap().bytes
    }

    /// Takes all the room but so much.
    fn fill_up_to(&self, left: u64) {
        let filler = self.point.join("filler");
        let _ = fs::remove_file(&filler);
        let size = self.free().saturating_sub(left);
        // It may be less than is said to be free.
        let mut fill = Command::new("head");
        fill.args(["-c", &size.to_string(), "/dev/zero"]);
        let _ = fill.stdout(fs::File::create(&filler).unwrap()).stderr(std::process::Stdio::null()).status();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.point).status();
    }
}

#[test]
fn a_full_disk_at_any_moment_is_a_failure_of_its_own_and_leaves_nothing() {
    let Some(scratch) = Scratch::new("full disks") else { return };
    let mut random = vec![0; 8 << 20];
    sys().host().random(&mut random);
    scratch.put("random", random);
    let Some(disk) = SmallDisk::new(&scratch, 48) else { return };
    let to = disk.point.join("transition.img");
    for file_system in ALL {
        // Found out before, while it is made and, with less and less room, in between.
        for left in [0, 1 << 20, 4 << 20, 7 << 20, 8 << 20] {
            for late in [false, true] {
                disk.fill_up_to(if late { 20 << 20 } else { left });
                let mut before = disk.free();
                let mut fill = |phase| {
                    if late && phase == Phase::Build {
                        disk.fill_up_to(left);
                        before = disk.free();
                    }
                };
                let failure = scratch.build_and(file_system, &to, &mut fill);
                let what = format!("{file_system} with {left} bytes, late: {late}");
                let failure = failure.err().unwrap_or_else(|| panic!("{what}: it was made"));
                assert_eq!(class_of(&failure), Some(Class::NoRoom), "{what}: {failure:#}");
                assert!(!to.exists() && !scratch.is_attached());
                assert_eq!(disk.free(), before, "{what}");
            }
        }
        disk.fill_up_to(20 << 20);
        scratch.build(file_system, &to).unwrap();
        fs::remove_file(&to).unwrap();
    }
}

#[test]
fn a_signal_at_any_moment_leaves_nothing() {
    const NAME: &str = "lifecycle::image_file::tests::a_signal_at_any_moment_leaves_nothing";
    let phases = [Phase::Measure, Phase::Build, Phase::Sync, Phase::ReadBack];
    // Signals belong to the whole process: others are started for them.
    let Some(moment) = std::env::var_os("COSETTE_TEST_MOMENT") else {
        for moment in 0..phases.len() {
            let mut again = Command::new(std::env::current_exe().unwrap());
            again.args(["--exact", NAME, "--nocapture"]).env("COSETTE_TEST_MOMENT", moment.to_string());
            let output = again.output().unwrap();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            std::io::stderr().write_all(errors.as_bytes()).unwrap();
            assert!(output.status.success(), "{moment}: {errors}");
        }
        return;
    };
    let Some(scratch) = Scratch::new("signals") else { return };
    let moment = phases[moment.to_str().unwrap().parse::<usize>().unwrap()];
    for number in 0..100 {
        scratch.put(&format!("file{number}"), vec![number; 100_000]);
    }
    stop::install().unwrap();
    let to = scratch.at("image");
    let mut kill = |phase| {
        if phase == moment {
            nix::sys::signal::raise(nix::sys::signal::Signal::SIGTERM).unwrap();
        }
    };
    let failure = scratch.build_and(FileSystem::Ext4, &to, &mut kill).unwrap_err();
    assert_eq!(class_of(&failure), Some(Class::Interrupted), "{failure:#}");
    assert!(!to.exists() && !scratch.is_attached());
}

#[test]
fn a_program_that_fails_or_is_missing_is_said_and_leaves_nothing() {
    let machine = Machine::new("-- /state/tree/etc/issue\n\n-- /state/old.img\nold\n");
    let sys = machine.system(Mode::Apply);
    let (tree, to) = (Path::new("/state/tree"), Path::new("/state/old.img"));
    let spec = ImageSpec::new(FileSystem::Ext4, "COS_ACTIVE");
    let at = machine.root().join("state/old.img");
    let mut half = |phase| {
        if phase == Phase::Build {
            assert!(!at.exists());
            fs::write(&at, "half an image").unwrap();
        }
    };
    machine.host.answer("mke2fs", 1, "mke2fs: it does not like it\n");
    let failure = build(&sys, tree, &spec, to, &mut half).unwrap_err();
    assert_eq!((class_of(&failure), at.exists()), (Some(Class::Image), false));
    let expected = "cannot make the image /state/old.img: `mke2fs -d /state/tree` ended with status 1; the end of its output:\nmke2fs: it does not like it";
    assert_eq!(format!("{failure:#}"), expected);
    machine.host.answer("mke2fs", 1, "mke2fs: No space left on device while writing\n");
    let failure = build(&sys, tree, &spec, to, &mut half).unwrap_err();
    assert_eq!((class_of(&failure), at.exists()), (Some(Class::NoRoom), false));
    machine.host.refuse("mke2fs", || cosette_plugins::system::NoProgram { program: "mke2fs".into() }.into());
    let failure = build(&sys, tree, &spec, to, &mut half).unwrap_err();
    assert!(format!("{failure:#}").contains("install e2fsprogs"), "{failure:#}");
    assert!(build(&machine.system(Mode::Plan), tree, &spec, to, &mut |_| {}).is_err());
}

#[test]
fn labels_are_set_by_the_program_of_the_tree_or_of_the_machine_or_it_is_said_why_not() {
    let tree = "-- /t/etc/selinux/config\nSELINUX=enforcing\n# SELINUXTYPE=none\nSELINUXTYPE=targeted\n\
                -- /t/etc/selinux/targeted/contexts/files/file_contexts\n\n";
    let label = |machine: &Machine| {
        let warning = selinux::label(&machine.system(Mode::Apply), Path::new("/t"), &mut |_| {}).unwrap();
        (warning.unwrap_or_default(), machine.host.take_commands().join("\n"))
    };
    let machine = Machine::new(&format!("{tree}-- /t/usr/sbin/setfiles 0755\n\n"));
    let contexts = "/etc/selinux/targeted/contexts/files/file_contexts";
    assert_eq!(label(&machine), (String::new(), format!("setfiles -F {contexts} /")));
    machine.host.answer("setfiles", 255, "setfiles: no such type\n");
    assert!(label(&machine).0.ends_with("no such type"));
    machine
        .host
        .refuse("setfiles", || cosette_plugins::system::TooSlow { limit: std::time::Duration::ZERO }.into());
    assert!(label(&machine).0.contains("it had not ended"));
    let machine = Machine::new(&format!("{tree}-- /sbin/setfiles 0755\n\n"));
    assert_eq!(label(&machine), (String::new(), format!("setfiles -F -r /t /t{contexts} /t")));
    assert!(label(&Machine::new(tree)).0.contains("policycoreutils"));
    let none = Machine::new("-- /t/etc/selinux/config\nSELINUX=disabled\nSELINUXTYPE=targeted\n");
    assert_eq!(label(&none), Default::default());
    assert_eq!(label(&Machine::new("-- /t/etc/issue\n\n")), Default::default());
}

#[test]
fn labels_are_in_the_image() {
    let Some(scratch) = Scratch::new("SELinux labels") else { return };
    if !["/sbin/setfiles", "/usr/sbin/setfiles"].iter().any(|path| Path::new(path).exists()) {
        writeln!(std::io::stderr(), "SKIPPED: SELinux labels: no setfiles").unwrap();
        return;
    }
    scratch.put("etc/selinux/config", "SELINUX=permissive\nSELINUXTYPE=targeted\n");
    let contexts = "/.* system_u:object_r:default_t:s0\n/etc(/.*)? system_u:object_r:etc_t:s0\n";
    scratch.put("etc/selinux/targeted/contexts/files/file_contexts", contexts);
    scratch.put("bin/sh", "");
    let image = scratch.at("image");
    assert_eq!(scratch.build(FileSystem::Ext4, &image).unwrap().warnings, [""; 0]);
    let mounted = Mount::of(&image);
    let label = |path: &str| {
        let path = mounted.0.join(path);
        run(
            "getfattr",
            &["--absolute-names", "--only-values", "-n", "security.selinux", path.to_str().unwrap()],
        )
    };
    assert!(label("etc/selinux/config").starts_with("system_u:object_r:etc_t:s0"));
    assert!(label("bin/sh").starts_with("system_u:object_r:default_t:s0"));
}

#[test]
fn a_finished_image_is_taken_as_it_is_if_it_is_all_there() {
    let Some(scratch) = Scratch::new("finished images") else { return };
    let mut random = vec![0; 1 << 20];
    sys().host().random(&mut random);
    scratch.put("random", random);
    let (from, to) = (scratch.at("from"), scratch.at("to"));
    let adopt = |to: &Path| adopt(&sys(), &from, to, &mut |_| {});
    for file_system in ALL {
        let built = scratch.build(file_system, &from).unwrap();
        fs::write(&to, "what was there").unwrap();
        assert_eq!(adopt(&to).unwrap(), built);
        assert_eq!(fs::metadata(&to).unwrap().mode() & 0o7777, 0o644);
        let size = fs::metadata(&from).unwrap().len();
        fs::File::options().write(true).open(&from).unwrap().set_len(size / 2).unwrap();
        let failure = adopt(&to).unwrap_err();
        assert_eq!((class_of(&failure), to.exists()), (Some(Class::Source), false));
        assert!(format!("{failure:#}").contains("is not complete"), "{file_system}: {failure:#}");
    }
    for (content, expected) in
        [(vec![b'x'; 100_000], "holds no file system"), (Vec::new(), "holds no file system")]
    {
        fs::write(&from, content).unwrap();
        assert!(format!("{:#}", adopt(&to).unwrap_err()).contains(expected));
    }
    fs::remove_file(&from).unwrap();
    assert_eq!(class_of(&adopt(&to).unwrap_err()), Some(Class::Source));
    scratch.build(FileSystem::Ext4, &from).unwrap();
    let failure = adopt(&scratch.at("./from")).unwrap_err();
    assert!(format!("{failure:#}").contains("is what it would replace") && from.exists());
}

#[test]
fn an_image_that_was_not_unmounted_is_refused() {
    let Some(scratch) = Scratch::new("images with a journal to be replayed") else { return };
    let (from, to) = (scratch.at("from"), scratch.at("to"));
    run("mke2fs", &["-q", "-t", "ext4", from.to_str().unwrap(), "8M"]);
    run("debugfs", &["-w", "-R", "feature needs_recovery", from.to_str().unwrap()]);
    let failure = adopt(&sys(), &from, &to, &mut |_| {}).unwrap_err();
    assert_eq!((class_of(&failure), to.exists()), (Some(Class::Source), false), "{failure:#}");
    assert!(!scratch.is_attached());
}
