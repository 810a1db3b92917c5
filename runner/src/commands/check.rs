//! `cosette check`: everything that is wrong with documents, at once.

use super::{Machine, print_json, sources, status_of, wrong_usage};
use crate::command_line::{Options, Sources};
use crate::planner::plan;
use crate::report::{Finding, plural};
use crate::stage::Documents;
use anyhow::Result;
use cosette_schema::{Diagnostic, Severity, distinct};
use std::io::{Write, stdout};

/// Checks the given sources: each document by itself, every step of every stage, and their order.
pub(super) fn check(options: &Options, arguments: &Sources) -> Result<u8> {
    let sources = match sources(&arguments.sources) {
        Ok(sources) => sources,
        Err(message) => return Ok(wrong_usage(&message)),
    };
    let documents = Documents::read(&sources, &Machine::new()?.place());
    let number = documents.documents.len();
    let stages = documents.stages();
    let texts = documents.texts;
    let mut findings = documents.findings;
    let mut steps = 0;
    for stage in stages {
        let plan = plan(&stage, documents.documents.clone());
        findings.extend(plan.findings);
        steps += plan.steps.len();
        findings.extend(plan.steps.into_iter().flat_map(|planned| planned.step.findings));
    }
    distinct(&mut findings);
    findings.sort_by(|one, other| place(one).cmp(&place(other)));
    let errors = findings.iter().filter(|finding| finding.severity == Severity::Error).count();
    if options.json {
        let diagnostics: Vec<Finding> = findings.iter().map(Finding::from).collect();
        print_json(&serde_json::json!({ "diagnostics": diagnostics }))?;
    } else {
        options.print_excerpts(&findings, &texts);
        if !options.quiet {
            let (documents, steps) = (plural(number, "document"), plural(steps, "step"));
            let (errors, warnings) = (plural(errors, "error"), plural(findings.len() - errors, "warning"));
            let _ = writeln!(stdout(), "{documents}, {steps}: {errors}, {warnings}");
        }
    }
    Ok(if errors > 0 { status_of::INVALID } else { status_of::DONE })
}

fn place(finding: &Diagnostic) -> (&str, Option<u32>) {
    (finding.origin.as_str(), finding.span.map(|span| span.start))
}
