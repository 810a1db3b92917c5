//! Running a command to its end, with bounded memory and in bounded time after a request to stop.
#![allow(clippy::disallowed_methods, reason = "this is where commands are started")]

use super::stop::Request;
use super::{Command, Interrupted, NoChroot, NoProgram, Output, sys};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode as Bits;
use nix::unistd::Pid;
use std::ffi::CString;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

/// How much of each stream is kept.
const KEPT: usize = 64 << 10;

/// Where programs are looked for when the environment does not say.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a group may take to end after SIGTERM before it is killed.
pub(super) const GRACE: Duration = Duration::from_secs(5);

/// Runs the command and waits for it, not for what it leaves in the background.
pub(super) fn run(root: &Path, command: &Command, request: &Request, grace: Duration) -> Result<Output> {
    if let Some(signal) = request.signal() {
        return Err(Interrupted { signal }.into());
    }
    let mut running = Running::start(root, command)?;
    let mut kill_at: Option<Instant> = None;
    loop {
        if kill_at.is_none() && request.signal().is_some() {
            running.signal_group(Signal::SIGTERM);
            kill_at = Some(Instant::now() + grace);
        }
        if kill_at.is_some_and(|at| at <= Instant::now()) {
            running.signal_group(Signal::SIGKILL);
        }
        let ended = running.wait_for_news(if kill_at.is_none() { Some(request) } else { None }, kill_at)?;
        if !ended {
            continue;
        }
        if let Some(signal) = request.signal() {
            // Before the leader is reaped, so that the number of the group cannot be another's yet.
            running.signal_group(Signal::SIGKILL);
            running.finish()?;
            return Err(Interrupted { signal }.into());
        }
        return running.finish();
    }
}

/// A command that was started.
struct Running {
    child: Child,
    /// Readable when it ends. Nothing when the kernel refuses it, and the command is asked again and again.
    end: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    kept_stdout: Tail,
    kept: Tail,
    buffer: Vec<u8>,
}

impl Running {
    fn start(root: &Path, command: &Command) -> Result<Self> {
        let mut argv = command.argv();
        let program = argv.next().context("a command without a program")?;
        let mut start = std::process::Command::new(program);
        start.args(argv).current_dir("/").process_group(0);
        start.envs(command.environment().iter().map(|(name, value)| (name, value)));
        let names_path = command.environment().iter().any(|(name, _)| name == "PATH");
        if !names_path && std::env::var_os("PATH").is_none_or(|path| path.is_empty()) {
            start.env("PATH", DEFAULT_PATH);
        }
        let (stdout, their_stdout) = pipe()?;
        let (stderr, their_stderr) = pipe()?;
        start.stdin(empty_input()?).stdout(their_stdout).stderr(their_stderr);
        let chroot = match root == Path::new("/") {
            true => None,
            false => {
                Some(CString::new(root.as_os_str().as_bytes()).context("the root has a NUL in its path")?)
            }
        };
        sys::prepare_start(&mut start, chroot);
        let started = start.spawn();
        // Our copies of the ends that the command writes to; with them open, its output would not end.
        drop(start);
        let child = match started {
            Ok(child) => child,
            Err(error) => return Err(explain(&error, root, command)),
        };
        let end = sys::pidfd(Pid::from_raw(child.id() as i32)).ok();
        Ok(Self {
            child,
            end,
            stdout: Some(stdout),
            stderr: Some(stderr),
            kept_stdout: Tail::default(),
            kept: Tail::default(),
            buffer: vec![0; KEPT],
        })
    }

    /// Waits until there is output, an end, a request or the deadline, and takes the output. Says whether the
    /// command has ended.
    fn wait_for_news(&mut self, request: Option<&Request>, deadline: Option<Instant>) -> Result<bool> {
        let wake = request.and_then(Request::wake);
        let fds: Vec<_> = [self.stdout.as_ref(), self.stderr.as_ref(), self.end.as_ref()]
            .into_iter()
            .flatten()
            .map(AsFd::as_fd)
            .chain(wake)
            .collect();
        let mut fds: Vec<_> = fds.into_iter().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        let mut timeout = deadline.map(|at| at.saturating_duration_since(Instant::now()));
        if self.end.is_none() {
            let often = Duration::from_millis(10);
            timeout = Some(timeout.map_or(often, |timeout| timeout.min(often)));
        }
        // Rounded up, so that a deadline is over when it wakes us.
        let timeout = timeout.map_or(PollTimeout::NONE, |timeout| {
            PollTimeout::try_from(timeout + Duration::from_millis(1)).unwrap_or(PollTimeout::MAX)
        });
        match poll(&mut fds, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => bail!("cannot wait for the command: {}", error.desc()),
        }
        drop(fds);
        let end = match &self.end {
            Some(end) => is_ready(end)?,
            None => self.has_ended()?,
        };
        self.take_output();
        Ok(end)
    }

