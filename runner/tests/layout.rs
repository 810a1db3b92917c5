//! The layout of a real disk, by the binary, which is killed at every step on the way.

#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests look at the machine from outside")]

use cosette_plugins::testing::{LoopDisk, run};
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

const PROGRAMS: [&str; 7] = ["strace", "pgrep", "sgdisk", "partx", "blkid", "mkfs.ext4", "mkfs.vfat"];

fn document(directory: &Path, disk: &str, layout: &str) -> String {
    let path = directory.join("layout.yaml");
    let text =
        format!("stages:\n  rootfs:\n  - layout:\n      device: {{path: {disk}, init_disk: true}}\n{layout}");
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn cosette(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cosette"));
    command.args(arguments).env_remove("COSETTE_ROOT");
    command
}

/// The same under strace(1), which kills it at the so many-th call.
fn killed_at(call: &str, number: u32, arguments: &[&str]) -> Output {
    let inject = format!("inject={call}:signal=KILL:when={number}");
    let trace = format!("trace={call}");
    let mut command = Command::new("strace");
    command.args(["-qq", "-o", "/dev/null", "-e", &trace, "-e", &inject, env!("CARGO_BIN_EXE_cosette")]);
    command.args(arguments).output().unwrap()
}

/// What sgdisk(8) says of the table, whatever its state is.
fn table(disk: &str) -> Vec<u8> {
    Command::new("sgdisk").args(["-p", disk]).output().unwrap().stdout
}

fn verified(disk: &str) -> bool {
    let words = run("sgdisk", &["-v", disk]);
    words.contains("No problems found")
}

#[test]
fn killed_at_any_step_the_next_run_completes_the_layout() {
    let directory = tempfile::tempdir().unwrap();
    let (mut kills, mut repaired) = (0, 0);
    // Writes to the disk, waiting for it, what the kernel is told, and the programs that make file systems.
    for call in ["pwrite64", "fsync", "ioctl", "clone,clone3,vfork,fork", "ppoll,poll"] {
        for number in 1.. {
            let Some(disk) = LoopDisk::new(96, &PROGRAMS) else { return };
            let layout = "      add_partitions:\n\
                \x20     - {pLabel: efi, fsLabel: EFI, size: 16, filesystem: vfat}\n\
                \x20     - {fsLabel: OEM, size: 8, filesystem: ext4}\n\
                \x20     - {pLabel: rest, fsLabel: REST, filesystem: ext4}\n";
            let path = document(directory.path(), disk.path(), layout);
            let arguments = ["apply", "-q", "-s", "rootfs", &path];
            let output = killed_at(call, number, &arguments);
            let killed = output.status.code() != Some(0);
            kills += u32::from(killed);
            // What it had started may still be at work.
            let working = format!("^mk.*{}", disk.path());
            let is_working =
                || Command::new("pgrep").args(["-f", &working]).output().unwrap().status.success();
            while is_working() {
                std::thread::sleep(Duration::from_millis(20));
            }
            let first = table(disk.path());
            // Sometimes as after a restart, when the kernel knows only what the table says.
            if number % 2 == 0 {
                disk.forget_partitions();
            }
            let second = cosette(&arguments).output().unwrap();
            assert!(second.status.success(), "{call} {number}: {}", String::from_utf8_lossy(&second.stderr));
            assert!(verified(disk.path()), "{call} {number}");
            let found: Vec<_> = (1..=3)
                .map(|number| run("blkid", &["-p", "-s", "LABEL", "-o", "value", &disk.partition(number)]))
                .collect();
            assert_eq!(found, ["EFI\n", "OEM\n", "REST\n"], "{call} {number}");
            let third = cosette(&["apply", "--json", "-s", "rootfs", &path]).output().unwrap();
            let report = String::from_utf8_lossy(&third.stdout).into_owned();
            assert!(report.contains("\"changed\":0"), "{call} {number}: {report}");
            repaired += u32::from(killed && first != table(disk.path()));
            if !killed {
                break;
            }
        }
    }
    assert!(kills > 30, "{kills} kills");
    assert!(repaired > 5, "{repaired} of {kills} kills left something to do");
}

#[test]
fn a_plan_shows_the_table_before_and_after() {
    let directory = tempfile::tempdir().unwrap();
    let Some(disk) = LoopDisk::new(1024, &PROGRAMS) else { return };
    let add = "      add_partitions:\n      - {pLabel: oem, fsLabel: COS_OEM, size: 64}\n";
    let path = document(directory.path(), disk.path(), add);
    let output = cosette(&["apply", "-s", "rootfs", &path]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let path = document(
        directory.path(),
        disk.path(),
        &format!("{add}      - {{pLabel: persistent, fsLabel: COS_PERSISTENT, size: 512MiB}}\n"),
    );
    let output = cosette(&["plan", "-s", "rootfs", &path]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).replace(disk.path(), "/dev/disk");
    let expected = "\
          partition /dev/disk
            \u{20}number  name             size  file system  label           type
            \u{20}1       oem            64 MiB  ext4         COS_OEM         linux-generic
            --       (free)      958.9 MiB
            +2       persistent    512 MiB  ext4         COS_PERSISTENT  linux-generic
            +-       (free)      446.9 MiB
          run mkfs.ext4 -q -F -L COS_PERSISTENT /dev/diskp2
";
    assert!(text.contains(expected), "{text}");
}
