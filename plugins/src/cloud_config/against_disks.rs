//! The modules that change disks, on real ones: files that pretend to be disks, with the programs of this machine.

use crate::disk::devices::{Device, Mount};
use crate::facts::Facts;
use crate::system::{Live, Mode};
use crate::testing::{LoopDisk, run};
use crate::{Context, System, cloud_config};
use cosette_schema::Origin;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const PROGRAMS: [&str; 6] = ["sfdisk", "partx", "blkid", "mkfs.ext4", "mkfs.xfs", "mkfs.btrfs"];

/// Applies the modules that a cloud-config calls for to this machine, whatever is recorded. Returns the findings and
/// the programs that ran.
fn apply(text: &str) -> (Vec<String>, Vec<String>) {
    let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
    let facts = Facts::new(&sys);
    let origin = Origin::new("test.yaml");
    let (document, findings) = cosette_schema::parse(&format!("#cloud-config\n{text}"), &origin);
    let mut findings: Vec<String> = findings.iter().map(ToString::to_string).collect();
    for step in document.stages.iter().flat_map(|stage| &stage.steps) {
        let cx = Context::new(&origin, &facts, &step.fields);
        let mut found = cosette_schema::Findings::new(origin.clone());
        let (key, config) = &step.fields[0];
        let plugin = cloud_config::PLUGINS.iter().find(|plugin| plugin.key == key.value).unwrap();
        let instance = (plugin.decode)(config, &mut found).unwrap();
        cx.attempt(key.span, instance.apply(&cx, &sys));
        findings.extend(cx.into_findings().iter().map(ToString::to_string));
    }
    (findings, sys.take_effects().into_iter().map(|effect| effect.target).collect())
}

fn programs(effects: &[String]) -> Vec<&str> {
    effects.iter().filter_map(|effect| effect.split(' ').next()).collect()
}

#[test]
fn a_disk_is_partitioned_and_gets_file_systems_and_the_second_time_nothing_changes() {
    let Some(disk) = LoopDisk::new(256, &PROGRAMS) else { return };
    let path = disk.path();
    let text = format!(
        "device_aliases: {{data: {path}}}\n\
         disk_setup: {{data: {{table_type: gpt, layout: [25, [25, 8200], 50]}}}}\n\
         fs_setup:\n\
         - {{filesystem: ext4, label: srv, device: data, partition: 1}}\n\
         - {{filesystem: swap, device: data.2}}\n\
         - {{filesystem: btrfs, label: big, device: data, partition: auto}}\n"
    );
    let (findings, effects) = apply(&text);
    assert_eq!(findings, [""; 0]);
    let expected = ["sfdisk", "partx", "mkfs.ext4", "mkswap", "mkfs.btrfs"];
    let made: Vec<&str> =
        programs(&effects).into_iter().filter(|program| expected.contains(program)).collect();
    assert_eq!(made, expected);
    let kind = |number: u32| run("blkid", &["-p", "-s", "TYPE", "-o", "value", &format!("{path}p{number}")]);
    assert_eq!([kind(1), kind(2), kind(3)], ["ext4\n", "swap\n", "btrfs\n"]);

    let (findings, effects) = apply(&text.replace("]}", "], overwrite: true}"));
    assert_eq!(findings, [""; 0]);
    assert_eq!(effects, [""; 0]);

    // Another layout, or another file system, destroys nothing.
    let before = run("sfdisk", &["--dump", path]);
    let (findings, _) = apply(&format!("disk_setup: {{{path}: {{layout: true}}}}"));
    assert!(
        findings[0].contains("is left as it is, since it carries a table of partitions (gpt)"),
        "{findings:?}"
    );
    let (findings, _) = apply(&format!("fs_setup: [{{filesystem: xfs, device: {path}, partition: 1}}]"));
    assert!(findings[0].contains("since it carries a file system (ext4)"), "{findings:?}");
    let mounted = disk.mount(1);
    let (findings, _) = apply(&format!("disk_setup: {{{path}: {{layout: true, overwrite: true}}}}"));
    assert!(findings[0].contains("is in use"), "{findings:?}");
    drop(mounted);
    assert_eq!(run("sfdisk", &["--dump", path]), before);

    let (findings, _) = apply(&format!("disk_setup: {{{path}: {{layout: [50, 50], overwrite: true}}}}"));
    assert_eq!(findings, [""; 0]);
    assert!(run("sfdisk", &["--dump", path]).contains("label: dos"));
}

#[test]
fn a_partition_grows_with_its_disk_while_it_is_mounted_and_so_does_its_file_system() {
    for kind in ["xfs", "btrfs"] {
        let Some(disk) = LoopDisk::new(360, &PROGRAMS) else { return };
        let path = disk.path();
        let (findings, _) = apply(&format!(
            "disk_setup: {{{path}: {{table_type: gpt, layout: [2, 97]}}}}\n\
             fs_setup: [{{filesystem: {kind}, device: {path}, partition: 2}}]"
        ));
        assert_eq!(findings, [""; 0]);
        let mounted = disk.mount(2);
        disk.grow(600);
        let before = disk.sectors(2);
        let text = format!("growpart: {{devices: [{}]}}", mounted.path());
        let (findings, effects) = apply(&text);
        assert_eq!((findings.len(), effects.len()), (0, 2), "{findings:?} {effects:?}");
        assert!(disk.sectors(2) > before + (230 << 11), "{} -> {}", before, disk.sectors(2));
        assert_eq!(apply(&text), (vec![], vec![]), "there is nothing more to gain");
        // The one before has no room.
        assert_eq!(apply(&format!("growpart: {{devices: [{path}p1]}}")), (vec![], vec![]));

        let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
        let mount = Mount::at(&sys, &mounted.path()).unwrap().unwrap();
        let free = || {
            let text = run("df", &["-Pk", &mount.point]);
            text.lines().nth(1).unwrap().split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
        };
        let small = free();
        for _ in 0..2 {
            super::resizefs::grow(&sys, &mount).unwrap().unwrap();
        }
        assert!(free() > small + 200 * 1024, "{kind}: {small} -> {}", free());
    }
}

#[test]
fn a_swap_file_is_whole_and_can_be_used() {
    let Some(disk) = LoopDisk::new(256, &PROGRAMS) else { return };
    let path = disk.path();
    let (findings, _) = apply(&format!(
        "disk_setup: {{{path}: {{layout: true}}}}\nfs_setup: [{{filesystem: btrfs, device: {path}, partition: 1}}]"
    ));
    assert_eq!(findings, [""; 0]);
    let mounted = disk.mount(1);
    let file = Path::new(&mounted.path()).join("swap.img");
    let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
    assert!(Device::at(&sys, Path::new(path)).unwrap().is_some());
    super::mounts::swap::write(&sys, &file, 32 << 20).unwrap();
    let found = std::fs::metadata(&file).unwrap();
    assert_eq!(found.len(), 32 << 20);
    assert_eq!(run("blkid", &["-p", "-s", "TYPE", "-o", "value", file.to_str().unwrap()]), "swap\n");
    assert_eq!(std::fs::read_dir(mounted.path()).unwrap().count(), 1);
    let used = Command::new("swapon").arg(&file).output().unwrap();
    if used.status.success() {
        run("swapoff", &[file.to_str().unwrap()]);
    } else {
        writeln!(std::io::stderr(), "SKIPPED: use of a swap file: {}", String::from_utf8_lossy(&used.stderr))
            .unwrap();
    }
}
