//! `cosette status --list-boots`: the boots of which reports are kept.

use super::{print_json, status_of, warn};
use crate::command_line::Options;
use crate::report::boots::{Boot, Place, earlier, this};
use crate::report::{Outcome, Report, milliseconds_in_all};
use anyhow::Result;
use cosette_plugins::System;
use serde::Serialize;
use std::io::{self, Write, stdout};

/// A boot in numbers.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    place: &'a Place,
    /// How its stages went as a whole; nothing if no report of it can be read.
    result: Option<Outcome>,
    /// All stages together, in milliseconds.
    duration_ms: f64,
    /// How long of that programs were waited for.
    programs_ms: f64,
    /// How long cosette itself had a processor.
    processor_ms: f64,
    /// In the order in which they began.
    stages: Vec<&'a str>,
    /// Those of them that failed.
    failed: Vec<&'a str>,
    /// Whether there is something that could not be read.
    #[serde(skip)]
    hidden: bool,
}

/// What is shown.
#[derive(Serialize)]
struct Boots<'a> {
    /// The oldest first, this one last.
    boots: Vec<Line<'a>>,
}

/// Lists the boots, the oldest first.
pub(super) fn list(options: &Options, sys: &System) -> Result<u8> {
    let (mut boots, errors) = earlier(sys);
    warn(&errors);
    boots.push(this(sys)?);
    boots.iter().for_each(|boot| warn(&boot.errors));
    // A tree is not booted.
    boots.retain(|boot| boot.place.offset != 0 || !boot.reports.is_empty() || boot.place.id.is_some());
    let lines = Boots { boots: boots.iter().map(Line::of).collect() };
    if options.json {
        print_json(&lines)?;
    } else {
        // A reader may have seen enough.
        let _ = lines.print(&mut stdout().lock());
    }
    Ok(status_of::DONE)
}

impl<'a> Line<'a> {
    fn of(boot: &'a Boot) -> Self {
        let reports = &boot.reports;
        let failed: Vec<&str> =
            reports.iter().filter(|report| report.failed()).map(|report| report.stage.as_str()).collect();
        let result = if failed.is_empty() { Outcome::Applied } else { Outcome::Failed };
        let sum = |of: fn(&Report) -> f64| milliseconds_in_all(reports, of);
        Self {
            place: &boot.place,
            result: (!reports.is_empty()).then_some(result),
            duration_ms: sum(|report| report.duration_ms),
            programs_ms: sum(|report| report.programs_ms),
            processor_ms: sum(|report| report.processor_ms),
            stages: reports.iter().map(|report| report.stage.as_str()).collect(),
            failed,
            hidden: !boot.errors.is_empty(),
        }
    }
}

impl Boots<'_> {
    fn print(&self, out: &mut impl Write) -> io::Result<()> {
        writeln!(
            out,
            "{:>4} {:<32} {:<20} {:>9} {:>9} {:<10} FAILED",
            "BOOT", "ID", "STARTED", "MS", "PROGRAMS", "LAST"
        )?;
        for Line { place, result, duration_ms, programs_ms, stages, failed, hidden, .. } in &self.boots {
            let Place { id, offset, started } = place;
            let (id, started) = (id.as_deref().unwrap_or("-"), started.as_deref().unwrap_or("-"));
            let last = stages.last().copied().unwrap_or("-");
            let failed = match result {
                None if *hidden => "(not readable)".to_owned(),
                _ if failed.is_empty() => "-".to_owned(),
                _ => failed.join(" "),
            };
            writeln!(
                out,
                "{offset:>4} {id:<32} {started:<20} {duration_ms:>9.1} {programs_ms:>9.1} {last:<10} {failed}"
            )?;
        }
        Ok(())
    }
}
