#![allow(clippy::disallowed_methods, reason = "tests run other programs on image files")]

use super::*;
use crate::system::{Disk, ReadAt};
use crate::testing::{FakeDisk, Operation, reread_gpt};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::path::Path;

mod against_tools;
mod power;

/// A disk of so many MiB.
fn disk(sector_size: u32, mebibytes: u64) -> FakeDisk {
    FakeDisk::new(sector_size, mebibytes << 20)
}

fn sectors(disk: &FakeDisk) -> u64 {
    disk.bytes() / u64::from(disk.sector_size())
}

fn empty(disk: &FakeDisk) -> Table {
    Table::new(disk.sector_size(), sectors(disk), Guid::v5(Guid::NAMESPACE_URL, "YIP_DISK")).unwrap()
}

fn entry(first: u64, last: u64, name: &str) -> Entry {
    let id = Guid::v5(Guid::NAMESPACE_URL, &format!("{name}{first}"));
    Entry { kind: Guid::new(7), id, first, last, attributes: Entry::LEGACY_BOOT, name: name.to_owned() }
}

fn look(disk: &FakeDisk) -> Result<Found> {
    read(disk, disk.sector_size(), sectors(disk))
}

#[track_caller]
fn table(disk: &FakeDisk) -> (Table, Vec<Flaw>) {
    match look(disk) {
        Ok(Found::Table { table, flaws }) => (table, flaws),
        other => panic!("no table: {other:?}"),
    }
}

fn refusal(disk: &FakeDisk) -> String {
    format!("{:#}", look(disk).unwrap_err())
}

/// A disk with two partitions.
fn with_two(sector_size: u32) -> (FakeDisk, Table) {
    let disk = disk(sector_size, 8);
    let mut table = empty(&disk);
    table.entries.insert(1, entry(256, 511, "EFI"));
    table.entries.insert(7, entry(512, 1000, "COS_STATE ü𝄞"));
    write(&table, &disk).unwrap();
    (disk, table)
}

fn flip(disk: &FakeDisk, sector: u64, byte: usize) {
    let mut content = disk.get(sector);
    content[byte] ^= 1;
    disk.put(sector, content);
}

/// The sectors of a copy: header and entries.
fn of_copy(table: &Table, primary: bool) -> Vec<u64> {
    let length = table.header.array_sectors(table.sector_size);
    let end = table.sectors - 1;
    if primary { (1..2 + length).collect() } else { (end - length..=end).collect() }
}

#[test]
fn a_new_table_is_read_as_it_was_written() {
    for sector_size in [512, 4096] {
        let (disk, written) = with_two(sector_size);
        let (read, flaws) = table(&disk);
        assert!(flaws.is_empty(), "{flaws:?}");
        assert_eq!((read.guid, &read.entries), (written.guid, &written.entries));
        assert_eq!(read.capacity(), 128);
        let array = u64::from(16384 / sector_size);
        assert_eq!(read.usable(), 2 + array..=sectors(&disk) - 2 - array);
        disk.take_log();
        write(&read, &disk).unwrap();
        let changes = disk.take_log();
        let before = with_two(sector_size).0;
        for change in changes {
            if let Operation::Write(number, content) = change {
                assert_eq!(content, before.get(number), "sector {number}");
            }
        }
    }
}

#[test]
fn a_disk_that_is_too_small_or_has_strange_sectors_is_refused() {
    assert!(Table::new(512, 68, Guid::ZERO).is_ok());
    assert!(Table::new(512, 67, Guid::ZERO).unwrap_err().to_string().contains("68 are needed"));
    for size in [0, 1, 256, 513, 1 << 17] {
        assert!(Table::new(size, 1 << 20, Guid::ZERO).is_err());
        assert!(read(&disk(512, 1), size, 2048).is_err());
    }
    for sectors in 0..3 {
        assert!(matches!(read(&disk(512, 1), 512, sectors), Ok(Found::Nothing)));
    }
    assert!(read(&disk(512, 1), 512, 1 << 40).is_ok());
}

