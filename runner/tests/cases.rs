//! Runs every folder of `testdata/cases`; a new case needs no code. `testdata/README.md` says what is in one.

#![allow(clippy::disallowed_methods, reason = "tests look at real files")]
#![allow(clippy::unwrap_used, missing_docs)]

use cosette::report::{Finding, Report};
use cosette::source::{Place, Source};
use cosette::stage::{Documents, Prepared};
use cosette_plugins::System;
use cosette_plugins::system::Mode;
use cosette_plugins::testing::{FakeHost, Machine, Server};
use cosette_schema::Origin;
use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

#[test]
fn every_case_gives_the_expected_tree_and_report_and_changes_nothing_the_second_time() {
    let directory = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/cases"));
    let mut cases: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let failures: Vec<String> = cases.iter().filter_map(|case| check(case).err()).collect();
    assert!(
        failures.is_empty(),
        "{} of {} cases failed\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
    assert!(!cases.is_empty());
}

struct Case<'c> {
    directory: &'c Path,
    machine: Machine,
    _server: Server,
}

fn check(directory: &Path) -> Result<(), String> {
    let name = directory.file_name().unwrap().to_string_lossy();
    let case = Case::new(directory);
    let (reports, commands) = case.run();
    let found = describe(&reports, &commands);
    let expected_tree = case.optional("after.tree").unwrap_or_default();
    if std::env::var_os("UPDATE_CASES").is_some() {
        fs::write(directory.join("report.txt"), &found).unwrap();
    }
    let expected = case.optional("report.txt").unwrap_or_default();
    if expected != found {
        return Err(format!(
            "{name}: the report is not as expected\n=== expected\n{expected}=== found\n{found}"
        ));
    }
    case.machine.compare(&expected_tree).map_err(|error| format!("{name}: {error:#}"))?;
    let (second, _) = case.run();
    let changed: Vec<_> = second
        .iter()
        .flat_map(|report| &report.steps)
        .flat_map(|step| &step.effects)
        .filter(|effect| effect.changed && effect.action != "run")
        .collect();
    if !changed.is_empty() {
        return Err(format!("{name}: the second time changed {changed:#?}"));
    }
    case.machine.compare(&expected_tree).map_err(|error| format!("{name}: the second time: {error:#}"))
}

impl<'c> Case<'c> {
    fn new(directory: &'c Path) -> Self {
        let read = |name: &str| fs::read_to_string(directory.join(name)).unwrap_or_default();
        let machine = Machine::new(&read("before.tree"));
        machine.host.kernel_file("/proc/cmdline", &read("cmdline"));
        for line in read("answers").lines() {
            let (status, part) = line.split_once(' ').unwrap();
            machine.host.answer(part, status.parse().unwrap(), "");
        }
        let _server = machine.serve(&read("pages"));
        Self { directory, machine, _server }
    }

    fn optional(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.directory.join(name)).ok()
    }

    /// Runs the stages of the case of the YAML files of the folder, in byte order, then of its `cmdline`.
    fn run(&self) -> (Vec<Report>, Vec<String>) {
        let stages = self.optional("stages").unwrap_or_else(|| "test".into());
        let reports = stages.split_whitespace().map(|stage| self.run_stage(stage)).collect();
        (reports, self.machine.host.take_commands())
    }

    fn run_stage(&self, stage: &str) -> Report {
        let files = System::new(self.directory, Arc::new(FakeHost::new()), Mode::Plan).unwrap();
        let mut prepared = Documents::read(&[Source::Path("".into())], &Place::root(&files)).plan(stage);
        if let Some(cmdline) = self.optional("cmdline") {
            let dotted: Prepared = Documents::dotted(&cmdline, &Origin::new("cmdline")).plan(stage);
            prepared.plan.steps.extend(dotted.plan.steps);
            prepared.findings.extend(dotted.findings);
        }
        prepared.execute(&self.machine.system(Mode::Apply), &mut ())
    }
}

/// The report in a form that is pleasant to read and to compare.
fn describe(reports: &[Report], commands: &[String]) -> String {
    let mut text = String::new();
    for step in reports.iter().flat_map(|report| &report.steps) {
        let outcome = serde_json::to_value(step.outcome).unwrap();
        let name = step.name.as_deref().unwrap_or("-");
        let stage = &step.stage;
        write!(text, "{} {stage}: {name} {}:{}", outcome.as_str().unwrap(), step.document, step.line)
            .unwrap();
        writeln!(text, "{}", step.reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default())
            .unwrap();
        for error in &step.errors {
            writeln!(text, "  {}", finding(error)).unwrap();
        }
    }
    // What is wrong with a document is found in each of its stages.
    let mut told = BTreeSet::new();
    for diagnostic in reports.iter().flat_map(|report| &report.diagnostics) {
        if !told.insert(finding(diagnostic)) {
            continue;
        }
        writeln!(text, "{}", finding(diagnostic)).unwrap();
    }
    for command in commands {
        writeln!(text, "$ {command}").unwrap();
    }
    text
}

fn finding(finding: &Finding) -> String {
    let mut text = format!("{} {}", finding.severity, finding.source);
    if let (Some(line), Some(column)) = (finding.line, finding.column) {
        write!(text, ":{line}:{column}").unwrap();
    }
    write!(text, ": {}", finding.message).unwrap();
    if let Some(help) = &finding.help {
        write!(text, " [{help}]").unwrap();
    }
    text
}
