//! Commands and what comes of them.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// A script of at most so many bytes is read by the shell itself, which asks for each byte alone but starts no
/// process for it.
const SHORT: usize = 4096;

/// Reads the whole of standard input and obeys it: all of it first, so that no command can eat the rest.
const READ_LINES: &str = r#"_text=; while IFS= read -r _line; do _text="$_text$_line
"; done; [ ! -c /dev/null ] || exec </dev/null; eval "unset _text _line; $_text$_line""#;

/// The same for a long script.
const READ_ALL: &str = r#"_text=$(cat); [ ! -c /dev/null ] || exec </dev/null; eval "unset _text; $_text""#;

/// A program to run inside the root: standard input is empty unless it is given one, it leads its own process
/// group, and its output is captured.
#[derive(Clone)]
pub struct Command {
    label: String,
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    limit: Option<Duration>,
    input: Vec<u8>,
}

impl Command {
    /// A program with arguments. The label stands for the command in reports: it must not hold a secret.
    pub fn new(label: impl Into<String>, program: impl Into<OsString>) -> Self {
        Self {
            label: label.into(),
            program: program.into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            limit: None,
            input: Vec::new(),
        }
    }

    /// A script for the shell of the root, `/bin/sh`. The shell gets it through standard input, because
    /// everybody on the machine sees the arguments of a process; what it runs finds standard input empty.
    pub fn shell(label: impl Into<String>, script: impl Into<Vec<u8>>) -> Self {
        let script = script.into();
        let read = if script.len() <= SHORT { READ_LINES } else { READ_ALL };
        Self::new(label, "/bin/sh").argument("-c").argument(read).input(script)
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

    /// Sets what it reads from standard input: for what nobody may see among its arguments.
    pub fn input(mut self, input: impl Into<Vec<u8>>) -> Self {
        self.input = input.into();
        self
    }

    /// Ends it, with its children, when it has run for so long: that is the error [`TooSlow`].
    pub fn at_most(mut self, limit: Duration) -> Self {
        self.limit = Some(limit);
        self
    }

    /// How long it may run, if that is limited.
    pub fn limit(&self) -> Option<Duration> {
        self.limit
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

    /// What it reads from standard input.
    pub fn standard_input(&self) -> &[u8] {
        &self.input
    }
}

/// The label alone: all else may hold secrets.
impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Command").field("label", &self.label).finish_non_exhaustive()
    }
}

/// How a command ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its exit status; a command killed by a signal has 128 plus the number of the signal, as in a shell.
    pub status: i32,
    /// The last 64 KiB that it wrote to standard output.
    pub stdout: Vec<u8>,
    /// The last 64 KiB that it wrote to standard output and standard error, in the order in which they were
    /// read: what it wrote to both within the same moment may change places.
    pub tail: Vec<u8>,
}

impl Output {
    /// Whether it ended with status 0.
    pub fn success(&self) -> bool {
        self.status == 0
    }
}

/// The root does not hold the program, or not what the program needs to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoProgram {
    /// The program as it was asked for: a path or a name.
    pub program: PathBuf,
}

impl fmt::Display for NoProgram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the root has no program {}, or not the interpreter it needs", self.program.display())
    }
}

impl std::error::Error for NoProgram {}

/// This process may not chroot, so that no command can run in a root other than `/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoChroot {
    /// The root.
    pub root: PathBuf,
}

impl fmt::Display for NoChroot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = self.root.display();
        write!(f, "commands cannot run in {root}: chroot is not permitted; run as root or under `unshare -r`")
    }
}

impl std::error::Error for NoChroot {}

/// The runner was told to stop, and the command was killed with its process group or not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interrupted {
    /// The name of the signal: `SIGTERM`.
    pub signal: &'static str,
}

impl fmt::Display for Interrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stopped by {}", self.signal)
    }
}

impl std::error::Error for Interrupted {}

/// The command had not ended when its time was over, and was killed with its process group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooSlow {
    /// The time that it had.
    pub limit: Duration,
}

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it had not ended after {} s, and was stopped", self.limit.as_secs())
    }
}

impl std::error::Error for TooSlow {}
