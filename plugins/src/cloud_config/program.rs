//! Programs of the root that modules call.

use crate::System;
use crate::system::{Command, NoProgram, Output};
use anyhow::{Context as _, Result, bail};

/// Runs a program whose words are no secret, and that must succeed. Nothing is returned in a plan.
pub(super) fn run(sys: &System, words: &[&str]) -> Result<Option<Output>> {
    must_succeed(sys, &words.join(" "), command(words))
}

/// The same for any command, by the label that stands for it in reports.
pub(super) fn must_succeed(sys: &System, label: &str, command: Command) -> Result<Option<Output>> {
    match sys.run(&command)? {
        Some(output) if !output.success() => bail!("`{label}` {}", failure(&output)),
        output => Ok(output),
    }
}

/// Runs a program that may fail, and tells how it ended. Nothing is returned in a plan.
pub(super) fn ask(sys: &System, words: &[&str]) -> Result<Option<Output>> {
    sys.run(&command(words))
}

/// Adds to an error about a program that is missing what would bring it.
pub(super) fn remedy<T>(result: Result<T>, remedy: &'static str) -> Result<T> {
    match result {
        Err(error) if error.is::<NoProgram>() => Err(error).context(remedy),
        result => result,
    }
}

/// How a program ended, and the last line that it wrote.
fn failure(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.tail);
    let said = said.trim().lines().last().unwrap_or("it said nothing").replace(char::is_control, " ");
    format!("ended with status {}: {said}", output.status)
}

fn command(words: &[&str]) -> Command {
    let (program, arguments) = words.split_first().unwrap_or((&"", &[]));
    arguments.iter().fold(Command::new(words.join(" "), *program), |command, word| command.argument(*word))
}
