#![allow(clippy::disallowed_methods, reason = "the tests look at volumes with programs that are not ours")]

use super::*;
use cosette_plugins::System;
use cosette_plugins::system::{Live, Mode, ReadAt as _};
use cosette_plugins::testing::{FakeDisk, has_programs, run};
use std::path::Path;
use std::sync::Arc;

const MIB: u64 = 1 << 20;

fn file(path: &str, content: impl Into<Vec<u8>>) -> EspFile {
    EspFile { path: path.to_owned(), content: content.into() }
}

#[test]
fn volumes_are_what_other_programs_take_for_fat_and_hold_what_was_written() {
    if !has_programs("volumes of FAT", &["fsck.vfat", "mdir", "mcopy", "blkid"]) {
        return;
    }
    for (megabytes, kind) in [(8, "FAT16"), (64, "FAT16"), (512, "FAT32")] {
        let directory = tempfile::tempdir().unwrap();
        let sys = System::new(directory.path(), Arc::new(Live), Mode::Apply).unwrap();
        let disk = sys.create_disk_file("/disk", (megabytes + 2) * MIB).unwrap();
        // What was there before does not shine through.
        for at in [0, 100, 500, 3000, 7000] {
            disk.write_all_at(&[0xa5; 512], MIB + at * 1024).unwrap();
        }
        let large: Vec<u8> = (0..3_000_001_u32).map(|number| number as u8).collect();
        let mut files = vec![
            file("EFI/BOOT/BOOTX64.EFI", large.clone()),
            file("grub/grub.cfg", "set timeout=3\n"),
            file("EFI/cosette derivative/a long name of a file.and.its.ending", "x"),
            file("EFI/boot/empty", ""),
        ];
        files.extend(
            (0..90).map(|number| file(&format!("many/file number {number}.cfg"), format!("{number}"))),
        );
        make(&*disk, MIB, megabytes * MIB, "COS_GRUB", 0x1234_5678, &files).unwrap();

        let path = directory.path().join("volume");
        std::fs::copy(directory.path().join("disk"), &path).unwrap();
        let all = std::fs::read(&path).unwrap();
        std::fs::write(&path, &all[MIB as usize..][..(megabytes * MIB) as usize]).unwrap();
        let path = path.to_str().unwrap();
        let words = run("fsck.vfat", &["-n", "-v", path]);
        let of_files = words.lines().last().unwrap();
        assert!(words.lines().count() < 26 && of_files.contains("files"), "{words}");
        let probed = run("blkid", &["-p", path]);
        let label = probed.contains("LABEL_FATBOOT=\"COS_GRUB\"") && probed.contains(" LABEL=\"COS_GRUB\"");
        assert!(label && probed.contains(&format!("VERSION=\"{kind}\"")), "{probed}");
        assert!(probed.contains("UUID=\"1234-5678\""), "{probed}");
        let (tree, disk) = (directory.path().join("tree"), directory.path().join("disk"));
        std::fs::create_dir(&tree).unwrap();
        let (tree, disk) = (tree.to_str().unwrap(), format!("{}@@1M", disk.display()));
        run("mcopy", &["-s", "-n", "-i", &disk, "::/", tree]);
        for file in &files {
            let path = file.path.replace("EFI/boot", "EFI/BOOT");
            assert!(std::fs::read(Path::new(tree).join(&path)).unwrap() == file.content, "{path}");
        }
        // Nothing is written behind it.
        let behind = &all[((megabytes + 1) * MIB) as usize..];
        assert!(behind.iter().all(|byte| *byte == 0));
    }
}

#[test]
fn sectors_of_4096_bytes_have_the_same_files() {
    let disk = FakeDisk::new(4096, 66 * MIB);
    make(&disk, MIB, 64 * MIB, "COS_GRUB", 1, &[file("EFI/BOOT/BOOTX64.EFI", vec![7; 9000])]).unwrap();
    let mut boot = [0; 512];
    disk.read_exact_at(&mut boot, MIB).unwrap();
    assert_eq!(boot[11..14], [0x00, 0x10, 1]);
    assert_eq!(boot[28..32], 256_u32.to_le_bytes());
}

#[test]
fn what_does_not_fit_and_what_is_no_name_is_refused() {
    let disk = FakeDisk::new(512, 64 * MIB);
    let refused = |bytes: u64, label: &str, files: &[EspFile]| {
        make(&disk, 0, bytes, label, 1, files).unwrap_err().to_string()
    };
    let full = refused(8 * MIB, "COS_GRUB", &[file("EFI/large", vec![1; 9 << 20])]);
    assert_eq!(full, "the boot loader does not fit its EFI system partition of 8 MiB");
    assert!(refused(MIB, "COS_GRUB", &[]).contains("of 1024 KiB cannot be"));
    assert!(refused(8 * MIB, "cos_grub", &[]).starts_with("a label of FAT"));
    assert!(refused(8 * MIB, "COS_GRUB_EFI", &[]).starts_with("a label of FAT"));
    for path in ["", "a//b", "/a", "a/", "a:b", "..", "a.", "a\u{7}"] {
        assert!(refused(8 * MIB, "COS_GRUB", &[file(path, "")]).contains("is no name"), "{path:?}");
    }
    let both = [file("a", "1"), file("A/b", "2")];
    assert_eq!(refused(8 * MIB, "COS_GRUB", &both), "\"A\" is a file and a directory");
}
