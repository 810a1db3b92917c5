//! Reports: one value from which the JSON, the terminal and the record in `/run/cosette` are made; and those of earlier
//! boots.
//!
//! **Architecture invariant:** a report holds no secret. It names documents, lines and paths; never content,
//! never the text of a command.

pub mod boots;
pub mod expected;
mod keeping;
mod progress;
mod secret;
mod snippet;
pub mod store;
mod terminal;
pub mod transfer;
mod tree;

pub use keeping::keep;
pub use progress::{Progress, STAGE_ENDED, STEP_ENDED};
pub use snippet::{Texts, excerpt, plain};
pub use terminal::{Terminal, plural};
pub use transfer::{Transfer, size};
pub use tree::{NameOf, Tree};

use crate::planner::Planned;
use cosette_plugins::effect::Before;
use cosette_plugins::{Action, Effect, System};
use cosette_schema::{Diagnostic, Severity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::time::{Duration, Instant};

/// What came of a stage.
///
/// Those that an earlier version has kept are read, too: a new field has a default.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Report {
    /// The name of the stage.
    pub stage: String,
    /// Whether everything went well.
    pub result: Outcome,
    /// When it began: RFC 3339, in UTC.
    pub started: String,
    /// How long the kernel ran then, in milliseconds: clocks are set during a boot, and this goes on. Absent where the
    /// kernel does not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uptime_ms: Option<f64>,
    /// How long it took, in milliseconds, from before the documents were read; where a process is there for nothing
    /// else, from its start.
    pub duration_ms: f64,
    /// How long of that programs were waited for, such as those of `commands` and `if`.
    pub programs_ms: f64,
    /// The processor time of this process meanwhile, without that of programs. What else it took, it waited: for disks,
    /// or for a processor.
    #[serde(default)]
    pub processor_ms: f64,
    /// How much of that the process took before the program began: what a service manager does in it to prepare it, and
    /// what the kernel does to execute the program.
    #[serde(default)]
    pub start_ms: f64,
    /// The numbers.
    pub summary: Summary,
    /// What was found in the documents: everything but the errors of steps, which stand there.
    pub diagnostics: Vec<Finding>,
    /// The steps in the order in which they ran.
    pub steps: Vec<StepReport>,
}

/// Numbers of steps, and of changes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// All steps of the stage.
    pub steps: usize,
    /// Those that ran without an error.
    pub applied: usize,
    /// Those whose conditions did not hold.
    pub skipped: usize,
    /// Those with an error.
    pub failed: usize,
    /// Things that were changed, in all steps together.
    pub changed: usize,
}

/// How a step, or a stage as a whole, ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It ran, without an error.
    Applied,
    /// A condition did not hold.
    Skipped,
    /// There was an error; what could be done was done.
    Failed,
    /// Only a run can tell: a condition needs a command, or the step the network, and planning uses neither.
    Unknown,
}

/// What came of a step.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepReport {
    /// The `name:` of the step.
    pub name: Option<String>,
    /// The document it stands in.
    pub document: String,
    /// The line on which it begins.
    pub line: u32,
    /// The stage: `boot.before`, `boot` or `boot.after`.
    pub stage: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was skipped, or not run.
    pub reason: Option<String>,
    /// How long it took, in milliseconds.
    pub duration_ms: f64,
    /// How long of that programs were waited for.
    pub programs_ms: f64,
    /// What was done or found to be so.
    pub effects: Vec<EffectReport>,
    /// What went wrong.
    pub errors: Vec<Finding>,
    /// Warnings; in the JSON they stand among the diagnostics of the stage.
    #[serde(skip)]
    pub warnings: Vec<Finding>,
    /// Why no command can run in this root, when it needed one: said once for the whole stage.
    #[serde(skip)]
    pub no_commands: Option<String>,
    /// Whether it was cut short by a request to stop.
    #[serde(skip)]
    pub interrupted: bool,
}

/// One effect, and the plugin it is due to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EffectReport {
    /// The key of the step.
    pub plugin: String,
    /// What was done: `write`, `link`, `run`, ...
    pub action: String,
    /// To what.
    pub target: String,
    /// Whether anything changed by it.
    pub changed: bool,
    /// What a changed file was before, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// What a person sees of the change; only planning fills it in.
    #[serde(skip)]
    pub diff: Option<cosette_plugins::effect::Diff>,
}

