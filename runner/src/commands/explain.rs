//! `cosette explain`: which document, line and step made something what it is.

use super::{Machine, print_json, sources, status_of, wrong_usage};
use crate::command_line::{Explain, Options};
use crate::explain::{Subject, Touch, touches};
use crate::report::{Outcome, Report, Terminal, store};
use crate::source::{Place, defaults};
use crate::stage::{Documents, OF_A_BOOT, Prepared};
use anyhow::Result;
use cosette_plugins::System;
use cosette_plugins::system::Mode;
use serde::Serialize;
use std::io::{self, Write, stderr};
use std::path::Path;

/// What is shown.
#[derive(Serialize)]
struct Explanation {
    subject: String,
    /// Where it is from: what was done, or what would be.
    from: Origin,
    /// The latest first.
    steps: Vec<Touch>,
}

#[derive(Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Origin {
    Reports,
    Plan,
}

/// Shows the steps that are about something.
pub(super) fn explain(options: &Options, arguments: &Explain) -> Result<u8> {
    let machine = Machine::new()?;
    // In another root, nobody is in a directory.
    let directory = if options.root == Path::new("/") { &*machine.directory } else { Path::new("/") };
    let (from, subject) = match (sources(&arguments.from), Subject::parse(&arguments.what, directory)) {
        (Ok(from), Ok(subject)) => (from, subject),
        (Err(message), _) | (_, Err(message)) => return Ok(wrong_usage(&message)),
    };
    let sys = options.system(Mode::Plan)?;
    let documents = if from.is_empty() {
        Documents::read(&defaults(&sys), &Place::root(&sys))
    } else {
        Documents::read(&from, &machine.place())
    };
    let (mut reports, errors) = if from.is_empty() { store::load(&sys)? } else { (Vec::new(), Vec::new()) };
    for error in &errors {
        let _ = writeln!(stderr(), "warning: {error:#}");
    }
    let origin = if reports.is_empty() { Origin::Plan } else { Origin::Reports };
    if origin == Origin::Plan {
        reports = planned(&documents, from.is_empty(), &sys);
    }
    let steps = touches(&subject, &reports, &documents);
    let explanation = Explanation { subject: subject.to_string(), from: origin, steps };
    if options.json {
        print_json(&explanation)?;
    } else {
        // A reader may have seen enough.
        let mode = if origin == Origin::Plan { Mode::Plan } else { Mode::Apply };
        let _ = explanation.print(&mut options.terminal(mode));
    }
    Ok(if explanation.steps.is_empty() { status_of::FAILED } else { status_of::DONE })
}

/// The reports of stages that are only planned, one after the other: each finds what the one before would have left.
fn planned(documents: &Documents, are_default: bool, sys: &System) -> Vec<Report> {
    let others = documents.stages().into_iter().filter(|stage| !OF_A_BOOT.contains(&stage.as_str()));
    let others: Vec<String> = if are_default { Vec::new() } else { others.collect() };
    let stages = OF_A_BOOT.into_iter().map(str::to_owned).chain(others);
    let plan = |stage: String| {
        let prepared = if are_default {
            Prepared::defaults(&stage, &[], sys)
        } else {
            documents.once_more().plan(&stage)
        };
        prepared.execute(sys, &mut ())
    };
    stages.map(plan).collect()
}

impl Explanation {
    fn print<W: Write>(&self, terminal: &mut Terminal<W>) -> io::Result<()> {
        let is_plan = self.from == Origin::Plan;
        let subject = &self.subject;
        if is_plan {
            terminal.line("This is the plan: by no report, but by what the documents would do.")?;
        }
        let latest = self.steps.iter().position(Touch::changed);
        let latest = latest.or_else(|| self.steps.iter().position(|touch| !touch.effects.is_empty()));
        let Some(latest) = latest else {
            let (done, stages) = if is_plan { ("would touch", "") } else { ("touched", " in this boot") };
            terminal.line(&format!("No step {done} {subject}{stages}."))?;
            if !self.steps.is_empty() {
                terminal.line("\nSteps that are about it:")?;
            }
            return self.steps.iter().try_for_each(|touch| print(touch, terminal));
        };
        let touch = &self.steps[latest];
        terminal.line(&match (is_plan, touch.changed()) {
            (true, true) => format!("{subject} would last be changed by"),
            (false, true) => format!("{subject} was last changed by"),
            (true, false) => format!("{subject} is already as it is asked for, last by"),
            (false, false) => format!("{subject} was already as it was asked for, last by"),
        })?;
        print(touch, terminal)?;
        let others: Vec<&Touch> =
            self.steps.iter().enumerate().filter(|(at, _)| *at != latest).map(|(_, touch)| touch).collect();
        if others.is_empty() {
            return Ok(());
        }
        terminal.line("\nOther steps that are about it, the latest first:")?;
        others.into_iter().try_for_each(|touch| print(touch, terminal))
    }
}

fn print<W: Write>(touch: &Touch, terminal: &mut Terminal<W>) -> io::Result<()> {
    let Touch { stage, document, line, .. } = touch;
    let name = touch.name.as_deref().unwrap_or("(no name)");
    terminal.line(&format!("  {name}  {document}:{line}  (stage {stage})"))?;
    let outcome = match (touch.outcome, &touch.reason) {
        (Some(Outcome::Applied), _) => None,
        (Some(outcome), Some(reason)) => Some(format!("{}: {reason}", outcome.as_str())),
        (Some(outcome), None) => Some(outcome.as_str().to_owned()),
        (None, _) => Some("not run in this boot".to_owned()),
    };
    if let Some(outcome) = outcome {
        terminal.line(&format!("          {outcome}"))?;
    }
    for effect in &touch.effects {
        terminal.effect(effect)?;
        if let Some(before) = effect.before.as_ref().filter(|_| effect.diff.is_none()) {
            terminal.line(&format!("            before: {before}"))?;
        }
    }
    Ok(())
}
