//! Being told to stop: SIGTERM, SIGINT and SIGHUP.
//!
//! The binary installs the handlers once; a running command is then killed with its group, and the executor
//! asks between steps. Nothing is undone: a stage runs again and converges.

use super::{Interrupted, sys};
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::{Duration, Instant};
use tokio::net::unix::pipe::Receiver;

/// The request that the signals make.
pub(super) static REQUEST: Request = Request::new();

/// Has SIGTERM, SIGINT and SIGHUP ask this process to stop, instead of ending it at once; those that are
/// ignored stay so.
pub fn install() -> Result<()> {
    REQUEST.prepare().context("cannot prepare for signals")?;
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        sys::handle(signal, on_signal).with_context(|| format!("cannot handle {}", signal.as_str()))?;
    }
    Ok(())
}

/// Whether this process was told to stop. Costs nothing.
pub fn stop_requested() -> bool {
    REQUEST.signal().is_some()
}

/// [`Interrupted`] when this process was told to stop.
pub fn check() -> Result<(), Interrupted> {
    REQUEST.signal().map_or(Ok(()), |signal| Err(Interrupted { signal }))
}

/// Waits, but not once this process is told to stop.
pub(crate) fn pause(duration: Duration) -> Result<(), Interrupted> {
    let end = Instant::now() + duration;
    loop {
        check()?;
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        let mut fds: Vec<_> =
            REQUEST.wake().into_iter().map(|wake| PollFd::new(wake, PollFlags::POLLIN)).collect();
        // Whatever it says, the request and the clock are asked.
        let _ = poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
    }
}

/// Ready once this process was told to stop.
pub(super) async fn requested() -> Interrupted {
    let wake = REQUEST.wake().and_then(|wake| Receiver::from_owned_fd(wake.try_clone_to_owned().ok()?).ok());
    loop {
        match (check(), &wake) {
            (Err(interrupted), _) => return interrupted,
            (Ok(()), Some(wake)) if wake.readable().await.is_ok() => {}
            _ => std::future::pending().await,
        }
    }
}

/// Safe to interrupt anything with: it stores a number, writes to a pipe that never blocks, and keeps errno.
extern "C" fn on_signal(number: libc::c_int) {
    let errno = Errno::last_raw();
    REQUEST.make(number);
    Errno::set_raw(errno);
}

/// A request to stop, which cannot be taken back.
pub(super) struct Request {
    number: AtomicI32,
    pipe: OnceLock<(OwnedFd, OwnedFd)>,
}

impl Request {
    pub(super) const fn new() -> Self {
        Self { number: AtomicI32::new(0), pipe: OnceLock::new() }
    }

    /// Makes the pipe that wakes whoever waits; without it, a request is only seen when asked for.
    pub(super) fn prepare(&self) -> nix::Result<()> {
        let pipe = nix::unistd::pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
        // A second call finds the first one's pipe.
        let _ = self.pipe.set(pipe);
        Ok(())
    }

    /// Makes the request.
    pub(super) fn make(&self, number: i32) {
        self.number.store(number, Ordering::SeqCst);
        if let Some((_, writer)) = self.pipe.get() {
            // When it is full, whoever waits has been woken already.
            let _ = nix::unistd::write(writer, b"!");
        }
    }

    /// The name of the signal, if the request was made.
    pub(super) fn signal(&self) -> Option<&'static str> {
        match self.number.load(Ordering::SeqCst) {
            0 => None,
            number => Some(Signal::try_from(number).map_or("a signal", Signal::as_str)),
        }
    }

    /// Readable once the request was made.
    pub(super) fn wake(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.get().map(|(reader, _)| reader.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{Command, Live, Mode, System};
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn a_signal_to_this_process_ends_the_command_and_is_seen_afterwards() {
        // Signals belong to the whole process: another one is started for them.
        if std::env::var_os("COSETTE_TEST_STOP").is_none() {
            let mut again = std::process::Command::new(std::env::current_exe().unwrap());
            again.arg("--exact");
            again
                .arg("system::stop::tests::a_signal_to_this_process_ends_the_command_and_is_seen_afterwards");
            assert!(again.env("COSETTE_TEST_STOP", "").status().unwrap().success());
            return;
        }
        install().unwrap();
        let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
        assert!(!stop_requested());
        check().unwrap();
        let line = format!("kill -HUP {}; sleep 60; echo survived", std::process::id());
        let error = sys.run(&Command::shell("test", line)).unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Interrupted { signal: "SIGHUP" }));
        assert!(stop_requested() && check().is_err());
        assert_eq!(sys.take_effects().len(), 1);
        assert!(sys.lock("/").is_err());
    }
}
