use super::*;
use crate::disk::types;
use proptest::prelude::*;

const MIB: u64 = 1 << 20;
const SECTOR: u64 = 512;
const PER_MIB: u64 = MIB / SECTOR;

/// A disk of so many mebibytes with partitions: name, first and last mebibyte.
fn disk(mib: u64, partitions: &[(&str, u64, u64)]) -> Table {
    let mut table = Table::new(512, mib * PER_MIB, Guid::new(1)).unwrap();
    for ((name, first, end), number) in partitions.iter().zip(1..) {
        let entry = Entry {
            kind: types::LINUX_GENERIC,
            id: Guid::new(u128::from(number)),
            first: first * PER_MIB,
            last: end * PER_MIB - 1,
            attributes: 0,
            name: (*name).to_owned(),
        };
        table.entries.insert(number, entry);
    }
    table
}

fn known(kind: Kind, label: &str, bytes: u64) -> Content {
    Content::Known(Superblock {
        kind,
        label: (!label.is_empty()).then(|| label.to_owned()),
        uuid: None,
        bytes: Some(bytes),
        block: Some(4096),
    })
}

fn add(name: &str, label: &str, mib: u64, file_system: FileSystem) -> Addition {
    let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    Addition {
        name: given(name),
        label: given(label),
        size: mib * MIB,
        file_system: Some(file_system),
        ..Addition::default()
    }
}

fn ids() -> impl FnMut() -> Guid {
    let mut last = 1000;
    move || {
        last += 1;
        Guid::new(last)
    }
}

fn run(table: &Table, contents: &[(u32, Content)], wish: &Wish) -> Result<Plan, Remarks> {
    plan(table, &contents.iter().cloned().collect(), wish, &mut ids())
}

/// Partitions in mebibytes.
fn places(table: &Table) -> Vec<(u32, u64, u64)> {
    let mebibytes =
        |(number, entry): (&u32, &Entry)| (*number, entry.first / PER_MIB, (entry.last + 1) / PER_MIB);
    table.entries.iter().map(mebibytes).collect()
}

fn problems(table: &Table, contents: &[(u32, Content)], wish: &Wish) -> Vec<String> {
    run(table, contents, wish).unwrap_err().into_iter().map(|(_, message)| message).collect()
}

#[test]
fn partitions_go_behind_the_last_one_and_the_last_takes_the_rest() {
    let wish = Wish {
        expand: None,
        add: vec![
            add("oem", "COS_OEM", 64, FileSystem::Ext4),
            add("persistent", "COS_PERSISTENT", 0, FileSystem::Xfs),
        ],
    };
    let plan =
        run(&disk(1024, &[("state", 1, 201)]), &[(1, known(Kind::Ext4, "COS_STATE", 200 * MIB))], &wish);
    let plan = plan.unwrap();
    // The last mebibyte holds the second copy of the table.
    assert_eq!(places(&plan.after), [(1, 1, 201), (2, 201, 265), (3, 265, 1023)]);
    let works: Vec<_> = plan.steps.iter().map(|step| (step.number, step.work.format().unwrap())).collect();
    assert_eq!(works[0].0, 2);
    assert_eq!(
        works[1].1,
        &Format { file_system: FileSystem::Xfs, label: Some("COS_PERSISTENT".to_owned()) }
    );

    // On the way they are known to be unfinished, and one after the other is not any more.
    let interim = plan.interim(&BTreeSet::new());
    assert_eq!((interim.entries[&2].kind, interim.entries[&3].kind), (UNFINISHED, UNFINISHED));
    let interim = plan.interim(&BTreeSet::from([2]));
    assert_eq!((interim.entries[&2].kind, interim.entries[&3].kind), (types::LINUX_GENERIC, UNFINISHED));
    assert_eq!(plan.interim(&BTreeSet::from([2, 3])).entries, plan.after.entries);
}

#[test]
fn a_gap_is_used_where_there_is_no_room_at_the_end() {
    let table = disk(1024, &[("a", 100, 200), ("b", 300, 1000)]);
    let wish = |mib| Wish { expand: None, add: vec![add("new", "", mib, FileSystem::Ext4)] };
    assert_eq!(places(&run(&table, &[], &wish(10)).unwrap().after)[2], (3, 1000, 1010));
    assert_eq!(places(&run(&table, &[], &wish(99)).unwrap().after)[2], (3, 1, 100));
    assert_eq!(places(&run(&table, &[], &wish(100)).unwrap().after)[2], (3, 200, 300));
    assert_eq!(
        problems(&table, &[], &wish(101)),
        ["there is no room for 101 MiB: 100 MiB are left in one piece"]
    );
    let full = disk(1024, &[("a", 1, 1023)]);
    assert_eq!(problems(&full, &[], &wish(0)), ["nothing is left of the disk"]);
    assert_eq!(problems(&full, &[], &wish(1)), ["there is no room for 1 MiB: nothing is left of the disk"]);
}

