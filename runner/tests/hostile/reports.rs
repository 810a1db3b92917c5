//! `run` from the default sources of a root, the report it keeps, and `status` afterwards.

use crate::machine::Machine;
use serde_json::Value;
use std::fs;
use std::os::unix::fs::MetadataExt;

fn file(name: &str) -> String {
    format!("  - name: {name}\n    files:\n    - {{path: /etc/{name}, content: x}}\n")
}

fn prepare() -> Machine {
    let machine = Machine::new();
    let stages = |stage: &str, steps: &str| format!("stages:\n  {stage}:\n{steps}");
    machine.put("/system/oem/00.yaml", &stages("boot", &file("vendor")));
    machine.put("/oem/10.yaml", &(stages("boot", &file("operator")) + "  boot.after:\n" + &file("after")));
    machine.put("/oem/20.yaml", &stages("boot.before", &file("before")));
    machine.put("/oem/notes.txt", "not read");
    machine.put("/usr/local/cloud-config/a.yaml", &stages("boot", &file("user")));
    machine.put("/oem/99.yaml", "stages:\n  boot:\n  - name: [\n");
    machine
}

#[test]
fn run_takes_all_default_sources_in_order_and_keeps_the_report_for_root_alone() {
    let machine = prepare();
    let ended = machine.cosette(&["--json", "run", "boot"]);
    assert_eq!(ended.status, Some(1), "one document is broken: {ended:#?}");
    let report = ended.report();
    let names: Vec<_> =
        report["steps"].as_array().unwrap().iter().map(|step| step["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["before", "vendor", "operator", "user", "after"]);
    assert_eq!(
        ended.diagnostics(),
        [
            "99.yaml:3:11: the bracket `[` is not closed; close it, or put the value in quotes if the bracket belongs to it"
        ]
    );
    let kept: Value = serde_json::from_str(&machine.text("/run/cosette/boot.json").unwrap()).unwrap();
    assert_eq!(kept, report);
    assert_eq!(fs::metadata(machine.root("/run/cosette/boot.json")).unwrap().mode() & 0o7777, 0o600);
    let inode = || fs::metadata(machine.root("/run/cosette/boot.json")).unwrap().ino();
    let before = fs::File::open(machine.root("/run/cosette/boot.json")).unwrap();
    machine.cosette(&["run", "boot"]);
    assert_ne!(inode(), before.metadata().unwrap().ino(), "it is replaced, not written over");
    assert_eq!(fs::read_dir(machine.root("/run/cosette")).unwrap().count(), 1, "nothing is left behind");
}

#[test]
fn the_exit_status_of_run_follows_the_contract() {
    let machine = prepare();
    assert_eq!(machine.cosette(&["run", "boot"]).status, Some(1), "a broken document among others");
    assert_eq!(machine.cosette(&["run", "empty"]).status, Some(3), "nothing but a broken document");
    fs::remove_file(machine.root("/oem/99.yaml")).unwrap();
    assert_eq!(machine.cosette(&["run", "boot"]).status, Some(0));
    assert_eq!(machine.cosette(&["run", "empty"]).status, Some(0), "nothing to do");
    assert_eq!(machine.cosette(&["run"]).status, Some(2));
    machine.put(
        "/oem/50.yaml",
        "stages:\n  boot:\n  - name: Broken\n    files:\n    - {path: /etc, content: x}\n",
    );
    assert_eq!(machine.cosette(&["run", "boot"]).status, Some(1), "a step fails");
    let bare = Machine::new();
    assert_eq!(bare.cosette(&["run", "boot"]).status, Some(0), "no source at all");
}

#[test]
fn status_shows_what_failed_first() {
    let machine = prepare();
    let nothing = machine.cosette(&["status"]);
    assert_eq!((nothing.status, nothing.stdout.lines().count()), (Some(0), 1), "{nothing:#?}");
    fs::remove_file(machine.root("/oem/99.yaml")).unwrap();
    machine.cosette(&["run", "rootfs"]);
    machine.cosette(&["run", "boot"]);
    let well = machine.cosette(&["status"]);
    assert_eq!(well.status, Some(0), "{well:#?}");
    machine.put(
        "/oem/50.yaml",
        "stages:\n  fs:\n  - name: Broken\n    files:\n    - {path: /etc, content: x}\n",
    );
    machine.cosette(&["run", "fs"]);
    let failed = machine.cosette(&["status"]);
    assert_eq!(failed.status, Some(1), "{failed:#?}");
    let lines: Vec<_> = failed.stdout.lines().collect();
    assert!(lines[0].starts_with("failed    Broken  /oem/50.yaml:3"), "{lines:#?}");
    let stages: Vec<_> =
        lines.iter().filter_map(|line| line.split_once(": ")?.0.split(' ').next_back()).collect();
    assert!(stages.ends_with(&["rootfs", "boot", "fs"]), "in the order in which they ran: {lines:#?}");
    let json = machine.cosette(&["--json", "status"]);
    let reports: Value = serde_json::from_str(&json.stdout).unwrap();
    let results: Vec<_> = reports["reports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|report| report["result"].as_str().unwrap())
        .collect();
    assert_eq!((json.status, results), (Some(1), vec!["applied", "applied", "failed"]));
}

#[test]
fn status_waits_for_the_stages_whose_units_are_enabled_and_no_longer_than_it_is_told() {
    let machine = prepare();
    fs::remove_file(machine.root("/oem/99.yaml")).unwrap();
    let nothing = machine.cosette(&["status", "--wait"]);
    assert!(
        nothing.status == Some(1) && nothing.stderr.contains("there is nothing to wait for"),
        "{nothing:#?}"
    );
    for stage in ["fs", "boot"] {
        machine.put(&format!("/etc/systemd/system/multi-user.target.wants/cos-setup-{stage}.service"), "");
    }
    machine.cosette(&["run", "fs"]);
    let late = machine.cosette(&["--json", "status", "--wait", "--timeout", "1"]);
    assert!(late.stderr.contains("after 1s these stages have not ended: boot"), "{late:#?}");
    let told: Value = serde_json::from_str(&late.stdout).unwrap();
    assert_eq!((late.status, &told["missing"][0]), (Some(1), &Value::from("boot")));
    let well = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(std::time::Duration::from_millis(500));
            machine.cosette(&["run", "boot"])
        });
        machine.cosette(&["status", "--wait", "--timeout", "2min"])
    });
    assert!(well.status == Some(0) && well.stdout.contains("boot: "), "{well:#?}");
    machine.put(
        "/oem/50.yaml",
        "stages:\n  fs:\n  - name: Broken\n    files:\n    - {path: /etc, content: x}\n",
    );
    machine.cosette(&["run", "fs"]);
    assert_eq!(machine.cosette(&["status", "--wait"]).status, Some(1));
}

