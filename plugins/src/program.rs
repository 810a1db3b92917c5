//! Programs of the root that are called.

use crate::System;
use crate::command_output::{ending, excerpt};
use crate::system::{Command, NoProgram, Output};
use anyhow::{Context as _, Result, bail};

/// Runs a program whose words are no secret, and that must succeed. Nothing is returned in a plan.
pub fn run(sys: &System, words: &[&str]) -> Result<Option<Output>> {
    must_succeed(sys, &words.join(" "), command(words))
}

/// The same for any command, by the label that stands for it in reports.
pub fn must_succeed(sys: &System, label: &str, command: Command) -> Result<Option<Output>> {
    match sys.run(&command)? {
        Some(output) if !output.success() => bail!("`{label}` {}", failure(&output)),
        output => Ok(output),
    }
}

/// Runs a program that only looks, and that may fail. Nothing is returned in a plan.
pub(crate) fn ask(sys: &System, words: &[&str]) -> Result<Option<Output>> {
    sys.ask(&command(words))
}

/// What a program wrote that only looks, and that must succeed. Nothing is returned in a plan.
pub(crate) fn answer(sys: &System, words: &[&str]) -> Result<Option<String>> {
    match ask(sys, words)? {
        Some(output) if !output.success() => bail!("`{}` {}", words.join(" "), failure(&output)),
        output => Ok(output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned())),
    }
}

/// Adds to an error about a program that is missing what would bring it.
pub fn remedy<T>(result: Result<T>, remedy: &'static str) -> Result<T> {
    match result {
        Err(error) if error.is::<NoProgram>() => Err(error).context(remedy),
        result => result,
    }
}

/// How a program ended that should have succeeded, with the end of what it wrote.
pub fn failure(output: &Output) -> String {
    ending(output.status, &excerpt(&String::from_utf8_lossy(&output.tail)))
}

pub(crate) fn command(words: &[&str]) -> Command {
    let (program, arguments) = words.split_first().unwrap_or((&"", &[]));
    arguments.iter().fold(Command::new(words.join(" "), *program), |command, word| command.argument(*word))
}
