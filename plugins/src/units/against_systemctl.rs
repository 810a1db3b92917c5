//! The same operations with the real systemctl and with ours, on copies of one tree: the trees and the
//! success of each operation must be the same.

use super::{Report, UnitName, disable, enable, enable_file, mask, unmask};
use crate::system::Mode;
use crate::testing::{Machine, Tree};
use anyhow::Result;
use std::path::Path;

/// Units with everything that an `[Install]` section may hold, good and bad.
const UNITS: &str = "\
-- /usr/lib/systemd/system/multi-user.target
[Unit]
-- /usr/lib/systemd/system/sockets.target
[Unit]
-- /usr/lib/systemd/system/getty.target
[Unit]
-- /usr/lib/systemd/system/web.service
[Service]
ExecStart=/bin/true
[Install]
WantedBy=multi-user.target
Alias=www.service http.service
Also=web.socket
-- /usr/lib/systemd/system/web.socket
[Install]
WantedBy=sockets.target
RequiredBy=web.service
-- /usr/lib/systemd/system/static.service
[Service]
-- /usr/lib/systemd/system/getty@.service
[Install]
WantedBy=getty.target
DefaultInstance=tty1
-- /usr/lib/systemd/system/autovt@.service -> getty@.service
-- /usr/lib/systemd/system/noinstance@.service
[Install]
WantedBy=getty.target
-- /usr/lib/systemd/system/specifiers-last@.service
[Install]
WantedBy=%i-%p-%j.target
RequiredBy=%N.target
Alias=%p-other@.service
Also=%p@%i.socket
-- /usr/lib/systemd/system/unescaped@.service
[Install]
WantedBy=%I.target
-- /usr/lib/systemd/system/to-template@.service
[Install]
WantedBy=any@.target
-- /usr/lib/systemd/system/orphan.service
[Install]
WantedBy=nowhere.target
-- /usr/lib/systemd/system/also-missing.service
[Install]
Also=missing.service
WantedBy=multi-user.target
-- /usr/lib/systemd/system/also-masked.service
[Install]
Also=masked.service
WantedBy=multi-user.target
-- /usr/lib/systemd/system/also-circle.service
[Install]
Also=also-circle.service also-missing.service
-- /usr/lib/systemd/system/aliases.service
[Install]
Alias=multi-user.target.wants/aliases.service multi-user.target.wants/other.service getty.target.d/aliases.service
Alias=fine.service other.socket template@.service aliases.service ../../escape.service
-- /usr/lib/systemd/system/instance-alias@.service
[Install]
Alias=same@.service getty.target.wants/instance-alias@x.service other@y.service
-- /usr/lib/systemd/system/continued.service
[Install]
WantedBy = \"multi-user.target\" sockets.target \\
# a comment
   getty.target
