//! A run full of secrets, through every command: none of them in any output or report.

use crate::machine::{Machine, command};

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
