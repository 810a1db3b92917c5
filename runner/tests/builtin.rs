//! The default OEM set on machines of every kind: it has nothing to complain about, does what each document
//! says, and a second time changes nothing.

#![allow(clippy::unwrap_used, missing_docs)]

use cosette::report::Outcome;
use cosette::source::{Place, Source};
use cosette::stage::Documents;
use cosette_plugins::System;
use cosette_plugins::system::Mode;
use cosette_plugins::testing::{FakeHost, Machine};
use std::path::Path;
use std::sync::Arc;

/// What a boot runs, as far as the set has something for it.
const BOOT: &[&str] = &["rootfs", "initramfs", "boot"];

/// A system like any other, with a root account that nobody has given a password.
const CONTAINER: &str = "\
-- /etc/hostname
box
-- /etc/hosts
127.0.0.1 localhost
-- /etc/issue
Debian
-- /etc/passwd
root:x:0:0:root:/root:/bin/sh
-- /etc/shadow 0640
root::19000:0:99999:7:::
-- /etc/group
root:x:0:
-- /etc/resolv.conf
nameserver 10.0.0.1
";

/// An installed system, whose image has a root password, networkd and resolved.
const INSTALLED: &str = "\
-- /dev/disk/by-label/COS_STATE -> ../../sda3
-- /dev/disk/by-label/COS_PERSISTENT -> ../../sda5
-- /dev/sda3
-- /dev/sda5
-- /etc/passwd
root:x:0:0:root:/root:/bin/sh
-- /etc/shadow 0640
root:$6$a$b:19000:0:99999:7:::
-- /etc/group
root:x:0:
-- /usr/bin/systemd-firstboot 0755
-- /usr/lib/systemd/systemd-networkd 0755
-- /usr/lib/systemd/systemd-resolved 0755
";

const UPGRADES: &str = "-- /etc/cos-upgrade-image\nCHANNEL_UPGRADES=false\nUPGRADE_IMAGE=\"\"\n";
const GREETINGS: &str = "-- /etc/issue\n\\S{PRETTY_NAME} (\\m) on \\l\n\n\
    -- /etc/motd\nThis system is immutable: most changes are gone after a reboot.\n\
    Configuration that shall stay belongs into /oem.\n";
const LAYOUT: &str = "-- /run/cos/cos-layout.env\n\
    VOLUMES=\"LABEL=COS_OEM:/oem LABEL=COS_PERSISTENT:/usr/local\"\nOVERLAY=tmpfs:25%\n\
    PERSISTENT_STATE_PATHS=\"/etc/ssh /home /opt /root /var/log\"\n";
const DHCP: &str = "-- /etc/systemd/network/80-dhcp.network\n[Match]\nName=en* eth*\n\n[Network]\nDHCP=yes\n";

/// Runs a boot twice and returns the commands of the first. `tree` is what differs afterwards.
#[track_caller]
fn boot(machine: &Machine, tree: &str) -> Vec<String> {
    let first = stages(machine, false);
    machine.assert_tree(tree);
    stages(machine, true);
    machine.assert_tree(tree);
    first
}

#[track_caller]
fn stages(machine: &Machine, unchanged: bool) -> Vec<String> {
    let files = System::new(Path::new("/"), Arc::new(FakeHost::new()), Mode::Plan).unwrap();
    for stage in BOOT {
        let report = Documents::read(&[Source::Builtin], &Place::root(&files))
            .plan(stage)
            .execute(&machine.system(Mode::Apply), &mut ());
        assert!(report.diagnostics.is_empty(), "{stage}: {:#?}", report.diagnostics);
        for step in &report.steps {
            assert!(step.outcome != Outcome::Failed, "{stage}: {step:#?}");
            let changed = step.effects.iter().any(|effect| effect.changed && effect.action != "run");
            assert!(!(unchanged && changed), "{stage}: {step:#?}");
        }
    }
    machine.host.take_commands()
}

#[test]
fn on_any_machine_it_brands_it_and_locks_a_root_without_password() {
    let machine = Machine::new(CONTAINER);
    machine.host.kernel_file("/proc/cmdline", "quiet\n");
    let commands = boot(
        &machine,
        &format!(
            "{LAYOUT}{UPGRADES}{GREETINGS}-- /etc/shadow 0640\nroot:!:19000:0:99999:7:::\n-- /etc/.pwd.lock 0600\n"
        ),
    );
    assert_eq!(commands, ["grep -q '^root::' /etc/shadow"]);
}

#[test]
fn on_an_installed_system_it_keeps_the_machine_id_and_leaves_a_password_alone() {
    let machine = Machine::new(INSTALLED);
    machine.host.answer("grep -q '^root::'", 1, "");
    let commands = boot(
        &machine,
        &format!(
            "{LAYOUT}{UPGRADES}{GREETINGS}{DHCP}-- /etc/hostname\ncosette\n\
             -- /etc/hosts\n127.0.0.1 localhost cosette\n::1 localhost\n-- /usr/local/etc/\n"
        ),
    );
    assert_eq!(commands.len(), 3, "{commands:#?}");
    assert!(commands[0].contains("systemd-machine-id-setup"), "{commands:#?}");
    assert_eq!(commands[1], "systemd-firstboot --keymap=us --locale=C.UTF-8");
}

#[test]
fn the_recovery_system_touches_no_persistent_partition_and_says_what_it_is() {
    let machine = Machine::new(&format!("{INSTALLED}-- /run/cos/recovery_mode\n1\n-- /etc/hostname\nbox\n"));
    machine.host.answer("grep -q '^root::'", 1, "");
    let commands = boot(
        &machine,
        &format!(
            "-- /run/cos/cos-layout.env\nVOLUMES=\"LABEL=COS_OEM:/oem\"\nOVERLAY=tmpfs:25%\n\
             {UPGRADES}{DHCP}-- /etc/hostname\nrecovery\n-- /etc/hosts\n127.0.0.1 localhost recovery\n::1 localhost\n\
             -- /etc/issue\n\\S{{PRETTY_NAME}} (\\m) on \\l: recovery\n\n-- /etc/motd\n\
             This is the recovery system. It can repair, upgrade or install anew the system on this machine.\n"
        ),
    );
    assert_eq!(commands, ["systemd-firstboot --keymap=us --locale=C.UTF-8", "grep -q '^root::' /etc/shadow"]);
}
