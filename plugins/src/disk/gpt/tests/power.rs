//! The power fails at any time: what is on the disk then is the old table or the new one.

use super::*;

/// All that the disk may hold when the power fails while this is written: what was written before the last
/// synchronization, and any of what was written since, of which some are tried.
fn after_power_failure(before: &FakeDisk, log: &[Operation], mut check: impl FnMut(&FakeDisk, String)) {
    let windows = log.split_inclusive(|operation| *operation == Operation::Sync);
    let done = before.copy();
    for window in windows {
        let writes: Vec<_> = window.iter().filter(|operation| **operation != Operation::Sync).collect();
        for count in 0..=writes.len() {
            let first = done.copy();
            first.replay(writes[..count].iter().copied());
            check(&first, format!("the first {count} of {}", writes.len()));
            let last = done.copy();
            last.replay(writes[count..].iter().copied());
            check(&last, format!("without the first {count} of {}", writes.len()));
            let some = done.copy();
            some.replay(
                writes
                    .iter()
                    .enumerate()
                    .filter(|(index, _)| index * 7 % 5 < count % 5)
                    .map(|(_, write)| *write),
            );
            check(&some, format!("some ({count}) of {}", writes.len()));
        }
        done.replay(writes);
    }
}

/// The same partitions, whatever else is to be mended.
fn entries(found: Result<Found>) -> Option<BTreeMap<u32, Entry>> {
    match found {
        Ok(Found::Table { table, .. }) => Some(table.entries),
        _ => None,
    }
}

/// Writes the table onto the disk, and looks at it at all times. There is always the old table or the new one,
/// and then the whole can be written once more.
#[track_caller]
fn check(disk: &FakeDisk, new: &Table, what: &str) {
    let before = disk.copy();
    let old = entries(look(disk));
    disk.take_log();
    write(new, disk).unwrap();
    assert_eq!(entries(look(disk)).as_ref(), Some(&new.entries));
    let log = disk.take_log();
    after_power_failure(&before, &log, |disk, when| {
        let found = entries(look(disk));
        assert!(
            found == old || found.as_ref() == Some(&new.entries),
            "{what}: {when}: neither the old nor the new table: {found:?}"
        );
        let now = found.clone();
        // The next run is interrupted, too.
        disk.cut_after(Some(when.len() * 5 % 80));
        let _ = write(new, disk);
        disk.cut_after(None);
        let found = entries(look(disk));
        assert!(found == now || found.as_ref() == Some(&new.entries), "{what}: {when}: the second time");
        write(new, disk).unwrap();
        let (read, flaws) = table(disk);
        assert_eq!((&read.entries, flaws), (&new.entries, vec![]), "{what}: {when}");
    });
}

fn changed(table: &Table) -> Table {
    let mut new = table.clone();
    new.entries.remove(&1);
    let last = *new.usable().end();
    new.entries.get_mut(&7).unwrap().last = last;
    new.entries.insert(100, entry(*new.usable().start(), 300, "new"));
    new
}

#[test]
fn a_table_that_is_changed_is_always_the_old_or_the_new() {
    for sector_size in [512, 4096] {
        for damaged in [None, Some(0), Some(1), Some(2), Some(u64::MAX), Some(u64::MAX - 5)] {
            let (disk, good) = with_two(sector_size);
            match damaged {
                Some(0) => disk.put(0, vec![]),
                Some(sector) if sector < 3 => flip(&disk, sector, 50),
                Some(sector) => flip(&disk, good.sectors - (u64::MAX - sector) - 1, 50),
                None => {}
            }
            let new = changed(&table(&disk).0);
            check(&disk, &new, &format!("sectors of {sector_size}, {damaged:?} is damaged"));
        }
    }
}

#[test]
fn a_disk_that_has_grown_has_always_the_old_or_the_new_table() {
    for sector_size in [512, 4096] {
        for more in [1, 2, 20, 40, 3000] {
            for damaged in [None, Some(1), Some(2)] {
                let (disk, _) = with_two(sector_size);
                disk.resize(disk.bytes() + more * u64::from(sector_size));
                if let Some(sector) = damaged {
                    flip(&disk, sector, 50);
                }
                let new = changed(&table(&disk).0);
                check(&disk, &new, &format!("{more} sectors of {sector_size} more, {damaged:?} is damaged"));
            }
        }
    }
}

#[test]
fn an_image_on_a_greater_disk_with_an_older_table_at_its_end_is_never_the_older() {
    let (older, _) = with_two(512);
    let (image, _) = with_two(512);
    let (read, _) = table(&image);
    let mut of_image = read.clone();
    of_image.entries.get_mut(&1).unwrap().name = "image".to_owned();
    of_image.guid = Guid::new(77);
    write(&of_image, &image).unwrap();
    // The older table is at the end of a disk twice as large.
    let disk = disk(512, 16);
    let mut wide = empty(&disk);
    wide.entries = table(&older).0.entries;
    write(&wide, &disk).unwrap();
    for sector in image.written() {
        disk.put(sector, image.get(sector));
    }
    let new = changed(&table(&disk).0);
    check(&disk, &new, "an image");
}

#[test]
fn a_new_table_is_there_wholly_or_not_at_all() {
    for sector_size in [512, 4096] {
        let blank = disk(sector_size, 8);
        let mut boot = dos(&[]);
        boot[54..57].copy_from_slice(b"FAT");
        let dos = dos(&[(0x80, 0x83, 2048, 100)]);
        let (old, _) = with_two(sector_size);
        let (forgotten, _) = with_two(sector_size);
        for sector in 0..6 {
            forgotten.put(sector, vec![]);
        }
        let (damaged, good) = with_two(sector_size);
        flip(&damaged, 1, 3);
        flip(&damaged, good.sectors - 1, 30);
        for (what, disk, first) in [
            ("blank", blank.copy(), None),
            ("FAT", blank.copy(), Some(boot)),
            ("DOS", blank.copy(), Some(dos.clone())),
            ("GPT", old.copy(), None),
            ("GPT and DOS", old.copy(), Some(dos.clone())),
            ("forgotten", forgotten.copy(), None),
            ("forgotten and DOS", forgotten.copy(), Some(dos)),
            ("damaged", damaged.copy(), None),
        ] {
            if let Some(first) = first {
                disk.put(0, first);
            }
            let mut new = empty(&disk);
            new.guid = Guid::new(99);
            new.entries.insert(3, entry(600, 700, "new"));
            check(&disk, &new, what);
        }
    }
}

#[test]
fn an_error_while_writing_is_passed_on_and_nothing_else_is_tried() {
    let (disk, good) = with_two(512);
    let new = changed(&good);
    for operations in 0.. {
        let disk = disk.copy();
        disk.cut_after(Some(operations));
        match write(&new, &disk) {
            Err(error) => assert_eq!(error.to_string(), "the power has failed"),
            Ok(()) => {
                assert_eq!(operations, disk.take_log().len());
                return;
            }
        }
        assert_eq!(operations, disk.take_log().len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(8) })]

    #[test]
    fn any_change_is_always_the_old_or_the_new(old in parts(), new in parts(), more in 0..90_u64) {
        let disk = FakeDisk::new(512, 1000 * 512);
        let mut written = empty(&disk);
        written.entries = partitions(written.usable(), &old);
        write(&written, &disk).unwrap();
        disk.resize((1000 + more) * 512);
        let mut changed = table(&disk).0;
        changed.entries = partitions(changed.usable(), &new);
        check(&disk, &changed, "any");
    }
}
