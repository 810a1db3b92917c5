//! Runs commands.
//!
//! ```yaml
//! commands:
//! - systemctl restart app
//! - test -e /etc/app || app --init
//! ```
//!
//! ```text commands
//! systemctl restart app
//! test -e /etc/app || app --init
//! ```
//!
//! Each is a template and runs, in order and at every boot, under `/bin/sh -c` in the root. All of them run, even
//! if one fails. Its text never shows in a report or an error, since it may hold passwords: a command goes by its
//! position and, if that is a plain word, the name of the program. Its output does show when it fails, without
//! the lines of the command that a shell repeats in it.

use crate::command_output::{ending, excerpt};
use crate::system::{Command, Interrupted, NoChroot, NoProgram, Output};
use crate::{Context, Plugin, System, template};
use anyhow::{Result, bail};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Text};

/// Lines for the shell, run in the order in which they are written.
pub(crate) struct Commands(Vec<Text>);

impl Decode for Commands {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Decode::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Vec::<Text>::shape()
    }
}

impl Plugin for Commands {
    const KEY: &'static str = "commands";

    fn check(&self, findings: &mut Findings) {
        for text in &self.0 {
            if let Err(error) = template::check(text.as_str()) {
                let place = text.locate(error.line, error.column);
                findings.warn(place, format!("the template is kept as it is: {}", error.message));
            }
        }
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        for (index, text) in self.0.iter().enumerate() {
            let result = run(&label(index, text.as_str()), &cx.render(text), sys);
            if result.as_ref().is_err_and(concerns_all) {
                return result;
            }
            cx.attempt(text.span(), result);
        }
        Ok(())
    }
}

/// Whether no other command would fare better.
fn concerns_all(error: &anyhow::Error) -> bool {
    error.is::<NoProgram>() || error.is::<NoChroot>() || error.is::<Interrupted>()
}

fn run(label: &str, line: &str, sys: &System) -> Result<()> {
    if line.trim().is_empty() {
        return Ok(());
    }
    match sys.run(&Command::shell(label, line))? {
        Some(output) if !output.success() => bail!("{label} {}", failure(line, &output)),
        _ => Ok(()),
    }
}

/// `commands[2]: systemctl`; the program is left out where the first word could be anything else.
fn label(index: usize, text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_./+-".contains(&byte);
    match text.split_ascii_whitespace().next() {
        Some(word) if word.bytes().all(plain) => format!("commands[{index}]: {word}"),
        _ => format!("commands[{index}]"),
    }
}

/// How a command ended, and the end of its output.
pub(crate) fn failure(line: &str, output: &Output) -> String {
    let mut shown = String::from_utf8_lossy(&output.tail).into_owned();
    for part in line.lines().map(str::trim).filter(|part| part.contains(char::is_whitespace)) {
        shown = shown.replace(part, "(the command)");
    }
    ending(output.status, &excerpt(&without_trace(&shown)))
}

/// The text without what `set -x` makes of the command: quotes are gone there and variables filled in.
fn without_trace(text: &str) -> String {
    let line = |line: &str| {
        let depth = line.len() - line.trim_start_matches('+').len();
        let traced = depth > 0 && line[depth..].starts_with(' ');
        if traced { format!("{} (the command)", &line[..depth]) } else { line.to_owned() }
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::{failure, label};
    use crate::Action;
    use crate::system::{Interrupted, NoProgram, Output};
    use crate::testing::Machine;

    #[test]
    fn all_commands_run_even_if_one_fails() {
        let machine = Machine::new("");
        let outcome = machine.apply("commands:\n- first\n- exit 3\n- last\n");
        assert_eq!(outcome.commands, ["first", "exit 3", "last"]);
        assert_eq!(outcome.messages(), "Error: test.yaml:3:3: commands[1]: exit ended with status 3\n");
    }

    #[test]
    fn what_concerns_all_commands_is_said_once_and_stops_them() {
        let no_shell = || NoProgram { program: "/bin/sh".into() }.into();
        let interrupted = || Interrupted { signal: "SIGTERM" }.into();
        for (reason, message) in
            [(no_shell as fn() -> anyhow::Error, "no program /bin/sh"), (interrupted, "stopped by SIGTERM")]
        {
            let machine = Machine::new("");
            machine.host.refuse("second", reason);
            let outcome = machine.apply("commands: [first, second, third]");
            assert_eq!(outcome.commands, ["first"]);
            assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
            assert!(outcome.messages().contains(message), "{}", outcome.messages());
        }
    }

    #[test]
    fn a_command_goes_by_its_position_and_its_program() {
        assert_eq!(label(2, "systemctl restart app"), "commands[2]: systemctl");
        assert_eq!(label(0, "  /usr/bin/app+x_1.2\n"), "commands[0]: /usr/bin/app+x_1.2");
        for secret in ["PASSWORD=x app", "{{ .Values.secret }} x", "\"x\"", "$(x)", "hunter2;x", "\u{e4}", ""]
        {
            assert_eq!(label(0, secret), "commands[0]", "{secret}");
        }
        let machine = Machine::new("");
        let outcome = machine.apply("commands: [echo hunter2, TOKEN=hunter2 app]");
        let targets: Vec<_> = outcome.effects.iter().map(|effect| effect.target.as_str()).collect();
        assert_eq!(targets, ["commands[0]: echo", "commands[1]"]);
        assert!(outcome.effects.iter().all(|effect| effect.action == Action::Run));
    }

    #[test]
    fn an_error_shows_the_output_but_not_the_command() {
        let machine = Machine::new("");
        let output = "+ app --password hunter2\napp: no such host\n";
        machine.host.answer("app", 4, output);
        let outcome = machine.apply("commands:\n- |\n  set -x\n  app --password hunter2\n");
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:3:3: commands[0]: set ended with status 4; the end of its output:\n\
             + (the command)\napp: no such host\n"
        );
    }

    #[test]
    fn a_trace_of_the_command_is_not_shown() {
        let tail = b"+ PASSWORD=hunter2\n++ app hunter2\n+1\nno".to_vec();
        let output = Output { status: 1, tail, ..Output::default() };
        assert_eq!(
            failure("set -x", &output),
            "ended with status 1; the end of its output:\n+ (the command)\n++ (the command)\n+1\nno"
        );
    }

    #[test]
    fn a_signal_is_named() {
        let output = Output { status: 137, ..Output::default() };
        assert_eq!(failure("x", &output), "ended with status 137 (signal 9)");
    }

    #[test]
    fn empty_commands_do_nothing() {
        let machine = Machine::new("");
        let outcome = machine.check("commands: ['', ~, '  ']", "");
        assert!(outcome.commands.is_empty() && outcome.effects.is_empty());
    }

    #[test]
    fn planning_runs_nothing() {
        let machine = Machine::new("");
        let outcome = machine.plan("commands: [reboot]");
        assert!(outcome.commands.is_empty() && outcome.findings.is_empty());
        assert_eq!(outcome.effects[0].target, "commands[0]: reboot");
    }
}
