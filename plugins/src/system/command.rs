//! Commands and what comes of them.

use std::ffi::OsString;

/// A program to run inside the root: standard input is empty, it leads its own process group, and its output
/// is captured.
#[derive(Clone, Debug)]
pub struct Command {
    label: String,
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Command {
    /// A program with arguments. The label stands for the command in reports: it must not hold a secret.
    pub fn new(label: impl Into<String>, program: impl Into<OsString>) -> Self {
        Self { label: label.into(), program: program.into(), arguments: Vec::new(), environment: Vec::new() }
    }

    /// A line for the shell of the root, `/bin/sh`.
    pub fn shell(label: impl Into<String>, line: impl Into<OsString>) -> Self {
        Self::new(label, "/bin/sh").argument("-c").argument(line)
    }

    /// Adds an argument.
    pub fn argument(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Sets a variable in its environment.
    pub fn variable(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    /// What stands for it in reports.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The program and its arguments.
    pub fn argv(&self) -> impl Iterator<Item = &OsString> {
        std::iter::once(&self.program).chain(&self.arguments)
    }

    /// Variables that are set in addition to those of the runner.
    pub fn environment(&self) -> &[(OsString, OsString)] {
        &self.environment
    }
}

/// How a command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; a command killed by a signal has 128 plus the number of the signal, as in a shell.
    pub status: i32,
    /// The last 64 KiB that it wrote to standard output.
    pub stdout: Vec<u8>,
    /// The last 64 KiB that it wrote to standard output and standard error, in the order of writing.
    pub tail: Vec<u8>,
}

impl Output {
    /// Whether it ended with status 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }
}