#[test]
fn what_cannot_be_written_changes_nothing() {
    let (disk, good) = with_two(512);
    disk.take_log();
    let refused = |change: &dyn Fn(&mut Table), part: &str| {
        let mut bad = good.clone();
        change(&mut bad);
        let error = format!("{:#}", write(&bad, &disk).unwrap_err());
        assert!(error.contains(part), "{error}");
        assert_eq!(disk.take_log(), []);
    };
    refused(&|table| drop(table.entries.insert(2, entry(300, 400, "x"))), "1 and 2 overlap");
    refused(&|table| drop(table.entries.insert(2, entry(33, 40, "x"))), "outside");
    refused(&|table| drop(table.entries.insert(2, entry(16350, 16351, "x"))), "outside");
    refused(&|table| drop(table.entries.insert(2, entry(1200, 1100, "x"))), "ends before it begins");
    refused(&|table| drop(table.entries.insert(0, entry(1200, 1300, "x"))), "no room");
    refused(&|table| drop(table.entries.insert(129, entry(1200, 1300, "x"))), "no room");
    refused(&|table| drop(table.entries.insert(2, entry(1200, 1300, &"x".repeat(37)))), "longer than");
    refused(
        &|table| drop(table.entries.insert(2, Entry { kind: Guid::ZERO, ..entry(1200, 1300, "x") })),
        "no type",
    );
    refused(&|table| table.sectors -= 1, "size has changed");
}

#[test]
fn any_damaged_sector_of_one_copy_is_told_and_mended() {
    for sector_size in [512, 4096] {
        for primary in [true, false] {
            let (_, good) = with_two(sector_size);
            let intact = with_two(sector_size).0;
            for sector in of_copy(&good, primary) {
                for byte in [0, 8, 20, 60, 130, sector_size as usize - 1] {
                    let disk = intact.copy();
                    flip(&disk, sector, byte);
                    let (read, flaws) = table(&disk);
                    assert_eq!(read.entries, good.entries);
                    let is_header = sector == 1 || sector == good.sectors - 1;
                    if !is_header || byte < 92 {
                        let flaw = if primary { Flaw::PrimaryCorrupt } else { Flaw::BackupCorrupt };
                        assert_eq!(flaws, [flaw], "sector {sector}, byte {byte}");
                    }
                    write(&read, &disk).unwrap();
                    assert_eq!(table(&disk).1, []);
                }
            }
        }
        let (disk, good) = with_two(sector_size);
        disk.put(0, vec![]);
        assert_eq!(table(&disk).1, [Flaw::Unprotected]);
        write(&good, &disk).unwrap();
        assert_eq!(table(&disk).1, []);
    }
}

#[test]
fn two_damaged_copies_are_no_empty_disk() {
    let (disk, good) = with_two(512);
    flip(&disk, 1, 60);
    flip(&disk, good.sectors - 33, 3);
    let error = refusal(&disk);
    assert!(error.contains("no copy") && error.contains("checksum of its entries"), "{error}");
    assert!(error.contains("gdisk(8)"), "{error}");
    // Only the protective MBR is left.
    disk.put(1, vec![]);
    disk.put(good.sectors - 1, vec![]);
    assert!(refusal(&disk).contains("it is not there"));
    disk.put(0, vec![]);
    assert!(matches!(look(&disk), Ok(Found::Nothing)));
    // A damaged header alone.
    disk.put(1, b"EFI PART".to_vec());
    assert!(refusal(&disk).contains("no copy"));
}

#[test]
fn a_forgotten_backup_is_not_the_table_of_a_disk_with_other_contents() {
    let (disk, good) = with_two(512);
    for sector in 0..34 {
        disk.put(sector, vec![]);
    }
    assert!(matches!(look(&disk), Ok(Found::Nothing)));
    let mut other = empty(&disk);
    other.guid = Guid::new(5);
    write(&other, &disk).unwrap();
    let (read, flaws) = table(&disk);
    assert_eq!((read.guid, read.entries.len(), flaws), (other.guid, 0, vec![]));
    assert_ne!(read.guid, good.guid);
}

