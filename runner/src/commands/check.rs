//! `cosette check`: everything that is wrong with documents, at once.

use super::{Machine, print_json, sources, status_of, wrong_usage};
use crate::check::{Checked, annotations, log};
use crate::command_line::{Check, Format, Options};
use crate::report::{Finding, plural};
use crate::stage::Documents;
use anyhow::{Context, Result};
use cosette_schema::{Diagnostic, Severity};
use serde::Serialize;
use std::io::{Write, stdout};

/// A finding, and what kind it is.
#[derive(Serialize)]
struct Found {
    #[serde(flatten)]
    finding: Finding,
    rule: &'static str,
}

/// Checks the given sources: each document by itself, every step of every stage, and all of them together.
pub(super) fn check(options: &Options, arguments: &Check) -> Result<u8> {
    let sources = match sources(&arguments.sources) {
        Ok(sources) => sources,
        Err(message) => return Ok(wrong_usage(&message)),
    };
    let checked = Checked::of(Documents::read(&sources, &Machine::new()?.place()));
    let errors = checked.count(Severity::Error);
    let Checked { findings, texts, .. } = &checked;
    match arguments.format.unwrap_or(if options.json { Format::Json } else { Format::Human }) {
        Format::Human => {
            options.print_excerpts(findings, texts);
            if !options.quiet {
                let _ = writeln!(stdout(), "{}", summary(&checked));
            }
        }
        Format::Json => {
            let found = |finding: &Diagnostic| Found { finding: finding.into(), rule: finding.rule.id() };
            let diagnostics: Vec<Found> = findings.iter().map(found).collect();
            print_json(&serde_json::json!({ "diagnostics": diagnostics }))?;
        }
        Format::Sarif => print_json(&log(findings, texts))?,
        Format::Github => {
            stdout().write_all(annotations(findings).as_bytes()).context("cannot print the findings")?;
        }
    }
    Ok(if errors > 0 { status_of::INVALID } else { status_of::DONE })
}

/// `1 document, 2 steps: 0 errors, 1 warning, 1 note`.
fn summary(checked: &Checked) -> String {
    let (documents, steps) = (plural(checked.documents, "document"), plural(checked.steps, "step"));
    let errors = plural(checked.count(Severity::Error), "error");
    let warnings = plural(checked.count(Severity::Warning), "warning");
    let notes = match checked.count(Severity::Note) {
        0 => String::new(),
        notes => format!(", {}", plural(notes, "note")),
    };
    format!("{documents}, {steps}: {errors}, {warnings}{notes}")
}
