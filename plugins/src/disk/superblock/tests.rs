#![allow(clippy::disallowed_methods, reason = "tests make images with other programs")]

use super::*;
use crate::disk::programs::{has, output};
use crate::testing::{FakeDisk, probe_disk};
use proptest::prelude::*;
use std::path::{Path, PathBuf};

/// An image on which a program has made something. Its arguments end with the path of the image.
fn made(directory: &Path, mebibytes: u64, program: &str, arguments: &[&str]) -> Option<PathBuf> {
    let image = directory.join("image");
    if !has(&[program]) {
        return None;
    }
    std::fs::File::create(&image).unwrap().set_len(mebibytes << 20).unwrap();
    output(program, &[arguments, &[image.to_str().unwrap()]].concat()).expect("it is made");
    Some(image)
}

/// A file whose content is not held in memory.
struct Image(std::fs::File, u64);

impl Image {
    fn open(path: &Path) -> Self {
        let file = std::fs::File::open(path).unwrap();
        let length = file.metadata().unwrap().len();
        Self(file, length)
    }
}

impl ReadAt for Image {
    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
        Ok(std::os::unix::fs::FileExt::read_exact_at(&self.0, buffer, offset)?)
    }
}

fn look(path: &Path) -> Option<Superblock> {
    let image = Image::open(path);
    probe(&image, 0, image.1).unwrap()
}

/// What blkid says of an image: type, label and UUID.
fn blkid(path: &Path) -> Option<(String, Option<String>, Option<String>)> {
    let value = |name: &str| {
        let text = output("blkid", &["-p", "-s", name, "-o", "value", path.to_str().unwrap()])?;
        Some(text.trim_end_matches('\n').to_owned()).filter(|text| !text.is_empty())
    };
    Some((value("TYPE")?, value("LABEL"), value("UUID")))
}

#[track_caller]
fn same_as_blkid(path: &Path) -> Superblock {
    let found = look(path).expect("something is found");
    if let Some(theirs) = blkid(path) {
        assert_eq!((found.kind.name().to_owned(), found.label.clone(), found.uuid.clone()), theirs);
    }
    found
}

#[test]
fn what_is_made_is_found_as_blkid_finds_it() {
    let directory = tempfile::tempdir().unwrap();
    let at = directory.path();
    let cases: [(Kind, u64, &str, &[&str]); 21] = [
        (Kind::Ext2, 8, "mkfs.ext2", &["-q", "-L", "with blanks"]),
        (Kind::Ext3, 8, "mkfs.ext3", &["-q", "-b", "1024", "-L", "COS_STATE"]),
        (Kind::Ext4, 8, "mkfs.ext4", &["-q", "-L", "sixteen-bytes-äö"]),
        (Kind::Ext4, 8, "mkfs.ext4", &["-q", "-O", "^has_journal"]),
        (Kind::Jbd, 8, "mkfs.ext4", &["-q", "-O", "journal_dev"]),
        (Kind::Xfs, 320, "mkfs.xfs", &["-q", "-L", "twelve-bytes"]),
        (Kind::Btrfs, 128, "mkfs.btrfs", &["-q", "-L", "a longer label than the others have"]),
        (Kind::Swap, 8, "mkswap", &["-L", "SWAP"]),
        (Kind::Swap, 8, "mkswap", &["-p", "65536"]),
        (Kind::Vfat(12), 2, "mkfs.vfat", &["-F", "12", "-n", "TWELVE BITS"]),
        (Kind::Vfat(16), 16, "mkfs.vfat", &["-F", "16", "-n", "SIXTEEN"]),
        (Kind::Vfat(32), 64, "mkfs.vfat", &["-F", "32", "-n", "EFI"]),
        (Kind::Vfat(32), 64, "mkfs.vfat", &["-F", "32"]),
        (Kind::Vfat(12), 2, "mkfs.vfat", &["--mbr=yes"]),
        (Kind::Vfat(32), 300, "mkfs.vfat", &["-F", "32", "-S", "4096", "-n", "LARGE"]),
        (Kind::Exfat, 16, "mkfs.exfat", &["-L", "Größe"]),
        (Kind::Exfat, 16, "mkfs.exfat", &[]),
        (Kind::F2fs, 64, "mkfs.f2fs", &["-q", "-l", "flash ä"]),
        (Kind::Ntfs, 16, "mkfs.ntfs", &["-q", "-F", "-L", "Windows ä"]),
        (
            Kind::Luks,
            32,
            "cryptsetup",
            &[
                "luksFormat",
                "--type",
                "luks2",
                "--label",
                "secret",
                "-q",
                "--key-file=/bin/true",
                "--keyfile-size=16",
                "--pbkdf=pbkdf2",
                "--pbkdf-force-iterations=1000",
            ],
        ),
        (
            Kind::Luks,
            32,
            "cryptsetup",
            &[
                "luksFormat",
                "--type",
                "luks1",
                "-q",
                "--key-file=/bin/true",
                "--keyfile-size=16",
                "--pbkdf-force-iterations=1000",
            ],
        ),
    ];
    for (kind, mebibytes, program, arguments) in cases {
        let Some(image) = made(at, mebibytes, program, arguments) else { continue };
        let found = same_as_blkid(&image);
        assert_eq!(found.kind, kind, "{program} {arguments:?}");
        let size = std::fs::metadata(&image).unwrap().len();
        if !matches!(kind, Kind::Luks | Kind::Jbd) {
            let bytes = found.bytes.expect("it knows its size");
            assert!(bytes <= size && bytes + (4 << 20) >= size, "{program}: {bytes} of {size}");
            assert!(found.block.unwrap().is_power_of_two());
        }
        if matches!(kind, Kind::Ext2 | Kind::Ext3 | Kind::Ext4 | Kind::Xfs | Kind::Btrfs | Kind::Swap) {
            assert_eq!(found.bytes, Some(size), "{program} {arguments:?}");
        }
        // Behind something else, as in a partition.
        let shifted = at.join("shifted");
        let mut content = vec![0xff; 1 << 20];
        content.extend(std::fs::read(&image).unwrap());
        std::fs::write(&shifted, content).unwrap();
        let whole = Image::open(&shifted);
        assert_eq!(probe(&whole, 1 << 20, size).unwrap(), Some(found));
        std::fs::remove_file(shifted).unwrap();
    }
}

