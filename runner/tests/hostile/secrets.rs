//! A run full of secrets, through every command: none of them in any output or report.

use crate::canaries::{Canaries, KEYS, MODULES};
use crate::machine::{Machine, command, is_root};
use cosette_plugins::testing::{Answer, Server};
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

const DOCUMENTS: [&str; 7] = [
    r#"name: Secrets
stages:
  test:
  - name: users
    users:
      ann:
        passwd: CANARYplain
        ssh_authorized_keys: ["ssh-ed25519 CANARYkey ann@example"]
        pasword: CANARYtypo
        no_create_home: true
      ben:
        passwd: $6$CANARYsalt$CANARYhash
        no_create_home: true
      cid:
        passwd: [CANARYlist]
      dan: CANARYscalar
      eve:
        passwd: !CANARYtag
        passwd: CANARYtwice
        no_create_home: true
  - name: entities
    ensure_entities:
    - entity: |
        kind: shadow
        username: root
        password: CANARYshadow
        passwrod: CANARYentity
    - entity: "kind: shadow\npassword: [CANARYbroken"
    - CANARYitem
  - name: commands
    commands:
    - "true CANARYtrue"
    - "CANARY=x; false CANARYfalse"
    - "{{ \"CANARYtemplate\" | nofunction }}"
    - "{{ atoi \"CANARYatoi\" }}{{ fromJson \"{CANARYjson\" }}"
    - "PASSWORD=CANARYvariable no-such-program-there"
    - "echo 'CANARYquote"
    - echo: CANARYmap
  - name: environment
    environment_file: /etc/private
    environment:
      TOKEN: CANARYvalue
      LIST: [CANARYlist]
  - name: files
    files:
    - path: /etc/secret
      permissions: 0600
      content: |
        CANARYcontent {{ .CANARYfield.x.y }}
        {{ "CANARYopen
    - path: /etc/secret2
      permissions: 0600
      encoding: base64
      content: CANARY!!!
    - path: /etc/secret3
      permissions: 0600
      conten: CANARYmisspelt
      content: "CANARY {{ CANARYfunction 1 }} {{ index .Values \"CANARYindex\" 3 }} {{ fail \"CANARYfail\" }}"
  - name: keys
    authorized_keys:
      ann: [CANARYnokey, "ssh-rsa CANARYrsa x"]
  - name: condition
    if: 'test CANARYif'
    commands: ["false CANARYcondition"]
"#,
    "stages:\n  test:\n  - users:\n      root:\n        passwd: \"CANARYunclosed\n",
    "stages:\n  test:\n  - users:\n      root:\n        passwd: *CANARYalias\n",
    "stages:\n  test:\n  - users:\n      root:\n        passwd: @CANARYat\n",
    "stages:\n  test:\n  - files:\n    - path: /x\n      content: |\n        abc\nCANARYoutdented line\n",
    "stages:\n  test:\n  - commands: [echo CANARYa, \"echo CANARYb\"\n  - users: {root: {passwd: CANARYflow, naem: x}}\n",
    "stages:\n  test:\n  - users: {root: {passwd: CANARYflow, naem: x}}\n  - environment:\n\t  A: CANARYtab\n",
];

fn prepare(machine: &Machine) -> Vec<String> {
    machine.put("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nold:x:9:9::/:/bin/sh\n");
    machine.put("/etc/group", "root:x:0:\n");
    machine.put("/etc/shadow", "root:CANARYoldshadow:1::::::\n");
    machine.put("/etc/private", "OLD=CANARYoldvalue\n");
    let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(machine.root("/etc/private"), private).unwrap();
    let documents = DOCUMENTS.iter().enumerate();
    let documents = documents.map(|(number, text)| {
        machine.put(&format!("/oem/{number}.yaml"), text);
        machine.document(&format!("{number}.yaml"), text)
    });
    documents.collect()
}

#[track_caller]
fn is_clean(what: &str, text: &str) {
    for line in text.lines() {
        assert!(!line.contains("CANARY"), "{what}: {line}");
    }
}

#[test]
fn no_command_and_no_report_tells_a_secret() {
    for detail in [&[][..], &["-v"], &["--json"], &["-q"], &["--color=always"]] {
        let machine = Machine::new();
        let documents = prepare(&machine);
        let named = |command| {
            let mut arguments = detail.to_vec();
            arguments.push(command);
            if command != "check" {
                arguments.extend(["-s", "test"]);
            }
            arguments.extend(documents.iter().map(String::as_str));
            arguments
        };
        let stage = |command| [detail, &[command, "test"]].concat();
        let status = [detail, &["status"]].concat();
        let all = [
            named("check"),
            named("plan"),
            named("try"),
            stage("plan"),
            stage("run"),
            named("apply"),
            named("plan"),
            status,
        ];
        for arguments in all {
            let ended = machine.cosette(&arguments);
            let what =
                arguments.iter().filter(|argument| !argument.starts_with('/')).copied().collect::<Vec<_>>();
            assert!(matches!(ended.status, Some(1 | 3)), "{what:?}: {ended:#?}");
            assert!(
                ended.stdout.len() + ended.stderr.len() > 100 || what.contains(&"status"),
                "{what:?}: {ended:#?}"
            );
            is_clean(&what.join(" "), &ended.stdout);
            is_clean(&what.join(" "), &ended.stderr);
        }
        is_clean("the report", &machine.text("/run/cosette/test.json").unwrap());
    }
}

#[test]
fn commands_that_really_run_and_fail_do_not_tell_their_text() {
    let machine = Machine::new();
    let document = machine.steps(
        "a.yaml",
        r#"- name: commands
  commands:
  - "X=CANARYa; false CANARYb"
  - "PASSWORD=CANARYc no-such-program-there"
  - "echo 'CANARYd"
  - "{{ \"CANARYe\" | nofunction }}"
  - "set -x; false 'CANARY f'"
  - |
    set -x
    false CANARY g
- name: condition
  if: "{{ \"CANARYh\" }}; exit 77"
- name: condition2
  if: "echo 'CANARYi"
"#,
    );
    for detail in ["--json", "-v"] {
        let ended = machine.run(command(&[detail, "apply", "-s", "test", &document]));
        assert_eq!(ended.status, Some(1), "{ended:#?}");
        is_clean(detail, &ended.stdout);
        is_clean(detail, &ended.stderr);
    }
}

#[test]
fn addresses_are_shown_without_their_secrets() {
    let machine = Machine::new();
    let url = "http://user:CANARY@127.0.0.1:1/x.yaml?token=CANARY#CANARY";
    for arguments in [&["check", url][..], &["apply", url], &["--json", "-v", "apply", url]] {
        let ended = machine.cosette(arguments);
        assert_eq!(ended.status, Some(3), "{ended:#?}");
        is_clean("stdout", &ended.stdout);
        is_clean("stderr", &ended.stderr);
        assert!(format!("{ended:?}").contains("http://127.0.0.1:1/x.yaml?..."), "{ended:#?}");
    }
}

#[test]
fn run_and_apply_show_no_line_of_a_document() {
    let machine = Machine::new();
    let text =
        "stages:\n  test:\n  - dns: {nameservers: 8.8.8.8}\n  - {hostname: x, hostname: z}\nnonsense: 1\n";
    let document = machine.document("a.yaml", text);
    machine.put("/oem/a.yaml", text);
    for arguments in [&["apply", "-s", "test", &document][..], &["run", "test"]] {
        let ended = machine.cosette(arguments);
        let all = ended.stdout + &ended.stderr;
        assert!(!all.contains(" | ") && !all.contains("8.8.8.8") && all.contains("a.yaml:5:1: "), "{all}");
    }
    let checked = machine.cosette(&["check", &document]);
    assert!(checked.stderr.contains("  - dns: {nameservers: 8.8.8.8}"), "{checked:#?}");
}

/// What the root has for programs: each says everything it knows, and fails.
const PROGRAM: &str = r#"#!/bin/sh
printf '%s\n' "$0 $*" >> /argv
case "$*" in *" init "*|*" config "*) exit 0;; esac
printf '%s\n' "$0 $*"
env
cat
exit 1
"#;

/// A root with a shell and with programs that tell everything, where commands can run at all.
fn talkative() -> Machine {
    let machine = Machine::new();
    machine.put("/etc/os-release", "ID=debian\n");
    machine.put("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nold:x:9:9::/:/bin/sh\n");
    machine.put("/etc/group", "root:x:0:\n");
    machine.put("/etc/shadow", "root:CANARYold:1::::::\nold:CANARYold:1::::::\n");
    machine.put("/etc/environment", "OLD=CANARYold\n");
    for secret in ["/etc/shadow", "/etc/environment"] {
        std::fs::set_permissions(machine.root(secret), PermissionsExt::from_mode(0o600)).unwrap();
    }
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).exists());
    let Some(busybox) = busybox.filter(|_| is_root()) else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: programs that tell their arguments: needs root and a busybox that is static"
        );
        return machine;
    };
    machine.put("/bin/busybox", "");
    std::fs::copy(busybox, machine.root("/bin/busybox")).unwrap();
    for name in ["sh", "cat", "env", "rm"] {
        std::os::unix::fs::symlink("busybox", machine.root(&format!("/bin/{name}"))).unwrap();
    }
    for name in [
        "apt-get",
        "chpasswd",
        "dpkg-query",
        "git",
        "mkswap",
        "passwd",
        "shutdown",
        "ssh-keygen",
        "systemctl",
        "systemd-firstboot",
        "useradd",
        "wall",
    ] {
        let path = format!("/usr/bin/{name}");
        machine.put(&path, PROGRAM);
        std::fs::set_permissions(machine.root(&path), PermissionsExt::from_mode(0o755)).unwrap();
    }
    machine
}

