//! Layouts of real disks, looked at by programs that are not ours.
#![allow(clippy::disallowed_methods, reason = "tests make disks and look at them from outside")]

use super::Layout;
use crate::disk::gpt;
use crate::facts::Facts;
use crate::system::{Live, Mode};
use crate::testing::{LoopDisk, run};
use crate::{Context, Plugin, System};
use cosette_schema::yaml::{self, Value};
use cosette_schema::{Decode, Findings, Origin};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const PROGRAMS: [&str; 9] =
    ["sgdisk", "sfdisk", "partx", "blkid", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs", "mkfs.vfat", "mkswap"];

/// Applies a layout to this machine. Returns the findings, and what was changed.
fn act(text: &str, mode: Mode) -> (Vec<String>, Vec<String>) {
    let sys = System::new(Path::new("/"), Arc::new(Live), mode).unwrap();
    let facts = Facts::new(&sys);
    let origin = Origin::new("test.yaml");
    let mut findings = Findings::new(origin.clone());
    let node = yaml::parse(&format!("layout:\n{text}"), &mut findings).unwrap();
    let Value::Map(entries) = &node.value else { panic!("no map") };
    let layout = Layout::decode(&entries[0].1, &mut findings);
    let cx = Context::new(&origin, &facts, &[]);
    if let Some(layout) = layout {
        cx.attempt(entries[0].1.span, layout.apply(&cx, &sys));
    }
    let mut messages: Vec<String> =
        findings.into_vec().iter().map(|finding| finding.message.clone()).collect();
    messages.extend(cx.into_findings().iter().map(|finding| finding.message.clone()));
    let changes = sys.take_effects().into_iter().filter(|effect| effect.changed);
    (messages, changes.map(|effect| format!("{} {}", effect.action.as_str(), effect.target)).collect())
}

#[track_caller]
fn apply(text: &str) -> Vec<String> {
    let (findings, changes) = act(text, Mode::Apply);
    assert_eq!(findings, [""; 0]);
    changes
}

/// Applies it twice, and asserts that the second time changes nothing.
#[track_caller]
fn check(text: &str) -> Vec<String> {
    let changes = apply(text);
    assert_eq!(apply(text), [""; 0]);
    changes
}

/// What blkid(8) says of a device.
fn blkid(device: &str, tag: &str) -> String {
    run("blkid", &["-p", "-s", tag, "-o", "value", device]).trim().to_owned()
}

/// That all tables are whole, by programs that are not ours.
#[track_caller]
fn verify(disk: &LoopDisk) {
    let words = run("sgdisk", &["-v", disk.path()]);
    assert!(words.contains("No problems found"), "{words}");
    run("sfdisk", &["--verify", disk.path()]);
    for number in 1..=8 {
        let partition = disk.partition(number);
        if !Path::new(&partition).exists() {
            continue;
        }
        match &*blkid(&partition, "TYPE") {
            "ext2" | "ext3" | "ext4" => _ = run("e2fsck", &["-f", "-n", &partition]),
            "xfs" => _ = run("xfs_repair", &["-n", &partition]),
            "btrfs" => _ = run("btrfs", &["check", &partition]),
            "vfat" => _ = run("fsck.vfat", &["-n", &partition]),
            _ => {}
        }
    }
}

fn of_sectors(test: impl Fn(u32)) {
    for sector in [512, 4096] {
        test(sector);
    }
}

#[test]
fn a_new_disk_gets_a_table_and_file_systems_of_every_kind() {
    of_sectors(|sector| {
        let Some(disk) = LoopDisk::with_sectors(2048, sector, &PROGRAMS) else { return };
        let path = disk.path();
        let text = format!(
            "  device: {{path: {path}, init_disk: true, disk_name: data}}\n  add_partitions:\n\
             \x20 - {{pLabel: efi, fsLabel: COS_GRUB, size: 300, filesystem: vfat, bootable: true}}\n\
             \x20 - {{pLabel: oem, fsLabel: COS_OEM, size: 64MiB}}\n\
             \x20 - {{pLabel: a, fsLabel: A, size: 64, filesystem: ext2}}\n\
             \x20 - {{pLabel: b, fsLabel: B, size: 64, filesystem: ext3}}\n\
             \x20 - {{pLabel: swap, fsLabel: SWAP, size: 64, filesystem: swap}}\n\
             \x20 - {{fsLabel: FAST, size: 120, filesystem: btrfs}}\n\
             \x20 - {{pLabel: raw, size: 8, filesystem: none, type: linux-lvm}}\n\
             \x20 - {{pLabel: persistent, fsLabel: COS_PERS, size: 0, filesystem: xfs}}\n"
        );
        let changes = check(&text);
        assert_eq!(changes[0], format!("partition {path}"));
        verify(&disk);
        let kinds = [1, 2, 3, 4, 5, 6, 8].map(|number| blkid(&disk.partition(number), "TYPE"));
        assert_eq!(kinds, ["vfat", "ext4", "ext2", "ext3", "swap", "btrfs", "xfs"]);
        let labels = [1, 2, 3, 4, 5, 6, 8].map(|number| blkid(&disk.partition(number), "LABEL"));
        assert_eq!(labels, ["COS_GRUB", "COS_OEM", "A", "B", "SWAP", "FAST", "COS_PERS"]);
        let json = run("sfdisk", &["--json", path]);
        assert!(json.contains("\"label\": \"gpt\""), "{json}");
        // uuid.uuid5(uuid.NAMESPACE_URL, "data")
        let name = "data";
        let id = gpt::Guid::v5(gpt::Guid::NAMESPACE_URL, name).to_string().to_uppercase();
        assert!(json.contains(&id), "{json}");
        for kind in [
            "C12A7328-F81F-11D2-BA4B-00A0C93EC93B",
            "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
            "E6D6D379-F507-44C2-A23C-238F2A3DF928",
        ] {
            assert!(json.contains(kind), "{json}");
        }
        assert_eq!(disk.sectors(2), 64 << 11);
        // What is written is there after a mount.
        for number in [2, 6, 8] {
            let mounted = disk.mount(number);
            std::fs::write(Path::new(&mounted.path()).join("file"), "content").unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(Path::new(&disk.mount(8).path()).join("file")).unwrap(),
            "content"
        );
    });
}

#[test]
fn a_disk_that_carries_something_or_is_in_use_is_not_initialised() {
    let Some(disk) = LoopDisk::new(256, &PROGRAMS) else { return };
    let path = disk.path();
    let init = |wipe| format!("  device: {{path: {path}, init_disk: true, wipe: {wipe}}}\n");
    run("mkfs.ext4", &["-q", "-F", path]);
    let before = disk.digest();
    let (findings, changes) = act(&init(false), Mode::Apply);
    assert!(
        findings[0].contains("it carries ext4, which a new table would destroy: `wipe: true`"),
        "{findings:?}"
    );
    assert_eq!((changes.len(), disk.digest()), (0, before));

    let point = tempfile::tempdir().unwrap();
    let directory = point.path().to_str().unwrap();
    run("mount", &[path, directory]);
    let (findings, changes) = act(&init(true), Mode::Apply);
    run("umount", &[directory]);
    assert!(findings[0].contains("in use"), "{findings:?}");
    assert_eq!(changes, [""; 0]);

    assert_eq!(check(&init(true)), [format!("partition {path}")]);
    verify(&disk);

    // A table of somebody else.
    run("sgdisk", &["-o", "-n", "1:0:+50M", path]);
    let (findings, _) = act(&init(false), Mode::Apply);
    assert!(findings[0].contains("it carries 1 partitions"), "{findings:?}");
}

#[test]
fn a_dos_table_is_refused() {
    let Some(disk) = LoopDisk::new(64, &PROGRAMS) else { return };
    let path = disk.path();
    let mut child = Command::new("sfdisk").arg(path).stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), b"label: dos\n,20M\n").unwrap();
    assert!(child.wait().unwrap().success());
    let before = disk.digest();
    let (findings, changes) =
        act(&format!("  device: {{path: {path}}}\n  expand_partition: {{size: 0}}\n"), Mode::Apply);
    assert!(findings[0].contains("DOS table of partitions (MBR)"), "{findings:?}");
    assert_eq!((changes.len(), disk.digest()), (0, before));
}

