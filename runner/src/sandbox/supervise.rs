//! The wait on the machine's side: passes signals on, and ends as the view ends.

use anyhow::{Context as _, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus};

/// How long the view may take to end after it was told to, in milliseconds.
const GRACE: u16 = 5_000;

/// Runs a program to its end and returns its exit status. It is told of signals that ask this process to
/// stop, and killed when it does not stop in time or is told twice.
pub(super) fn run(mut command: Command) -> Result<i32> {
    let mut signals = SigSet::empty();
    for signal in [Signal::SIGCHLD, Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        signals.add(signal);
    }
    // Blocked before the start, so that none is lost. The program starts with none blocked.
    signals.thread_block().context("cannot wait for signals")?;
    let arrived = SignalFd::with_flags(&signals, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
        .context("cannot wait for signals")?;
    let mut child = command.spawn().context("cannot start this program again")?;
    let status = supervise(&mut child, &arrived);
    if status.is_err() {
        // What cannot be waited for shall not go on alone.
        let _ = child.kill();
    }
    signals.thread_unblock().context("cannot receive signals")?;
    exit_status(status?)
}

fn supervise(child: &mut Child, arrived: &SignalFd) -> Result<ExitStatus> {
    let pid = Pid::from_raw(child.id().try_into().context("a process id out of range")?);
    let mut told = false;
    loop {
        if let Some(status) = child.try_wait().context("cannot wait for the view")? {
            return Ok(status);
        }
        let timeout = if told { PollTimeout::from(GRACE) } else { PollTimeout::NONE };
        let mut waiting = [PollFd::new(arrived.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, timeout) {
            Ok(0) => kill(pid, Signal::SIGKILL).context("cannot end the view")?,
            Ok(_) | Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error).context("cannot wait for signals"),
        }
        while let Some(info) = arrived.read_signal().context("cannot read signals")? {
            let signal = Signal::try_from(info.ssi_signo as i32).context("an unknown signal")?;
            if signal == Signal::SIGCHLD {
                continue;
            }
            // A signal of the terminal has reached the child by itself.
            let from_terminal = info.ssi_code == nix::libc::SI_KERNEL;
            if told {
                kill(pid, Signal::SIGKILL).context("cannot end the view")?;
            } else if !from_terminal {
                kill(pid, signal).context("cannot end the view")?;
            }
            told = true;
        }
    }
}

fn exit_status(status: ExitStatus) -> Result<i32> {
    match (status.code(), status.signal().map(Signal::try_from)) {
        (Some(code), _) => Ok(code),
        // reboot(2): what is left of a restart or halt in a process namespace.
        (_, Some(Ok(Signal::SIGHUP | Signal::SIGINT))) => {
            bail!(
                "the stage restarts or stops the machine: that has ended the view, and what it changed is gone"
            )
        }
        (_, Some(Ok(signal))) => bail!("the view was ended by {signal}"),
        _ => bail!("the view was ended by a signal"),
    }
}