#[test]
fn what_is_there_is_found_by_its_name_or_else_by_its_label_and_stays() {
    let table = disk(1024, &[("persistent", 1, 101), ("", 101, 201), ("other", 201, 301)]);
    let contents = [
        (1, known(Kind::Ext4, "DATA", 100 * MIB)),
        (2, known(Kind::Xfs, "COS_OEM", 100 * MIB)),
        (3, known(Kind::Vfat(16), "EFI", 100 * MIB)),
    ];
    let wish = Wish {
        expand: None,
        add: vec![
            add("persistent", "COS_PERSISTENT", 500, FileSystem::Btrfs),
            add("", "COS_OEM", 100, FileSystem::Xfs),
            add("efi", "EFI", 101, FileSystem::Vfat),
        ],
    };
    let plan = run(&table, &contents, &wish).unwrap();
    assert_eq!((plan.steps.len(), places(&plan.after)), (0, places(&table)));
    let warnings: Vec<_> = plan.warnings.iter().map(|(part, message)| (*part, &**message)).collect();
    assert_eq!(
        warnings,
        [
            (Part::Add(0), "partition 1 (persistent) is of 100 MiB, not of 500 MiB, and stays so"),
            (Part::Add(0), "partition 1 (persistent) carries ext4, not btrfs, and stays so"),
            (
                Part::Add(2),
                "partition 3 (other) is known by the label of its file system, and is not called \"efi\", and stays so"
            ),
        ]
    );
    let wish = Wish { expand: None, add: vec![add("persistent", "COS_PERSISTENT", 100, FileSystem::Ext4)] };
    let warnings = run(&table, &contents, &wish).unwrap().warnings;
    assert_eq!(
        warnings[0].1,
        "partition 1 (persistent) has a file system with the label \"DATA\", not \"COS_PERSISTENT\", and stays so"
    );
}

#[test]
fn only_what_is_unfinished_or_empty_gets_its_file_system() {
    let mut table = disk(1024, &[("a", 1, 101), ("b", 101, 201), ("c", 201, 301), ("COS_OEM", 301, 401)]);
    table.entries.get_mut(&1).unwrap().kind = UNFINISHED;
    table.entries.get_mut(&4).unwrap().kind = UNFINISHED;
    let wish = Wish {
        expand: None,
        add: vec![
            add("a", "A", 100, FileSystem::Ext4),
            add("b", "B", 100, FileSystem::Ext4),
            add("c", "C", 100, FileSystem::Ext4),
            add("", "COS_OEM", 100, FileSystem::Vfat),
        ],
    };
    // Somebody else's file system may have been in that place before.
    let contents = [(1, known(Kind::Xfs, "OLD", 9)), (2, Content::Blank), (3, Content::Unknown)];
    let plan = run(&table, &contents, &wish).unwrap();
    let steps: Vec<_> = plan.steps.iter().map(|step| step.number).collect();
    assert_eq!(steps, [1, 2, 4]);
    assert!(plan.steps.iter().all(|step| matches!(step.work, Work::Format(_))));
    assert_eq!(plan.after.entries[&1].kind, types::LINUX_GENERIC);
    assert_eq!((&*plan.after.entries[&4].name, plan.after.entries[&4].kind), ("", types::BASIC_DATA));
    assert_eq!(plan.interim(&BTreeSet::new()).entries[&2].kind, UNFINISHED);
    assert_eq!(plan.interim(&BTreeSet::new()).entries[&4].name, "COS_OEM");
    assert_eq!(
        plan.warnings[0].1,
        "partition 3 (c) holds something that is no file system that is known, and stays so: ext4 is made only \
         where there is nothing"
    );
}