#[test]
fn a_grown_disk_keeps_its_old_backup_until_there_is_a_new_one() {
    for sector_size in [512, 4096] {
        // By less than a copy, and by more.
        for more in [1, 3, 20, 5000] {
            for damaged in [None, Some(1), Some(2)] {
                let (disk, good) = with_two(sector_size);
                disk.resize(disk.bytes() + more * u64::from(sector_size));
                if let Some(sector) = damaged {
                    flip(&disk, sector, 61);
                }
                let (mut read, flaws) = table(&disk);
                assert!(flaws.contains(&Flaw::BackupNotAtEnd), "{flaws:?}");
                assert!(flaws.contains(&Flaw::Unprotected), "{flaws:?}");
                assert_eq!(flaws.contains(&Flaw::PrimaryCorrupt), damaged.is_some());
                assert_eq!(read.entries, good.entries);
                assert_eq!(*read.usable().end(), *good.usable().end() + more);
                let last = *read.usable().end();
                read.entries.get_mut(&7).unwrap().last = last;
                write(&read, &disk).unwrap();
                let (again, flaws) = table(&disk);
                assert_eq!((&again.entries, flaws), (&read.entries, vec![]));
                if good.sectors - 1 < last {
                    assert!(
                        disk.get(good.sectors - 1).iter().all(|byte| *byte == 0),
                        "the old header is gone"
                    );
                }
            }
        }
    }
}

#[test]
fn a_disk_that_has_shrunk_is_used_only_if_its_partitions_are_all_there() {
    let (disk, good) = with_two(512);
    disk.resize(2000 * 512);
    let (read, flaws) = table(&disk);
    assert!(flaws.contains(&Flaw::BackupCorrupt) && flaws.contains(&Flaw::BackupNotAtEnd), "{flaws:?}");
    write(&read, &disk).unwrap();
    assert_eq!((table(&disk).0.entries, table(&disk).1), (good.entries, vec![]));
    disk.resize(1010 * 512);
    assert!(refusal(&disk).contains("partition 7 (sectors 512 to 1000) is outside"));
}

#[test]
fn copies_that_differ_are_told_and_the_primary_one_counts() {
    let (disk, good) = with_two(512);
    let other = disk.copy();
    let mut changed = good.clone();
    changed.entries.remove(&7);
    write(&changed, &other).unwrap();
    for sector in of_copy(&good, false) {
        disk.put(sector, other.get(sector));
    }
    let (read, flaws) = table(&disk);
    assert_eq!((&read.entries, flaws), (&good.entries, vec![Flaw::CopiesDiffer]));
    write(&read, &disk).unwrap();
    assert_eq!(table(&disk).1, []);
}

/// Replaces both headers by changed ones whose checksums are right.
fn forge(disk: &FakeDisk, change: impl Fn(&mut [u8])) {
    for sector in [1, sectors(disk) - 1] {
        let mut content = disk.get(sector);
        change(&mut content);
        disk.put(sector, mended(disk, content, sector));
    }
}

#[test]
fn headers_that_were_written_to_harm_are_refused() {
    type Change = fn(&mut [u8]);
    let cases: [(Change, &str); 8] = [
        (|header| header[84..88].copy_from_slice(&64_u32.to_le_bytes()), "size of its entries"),
        (|header| header[84..88].copy_from_slice(&192_u32.to_le_bytes()), "size of its entries"),
        (|header| header[84..88].copy_from_slice(&u32::MAX.to_le_bytes()), "size of its entries"),
        (|header| header[80..84].copy_from_slice(&u32::MAX.to_le_bytes()), "more than a mebibyte"),
        (|header| header[80..84].fill(0), "more than a mebibyte"),
        (|header| header[40..48].fill(0xff), "no room"),
        (|header| header[72..80].fill(0xff), "or nowhere"),
        (|header| header[72..80].copy_from_slice(&100_u64.to_le_bytes()), "or nowhere"),
    ];
    for (change, part) in cases {
        let (disk, _) = with_two(512);
        forge(&disk, change);
        let error = refusal(&disk);
        assert!(error.contains(part), "{error} / {part}");
    }
    // Where the backup is to be.
    for other in [0, 1, 2, 40, u64::MAX] {
        let (disk, good) = with_two(512);
        forge(&disk, |header| header[32..40].copy_from_slice(&other.to_le_bytes()));
        let (read, flaws) = table(&disk);
        assert_eq!(read.entries, good.entries);
        assert!(flaws.contains(&Flaw::BackupNotAtEnd), "{flaws:?}");
        write(&read, &disk).unwrap();
        assert_eq!(table(&disk).1, []);
    }
}