/// Keys in whose place a path, or the name of a program, a package, an image or a user may stand, which reports
/// show.
const SHOWN: [&str; 11] = [
    "bootcmd",
    "commands",
    "datasource",
    "downloads",
    "files",
    "layout",
    "packages",
    "runcmd",
    "unpack_images",
    "users_groups",
    "write_files",
];

/// Documents of stages and of cloud-config with every value that holds a secret.
fn documents(machine: &Machine, server: &Server) -> Vec<String> {
    let here = server.address().to_string();
    let at_server = |text: &str| text.replace("127.0.0.1:1/", &format!("{here}/"));
    let mut steps = String::new();
    let mut documents = Vec::new();
    let mut number = 0;
    let mut name = || {
        number += 1;
        number
    };
    for (key, canaries) in KEYS {
        let Canaries::Values(values) = canaries else { continue };
        let wrong = if SHOWN.contains(key) { &[][..] } else { &["CANARY", "[CANARY]", "[[CANARY]]"] };
        for value in values.iter().chain(wrong) {
            steps += &format!("- name: step {}\n  {key}: {value}\n", name());
        }
    }
    documents.push(machine.steps("steps.yaml", &at_server(&steps)));
    for (module, canaries) in MODULES {
        let Canaries::Values(values) = canaries else { continue };
        let key = values[0].split_once(':').unwrap().0;
        let wrong = if SHOWN.contains(&key) || SHOWN.contains(module) {
            &[][..]
        } else {
            &["CANARY", "[CANARY]", "{a: CANARY}"]
        };
        let wrong = wrong.iter().map(|value| format!("{key}: {value}"));
        for text in values.iter().map(ToString::to_string).chain(wrong) {
            let name = format!("{module}-{}.yaml", name());
            documents.push(machine.document(&name, &at_server(&format!("#cloud-config\n{text}\n"))));
        }
    }
    documents
}

