//! Says that all is done, on the console and in the report.
//!
//! ```yaml
//! #cloud-config
//! final_message: |
//!   cosette $version finished at $TIMESTAMP
//!   after ${UPTIME} seconds
//! ```
//!
//! `$UPTIME`, `$TIMESTAMP`, `$VERSION` and `$DATASOURCE` are filled in, also in small letters. Without a text there is
//! none: the report says it already.

use crate::datasource::keep::ANSWERED;
use crate::program::must_succeed;
use crate::system::Command;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::{Spanned, record};
use std::path::Path;
use std::time::UNIX_EPOCH;

/// So much of the text is shown in the report.
const SHOWN: usize = 200;

record! {
    /// What is said in the end.
    pub(crate) struct FinalMessage {
        /// The text.
        final_message: Spanned<String>,
    }
}

impl Plugin for FinalMessage {
    const KEY: &'static str = "final_message";

    fn apply(&self, _cx: &Context, sys: &System) -> Result<()> {
        let text = self.final_message.trim_end();
        if text.is_empty() || !sys.host().lives_in(sys.root()) {
            return Ok(());
        }
        let text = filled(text, sys)?;
        let mut label = format!("tee /dev/console: {}", text.replace(char::is_control, " "));
        label.truncate(label.floor_char_boundary(SHOWN));
        let command = Command::new(&label, "tee").argument("/dev/console").input(format!("{text}\n"));
        must_succeed(sys, &label, command)?;
        Ok(())
    }
}

fn filled(text: &str, sys: &System) -> Result<String> {
    let uptime = sys.host().kernel_file(Path::new("/proc/uptime"))?.unwrap_or_default();
    let uptime = String::from_utf8_lossy(&uptime).split(' ').next().unwrap_or_default().to_owned();
    let datasource = sys.read(ANSWERED)?.map(|name| String::from_utf8_lossy(&name).trim().to_owned());
    let values = [
        ("UPTIME", uptime),
        ("TIMESTAMP", timestamp(sys)),
        ("VERSION", env!("CARGO_PKG_VERSION").to_owned()),
        ("DATASOURCE", datasource.unwrap_or_else(|| "none".to_owned())),
    ];
    let mut filled = text.to_owned();
    for (name, value) in values {
        for name in [name.to_owned(), name.to_lowercase()] {
            filled = filled.replace(&format!("${{{name}}}"), &value).replace(&format!("${name}"), &value);
        }
    }
    Ok(filled)
}

/// The time, by RFC 3339.
fn timestamp(sys: &System) -> String {
    let seconds = sys.host().now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    // The civil date of a day, counted from 0000-03-01, so that leap days come last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (date, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = year + era * 400 + u64::from(month <= 2);
    format!("{year}-{month:02}-{date:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn what_is_known_is_filled_in_and_shown_on_the_console_and_in_the_report() {
        let machine = Machine::new("-- /run/config/datasource\nhetzner\n");
        machine.host.live_here();
        machine.host.kernel_file("/proc/uptime", "12.34 20.00\n");
        let outcome = machine.check(
            "#cloud-config\nfinal_message: \"up $UPTIME ${timestamp}\\n$version $datasource $other\"",
            "",
        );
        let text = format!("up 12.34 2026-01-02T03:04:05Z\n{} hetzner $other", env!("CARGO_PKG_VERSION"));
        assert_eq!(outcome.commands.concat(), text);
        assert_eq!(outcome.effects[0].target, format!("tee /dev/console: {}", text).replace('\n', " "));
    }

    #[test]
    fn without_a_text_or_a_machine_nothing_is_said() {
        let machine = Machine::new("");
        assert!(machine.check("#cloud-config\nfinal_message: hello", "").effects.is_empty());
        machine.host.live_here();
        assert!(machine.check("#cloud-config\nfinal_message:", "").effects.is_empty());
    }

    #[test]
    fn a_long_text_is_cut_in_the_report() {
        let machine = Machine::new("");
        machine.host.live_here();
        let long = "\u{e4}".repeat(10_000);
        let outcome = machine.check(&format!("#cloud-config\nfinal_message: {long}"), "");
        assert_eq!(outcome.commands, [long]);
        assert_eq!(outcome.effects[0].target.len(), 200);
    }
}
