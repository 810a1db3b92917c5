//! A shell in a view: `try --shell`.

use super::View;
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::{Pid, tcsetpgrp};
use std::io::stdin;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// The first of these that is there.
const SHELLS: [&str; 3] = ["/bin/bash", "/usr/bin/bash", "/bin/sh"];

impl View {
    /// Opens a shell and waits until it ends. On a terminal it gets that, with the control of jobs.
    pub fn shell(&self) -> Result<()> {
        let shell = SHELLS.iter().find(|shell| Path::new(shell).exists()).context("the tree has no shell")?;
        let mut child = Command::new(shell)
            .env("HOME", "/root")
            .env("debian_chroot", "try")
            .current_dir("/")
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {shell}"))?;
        let group = Pid::from_raw(child.id().try_into().context("a process id out of range")?);
        // Who is not in the foreground is stopped when it changes what is.
        let stop = SigSet::from(Signal::SIGTTOU);
        stop.thread_block().context("cannot give the terminal away")?;
        match tcsetpgrp(stdin(), group) {
            Ok(()) => _ = killpg(group, Signal::SIGCONT),
            Err(Errno::ENOTTY) => {}
            Err(errno) => return Err(errno).context("cannot give the terminal away"),
        }
        child.wait().context("cannot wait for the shell")?;
        Ok(())
    }
}