#[test]
fn every_key_is_among_the_canaries() {
    for (table, canaries) in
        [(cosette_plugins::keys::PLUGINS, KEYS), (cosette_plugins::cloud_config::PLUGINS, MODULES)]
    {
        for plugin in table {
            let entry = canaries.iter().find(|(key, _)| *key == plugin.key);
            let key = plugin.key;
            assert!(entry.is_some(), "`{key}` is missing in runner/tests/hostile/canaries.rs");
        }
        for (key, canaries) in canaries {
            assert!(table.iter().any(|plugin| plugin.key == *key), "there is no key {key}");
            let Canaries::Values(values) = canaries else { continue };
            assert!(values.iter().all(|value| value.contains("CANARY")), "a value of {key} holds no canary");
        }
    }
}

#[test]
fn no_key_tells_its_secrets_to_reports_programs_or_everybody() {
    let server = Server::new(|_| Answer::status(404));
    for detail in [&["-v"][..], &["--json"]] {
        let machine = talkative();
        let documents = documents(&machine, &server);
        for stage in ["test", "boot", "network.after"] {
            for command in ["check", "plan", "try", "apply", "apply"] {
                let mut arguments = detail.to_vec();
                arguments.push(command);
                if command != "check" {
                    arguments.extend(["-s", stage]);
                }
                arguments.extend(documents.iter().map(String::as_str));
                let ended = machine.cosette(&arguments);
                let what = format!("{detail:?} {command} {stage}");
                assert!(matches!(ended.status, Some(0 | 1 | 3)), "{what}: {ended:#?}");
                is_clean(&what, &ended.stdout);
                is_clean(&what, &ended.stderr);
            }
        }
        let status = machine.cosette(&[detail, &["status"]].concat());
        is_clean("status", &format!("{}{}", status.stdout, status.stderr));
        is_clean("the arguments of programs", &machine.text("/argv").unwrap_or_default());
        let mut seen = Vec::new();
        walk(&machine.root("/"), &mut |path, content, mode| {
            let at = path.strip_prefix(machine.root("/")).unwrap().display().to_string();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            assert!(!name.starts_with(".cosette") && !at.starts_with("run/cosette-"), "left behind: {at}");
            if String::from_utf8_lossy(content).contains("CANARY") {
                seen.push(at.clone());
                assert_eq!(mode & 0o007, 0, "everybody can read {at}");
            }
        });
        // Only root may write a file that shall belong to root.
        let of_root = is_root().then_some("etc/w");
        for file in ["etc/a", "etc/environment", "etc/shadow"].into_iter().chain(of_root) {
            assert!(seen.iter().any(|at| at == file), "{file} is not as it should be: {seen:?}");
        }
    }
}

/// Looks at every file below a directory.
fn walk(directory: &Path, look: &mut dyn FnMut(&Path, &[u8], u32)) {
    for entry in std::fs::read_dir(directory).unwrap().flatten() {
        let found = entry.path().symlink_metadata().unwrap();
        if found.is_dir() {
            walk(&entry.path(), look);
        } else if found.is_file() {
            look(&entry.path(), &std::fs::read(entry.path()).unwrap(), found.mode());
        }
    }
}
