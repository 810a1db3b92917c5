//! Runs the steps of a plan: conditions, then plugins. What fails is recorded, and the rest goes on.

use crate::planner::{Plan, Planned};
use crate::report::{Outcome, StepReport, milliseconds};
use cosette_plugins::conditions::Verdict;
use cosette_plugins::facts::Facts;
use cosette_plugins::system::{Interrupted, NoChroot, NoProgram, stop_requested};
use cosette_plugins::{Context, System};
use cosette_schema::{Findings, distinct};
use std::fmt;
use std::path::Path;
use std::time::Instant;

/// Whoever watches steps run.
pub trait Observer {
    /// What is named here is done now, and may take its time.
    fn begins(&mut self, what: fmt::Arguments);

    /// A step has ended.
    fn ended(&mut self, step: &StepReport);
}

/// Nobody watches.
impl Observer for () {
    fn begins(&mut self, _: fmt::Arguments) {}

    fn ended(&mut self, _: &StepReport) {}
}

/// Runs all steps in order, and gives the report of each to `keep` as soon as `observer` has seen it.
///
/// A request to stop (a signal to the runner) ends the run after the step that it interrupted; the steps that
/// are left are reported as failed, with that reason.
pub fn execute(
    plan: Plan,
    sys: &System,
    facts: &Facts,
    observer: &mut impl Observer,
    mut keep: impl FnMut(StepReport),
) {
    let mut stopped = false;
    for (index, planned) in plan.steps.into_iter().enumerate() {
        let (begun, programs) = (Instant::now(), sys.time_of_programs());
        let mut report = if stopped || stop_requested() {
            stopped = true;
            not_run(&planned)
        } else {
            run(&planned, sys, facts, || {
                let (name, line) =
                    (planned.step.name.as_deref().unwrap_or("(no name)"), planned.step.span.line);
                observer.begins(format_args!("step {}: {name}  {}:{line}", index + 1, planned.origin));
            })
        };
        stopped |= report.interrupted;
        report.duration_ms = milliseconds(begun.elapsed());
        report.programs_ms = milliseconds(sys.time_of_programs() - programs);
        observer.ended(&report);
        keep(report);
    }
}

fn not_run(planned: &Planned) -> StepReport {
    let mut report = StepReport::new(planned);
    report.outcome = Outcome::Failed;
    report.reason = Some("not run: the runner was told to stop".to_owned());
    report
}

fn run(planned: &Planned, sys: &System, facts: &Facts, begins: impl FnOnce()) -> StepReport {
    let mut report = StepReport::new(planned);
    let cx = planned.step.context(&planned.origin, facts);
    let runs = match planned.step.evaluate(&cx, sys) {
        Ok(Verdict::Run) => true,
        Ok(Verdict::Skip(reason)) => {
            report.outcome = Outcome::Skipped;
            report.reason = Some(reason);
            false
        }
        Ok(Verdict::Unknown(reason)) => {
            report.outcome = Outcome::Unknown;
            report.reason = Some(reason);
            true
        }
        Err(error) => {
            report.fail(planned, &error);
            false
        }
    };
    // What its conditions did is not something the step did.
    sys.take_effects();
    if runs {
        begins();
        apply(planned, &cx, sys, &mut report);
    }
    finish(planned, cx, report)
}

fn apply(planned: &Planned, cx: &Context, sys: &System, report: &mut StepReport) {
    for (span, plugin) in planned.step.plugins() {
        let result = plugin.apply(cx, sys);
        report.add_effects(plugin.key(), sys.take_effects());
        let Err(error) = result else { continue };
        if error.is::<Interrupted>() {
            report.interrupted = true;
        }
        match no_commands(&error) {
            Some(sentence) => report.cannot_run(sentence),
            None => {
                cx.attempt::<()>(span, Err(error));
            }
        }
        if report.interrupted {
            return;
        }
    }
}

/// Gathers what decoding and running found; any error makes the step a failed one.
fn finish(planned: &Planned, cx: Context, mut report: StepReport) -> StepReport {
    if report.outcome == Outcome::Applied && cx.is_left_to_a_run() {
        report.outcome = Outcome::Unknown;
    }
    // What was wrong by the text alone may have been found again.
    let mut findings = planned.step.findings.clone();
    findings.extend(cx.into_findings());
    distinct(&mut findings);
    report.add_findings(&findings);
    report
}

impl StepReport {
    fn fail(&mut self, planned: &Planned, error: &anyhow::Error) {
        self.interrupted = error.is::<Interrupted>();
        match no_commands(error) {
            Some(sentence) => self.cannot_run(sentence),
            None => {
                let mut findings = Findings::new(planned.origin.clone());
                findings.error(planned.step.span, format!("{error:#}"));
                self.add_findings(&findings.into_vec());
            }
        }
    }

    fn cannot_run(&mut self, sentence: String) {
        self.outcome = Outcome::Failed;
        self.reason = Some("needs a shell".to_owned());
        self.no_commands = Some(sentence);
    }
}

/// The reason why no command at all can run in this root, if that is what the error says: it is told once
/// for the whole stage, not for each step.
fn no_commands(error: &anyhow::Error) -> Option<String> {
    let shell = |missing: &&NoProgram| missing.program == Path::new("/bin/sh");
    if let Some(missing) = error.downcast_ref::<NoProgram>().filter(shell) {
        let remedy = "steps with `commands` or `if` need one";
        return Some(format!("{missing}; {remedy}"));
    }
    error.downcast_ref::<NoChroot>().map(ToString::to_string)
}
