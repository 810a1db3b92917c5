#![allow(clippy::disallowed_methods, reason = "tests ask GNU tar")]

use super::*;
use crate::testing::{TarBuilder, TarEntry};
use std::process::Command;

/// Every entry with its content.
fn read(bytes: &[u8]) -> Result<Vec<(Entry, Vec<u8>)>> {
    let mut archive = Archive::new(bytes);
    let mut entries = Vec::new();
    while let Some(entry) = archive.next()? {
        let mut stored = Vec::new();
        archive.read_to_end(&mut stored)?;
        entries.push((entry, stored));
    }
    Ok(entries)
}

fn error(bytes: &[u8]) -> String {
    format!("{:#}", read(bytes).unwrap_err())
}

#[test]
fn numbers_are_octal_or_binary_and_none_is_zero() {
    assert_eq!(number(b"0000644\0").unwrap(), 0o644);
    assert_eq!(number(b"  644 \0").unwrap(), 0o644);
    assert_eq!(number(b"\0\0\0").unwrap(), 0);
    assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]).unwrap(), 0x1_0000);
    assert_eq!(number(&[0xff; 12]).unwrap().cast_signed(), -1);
    assert!(number(&[0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
    assert!(number(b"9").is_err() && number(b"7777777777777777777777777").is_err());
}

#[test]
fn pax_says_more_than_a_header_can() {
    let long = "d/".repeat(200) + "file";
    let capability = b"\x01\0\0\x02\n\n\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let bytes = TarBuilder::new()
        .pax(&[
            ("path", long.as_bytes()),
            ("uid", b"3000000"),
            ("gid", b"4000000"),
            ("mtime", b"1700000000.5"),
            ("SCHILY.xattr.security.capability", capability),
        ])
        .file("short", "content")
        .pax(&[("mtime", b"-1.25"), ("path", b"")])
        .symlink("next", "to")
        .finish();
    let entries = read(&bytes).unwrap();
    let (entry, content) = &entries[0];
    assert_eq!((entry.name.as_slice(), content.as_slice()), (long.as_bytes(), b"content".as_slice()));
    assert_eq!((entry.uid, entry.gid, entry.modified), (3_000_000, 4_000_000, (1_700_000_000, 500_000_000)));
    assert_eq!(entry.xattrs, [(b"security.capability".to_vec(), capability.to_vec())]);
    let (entry, _) = &entries[1];
    assert_eq!((entry.name.as_slice(), &entry.kind), (b"next".as_slice(), &Kind::Symlink(b"to".to_vec())));
    assert_eq!((entry.uid, entry.modified), (0, (-2, 750_000_000)));
}

#[test]
fn the_size_of_pax_counts_and_says_where_the_next_entry_is() {
    let header = TarEntry { content: b"twelve bytes", size: Some(0), ..TarEntry::new("a", b'0') };
    let bytes = TarBuilder::new().pax(&[("size", b"12")]).entry(header).file("b", "next").finish();
    let entries = read(&bytes).unwrap();
    assert_eq!(
        (entries[0].1.as_slice(), entries[1].1.as_slice()),
        (b"twelve bytes".as_slice(), b"next".as_slice())
    );
}

#[test]
fn what_could_fill_the_memory_is_refused_before_it_is_read() {
    let huge = |kind| TarEntry { size: Some(1 << 40), ..TarEntry::new("x", kind) };
    for kind in *b"xLK" {
        let bytes = TarBuilder::new().entry(huge(kind)).finish();
        assert!(error(&bytes).contains("an extension header of 1099511627776 bytes"));
    }
    let name = vec![b'n'; 5000];
    let bytes =
        TarBuilder::new().entry(TarEntry { content: &name, ..TarEntry::new("l", b'L') }).file("x", "");
    assert!(error(&bytes.finish()).contains("a name of 5000 bytes"));
    let bytes = TarBuilder::new().entry(TarEntry { content: &name, ..TarEntry::new("l", b'K') });
    assert!(error(&bytes.symlink("x", "").finish()).contains("x: a link to a name of 5000 bytes"));
    let map = |map: &[u8]| {
        let records: &[(&str, &[u8])] =
            &[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"10")];
        error(
            &TarBuilder::new()
                .pax(records)
                .entry(TarEntry { content: map, ..TarEntry::new("s", b'0') })
                .finish(),
        )
    };
    let padded = |text: &str| {
        let mut block = text.as_bytes().to_vec();
        block.resize(512, b'x');
        block
    };
    assert!(map(&padded("9999999\n")).contains("more than 65536 parts"));
    assert!(map(&padded("123456789012345678901234567890\n")).contains("malformed"));
    assert!(map(&padded("1\n5\n6\n")).contains("do not fit"));
    assert!(map(&padded("2\n5\n1\n4\n1\n")).contains("overlap"));
    assert!(map(&padded("1\n18446744073709551615\n5\n")).contains("do not fit"));
    assert!(map(&padded("1\n0\n3\n")).contains("stores 0 bytes, but its parts have 3"));
    assert!(map(b"1\n").contains("list of parts"));
}

#[test]
fn the_last_block_may_end_with_its_content() {
    let whole = TarBuilder::new().file("a", "content").finish();
    for end in [512 + 7, 600] {
        let entries = read(&whole[..end]).unwrap();
        assert_eq!((entries.len(), entries[0].1.as_slice()), (1, b"content".as_slice()));
    }
}

#[test]
fn what_is_broken_is_an_error() {
    let good = TarBuilder::new().file("a", "content").file("b", "").finish();
    let mut sum = good.clone();
    sum[0] = b'x';
    assert!(error(&sum).contains("the checksum of a header is wrong"));
    assert!(error(&good[..515]).contains("breaks off in the content"));
    assert!(error(&good[..1100]).contains("breaks off in a header"));
    assert!(error(&vec![b'x'; 2048]).contains("no tar archive"));
    assert!(
        error(&TarBuilder::new().pax(&[("path", b"x")]).finish()).contains("ends behind an extension header")
    );
    for pax in [&b"5 a=b"[..], b"100 path=x\n", b"x path=x\n", b"7 path\n", b"0 =\n"] {
        let bytes =
            TarBuilder::new().entry(TarEntry { content: pax, ..TarEntry::new("p", b'x') }).file("a", "");
        assert!(error(&bytes.finish()).contains("pax header is malformed"), "{pax:?}");
    }
    assert!(error(&TarBuilder::new().pax(&[("path", b"a\0b")]).file("a", "").finish()).contains("zero byte"));
    assert!(
        error(&TarBuilder::new().pax(&[("uid", b"4294967295")]).file("a", "").finish()).contains("no user")
    );
    assert!(error(&TarBuilder::new().pax(&[("size", b"-1")]).file("a", "").finish()).contains("no number"));
    let size = u64::MAX.to_string();
    assert!(
        error(&TarBuilder::new().pax(&[("size", size.as_bytes())]).file("a", "").finish()).contains("bytes")
    );
    assert!(error(&TarBuilder::new().entry(TarEntry::new("a", b'M')).finish()).contains("unknown kind 'M'"));
    assert!(error(&TarBuilder::new().hard_link("a", "").finish()).contains("a: a link to a name of 0 bytes"));
}

#[test]
fn everything_that_gnu_tar_writes_is_read() {
    let dir = tempfile::tempdir().unwrap();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(130));
    let holes = dir.path().join("holes");
    std::fs::create_dir_all(dir.path().join(&long).parent().unwrap()).unwrap();
    std::fs::write(dir.path().join(&long), "long").unwrap();
    let file = std::fs::File::create(&holes).unwrap();
    let mut expected = vec![0; 40 << 20];
    for index in 0..30 {
        let at = index << 20;
        expected[at..at + 5].copy_from_slice(b"data!");
        std::os::unix::fs::FileExt::write_all_at(&file, b"data!", at as u64).unwrap();
    }
    file.set_len(expected.len() as u64).unwrap();
    for format in [
        &["--format=gnu"][..],
        &["--format=gnu", "--sparse"],
        &["--format=pax", "--sparse", "--sparse-version=0.0"],
        &["--format=pax", "--sparse", "--sparse-version=0.1"],
        &["--format=pax", "--sparse", "--sparse-version=1.0"],
        &["--format=posix"],
    ] {
        let mut tar = Command::new("tar");
        tar.args(format).args(["-cf", "-", &long, "holes"]).current_dir(dir.path());
        let bytes = tar.output().unwrap();
        assert!(bytes.status.success(), "{format:?}");
        let entries = read(&bytes.stdout).unwrap();
        assert_eq!(entries[0].0.name, long.as_bytes(), "{format:?}");
        assert_eq!(entries[0].1, b"long");
        let (entry, stored) = &entries[1];
        assert_eq!(
            (entry.name.as_slice(), entry.size),
            (b"holes".as_slice(), expected.len() as u64),
            "{format:?}"
        );
        let Some(chunks) = &entry.chunks else {
            assert!(!format.contains(&"--sparse") && *stored == expected);
            continue;
        };
        let (mut content, mut rest) = (vec![0; expected.len()], stored.as_slice());
        for chunk in chunks {
            let (now, later) = rest.split_at(chunk.length as usize);
            content[chunk.offset as usize..][..now.len()].copy_from_slice(now);
            rest = later;
        }
        assert!(content == expected, "{format:?}");
    }
}
