//! The settings of systemd-timesyncd: timesyncd.conf(5).

use crate::System;
use crate::system::File;
use crate::units::{self, Verb};
use anyhow::{Context as _, Result};

/// Where the settings go: yip's file, so that no older one can stand behind it and win.
pub const PATH: &str = "/etc/systemd/timesyncd.conf.d/10-yip.conf";

/// The service that reads them.
pub const UNIT: &str = "systemd-timesyncd.service";

/// The keys of the section `[Time]`.
pub const KEYS: [&str; 7] = [
    "NTP",
    "FallbackNTP",
    "RootDistanceMaxSec",
    "PollIntervalMinSec",
    "PollIntervalMaxSec",
    "ConnectionRetrySec",
    "SaveIntervalSec",
];

/// Writes settings, and has the service read them if it runs. What else is in the file stays. Neither keys nor
/// values may hold line breaks.
pub fn configure(sys: &System, settings: &[(&str, &str)]) -> Result<()> {
    let before = sys.read(PATH)?.unwrap_or_default();
    let changed = sys.write(File::new(PATH, with_settings(&before, settings)).mode(0o644))?;
    if changed && units::systemd_is_running(sys)? {
        units::control_one(sys, Verb::TryRestart, UNIT)
            .context("the settings are written, but count only when systemd-timesyncd starts again")?;
    }
    Ok(())
}

/// The content of a file with these settings in the section `[Time]`.
fn with_settings(before: &[u8], settings: &[(&str, &str)]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> =
        before.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_owned).collect();
    if let Some(last) = lines.last_mut().filter(|last| last.last() != Some(&b'\n')) {
        last.push(b'\n');
    }
    for (key, value) in settings {
        let wanted = format!("{key}={value}\n").into_bytes();
        let mut in_section = false;
        // The last line of the section that sets the key, and where another one could stand.
        let (mut found, mut end) = (None, None);
        for (at, line) in lines.iter().enumerate() {
            let line = line.trim_ascii();
            if line.starts_with(b"[") {
                in_section = line == b"[Time]";
            }
            if in_section && !line.is_empty() {
                end = Some(at + 1);
                found = if assigns(line).is_some_and(|(found, _)| found == key.as_bytes()) {
                    Some(at)
                } else {
                    found
                };
            }
        }
        match (found, end) {
            (Some(at), _)
                if assigns(&lines[at]).is_some_and(|(_, found)| found == value.trim().as_bytes()) => {}
            (Some(at), _) => lines[at] = wanted,
            (None, Some(at)) => lines.insert(at, wanted),
            (None, None) => lines.extend([b"[Time]\n".to_vec(), wanted]),
        }
    }
    lines.concat()
}

/// The key and the value of a line that is no comment.
fn assigns(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = line.trim_ascii();
    let at = line
        .iter()
        .position(|byte| *byte == b'=')
        .filter(|_| !line.starts_with(b"#") && !line.starts_with(b";"))?;
    Some((line[..at].trim_ascii_end(), line[at + 1..].trim_ascii()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(before: &str, settings: &[(&str, &str)]) -> String {
        String::from_utf8(with_settings(before.as_bytes(), settings)).unwrap()
    }

    #[test]
    fn only_what_differs_in_the_section_is_changed() {
        let cases = [
            ("", "[Time]\nNTP=a b\n"),
            ("[Time]\nNTP = a b\n", "[Time]\nNTP = a b\n"),
            ("[Time]\n#NTP=x\nNTP=x\nNTP=y", "[Time]\n#NTP=x\nNTP=x\nNTP=a b\n"),
            ("[Other]\nNTP=x\n", "[Other]\nNTP=x\n[Time]\nNTP=a b\n"),
            (
                "# head\n[Time]\nFallbackNTP=x\n\n[Other]\nNTP=x\n",
                "# head\n[Time]\nFallbackNTP=x\nNTP=a b\n\n[Other]\nNTP=x\n",
            ),
        ];
        for (before, after) in cases {
            assert_eq!(with(before, &[("NTP", "a b")]), after, "{before:?}");
            assert_eq!(with(after, &[("NTP", "a b")]), after);
        }
        let bytes = b"\xff\n[Time]\n\xfe=1\n";
        assert!(with_settings(bytes, &[("NTP", "a")]).starts_with(bytes));
    }
}