#[test]
fn the_last_partition_grows_to_the_end_and_its_file_system_with_it_and_only_once() {
    let wish = Wish { expand: Some(0), add: vec![] };
    let table = disk(1024, &[("b", 501, 601), ("a", 1, 501)]);
    let contents = |mib| [(1, known(Kind::Ext4, "B", mib * MIB)), (2, Content::Blank)];
    let plan = run(&table, &contents(100), &wish).unwrap();
    assert_eq!(places(&plan.after), [(1, 501, 1023), (2, 1, 501)]);
    assert_eq!(plan.steps[0].work, Work::Grow(100 * MIB, Some(Kind::Ext4)));
    let interim = plan.interim(&BTreeSet::new());
    assert_eq!(interim.entries[&1].attributes, GROW_FILE_SYSTEM);
    assert_eq!(plan.after.entries[&1].attributes, 0);
    // Cut off before the file system had grown.
    let again = run(&interim, &contents(100), &wish).unwrap();
    assert_eq!(again.steps[0].work, Work::Grow(522 * MIB, Some(Kind::Ext4)));
    assert_eq!(again.after.entries, plan.after.entries);
    // Less than one more group is left behind an ext file system.
    assert!(run(&plan.after, &contents(500), &wish).unwrap().steps.is_empty());
    // Unless it was cut off.
    assert_eq!(run(&interim, &contents(500), &wish).unwrap().steps.len(), 1);
    assert!(run(&interim, &contents(522), &wish).unwrap().steps.is_empty());
    // Somebody else has grown the partition.
    assert_eq!(run(&plan.after, &contents(300), &wish).unwrap().steps.len(), 1);
}

#[test]
fn a_partition_grows_to_a_size_and_never_becomes_smaller() {
    let table = disk(1024, &[("a", 1, 101)]);
    let contents = [(1, known(Kind::Btrfs, "", 100 * MIB))];
    let wish = |mib: u64| Wish { expand: Some(mib * MIB), add: vec![] };
    assert_eq!(places(&run(&table, &contents, &wish(200)).unwrap().after), [(1, 1, 201)]);
    assert!(run(&table, &contents, &wish(100)).unwrap().steps.is_empty());
    assert_eq!(
        problems(&table, &contents, &wish(98)),
        ["partition 1 (a) is larger than 98 MiB already (100 MiB), and partitions are never made smaller"]
    );
    assert_eq!(
        problems(&table, &contents, &wish(1023)),
        ["partition 1 (a) cannot grow to 1023 MiB: there is room for 1022.9 MiB"]
    );
    assert_eq!(problems(&disk(9, &[]), &[], &wish(0)), ["the disk has no partition that could grow"]);
}

#[test]
fn what_cannot_grow_is_refused_with_the_reason_unless_it_has_its_size() {
    let table = disk(1024, &[("a", 1, 101)]);
    for (kind, name) in [(Kind::Swap, "swap"), (Kind::Vfat(32), "vfat")] {
        let contents = [(1, known(kind, "", 100 * MIB))];
        let wish = Wish { expand: Some(0), add: vec![] };
        assert_eq!(
            problems(&table, &contents, &wish),
            [format!(
                "partition 1 (a) carries {name}, which cannot grow with it: make a new partition behind it instead"
            )]
        );
        assert!(run(&disk(102, &[("a", 1, 101)]), &contents, &wish).unwrap().steps.is_empty());
    }
    let wish = Wish { expand: Some(0), add: vec![] };
    assert_eq!(
        run(&table, &[(1, Content::Blank)], &wish).unwrap().steps[0].work,
        Work::Grow(100 * MIB, None)
    );
}

#[test]
fn with_a_size_the_old_last_partition_grows_before_others_are_added_and_with_none_the_new_one_after() {
    let table = disk(1024, &[("recovery", 1, 101)]);
    let contents = [(1, known(Kind::Ext4, "R", 100 * MIB)), (2, known(Kind::Ext4, "S", 300 * MIB))];
    let wish = |expand, size| Wish {
        expand: Some(expand * MIB),
        add: vec![add("state", "S", size, FileSystem::Ext4)],
    };
    let first = run(&table, &contents[..1], &wish(200, 300)).unwrap();
    assert_eq!(places(&first.after), [(1, 1, 201), (2, 201, 501)]);
    // The second time it is still the same one that is meant.
    let mut contents = contents;
    contents[0].1 = known(Kind::Ext4, "R", 200 * MIB);
    assert!(run(&first.after, &contents, &wish(200, 300)).unwrap().steps.is_empty());

    let rest = run(&table, &contents[..1], &wish(0, 300)).unwrap();
    assert_eq!((places(&rest.after), rest.steps.len()), (vec![(1, 1, 101), (2, 101, 1023)], 1));
    let again = run(&rest.after, &[(2, known(Kind::Ext4, "S", 922 * MIB))], &wish(0, 300)).unwrap();
    assert_eq!((again.steps.len(), again.warnings.len()), (0, 0));
}