    /// Whether the command has ended, without reaping it: its number stays its own.
    fn has_ended(&self) -> Result<bool> {
        use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        let status = waitid(Id::Pid(Pid::from_raw(self.child.id() as i32)), flags);
        Ok(!matches!(status.context("cannot wait for the command")?, WaitStatus::StillAlive))
    }

    /// Reads each stream once. One that is at its end is closed.
    fn take_output(&mut self) -> bool {
        let mut more = false;
        for (stream, is_stdout) in [(&mut self.stdout, true), (&mut self.stderr, false)] {
            let Some(fd) = stream else { continue };
            match nix::unistd::read(fd.as_fd(), &mut self.buffer) {
                Ok(0) => *stream = None,
                Ok(count) => {
                    more = true;
                    let read = &self.buffer[..count];
                    self.kept.add(read);
                    if is_stdout {
                        self.kept_stdout.add(read);
                    }
                }
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(_) => *stream = None,
            }
        }
        more
    }

    /// Takes the output that is there, not what others go on writing, and reaps the command.
    fn finish(mut self) -> Result<Output> {
        /// Pipes hold at most 1 MiB unless root allows more.
        const AT_MOST: usize = (1 << 20) / KEPT;
        for _ in 0..AT_MOST {
            if !self.take_output() {
                break;
            }
        }
        let status = self.child.wait().context("cannot wait for the command")?;
        let status = status.code().or(status.signal().map(|signal| 128 + signal)).unwrap_or(-1);
        Ok(Output { status, stdout: self.kept_stdout.into_bytes(), tail: self.kept.into_bytes() })
    }

    fn signal_group(&self, signal: Signal) {
        // A group that is gone is what we want.
        let _ = killpg(Pid::from_raw(self.child.id() as i32), signal);
    }
}

/// The last bytes of a stream.
#[derive(Default)]
struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    fn add(&mut self, bytes: &[u8]) {
        // Moved once in a while rather than at every read.
        if self.bytes.len() + bytes.len() > 2 * KEPT {
            let surplus = self.bytes.len().saturating_sub(KEPT);
            self.bytes.drain(..surplus);
        }
        self.bytes.extend_from_slice(bytes);
    }

    fn into_bytes(mut self) -> Vec<u8> {
        let surplus = self.bytes.len().saturating_sub(KEPT);
        self.bytes.drain(..surplus);
        self.bytes
    }
}

/// A pipe whose reading end does not block.
fn pipe() -> Result<(OwnedFd, OwnedFd)> {
    let (reader, writer) = nix::unistd::pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe")?;
    fcntl(&reader, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("cannot make a pipe")?;
    Ok((reader, writer))
}

/// `/dev/null`, or where there is none, a pipe that nobody writes to.
fn empty_input() -> Result<Stdio> {
    match open("/dev/null", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Bits::empty()) {
        Ok(null) => Ok(null.into()),
        Err(_) => Ok(pipe()?.0.into()),
    }
}

fn is_ready(fd: &OwnedFd) -> Result<bool> {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLIN)];
    Ok(poll(&mut fds, PollTimeout::ZERO).context("cannot wait for the command")? > 0)
}

/// Why the command did not start.
fn explain(error: &std::io::Error, root: &Path, command: &Command) -> anyhow::Error {
    let label = command.label();
    match sys::start_failure(error) {
        (true, Errno::EPERM) => NoChroot { root: root.to_owned() }.into(),
        (true, errno) => anyhow::anyhow!("cannot chroot into {}: {}", root.display(), errno.desc()),
        (false, Errno::ENOENT | Errno::ENOTDIR) => {
            let program = command.argv().next().map(std::path::PathBuf::from).unwrap_or_default();
            NoProgram { program }.into()
        }
        (false, Errno::EACCES) => anyhow::anyhow!("cannot start {label}: the program is not executable"),
        (false, Errno::ENOEXEC) => {
            anyhow::anyhow!(
                "cannot start {label}: not a program for this machine (does it lack its #! line?)"
            )
        }
        (false, errno) => anyhow::anyhow!("cannot start {label}: {}", errno.desc()),
    }
}
