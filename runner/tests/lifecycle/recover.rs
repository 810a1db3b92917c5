//! The systems made anew.

use crate::machine::{Machine, STATE_PARTITION};

fn with_recovery() -> Option<Machine> {
    let machine = Machine::new()?;
    machine.run(0, &["upgrade", "--recovery", &machine.source("recovery")]);
    machine.run(0, &["upgrade", &machine.source("one")]);
    machine.shell("echo secret > $ROOT/usr/local/kept; echo 'name: x' > $ROOT/oem/90.yaml");
    Some(machine)
}

#[test]
fn the_recovery_system_makes_both_systems_anew_without_a_network_and_keeps_the_rest() {
    let Some(mut machine) = with_recovery() else { return };
    machine.run(12, &["recover"]);
    machine.boot("recovery");
    let before = machine.traces();
    assert!(
        machine.run(0, &["recover", "--dry-run"]).contains("file:/run/initramfs/cos-state/cOS/recovery.img")
    );
    machine.run(0, &["recover"]);
    let names = machine.versions().map(Option::unwrap_or_default);
    assert_eq!(names, ["recovery", "recovery", "recovery"]);
    assert_eq!(machine.traces(), before);
    for system in ["active", "passive"] {
        let (found, known) = machine.digests(system);
        assert_eq!(found, known);
    }
    let state = machine.run(0, &["state"]);
    assert_eq!(state.matches("oci-layout:/layouts/recovery").count(), 3, "{state}");
    machine.boot("active");
    machine.shell("test -e $ROOT/usr/local/kept && test -e $ROOT/oem/90.yaml");
}

#[test]
fn a_recovery_system_that_is_not_what_was_put_there_is_not_used() {
    let Some(mut machine) = with_recovery() else { return };
    machine.boot("recovery");
    machine.shell(
        "cd $ROOT/run/initramfs/cos-state && mount -o remount,rw . && printf x | dd of=cOS/recovery.img bs=1 seek=1000000 \
         conv=notrunc status=none && mount -o remount,ro .",
    );
    let before = machine.traces();
    let error = machine.run(17, &["recover", "--reset-oem"]);
    assert!(error.contains("recovery.img is damaged, or somebody replaced it"), "{error}");
    assert_eq!(machine.traces(), before);
    machine.shell("test -e $ROOT/oem/90.yaml");
    machine.run(0, &["recover", "--from", &machine.source("two")]);
    let names = machine.versions().map(Option::unwrap_or_default);
    assert_eq!((&*names[0], &*names[1]), ("two", "two"));
}

#[test]
fn what_is_to_be_wiped_is_empty_afterwards_and_mounted_as_before() {
    let Some(mut machine) = with_recovery() else { return };
    machine.boot("recovery");
    let before = machine.traces();
    machine.run(0, &["reset", "--reset-persistent", "--reset-oem"]);
    assert_eq!(machine.traces(), before);
    machine.shell("test ! -e $ROOT/oem/90.yaml && touch $ROOT/oem/new");
    machine.boot("active");
    assert_eq!(
        machine
            .shell("ls $ROOT/usr/local $ROOT/oem | grep -v lost+found | sort | tr '\\n' ' '")
            .matches("kept")
            .count(),
        0
    );
    machine.shell("test -e $ROOT/oem/new");
    // What is in use is not wiped, and that is said.
    machine.boot("recovery");
    let mut user = machine.shell_in_background("exec 3>$ROOT/oem/used; sleep 100");
    machine.shell("for i in $(seq 100); do test -e $ROOT/oem/used && exit 0; sleep 0.1; done; exit 1");
    let error = machine.run(27, &["reset", "--reset-oem"]);
    assert!(error.contains("cannot wipe COS_OEM") && error.contains("in use"), "{error}");
    user.kill().unwrap();
    user.wait().unwrap();
    machine.shell("test -e $ROOT/oem/new");
}

#[test]
fn new_documents_come_when_all_else_is_done() {
    let Some(mut machine) = with_recovery() else { return };
    machine.boot("recovery");
    let before = machine.traces();
    let document = std::env::temp_dir().join(format!("cosette-documents-{}.yaml", std::process::id()));
    std::fs::write(&document, "name: new\n").unwrap();
    let given = document.to_str().unwrap();
    let oem = || {
        machine.shell("cd $ROOT/oem; ls | grep -v lost+found; stat -c %a 90_custom.yaml; cat 90_custom.yaml")
    };
    assert!(
        machine
            .run(0, &["recover", "--dry-run", "--cloud-init", given])
            .contains("  documents: 1 for /oem\n")
    );
    assert_eq!(machine.run(14, &["recover", "--cloud-init", "/none.yaml"]).matches("/none.yaml").count(), 1);
    machine.run(0, &["recover", "--cloud-init", given]);
    assert_eq!(oem(), "90.yaml\n90_custom.yaml\n600\nname: new\n");
    std::fs::write(&document, "name: newer\n").unwrap();
    machine.run(0, &["recover", "--reset-oem", "--cloud-init", given]);
    assert_eq!(oem(), "90_custom.yaml\n600\nname: newer\n");
    assert_eq!(machine.traces(), before);
    std::fs::remove_file(&document).unwrap();
}

#[test]
fn those_who_look_at_a_partition_and_those_who_change_it_do_not_keep_each_other_out() {
    let Some(mut machine) = with_recovery() else { return };
    machine.shell(
        "printf 'stages: {before-reset: [{commands: [\"touch /run/slow; sleep 4\"]}]}' > $ROOT/oem/90.yaml",
    );
    machine.boot("recovery");
    let state = machine.disk.partition(STATE_PARTITION);
    // Like somebody who asks for the state.
    let look =
        format!("unshare --mount sh -c 'mount -o ro {state} $ROOT/mnt && touch $ROOT/run/looks && sleep 2'");
    let mut looking = machine.shell_in_background(&look);
    let wait = |name: &str| {
        format!("for i in $(seq 100); do test -e $ROOT/run/{name} && exit 0; sleep 0.1; done; exit 1")
    };
    machine.shell(&wait("looks"));
    let mut recovering = machine.cosette(&["recover"]).spawn().unwrap();
    machine.shell(&wait("slow"));
    assert!(looking.wait().unwrap().success());
    let state = machine.run(0, &["state"]);
    assert!(state.contains("active    oci-layout:/layouts/one"), "{state}");
    assert!(state.contains("running   recover is running"), "{state}");
    assert!(recovering.wait().unwrap().success());
    assert!(machine.run(0, &["state"]).contains("active    oci-layout:/layouts/recovery"));
}

#[test]
fn called_as_elemental_it_has_the_options_and_the_exit_statuses_of_that() {
    let Some(mut machine) = with_recovery() else { return };
    let elemental = |arguments: &[&str]| machine.elemental(arguments);
    assert_eq!(elemental(&["state"]).0, 0);
    assert_eq!(elemental(&["upgrade", "--system", "oci-layout:/layouts/none"]).0, 18);
    assert_eq!(elemental(&["reset"]).0, 54);
    let two = machine.source("two");
    let (status, text) = machine.elemental(&["upgrade", "--recovery", "--system", &two]);
    assert_eq!(status, 0, "{text}");
    let names = machine.versions().map(Option::unwrap_or_default);
    assert_eq!((&*names[0], &*names[2]), ("two", "two"));
    machine.boot("recovery");
    assert_eq!(machine.elemental(&["reset", "--reset-persistent"]).0, 0);
}
