//! `cosette init`: what makes the tree of an image boot with cosette, in parts that can be left out.
//!
//! Each part looks at what is there first, so that a second run changes nothing.

mod files;
mod initramfs;
mod kernels;
mod names;
mod parts;

pub use parts::{BINARY, Part};

use crate::report::{EffectReport, Outcome};
use anyhow::{Result, bail};
use cosette_plugins::System;
use cosette_plugins::system::stop_requested;
use serde::Serialize;

/// What came of all parts.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Whether everything went well.
    pub result: Outcome,
    /// The parts in their order.
    pub parts: Vec<PartReport>,
}

/// What came of one part.
#[derive(Debug, Serialize)]
pub struct PartReport {
    /// Its name.
    pub part: &'static str,
    /// How it ended.
    pub outcome: Outcome,
    /// What was done, or found to be so.
    pub effects: Vec<EffectReport>,
    /// What is probably not as it was meant.
    pub warnings: Vec<String>,
    /// What went wrong.
    pub errors: Vec<String>,
}

/// What a part finds that is no effect. What could be done has been done even if there are errors.
#[derive(Debug, Default)]
struct Findings {
    warnings: Vec<String>,
    errors: Vec<String>,
}

impl Findings {
    /// Records the failure of one thing, if it is one, and goes on.
    fn attempt<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.errors.push(format!("{error:#}"))).ok()
    }
}

impl Report {
    /// Whether anything went wrong.
    pub fn failed(&self) -> bool {
        self.result == Outcome::Failed
    }

    /// How many things were changed.
    pub fn changed(&self) -> usize {
        self.parts.iter().map(PartReport::changed).sum()
    }
}

impl PartReport {
    /// How many things it changed.
    pub fn changed(&self) -> usize {
        self.effects.iter().filter(|effect| effect.changed).count()
    }
}

/// Does the parts in their order, whatever becomes of the others. A plan is without the content of what would be
/// written unless it is asked for.
pub fn init(
    sys: &System,
    parts: &[Part],
    with_content: bool,
    mut observe: impl FnMut(&PartReport),
) -> Report {
    let mut report = Report { result: Outcome::Applied, parts: Vec::new() };
    for part in Part::ALL.iter().filter(|part| parts.contains(part)) {
        let mut findings = Findings::default();
        let done = if stop_requested() { stopped() } else { part.install(sys, &mut findings) };
        findings.attempt(done);
        findings.attempt(sys.sync());
        let Findings { warnings, errors } = findings;
        let outcome = if errors.is_empty() { Outcome::Applied } else { Outcome::Failed };
        if outcome == Outcome::Failed {
            report.result = Outcome::Failed;
        }
        let effects = sys.take_effects().into_iter().map(|mut effect| {
            effect.diff = effect.diff.filter(|_| with_content);
            EffectReport::new(part.name(), effect)
        });
        let of_part = PartReport { part: part.name(), outcome, effects: effects.collect(), warnings, errors };
        observe(&of_part);
        report.parts.push(of_part);
    }
    report
}

fn stopped() -> Result<()> {
    bail!("not done: it was told to stop")
}
