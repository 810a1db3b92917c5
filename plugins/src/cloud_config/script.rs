//! Scripts of lines and of commands that are written as lists: `bootcmd` and `runcmd`.

use super::once::instance_id;
use crate::System;
use crate::keys::commands::failure;
use crate::system::Command;
use anyhow::{Result, bail};
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Findings, Shape};

/// A script for the shell.
#[derive(Default)]
pub(super) struct Script(Vec<Line>);

/// One item: a line as it is, or a command whose words are quoted.
struct Line(String);

/// One that cannot be understood spoils the script: the others may depend on it.
impl Decode for Script {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let lines: Vec<Option<Line>> = all(node, findings)?;
        Some(Self(lines.into_iter().flatten().collect()))
    }

    fn shape() -> Shape {
        Vec::<Line>::shape()
    }
}

impl Decode for Line {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Scalar(_) => String::decode(node, findings).map(Self),
            Value::List(_) => {
                let words: Vec<String> = all(node, findings)?;
                Some(Self(words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")))
            }
            Value::Map(_) => {
                findings
                    .error(node.span, "expected a line for the shell or a list of words, found a map")
                    .help("put the line in quotes if its `: ` belongs to it");
                None
            }
        }
    }

    fn shape() -> Shape {
        String::shape().or(Vec::<String>::shape())
    }
}

/// A list; nothing if one of its items cannot be read.
fn all<T: Decode>(node: &Node, findings: &mut Findings) -> Option<Vec<T>> {
    let count = match &node.value {
        Value::List(items) => items.len(),
        _ => 0,
    };
    Vec::decode(node, findings).filter(|items| items.len() == count)
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Script {
    /// Runs the script. As in any script, a line that fails stops nothing, and the last one decides.
    pub(super) fn run(&self, module: &'static str, sys: &System) -> Result<()> {
        let lines: String = self.0.iter().map(|Line(line)| format!("{line}\n")).collect();
        if lines.trim().is_empty() {
            return Ok(());
        }
        let mut command = Command::shell(module, lines.as_str());
        if let Some(id) = instance_id(sys) {
            command = command.variable("INSTANCE_ID", id);
        }
        match sys.run(&command)? {
            Some(output) if !output.success() => bail!("{module} {}", failure(&lines, &output)),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::system::{Live, Mode};
    use crate::testing::Machine;
    use crate::{System, system::Command};
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn a_shell_really_runs_the_script_whatever_its_size_and_no_command_eats_the_rest() {
        let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
        let run = |script: &str| sys.run(&Command::shell("test", script)).unwrap().unwrap();
        let output = run("cat\nx=1\nread y\necho \"$x$y.\"\necho 'a\nb'\nexit 3\n");
        assert_eq!((output.status, output.stdout.as_slice()), (3, &b"1.\na\nb\n"[..]));
        let large = format!("# {}\necho \"done $#\"\n", "x".repeat(3 << 20));
        assert_eq!(run(&large).stdout, b"done 0\n");
        assert_ne!(run("if\n").status, 0);
    }

    #[test]
    fn what_cannot_be_a_command_spoils_the_script_and_says_why() {
        let machine = Machine::new("");
        let outcome = machine.apply("#cloud-config\nbootcmd:\n- a\n- echo x: CANARY\n- [b, [c]]\n- \n- 5\n");
        assert!(outcome.commands.is_empty());
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:4:3: expected a line for the shell or a list of words, found a map; put the line \
             in quotes if its `: ` belongs to it\n\
             Error: test.yaml:5:7: expected a text, found a list\n"
        );
        assert_eq!(
            machine.check("#cloud-config\nbootcmd: [1, ~, [2, \"a b\"]]", "").commands,
            ["1\n'2' 'a b'"]
        );
        assert!(machine.check("#cloud-config\nbootcmd: []", "").commands.is_empty());
        let text = machine.apply("#cloud-config\nruncmd: CANARY\n");
        assert!(text.commands.is_empty() && !text.messages().contains("CANARY"));
    }

    #[test]
    fn a_script_that_fails_does_not_show_its_text() {
        let machine = Machine::new("");
        machine.host.answer("app", 1, "+ app --token CANARY\napp --token CANARY: not found\nmore\n");
        let outcome = machine.apply("#cloud-config\nbootcmd: [app --token CANARY]");
        assert!(outcome.messages().contains("bootcmd ended with status 1"), "{}", outcome.messages());
        assert!(!outcome.messages().contains("CANARY") && outcome.messages().contains("more"));
        assert!(!format!("{:?}", outcome.effects).contains("CANARY"));
    }
}