/// Overwrites bytes of the entries of both copies, and corrects the checksums.
fn forge_entries(disk: &FakeDisk, at: usize, bytes: &[u8]) {
    for array in [2, sectors(disk) - 33] {
        let sector = array + (at / 512) as u64;
        let mut content = disk.get(sector);
        content[at % 512..at % 512 + bytes.len()].copy_from_slice(bytes);
        disk.put(sector, content);
    }
    forge(disk, |_| {});
}

#[test]
fn entries_that_overlap_or_lie_outside_are_refused() {
    for (at, value, part) in [
        (32, 0_u64, "outside"),
        (40, 600, "1 and 7 overlap"),
        (40, 100, "ends before it begins"),
        (40, u64::MAX, "outside"),
    ] {
        let (disk, _) = with_two(512);
        forge_entries(&disk, at, &value.to_le_bytes());
        let error = refusal(&disk);
        assert!(error.contains(part) && error.contains("gdisk(8)"), "{error}");
    }
}

#[test]
fn names_that_are_no_unicode_and_bytes_that_nobody_knows_are_kept() {
    let (disk, _) = with_two(512);
    forge_entries(&disk, 56, &[0x00, 0xd8, b'a', 0, 0, 0, b'z', 0]);
    // An unused entry is more than its type.
    forge_entries(&disk, 128 + 60, b"left over");
    let entries: Vec<_> = (2..34).map(|sector| disk.get(sector)).collect();
    let (mut read, flaws) = table(&disk);
    assert_eq!((&*read.entries[&1].name, flaws), ("\u{fffd}a", vec![]));
    read.entries.remove(&7);
    write(&read, &disk).unwrap();
    assert_eq!(disk.get(2), entries[0]);
    assert_eq!(disk.get(3)[256..384], [0; 128]);
    read.entries.get_mut(&1).unwrap().attributes = u64::MAX;
    read.entries.get_mut(&1).unwrap().name = "b".to_owned();
    write(&read, &disk).unwrap();
    assert_eq!(disk.get(2)[48..60], [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, b'b', 0, 0, 0]);
    assert_eq!(disk.get(2)[60..128], [0; 68]);
}

/// A table as other programs may make it: bigger entries, a longer header, entries behind a boot loader.
fn unusual(disk: &FakeDisk, array: u64, entry_bytes: u32, capacity: u32) -> Table {
    let mut table = empty(disk);
    table.header.array = array;
    table.header.entry_bytes = entry_bytes;
    table.header.capacity = capacity;
    table.header.first_usable = array + table.header.array_sectors(disk.sector_size());
    table.array = vec![0; table.header.array_bytes() as usize];
    table.entries.insert(capacity, entry(1024, 1030, "last"));
    write(&table, disk).unwrap();
    table
}

#[test]
fn unusual_tables_stay_as_they_are() {
    for (sector_size, array, entry_bytes, capacity) in
        [(512, 40, 256, 64), (512, 2, 128, 4), (4096, 9, 512, 31), (512, 100, 128, 128)]
    {
        let disk = disk(sector_size, 8);
        disk.put(20, b"a boot loader".to_vec());
        let made = unusual(&disk, array, entry_bytes, capacity);
        let (mut read, flaws) = table(&disk);
        assert_eq!((flaws, read.capacity(), &read.entries), (vec![], capacity, &made.entries));
        assert_eq!(*read.usable().start(), *made.usable().start());
        // What is behind the described part of an entry.
        let length = entry_bytes as usize;
        let at = length * (capacity as usize - 1) + 128;
        if length > 128 {
            read.array[at..at + 3].copy_from_slice(b"own");
            write(&read, &disk).unwrap();
            read = table(&disk).0;
            read.entries.get_mut(&capacity).unwrap().last += 1;
            write(&read, &disk).unwrap();
            assert_eq!(table(&disk).0.array[at..at + 3], *b"own");
        }
        // The place of the entries is known if only one sector of the copy is damaged.
        for sector in [1, array] {
            let disk = disk.copy();
            flip(&disk, sector, 40);
            let (read, flaws) = table(&disk);
            assert_eq!(flaws, [Flaw::PrimaryCorrupt]);
            write(&read, &disk).unwrap();
            assert_eq!((table(&disk).1, table(&disk).0.header.array), (vec![], array));
            assert!(
                array == 2 && sector_size == 512 && capacity == 128 || disk.get(20).starts_with(b"a boot")
            );
        }
    }
}