impl EffectReport {
    /// What a plugin, or a part of `cosette init`, did.
    pub fn new(plugin: &str, effect: Effect) -> Self {
        Self {
            plugin: plugin.to_owned(),
            action: effect.action.as_str().to_owned(),
            target: effect.target,
            changed: effect.changed,
            before: match effect.before {
                Before::Unknown => None,
                Before::Nothing => Some("nothing".to_owned()),
                Before::File => Some("a file that not everybody may read".to_owned()),
                Before::Bytes(size) => Some(format!("a file of {}", transfer::size(size.into()))),
            },
            diff: effect.diff,
        }
    }

    /// Whether it was done to the running kernel, to systemd or to a disk: in a view of a machine it was not.
    pub fn is_beyond_files(&self) -> bool {
        let beyond = [
            Action::SetKernelParameter,
            Action::LoadModule,
            Action::Systemd,
            Action::Partition,
            Action::MakeFileSystem,
            Action::GrowPartition,
            Action::GrowFileSystem,
            Action::Send,
        ];
        beyond.iter().any(|action| self.action == action.as_str())
    }
}

/// One diagnostic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// `warning` or `error`.
    pub severity: String,
    /// The document.
    pub source: String,
    /// Line, from 1; absent when it is about the whole document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// Column in characters, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl From<&Diagnostic> for Finding {
    fn from(diagnostic: &Diagnostic) -> Self {
        Self {
            severity: match diagnostic.severity {
                Severity::Note => "note".to_owned(),
                Severity::Warning => "warning".to_owned(),
                Severity::Error => "error".to_owned(),
            },
            source: diagnostic.origin.to_string(),
            line: diagnostic.span.map(|span| span.line),
            column: diagnostic.span.map(|span| span.column),
            message: diagnostic.message.clone(),
            help: diagnostic.help.clone(),
        }
    }
}

/// Milliseconds with three digits behind the point: finer than that is noise.
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// The sum of a time over reports.
pub fn milliseconds_in_all(reports: &[Report], of: impl Fn(&Report) -> f64) -> f64 {
    rounded(reports.iter().map(of).sum())
}

/// Three digits behind the point again, and no negative remainder of rounding.
pub fn rounded(milliseconds: f64) -> f64 {
    // The sum of nothing is -0.
    (milliseconds * 1e3).round().max(0.0) / 1e3 + 0.0
}

/// How long the kernel has been running: the first of two numbers (proc_uptime(5)).
fn uptime(sys: &System) -> Option<Duration> {
    let text = String::from_utf8(sys.host().kernel_file(Path::new("/proc/uptime")).ok()??).ok()?;
    Duration::try_from_secs_f64(text.split(' ').next()?.parse().ok()?).ok()
}

impl StepReport {
    /// The report of a step that has not run yet; without findings it will be `applied`.
    pub fn new(planned: &Planned) -> Self {
        let name = planned.step.name.clone();
        let (document, stage) = (planned.origin.to_string(), planned.stage.to_string());
        Self { name, line: planned.step.span.line, ..Self::unplanned("", &document, &stage) }
    }

    /// The report of something that is done without a step in a document.
    pub fn unplanned(name: &str, document: &str, stage: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            document: document.to_owned(),
            line: 1,
            stage: stage.to_owned(),
            outcome: Outcome::Applied,
            reason: None,
            duration_ms: 0.0,
            programs_ms: 0.0,
            effects: Vec::new(),
            errors: Vec::new(),
            warnings: Vec::new(),
            no_commands: None,
            interrupted: false,
        }
    }

    /// Records what a plugin did.
    pub fn add_effects(&mut self, plugin: &str, effects: Vec<Effect>) {
        self.effects.extend(effects.into_iter().map(|effect| EffectReport::new(plugin, effect)));
    }

    /// Records what was found, errors and warnings apart. An error makes the step a failed one.
    pub fn add_findings(&mut self, findings: &[Diagnostic]) {
        for finding in findings {
            if finding.severity == Severity::Error {
                self.outcome = Outcome::Failed;
                self.errors.push(finding.into());
            } else {
                self.warnings.push(finding.into());
            }
        }
    }

    /// How many things it changed.
    pub fn changed(&self) -> usize {
        self.effects.iter().filter(|effect| effect.changed).count()
    }
}

