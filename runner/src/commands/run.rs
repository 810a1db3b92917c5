//! `cosette run` and `cosette apply`.

use super::{Machine, exit_status, plan_of, plan_of_defaults, print_json, sources, wrong_usage};
use crate::command_line::{Apply, Options, Run};
use crate::init::BINARY;
use crate::report::{Begun, Progress, Report, keep, store};
use crate::stage::{Documents, Prepared};
use anyhow::Result;
use cosette_plugins::System;
use cosette_plugins::system::{self, Mode};
use std::io::{Write, stderr};

/// Runs a stage from the default sources, and keeps the report.
pub(super) fn run(options: &Options, arguments: &Run) -> Result<u8> {
    let begun = Begun::with_process();
    let also = match sources(&arguments.also) {
        Ok(also) => also,
        Err(message) => return Ok(wrong_usage(&message)),
    };
    if let Some(root) = &arguments.inside {
        system::enter(root)?;
    }
    let sys = options.system(Mode::Apply)?;
    if arguments.inside.is_some() {
        // The next stage is run by the program of that root, from a disk that nobody has read it from yet.
        sys.read_ahead(BINARY);
    }
    let prepared = plan_of_defaults(options, &arguments.stage, &also, &sys).since(begun);
    let nothing_is_valid = prepared.nothing_is_valid();
    let mut progress = options.progress(&prepared.stage, &sys);
    progress.findings(&prepared.findings);
    let report = execute(progress, prepared, &sys, |report| finish(options, report))?;
    if let Err(error) = store::save(&report, &sys) {
        let _ = writeln!(stderr(), "warning: the report is not kept: {error:#}");
    }
    if let Err(error) = keep(&sys) {
        let _ =
            writeln!(stderr(), "warning: what later boots are told of this one is not complete: {error:#}");
    }
    Ok(exit_status(&report, nothing_is_valid))
}

/// Runs a stage of the given sources.
pub(super) fn apply(options: &Options, arguments: &Apply) -> Result<u8> {
    let sources = match sources(&arguments.sources) {
        Ok(sources) => sources,
        Err(message) => return Ok(wrong_usage(&message)),
    };
    let sys = options.system(Mode::Apply)?;
    let documents = if arguments.dotted {
        Documents::read_dotted(&sources, &Machine::new()?.place())
    } else {
        Documents::read(&sources, &Machine::new()?.place())
    };
    let nothing_is_valid = documents.nothing_is_valid();
    let prepared = plan_of(options, documents, &arguments.stage);
    let mut progress = options.progress(&prepared.stage, &sys);
    progress.findings(&prepared.findings);
    let report = execute(progress, prepared, &sys, |report| finish(options, report))?;
    Ok(exit_status(&report, nothing_is_valid))
}

/// Executes and tells as it goes; the last word is `finish`'s.
pub(super) fn execute(
    mut progress: Progress<impl Write>,
    prepared: Prepared,
    sys: &System,
    finish: impl FnOnce(&Report) -> Result<()>,
) -> Result<Report> {
    let report = prepared.execute(sys, &mut progress);
    progress.summary(&report);
    drop(progress);
    finish(&report)?;
    Ok(report)
}

/// The last word of most commands: the report as JSON, if it was asked for.
pub(super) fn finish(options: &Options, report: &Report) -> Result<()> {
    if options.json { print_json(report) } else { Ok(()) }
}
