//! The binary by the names of its peers, through links.

use crate::machine::Machine;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::process::Command;

/// The binary through a link of that name, on the machine itself.
fn called(machine: &Machine, name: &str, arguments: &[&str]) -> Command {
    let link = machine.outside(name);
    if !link.exists() {
        symlink(env!("CARGO_BIN_EXE_cosette"), &link).unwrap();
    }
    let mut command = Command::new(link);
    command.args(arguments);
    command
}

#[test]
fn yip_and_elemental_apply_a_stage_of_a_file() {
    for (name, arguments) in [("yip", &["-s", "test"][..]), ("elemental", &["cloud-init", "-s", "test"])] {
        let machine = Machine::new();
        let target = machine.outside("written");
        let step = |stage: &str, text: &str| {
            format!("  {stage}:\n  - files:\n    - {{path: {}, content: {text}}}\n", target.display())
        };
        let document = machine.document(
            "a.yaml",
            &format!("stages:\n{}{}", step("test", "right"), step("default", "standard")),
        );
        let ended = machine.run(called(&machine, name, &[arguments, &[&document]].concat()));
        assert_eq!(ended.status, Some(0), "{ended:#?}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "right");
        let ended =
            machine.run(called(&machine, name, &[&arguments[..arguments.len() - 2], &[&document]].concat()));
        assert_eq!(
            (ended.status, fs::read_to_string(&target).unwrap().as_str()),
            (Some(0), "standard"),
            "{ended:#?}"
        );
        let none = machine.run(called(&machine, name, &[arguments, &["/none.yaml"]].concat()));
        assert_eq!(none.status, Some(3), "{none:#?}");
    }
}

#[test]
fn yip_reads_dot_notation_among_other_arguments_of_the_kernel() {
    let machine = Machine::new();
    let target = machine.outside("written");
    let line = format!(
        "BOOT_IMAGE=/vmlinuz root=LABEL=x quiet stages.test[0].name=\"From the line\" stages.test[0].files[0].path={0} stages.test[0].files[0].content=\"from the line\" rd.neednet=1\n",
        target.display()
    );
    let cmdline = machine.document("cmdline", &line);
    for (name, arguments) in
        [("yip", &["-d", "-s", "test"][..]), ("elemental", &["cloud-init", "-d", "-s", "test"])]
    {
        let ended = machine.run(called(&machine, name, &[arguments, &[&cmdline]].concat()));
        assert_eq!((ended.status, ended.stderr.as_str()), (Some(0), ""), "{ended:#?}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "from the line");
        fs::remove_file(&target).unwrap();
    }
}

#[test]
fn yip_shows_what_it_would_do() {
    let machine = Machine::new();
    let target = machine.outside("written");
    let document =
        machine.steps("a.yaml", &format!("- files:\n  - {{path: {}, content: x}}\n", target.display()));
    let ended = machine.run(called(&machine, "yip", &["-a", "-s", "test", &document]));
    assert_eq!(ended.status, Some(0), "{ended:#?}");
    assert!(ended.stdout.contains("would run") && !target.exists(), "{ended:#?}");
}

#[test]
fn the_options_of_each_name_are_its_own() {
    let machine = Machine::new();
    for (name, arguments) in [
        ("yip", &["run", "--root", "/"][..]),
        ("cos-setup", &["-s", "x", "y"]),
        ("elemental", &["apply", "x"]),
        ("yip", &[]),
    ] {
        let ended = machine.run(called(&machine, name, arguments));
        assert_eq!(ended.status, Some(2), "{name}: {ended:#?}");
    }
    for name in ["yip", "cos-setup", "elemental", "cosette"] {
        let help = machine.run(called(&machine, name, &["--help"]));
        assert_eq!(help.status, Some(0));
        assert!(help.stdout.contains(&format!("Usage: {name}")), "{help:#?}");
    }
}

#[test]
fn cos_setup_and_elemental_run_a_stage_of_the_default_sources() {
    let machine = Machine::new();
    let target = machine.outside("written");
    let document = machine.steps(
        "a.yaml",
        &format!("- files:\n  - {{path: {}, content: from the default sources}}\n", target.display()),
    );
    for (name, arguments) in [("cos-setup", "test"), ("elemental", "run-stage --strict test")] {
        // Default sources and reports of a name space of its own.
        let link = called(&machine, name, &[]).get_program().to_owned();
        let script = "set -e; mount -t tmpfs none /usr/local; mkdir /usr/local/cloud-config; cp \"$1\" /usr/local/cloud-config; \
            mount -t tmpfs none /run; shift; status=0; \"$@\" || status=$?; test -s /run/cosette/test.json; exit $status";
        let mut command = Command::new("unshare");
        command.args(["-r", "-m", "sh", "-c", script, "sh", &document]).arg(link).args(arguments.split(' '));
        let ended = machine.run(command);
        if ended.stderr.contains("unshare") || ended.stderr.contains("mount:") {
            let _ = writeln!(std::io::stderr(), "SKIPPED: name spaces are not available: {}", ended.stderr);
            return;
        }
        assert_eq!(ended.status, Some(0), "{name}: {ended:#?}");
        assert_eq!(fs::read_to_string(&target).unwrap(), "from the default sources");
        fs::remove_file(&target).unwrap();
    }
}
