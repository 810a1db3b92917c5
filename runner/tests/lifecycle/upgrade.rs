//! Upgrades and rollbacks as they shall go.

use crate::machine::Machine;
use cosette_plugins::testing::has_programs;
use std::time::Duration;

fn versions(machine: &Machine) -> [String; 3] {
    machine.versions().map(Option::unwrap_or_default)
}

#[test]
fn a_new_system_becomes_active_the_old_one_passive_and_what_is_there_already_is_left_alone() {
    let Some(mut machine) = Machine::new() else { return };
    let before = machine.traces();
    let one = machine.source("one");
    let planned = machine.run(0, &["upgrade", "--dry-run", &one]);
    assert!(
        planned.contains("upgrade would take these steps:") && planned.contains("  switch: "),
        "{planned}"
    );
    assert!(
        planned.contains("  fetch: oci-layout:/layouts/one (sha256:") && planned.contains(" KiB)\n"),
        "{planned}"
    );
    assert!(planned.contains("  space: at least ") && planned.contains(" MiB are free\n"), "{planned}");
    assert_eq!(versions(&machine), ["", "", ""]);
    machine.run(0, &["upgrade", &one]);
    assert_eq!(versions(&machine), ["one", "", ""]);
    let (found, known) = machine.digests("active");
    assert_eq!(found, known);
    let again = machine.run(0, &["upgrade", &one]);
    assert!(again.starts_with("nothing to do: the active system is oci-layout:/layouts/one"), "{again}");
    assert!(machine.run(0, &["state"]).contains("tentative, 3 attempts left"));
    machine.run(0, &["state", "--good"]);
    machine.run(0, &["upgrade", &machine.source("two")]);
    assert_eq!(versions(&machine), ["two", "one", ""]);
    // The active system has not proved itself: the passive one, which has, stays.
    machine.run(0, &["upgrade", &machine.source("three")]);
    assert_eq!(versions(&machine), ["three", "one", ""]);
    machine.boot("passive");
    machine.run(0, &["upgrade", &machine.source("four")]);
    assert_eq!(versions(&machine), ["four", "one", ""]);
    machine.boot("active");
    assert_eq!(machine.traces(), before);
    machine.run(0, &["upgrade", "--recovery", &machine.source("five")]);
    assert_eq!(versions(&machine), ["four", "one", "five"]);
    let state = machine.run(0, &["state"]);
    for word in ["booted", "next boot active", "oci-layout:/layouts/five", "tentative"] {
        assert!(state.contains(word), "{state}");
    }
}

#[test]
fn hooks_run_on_the_machine_and_in_the_new_system_and_one_that_fails_changes_nothing() {
    let Some(machine) = Machine::new() else { return };
    let documents = "stages:\n  before-upgrade:\n  - files: [{path: /run/before, content: x}]\n  \
                     after-upgrade-chroot:\n  - files: [{path: /etc/hooked, content: x}]\n  \
                     post-upgrade:\n  - files: [{path: /run/after, content: x}]\n";
    machine.shell(&format!("printf '%s' '{documents}' > $ROOT/oem/90.yaml"));
    let before = machine.traces();
    machine.run(0, &["upgrade", &machine.source("one")]);
    machine.shell("test -e $ROOT/run/before && test -e $ROOT/run/after && ! test -e $ROOT/etc/hooked");
    let image = machine.shell("debugfs -R 'cat /etc/hooked' $ROOT/run/initramfs/cos-state/cOS/active.img");
    assert_eq!(image, "x");
    assert_eq!(machine.traces(), before);
    let failing = "stages: {after-upgrade-chroot: [{name: Broken, directories: [{path: /etc/hooked}]}]}";
    machine.shell(&format!("printf '%s' '{failing}' > $ROOT/oem/91.yaml"));
    let error = machine.run(23, &["upgrade", &machine.source("two")]);
    assert!(error.contains("hook after-upgrade-chroot failed: /oem/91.yaml"), "{error}");
    assert_eq!(versions(&machine), ["one", "", ""]);
    assert_eq!(machine.traces(), before);
    // A person may decide otherwise.
    machine.shell("mkdir -p $ROOT/etc/cosette; echo 'strict: false' > $ROOT/etc/cosette/config.yaml");
    assert!(machine.run(0, &["upgrade", &machine.source("two")]).contains("warning: hook"));
}

#[test]
fn the_boot_menu_calls_the_active_system_what_that_calls_itself() {
    let Some(machine) = Machine::new() else { return };
    let named = |version: &str, name: &str| {
        let text = format!("VERSION={version}\nNAME=Linux\nGRUB_ENTRY_NAME='{name}'\n");
        machine.source_with(version, &[("etc/os-release", &text)])
    };
    let title = || {
        let environment = machine.shell("cat $ROOT/run/initramfs/cos-state/grub_oem_env");
        environment
            .lines()
            .find_map(|line| Some(line.strip_prefix("default_menu_entry=")?.to_owned()))
            .unwrap()
    };
    machine.run(0, &["upgrade", &named("one", "Fleet 1")]);
    assert_eq!(title(), "Fleet 1");
    machine.run(0, &["state", "--good"]);
    machine.run(0, &["upgrade", "--system", &named("two", "Fleet 2")]);
    assert_eq!(title(), "Fleet 2");
    machine.run(0, &["upgrade", "--recovery", &named("three", "Mender")]);
    assert_eq!(title(), "Fleet 2");
    machine.run(0, &["rollback"]);
    assert_eq!(title(), "Fleet 1");
    machine.run(2, &["upgrade", "--system", "a", "b"]);
}