impl Outcome {
    /// As it stands in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Applied => "applied",
            Self::Skipped => "skipped",
            Self::Failed => "failed",
            Self::Unknown => "unknown",
        }
    }
}

/// When a stage began: an operation runs several in one process.
#[derive(Clone, Copy)]
pub struct Begun {
    at: Instant,
    processor: Duration,
    start: Duration,
}

impl Begun {
    /// It begins now.
    pub fn now() -> Self {
        Self { at: Instant::now(), processor: processor_time(), start: Duration::ZERO }
    }

    /// It began with this process, which was started for it and has just read its arguments: what it took to come here
    /// counts as well.
    pub fn with_process() -> Self {
        let (now, start) = (Instant::now(), processor_time());
        Self { at: now.checked_sub(start).unwrap_or(now), processor: Duration::ZERO, start }
    }
}

/// The processor time that this process has had.
fn processor_time() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let parts = [usage.user_time(), usage.system_time()];
    Duration::from_micros(parts.iter().map(|part| part.num_microseconds().unsigned_abs()).sum())
}

impl Report {
    /// A report of a stage that begins now, with what was found in its documents.
    pub fn new(stage: &str, sys: &System, diagnostics: &[Diagnostic]) -> Self {
        let failed = diagnostics.iter().any(|diagnostic| diagnostic.severity == Severity::Error);
        Self {
            stage: stage.to_owned(),
            result: if failed { Outcome::Failed } else { Outcome::Applied },
            started: humantime::format_rfc3339_millis(sys.host().now()).to_string(),
            uptime_ms: uptime(sys).map(milliseconds),
            duration_ms: 0.0,
            programs_ms: 0.0,
            processor_ms: 0.0,
            start_ms: 0.0,
            summary: Summary::default(),
            diagnostics: diagnostics.iter().map(Finding::from).collect(),
            steps: Vec::new(),
        }
    }

    /// Sets how long the stage took, and how long of that programs were waited for.
    pub fn ended(&mut self, begun: Begun, programs: Duration) {
        self.duration_ms = milliseconds(begun.at.elapsed());
        self.programs_ms = milliseconds(programs);
        self.processor_ms = milliseconds(processor_time().saturating_sub(begun.processor));
        self.start_ms = milliseconds(begun.start);
    }

    /// Adds findings that belong to no step.
    pub fn add_findings(&mut self, findings: &[Diagnostic]) {
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            self.result = Outcome::Failed;
        }
        self.diagnostics.extend(findings.iter().map(Finding::from));
    }

    /// Adds the report of a step.
    pub fn push(&mut self, mut step: StepReport) {
        self.summary.steps += 1;
        self.summary.changed += step.changed();
        match step.outcome {
            Outcome::Applied => self.summary.applied += 1,
            Outcome::Skipped => self.summary.skipped += 1,
            Outcome::Unknown => {}
            Outcome::Failed => {
                self.summary.failed += 1;
                self.result = Outcome::Failed;
            }
        }
        // Steps that share an anchor share what is found there.
        let known = |warning: &Finding| {
            let latest = self.diagnostics.iter().rev();
            let mut of_document = latest.take_while(|known| known.source == warning.source);
            of_document.any(|known| known == warning)
        };
        step.warnings.retain(|warning| !known(warning));
        self.diagnostics.append(&mut step.warnings);
        if let Some(sentence) = step.no_commands.take() {
            let finding = Finding {
                severity: "error".to_owned(),
                source: "root".to_owned(),
                line: None,
                column: None,
                message: sentence,
                help: None,
            };
            if !self.diagnostics.contains(&finding) {
                self.diagnostics.push(finding);
            }
        }
        self.steps.push(step);
    }

    /// Whether anything went wrong.
    pub fn failed(&self) -> bool {
        self.result == Outcome::Failed
    }
}