#[test]
fn the_last_partition_and_its_file_system_grow_with_the_disk_also_while_others_are_mounted() {
    of_sectors(|sector| {
        for kind in ["ext2", "ext4", "xfs", "btrfs"] {
            let Some(disk) = LoopDisk::with_sectors(512, sector, &PROGRAMS) else { return };
            let path = disk.path();
            apply(&format!(
                "  device: {{path: {path}, init_disk: true}}\n  add_partitions:\n\
                 \x20 - {{pLabel: first, fsLabel: FIRST, size: 16}}\n\
                 \x20 - {{pLabel: last, fsLabel: LAST, size: 0, filesystem: {kind}}}\n"
            ));
            let file = disk.mount(2);
            std::fs::write(Path::new(&file.path()).join("file"), "kept").unwrap();
            let mounted = ["xfs", "btrfs"].contains(&kind).then_some(file);
            let other = disk.mount(1);
            disk.grow(1024);
            let before = disk.sectors(2);
            let text = format!("  device: {{path: {path}}}\n  expand_partition: {{size: 0}}\n");
            let (findings, changes) = act(&text, Mode::Apply);
            assert_eq!(findings, [""; 0]);
            assert_eq!(changes[0], format!("partition {path}"));
            assert!(disk.sectors(2) > before + (511 << 11), "{before} -> {}", disk.sectors(2));
            assert_eq!(apply(&text), [""; 0], "{kind}");
            drop((mounted, other));
            verify(&disk);
            let mounted = disk.mount(2);
            assert_eq!(std::fs::read_to_string(Path::new(&mounted.path()).join("file")).unwrap(), "kept");
            let text = run("df", &["-Pk", &mounted.path()]);
            let size: u64 = text.lines().nth(1).unwrap().split_whitespace().nth(1).unwrap().parse().unwrap();
            assert!(size > 900 << 10, "{kind}: {size} KiB");
        }
    });
}