#[test]
fn a_file_system_that_does_not_fit_is_refused_before_anything_is_written() {
    let table = disk(1024, &[]);
    let wish = |size, file_system| Wish { expand: None, add: vec![add("a", "", size, file_system)] };
    assert_eq!(
        problems(&table, &[], &wish(299, FileSystem::Xfs)),
        ["xfs needs 300 MiB at least, and the partition has 299 MiB"]
    );
    assert_eq!(
        problems(&disk(9000, &[]), &[], &wish(0, FileSystem::Fat16)),
        ["fat16 can have 3.9 GiB at most, and the partition has 8.7 GiB"]
    );
    // One that grows at once is measured when it has grown.
    let grown = Wish { expand: Some(0), ..wish(1, FileSystem::Xfs) };
    assert_eq!(places(&run(&table, &[], &grown).unwrap().after), [(1, 1, 1023)]);
}

#[test]
fn types_follow_from_file_systems_unless_they_are_given() {
    let kind = |addition: &Addition| addition.entry_kind();
    let fat = add("efi", "", 64, FileSystem::Vfat);
    assert_eq!(kind(&fat), types::BASIC_DATA);
    assert_eq!(kind(&Addition { bootable: true, ..fat.clone() }), types::ESP);
    assert_eq!(kind(&add("s", "", 1, FileSystem::Swap)), types::SWAP);
    assert_eq!(kind(&Addition::default()), types::LINUX_GENERIC);
    assert_eq!(kind(&Addition { kind: Some(Guid::new(7)), ..fat }), Guid::new(7));
    let bootable = Addition { bootable: true, ..add("b", "", 1, FileSystem::Ext4) };
    let plan = run(&disk(9, &[]), &[], &Wish { expand: None, add: vec![bootable] }).unwrap();
    assert_eq!(plan.after.entries[&1].attributes, 4);
}

#[test]
fn a_full_table_takes_no_more() {
    let mut table = disk(1024, &[]);
    for number in 1..=table.capacity() {
        let at = u64::from(number) * PER_MIB;
        let entry = Entry { first: at, last: at, ..disk(9, &[("x", 1, 2)]).entries[&1].clone() };
        table.entries.insert(number, entry);
    }
    let wish = Wish { expand: None, add: vec![add("a", "", 1, FileSystem::Ext4)] };
    assert_eq!(problems(&table, &[], &wish), ["the table is full: it holds 128 partitions at most"]);
}

prop_compose! {
    /// Partitions between random places, in random order, not aligned.
    fn tables()(
        sector in prop::sample::select(vec![512_u32, 4096]),
        mib in 3_u64..3000,
        cuts in prop::collection::btree_set(0_u64..1_000_000, 0..12),
        gaps in prop::collection::vec(any::<bool>(), 12),
        shuffle in any::<u64>(),
    ) -> Table {
        let mut table = Table::new(sector, mib * MIB / u64::from(sector), Guid::new(1)).unwrap();
        let usable = table.usable();
        let span = usable.end() - usable.start();
        let places: Vec<u64> = cuts.into_iter().map(|cut| usable.start() + span * cut / 1_000_000).collect();
        for (pair, keep) in places.windows(2).zip(gaps) {
            if keep && pair[1] > pair[0] {
                let number = (1..).map(|at: u64| (at * 37 + shuffle) % 64 + 1).find(|number| {
                    !table.entries.contains_key(&(*number as u32))
                });
                let number = number.unwrap() as u32;
                let entry = Entry {
                    kind: types::LINUX_GENERIC,
                    id: Guid::new(u128::from(number)),
                    first: pair[0],
                    last: pair[1] - 1,
                    attributes: 0,
                    name: format!("p{number}"),
                };
                table.entries.insert(number, entry);
            }
        }
        table
    }
}

