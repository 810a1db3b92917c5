//! A root directory, documents beside it, and runs of the binary on them.

use std::fs;
use std::io::Write as _;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A run that takes longer hangs. No test says how fast a run must be.
const HANGS: Duration = Duration::from_secs(120);
/// No run may need more address space, in KiB.
const MEMORY: u32 = 1 << 20;

pub(crate) struct Machine {
    directory: TempDir,
}

impl Machine {
    /// A root with an empty `/etc`.
    pub(crate) fn new() -> Self {
        let machine = Self { directory: tempfile::tempdir().unwrap() };
        fs::create_dir_all(machine.root("/etc")).unwrap();
        machine
    }

    /// A path in the root.
    pub(crate) fn root(&self, path: &str) -> PathBuf {
        self.outside("root").join(path.trim_start_matches('/'))
    }

    /// A path beside the root.
    pub(crate) fn outside(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts a file into the root.
    pub(crate) fn put(&self, path: &str, content: &str) {
        let path = self.root(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// The content of a file of the root; nothing if there is none.
    pub(crate) fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root(path)).ok()
    }

    /// Puts a document beside the root; returns its path.
    pub(crate) fn document(&self, name: &str, text: &str) -> String {
        let path = self.outside(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// Puts a document beside the root whose stage `test` has these steps.
    pub(crate) fn steps(&self, name: &str, steps: &str) -> String {
        let steps = steps.lines().map(|line| format!("  {line}\n")).collect::<String>();
        self.document(name, &format!("stages:\n  test:\n{steps}"))
    }

    /// Runs the binary on the root.
    pub(crate) fn cosette(&self, arguments: &[&str]) -> Ended {
        let root = self.root("/");
        let mut line = vec!["--root", root.to_str().unwrap()];
        line.extend(arguments);
        self.run(command(&line))
    }

    /// Applies the stage `test` of some documents to the root.
    pub(crate) fn apply(&self, documents: &[&str]) -> Ended {
        let mut arguments = vec!["--json", "apply", "-s", "test"];
        arguments.extend(documents);
        self.cosette(&arguments)
    }

    /// Applies the stage `test` of some documents to the machine itself, which has a shell.
    pub(crate) fn apply_here(&self, documents: &[&str]) -> Ended {
        let mut arguments = vec!["--json", "apply", "-s", "test"];
        arguments.extend(documents);
        self.run(command(&arguments))
    }

    /// Runs a command to its end.
    pub(crate) fn run(&self, mut command: Command) -> Ended {
        self.start(&mut command).wait()
    }

    /// Starts a command whose output goes to files.
    pub(crate) fn start(&self, command: &mut Command) -> Started {
        let file = || tempfile::NamedTempFile::new_in(self.directory.path()).unwrap();
        let (out, err) = (file(), file());
        command.stdin(Stdio::null()).current_dir(self.directory.path());
        command.stdout(out.reopen().unwrap()).stderr(err.reopen().unwrap());
        Started { child: command.spawn().unwrap(), out, err }
    }
}

/// The binary, with bounded memory.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(format!("ulimit -v {MEMORY}; exec \"$0\" \"$@\""));
    command.arg(env!("CARGO_BIN_EXE_cosette")).args(arguments);
    command
}

/// A command run by nobody, if this process may do that and nobody can reach the binary.
pub(crate) fn as_nobody(machine: &Machine, mut command: Command) -> Option<Command> {
    if !is_root() {
        return Some(command);
    }
    let mut probe = Command::new(env!("CARGO_BIN_EXE_cosette"));
    probe.arg("--version").stdout(Stdio::null()).uid(65534).gid(65534);
    if !probe.status().is_ok_and(|status| status.success()) {
        let _ = writeln!(std::io::stderr(), "SKIPPED: an ordinary user cannot run the binary where it lies");
        return None;
    }
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs::set_permissions(machine.directory.path(), open).unwrap();
    command.uid(65534).gid(65534);
    Some(command)
}

/// Whether the tests run as root.
pub(crate) fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Something that is mounted until it is dropped. `None`, said loudly, where that is not possible.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    pub(crate) fn new(arguments: &[&str], target: &Path) -> Option<Self> {
        let mounted =
            is_root() && Command::new("mount").args(arguments).arg(target).status().unwrap().success();
        if !mounted {
            let _ = writeln!(std::io::stderr(), "SKIPPED: mounting {arguments:?} needs root");
            return None;
        }
        Some(Self(target.to_owned()))
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A run that goes on.
pub(crate) struct Started {
    pub(crate) child: Child,
    out: tempfile::NamedTempFile,
    err: tempfile::NamedTempFile,
}

impl Started {
    /// Waits for the end, and fails when the run hangs.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Ended {
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if begun.elapsed() > HANGS {
                self.child.kill().unwrap();
                panic!("hangs");
            }
            std::thread::sleep(Duration::from_millis(2));
        };
        let text = |file: &tempfile::NamedTempFile| {
            String::from_utf8(fs::read(file.path()).unwrap()).expect("all output is text")
        };
        Ended { status: status.code(), stdout: text(&self.out), stderr: text(&self.err) }
    }
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The report that was asked for with `--json`.
    #[track_caller]
    pub(crate) fn report(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:#?}"))
    }

    /// The diagnostics of the documents: `file:line:column: message; help`, files by their last name.
    #[track_caller]
    pub(crate) fn diagnostics(&self) -> Vec<String> {
        self.report()["diagnostics"].as_array().unwrap().iter().map(finding).collect()
    }

    /// The errors of a step.
    #[track_caller]
    pub(crate) fn errors(&self, step: &str) -> Vec<String> {
        self.step(step)["errors"].as_array().unwrap().iter().map(finding).collect()
    }

    /// How a step ended.
    #[track_caller]
    pub(crate) fn outcome(&self, step: &str) -> String {
        self.step(step)["outcome"].as_str().unwrap().to_owned()
    }

    /// The report of a step.
    #[track_caller]
    pub(crate) fn step(&self, name: &str) -> Value {
        let report = self.report();
        let steps = report["steps"].as_array().unwrap();
        steps
            .iter()
            .find(|step| step["name"] == name)
            .unwrap_or_else(|| panic!("no {name}: {self:#?}"))
            .clone()
    }
}

fn finding(finding: &Value) -> String {
    let source = finding["source"].as_str().unwrap();
    let mut text = source.rsplit('/').next().unwrap().to_owned();
    if let (Some(line), Some(column)) = (finding["line"].as_u64(), finding["column"].as_u64()) {
        text += &format!(":{line}:{column}");
    }
    text += &format!(": {}", finding["message"].as_str().unwrap());
    if let Some(help) = finding["help"].as_str() {
        text += &format!("; {help}");
    }
    text
}
