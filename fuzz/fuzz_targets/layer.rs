//! Layers of any bytes, and of any sequence of hostile entries, unpacked twice: nothing beside the target changes.
#![no_main]

use cosette_plugins::testing::{TarBuilder, TarEntry, unpack_layers};
use libfuzzer_sys::fuzz_target;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// Names that lead somewhere, or that mean something.
const NAMES: [&str; 24] = [
    "a",
    "b",
    "a/b",
    "a/b/c",
    "b/c",
    "./",
    "/",
    "..",
    "../x",
    "/abs",
    "a/../../b",
    ".wh.a",
    ".wh...",
    ".wh.",
    "a/.wh.b",
    ".wh..wh..opq",
    "a/.wh..wh..opq",
    ".wh..wh.plnk/x",
    ".wh.a/b",
    "../secret",
    "/secret",
    "a/",
    "b/../a",
    "..",
];
const LINKS: [&str; 10] = ["a", "b", "../secret", "/", "..", "../..", "a/b", "/secret", "../outside", "."];

/// Has the checksum of each header be right, so that what is in it is looked at.
fn mend(bytes: &mut [u8]) {
    let mut at = 0;
    while let Some(header) = bytes.get_mut(at..at + 512) {
        header[148..156].fill(b' ');
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[124..135]).ok();
        let size = size.and_then(|text| usize::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok());
        at += 512 + size.unwrap_or(0).min(bytes.len()).next_multiple_of(512);
    }
}

fn entries(data: &[u8]) -> Vec<u8> {
    let pick = |list: &[&'static str], at: u8| list[usize::from(at) % list.len()];
    let archive = data.chunks_exact(4).fold(TarBuilder::new(), |archive, entry| {
        let kind = b"0512663401"[usize::from(entry[0]) % 10];
        let content = vec![entry[3]; if kind == b'0' { usize::from(entry[3]) * 7 } else { 0 }];
        let archive = match entry[0] / 100 {
            0 => archive,
            1 => {
                archive.pax(&[("SCHILY.xattr.user.x", &content), ("path", pick(&NAMES, entry[3]).as_bytes())])
            }
            _ => archive.pax(&[("size", entry), ("GNU.sparse.size", b"5"), ("GNU.sparse.map", b"0,1,3,1")]),
        };
        archive.entry(TarEntry {
            link: pick(&LINKS, entry[2]),
            content: &content,
            mode: u32::from(entry[3]) * 16,
            ..TarEntry::new(pick(&NAMES, entry[1]), kind)
        })
    });
    archive.finish()
}

fuzz_target!(|data: &[u8]| {
    let Some((first, rest)) = data.split_first() else { return };
    let archive = match first % 2 {
        0 => {
            let mut bytes = rest.to_vec();
            mend(&mut bytes);
            bytes
        }
        _ => entries(rest),
    };
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    fs::create_dir(at("outside")).unwrap();
    fs::write(at("secret"), "secret").unwrap();
    let before = fs::metadata(at("secret")).unwrap();
    for _ in 0..2 {
        let _ = unpack_layers(directory.path(), "/target", &[&archive, &archive]);
    }
    let after = fs::metadata(at("secret")).unwrap();
    let of = |found: &fs::Metadata| {
        (found.ino(), found.mode(), found.nlink(), found.mtime(), found.ctime(), found.ctime_nsec())
    };
    assert_eq!(of(&before), of(&after));
    assert_eq!(fs::read(at("secret")).unwrap(), b"secret");
    assert_eq!(fs::read_dir(at("outside")).unwrap().count(), 0);
    let mut names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["outside", "secret", "target"]);
});
