//! Stages without steps, and steps without anything to do.

use crate::planner::Plan;
use cosette_schema::{Diagnostic, Document, Findings, excerpt};

/// A note for each stage of a document that has no steps.
pub(super) fn stages(documents: &[Document]) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for document in documents {
        let mut found = Findings::new(document.origin.clone());
        for stage in document.stages.iter().filter(|stage| stage.steps.is_empty()) {
            let name = excerpt(&stage.name.value);
            found
                .note(stage.name.span, format!("the stage `{name}` has no steps"))
                .help("begin each step with `- ` below it, or leave the stage out");
        }
        findings.extend(found.into_vec());
    }
    findings
}

/// A note for each step that does nothing, and of which nothing else is wrong that would be the reason.
pub(super) fn steps(plan: &Plan) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for planned in &plan.steps {
        let step = &planned.step;
        if step.plugins().next().is_none() && step.findings.is_empty() {
            let mut found = Findings::new(planned.origin.clone());
            found
                .note(step.span, "this step does nothing")
                .help("give it a key that does something, such as `commands` or `files`");
            findings.extend(found.into_vec());
        }
    }
    findings
}
