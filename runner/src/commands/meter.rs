//! How far a transfer is, on standard error: in one line on a terminal, else in a line now and then.

use crate::report::{Transfer, transfer};
use cosette_plugins::image::Progress;
use std::io::{IsTerminal as _, Write as _, stderr};

/// Tells it. When this is dropped, its line on a terminal is empty for what comes.
pub(super) struct Meter {
    is_terminal: bool,
    transfer: Transfer<'static>,
}

impl Meter {
    pub(super) fn new() -> Self {
        let is_terminal = stderr().is_terminal();
        let tell = move |line: &str| {
            let _ = match is_terminal {
                true => write!(stderr(), "\r\x1b[K{line}"),
                false => writeln!(stderr(), "{line}"),
            };
        };
        let every = if is_terminal { transfer::OFTEN } else { transfer::SELDOM };
        Self { is_terminal, transfer: Transfer::new(every, tell) }
    }
}

impl Progress for Meter {
    fn advanced(&mut self, done: u64, all: u64) {
        self.transfer.advanced(done, all);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if self.is_terminal {
            let _ = write!(stderr(), "\r\x1b[K");
        }
    }
}
