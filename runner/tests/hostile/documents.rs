//! Documents that are wrong, are no documents, or want to be too much.

use crate::machine::{Machine, as_nobody, command};
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

const GOOD: &str = "- name: Good\n  files:\n  - {path: /etc/good, content: good}\n";

/// Applies a bad document between two good ones, and expects these diagnostics and status 1; alone, the
/// document must end with status 3 if nothing of it can run.
#[track_caller]
fn check(bad: &str, expected: &[&str], something_runs: bool) {
    let machine = Machine::new();
    let good = machine.steps("good.yaml", GOOD);
    let bad = machine.document("bad.yaml", bad);
    let ended = machine.apply(&[&bad, &good]);
    assert_eq!(ended.diagnostics(), expected);
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    assert_eq!(ended.outcome("Good"), "applied");
    assert_eq!(machine.text("/etc/good").as_deref(), Some("good"));
    assert_eq!(ended.stderr.lines().count(), expected.len(), "one line for each: {}", ended.stderr);
    if !something_runs {
        let alone = machine.apply(&[&bad]);
        assert_eq!((alone.status, alone.diagnostics()), (Some(3), ended.diagnostics()));
    }
}

#[test]
fn a_tab_is_one_error() {
    check(
        "stages:\n  test:\n\t- name: x\n",
        &[
            "bad.yaml:3:1: a tab is used as indentation; YAML allows only spaces before a line: replace the tab by spaces",
        ],
        false,
    );
}

#[test]
fn a_key_that_is_there_twice_is_one_error_and_the_first_counts() {
    check(
        "stages:\n  test:\n  - name: Bad\n    hostname: a\n    hostname: b\n",
        &[
            "bad.yaml:5:5: the key `hostname` is given twice; the first is at 4:5 and is used: remove one of them, or make them one",
        ],
        true,
    );
}

#[test]
fn a_list_in_the_place_of_a_map_is_one_error() {
    check(
        "stages:\n- test\n",
        &[
            "bad.yaml:2:3: `stages` must be a map from stages to their steps, found a list; write the name of each stage as a key below `stages:`, such as `boot:`, and its steps below that",
        ],
        false,
    );
}

#[test]
fn a_bomb_of_aliases_is_one_error() {
    let mut bomb = "a: &a [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for (name, inner) in ('b'..='i').zip('a'..) {
        bomb += &format!("{name}: &{name} [{}]\n", vec![format!("*{inner}"); 9].join(","));
    }
    bomb += "stages: {test: [{commands: *i}]}\n";
    assert!(bomb.len() < 1024);
    check(
        &bomb,
        &[
            "bad.yaml:5:7: the aliases expand to too much: more than 100000 values; write repeated parts only once, in a file that the steps use",
        ],
        false,
    );
}

#[test]
fn two_hundred_thousand_brackets_are_one_error() {
    for (bracket, at) in [("[", 109), ("{a: ", 405)] {
        check(
            &format!("stages: {}", bracket.repeat(200_000)),
            &[&format!(
                "bad.yaml:1:{at}: nested too deeply: more than 100 levels; no stage file needs that: is a bracket not closed?"
            )],
            false,
        );
    }
}

#[test]
fn a_misspelt_key_is_a_warning_that_names_the_right_one() {
    let machine = Machine::new();
    let document = machine.steps(
        "a.yaml",
        "- name: Typo\n  comands: [echo]\n  files:\n  - path: /etc/x\n    contnt: x\n    content: right\n",
    );
    let ended = machine.apply(&[&document]);
    assert_eq!((ended.status, ended.outcome("Typo").as_str()), (Some(0), "applied"));
    assert_eq!(
        ended.diagnostics(),
        [
            "a.yaml:4:5: unknown key `comands`; did you mean `commands`?",
            "a.yaml:7:7: unknown key `contnt`; did you mean `content`?"
        ]
    );
    assert_eq!(machine.text("/etc/x").as_deref(), Some("right"));
}

#[test]
fn an_item_of_the_wrong_type_does_not_keep_the_others() {
    let machine = Machine::new();
    let document =
        machine.steps("a.yaml", "- name: Mixed\n  files:\n  - [a, list]\n  - {path: /etc/x, content: x}\n");
    let ended = machine.apply(&[&document]);
    assert_eq!((ended.status, ended.outcome("Mixed").as_str()), (Some(1), "failed"));
    assert_eq!(ended.errors("Mixed").len(), 1, "{ended:#?}");
    assert_eq!(machine.text("/etc/x").as_deref(), Some("x"));
}

