//! `cosette status`: how the stages of a boot went, what failed first.

use super::boots::list;
use super::{print_json, status_of, warn};
use crate::command_line::{self, Options};
use crate::lifecycle::operation::Running;
use crate::report::boots::{Place, find};
use crate::report::{Outcome, Report, expected, plain};
use anyhow::{Result, bail};
use cosette_plugins::System;
use cosette_plugins::system::Mode;
use serde::Serialize;
use std::io::{Write, stderr, stdout};
use std::time::{Duration, Instant};

/// How long is waited unless it is said.
const TIMEOUT: Duration = Duration::from_secs(600);

/// How often is looked for reports meanwhile.
const INTERVAL: Duration = Duration::from_millis(200);

/// What is shown.
#[derive(Serialize)]
struct Status<'a> {
    boot: &'a Place,
    reports: &'a [Report],
    /// The operation on the systems of this machine that runs now.
    running: Option<&'a Running>,
    /// The stages that have not ended, if they were waited for, or if the boot is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    missing: Option<&'a [&'static str]>,
}

/// Shows the reports of a boot.
pub(super) fn status(options: &Options, arguments: &command_line::Status) -> Result<u8> {
    let sys = options.system(Mode::Plan)?;
    if arguments.list_boots {
        return list(options, &sys);
    }
    let mut missing = match arguments.wait {
        true => Some(wait(&sys, arguments.timeout.unwrap_or(TIMEOUT))?),
        false => None,
    };
    let boot = find(arguments.boot.as_ref(), &sys)?;
    warn(&boot.errors);
    let reports = &boot.reports;
    let is_over = boot.place.offset != 0;
    if is_over && !reports.is_empty() {
        missing = Some(expected::without_report(reports, &sys)?);
    }
    let not_known = arguments.wait && !boot.errors.is_empty() || is_over && reports.is_empty();
    let all_ended = missing.as_ref().is_none_or(|missing| missing.is_empty());
    let failed = !all_ended || not_known || reports.iter().any(|report| report.failed());
    let running = if is_over { None } else { Running::find(&sys)? };
    if options.json {
        let (running, missing) = (running.as_ref(), missing.as_deref());
        print_json(&Status { boot: &boot.place, reports, running, missing })?;
    } else if reports.is_empty() {
        let _ = writeln!(stdout(), "{}", boot.nothing());
    } else {
        let mut terminal = options.terminal(Mode::Apply);
        if is_over {
            let _ = terminal.line(&boot.place.to_string());
        }
        for finding in reports.iter().flat_map(|report| &report.diagnostics) {
            // The summary tells of what concerns the whole root.
            if finding.severity == "error" && finding.source != "root" {
                let _ = terminal.line(&plain(finding));
            }
        }
        for step in reports.iter().flat_map(|report| &report.steps) {
            if step.outcome == Outcome::Failed {
                let _ = terminal.step(step);
            }
        }
        for report in reports {
            let _ = terminal.past(report);
        }
        if let Some(missing) = missing.filter(|missing| is_over && !missing.is_empty()) {
            let _ = terminal.line(&format!("{}: not ended in that boot", missing.join(", ")));
        }
    }
    if let Some(running) = running.filter(|_| !options.json) {
        let _ = writeln!(stdout(), "{running}");
    }
    Ok(if failed { status_of::FAILED } else { status_of::DONE })
}

/// Waits until the stages that are expected have ended; gives those that have not.
fn wait(sys: &System, timeout: Duration) -> Result<Vec<&'static str>> {
    let begun = Instant::now();
    loop {
        let (missing, any_enabled) = expected::missing(sys)?;
        if !any_enabled {
            bail!("no unit of the stages fs, boot and network is enabled: there is nothing to wait for");
        }
        if missing.is_empty() {
            return Ok(missing);
        }
        let left = timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            let (stages, time) = (missing.join(", "), humantime::format_duration(timeout));
            let _ = writeln!(stderr(), "error: after {time} these stages have not ended: {stages}");
            return Ok(missing);
        }
        sys.wait_for_others(left.min(INTERVAL))?;
    }
}
