//! `cosette status`: how the stages of this boot went, what failed first.

use super::{print_json, status_of};
use crate::command_line::Options;
use crate::lifecycle::operation::Running;
use crate::report::{Outcome, Report, plain, store};
use anyhow::Result;
use cosette_plugins::system::Mode;
use serde::Serialize;
use std::io::{Write, stderr, stdout};

/// What is shown.
#[derive(Serialize)]
struct Status<'a> {
    reports: &'a [Report],
    /// The operation on the systems of this machine that runs now.
    running: Option<&'a Running>,
}

/// Shows the reports of this boot.
pub(super) fn status(options: &Options) -> Result<u8> {
    let sys = options.system(Mode::Plan)?;
    let (reports, errors) = store::load(&sys)?;
    for error in &errors {
        let _ = writeln!(stderr(), "warning: {error:#}");
    }
    let failed = reports.iter().any(|report| report.failed());
    let running = Running::find(&sys)?;
    if options.json {
        print_json(&Status { reports: &reports, running: running.as_ref() })?;
    } else if reports.is_empty() {
        let _ = writeln!(stdout(), "{}", store::NONE);
    } else {
        let mut terminal = options.terminal(Mode::Apply);
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
        for report in &reports {
            let _ = terminal.past(report);
        }
    }
    if let Some(running) = running.filter(|_| !options.json) {
        let _ = writeln!(stdout(), "{running}");
    }
    Ok(if failed { status_of::FAILED } else { status_of::DONE })
}