#[test]
fn an_image_has_the_file_system_that_is_configured() {
    let Some(machine) = Machine::new() else { return };
    let images =
        [("one", "squashfs", "mksquashfs"), ("two", "erofs", "mkfs.erofs"), ("three", "ext4", "mke2fs")];
    for (version, file_system, program) in images {
        if !has_programs("file systems of images", &[program]) {
            continue;
        }
        let configuration = format!("echo 'image: {{fs: {file_system}}}' > $ROOT/etc/cosette/config.yaml");
        machine.shell(&format!("mkdir -p $ROOT/etc/cosette; {configuration}"));
        machine.run(0, &["upgrade", &machine.source(version)]);
        let image = "$ROOT/run/initramfs/cos-state/cOS/active.img";
        assert_eq!(machine.shell(&format!("blkid -p -s TYPE -o value {image}")).trim(), file_system);
        let state = machine.run(0, &["state"]);
        assert!(state.contains(&format!("Z, {file_system}, ")), "{state}");
    }
    let both =
        format!("upgrade: {{recovery: true, recovery-system: {{uri: \"{}\"}}}}", machine.source("five"));
    machine.shell(&format!("echo '{both}' > $ROOT/etc/cosette/config.yaml"));
    machine.run(0, &["upgrade", &machine.source("four")]);
    let state = machine.run(0, &["state"]);
    assert!(state.contains("active    oci-layout:/layouts/four"), "{state}");
    assert!(state.contains("recovery  oci-layout:/layouts/five"), "{state}");
    machine.shell("echo 'image: {fs: btrfs}' > $ROOT/etc/cosette/config.yaml");
    let error = machine.run(11, &["upgrade", &machine.source("six")]);
    assert!(error.contains("\"btrfs\" is no file system for images: ext4, squashfs or erofs"), "{error}");
}

#[test]
fn a_second_upgrade_is_refused_at_once_and_the_state_can_be_asked_meanwhile() {
    let Some(machine) = Machine::new() else { return };
    machine.run(0, &["upgrade", &machine.source("one")]);
    let slow = "stages: {before-upgrade: [{name: Slow, commands: [\"touch /run/slow; sleep 8\"]}]}";
    machine.shell(&format!("printf '%s' '{slow}' > $ROOT/oem/90.yaml"));
    let mut first = machine.cosette(&["upgrade", &machine.source("two")]).spawn().unwrap();
    machine.shell("for i in $(seq 100); do test -e $ROOT/run/slow && exit 0; sleep 0.1; done; exit 1");
    let begun = std::time::Instant::now();
    let refused = machine.run(13, &["upgrade", &machine.source("three")]);
    assert!(refused.contains("upgrade is running (process "), "{refused}");
    assert!(begun.elapsed() < Duration::from_secs(2));
    let state = machine.run(0, &["state"]);
    assert!(state.contains("running   upgrade is running") && state.contains("before-upgrade"), "{state}");
    assert!(machine.state().contains(r#""running":{"operation":"upgrade""#));
    assert!(machine.run(0, &["status"]).contains("\nupgrade is running (process "));
    assert!(machine.run(0, &["--json", "status"]).contains(r#""running":{"operation":"upgrade""#));
    let nobody = |arguments: &str| {
        let binary = env!("CARGO_BIN_EXE_cosette");
        machine.shell(&format!(
            "setpriv --reuid 65534 --regid 65534 --clear-groups {binary} --root $ROOT {arguments}"
        ))
    };
    assert!(nobody("status").contains("\nupgrade is running (process "));
    assert!(nobody("state").contains("running   upgrade is running"));
    assert!(first.wait().unwrap().success());
    assert_eq!(versions(&machine)[0], "two");
    assert!(nobody("state").contains("active"));
    assert!(!machine.run(0, &["status"]).contains("is running"));
}

#[test]
fn a_rollback_exchanges_the_systems_or_boots_another_one_once() {
    let Some(mut machine) = Machine::new() else { return };
    machine.run(12, &["rollback"]);
    machine.run(0, &["upgrade", &machine.source("one")]);
    machine.run(0, &["state", "--good"]);
    machine.run(0, &["upgrade", &machine.source("two")]);
    machine.run(0, &["state", "--good"]);
    machine.run(0, &["rollback", "--once"]);
    assert!(machine.run(0, &["state"]).contains("next boot passive"));
    assert_eq!(versions(&machine), ["two", "one", ""]);
    machine.run(0, &["rollback", "--once", "--to", "active"]);
    assert!(machine.run(0, &["rollback", "--dry-run"]).contains("change their names"));
    machine.run(0, &["rollback"]);
    assert_eq!(versions(&machine), ["one", "two", ""]);
    assert!(machine.run(0, &["state"]).contains("tentative"));
    machine.boot("passive");
    machine.run(0, &["rollback"]);
    assert_eq!(versions(&machine), ["two", "one", ""]);
    assert!(machine.run(0, &["state"]).contains("good"));
}

#[test]
fn a_state_that_is_damaged_is_read_from_the_other_partition() {
    let Some(machine) = Machine::new() else { return };
    machine.run(0, &["upgrade", &machine.source("one")]);
    machine.shell(
        "mount -o remount,rw $ROOT/run/initramfs/cos-state && echo > $ROOT/run/initramfs/cos-state/state.yaml && \
         truncate -s 0 $ROOT/run/initramfs/cos-state/state.yaml && printf '# Written' > $ROOT/run/initramfs/cos-state/state.yaml; \
         mount -o remount,ro $ROOT/run/initramfs/cos-state",
    );
    let state = machine.run(0, &["state"]);
    assert!(state.contains("oci-layout:/layouts/one"), "{state}");
    assert!(machine.run(0, &["upgrade", &machine.source("one")]).contains("nothing to do"));
}
