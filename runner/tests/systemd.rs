//! The `systemctl` key and the journal against a real systemd, which is booted in namespaces: see `systemd/boot.sh`.
//!
//! It needs root, and a machine that has systemd installed.

#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "it is a test")]
#![allow(clippy::unwrap_used, reason = "it is a test")]

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

const COSETTE: &str = env!("CARGO_BIN_EXE_cosette");

/// A systemd that runs.
struct Booted {
    directory: tempfile::TempDir,
    script: Child,
    process: String,
}

/// What came of running cosette.
struct Run {
    status: i32,
    report: String,
    took: Duration,
}

impl Booted {
    /// Boots; nothing where that is not possible.
    fn boot(with_bus: bool) -> Option<Self> {
        let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/systemd");
        if !nix::unistd::geteuid().is_root() || !Path::new("/lib/systemd/systemd").exists() {
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: booting systemd: it needs root, and systemd installed");
            return None;
        }
        if with_bus && !Path::new("/usr/bin/dbus-daemon").exists() {
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: systemd behind a bus: dbus-daemon is not installed");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for name in ["units", "documents"] {
            let copied = Command::new("cp").arg("-R").arg(files.join(name)).arg(directory.path()).status();
            assert!(copied.unwrap().success());
        }
        if !with_bus {
            for unit in ["dbus.service", "dbus.socket"] {
                std::os::unix::fs::symlink("/dev/null", at("units").join(unit)).unwrap();
            }
        }
        let mut script = Command::new("unshare");
        script.arg("--mount").arg(files.join("boot.sh")).arg(directory.path()).arg(COSETTE);
        let log = std::fs::File::create(at("log")).unwrap();
        let script = script.stdin(Stdio::null()).stderr(log).spawn().unwrap();
        let mut booted = Self { directory, script, process: String::new() };
        let is_settled = || {
            booted.process = std::fs::read_to_string(booted.at("pid")).unwrap_or_default().trim().to_owned();
            booted.script.try_wait().unwrap().is_some()
                || (!booted.process.is_empty()
                    && booted.sh("systemctl is-active booted.target").status.success())
        };
        assert!(wait_for(is_settled), "it does not come up: {}", booted.messages());
        if booted.script.try_wait().unwrap().is_some() {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: booting systemd: the kernel does not allow it here: {}",
                booted.messages()
            );
            return None;
        }
        Some(booted)
    }

    /// A command on the booted machine.
    fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.process, "-m", "-p", "-C", "-u", "-i", "-n", "-r", "--wd=/"]);
        command.args(["/bin/sh", "-c", line]).stdin(Stdio::null());
        command
    }

    fn sh(&self, line: &str) -> Output {
        self.command(line).output().unwrap()
    }

    fn text(&self, line: &str) -> String {
        String::from_utf8(self.sh(line).stdout).unwrap()
    }

    /// Runs the stage of the document of the same name.
    fn cosette(&self, name: &str) -> Run {
        let start = Instant::now();
        let output =
            self.sh(&format!("exec timeout 60 /cosette apply -s {name} --json /documents/{name}.yaml"));
        Run {
            status: output.status.code().unwrap_or(-1),
            report: String::from_utf8_lossy(&output.stdout).into_owned(),
            took: start.elapsed(),
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What is known of a boot that went wrong.
    fn messages(&self) -> String {
        let read = |name: &str| std::fs::read_to_string(self.at(name)).unwrap_or_default();
        let jobs = self.text("systemctl list-jobs --no-pager; journalctl -b --no-pager -n 50");
        format!("{}{}{jobs}", read("log"), read("console"))
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // All its processes end with it, and the script tidies up.
        if let Ok(process) = self.process.parse() {
            let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
        }
        let _ = self.script.wait();
    }
}

impl Run {
    #[track_caller]
    fn assert_says(&self, parts: &[&str]) {
        for part in parts {
            assert!(self.report.contains(part), "`{part}` is missing in {}", self.report);
        }
    }
}

fn wait_for(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + Duration::from_secs(60);
    while Instant::now() < end {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    false
}

fn effect(target: &str, changed: bool) -> String {
    format!(r#""action":"systemd","target":"{target}","changed":{changed}"#)
}

/// Neither would the boot have ended if it had waited for what waits for the boot.
#[test]
fn units_start_stop_and_fail_without_a_bus_and_the_boot_goes_on() {
    let Some(machine) = Booted::boot(false) else { return };
    assert!(!machine.sh("test -e /run/dbus/system_bus_socket").status.success());

    let caller = machine.text("cat /run/caller.json");
    for part in [
        effect("start good.service", true),
        effect("start late.service (queued, to be done after caller.service)", true),
        r#""outcome":"applied""#.to_owned(),
    ] {
        assert!(caller.contains(&part), "`{part}` is missing in {caller}");
    }
    assert!(wait_for(|| machine.sh("systemctl is-active late").status.success()));

    let run = machine.cosette("works");
    assert_eq!(run.status, 0, "{}", run.report);
    run.assert_says(&[
        &effect("daemon-reload", true),
        &effect("start configured.service", true),
        &effect("start first.service", true),
        &effect("start second.service", true),
        &effect("reload configured.service", true),
    ]);
    assert_eq!(machine.text("cat /run/configured"), "new\nreloaded\n");
    assert!(
        machine
            .sh("systemctl is-active first second both && systemctl is-enabled good both")
            .status
            .success()
    );
    let again = machine.cosette("works");
    assert!(!again.report.contains("daemon-reload"), "{}", again.report);
    again.assert_says(&[&effect("start configured.service", false), &effect("start first.service", false)]);

    let run = machine.cosette("fails");
    assert_eq!(run.status, 1, "{}", run.report);
    run.assert_says(&[
        &effect("stop good.service", true),
        &effect("stop second.service", true),
        &effect("start good.service", true),
        "there is no unit nowhere.service to stop",
        "cannot start bad.service: it has failed (exit-code, status 3); the end of its journal:",
        "its last words",
        "cannot start needy.service: a unit that it needs has not started; the end of its journal:",
        "cannot start second.service: Unit second.service is masked; `unmask` it first",
        "cannot start nowhere.service: Unit nowhere.service not found",
        "cannot reload slow.service: ",
    ]);

    let start = Instant::now();
    let stopped = machine.sh("timeout -s TERM 1 /cosette apply -s slow /documents/slow.yaml");
    assert_eq!(stopped.status.code(), Some(124), "{}", String::from_utf8_lossy(&stopped.stderr));
    assert!(start.elapsed() < Duration::from_secs(20));
    assert!(machine.text("systemctl show -p ActiveState slow").contains("activating"));
}

#[test]
fn behind_a_bus_the_same_happens() {
    let Some(machine) = Booted::boot(true) else { return };
    assert!(wait_for(|| machine.sh("test -S /run/dbus/system_bus_socket").status.success()));
    assert!(machine.sh("mount --bind /documents/slow.yaml /run/systemd/private").status.success());
    let run = machine.cosette("works");
    assert_eq!(run.status, 0, "{}", run.report);
    run.assert_says(&[&effect("daemon-reload", true), &effect("start first.service", true)]);
    assert!(run.took < Duration::from_secs(30));
    assert_eq!(machine.text("cat /run/configured"), "new\nreloaded\n");

    // What takes its time is named meanwhile.
    let start = "systemd-run --no-block -u at-work -p Type=oneshot -p NotifyAccess=main";
    assert!(machine.sh(&format!("{start} /cosette apply -s slow /documents/slow.yaml")).status.success());
    let shown = || machine.text("systemctl show -P StatusText at-work.service");
    assert!(wait_for(|| shown() == "slow: step 1: (no name)  /documents/slow.yaml:3\n"), "{}", shown());
    assert!(machine.sh("systemctl stop at-work.service").status.success());

    // Whoever may not, is told.
    let said = machine.text(
        "setpriv --reuid 65534 --regid 65534 --clear-groups /cosette apply -s slow /documents/slow.yaml 2>&1",
    );
    assert!(said.contains("; run as root"), "{said}");
}

/// A field of all entries that the journal shows for these arguments.
fn entries(machine: &Booted, arguments: &str) -> Vec<serde_json::Value> {
    let text = machine.text(&format!("journalctl --sync; journalctl -o json {arguments}"));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn the_journal_has_fields_that_lead_to_the_document_and_status_the_time() {
    let Some(machine) = Booted::boot(false) else { return };
    assert!(!machine.sh("systemctl start told.service").status.success());
    let of_unit = || entries(&machine, "-u told.service -t cosette");
    assert!(wait_for(|| of_unit()
        .iter()
        .any(|entry| entry["MESSAGE"].as_str().unwrap().starts_with("told: "))));

    let found: Vec<String> = of_unit()
        .iter()
        .map(|entry| {
            assert_eq!(entry["_TRANSPORT"], "journal", "{entry}");
            let fields =
                ["PRIORITY", "COSETTE_STAGE", "COSETTE_STEP", "COSETTE_OUTCOME", "CODE_FILE", "CODE_LINE"];
            fields.map(|field| entry[field].as_str().unwrap_or("-")).join("|")
        })
        .collect();
    assert_eq!(
        found,
        [
            "6|told|Works|applied|/documents/told.yaml|3",
            "7|told|Skipped|skipped|/documents/told.yaml|6",
            "3|told|Fails\nPRIORITY=0|failed|/documents/told.yaml|8",
            "3|told|Fails\nPRIORITY=0|-|/documents/told.yaml|9",
            "6|told|-|applied|/documents/told.yaml|10",
            "4|told|-|-|/documents/told.yaml|10",
            "3|told|-|failed|-|-",
        ]
    );
    let failed = entries(&machine, "-t cosette -p err COSETTE_STAGE=told");
    assert_eq!(failed.len(), 3);
    assert!(failed[1]["MESSAGE"].as_str().unwrap().contains("cannot start nowhere.service"), "{failed:?}");

    let status = machine.text("/cosette status");
    let line = status.lines().last().unwrap();
    assert!(line.starts_with("told: 2 applied, 1 skipped, 1 failed; 1 change in "), "{status}");
    assert!(line.contains(" ms, begun 20") && line.ends_with(" s after the kernel"), "{status}");

    let shown = machine.text("systemctl show -P StatusText told.service");
    assert!(shown.starts_with("told: 2 applied, 1 skipped, 1 failed; 1 change in "), "{shown}");

    // Nobody listens at the socket.
    assert!(!machine.sh("systemctl start told-plainly.service").status.success());
    let plain = || entries(&machine, "-t plain");
    assert!(wait_for(|| plain()
        .iter()
        .any(|entry| entry["MESSAGE"].as_str().unwrap().starts_with("told: "))));
    assert!(plain().iter().all(|entry| entry["_TRANSPORT"] == "stdout"));
    assert!(plain().iter().any(|entry| entry["MESSAGE"] == "skipped   Skipped  /documents/told.yaml:6"));
}