#[test]
fn read_only_images_are_found_as_blkid_finds_them() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(at("files")).unwrap();
    std::fs::write(at("files/file"), "content").unwrap();
    for (kind, program, arguments) in [
        (
            Kind::Squashfs,
            "mksquashfs",
            vec![at("files"), at("squashfs"), "-quiet".into(), "-no-progress".into()],
        ),
        (Kind::Erofs, "mkfs.erofs", vec!["--quiet".into(), at("erofs"), at("files")]),
        (
            Kind::Iso9660,
            "genisoimage",
            ["-quiet", "-V", "cidata", "-J", "-r", "-o"]
                .map(String::from)
                .into_iter()
                .chain([at("iso9660"), at("files")])
                .collect(),
        ),
    ] {
        if has(&[program]) {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            output(program, &arguments).expect("it is made");
            let found = same_as_blkid(Path::new(&at(kind.name())));
            assert_eq!(found.kind, kind);
            if kind == Kind::Iso9660 {
                assert_eq!(found.label.as_deref(), Some("cidata"));
            }
        }
    }
}

/// Members of RAID and LVM are made on devices only; these are their superblocks by hand.
#[test]
fn members_are_found_at_their_beginning_and_at_their_end() {
    let member = |at: u64, bytes: &[(usize, &[u8])]| {
        let size = 8 << 20;
        let mut sector = vec![0; 4096];
        for (at, bytes) in bytes {
            sector[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        let disk = FakeDisk::new(4096, size);
        // Not all are at a boundary of 4096 bytes.
        let (within, first) = ((at % 4096) as usize, at / 4096);
        let mut shifted = vec![0; within];
        shifted.extend(&sector[..4096 - within]);
        disk.put(first, shifted);
        let found = probe(&disk, 0, size).unwrap();
        assert!(probe(&disk, 4096, size - 8192).unwrap().is_none_or(|other| Some(&other) == found.as_ref()));
        found.map(|found| (found.kind.name(), found.label, found.uuid))
    };
    let raid: &[(usize, &[u8])] =
        &[(0, b"\xfc\x4e\x2b\xa9\x01\0\0\0"), (16, &[0x11; 16]), (32, b"host:name")];
    let uuid = || Some("11111111-1111-1111-1111-111111111111".to_owned());
    for at in [0, 4096, (8 << 20) - 8192] {
        assert_eq!(member(at, raid), Some(("linux_raid_member", Some("host:name".into()), uuid())), "{at}");
    }
    let old: &[(usize, &[u8])] =
        &[(0, b"\xfc\x4e\x2b\xa9\0\0\0\0\x5a\0\0\0"), (20, &[0x11; 4]), (52, &[0x11; 12])];
    assert_eq!(member((8 << 20) - 65536, old), Some(("linux_raid_member", None, uuid())));
    let lvm: &[(usize, &[u8])] =
        &[(0, b"LABELONE"), (20, b"\x20\0\0\0LVM2 001"), (32, b"abcdefghijklmnopqrstuvwxyz012345")];
    let id = Some("abcdef-ghij-klmn-opqr-stuv-wxyz-012345".to_owned());
    assert_eq!(member(512, lvm), Some(("LVM2_member", None, id)));
    assert_eq!(member(16384, &[(0, b"SKUL\xba\xbe\0\x02")]).unwrap().0, "crypto_LUKS");
    assert_eq!(member(131072, &[(0, b"\x0c\xb1\xba\0\0\0\0\0")]).unwrap().0, "zfs_member");
    assert_eq!(member((8 << 20) - 131072, &[(0, b"\0\0\0\0\0\xba\xb1\x0c")]).unwrap().0, "zfs_member");
    assert_eq!(member((8 << 20) - 1024, &[(0, b"Intel Raid ISM Cfg Sig. ")]).unwrap().0, "isw_raid_member");
    assert_eq!(member((8 << 20) - 512, &[(0, b"\xde\x11\xde\x11")]).unwrap().0, "ddf_raid_member");
}

#[test]
fn signs_of_several_file_systems_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let Some(image) = made(directory.path(), 8, "mkfs.ext4", &["-q"]) else { return };
    let file = std::fs::OpenOptions::new().write(true).open(&image).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, b"SWAPSPACE2", 4086).unwrap();
    let image = Image::open(&image);
    let error = probe(&image, 0, image.1).unwrap_err().to_string();
    assert!(error.contains("(ext4, swap)") && error.contains("wipefs"), "{error}");
}