#[test]
fn what_is_found_by_label_is_the_disk_and_existing_partitions_are_kept() {
    let Some(disk) = LoopDisk::new(256, &PROGRAMS) else { return };
    let path = disk.path();
    let label = format!("L{}", std::process::id());
    apply(&format!(
        "  device: {{path: {path}, init_disk: true}}\n  add_partitions:\n\
         \x20 - {{pLabel: p{label}, fsLabel: {label}, size: 32}}\n"
    ));
    for found in [label.clone(), format!("p{label}")] {
        let text = format!(
            "  device: {{label: {found}}}\n  add_partitions:\n  - {{pLabel: x{found}, size: 16, filesystem: none}}\n"
        );
        assert_eq!(check(&text), [format!("partition {path}")]);
    }
    // The path of a partition stands for its disk.
    let text = format!(
        "  device: {{path: {path}p1}}\n  add_partitions:\n\
         \x20 - {{pLabel: p{label}, fsLabel: {label}, size: 99, filesystem: xfs}}\n"
    );
    let (findings, changes) = act(&text, Mode::Apply);
    assert_eq!((findings.len(), changes.len()), (2, 0), "{findings:?}");
    verify(&disk);
    let (findings, _) = act("  device: {label: NONE_HAS_IT}\n", Mode::Apply);
    assert!(findings[0].contains("has the label \"NONE_HAS_IT\""), "{findings:?}");
}

#[test]
fn what_is_impossible_changes_nothing_and_a_plan_neither() {
    let Some(disk) = LoopDisk::new(256, &PROGRAMS) else { return };
    let path = disk.path();
    apply(&format!(
        "  device: {{path: {path}, init_disk: true}}\n  add_partitions: [{{pLabel: a, size: 32}}]\n"
    ));
    let before = disk.digest();
    let text = format!(
        "  device: {{path: {path}}}\n  add_partitions:\n  - {{pLabel: b, size: 16}}\n  - {{pLabel: c, size: 4GiB}}\n"
    );
    let (findings, changes) = act(&text, Mode::Apply);
    assert!(findings[0].contains("no room for 4 GiB: "), "{findings:?}");
    assert_eq!((changes.len(), disk.digest()), (0, before.clone()));
    let (findings, changes) = act(&text.replace("4GiB", "16"), Mode::Plan);
    assert_eq!((findings.len(), changes.len()), (0, 3), "{findings:?} {changes:?}");
    assert_eq!(disk.digest(), before);
}

#[test]
fn a_damaged_copy_of_the_table_is_mended_by_the_other() {
    of_sectors(|sector| {
        for damage in [true, false] {
            let Some(disk) = LoopDisk::with_sectors(128, sector, &PROGRAMS) else { return };
            let path = disk.path();
            let text = format!(
                "  device: {{path: {path}, init_disk: true}}\n  add_partitions: [{{pLabel: a, size: 32}}]\n"
            );
            apply(&text);
            let device = std::fs::File::options().write(true).open(path).unwrap();
            let at = if damage { u64::from(sector) } else { (128 << 20) - u64::from(sector) };
            device.write_all_at(&[0xff; 100], at + 16).unwrap();
            device.sync_all().unwrap();
            drop(device);
            let (findings, changes) = act(&text, Mode::Apply);
            assert_eq!((findings.len(), changes.len()), (1, 1), "{findings:?} {changes:?}");
            verify(&disk);
            assert_eq!(apply(&text), [""; 0]);
        }
    });
}

#[test]
fn what_was_left_unfinished_is_completed_and_the_kernel_learns_what_it_has_missed() {
    let Some(disk) = LoopDisk::new(256, &PROGRAMS) else { return };
    let path = disk.path();
    let text = format!(
        "  device: {{path: {path}, init_disk: true}}\n  add_partitions:\n\
         \x20 - {{pLabel: a, fsLabel: A, size: 32}}\n  - {{fsLabel: B, size: 32}}\n"
    );
    apply(&text);
    let uuid = blkid(&disk.partition(1), "UUID");
    // The second one as it was before its file system was made.
    run("sgdisk", &["-t", "2:D4E56F43-C2D1-4DB8-B205-B1A3494CE034", "-c", "2:B", path]);
    disk.forget_partitions();
    let changes = check(&text);
    assert_eq!(changes, [format!("partition {path}"), format!("run mkfs.ext4 -q -F -L B {path}p2")]);
    assert_eq!(blkid(&disk.partition(1), "UUID"), uuid);
    verify(&disk);
    // One that somebody else has made, and that is empty.
    run("sgdisk", &["-n", "3:0:+40M", "-c", "3:c", path]);
    let text =
        format!("  device: {{path: {path}}}\n  add_partitions: [{{pLabel: c, fsLabel: C, size: 40}}]\n");
    assert_eq!(check(&text), [format!("run mkfs.ext4 -q -F -L C {path}p3")]);
    verify(&disk);
}
