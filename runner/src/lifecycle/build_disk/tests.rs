#![allow(clippy::disallowed_methods, reason = "the tests look at images with programs that are not ours")]

use super::super::config::Config;
use super::super::failure::class_of;
use super::*;
use crate::source::Place;
use cosette_plugins::system::{Live, Mode};
use cosette_plugins::testing::{has_programs, run as program};
use std::sync::Arc;

const MIB: u64 = 1 << 20;

/// A directory with the tree of a system, in which there is no kernel, and GRUB.
struct Scratch {
    directory: tempfile::TempDir,
    sys: System,
}

impl Scratch {
    fn new() -> Option<Self> {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: images of disks: this is not root");
            return None;
        }
        let programs = [
            "mke2fs",
            "e2fsck",
            "debugfs",
            "grub-mkimage",
            "sgdisk",
            "blkid",
            "fsck.vfat",
            "mdir",
            "losetup",
        ];
        if !has_programs("images of disks", &programs) {
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let tree = directory.path().join("tree");
        for path in ["etc/cosette", "usr/lib/grub", "boot"] {
            std::fs::create_dir_all(tree.join(path)).unwrap();
        }
        std::fs::write(tree.join("etc/os-release"), "ID=fleet\nGRUB_ENTRY_NAME='Fleet OS'\n").unwrap();
        for platform in ["i386-pc", "x86_64-efi"] {
            let from = format!("/usr/lib/grub/{platform}");
            if !Path::new(&from).exists() {
                eprintln!("SKIPPED: images of disks: {from} is missing");
                return None;
            }
            program("cp", &["-r", &from, tree.join("usr/lib/grub").to_str().unwrap()]);
        }
        let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
        Some(Self { directory, sys })
    }

    fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().unwrap().to_owned()
    }

    fn request(&self, bytes: u64) -> Request {
        let config = Config::default();
        let document = self.path("oem.yaml");
        std::fs::write(&document, "name: of the operator\n").unwrap();
        let (system, documents) = (format!("dir:{}", self.path("tree")), [document]);
        let spec =
            Spec::resolve(&self.sys, &config, (&system, None), (&documents, &Place::root(&self.sys)), false);
        Request { to: self.path("disk.raw").into(), bytes, sizes: Sizes::default(), spec: spec.unwrap() }
    }

    fn names(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.directory.path()).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

