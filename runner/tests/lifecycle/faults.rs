//! Full partitions, signals at any moment, sources that are not what they say.

use crate::machine::{
    Machine, OEM_PARTITION, PERSISTENT_PARTITION, RECOVERY_PARTITION, STATE_PARTITION, text,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::time::Duration;

fn ready() -> Option<Machine> {
    let machine = Machine::new()?;
    machine.run(0, &["upgrade", &machine.source("one")]);
    machine.run(0, &["state", "--good"]);
    machine.run(0, &["upgrade", &machine.source("two")]);
    machine.run(0, &["state", "--good"]);
    Some(machine)
}

#[test]
fn a_full_partition_is_a_failure_of_its_own_and_changes_nothing() {
    let Some(mut machine) = ready() else { return };
    let (before, versions) = (machine.traces(), machine.versions());
    let three = machine.source("three");
    // Too little for the tree, for the image beside it, or for neither.
    let mut refused = 0;
    for kib in [0, 300, 600, 900, 1_200, 1_500, 1_800, 2_100, 2_400, 2_700, 20_000] {
        machine.fill_stopped(STATE_PARTITION, kib);
        let output = machine.cosette(&["upgrade", &three]).output().unwrap();
        let said = text(&output);
        if output.status.success() {
            machine.unfill_stopped(STATE_PARTITION);
            break;
        }
        assert_eq!(output.status.code(), Some(18), "{kib} KiB\n{said}");
        assert!(said.contains("room") || said.contains("space"), "{said}");
        assert_eq!(machine.versions(), versions, "{kib} KiB");
        machine.unfill_stopped(STATE_PARTITION);
        assert_eq!(machine.traces(), before, "{kib} KiB");
        refused += 1;
    }
    assert!((4..11).contains(&refused), "{refused}");
    let four = machine.source("four");
    // It holds the second copy of what is known only; and neither documents nor persistent data are written to.
    machine.fill_stopped(RECOVERY_PARTITION, 0);
    machine.fill_stopped(OEM_PARTITION, 0);
    machine.fill_stopped(PERSISTENT_PARTITION, 0);
    let done = machine.run(0, &["upgrade", &four]);
    assert!(done.contains("done: the active system"), "{done}");
    assert_eq!(machine.versions()[0].as_deref(), Some("four"));
    machine.run(18, &["upgrade", "--recovery", &four]);
    machine.unfill_stopped(RECOVERY_PARTITION);
    machine.run(0, &["upgrade", "--recovery", &four]);
    // What is wiped need have no room.
    machine.boot("recovery");
    machine.run(0, &["recover", "--reset-persistent", "--reset-oem"]);
    machine.boot("active");
    machine.shell("test ! -e $ROOT/usr/local/filler && test ! -e $ROOT/oem/filler");
}

#[test]
fn a_signal_at_any_moment_leaves_nothing_behind_but_one_of_the_systems() {
    let Some(machine) = ready() else { return };
    let before = machine.traces();
    let (mut interrupted, mut done) = (0, 0);
    let mut active = "two".to_owned();
    for round in 0..30_u64 {
        let signal = if round % 3 == 2 { Signal::SIGKILL } else { Signal::SIGTERM };
        let version = format!("r{round}");
        let mut child = machine.cosette(&["upgrade", &machine.source(&version)]);
        let child = child.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let child = child.spawn().unwrap();
        std::thread::sleep(Duration::from_millis(20 + round * 37 % 700));
        let _ = kill(Pid::from_raw(child.id().try_into().unwrap()), signal);
        let output = child.wait_with_output().unwrap();
        let [found, _, _] = machine.versions();
        let found = found.unwrap();
        match output.status.code() {
            Some(0) => done += 1,
            Some(28) => interrupted += 1,
            None => interrupted += 1,
            // Before it listens to signals, or in the middle of a hook.
            Some(143) => interrupted += 1,
            other => panic!("{other:?} {}", text(&output)),
        }
        assert!(found == active || found == version, "{found}");
        if signal == Signal::SIGTERM {
            assert_eq!(machine.traces(), before, "round {round}: {}", text(&output));
        }
        machine.run(0, &["state", "--good"]);
        active = machine.versions()[0].clone().unwrap();
    }
    assert!(interrupted > 5, "{interrupted} interrupted, {done} done");
    // What SIGKILL has left is removed by whoever comes next.
    machine.run(0, &["upgrade", &machine.source("last")]);
    assert_eq!(machine.traces(), before);
}

#[test]
fn what_is_no_source_and_what_was_tampered_with_is_refused_with_a_status_of_its_own() {
    let Some(machine) = ready() else { return };
    let (before, versions) = (machine.traces(), machine.versions());
    machine.run(11, &["upgrade"]);
    machine.run(11, &["upgrade", "https://example.org/x"]);
    machine.run(14, &["upgrade", "oci-layout:/layouts/none"]);
    machine.run(15, &["upgrade", "127.0.0.1:9/os:1"]);
    machine.run(2, &["upgrade", "--reboot", "--poweroff", "x"]);
    // Content that is not what its digest says.
    machine.source("bad");
    machine.shell(
        "cd $ROOT/layouts/bad/blobs/sha256; for f in *; do if [ $(stat -c %s $f) -gt 100000 ]; then \
                   printf x | dd of=$f bs=1 seek=70000 conv=notrunc status=none; fi; done",
    );
    machine.run(17, &["upgrade", "oci-layout:/layouts/bad"]);
    assert_eq!(machine.versions(), versions);
    assert_eq!(machine.traces(), before);
    let json = machine.cosette(&["--json", "upgrade", "oci-layout:/layouts/none"]).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    assert_eq!((json["class"].as_str(), json["status"].as_u64()), (Some("source"), Some(14)));
}