#[test]
fn a_room_that_a_header_leaves_free_at_the_end_stays_free() {
    let (disk, _) = with_two(512);
    forge(&disk, |header| header[48..56].copy_from_slice(&15000_u64.to_le_bytes()));
    let (read, flaws) = table(&disk);
    assert_eq!((flaws, *read.usable().end()), (vec![], 15000));
    write(&read, &disk).unwrap();
    assert_eq!(*table(&disk).0.usable().end(), 15000);
    disk.resize(9 << 20);
    assert_eq!(*table(&disk).0.usable().end(), (9 << 11) - 34);
}

fn dos(entries: &[(u8, u8, u32, u32)]) -> Vec<u8> {
    let mut sector = vec![0; 512];
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    for (index, (active, kind, first, count)) in entries.iter().enumerate() {
        let at = 446 + 16 * index;
        (sector[at], sector[at + 4]) = (*active, *kind);
        sector[at + 8..at + 12].copy_from_slice(&first.to_le_bytes());
        sector[at + 12..at + 16].copy_from_slice(&count.to_le_bytes());
    }
    sector
}

#[test]
fn dos_tables_are_told_from_boot_sectors() {
    let found = |sector: Vec<u8>| {
        let disk = disk(512, 8);
        disk.put(0, sector);
        look(&disk)
    };
    assert!(matches!(found(dos(&[(0x80, 0x83, 2048, 100)])), Ok(Found::Mbr)));
    assert!(matches!(found(dos(&[(0, 0, 0, 0), (0, 5, 2048, 100)])), Ok(Found::Mbr)));
    assert!(matches!(found(dos(&[])), Ok(Found::Nothing)));
    // mkfs.vfat writes a table whose only partition is the disk itself; others have text there.
    assert!(matches!(found(dos(&[(0x80, 0x0c, 0, 16384)])), Ok(Found::Nothing)));
    assert!(matches!(found(dos(&[(b't', b'e', 0x7478_6574, 7)])), Ok(Found::Nothing)));
    let mut unsigned = dos(&[(0x80, 0x83, 2048, 100)]);
    unsigned[510] = 0;
    assert!(matches!(found(unsigned), Ok(Found::Nothing)));
    let error = format!("{:#}", found(dos(&[(0, 0xee, 1, 16383)])).unwrap_err());
    assert!(error.contains("no copy"), "{error}");
}

#[test]
fn a_hybrid_mbr_is_kept_and_a_dos_table_beside_a_gpt_is_refused() {
    let (disk, good) = with_two(512);
    let hybrid = dos(&[(0, 0xee, 1, 255), (0x80, 0x0c, 256, 256)]);
    disk.put(0, hybrid.clone());
    assert_eq!(table(&disk).1, []);
    write(&good, &disk).unwrap();
    assert_eq!(disk.get(0), hybrid);
    disk.put(0, dos(&[(0x80, 0x83, 2048, 100)]));
    assert!(refusal(&disk).contains("it is not known which"));
    // Without a good primary copy the DOS table is what everybody else sees.
    flip(&disk, 1, 20);
    assert!(matches!(look(&disk), Ok(Found::Mbr)));
    disk.put(1, vec![]);
    assert!(matches!(look(&disk), Ok(Found::Mbr)));
}

#[test]
fn the_code_of_a_boot_loader_is_kept_and_the_beginning_of_a_file_system_is_not() {
    let mut code = dos(&[]);
    code[..440].fill(0x90);
    let mut fat = code.clone();
    fat[54..62].copy_from_slice(b"FAT16   ");
    for (sector, kept) in [(code, true), (fat, false)] {
        let disk = disk(512, 8);
        disk.put(0, sector);
        write(&empty(&disk), &disk).unwrap();
        assert_eq!(disk.get(0)[..440].iter().all(|byte| *byte == 0x90), kept);
        assert_eq!(table(&disk).1, []);
    }
    // The rest of a greater sector belongs to a boot loader, too.
    let disk = disk(4096, 8);
    let mut sector = dos(&[]);
    sector.resize(4096, 7);
    disk.put(0, sector);
    write(&empty(&disk), &disk).unwrap();
    assert_eq!(disk.get(0)[512..], [7; 4096 - 512]);
}