-- /usr/lib/systemd/system/forgotten.service
[Install]
WantedBy=multi-user.target
WantedBy=
WantedBy=sockets.target
-- /usr/lib/systemd/system/hostile.service
[Install]
WantedBy=foo/bar.target ../../x.target \\x2fx.target multi-user.target
-- /usr/lib/systemd/system/malformed.service
[Unit]
[Install
WantedBy=multi-user.target
-- /usr/lib/systemd/system/noise.service
nonsense before
[Install]
no equals sign
WantedBy=multi-user.target
-- /usr/lib/systemd/system/data.mount
[Install]
WantedBy=multi-user.target
Alias=other.mount
-- /usr/lib/systemd/system/changed.service
[Install]
WantedBy=multi-user.target
-- /usr/lib/systemd/system/changed.service.d/10-vendor.conf
[Install]
WantedBy=getty.target
-- /etc/systemd/system/changed.service.d/20-more.conf
[Install]
WantedBy=
WantedBy=sockets.target
Alias=renamed.service
-- /usr/lib/systemd/system/changed.service.d/20-more.conf
[Install]
WantedBy=overridden.target
-- /usr/lib/systemd/system/getty@tty9.service.d/x.conf
[Install]
WantedBy=multi-user.target
-- /usr/lib/systemd/system/getty@.service.d/y.conf
[Install]
WantedBy=sockets.target
-- /usr/lib/systemd/system/vendor.service
[Install]
WantedBy=getty.target
-- /etc/systemd/system/vendor.service
[Install]
WantedBy=multi-user.target
-- /usr/lib/systemd/system/masked.service -> /dev/null
-- /usr/lib/systemd/system/empty.service
-- /usr/lib/systemd/system/loop1.service -> loop2.service
-- /usr/lib/systemd/system/loop2.service -> loop1.service
-- /usr/lib/systemd/system/wrong.service -> web.socket
-- /usr/lib/systemd/system/dangling.service -> gone.service
-- /usr/lib/systemd/system/directory.service/
-- /opt/linked.service
[Install]
WantedBy=multi-user.target
-- /etc/systemd/system/linked.service -> /opt/linked.service
-- /opt/new.service
[Install]
WantedBy=multi-user.target
Alias=newer.service
-- /opt/new@.service
[Install]
WantedBy=multi-user.target
-- /etc/systemd/system/getty.target.wants/web.service -> ../../../../usr/lib/systemd/system/web.service
-- /etc/systemd/system/sockets.target.wants/web.service -> /usr/lib/systemd/system/static.service
-- /etc/systemd/system/taken.service
[Service]
";

const SEQUENCES: &[&[&str]] = &[
    &["enable web", "enable web", "disable web", "disable web"],
    &["enable web", "disable www"],
    &["enable web", "disable web.socket"],
    &["enable http", "enable web"],
    &["enable static", "disable static"],
    &["enable getty@.service", "disable getty@.service"],
    &["enable getty@tty5", "enable getty@", "disable getty@tty5", "disable getty@.service"],
    &["enable getty@tty9", "enable getty@tty8"],
    &["enable autovt@tty2", "disable autovt@tty2"],
    &["enable autovt@", "disable getty@"],
    &["enable noinstance@", "enable noinstance@a", "disable noinstance@"],
    &["enable specifiers-last@a-b", "disable specifiers-last@a-b"],
    &["enable unescaped@x"],
    &["enable to-template@", "enable to-template@x"],
    &["enable orphan", "disable orphan"],
    &["enable also-missing", "disable also-missing", "enable also-masked", "enable also-circle"],
    &["enable aliases", "disable fine"],
    &["enable instance-alias@x", "enable instance-alias@", "disable same@x"],
    &["enable continued", "enable forgotten", "enable noise", "disable continued"],
    &["enable hostile"],
    &["enable malformed"],
    &["enable data.mount"],
    &["enable changed", "disable changed"],
    &["enable vendor", "disable vendor"],
    &["enable masked", "disable masked", "enable empty", "disable empty"],
    &["enable loop1", "disable loop1", "enable wrong", "enable dangling", "disable dangling"],
    &["enable directory"],
    &["enable linked", "disable linked"],
    &["enable /opt/new.service", "enable new", "disable new"],
    &["enable /opt/new@.service", "enable new@x", "disable new@x"],
    &["enable /opt/linked.service", "enable /usr/lib/systemd/system/web.service", "enable /opt/none.service"],
    &["enable missing", "disable missing", "enable missing.timer", "disable missing@x"],
    &["mask web", "mask web", "enable web", "disable web", "unmask web", "unmask web", "enable web"],
    &["enable web", "mask web", "disable web", "unmask web", "disable web"],
    &["enable web", "mask www", "unmask www"],
    &["mask linked", "mask taken", "unmask linked", "unmask taken", "unmask missing"],
    &["mask missing", "mask getty@", "enable getty@tty1", "mask org.example", "unmask getty@"],
    &["mask getty@tty1", "enable getty@", "enable getty@tty2", "mask getty.target", "enable getty@tty3"],
];

#[test]
fn every_sequence_leaves_the_same_tree() {
    if !systemctl(&["--version"]) {
        eprintln!("SKIPPED: systemctl(1) is not installed here, there is nothing to compare with");
        return;
    }
    let mut differences = String::new();
    for sequence in SEQUENCES {
        let (theirs, ours) = (Machine::new(UNITS), Machine::new(UNITS));
        for operation in *sequence {
            let (verb, unit) = operation.split_once(' ').unwrap();
            let root = format!("--root={}", theirs.root().display());
            let their_success = systemctl(&[&root, verb, unit]);
            let result = operate(&ours, verb, unit);
            let our_success = result.as_ref().is_ok_and(|report| report.errors.is_empty());
            let (their_links, our_links) = (links(&theirs), links(&ours));
            // Of what cannot be disabled systemctl only tells; so do we, but for the strangest of it.
            if our_links != their_links || verb != "disable" && our_success != their_success {
                differences += &format!(
                    "{operation:?} of {sequence:?}: {result:#?}\n\
                     === systemctl: {their_success}\n{their_links}=== ours: {our_success}\n{our_links}"
                );
                break;
            }
        }
    }
    assert!(differences.is_empty(), "{differences}");
}

fn operate(machine: &Machine, verb: &str, unit: &str) -> Result<Report> {
    let sys = machine.system(Mode::Apply);
    match verb {
        "enable" if unit.starts_with('/') => enable_file(&sys, Path::new(unit)),
        "enable" => enable(&sys, &UnitName::complete(unit)?),
        "disable" => disable(&sys, &UnitName::complete(unit)?),
        "mask" => mask(&sys, &UnitName::complete(unit)?),
        _ => unmask(&sys, &UnitName::complete(unit)?),
    }
}

/// The links of the configuration, and what else is left there.
fn links(machine: &Machine) -> String {
    let tree = Tree::read(machine.root(), &machine.host).unwrap().to_string();
    let lines = tree.split_inclusive('\n').filter(|line| line.starts_with("-- /etc/systemd/system/"));
    lines.collect()
}

#[allow(clippy::disallowed_methods, reason = "the real tool, outside of any root")]
fn systemctl(arguments: &[&str]) -> bool {
    std::process::Command::new("systemctl")
        .args(arguments)
        .arg("--quiet")
        .output()
        .is_ok_and(|output| output.status.success())
}