#[test]
fn an_image_is_a_disk_with_all_that_a_system_needs() {
    let Some(scratch) = Scratch::new() else { return };
    // What a run has left that was killed is in nobody's way.
    std::fs::create_dir_all(scratch.path(".disk.raw.cosette/state/cOS")).unwrap();
    std::fs::write(scratch.path(".disk.raw.partial"), "left").unwrap();
    std::fs::write(scratch.path("disk.raw"), "an older image").unwrap();
    let request = scratch.request(1024 * MIB);
    let mut steps = Vec::new();
    let outcome = build(&scratch.sys, &request, false, &mut |event| {
        if let Event::Step(_, _, name, _) = event {
            steps.push(name.to_owned());
        }
    });
    let outcome = outcome.unwrap();
    assert_eq!(outcome.warnings, [""; 0]);
    assert_eq!((steps.first().unwrap().as_str(), steps.last().unwrap().as_str()), ("prepare", "complete"));
    assert_eq!(scratch.names(), ["disk.raw", "oem.yaml", "tree"]);

    let disk = scratch.path("disk.raw");
    let words = program("sgdisk", &["-v", &disk]);
    assert!(words.contains("No problems found"), "{words}");
    let json: serde_json::Value = serde_json::from_str(&program("sfdisk", &["--json", &disk])).unwrap();
    let partitions = json["partitiontable"]["partitions"].as_array().unwrap().clone();
    let names: Vec<_> = partitions.iter().map(|partition| partition["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["bios", "efi", "oem", "recovery", "state", "persistent"]);
    let place = |number: usize| {
        let number_of = |key: &str| partitions[number - 1][key].as_u64().unwrap() * 512;
        (number_of("start"), number_of("size"))
    };
    for (number, label) in
        [(2, "COS_GRUB"), (3, "COS_OEM"), (4, "COS_RECOVERY"), (5, "COS_STATE"), (6, "COS_PERSISTENT")]
    {
        let (start, size) = place(number);
        let (offset, size) = (start.to_string(), size.to_string());
        let found =
            program("blkid", &["-p", "-O", &offset, "-S", &size, "-s", "LABEL", "-o", "value", &disk]);
        assert_eq!(found.trim(), label);
        if number > 2 {
            program("e2fsck", &["-f", "-n", &format!("{disk}?offset={start}")]);
        }
    }
    let at = |number: usize| format!("{disk}?offset={}", place(number).0);
    let ask = |number: usize, question: &str| program("debugfs", &["-R", question, &at(number)]);
    assert_eq!(ask(3, "cat /90_custom.yaml"), "name: of the operator\n");
    assert!(ask(3, "cat /grubenv").starts_with("# GRUB Environment Block\n#"));
    assert!(
        ask(5, "cat /grub_oem_env").starts_with("# GRUB Environment Block\ndefault_menu_entry=Fleet OS\n#")
    );
    assert_eq!(ask(5, "cat /state.yaml"), ask(4, "cat /state.yaml"));
    for (number, image) in [(5, "active.img"), (5, "passive.img"), (4, "recovery.img")] {
        let copy = scratch.path(image);
        ask(number, &format!("dump /cOS/{image} {copy}"));
        let digest = program("sha256sum", &[&copy]);
        let digest = digest.split(' ').next().unwrap();
        assert!(ask(5, "cat /state.yaml").contains(&format!("sha256:{digest}")), "{image}");
        program("e2fsck", &["-f", "-n", &copy]);
        assert!(program("debugfs", &["-R", "cat /etc/os-release", &copy]).contains("Fleet OS"));
    }
    assert!(!ask(5, "ls /cOS").contains(".cosette"));
    let volume = format!("{disk}@@{}", place(2).0);
    let listed = program("mdir", &["-b", "-/", "-i", &volume, "::/"]);
    for path in ["::/grub/grub.cfg", "::/EFI/BOOT/BOOTX64.EFI", "::/EFI/fleet/grubx64.efi"] {
        assert!(listed.contains(path), "{listed}");
    }
}

#[test]
fn what_fails_leaves_the_older_image_and_nothing_else() {
    let Some(scratch) = Scratch::new() else { return };
    std::fs::write(scratch.path("disk.raw"), "an older image").unwrap();
    let fails = |request: &Request| build(&scratch.sys, request, false, &mut |_| ()).err().unwrap();
    let small = fails(&scratch.request(100 * MIB));
    assert_eq!(class_of(&small), Some(Class::NoRoom), "{small:#}");
    // The system does not fit its partition.
    let mut request = scratch.request(300 * MIB);
    request.sizes.state = Some(16 * MIB);
    let full = fails(&request);
    assert!(format!("{full:#}").contains("state may be too small with 16 MiB"), "{full:#}");
    {
        let request = scratch.request(300 * MIB);
        let _first = Build::new(&scratch.sys, &request).unwrap().lock().unwrap();
        let second = fails(&request);
        assert_eq!(class_of(&second), Some(Class::Busy));
        assert!(format!("{second:#}").contains("disk.raw is being built: "), "{second:#}");
    }
    let mut request = scratch.request(300 * MIB);
    request.to = scratch.path("tree").into();
    assert_eq!(class_of(&fails(&request)), Some(Class::Device));
    assert_eq!(scratch.names(), ["disk.raw", "oem.yaml", "tree"]);
    assert_eq!(std::fs::read_to_string(scratch.path("disk.raw")).unwrap(), "an older image");
}

#[test]
fn a_dry_run_shows_steps_and_sizes_and_writes_nothing() {
    let Some(scratch) = Scratch::new() else { return };
    let request = scratch.request(8192 * MIB);
    let outcome = build(&scratch.sys, &request, true, &mut |_| ()).unwrap();
    let detail = |name: &str| outcome.steps.iter().find(|step| step.name == name).unwrap().detail.clone();
    assert_eq!(
        detail("partitions"),
        "bios 1 MiB, efi 64 MiB, oem 64 MiB, recovery 2015 MiB, state 4433 MiB, persistent the rest"
    );
    assert_eq!(scratch.names(), ["oem.yaml", "tree"]);
}
