//! The boot loader on a disk, started by the firmware of a virtual machine. There is no kernel in these images: where
//! their arguments would be read, they say which system it is and start the machine again.
#![allow(clippy::disallowed_methods, reason = "the tests make disks, and start virtual machines")]

use super::images::{Images, Maker};
use super::{Environment, bios, esp};
use crate::boot::Booted;
use cosette_plugins::System;
use cosette_plugins::disk::{NewPartition, Partition, partition};
use cosette_plugins::system::{Live, Mode};
use cosette_plugins::testing::{has_programs, run};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// What each image does in the place of booting.
const BOOTARGS: &str =
    "echo \"BOOT $mode $img $label [$extra_cmdline] [$extra_of_mode] left $boot_attempts.\"\nreboot\n";

struct Machine {
    directory: tempfile::TempDir,
    partitions: Vec<Partition>,
}

impl Machine {
    /// A disk with GRUB, and with these images; those that are called empty have no kernel.
    fn new(images: &[&str]) -> Option<Self> {
        let programs = ["qemu-system-x86_64", "mke2fs", "grub-mkimage", "debugfs"];
        let data = ["/usr/lib/grub/i386-pc/normal.mod", "/usr/lib/grub/x86_64-efi/normal.mod", OVMF];
        if !has_programs("the boot loader", &programs) || !data.iter().all(|path| Path::new(path).exists()) {
            eprintln!(
                "SKIPPED: the boot loader in a virtual machine: one of {programs:?} and {data:?} is missing"
            );
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
        let new = |name: &str, kind, mib: u64| NewPartition { name: name.to_owned(), kind, bytes: mib * MIB };
        let wanted = [
            new("bios", "bios-boot", 1),
            new("efi", "esp", 33),
            new("oem", "linux-generic", 4),
            new("recovery", "linux-generic", 16),
            new("state", "linux-generic", 16),
        ];
        let path = directory.path().join("disk");
        let disk = sys.create_disk_file(&path, 80 * MIB).unwrap();
        let partitions = partition(&*disk, &wanted, &|bytes| bytes.fill(9)).unwrap();
        // As in the tree of an image, without signed ones.
        let tree = directory.path().join("tree");
        std::fs::create_dir_all(tree.join("usr/lib/grub")).unwrap();
        let platforms = ["/usr/lib/grub/i386-pc", "/usr/lib/grub/x86_64-efi"];
        run("cp", &[&["-r"], &platforms[..], &[&*format!("{}/usr/lib/grub/", tree.display())]].concat());
        let source = sys.reroot(&tree).unwrap();
        let maker = Maker { places: vec![&source], machine: &sys, secure_boot: false };
        let made = Images::make_of(&maker, 2, "derivative").unwrap();
        bios::install(&*disk, &partitions[0], made.bios.as_ref().unwrap()).unwrap();
        esp::make(&*disk, partitions[1].start, partitions[1].bytes, "COS_GRUB", 7, &made.esp).unwrap();

        let machine = Self { directory, partitions };
        std::fs::create_dir_all(machine.at("image/etc/cosette")).unwrap();
        std::fs::write(machine.at("image/etc/cosette/bootargs.cfg"), BOOTARGS).unwrap();
        let image = machine.at("image.img");
        run(
            "mke2fs",
            &["-q", "-t", "ext4", "-b", "4096", "-d", &machine.name("image"), image.to_str().unwrap(), "2M"],
        );
        let empty = machine.at("empty.img");
        run("mke2fs", &["-q", "-t", "ext4", empty.to_str().unwrap(), "2M"]);
        for path in images {
            let (image, path) = path.strip_prefix("empty ").map_or((&image, *path), |path| (&empty, path));
            let path = machine.at(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::copy(image, path).unwrap();
        }
        for directory in ["state", "oem", "recovery"] {
            std::fs::create_dir_all(machine.at(directory)).unwrap();
        }
        let block = Environment::default().to_bytes().unwrap();
        std::fs::write(machine.at("state/grub_oem_env"), &block).unwrap();
        std::fs::write(machine.at("oem/grubenv"), &block).unwrap();
        // To draw the menu takes a firmware that is emulated longer than all the rest.
        std::fs::write(machine.at("oem/grubcustom"), "set timeout=0\n").unwrap();
        for (number, directory, label) in
            [(3, "oem", "COS_OEM"), (4, "recovery", "COS_RECOVERY"), (5, "state", "COS_STATE")]
        {
            let Partition { start, bytes, .. } = &machine.partitions[number - 1];
            let offset = format!("offset={start}");
            let size = format!("{}k", bytes / 1024);
            let tree = machine.name(directory);
            run(
                "mke2fs",
                &[
                    "-q",
                    "-F",
                    "-t",
                    "ext4",
                    "-L",
                    label,
                    "-d",
                    &tree,
                    "-E",
                    &offset,
                    &machine.name("disk"),
                    &size,
                ],
            );
        }
        Some(machine)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn name(&self, path: &str) -> String {
        self.at(path).to_str().unwrap().to_owned()
    }

    /// Changes the environment block of a partition, as a system that runs does it.
    fn change(&self, number: usize, change: impl FnOnce(&mut Environment)) {
        use std::os::unix::fs::FileExt;
        let Partition { start, bytes, .. } = &self.partitions[number - 1];
        let disk = std::fs::File::options().read(true).write(true).open(self.at("disk")).unwrap();
        let mut content = vec![0; *bytes as usize];
        disk.read_exact_at(&mut content, *start).unwrap();
        let sign = b"# GRUB Environment Block\n";
        let at = content.windows(sign.len()).position(|part| part == sign).unwrap();
        let mut environment = Environment::parse(&content[at..at + 1024]).unwrap();
        change(&mut environment);
        disk.write_all_at(&environment.to_bytes().unwrap(), start + at as u64).unwrap();
    }

    fn state(&self, change: impl FnOnce(&mut Environment)) {
        self.change(5, change);
    }

    /// Starts the machine and has it start again until it has booted so many systems, which are returned.
    fn boot(&self, firmware: &[&str], boots: usize) -> Vec<String> {
        let log = self.at("log");
        let _ = std::fs::remove_file(&log);
        let mut qemu = Command::new("qemu-system-x86_64")
            .args([
                "-machine",
                "q35,accel=tcg",
                "-m",
                "256",
                "-nodefaults",
                "-display",
                "none",
                "-net",
                "none",
            ])
            .args(["-drive", &format!("file={},format=raw,if=virtio,cache=unsafe", self.name("disk"))])
            .args(["-serial", &format!("file:{}", log.display())])
            .args(firmware)
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let begun = Instant::now();
        let mut found = Vec::new();
        while found.len() < boots && begun.elapsed() < Duration::from_secs(240) {
            std::thread::sleep(Duration::from_millis(200));
            let text = std::fs::read(&log).unwrap_or_default();
            found = systems(&String::from_utf8_lossy(&text));
        }
        let _ = qemu.kill();
        let _ = qemu.wait();
        let text = String::from_utf8_lossy(&std::fs::read(&log).unwrap()).into_owned();
        assert!(found.len() >= boots, "{found:?}\n{text}");
        found.truncate(boots);
        found
    }
}

/// What the images said.
fn systems(text: &str) -> Vec<String> {
    let line = |rest: &str| rest.chars().take_while(|c| !c.is_control()).collect();
    text.split("BOOT ").skip(1).map(line).filter(|line: &String| line.ends_with('.')).collect()
}

const OVMF: &str = "/usr/share/ovmf/OVMF.fd";
const OF_EFI: &[&str] = &["-bios", OVMF];
const OF_BIOS: &[&str] = &[];
const ALL: [&str; 3] = ["state/cOS/active.img", "state/cOS/passive.img", "recovery/cOS/recovery.img"];

fn names(boots: &[String]) -> Vec<&str> {
    boots.iter().map(|boot| boot.split(' ').next().unwrap()).collect()
}

#[test]
fn the_menu_is_a_script_that_grub_understands() {
    if has_programs("the menu", &["grub-script-check"]) {
        let menu = Path::new(env!("CARGO_MANIFEST_DIR")).join("../units/grub/grub.cfg");
        run("grub-script-check", &[menu.to_str().unwrap()]);
    }
}

#[test]
fn a_new_system_is_tried_three_times_then_the_passive_one_then_recovery() {
    let Some(machine) = Machine::new(&ALL) else { return };
    machine.state(Environment::set_tentative);
    let boots = machine.boot(OF_BIOS, 8);
    assert_eq!(boots[0], "active /cOS/active.img COS_ACTIVE [] [] left 2.");
    assert_eq!(
        names(&boots),
        ["active", "active", "active", "passive", "passive", "passive", "recovery", "recovery"]
    );
    machine.state(|environment| {
        assert_eq!((environment.attempts(), environment.boots_next()), (Some(0), Booted::Recovery));
    });
}

#[test]
fn a_good_system_stays_whatever_happens_and_an_entry_for_one_boot_is_used_once() {
    let Some(machine) = Machine::new(&ALL) else { return };
    machine.state(|environment| {
        environment.set_next(Booted::Passive);
        environment.set("extra_passive_cmdline", "of passive");
    });
    machine.change(3, |environment| environment.set("extra_cmdline", "debug quiet"));
    let boots = machine.boot(OF_BIOS, 5);
    assert_eq!(boots[0], "passive /cOS/passive.img COS_PASSIVE [debug quiet] [of passive] left .");
    assert_eq!(boots[1], "active /cOS/active.img COS_ACTIVE [debug quiet] [] left .");
    assert_eq!(names(&boots[1..]), ["active"; 4]);
    // An administrator has the last word, by the names of cOS.
    machine.change(3, |environment| {
        environment.set("saved_entry", "fallback");
        environment.set("next_entry", "recovery");
    });
    assert_eq!(names(&machine.boot(OF_BIOS, 3)), ["recovery", "passive", "passive"]);
}

#[test]
fn what_cannot_be_loaded_is_followed_by_the_next() {
    let images = ["empty state/cOS/active.img", "recovery/cOS/recovery.squashfs"];
    let Some(machine) = Machine::new(&images) else { return };
    machine.state(Environment::set_tentative);
    let boots = machine.boot(OF_EFI, 2);
    assert_eq!(boots[0], "recovery /cOS/recovery.squashfs COS_SYSTEM [] [] left 2.");
    assert_eq!(boots[1], "recovery /cOS/recovery.squashfs COS_SYSTEM [] [] left 1.");
}
