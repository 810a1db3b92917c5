//! Commands that hang, flood, or leave children behind.

use crate::machine::{Machine, command};
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Starts a stage on the machine itself whose first step hangs, has the runner get `signal` and returns what
/// came of it and the processes of the step.
fn stop(hangs: &str, signal: &str) -> (Machine, crate::machine::Ended, Vec<i32>) {
    let machine = Machine::new();
    let pids = machine.outside("pids");
    let hangs = hangs.replace("PIDS", pids.to_str().unwrap());
    let steps = format!(
        "{hangs}\n- name: Second\n  commands: [echo]\n- name: Third\n  files:\n  - {{path: {}, content: x}}\n",
        machine.outside("third").display()
    );
    let document = machine.steps("a.yaml", &steps);
    let mut run = command(&["--json", "apply", "-s", "test", &document]);
    let started = machine.start(&mut run);
    let mut found = String::new();
    for _ in 0..10_000 {
        if found.lines().count() == 2 {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
        found = fs::read_to_string(&pids).unwrap_or_default();
    }
    let runner = started.child.id();
    assert!(Command::new("kill").args(["-s", signal, &runner.to_string()]).status().unwrap().success());
    (machine, started.wait(), found.lines().map(|line| line.trim().parse().unwrap()).collect())
}

fn is_alive(process: i32) -> bool {
    fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[track_caller]
fn is_stopped(hangs: &str, signal: &str) {
    let (machine, ended, processes) = stop(hangs, signal);
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    assert_eq!(ended.outcome("First"), "failed");
    assert_eq!(ended.errors("First").len(), 1, "{ended:#?}");
    assert!(ended.errors("First")[0].contains(&format!("stopped by SIG{signal}")), "{ended:#?}");
    for step in ["Second", "Third"] {
        let step = ended.step(step);
        assert_eq!(
            (step["outcome"].as_str(), step["reason"].as_str()),
            (Some("failed"), Some("not run: the runner was told to stop"))
        );
    }
    assert_eq!(ended.report()["summary"]["failed"], 3);
    assert!(!machine.outside("third").exists());
    for process in processes {
        while is_alive(process) {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

#[test]
fn a_condition_that_hangs_is_killed_with_its_group_when_the_runner_is_told_to_stop() {
    is_stopped(
        "- name: First\n  if: sh -c 'echo $$ >> PIDS; sleep 600' & echo $$ >> PIDS; sleep 600",
        "TERM",
    );
}

#[test]
fn commands_that_ignore_the_signal_are_killed_all_the_same() {
    is_stopped(
        "- name: First\n  commands:\n  - trap '' TERM INT; (echo $$; while :; do sleep 1; done) & echo $! >> PIDS; echo $$ >> PIDS; while :; do sleep 1; done\n  - echo never",
        "INT",
    );
}

#[test]
fn a_command_that_writes_gigabytes_needs_no_memory_and_its_end_is_told() {
    let machine = Machine::new();
    let document = machine.steps(
        "a.yaml",
        "- name: Flood\n  commands:\n  - head -c 2000000000 /dev/zero; echo; echo the end; exit 3\n- name: Good\n  commands: [\"true\"]\n",
    );
    let ended = machine.apply_here(&[&document]);
    assert_eq!((ended.status, ended.outcome("Good").as_str()), (Some(1), "applied"));
    let errors = ended.errors("Flood");
    assert_eq!(errors.len(), 1);
    assert!(errors[0].contains("ended with status 3") && errors[0].ends_with("\nthe end"), "{errors:?}");
    assert!(ended.stdout.len() < 10_000);
}

#[test]
fn a_child_in_the_background_that_keeps_the_pipe_is_not_waited_for() {
    let machine = Machine::new();
    let pid = machine.outside("pid");
    let document = machine.steps(
        "a.yaml",
        &format!("- name: Service\n  commands:\n  - sleep 600 & echo $! > {}\n", pid.display()),
    );
    let ended = machine.apply_here(&[&document]);
    assert_eq!((ended.status, ended.outcome("Service").as_str()), (Some(0), "applied"));
    let child: i32 = fs::read_to_string(pid).unwrap().trim().parse().unwrap();
    assert!(is_alive(child), "services are started like this");
    assert!(Command::new("kill").args(["-s", "KILL", &child.to_string()]).status().unwrap().success());
}

#[test]
fn a_reader_that_goes_away_does_not_stop_the_stage() {
    let machine = Machine::new();
    let document = machine.steps("a.yaml", "- name: A\n  files:\n  - {path: /etc/a, content: a}\n- name: B\n  nonsense: 1\n  files:\n  - {path: /etc/b, content: b}\n");
    let mut line = Command::new("/bin/sh");
    let root = machine.root("/");
    let cosette = env!("CARGO_BIN_EXE_cosette");
    line.arg("-c")
        .arg(format!("{cosette} --root {} -v apply -s test {document} 2>&1 | true", root.display()));
    machine.run(line);
    let begun = std::time::Instant::now();
    while machine.text("/etc/b").is_none() && begun.elapsed() < Duration::from_secs(30) {
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(
        (machine.text("/etc/a").as_deref(), machine.text("/etc/b").as_deref()),
        (Some("a"), Some("b"))
    );
}
