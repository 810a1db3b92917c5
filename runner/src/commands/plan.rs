//! `cosette plan`: the steps in order, the verdict of each condition and every effect, without any.

use super::run::{execute, finish};
use super::{Machine, exit_status, plan_of, plan_of_defaults, sources, wrong_usage};
use crate::command_line::{Options, Selection};
use crate::stage::Documents;
use anyhow::Result;
use cosette_plugins::system::Mode;

/// Shows what a stage would do.
pub(super) fn plan(options: &Options, arguments: &Selection) -> Result<u8> {
    let sys = options.system(Mode::Plan)?;
    let prepared = match arguments.resolve() {
        Ok((stage, None)) => plan_of_defaults(options, stage, &[], &sys),
        Ok((stage, Some(named))) => match sources(named) {
            Ok(sources) => plan_of(options, Documents::read(&sources, &Machine::new()?.place()), stage),
            Err(message) => return Ok(wrong_usage(&message)),
        },
        Err(message) => return Ok(wrong_usage(&message)),
    };
    let nothing_is_valid = prepared.nothing_is_valid();
    options.print_excerpts(&prepared.findings, &prepared.texts);
    let report =
        execute(options.progress(&prepared.stage, &sys), prepared, &sys, |report| finish(options, report))?;
    Ok(exit_status(&report, nothing_is_valid))
}
