//! How far a transfer is, in words: how much, how fast, how long yet.

use cosette_plugins::image::Progress;
use std::time::{Duration, Instant};

/// On a terminal, where a line takes the place of the one before.
pub const OFTEN: Duration = Duration::from_millis(200);
/// In a log, where lines stay.
pub const SELDOM: Duration = Duration::from_secs(10);

/// Tells how far a transfer is, now and then.
pub struct Transfer<'a> {
    every: Duration,
    begun: Instant,
    told: Instant,
    tell: Box<dyn FnMut(&str) + 'a>,
}

impl<'a> Transfer<'a> {
    /// Begins now; `tell` is called with a line at most so often.
    pub fn new(every: Duration, tell: impl FnMut(&str) + 'a) -> Self {
        let begun = Instant::now();
        Self { every, begun, told: begun, tell: Box::new(tell) }
    }
}

impl Progress for Transfer<'_> {
    fn advanced(&mut self, done: u64, all: u64) {
        if self.told.elapsed() >= self.every {
            self.told = Instant::now();
            (self.tell)(&line(done, all, self.begun.elapsed()));
        }
    }
}

/// `12.0 MiB of 60.1 MiB, 5.9 MiB/s, 8 s left`.
fn line(done: u64, all: u64, elapsed: Duration) -> String {
    let far = format!("{} of {}", size(done), size(all));
    let seconds = elapsed.as_secs_f64();
    // Nobody can tell from nothing.
    if done == 0 || seconds < 0.05 {
        return far;
    }
    let rate = done as f64 / seconds;
    let left = Duration::from_secs_f64((all.saturating_sub(done) as f64 / rate).min(1e7));
    format!("{far}, {}/s, {} left", size(rate as u64), time(left.as_secs()))
}

/// A number of bytes for people: `1.5 MiB`.
pub fn size(bytes: u64) -> String {
    let units = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    match units.iter().find(|(unit, _)| bytes >= *unit) {
        Some((unit, name)) => format!("{:.1} {name}", bytes as f64 / *unit as f64),
        None if bytes == 1 => "1 byte".to_owned(),
        None => format!("{bytes} bytes"),
    }
}

/// `8 s`, `2 min 5 s`, `3 h 20 min`.
fn time(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds} s"),
        (0, minutes, seconds) => format!("{minutes} min {seconds} s"),
        (hours, minutes, _) => format!("{hours} h {minutes} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_much_how_fast_and_how_long_yet() {
        let mib = 1 << 20;
        let after = |done, seconds| line(done, 60 * mib, Duration::from_secs(seconds));
        assert_eq!(after(12 * mib, 2), "12.0 MiB of 60.0 MiB, 6.0 MiB/s, 8 s left");
        assert_eq!(after(mib, 3), "1.0 MiB of 60.0 MiB, 341.3 KiB/s, 2 min 57 s left");
        assert_eq!(after(1 << 10, 3), "1.0 KiB of 60.0 MiB, 341 bytes/s, 51 h 11 min left");
        assert_eq!(after(0, 3), "0 bytes of 60.0 MiB");
        assert_eq!(after(61 * mib, 61), "61.0 MiB of 60.0 MiB, 1.0 MiB/s, 0 s left");
    }

    #[test]
    fn it_is_told_no_oftener_than_was_asked_for() {
        let lines = |every| {
            let mut lines = 0;
            let mut transfer = Transfer::new(every, |_| lines += 1);
            (0..10).for_each(|done| transfer.advanced(done, 10));
            drop(transfer);
            lines
        };
        assert_eq!((lines(SELDOM), lines(Duration::ZERO)), (0, 10));
    }
}
