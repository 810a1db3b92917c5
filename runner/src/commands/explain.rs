//! `cosette explain`: which document, line and step made something what it is.

use super::{Machine, print_json, sources, status_of, warn, wrong_usage};
use crate::command_line::{Explain, Options};
use crate::explain::{OfBoot, Same, Subject, Touch, in_boots, is_there, together, touches, touches_then};
use crate::report::boots::{self, Boot};
use crate::report::{Outcome, Report, Terminal};
use crate::source::{DEFAULT_DIRECTORIES, Place, defaults};
use crate::stage::{Documents, OF_A_BOOT, Prepared};
use anyhow::{Result, bail};
use cosette_plugins::System;
use cosette_plugins::system::Mode;
use serde::Serialize;
use std::io::{self, Write, stderr};
use std::path::Path;

/// Of so many boots that did something else is told, unless more is asked for.
const SHOWN: usize = 3;

/// What is shown.
#[derive(Serialize)]
struct Explanation {
    subject: String,
    /// Which boot it is about; nothing when it is a plan.
    boot: Option<boots::Place>,
    /// Where it is from: what was done, or what would be.
    from: Origin,
    /// The latest first.
    steps: Vec<Touch>,
    /// What the boots before this one did to it, the latest first.
    earlier: Vec<OfBoot>,
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
    let explanation = if from.is_empty() {
        by_reports(&subject, arguments.boot.as_ref(), &documents, &sys)?
    } else {
        Explanation::of_plan(&subject, &documents, false, &sys)
    };
    if options.json {
        print_json(&explanation)?;
    } else {
        // A reader may have seen enough.
        let mode = if explanation.from == Origin::Plan { Mode::Plan } else { Mode::Apply };
        let mut terminal = options.terminal(mode);
        let _ = explanation
            .print(&mut terminal)
            .and_then(|()| explanation.print_earlier(&mut terminal, &documents, &sys, options.verbose));
    }
    let touched = explanation.earlier.iter().any(|boot| !boot.steps.is_empty());
    Ok(if explanation.steps.is_empty() && !touched { status_of::FAILED } else { status_of::DONE })
}

/// By the reports of a boot, this one unless another is asked for; where it has none, by what it would do. What was done
/// before this boot is told with it.
fn by_reports(
    subject: &Subject,
    which: Option<&boots::Which>,
    documents: &Documents,
    sys: &System,
) -> Result<Explanation> {
    let boot = boots::find(which, sys)?;
    warn(&boot.errors);
    if boot.place.offset != 0 && boot.reports.is_empty() {
        bail!(boot.nothing());
    }
    let Boot { place, reports, .. } = boot;
    if place.offset != 0 {
        let steps = touches_then(subject, &reports, documents);
        return Ok(Explanation::of_reports(subject, place, steps, Vec::new()));
    }
    let earlier = if which.is_none() { earlier(sys) } else { Vec::new() };
    let earlier = in_boots(subject, earlier, documents);
    if reports.is_empty() {
        return Ok(Explanation { earlier, ..Explanation::of_plan(subject, documents, true, sys) });
    }
    let steps = touches(subject, &reports, documents);
    Ok(Explanation::of_reports(subject, place, steps, earlier))
}

/// The boots before this one, the latest first. That they may not be read, or are damaged, is said once.
fn earlier(sys: &System) -> Vec<Boot> {
    let (mut boots, errors) = boots::earlier(sys);
    warn(&errors);
    let errors: Vec<_> = boots.iter().flat_map(|boot| &boot.errors).collect();
    if let Some(error) = errors.last() {
        let more = match errors.len() - 1 {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        let _ = writeln!(stderr(), "warning: not all is known of earlier boots: {error:#}{more}");
    }
    boots.retain(|boot| !boot.reports.is_empty());
    boots.reverse();
    boots
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
    fn of_reports(subject: &Subject, boot: boots::Place, steps: Vec<Touch>, earlier: Vec<OfBoot>) -> Self {
        Self { subject: subject.to_string(), boot: Some(boot), from: Origin::Reports, steps, earlier }
    }

    fn of_plan(subject: &Subject, documents: &Documents, are_default: bool, sys: &System) -> Self {
        let steps = touches(subject, &planned(documents, are_default, sys), documents);
        Self { subject: subject.to_string(), boot: None, from: Origin::Plan, steps, earlier: Vec::new() }
    }

    /// What was different in earlier boots, and since when it is as it is.
    fn print_earlier<W: Write>(
        &self,
        terminal: &mut Terminal<W>,
        documents: &Documents,
        sys: &System,
        all: bool,
    ) -> io::Result<()> {
        let together = together(&self.earlier);
        let now: Vec<&Touch> = self.steps.iter().filter(|touch| !touch.effects.is_empty()).collect();
        // That it was never touched is said already.
        let is_new = self.from == Origin::Reports && !now.is_empty();
        if !is_new && self.earlier.iter().all(|boot| boot.steps.is_empty()) {
            return Ok(());
        }
        let mut others = together.iter();
        if self.from == Origin::Reports
            && let Some(same) = together.first().filter(|same| same.is(&now))
        {
            terminal.line(&format!("\nThe same since {}.", same.from))?;
            others.next();
        }
        let shown = if all { usize::MAX } else { SHOWN };
        for same in others.by_ref().take(shown) {
            let Same { from, to, steps } = same;
            let boots = if from == to { format!("In {to}") } else { format!("From {from} to {to}") };
            if steps.is_empty() {
                terminal.line(&format!("\n{boots} no step touched it."))?;
                continue;
            }
            terminal.line(&format!("\n{boots}:"))?;
            for touch in *steps {
                print(touch, terminal)?;
                if let Some(gone) = gone(touch, documents, sys) {
                    terminal.line(&format!("          {gone}"))?;
                }
            }
        }
        match others.count() {
            0 => Ok(()),
            more => {
                terminal.line(&format!("\nBefore that it was different {more} more times; -v shows them."))
            }
        }
    }

    fn print<W: Write>(&self, terminal: &mut Terminal<W>) -> io::Result<()> {
        let is_plan = self.from == Origin::Plan;
        let subject = &self.subject;
        if let Some(boot) = self.boot.as_ref().filter(|boot| boot.offset != 0) {
            terminal.line(&format!("In {boot}:"))?;
        }
        if is_plan {
            terminal.line("This is the plan: by no report, but by what the documents would do.")?;
        }
        let latest = self.steps.iter().position(Touch::changed);
        let latest = latest.or_else(|| self.steps.iter().position(|touch| !touch.effects.is_empty()));
        let Some(latest) = latest else {
            terminal.line(&match &self.boot {
                None => format!("No step would touch {subject}."),
                Some(boot) if boot.offset == 0 => format!("No step touched {subject} in this boot."),
                Some(boot) => format!("No step touched {subject} in {boot}."),
            })?;
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

/// What has become of a step since then; of others than those of default documents nothing is known.
fn gone(touch: &Touch, documents: &Documents, sys: &System) -> Option<&'static str> {
    let document = Path::new(&touch.document);
    if !DEFAULT_DIRECTORIES.iter().any(|directory| document.starts_with(directory)) {
        None
    } else if matches!(sys.exists(document), Ok(false)) {
        Some("today there is no such document")
    } else {
        (!is_there(touch, documents)).then_some("today the document has no such step")
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
