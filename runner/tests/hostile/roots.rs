//! Machines that are broken: account databases full of rubbish, file systems that are full or read-only,
//! links that lead out or in circles, roots with next to nothing in them.

use crate::machine::{Ended, Machine, Mounted, is_root};
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

const RUBBISH: &str = "root:x:0:0:root:/root:/bin/sh\n\n# a comment\nno colons at all\nshort:x\n:x:7:7::/:\nbad:x:many:0::/:/bin/sh\n+::::::\ndaemon:x:1:1::/:/bin/false\n";

#[test]
fn lines_of_passwd_that_mean_nothing_stay_and_the_steps_run() {
    let machine = Machine::new();
    machine.put("/etc/passwd", RUBBISH);
    machine.put("/etc/group", "root:x:0:\n\nnothing\ndaemon:x:1:\n");
    machine.put("/etc/shadow", "root:*:1::::::\n\nnothing\n");
    let owner = if is_root() { "" } else { "\n      no_create_home: true" };
    let document = machine.steps(
        "a.yaml",
        &format!(
            "- name: Users\n  users:\n    ann:\n      homedir: /home/ann{owner}\n- name: Entities\n  ensure_entities:\n  - entity: |\n      kind: user\n      username: extra\n      password: x\n      uid: 77\n      gid: 77\n      homedir: /\n      shell: /bin/false\n- name: Gone\n  delete_entities:\n  - entity: |\n      kind: user\n      username: daemon\n"
        ),
    );
    let ended = machine.apply(&[&document]);
    let passwd = machine.text("/etc/passwd").unwrap();
    for line in RUBBISH.lines().filter(|line| !line.starts_with("daemon:")) {
        assert!(passwd.lines().any(|kept| kept == line), "`{line}` is lost: {passwd}");
    }
    assert!(passwd.contains("\nann:x:") && passwd.contains("\nextra:x:77:77:"), "{passwd}\n{ended:#?}");
    assert!(!passwd.contains("daemon:"), "{passwd}");
    for step in ["Users", "Entities", "Gone"] {
        assert_eq!(ended.outcome(step), "applied", "{ended:#?}");
    }
    assert!(machine.text("/etc/group").unwrap().starts_with("root:x:0:\n\nnothing\ndaemon:x:1:\n"));
    let again = machine.apply(&[&document]);
    assert_eq!((again.status, machine.text("/etc/passwd").unwrap()), (Some(0), passwd), "{again:#?}");
}

/// Steps of every kind that write, and one that a full disk does not hinder.
const WRITES: &str = "- name: New file
  files:
  - {path: /etc/new, content: new}