#[test]
fn a_table_for_sectors_of_another_size_is_told() {
    for (made, seen) in [(512, 4096), (4096, 512)] {
        let (disk, _) = with_two(made);
        let content: Vec<u8> = (0..sectors(&disk)).flat_map(|number| disk.get(number)).collect();
        let disk = FakeDisk::of(seen, disk.bytes(), &content);
        let error = refusal(&disk);
        assert!(error.contains(&format!("made for sectors of {made} bytes")), "{error}");
    }
}

#[test]
fn a_sector_that_cannot_be_read_is_a_damaged_one() {
    struct Bad(FakeDisk, BTreeSet<u64>);
    impl ReadAt for Bad {
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<()> {
            let sectors = offset / 512..(offset + buffer.len() as u64).div_ceil(512);
            if self.1.range(sectors).next().is_some() {
                bail!("input/output error");
            }
            self.0.read_exact_at(buffer, offset)
        }
    }
    let (disk, good) = with_two(512);
    let count = sectors(&disk);
    for (bad, flaw) in [
        (1, Flaw::PrimaryCorrupt),
        (5, Flaw::PrimaryCorrupt),
        (count - 1, Flaw::BackupCorrupt),
        (count - 9, Flaw::BackupCorrupt),
    ] {
        match read(&Bad(disk.copy(), [bad].into()), 512, count).unwrap() {
            Found::Table { table, flaws } => {
                assert_eq!((table.entries, flaws), (good.entries.clone(), vec![flaw]))
            }
            other => panic!("{other:?}"),
        }
    }
    let error = format!("{:#}", read(&Bad(disk.copy(), [1, count - 1].into()), 512, count).unwrap_err());
    assert!(error.contains("cannot be read"), "{error}");
    assert!(read(&Bad(disk, [0].into()), 512, count).is_err());
}

/// Partitions one behind the other, with gaps.
fn partitions(usable: RangeInclusive<u64>, parts: &[(u32, u64, u64, u64, String)]) -> BTreeMap<u32, Entry> {
    let mut at = *usable.start();
    let mut entries = BTreeMap::new();
    for (number, gap, length, attributes, name) in parts {
        let (first, last) = (at + gap, at + gap + length);
        if last > *usable.end() {
            break;
        }
        let id = Guid::v5(Guid::new(u128::from(*attributes)), name);
        let entry =
            Entry { kind: Guid::new(9), id, first, last, attributes: *attributes, name: name.clone() };
        entries.insert(*number, entry);
        at = last + 1;
    }
    entries
}

prop_compose! {
    /// What may be in a table.
    fn parts()(parts in prop::collection::vec(
        (1..=128_u32, 0..50_u64, 0..400_u64, any::<u64>(), "[a-zA-Z0-9äß𝄞 -]{0,18}"),
        0..12,
    )) -> Vec<(u32, u64, u64, u64, String)> { parts }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn tables_are_read_as_they_were_written(parts in parts(), large in any::<bool>(), extra in 0..9_u64) {
        let sector_size = if large { 4096 } else { 512 };
        let disk = FakeDisk::new(sector_size, (1000 + extra) * u64::from(sector_size));
        let mut written = empty(&disk);
        written.entries = partitions(written.usable(), &parts);
        write(&written, &disk).unwrap();
        let (read, flaws) = table(&disk);
        prop_assert_eq!((&read.entries, read.guid, flaws), (&written.entries, written.guid, vec![]));
    }

    #[test]
    fn hostile_bytes_are_survived(
        large in any::<bool>(),
        changes in prop::collection::vec((0..8192_usize, any::<u8>()), 0..30),
        mend in any::<bool>(),
    ) {
        let (disk, _) = with_two(if large { 4096 } else { 512 });
        for (at, byte) in changes {
            let (sector, at) = (at / disk.sector_size() as usize, at % disk.sector_size() as usize);
            let mut content = disk.get(sector as u64);
            content[at] = byte;
            disk.put(sector as u64, content);
        }
        if mend {
            forge(&disk, |_| {});
        }
        // An error or not.
        let _ = reread_gpt(&disk);
    }
}
