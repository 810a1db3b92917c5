//! Against programs that others have written.

use super::*;
use crate::disk::programs::{Loop, has, output};
use std::process::{Command, Stdio};

fn store(disk: &FakeDisk, image: &Path) {
    let content: Vec<u8> = (0..sectors(disk)).flat_map(|number| disk.get(number)).collect();
    std::fs::write(image, content).unwrap();
}

fn load(sector_size: u32, image: &Path) -> FakeDisk {
    let content = std::fs::read(image).unwrap();
    FakeDisk::of(sector_size, content.len() as u64, &content)
}

/// Programs take the sectors of an image file to have 512 bytes; for others it takes a device.
fn attached(sector_size: u32, image: &Path) -> Option<Option<Loop>> {
    if sector_size == 512 { Some(None) } else { Loop::attach(image, sector_size).map(Some) }
}

fn json(path: &str) -> serde_json::Value {
    let text = output("sfdisk", &["--json", path]).expect("sfdisk reads the table");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn our_tables_are_good_to_sgdisk_and_sfdisk() {
    if !has(&["sgdisk", "sfdisk"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    for sector_size in [512, 4096] {
        let (disk, good) = with_two(sector_size);
        let grown = disk.copy();
        grown.resize((8 << 20) + 5 * 4096);
        write(&changed(&table(&grown).0), &grown).unwrap();
        for disk in [disk, grown] {
            store(&disk, &image);
            let Some(device) = attached(sector_size, &image) else { continue };
            let path = device.as_ref().map_or(image.to_str().unwrap(), Loop::path);
            let (read, _) = table(&disk);
            let json = &json(path)["partitiontable"];
            let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_lowercase();
            assert_eq!((text(&json["label"]), text(&json["id"])), ("gpt".into(), good.guid.to_string()));
            assert_eq!(json["firstlba"], *read.usable().start());
            assert_eq!(json["lastlba"], *read.usable().end());
            let partitions = json["partitions"].as_array().unwrap();
            assert_eq!(partitions.len(), read.entries.len());
            for (partition, (number, entry)) in partitions.iter().zip(&read.entries) {
                assert!(partition["node"].as_str().unwrap().ends_with(&number.to_string()));
                assert_eq!(partition["start"], entry.first);
                assert_eq!(partition["size"], entry.sectors());
                assert_eq!(text(&partition["type"]), entry.kind.to_string());
                assert_eq!(text(&partition["uuid"]), entry.id.to_string());
                assert_eq!(partition["name"], entry.name.as_str());
            }
            let verified = output("sfdisk", &["--verify", path]).unwrap();
            assert!(verified.contains("No errors detected"), "{verified}");
            let verified = output("sgdisk", &["--verify", path]).unwrap();
            assert!(verified.contains("No problems found"), "{verified}");
        }
    }
}

fn changed(table: &Table) -> Table {
    let mut new = table.clone();
    let last = *new.usable().end();
    new.entries.get_mut(&7).unwrap().last = last;
    new
}

#[test]
fn tables_of_sgdisk_sfdisk_and_parted_are_read() {
    if !has(&["sgdisk", "sfdisk", "parted"]) {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let image = directory.path().join("image");
    let path = image.to_str().unwrap();
    let fresh = || std::fs::File::create(&image).unwrap().set_len(32 << 20).unwrap();
    let same = |sector_size: u32, path: &str| {
        let disk = load(sector_size, &image);
        let (read, flaws) = table(&disk);
        assert_eq!(flaws, []);
        let json = json(path);
        let found: Vec<_> = json["partitiontable"]["partitions"].as_array().unwrap().iter().collect();
        assert_eq!(found.len(), read.entries.len());
        for (partition, entry) in found.iter().zip(read.entries.values()) {
            assert_eq!(partition["start"], entry.first);
            assert_eq!(partition["size"], entry.sectors());
            assert_eq!(partition["name"].as_str().unwrap_or_default(), entry.name);
            assert_eq!(partition["type"].as_str().unwrap().to_lowercase(), entry.kind.to_string());
        }
        // Written again, it is what it was, byte by byte.
        disk.take_log();
        write(&read, &disk).unwrap();
        let before = load(sector_size, &image);
        for number in disk.written() {
            assert_eq!(disk.get(number), before.get(number), "sector {number}");
        }
        read
    };
    fresh();
    output(
        "sgdisk",
        &["-n", "1:2048:+4M", "-t", "1:ef00", "-c", "1:EFI System", "-n", "5:0:0", "-A", "5:set:2", path],
    )
    .unwrap();
    let read = same(512, path);
    assert_eq!(crate::disk::types::name(read.entries[&1].kind), Some("esp"));
    assert_eq!(read.entries[&5].attributes, Entry::LEGACY_BOOT);
    // The entries somewhere else, and more of them.
    fresh();
    output("sgdisk", &["-o", "-S", "200", "-j", "1000", "-n", "200:4096:+1M", path]).unwrap();
    let read = same(512, path);
    assert_eq!((read.capacity(), read.header.array), (200, 1000));
    assert!(*read.usable().start() > 1000);
    for (sector_size, script) in [
        (512, "label: gpt\nfirst-lba: 100\ntable-length: 16\n,4M,U,\nname=x,type=linux,size=5M\n"),
        (4096, "label: gpt\n,4M,U,\nname=\"a b\",type=swap,size=5M,attrs=\"RequiredPartition GUID:59\"\n"),
    ] {
        fresh();
        let Some(device) = attached(sector_size, &image) else { continue };
        let path = device.as_ref().map_or(path, Loop::path);
        let mut child = Command::new("sfdisk")
            .args(["--quiet", "--no-reread", "--no-tell-kernel", path])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), script.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(same(sector_size, path).entries.len(), 2);
    }
    fresh();
    output(
        "parted",
        &["-s", path, "mklabel", "gpt", "mkpart", "root", "ext4", "1MiB", "50%", "set", "1", "boot", "on"],
    )
    .unwrap();
    same(512, path);
    // The disk grows, and sgdisk moves the backup as we do.
    let file = std::fs::OpenOptions::new().write(true).open(&image).unwrap();
    file.set_len(40 << 20).unwrap();
    let ours = load(512, &image);
    write(&table(&ours).0, &ours).unwrap();
    output("sgdisk", &["-e", path]).unwrap();
    let theirs = load(512, &image);
    let (_, flaws) = table(&theirs);
    assert!(flaws.iter().all(|flaw| *flaw == Flaw::Unprotected), "{flaws:?}");
    for sector in (1..34).chain(sectors(&ours) - 33..sectors(&ours)) {
        assert_eq!(ours.get(sector), theirs.get(sector), "sector {sector}");
    }
}