#[test]
fn status_tells_of_a_broken_document_too() {
    let machine = prepare();
    machine.cosette(&["run", "boot"]);
    let status = machine.cosette(&["status"]);
    assert_eq!(status.status, Some(1));
    assert!(status.stdout.contains("/oem/99.yaml:3:11: the bracket"), "{status:#?}");
}

#[test]
fn a_report_that_is_damaged_does_not_hide_the_others() {
    let machine = prepare();
    machine.cosette(&["run", "boot"]);
    machine.put("/run/cosette/fs.json", "{\"stage\":");
    machine.put("/run/cosette/other", "");
    let status = machine.cosette(&["status"]);
    assert_eq!(status.status, Some(1));
    assert!(
        status.stderr.contains("fs.json is not a report") && status.stdout.contains("boot: "),
        "{status:#?}"
    );
}

#[test]
fn a_stage_with_a_strange_name_is_kept_in_the_directory_of_reports() {
    let machine = Machine::new();
    for stage in ["../../etc/x", "a/b", ".", "..", "a b", "\u{e4}"] {
        let ended = machine.cosette(&["run", stage]);
        assert_eq!(ended.status, Some(0), "{stage}: {ended:#?}");
        assert!(!ended.stderr.contains("the report is not kept"), "{stage}: {ended:#?}");
    }
    assert_eq!(fs::read_dir(machine.root("/etc")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(machine.root("/run/cosette")).unwrap().count(), 6);
}
