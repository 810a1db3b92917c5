//! Files that several documents write, and which of them wins.
//!
//! A default with an exception, and alternatives, are how documents are meant to be written: told is only what a later
//! step writes wherever the earlier one has written it.

use crate::planner::{Plan, Planned};
use crate::stage::OF_A_BOOT;
use cosette_schema::{Diagnostic, Findings, Rule, Span};
use std::collections::BTreeMap;

/// With so many of the later ones each is compared.
const COMPARED: usize = 50;

/// A note for each file that a step writes in vain.
pub(super) fn notes(plans: &[(String, Plan)]) -> Vec<Diagnostic> {
    let mut findings = Vec::new();
    for steps in in_one_root(plans) {
        let mut writers: BTreeMap<&str, Vec<(&Planned, Span)>> = BTreeMap::new();
        for planned in steps {
            for (path, span) in planned.step.replaces() {
                writers.entry(path).or_default().push((planned, span));
            }
        }
        for (path, writers) in writers {
            for (at, (earlier, span)) in writers.iter().enumerate() {
                let later = writers[at + 1..].iter().rev().take(COMPARED);
                let mut winners = later.filter(|(later, _)| {
                    later.origin != earlier.origin && later.step.runs_wherever_runs(&earlier.step)
                });
                let Some((winner, place)) = winners.next() else { continue };
                let mut found = Findings::new(earlier.origin.clone());
                let (origin, line, stage) = (&winner.origin, place.line, &winner.stage);
                found
                    .note(
                        *span,
                        format!("{path} is written by {origin}:{line} (stage `{stage}`) as well, which comes later and wins"),
                    )
                    .rule(Rule::Overwritten)
                    .help("if that is not meant, take it out of one of them, or give one a condition");
                findings.extend(found.into_vec());
            }
        }
    }
    findings
}

/// The steps in the order in which they run, by roots: those of `rootfs` see that of the initramfs. When a stage of one's
/// own runs, nobody knows.
fn in_one_root(plans: &[(String, Plan)]) -> Vec<Vec<&Planned>> {
    let of_the_system = &OF_A_BOOT[1..];
    let plan_of = |stage: &&str| plans.iter().find(|(name, _)| name == stage);
    let system = of_the_system.iter().filter_map(plan_of).flat_map(|(_, plan)| &plan.steps);
    let apart = plans.iter().filter(|(stage, _)| !of_the_system.contains(&stage.as_str()));
    std::iter::once(system.collect()).chain(apart.map(|(_, plan)| plan.steps.iter().collect())).collect()
}
