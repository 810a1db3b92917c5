//! Running a command to its end, with bounded memory and in bounded time after a request to stop.
#![allow(clippy::disallowed_methods, reason = "this is where commands are started")]

use super::cause::Cause;
use super::stop::Request;
use super::{Command, Interrupted, NoChroot, NoProgram, Output, TooSlow, sys};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl, open};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::signal::{Signal, killpg};
use nix::sys::stat::Mode as Bits;
use nix::unistd::Pid;
use std::ffi::CString;
use std::fs::File;
use std::io::{Seek as _, Write as _};
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
    let deadline = command.limit().map(|limit| (limit, Instant::now() + limit));
    let mut late = None;
    let mut kill_at: Option<Instant> = None;
    loop {
        if kill_at.is_none() {
            late = deadline.filter(|(_, at)| *at <= Instant::now()).map(|(limit, _)| TooSlow { limit });
            if late.is_some() || request.signal().is_some() {
                running.signal_group(Signal::SIGTERM);
                kill_at = Some(Instant::now() + grace);
            }
        }
        if kill_at.is_some_and(|at| at <= Instant::now()) {
            running.signal_group(Signal::SIGKILL);
        }
        let wake_at = kill_at.or(deadline.map(|(_, at)| at));
        let ended = running.wait_for_news(if kill_at.is_none() { Some(request) } else { None }, wake_at)?;
        if !ended {
            continue;
        }
        let killed = match request.signal() {
            Some(signal) => Some(Interrupted { signal }.into()),
            None => late.map(anyhow::Error::from),
        };
        if let Some(killed) = killed {
            // Before the leader is reaped, so that the number of the group cannot be another's yet.
            running.signal_group(Signal::SIGKILL);
            running.finish()?;
            return Err(killed);
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
        // It speaks of this process, and not of its children.
        start.env_remove("NOTIFY_SOCKET");
        start.envs(command.environment().iter().map(|(name, value)| (name, value)));
        let names_path = command.environment().iter().any(|(name, _)| name == "PATH");
        if !names_path && std::env::var_os("PATH").is_none_or(|path| path.is_empty()) {
            start.env("PATH", DEFAULT_PATH);
        }
        let (stdout, their_stdout) = pipe()?;
        let (stderr, their_stderr) = pipe()?;
        start.stdin(input(command.standard_input())?).stdout(their_stdout).stderr(their_stderr);
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

/// The content, from memory. Without content `/dev/null`, or where there is none, a pipe that nobody writes to.
fn input(content: &[u8]) -> Result<Stdio> {
    if !content.is_empty() {
        let mut file = File::from(memfd_create(c"input", MFdFlags::MFD_CLOEXEC).map_err(Cause)?);
        file.write_all(content).and_then(|()| file.rewind()).context("cannot hand over the input")?;
        return Ok(file.into());
    }
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
    let program = command.argv().next().map(std::path::PathBuf::from).unwrap_or_default();
    let is_name = program.components().count() == 1 && program.is_relative();
    if error.raw_os_error().is_none() {
        return anyhow::anyhow!("cannot start {label}: {error}");
    }
    match sys::start_failure(error) {
        (true, Errno::EPERM) => NoChroot { root: root.to_owned() }.into(),
        (true, errno) => anyhow::anyhow!("cannot chroot into {}: {}", root.display(), errno.desc()),
        (false, Errno::ENOENT | Errno::ENOTDIR) => NoProgram { program }.into(),
        // A directory in PATH that may not be searched.
        (false, Errno::EACCES) if is_name => NoProgram { program }.into(),
        (false, Errno::EACCES) => anyhow::anyhow!("cannot start {label}: the program is not executable"),
        (false, Errno::ENOEXEC) => {
            anyhow::anyhow!(
                "cannot start {label}: not a program for this machine (does it lack its #! line?)"
            )
        }
        (false, errno) => anyhow::anyhow!("cannot start {label}: {}", errno.desc()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::{Mounted, Scratch, is_root};
    use crate::system::{Live, Mode, System};
    use nix::sys::signal::{SigSet, SigmaskHow};
    use std::sync::Arc;

    fn here(line: &str) -> Output {
        run(Path::new("/"), &Command::shell("test", line), &Request::new(), GRACE).unwrap()
    }

    fn text(bytes: &[u8]) -> &str {
        std::str::from_utf8(bytes).unwrap().trim_end()
    }

    #[test]
    fn output_and_status_are_those_of_the_command() {
        let output = here("echo out; sleep 0.1; echo err >&2; sleep 0.1; echo end; exit 3");
        assert_eq!((output.status, text(&output.stdout)), (3, "out\nend"));
        assert_eq!(text(&output.tail), "out\nerr\nend");
        assert_eq!(here("kill -9 $$").status, 137);
        assert!(here("true").success());
    }

    #[test]
    fn a_system_knows_how_long_its_programs_were_waited_for() {
        let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
        assert_eq!(sys.time_of_programs(), Duration::ZERO);
        for _ in 0..2 {
            sys.ask(&Command::shell("test", "sleep 0.1")).unwrap();
        }
        assert!(sys.time_of_programs() >= Duration::from_millis(200));
    }

    #[test]
    fn a_command_starts_in_a_clean_state() {
        let mut blocked = SigSet::empty();
        blocked.add(Signal::SIGUSR2);
        blocked.thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
        // Nothing is open but the three streams and what lists them; it leads its group; it is in `/`.
        let output = here(
            "pwd; readlink /proc/self/fd/0; ls /proc/self/fd | wc -l; \
             read -r _ _ _ _ group rest < /proc/$$/stat; test \"$group\" = $$ && echo leads; \
             grep -E '^Sig(Blk|Ign):' /proc/self/status",
        );
        blocked.thread_unblock().unwrap();
        let (state, signals) = text(&output.tail).split_once("\nSigBlk:").unwrap();
        assert_eq!(state, "/\n/dev/null\n4\nleads");
        // Those that the C library keeps for itself are out of reach: 32 and 33.
        let signals = signals.split("SigIgn:").map(|mask| u64::from_str_radix(mask.trim(), 16).unwrap());
        assert!(signals.into_iter().all(|mask| mask & !(3 << 31) == 0));
    }

    #[test]
    fn variables_are_added_to_those_of_this_process() {
        let command =
            Command::shell("test", "echo $SOME $PATH").variable("SOME", "value").variable("PATH", "");
        let output = run(Path::new("/"), &command, &Request::new(), GRACE).unwrap();
        assert_eq!(text(&output.stdout), "value");
        assert!(text(&here("echo $PATH").stdout).contains("/bin"));
    }

    #[test]
    fn only_the_end_of_much_output_is_kept() {
        let output = here("yes | head -c 300000000; echo; echo the end");
        assert_eq!((output.stdout.len(), output.tail.len()), (KEPT, KEPT));
        assert!(output.stdout.ends_with(b"y\n\nthe end\n"));
        let mut tail = Tail::default();
        for _ in 0..1000 {
            tail.add(&[0; 1000]);
            assert!(tail.bytes.len() <= 2 * KEPT);
        }
    }

    #[test]
    fn a_child_in_the_background_that_keeps_the_output_open_is_not_waited_for() {
        let started = Instant::now();
        let output = here("sleep 60 & echo $!");
        assert!(started.elapsed() < Duration::from_secs(30));
        let child: i32 = text(&output.stdout).parse().unwrap();
        // It lives on: services are started like this.
        nix::sys::signal::kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
        let flood = here("yes & echo $! >&2; sleep 0.1");
        let child = text(&flood.tail).lines().find_map(|line| line.parse().ok()).unwrap_or_else(|| {
            // The number was written first and may have been pushed out.
            text(&here("pgrep -n -x yes").stdout).parse().unwrap()
        });
        nix::sys::signal::kill(Pid::from_raw(child), Signal::SIGKILL).unwrap();
    }

    #[test]
    fn a_request_to_stop_kills_the_whole_group_gently_first() {
        let scratch = Scratch::new();
        let at = scratch.root().display();
        let request = Request::new();
        request.prepare().unwrap();
        // Its child ignores SIGTERM, and both say what they got.
        let line = format!(
            "(trap '' TERM; echo $$ >/dev/null; sh -c 'echo $PPID' > {at}/child; while :; do sleep 0.1; done) & \
             trap 'echo term > {at}/got; exit 0' TERM; while :; do test -s {at}/child && echo > {at}/ready; sleep 0.05; done"
        );
        let result = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !scratch.at("/ready").exists() {
                    std::thread::sleep(Duration::from_millis(10));
                }
                request.make(Signal::SIGTERM as i32);
            });
            run(Path::new("/"), &Command::shell("test", line), &request, GRACE)
        });
        assert_eq!(result.unwrap_err().downcast_ref(), Some(&Interrupted { signal: "SIGTERM" }));
        assert_eq!(scratch.text("/got"), "term\n");
        let child = scratch.text("/child").trim().parse().unwrap();
        while nix::sys::signal::kill(Pid::from_raw(child), None).is_ok() && !is_zombie(child) {
            std::thread::sleep(Duration::from_millis(10));
        }
        let again = run(Path::new("/"), &Command::shell("test", "true"), &request, GRACE);
        assert!(again.unwrap_err().is::<Interrupted>());
    }

    fn is_zombie(process: i32) -> bool {
        std::fs::read_to_string(format!("/proc/{process}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    }

    #[test]
    fn a_command_that_ignores_sigterm_is_killed_after_the_grace() {
        let request = Request::new();
        request.prepare().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(100));
                request.make(Signal::SIGINT as i32);
            });
            let command = Command::shell("test", "trap '' TERM; while :; do sleep 0.1; done");
            let error = run(Path::new("/"), &command, &request, Duration::from_millis(200)).unwrap_err();
            assert_eq!(format!("{error:#}"), "stopped by SIGINT");
        });
    }

    #[test]
    fn a_command_whose_time_is_over_is_killed_with_its_children() {
        let started = Instant::now();
        let limit = Duration::from_millis(100);
        let command = Command::shell("test", "(trap '' TERM; sleep 61) & wait").at_most(limit);
        let error = run(Path::new("/"), &command, &Request::new(), Duration::from_millis(100)).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&TooSlow { limit }));
        assert!(started.elapsed() < Duration::from_secs(30));
        assert!(run(Path::new("/"), &command, &Request::new(), GRACE).is_err());
        let quick = Command::shell("test", "exit 3").at_most(Duration::from_secs(60));
        assert_eq!(run(Path::new("/"), &quick, &Request::new(), GRACE).unwrap().status, 3);
    }

    #[test]
    fn a_missing_program_is_told_from_other_failures() {
        let scratch = Scratch::new();
        let start = |root: &Path, program: &str| {
            run(root, &Command::new("the label", program), &Request::new(), GRACE).unwrap_err()
        };
        let missing = start(Path::new("/"), "/no/such/program");
        assert_eq!(missing.downcast_ref(), Some(&NoProgram { program: "/no/such/program".into() }));
        assert!(start(Path::new("/"), "no-such-program").is::<NoProgram>());
        scratch.put("/text", "#!/no/such/interpreter\n", 0o755);
        let script = || start(Path::new("/"), scratch.at("/text").to_str().unwrap());
        let mut error = script();
        // As long as a child that another test has just forked has it open for writing.
        while error.to_string().contains("busy") {
            error = script();
        }
        assert!(error.is::<NoProgram>(), "{error:#}");
        scratch.put("/data", "", 0o644);
        let denied = start(Path::new("/"), scratch.at("/data").to_str().unwrap());
        assert_eq!(format!("{denied:#}"), "cannot start the label: the program is not executable");
        let shell = start(scratch.root(), "/bin/sh");
        if nix::unistd::geteuid().is_root() {
            assert!(shell.is::<NoProgram>(), "{shell:#}");
        } else {
            assert!(shell.is::<NoChroot>(), "{shell:#}");
        }
        let nowhere = start(&scratch.at("/nowhere"), "/bin/sh");
        assert!(!nowhere.is::<NoProgram>());
    }

    #[test]
    fn a_command_sees_its_root_as_slash() {
        if !is_root("commands in another root") {
            return;
        }
        let scratch = Scratch::new();
        scratch.dir("/machine", 0o755);
        scratch.put("/marker", "outside", 0o644);
        let Some(_mounted) = Mounted::bind(Path::new("/usr"), &scratch.at("/machine")) else { return };
        for (target, link) in
            [("machine", "/usr"), ("usr/bin", "/bin"), ("usr/lib", "/lib"), ("usr/lib64", "/lib64")]
        {
            scratch.link(target, link);
        }
        let command = Command::shell("test", "pwd; cat /marker; cd ..; pwd; ls -d /machine");
        let output = run(scratch.root(), &command, &Request::new(), GRACE).unwrap();
        assert_eq!(text(&output.stdout), "/\noutside/\n/machine");
    }
}