- name: Old file
  files:
  - path: /etc/old
    content: |
      {{ repeat 20000 \"new\" }}
- name: Environment
  environment_file: /etc/old-environment
  environment: {A: '{{ repeat 20000 \"x\" }}'}
- name: Users
  ensure_entities:
  - entity: |
      kind: user
      username: extra
      password: x
      uid: 77
      gid: 77
      info: '{{ repeat 20000 \"x\" }}'
      homedir: /
      shell: /bin/false
- name: Directory
  directories:
  - {path: /etc/d, permissions: 0700}
";

/// The content of every file below a directory.
fn contents(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if entry.file_type().unwrap().is_dir() {
            found.extend(contents(&path));
        } else {
            found.insert(path.display().to_string(), fs::read(&path).unwrap_or_default());
        }
    }
    found
}

fn prepare(machine: &Machine) {
    machine.put("/etc/old", "old\n");
    machine.put("/etc/old-environment", "B=1\n");
    machine.put("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
    machine.put("/etc/group", "root:x:0:\n");
    machine.put("/etc/shadow", "root:*:1::::::\n");
    machine.put("/etc/.pwd.lock", "");
    fs::create_dir_all(machine.root("/etc/d")).unwrap();
}

#[track_caller]
fn fails_with(ended: &Ended, steps: &[&str], message: &str) {
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    for step in steps {
        let errors = ended.errors(step);
        assert_eq!(errors.len(), 1, "one for each cause: {step}: {errors:#?}");
        assert!(errors[0].contains(message), "{step}: {errors:#?}");
    }
}

#[test]
fn on_a_full_disk_nothing_is_cut_and_what_needs_no_space_still_runs() {
    let machine = Machine::new();
    let Some(_mounted) = Mounted::new(&["-t", "tmpfs", "-o", "size=128k", "full"], &machine.root("/")) else {
        return;
    };
    prepare(&machine);
    let filler = fs::File::create(machine.root("/filler")).unwrap();
    let mut size = 0;
    while std::io::Write::write(&mut &filler, &[b'x'; 4096]).is_ok_and(|written| written > 0) {
        size += 4096;
        assert!(size < 1 << 20);
    }
    let before = contents(&machine.root("/"));
    let document = machine.steps("a.yaml", WRITES);
    let ended = machine.apply(&[&document]);
    fails_with(&ended, &["New file", "Old file", "Environment", "Users"], "no space is left");
    assert_eq!(ended.outcome("Directory"), "applied");
    assert_eq!(contents(&machine.root("/")), before, "nothing is cut, and nothing is left behind");
    let run = machine.cosette(&["run", "nothing"]);
    assert!(
        run.stderr.contains("the report is not kept") && run.stderr.contains("no space is left"),
        "{run:#?}"
    );
}

#[test]
fn on_a_read_only_root_each_step_says_so_once() {
    let machine = Machine::new();
    prepare(&machine);
    let root = machine.root("/");
    let Some(_mounted) = Mounted::new(&["--bind", root.to_str().unwrap()], &root) else { return };
    assert!(
        std::process::Command::new("mount")
            .args(["-o", "remount,bind,ro"])
            .arg(&root)
            .status()
            .unwrap()
            .success()
    );
    let before = contents(&root);
    let document = machine.steps(
        "a.yaml",
        &format!("{WRITES}- name: So already\n  files:\n  - {{path: /etc/old, content: \"old\\n\"}}\n"),
    );
    let ended = machine.apply(&[&document]);
    let steps = ["New file", "Old file", "Environment", "Users", "Directory"];
    fails_with(&ended, &steps, "the file system is read-only; mount it writable first");
    assert_eq!(ended.outcome("So already"), "applied");
    assert_eq!(ended.step("So already")["effects"][0]["changed"], false);
    assert_eq!(contents(&root), before);
}

#[test]
fn links_lead_nowhere_outside_the_root_and_loops_are_one_error() {
    let machine = Machine::new();
    fs::create_dir_all(machine.outside("secret")).unwrap();
    fs::write(machine.outside("secret/file"), "untouched").unwrap();
    symlink("../../secret", machine.root("/etc/up")).unwrap();
    symlink(machine.outside("secret"), machine.root("/etc/absolute")).unwrap();
    symlink("../../secret/file", machine.root("/etc/file")).unwrap();
    symlink("loop", machine.root("/etc/loop")).unwrap();
    let file = |path: &str| format!("- name: {path}\n  files:\n  - {{path: {path}, content: \"written\"}}\n");
    let paths =
        ["/etc/up/file", "/etc/absolute/file", "/etc/../../../../secret/file", "/etc/file", "/etc/loop/x"];
    let document = machine.steps("a.yaml", &(paths.map(file).concat() + &file("/etc/good")));
    let ended = machine.apply(&[&document]);
    assert_eq!(fs::read_to_string(machine.outside("secret/file")).unwrap(), "untouched");
    assert_eq!(fs::read_dir(machine.outside("secret")).unwrap().count(), 1);
    assert_eq!(machine.text("/etc/good").as_deref(), Some("written"));
    assert_eq!(ended.status, Some(1));
    fails_with(&ended, &["/etc/loop/x"], "its symbolic links form a loop");
    for path in &paths[..4] {
        assert!(ended.errors(path).len() <= 1, "{ended:#?}");
    }
}

#[test]
fn a_directory_in_the_place_of_a_file_and_the_other_way_round_are_one_error_each() {
    let machine = Machine::new();
    machine.put("/etc/old/kept", "kept");
    machine.put("/etc/file", "kept");
    let document = machine.steps(
        "a.yaml",
        "- name: Directory\n  files:\n  - {path: /etc/old, content: x}\n  - {path: /etc/good, content: good}\n- name: File\n  directories:\n  - {path: /etc/file}\n- name: Below\n  files:\n  - {path: /etc/file/x, content: x}\n",
    );
    let ended = machine.apply(&[&document]);
    fails_with(&ended, &["Directory"], "directory");
    fails_with(&ended, &["File", "Below"], "/etc/file");
    assert_eq!(machine.text("/etc/old/kept").as_deref(), Some("kept"));
    assert_eq!(machine.text("/etc/file").as_deref(), Some("kept"));
    assert_eq!(machine.text("/etc/good").as_deref(), Some("good"));
}

#[test]
fn without_a_shell_there_is_one_explanation_and_the_other_steps_run() {
    let machine = Machine::new();
    let document = machine.steps(
        "a.yaml",
        "- name: One\n  commands: [a, b, c]\n- name: Two\n  if: x\n- name: Three\n  files:\n  - {path: /etc/x, content: x}\n  commands: [d]\n- name: Four\n  hostname: x\n",
    );
    let ended = machine.apply(&[&document]);
    assert_eq!(ended.status, Some(1));
    let found = ended.diagnostics();
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("no program /bin/sh"), "{found:#?}");
    for step in ["One", "Two", "Three"] {
        assert_eq!((ended.outcome(step).as_str(), ended.errors(step).len()), ("failed", 0));
    }
    assert_eq!(ended.outcome("Four"), "applied");
    assert_eq!(machine.text("/etc/x").as_deref(), Some("x"));
}

#[test]
fn an_empty_root_gets_what_it_needs() {
    let machine = Machine::new();
    fs::remove_dir(machine.root("/etc")).unwrap();
    let document = machine.steps(
        "a.yaml",
        "- name: Users\n  users:\n    ann: {no_create_home: true}\n- name: Entity\n  ensure_entities:\n  - entity: \"kind: group\\ngroup_name: extra\\npassword: x\\ngid: 77\\nusers: ''\\n\"\n- name: File\n  files:\n  - {path: /etc/a/b, content: x}\n- name: Environment\n  environment: {A: b}\n- name: Host\n  hostname: box\n- name: Gone\n  delete_entities:\n  - entity: \"kind: user\\nusername: nobody\\n\"\n",
    );
    let ended = machine.apply(&[&document]);
    for step in ["Users", "Entity", "File", "Environment", "Host", "Gone"] {
        assert_eq!(ended.outcome(step), "applied", "{ended:#?}");
    }
    assert!(machine.text("/etc/passwd").unwrap().starts_with("ann:x:"));
    assert_eq!(machine.text("/etc/hostname").as_deref(), Some("box\n"));
    assert_eq!(machine.apply(&[&document]).report()["summary"]["changed"], 0);
}

#[test]
fn a_root_that_is_not_there_is_said() {
    let machine = Machine::new();
    let document = machine.steps("a.yaml", "- hostname: x\n");
    for root in ["none", "a.yaml"] {
        let root = machine.outside(root);
        let run =
            crate::machine::command(&["--root", root.to_str().unwrap(), "apply", "-s", "test", &document]);
        let ended = machine.run(run);
        assert_eq!((ended.status, ended.stderr.lines().count()), (Some(1), 1), "{ended:#?}");
        assert!(ended.stderr.starts_with("error: cannot use "), "{ended:#?}");
    }
}
