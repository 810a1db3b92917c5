//! `cosette init`: makes the tree of an image boot with cosette.

use super::{print_json, status_of};
use crate::command_line::{Init, Options};
use crate::init::{self, Part};
use crate::report::plural;
use anyhow::Result;
use cosette_plugins::system::Mode;

/// Installs all parts that are not left out.
pub(super) fn init(options: &Options, arguments: &Init) -> Result<u8> {
    let mode = if arguments.dry_run { Mode::Plan } else { Mode::Apply };
    let sys = options.system(mode)?;
    let parts: Vec<Part> = Part::ALL.into_iter().filter(|part| !arguments.without.contains(part)).collect();
    let mut terminal = options.terminal(mode);
    let report = init::init(&sys, &parts, options.verbose, |part| {
        if !options.json {
            // A reader that has gone away must not stop it.
            let _ = terminal.part(part);
        }
    });
    if options.json {
        drop(terminal);
        print_json(&report)?;
    } else {
        let changes = plural(report.changed(), "change");
        let _ = terminal.line(&if arguments.dry_run { format!("{changes} to make") } else { changes });
    }
    Ok(if report.failed() { status_of::FAILED } else { status_of::DONE })
}
