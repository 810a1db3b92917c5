//! Killed at every failpoint, an upgrade leaves one complete system, and the next run converges.

use crate::machine::{Machine, OEM_PARTITION, text};
use std::os::unix::process::ExitStatusExt as _;

/// Kills an operation at each failpoint in turn, and lets it run again after each. Returns how many there were.
fn kill_everywhere(
    machine: &Machine,
    operation: &mut dyn FnMut(&Machine, usize) -> Vec<String>,
    check: &mut dyn FnMut(&Machine, usize, bool),
) -> usize {
    let before = machine.traces();
    for number in 1.. {
        let arguments = operation(machine, number);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        let killed =
            machine.cosette(&arguments).env("COSETTE_FAILPOINT", number.to_string()).output().unwrap();
        if killed.status.success() {
            return number - 1;
        }
        // nsenter(1) becomes the program, and dies as it does.
        assert_eq!(killed.status.signal(), Some(9), "at {number}\n{}", text(&killed));
        check(machine, number, false);
        machine.run(0, &["state"]);
        machine.run(0, &arguments);
        check(machine, number, true);
        assert_eq!(machine.traces(), before, "after {number}");
    }
    unreachable!()
}

#[test]
fn an_upgrade_that_is_killed_anywhere_leaves_a_complete_system_and_converges() {
    let Some(machine) = Machine::new() else { return };
    machine.run(0, &["upgrade", &machine.source("v0")]);
    machine.run(0, &["state", "--good"]);
    let count = kill_everywhere(
        &machine,
        &mut |machine, number| {
            machine.run(0, &["state", "--good"]);
            vec!["upgrade".to_owned(), machine.source(&format!("v{number}"))]
        },
        &mut |machine, number, is_done| {
            let (old, new) = (format!("v{}", number - 1), format!("v{number}"));
            let [active, passive, _] = machine.versions();
            let active = active.unwrap();
            if is_done {
                assert_eq!((active, passive), (new, Some(old)));
                for system in ["active", "passive"] {
                    let (found, known) = machine.digests(system);
                    assert_eq!(found, known, "{system} after {number}");
                }
                assert!(machine.run(0, &["state"]).contains("tentative"));
            } else {
                assert!(active == old || active == new, "{active} at {number}");
                // A new system never boots uncounted.
                let state = machine.run(0, &["state"]);
                assert!(active == old || state.contains("tentative"), "{state}");
            }
        },
    );
    assert!(count >= 15, "{count}");
    eprintln!("killed at {count} failpoints of an upgrade");
}

#[test]
fn a_rollback_that_is_killed_anywhere_is_done_or_not_and_the_next_one_tells() {
    let Some(machine) = Machine::new() else { return };
    machine.run(0, &["upgrade", &machine.source("one")]);
    machine.run(0, &["state", "--good"]);
    machine.run(0, &["upgrade", &machine.source("two")]);
    machine.run(0, &["state", "--good"]);
    let mut number = 0;
    loop {
        number += 1;
        let before = machine.versions();
        let killed =
            machine.cosette(&["rollback"]).env("COSETTE_FAILPOINT", number.to_string()).output().unwrap();
        if killed.status.success() {
            break;
        }
        assert_eq!(killed.status.signal(), Some(9), "at {number}\n{}", text(&killed));
        let [active, passive, _] = machine.versions();
        let [old, older, _] = &before;
        assert!((&active, &passive) == (old, older) || (&passive, &active) == (old, older));
        // What was interrupted is brought to its end by whatever comes next.
        machine.run(0, &["state", "--good"]);
        let (found, known) = machine.digests("active");
        assert_eq!(found, known, "at {number}");
    }
    assert!(number > 5, "{number}");
}

#[test]
fn a_new_recovery_system_that_is_killed_anywhere_leaves_a_complete_one() {
    let Some(machine) = Machine::new() else { return };
    machine.run(0, &["upgrade", "--recovery", &machine.source("v0")]);
    let count = kill_everywhere(
        &machine,
        &mut |machine, number| {
            vec!["upgrade".to_owned(), "--recovery".to_owned(), machine.source(&format!("v{number}"))]
        },
        &mut |machine, number, is_done| {
            let [_, _, recovery] = machine.versions();
            let (old, new) = (format!("v{}", number - 1), format!("v{number}"));
            let recovery = recovery.unwrap();
            assert!(recovery == new || (!is_done && recovery == old), "{recovery} at {number}");
        },
    );
    eprintln!("killed at {count} failpoints of an upgrade of the recovery system");
}

#[test]
fn a_recovery_that_is_killed_anywhere_leaves_complete_systems_and_the_next_one_ends_it() {
    let Some(mut machine) = Machine::new() else { return };
    machine.run(0, &["upgrade", "--recovery", &machine.source("recovery")]);
    machine.run(0, &["upgrade", &machine.source("v0")]);
    machine.run(0, &["state", "--good"]);
    let mut number = 0;
    loop {
        number += 1;
        machine.boot("active");
        let old = format!("v{number}");
        machine.run(0, &["upgrade", &machine.source(&old)]);
        machine.run(0, &["state", "--good"]);
        machine.shell("echo secret > $ROOT/usr/local/kept; echo 'name: x' > $ROOT/oem/90.yaml");
        machine.boot("recovery");
        let before = machine.traces();
        let reset = ["recover", "--reset-persistent", "--reset-oem"];
        let killed = machine.cosette(&reset).env("COSETTE_FAILPOINT", number.to_string()).output().unwrap();
        let is_killed = killed.status.signal() == Some(9);
        assert!(is_killed || killed.status.success(), "at {number}\n{}", text(&killed));
        let [active, passive, recovery] = machine.versions().map(Option::unwrap);
        assert_eq!(recovery, "recovery", "at {number}");
        assert!(active == "recovery" || active == old, "{active} at {number}");
        let is_passive = passive == "recovery" || passive == old || passive == format!("v{}", number - 1);
        assert!(is_passive, "{passive} at {number}");
        let state = machine.run(0, &["state"]);
        assert!(active == old || state.contains("tentative"), "{state}");
        if is_killed {
            // What was unmounted to be wiped is mounted again by the next boot.
            machine.boot("recovery");
            machine.run(0, &reset);
        }
        assert_eq!(machine.versions().map(Option::unwrap), ["recovery"; 3], "after {number}");
        for system in ["active", "passive"] {
            let (found, known) = machine.digests(system);
            assert_eq!(found, known, "{system} after {number}");
        }
        machine.shell("test ! -e $ROOT/oem/90.yaml && touch $ROOT/oem/new");
        assert_eq!(machine.traces(), before, "after {number}");
        machine.boot("active");
        machine.shell("test ! -e $ROOT/usr/local/kept && test -e $ROOT/oem/new");
        if !is_killed {
            break;
        }
    }
    assert!(number > 20, "{number}");
    eprintln!("killed at {} failpoints of a recovery", number - 1);
}

#[test]
fn a_partition_that_was_being_wiped_is_found_without_its_label() {
    let Some(mut machine) = Machine::new() else { return };
    machine.run(0, &["upgrade", "--recovery", &machine.source("recovery")]);
    machine.boot("recovery");
    let oem = machine.disk.partition(OEM_PARTITION);
    // As mke2fs leaves it that is killed.
    machine.shell(&format!(
        "umount $ROOT/oem && dd if=/dev/zero of={oem} bs=64K count=1 conv=fsync status=none"
    ));
    machine.run(0, &["reset", "--reset-oem"]);
    machine.boot("active");
    machine.shell("test -d $ROOT/oem/lost+found");
}
