//! What later boots are told of earlier ones, on a machine that boots again and again.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "it is a test")]

use serde_json::Value;
use std::io::Write as _;
use std::process::Command;

/// In mounts of its own: at `$ROOT` a system with a shell and a partition that is kept. `boot NUMBER` starts it, and
/// `machine COMMAND...` runs the program in it.
const MACHINE: &str = r#"
mount -t tmpfs -o mode=755 root "$ROOT"
cd "$ROOT"
mkdir -p bin etc proc run oem usr/local
for library in /lib /lib64 /usr/lib; do
    test ! -e "$library" || { mkdir -p ".$library"; mount --bind "$library" ".$library"; }
done
cp "$COSETTE" bin/cosette
mount -t tmpfs -o mode=755,size=200k kept usr/local
mount -t proc proc proc
boot() {
    umount run 2>/dev/null || :
    umount proc/sys/kernel/random/boot_id 2>/dev/null || :
    rm -rf etc/* var
    mount -t tmpfs -o mode=755 run run
    mkdir -p run/systemd/system
    printf '0123456789abcdef0123456789abcd%02d\n' "$1" >"$ROOT.id"
    mount --bind "$ROOT.id" proc/sys/kernel/random/boot_id
}
machine() { chroot . /bin/cosette --color never "$@"; }
document() { # document FILE NAME STAGE PATH
    printf 'stages:\n  %s:\n  - name: %s\n    files: [{path: %s, content: by %s, permissions: 0644}]\n' "$3" "$2" "$4" "$2" >"oem/$1"
}
"#;

/// Runs a script after that; what it printed, or nothing where it cannot be run.
fn shell(script: &str) -> Option<String> {
    let possible = nix::unistd::geteuid().is_root()
        && Command::new("unshare")
            .args(["--mount", "true"])
            .output()
            .is_ok_and(|output| output.status.success());
    if !possible {
        std::io::stderr()
            .write_all(b"SKIPPED: the reports of earlier boots: needs root and unshare\n")
            .unwrap();
        return None;
    }
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", &format!("{MACHINE}\n{script}")]);
    command.env("ROOT", root.path().join("root")).env("COSETTE", env!("CARGO_BIN_EXE_cosette"));
    std::fs::create_dir(root.path().join("root")).unwrap();
    let output = command.output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{out}\n{err}");
    assert_eq!(err, "");
    Some(out)
}

/// The text with times and ids in the place of which `…` stands.
fn without_times(text: &str) -> String {
    let words = text.split_inclusive([' ', '\n']).map(|word| {
        let bare = word.trim_matches(|c: char| " \n(),.:".contains(c));
        let is_time = bare.len() >= 20 && bare.ends_with('Z');
        let is_number = bare.contains('.') && bare.parse::<f64>().is_ok();
        if is_time || is_number { word.replace(bare, "…") } else { word.to_owned() }
    });
    words
        .collect::<String>()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ") + "\n")
        .collect()
}

#[test]
fn status_blame_and_explain_know_the_boots_before() {
    let Some(out) = shell(
        r#"
document a.yaml Old boot /etc/greeting
document b.yaml Other fs /etc/other
for number in 1 2; do boot $number; machine -q run fs; machine -q run boot; done >/dev/null
rm oem/a.yaml; document c.yaml New boot /etc/greeting
for number in 3 4 5; do boot $number; machine -q run fs; machine -q run boot; done >/dev/null
printf 'stages:\n  fs:\n  - name: Broken\n    files: [{path: /etc, content: x}]\n' >oem/d.yaml
boot 6; machine -q run fs >/dev/null || :
rm oem/d.yaml; document e.yaml Late boot /etc/late
boot 7; machine -q run fs >/dev/null; machine -q run boot >/dev/null
machine status --list-boots; echo
mkdir -p etc/systemd/system/sysinit.target.wants
for stage in fs boot network; do ln -s x etc/systemd/system/sysinit.target.wants/cos-setup-$stage.service; done
machine status -q -b -2 || echo "ended with $?"
machine status -b -1 || echo "ended with $?"; echo
machine blame -b -1 | head -n 2; echo
machine explain /etc/greeting; echo
machine explain /etc/greeting -b 0123456789abcdef0123456789abcd02; echo
machine explain /etc/other | tail -n 1; echo
machine explain /etc/late | tail -n 1; echo
machine explain /etc/none || echo "ended with $?"
"#,
    ) else {
        return;
    };
    let id = |number: u8| format!("0123456789abcdef0123456789abcd{number:02}");
    let listed = |offset: i8, number: u8, last: &str, failed: &str| {
        format!("{offset} {} … … … {last} {failed}\n", id(number))
    };
    let expected = "BOOT ID STARTED MS PROGRAMS LAST FAILED\n".to_owned()
        + &(1..=5).map(|number| listed(number - 7, number as u8, "boot", "-")).collect::<String>()
        + &listed(-1, 6, "fs", "fs")
        + &listed(0, 7, "boot", "-")
        + "
boot -2 (…)
fs: 1 applied, 0 skipped, 0 failed; 1 change in … ms, begun …, … s after the kernel
boot: 1 applied, 0 skipped, 0 failed; 1 change in … ms, begun …, … s after the kernel
network: not ended in that boot
ended with 1
boot -1 (…)
failed Broken /oem/d.yaml:3
error: /oem/d.yaml:4:20: cannot write /etc: a directory stands there, which is not replaced: remove it first
fs: 1 applied, 0 skipped, 1 failed; 1 change in … ms, begun …, … s after the kernel
boot, network: not ended in that boot
ended with 1

boot -1 (…)
ms programs

/etc/greeting was last changed by
New /oem/c.yaml:3 (stage boot)
write /etc/greeting
before: nothing

In boot -1 (…) no step touched it.

From boot -4 (…) to boot -2 (…):
New /oem/c.yaml:3 (stage boot)
write /etc/greeting
before: nothing

From boot -6 (…) to boot -5 (…):
Old /oem/a.yaml:3 (stage boot)
write /etc/greeting
before: nothing
today there is no such document

In boot -5 (…):
/etc/greeting was last changed by
Old /oem/a.yaml:3 (stage boot)
write /etc/greeting
before: nothing

The same since boot -6 (…).

From boot -6 (…) to boot -1 (…) no step touched it.

No step touched /etc/none in this boot.
ended with 1
";
    assert_eq!(without_times(&out), expected, "{out}");
}

#[test]
fn a_user_is_known_in_the_boots_before_though_the_document_has_more_lines_now() {
    let Some(out) = shell(
        r#"
people() { printf 'root:x:0:0:root:/root:/bin/sh\n' >etc/passwd; printf 'root:x:0:\n' >etc/group; printf 'root:*::0:::::\n' >etc/shadow; }
printf 'stages:\n  boot:\n  - name: Alice\n    users: {alice: {}}\n' >oem/a.yaml
boot 1; people; machine -q run boot >/dev/null
sed -i '1i# A line more.' oem/a.yaml
boot 2; rm -r home; people; machine -q run boot >/dev/null
machine explain user alice | grep -v '^   '; machine explain user alice -b -1 | grep -v '^   '
machine explain user bob || :
"#,
    ) else {
        return;
    };
    let expected = "user alice was last changed by
Alice /oem/a.yaml:4 (stage boot)

The same since boot -1 (…).
In boot -1 (…):
user alice was last changed by
Alice /oem/a.yaml:3 (stage boot)
No step touched user bob in this boot.
";
    assert_eq!(without_times(&out), expected, "{out}");
}

#[test]
fn as_json_they_have_the_boot_they_are_of() {
    let Some(out) = shell(
        r#"
document a.yaml Old boot /etc/greeting
boot 1; machine -q run boot >/dev/null
boot 2; machine -q run boot >/dev/null; machine -q run boot >/dev/null
for what in "status --list-boots" "status -b -1" "blame -b 1" "explain /etc/greeting" "explain -b -1 /etc/greeting" "status"; do
    machine --json $what
done
"#,
    ) else {
        return;
    };
    let told: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let [list, status, blame, explain, explain_before, this] = &told[..] else { panic!("{out}") };
    let boots = list["boots"].as_array().unwrap();
    assert_eq!((boots.len(), &boots[0]["offset"], &boots[1]["offset"]), (2, &(-1).into(), &0.into()));
    let mut keys: Vec<_> = boots[0].as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    assert_eq!(
        keys,
        [
            "duration_ms",
            "failed",
            "id",
            "offset",
            "processor_ms",
            "programs_ms",
            "result",
            "stages",
            "started"
        ]
    );
    for told in [status, blame, explain_before] {
        assert_eq!(told["boot"]["id"], "0123456789abcdef0123456789abcd01");
        assert_eq!((&told["boot"]["offset"], &told["boot"]["started"]), (&(-1).into(), &boots[0]["started"]));
    }
    assert_eq!((&this["boot"]["offset"], &this["reports"][0]["stage"]), (&0.into(), &"boot".into()));
    assert_eq!(status["reports"][0]["stage"], "boot");
    assert_eq!((&explain["boot"]["offset"], &explain["from"]), (&0.into(), &"reports".into()));
    // It ran again, and then it was so already.
    assert_eq!(explain["steps"][0]["effects"][0]["changed"], false);
    let earlier = &explain["earlier"][0];
    assert_eq!((&earlier["boot"], &earlier["steps"]), (&explain_before["boot"], &explain_before["steps"]));
    assert_eq!(earlier["steps"][0]["effects"][0]["changed"], true);
    assert!(explain_before["earlier"].as_array().unwrap().is_empty());
}

#[test]
fn a_full_a_read_only_and_a_missing_place_fail_nothing() {
    let Some(out) = shell(
        r#"
document a.yaml One boot /etc/one
boot 1; machine -q run boot >/dev/null
cp -r usr/local/.cosette/boots "$ROOT.before"
dd if=/dev/zero of=usr/local/filler bs=1k 2>/dev/null || :
boot 2; machine -q run boot 2>said >/dev/null; cat said
diff -r usr/local/.cosette/boots "$ROOT.before"
machine status -b -1 | head -n 1
boot 1; machine -q run boot 2>said >/dev/null; cat said
diff -r usr/local/.cosette/boots "$ROOT.before"
rm usr/local/filler
mount -o remount,ro usr/local
boot 3; machine -q run boot >/dev/null
ls var/lib/cosette/boots usr/local/.cosette/boots
umount usr/local
boot 4; mkdir -p var/lib; mount --bind var/lib var/lib; mount -o remount,ro,bind var/lib
mount --bind usr/local usr/local; mount -o remount,ro,bind usr/local
machine -q run boot >/dev/null
machine status --list-boots | tail -n 1
"#,
    ) else {
        return;
    };
    let lines: Vec<_> = out.lines().collect();
    let warning = "warning: what later boots are told of this one is not complete: cannot write /usr/local/.cosette/boots/000002-";
    assert!(
        lines[0].starts_with(warning) && lines[0].ends_with("no space is left on the file system; free some"),
        "{out}"
    );
    assert!(lines[1].starts_with("boot -1 "), "{out}");
    assert!(lines[2].starts_with("warning: ") && lines[2].contains("/000001-"), "{out}");
    assert_eq!(
        lines[3..6],
        ["usr/local/.cosette/boots:", "000001-0123456789abcdef0123456789abcd01.jsonl", ""]
    );
    assert_eq!(lines[6..8], ["var/lib/cosette/boots:", "000002-0123456789abcdef0123456789abcd03.jsonl"]);
    assert!(lines[8].trim_start().starts_with("0 0123456789abcdef0123456789abcd04 "), "{out}");
    assert_eq!(lines.len(), 9, "{out}");
}

#[test]
fn a_tree_a_plan_and_what_is_tried_keep_nothing_and_a_disk_of_another_machine_is_read() {
    let Some(out) = shell(
        r#"
document a.yaml One boot /etc/one
boot 1
"$COSETTE" -q --root . run boot >/dev/null
machine plan boot >/dev/null
machine -q apply -s boot /oem >/dev/null
"$COSETTE" -q --root . try boot >/dev/null
test ! -e usr/local/.cosette
machine -q run boot >/dev/null
test -e usr/local/.cosette/boots
rm -rf run/cosette
"$COSETTE" --root . status -b -1
"$COSETTE" --root . explain -b -1 /etc/one | head -n 2
truncate --size 0 usr/local/.cosette/boots/*
"$COSETTE" --root . status -b -1 2>said || echo "ended with $?"
"$COSETTE" --root . explain -b -1 /etc/one 2>&1 || echo "ended with $?"
nobody() { setpriv --reuid 65534 --regid 65534 --clear-groups "$COSETTE" --root . "$@" 2>&1; }
nobody status --list-boots
"#,
    ) else {
        return;
    };
    let lines: Vec<_> = out.lines().collect();
    assert!(lines[0].starts_with("boot -1 (") && lines[1].starts_with("boot: 1 applied"), "{out}");
    assert!(lines[2].starts_with("In boot -1 (") && lines[3].starts_with("/etc/one was "), "{out}");
    assert!(lines[4].starts_with("no report of boot -1 can be read") && lines[5] == "ended with 1", "{out}");
    assert!(lines[6].starts_with("warning: ") && lines[6].ends_with(" is empty"), "{out}");
    assert!(lines[7].starts_with("error: no report of boot -1") && lines[8] == "ended with 1", "{out}");
    assert!(lines[9].starts_with("warning: cannot read /usr/local/.cosette/boots/000001-"), "{out}");
    assert!(lines[10].starts_with("BOOT") && lines[11].ends_with("(not readable)"), "{out}");
    assert!(!lines[11].contains("-0.0"), "{out}");
    assert_eq!(lines.len(), 12, "{out}");
}