#[test]
fn an_error_behind_an_anchor_is_told_once() {
    let machine = Machine::new();
    let document = machine.document(
        "a.yaml",
        "stages:\n  test:\n  - name: One\n    files:\n    - &bad {path: /etc/x, permissions: rwx, contnt: x}\n    - *bad\n    - *bad\n  - name: Two\n    files: [*bad]\n",
    );
    let ended = machine.apply(&[&document]);
    assert_eq!(ended.errors("One").len(), 1, "{ended:#?}");
    assert_eq!(ended.errors("Two"), ended.errors("One"));
    assert_eq!(ended.diagnostics().len(), 1, "the warning: {ended:#?}");
    let checked = machine.cosette(&["--json", "check", &document]);
    assert_eq!((checked.status, checked.diagnostics().len()), (Some(3), 2), "{checked:#?}");
}

#[test]
fn a_file_that_may_not_be_read_is_one_error() {
    let machine = Machine::new();
    machine.steps("d/1.yaml", GOOD);
    let secret = machine.steps("d/2.yaml", GOOD);
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o000)).unwrap();
    fs::set_permissions(machine.root("/etc"), PermissionsExt::from_mode(0o777)).unwrap();
    let (root, documents) = (machine.root("/"), machine.outside("d"));
    let run = command(&[
        "--json",
        "--root",
        root.to_str().unwrap(),
        "apply",
        "-s",
        "test",
        documents.to_str().unwrap(),
    ]);
    let Some(run) = as_nobody(&machine, run) else { return };
    let ended = machine.run(run);
    assert_eq!(ended.diagnostics(), ["2.yaml: cannot be read: permission is denied; root may be needed"]);
    assert_eq!((ended.status, ended.outcome("Good").as_str()), (Some(1), "applied"));
}

#[test]
fn what_is_no_document_is_one_error_each_and_is_never_opened() {
    let machine = Machine::new();
    machine.steps("d/z.yaml", GOOD);
    let at = |name: &str| machine.outside("d").join(name);
    fs::create_dir(at("directory.yaml")).unwrap();
    fs::write(at("directory.yaml/note.txt"), "not read").unwrap();
    nix::unistd::mkfifo(&at("fifo.yaml"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(at("socket.yaml")).unwrap();
    symlink("/dev/zero", at("device.yaml")).unwrap();
    symlink("/dev/tty", at("terminal.yaml")).unwrap();
    symlink("loop.yaml", at("loop.yaml")).unwrap();
    symlink("nowhere", at("nowhere.yaml")).unwrap();
    symlink(".", at("here.yaml")).unwrap();
    fs::File::create(at("large.yaml")).unwrap().set_len(100 << 20).unwrap();
    fs::write(at("latin.yaml"), b"name: \xe4\n").unwrap();
    let ended = machine.apply(&[machine.outside("d").to_str().unwrap()]);
    let special =
        "is a device, socket or pipe, not a document; a document is a regular file; `-` reads standard input";
    let expected = [
        &format!("device.yaml: {special}"),
        &format!("fifo.yaml: {special}"),
        "here.yaml: is a directory, not a document; a directory among documents must not be called like one: rename it",
        "large.yaml: is larger than 16 MiB; put large content into an image, or let a step download it",
        "latin.yaml:1:7",
        "loop.yaml: cannot be read: its symbolic links form a loop, or there are too many",
        "nowhere.yaml: there is no such file; the link leads nowhere: mend or remove it",
        &format!("socket.yaml: {special}"),
        &format!("terminal.yaml: {special}"),
    ];
    let found = ended.diagnostics();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found}");
    }
    assert_eq!((ended.status, ended.outcome("Good").as_str()), (Some(1), "applied"));
    for named in ["fifo.yaml", "device.yaml", "none.yaml"] {
        let alone = machine.apply(&[at(named).to_str().unwrap()]);
        assert_eq!((alone.status, alone.diagnostics().len()), (Some(3), 1), "{alone:#?}");
    }
}

#[test]
fn wrong_usage_is_status_2() {
    let machine = Machine::new();
    for arguments in
        [&["apply"][..], &["--nonsense"], &["nonsense"], &["plan", "a", "b"], &["apply", "-", "x.yaml"], &[]]
    {
        let ended = machine.run(command(arguments));
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:#?}");
        assert!(!ended.stderr.is_empty());
    }
}