prop_compose! {
    fn wishes()(
        expand in prop::option::of(prop_oneof![Just(0), 1_u64..4000]),
        add in prop::collection::vec((0_u64..600, 0..9_usize, any::<bool>()), 0..5),
    ) -> Wish {
        let additions = add.into_iter().zip(0..).map(|((size, at, named), index)| {
            let file_system = FileSystem::named(FileSystem::NAMES[at]).unwrap();
            let (name, label) = (format!("new{index}"), format!("NEW{index}"));
            super::tests::add(if named { &name } else { "" }, &label, size, file_system)
        });
        Wish { expand: expand.map(|mib| mib * MIB), add: additions.collect() }
    }
}

/// What lies on the partitions once a plan was carried out.
fn carried_out(plan: &Plan, before: &BTreeMap<u32, Content>) -> BTreeMap<u32, Content> {
    let mut contents = before.clone();
    for step in &plan.steps {
        let entry = &plan.after.entries[&step.number];
        let bytes = (entry.last - entry.first + 1) * u64::from(plan.after.sector_size);
        let content = match (&step.work, before.get(&step.number)) {
            (work, _) if work.format().is_some() => {
                let format = work.format().unwrap();
                let kind = match format.file_system {
                    FileSystem::Ext2 => Kind::Ext2,
                    FileSystem::Ext3 => Kind::Ext3,
                    FileSystem::Ext4 => Kind::Ext4,
                    FileSystem::Xfs => Kind::Xfs,
                    FileSystem::Btrfs => Kind::Btrfs,
                    FileSystem::Vfat | FileSystem::Fat32 => Kind::Vfat(32),
                    FileSystem::Fat16 => Kind::Vfat(16),
                    FileSystem::Swap => Kind::Swap,
                };
                known(kind, format.label.as_deref().unwrap_or_default(), bytes)
            }
            (Work::Grow(_, Some(kind)), _) => known(*kind, "", bytes),
            (_, content) => content.cloned().unwrap_or(Content::Unknown),
        };
        contents.insert(step.number, content);
    }
    contents
}

proptest! {
    #[test]
    fn no_plan_overlaps_moves_or_shrinks_anything_and_the_second_one_does_nothing(
        table in tables(),
        wish in wishes(),
        content in 0..3,
    ) {
        let contents: BTreeMap<u32, Content> = table.entries.iter().map(|(number, entry)| {
            let bytes = (entry.last - entry.first + 1) * u64::from(table.sector_size);
            (*number, match content {
                0 => Content::Blank,
                1 => Content::Unknown,
                _ => known(Kind::Ext4, "", bytes),
            })
        }).collect();
        let Ok(plan) = plan(&table, &contents, &wish, &mut ids()) else { return Ok(()) };
        let usable = table.usable();
        let mut entries: Vec<_> = plan.after.entries.iter().collect();
        entries.sort_by_key(|(_, entry)| entry.first);
        for pair in entries.windows(2) {
            prop_assert!(pair[0].1.last < pair[1].1.first, "{:?}", pair);
        }
        for (number, entry) in entries {
            prop_assert!(usable.contains(&entry.first) && usable.contains(&entry.last));
            match table.entries.get(number) {
                Some(before) => {
                    prop_assert_eq!((before.first, before.id, before.kind, &before.name), (entry.first, entry.id, entry.kind, &entry.name));
                    prop_assert!(before.last <= entry.last);
                }
                None => {
                    let aligned = ALIGNMENT / u64::from(table.sector_size);
                    prop_assert_eq!(entry.first % aligned, 0);
                    prop_assert_eq!((entry.last + 1) % aligned, 0);
                }
            }
        }
        for number in table.entries.keys() {
            prop_assert!(plan.after.entries.contains_key(number));
        }
        let after = carried_out(&plan, &contents);
        let again = super::plan(&plan.after, &after, &wish, &mut ids());
        let again = again.map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
        prop_assert_eq!(&again.steps, &[]);

        // Cut off behind any step, it comes to the same end.
        let mut done = BTreeSet::new();
        for step in std::iter::once(None).chain(plan.steps.iter().map(Some)) {
            done.extend(step.map(|step| step.number));
            let interim = plan.interim(&done);
            let mut half = contents.clone();
            for number in &done {
                half.insert(*number, after[number].clone());
            }
            let resumed = super::plan(&interim, &half, &wish, &mut ids());
            let resumed = resumed.map_err(|problems| TestCaseError::fail(format!("{problems:?}")))?;
            prop_assert_eq!(&resumed.after.entries, &plan.after.entries);
            for step in &resumed.steps {
                prop_assert!(!done.contains(&step.number), "{:?} again", step);
            }
        }
    }
}
