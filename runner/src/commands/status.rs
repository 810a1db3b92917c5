//! `cosette status`: how the stages of this boot went, what failed first.

use super::{print_json, status_of};
use crate::command_line::Options;
use crate::report::{Outcome, plain, store};
use anyhow::Result;
use cosette_plugins::system::Mode;
use std::io::{Write, stderr, stdout};

/// Shows the reports of this boot.
pub(super) fn status(options: &Options) -> Result<u8> {
    let sys = options.system(Mode::Plan)?;
    let (reports, errors) = store::load(&sys)?;
    for error in &errors {
        let _ = writeln!(stderr(), "warning: {error:#}");
    }
    let failed = reports.iter().any(|report| report.failed());
    if options.json {
        print_json(&reports)?;
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
    Ok(if failed { status_of::FAILED } else { status_of::DONE })
}