#[test]
fn counts_of_ext_are_no_signs_of_others() {
    let directory = tempfile::tempdir().unwrap();
    let Some(image) = made(directory.path(), 8, "mkfs.ext4", &["-q"]) else { return };
    let mut content = std::fs::read(&image).unwrap();
    for count in [b"H+\0\0", b"HX\0\0", b"BD\0\0"] {
        content[1024..1028].copy_from_slice(count);
        let disk = FakeDisk::of(512, 8 << 20, &content);
        assert_eq!(probe(&disk, 0, 8 << 20).unwrap().unwrap().kind, Kind::Ext4);
    }
}

#[test]
fn the_label_in_the_directory_of_fat_wins_and_no_name_is_none() {
    let directory = tempfile::tempdir().unwrap();
    let Some(path) = made(directory.path(), 64, "mkfs.vfat", &["-F", "32", "-n", "INSIDE"]) else { return };
    let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    let write = |at: u64, bytes: &[u8]| std::os::unix::fs::FileExt::write_all_at(&file, bytes, at).unwrap();
    write(71, b"OUTSIDE    ");
    assert_eq!(same_as_blkid(&path).label.as_deref(), Some("INSIDE"));
    // Without one in the directory, that of the boot sector is better than none.
    let root = {
        let content = std::fs::read(&path).unwrap();
        content.windows(11).rposition(|window| window == b"INSIDE     ").unwrap() as u64
    };
    write(root, b"NO NAME    ");
    assert_eq!(look(&path).unwrap().label.as_deref(), Some("OUTSIDE"));
    write(71, b"NO NAME    ");
    assert_eq!(look(&path).unwrap().label, None);
}

#[test]
fn nothing_is_nothing_and_what_cannot_be_read_is_an_error() {
    for (sector_size, bytes) in
        [(512, 0), (512, 512), (512, 4096), (4096, 1 << 20), (512, u64::MAX / 512 * 512)]
    {
        assert_eq!(probe(&FakeDisk::new(sector_size, bytes), 0, bytes).unwrap(), None);
    }
    assert!(probe(&FakeDisk::new(512, 4096), 0, 1 << 20).is_err());
    assert!(probe(&FakeDisk::new(512, 4096), u64::MAX, u64::MAX).is_err());
}

/// Beginnings that make probes look further.
fn beginnings() -> Vec<Vec<(usize, &'static [u8])>> {
    vec![
        vec![(1080, b"\x53\xef")],
        vec![(0, b"XFSB\0\0\x10\0")],
        vec![(65600, b"_BHRfS_M")],
        vec![(4086, b"SWAPSPACE2"), (1024, b"\x01\0\0\0")],
        vec![(0, b"hsqs")],
        vec![(1024, b"\xe2\xe1\xf5\xe0")],
        vec![(1024, b"\x10\x20\xf5\xf2")],
        vec![(32769, b"CD001")],
        vec![(0, b"\xeb\x3c\x90mkfs.fat\0\x02\x01\x01\0\x02\0\x02\0\x08\xf8"), (510, b"\x55\xaa")],
        vec![(0, b"\xeb\x3c\x90mkfs.fat\0\x02\x01\x20\0\x02\0\0\0\0\xf8"), (510, b"\x55\xaa")],
        vec![(3, b"EXFAT   "), (108, b"\x09\x03")],
        vec![(3, b"NTFS    \0\x02\x08")],
        vec![(0, b"\xfc\x4e\x2b\xa9\x01\0\0\0")],
        vec![(512, b"LABELONE"), (536, b"LVM2 001")],
        vec![(0, b"LUKS\xba\xbe\0\x02")],
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn hostile_bytes_are_survived(
        which in 0..15_usize,
        changes in prop::collection::vec((0..2048_usize, any::<u8>()), 0..60),
        far in prop::collection::vec((0..1_usize << 18, any::<u8>()), 0..20),
        filler in prop_oneof![Just(0_u8), Just(0xff_u8), any::<u8>()],
    ) {
        let mut content = vec![filler; 1 << 18];
        for (at, byte) in changes.into_iter().chain(far) {
            content[at] = byte;
        }
        for (at, bytes) in &beginnings()[which] {
            content[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        probe_disk(&FakeDisk::of(512, 1 << 20, &content));
    }
}
