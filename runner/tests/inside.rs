//! `run --inside DIR`, by which an initramfs runs a stage in the system that it is going to start.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "it is a test")]

use std::io::Write as _;
use std::process::{Command, Output};

/// In mounts of its own: the machine, whose `/run` is empty, and at `$ROOT` a system with a shell and one document.
const MACHINE: &str = r#"
mount -t tmpfs run /run
mount -t tmpfs -o mode=755 root "$ROOT"
cd "$ROOT"
mkdir -p bin etc proc sys dev run tmp mnt system/oem
cp "$(command -v busybox)" bin/busybox
ln -s busybox bin/sh
cat >system/oem/a.yaml <<END
stages:
  initramfs:
    - name: inside
      files:
        - {path: /etc/written, content: by the stage}
      commands:
        - busybox mount -t tmpfs mine /mnt
        - busybox readlink /proc/self/root >/etc/root
        - echo seen >/run/seen
        - test -c /dev/null && test -d /sys/kernel
END
"#;

/// Runs a script after that; nothing where it cannot be.
fn shell(script: &str) -> Option<Output> {
    let possible = nix::unistd::geteuid().is_root()
        && Command::new("sh")
            .args(["-c", "command -v busybox && unshare --mount true"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !possible {
        std::io::stderr()
            .write_all(b"SKIPPED: stages inside of a system: needs root, unshare and busybox\n")
            .unwrap();
        return None;
    }
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", &format!("{MACHINE}\n{script}")]);
    command.env("ROOT", root.path()).env("COSETTE", env!("CARGO_BIN_EXE_cosette"));
    Some(command.output().unwrap())
}

fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn a_stage_sees_the_system_as_the_root_and_the_machine_that_runs_it() {
    let Some(output) = shell(
        r#"
cp "$COSETTE" "$ROOT/bin/cosette"
"$COSETTE" run --inside "$ROOT" initramfs
cat etc/written etc/root /run/seen
ls /run/cosette run mnt tmp dev
"#,
    ) else {
        return;
    };
    let (out, err) = told(&output);
    assert!(output.status.success(), "{out}{err}");
    let rest = out.split_once(" changes in ").unwrap().1.split_once('\n').unwrap().1;
    assert_eq!(rest, "by the stage/\nseen\n/run/cosette:\ninitramfs.json\n\ndev:\n\nmnt:\n\nrun:\n\ntmp:\n");
}

#[test]
fn a_directory_without_the_places_of_a_system_is_not_entered() {
    let Some(output) = shell(
        r#"
! "$COSETTE" run --inside "$ROOT/mnt" initramfs
! "$COSETTE" run --inside "$ROOT/missing" initramfs
rmdir run
ln -s / run
! "$COSETTE" run --inside "$ROOT" initramfs
mkdir -p mnt/proc mnt/sys mnt/dev mnt/run
! "$COSETTE" run --inside "$ROOT/mnt" initramfs
test ! -e etc/written
"#,
    ) else {
        return;
    };
    let (out, err) = told(&output);
    assert!(output.status.success(), "{out}{err}");
    let said: Vec<_> = err.lines().map(|line| line.split_once(" /").unwrap().0).collect();
    assert_eq!(
        said,
        ["error: cannot show", "error: cannot show", "error: cannot show", "error: nothing is mounted at",],
        "{err}"
    );
}
