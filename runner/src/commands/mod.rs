//! The commands, and what they share: where output goes and which exit status tells what.

mod blame;
mod boots;
mod check;
mod explain;
mod init;
mod install;
mod lifecycle;
mod meter;
mod mount;
mod plan;
mod pull;
mod run;
mod schema;
mod state;
mod status;
mod try_stage;

use crate::command_line::{Build, Colour, Command, CommandLine, Options};
use crate::generator::generate;
use crate::report::{Progress, Report, Terminal, Texts, excerpt};
use crate::source::{DEFAULT_DIRECTORIES, Place, Source};
use crate::stage::{Documents, Prepared};
use anyhow::{Context, Result};
use cosette_plugins::System;
use cosette_plugins::system::{Host, Live, Mode};
use cosette_schema::{Diagnostic, suggest};
use std::io::{IsTerminal, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Exit statuses, a contract with units and scripts.
pub mod status_of {
    /// All done.
    pub const DONE: u8 = 0;
    /// A step failed.
    pub const FAILED: u8 = 1;
    /// Wrong usage.
    pub const USAGE: u8 = 2;
    /// A document is invalid, and nothing else could run.
    pub const INVALID: u8 = 3;
}

/// Does what the command line says; gives the exit status.
pub fn dispatch(line: CommandLine) -> Result<u8> {
    let CommandLine { options, command } = line;
    match command {
        Command::Run(arguments) => run::run(&options, &arguments),
        Command::Apply(arguments) => run::apply(&options, &arguments),
        Command::Plan(arguments) => plan::plan(&options, &arguments),
        Command::Try(arguments) => try_stage::try_stage(&options, &arguments),
        Command::Check(arguments) => check::check(&options, &arguments),
        Command::Schema => schema::schema(),
        Command::Mount(arguments) => mount::mount(&options, &arguments),
        Command::Status(arguments) => status::status(&options, &arguments),
        Command::Blame(arguments) => blame::blame(&options, &arguments),
        Command::Explain(arguments) => explain::explain(&options, &arguments),
        Command::Pull(arguments) => pull::pull(&options, &arguments),
        Command::Install(arguments) => install::install(&options, &arguments),
        Command::Build(Build::Disk(arguments)) => install::build_disk(&options, &arguments),
        Command::Init(arguments) => init::init(&options, &arguments),
        Command::Upgrade(arguments) => lifecycle::upgrade(&options, &arguments),
        Command::Recover(arguments) => lifecycle::recover(&options, &arguments),
        Command::Rollback(arguments) => lifecycle::rollback(&options, &arguments),
        Command::State(arguments) => state::state(&options, &arguments),
        Command::Generate(arguments) => {
            generate(&options.system(Mode::Plan)?, &arguments.early).map(|()| status_of::DONE)
        }
    }
}

impl Options {
    /// The root that the command acts on.
    fn system(&self, mode: Mode) -> Result<System> {
        System::new(&self.root, Arc::new(Live), mode)
            .with_context(|| format!("cannot use {} as the root", self.root.display()))
    }

    fn colour(&self) -> bool {
        match self.color {
            Colour::Always => true,
            Colour::Never => false,
            Colour::Auto => stdout().is_terminal() && colour_is_welcome(),
        }
    }

    fn detail(&self) -> u8 {
        if self.quiet { 0 } else { 1 + u8::from(self.verbose) }
    }

    fn terminal(&self, mode: Mode) -> Terminal<std::io::StdoutLock<'static>> {
        Terminal::new(stdout().lock(), self.colour(), self.detail(), mode)
    }

    /// Where the report of a stage goes while it is made; with `--json` it is printed when it is complete.
    fn progress(&self, stage: &str, sys: &System) -> Progress<std::io::StdoutLock<'static>> {
        let terminal = (!self.json).then(|| self.terminal(sys.mode()));
        let (journal, manager) = match sys.mode() {
            Mode::Apply => (sys.host().journal(), sys.host().service_manager()),
            Mode::Plan => (None, None),
        };
        Progress::new(stage, self.detail(), terminal, journal, manager)
    }

    /// Findings with the lines they are about, for somebody who asked.
    fn print_excerpts(&self, findings: &[Diagnostic], texts: &Texts) {
        let colour = self.color == Colour::Always
            || self.color == Colour::Auto && stderr().is_terminal() && colour_is_welcome();
        let mut out = stderr().lock();
        for finding in findings {
            let _ = writeln!(out, "{}\n", excerpt(finding, texts, colour));
        }
    }
}

/// <https://no-color.org>
fn colour_is_welcome() -> bool {
    Live.variable("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// The machine itself, in which sources named on the command line are looked up.
struct Machine {
    sys: System,
    directory: PathBuf,
}

impl Machine {
    fn new() -> Result<Self> {
        let directory = Live.kernel_link(Path::new("/proc/self/cwd"))?.unwrap_or_default();
        Ok(Self { sys: System::new(Path::new("/"), Arc::new(Live), Mode::Plan)?, directory })
    }

    fn place(&self) -> Place<'_> {
        Place { sys: &self.sys, directory: self.directory.clone() }
    }
}

/// Reads the sources that a user named.
fn sources(arguments: &[String]) -> Result<Vec<Source>, String> {
    if arguments.len() > 1 && arguments.iter().any(|argument| argument == "-") {
        return Err("`-` (standard input) must be the only source".to_owned());
    }
    Ok(arguments.iter().map(|argument| Source::parse(argument)).collect())
}

/// The plan of a stage of documents that a user named. When they have no such stage, those they have are shown.
fn plan_of(options: &Options, documents: Documents, stage: &str) -> Prepared {
    let stages = documents.stages();
    if !documents.has(stage) && !stages.is_empty() && !options.quiet {
        let stages: Vec<&str> = stages.iter().map(String::as_str).collect();
        let near = suggest(stage, stages.iter().copied());
        let hint = near.map_or_else(
            || format!("they have: {}", stages.join(", ")),
            |near| format!("did you mean `{near}`?"),
        );
        let _ = writeln!(stderr(), "note: the sources have no stage `{stage}`; {hint}");
    }
    documents.plan(stage)
}

/// The plan of a stage of the default sources, and of further ones.
fn plan_of_defaults(options: &Options, stage: &str, also: &[Source], sys: &System) -> Prepared {
    let prepared = Prepared::defaults(stage, also, sys);
    if prepared.sources == 0 && prepared.plan.steps.is_empty() && !options.quiet {
        let directories = DEFAULT_DIRECTORIES.join(", ");
        let _ = writeln!(stderr(), "note: there is nothing to run: no document in {directories}");
    }
    prepared
}

/// Says on standard error what could not be read.
fn warn(errors: &[anyhow::Error]) {
    for error in errors {
        let _ = writeln!(stderr(), "warning: {error:#}");
    }
}

/// Wrong usage that clap does not see: a sentence for standard error, and its exit status.
fn wrong_usage(message: &str) -> u8 {
    let _ = writeln!(stderr(), "error: {message}\n\nFor more information, try '--help'.");
    status_of::USAGE
}

/// The exit status that a report stands for.
fn exit_status(report: &Report, nothing_is_valid: bool) -> u8 {
    match (report.failed(), nothing_is_valid) {
        (true, true) => status_of::INVALID,
        (true, false) => status_of::FAILED,
        (false, _) => status_of::DONE,
    }
}

/// Prints a value as JSON on standard output.
fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let mut out = stdout().lock();
    serde_json::to_writer(&mut out, value).context("cannot print the report")?;
    writeln!(out).context("cannot print the report")
}
