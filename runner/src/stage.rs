//! The story of a stage: sources, texts, documents, plan, report.

use crate::boot::{self, Parameters};
use crate::executor::{Observer, execute};
use crate::planner::{Plan, plan};
use crate::report::{Begun, Report, Texts};
use crate::sentinels;
use crate::source::{Loaded, Place, Source, defaults, load};
use cosette_plugins::System;
use cosette_plugins::facts::Facts;
use cosette_schema::{Diagnostic, Document, Findings, Origin, Severity, parse, parse_dot_notation};
use std::collections::BTreeSet;
use std::path::Path;

/// The stages that the units of a system run at each boot, in their order; the last one runs again and again.
pub const OF_A_BOOT: [&str; 6] = ["rootfs", "initramfs", "fs", "boot", "network", "reconcile"];

/// Documents with their findings, and the texts that findings may point into.
pub struct Documents {
    /// What could be understood, in order.
    pub documents: Vec<Document>,
    /// What could not.
    pub findings: Vec<Diagnostic>,
    /// The texts.
    pub texts: Texts,
    /// When the first was to be read.
    begun: Begun,
}

/// Steps in order with everything that was found on the way to them.
pub struct Prepared {
    /// The name of the stage.
    pub stage: String,
    /// The steps.
    pub plan: Plan,
    /// Findings about documents and their order. Those about a step stand with the step.
    pub findings: Vec<Diagnostic>,
    /// The texts that findings may point into.
    pub texts: Texts,
    /// The number of documents that were read.
    pub sources: usize,
    /// When the stage began: if nobody says otherwise, when the first was to be read.
    begun: Begun,
    /// Whose sentinels are left before anything else, if the stage begins a boot.
    boot: Option<Parameters>,
}

/// None yet.
impl Default for Documents {
    fn default() -> Self {
        Self { documents: Vec::new(), findings: Vec::new(), texts: Texts::default(), begun: Begun::now() }
    }
}

impl Documents {
    /// Reads sources; paths are those of `place`.
    pub fn read(sources: &[Source], place: &Place) -> Self {
        let mut documents = Self::default();
        let (loaded, findings) = load(sources, place);
        documents.findings = findings;
        for Loaded { origin, text } in loaded {
            let (document, findings) = parse(&text, &origin);
            documents.add(document, findings, text);
        }
        documents
    }

    /// Reads sources that hold dot notation.
    pub fn read_dotted(sources: &[Source], place: &Place) -> Self {
        let mut documents = Self::default();
        let (loaded, findings) = load(sources, place);
        documents.findings = findings;
        for Loaded { origin, text } in loaded {
            let (document, findings) = parse_dot_notation(&text, &origin);
            documents.add(document, findings, text);
        }
        documents
    }

    /// Reads a text of dot notation: `stages.boot[0].commands[0]="echo hello"`.
    pub fn dotted(text: &str, origin: &Origin) -> Self {
        let mut documents = Self::default();
        let (document, findings) = parse_dot_notation(text, origin);
        documents.add(document, findings, text.to_owned());
        documents
    }

    /// Reads the text of a document.
    pub fn of_text(text: &str, origin: &Origin) -> Self {
        let mut documents = Self::default();
        let (document, findings) = parse(text, origin);
        documents.add(document, findings, text.to_owned());
        documents
    }

    fn add(&mut self, document: Document, findings: Vec<Diagnostic>, text: String) {
        self.texts.insert(&document.origin, text);
        self.documents.push(document);
        self.findings.extend(findings);
    }

    /// The same documents for one more stage, which begins now. What was found in them is told once.
    pub fn once_more(&self) -> Self {
        let (documents, texts) = (self.documents.clone(), self.texts.clone());
        Self { documents, findings: Vec::new(), texts, begun: Begun::now() }
    }

    /// Whether none of the sources gave a document that can run.
    pub fn nothing_is_valid(&self) -> bool {
        let failed = self.findings.iter().any(|finding| finding.severity == Severity::Error);
        failed && self.documents.iter().all(|document| document.stages.is_empty())
    }

    /// The names of the stages that the documents have, without `.before` and `.after`.
    pub fn stages(&self) -> BTreeSet<String> {
        let stages = self.documents.iter().flat_map(|document| &document.stages);
        let base = |name: &str| -> String {
            name.strip_suffix(".before").or_else(|| name.strip_suffix(".after")).unwrap_or(name).to_owned()
        };
        stages.map(|stage| base(&stage.name.value)).collect()
    }

    /// Whether any document has the stage, or what runs before or after it.
    pub fn has(&self, stage: &str) -> bool {
        let named = |name: &str| {
            name.strip_prefix(stage).is_some_and(|part| matches!(part, "" | ".before" | ".after"))
        };
        self.documents.iter().flat_map(|document| &document.stages).any(|stage| named(&stage.name.value))
    }

    /// The steps of a stage in order.
    pub fn plan_of(&self, stage: &str) -> Plan {
        plan(stage, self.documents.clone())
    }

    /// Orders the steps of a stage.
    pub fn plan(self, stage: &str) -> Prepared {
        let sources = self.documents.len();
        let mut plan = plan(stage, self.documents);
        let mut findings = self.findings;
        findings.append(&mut plan.findings);
        Prepared {
            stage: stage.to_owned(),
            plan,
            findings,
            texts: self.texts,
            sources,
            begun: self.begun,
            boot: None,
        }
    }
}

impl Prepared {
    /// Everything that `run STAGE` runs: the default directories of the root and what `cos.setup=` names on
    /// the kernel command line, then the dot notation of the kernel command line (elemental's order).
    pub fn defaults(stage: &str, also: &[Source], sys: &System) -> Self {
        let begun = Begun::now();
        let mut findings = Vec::new();
        let cmdline = kernel_command_line(sys, &mut findings);
        let mut sources = defaults(sys);
        sources.extend_from_slice(also);
        sources.extend(setup_sources(&cmdline, sys, &mut findings));
        let mut prepared = Documents::read(&sources, &Place::root(sys)).plan(stage);
        let origin = Origin::new(boot::ORIGIN);
        let mut dotted = Documents::dotted(&cmdline, &origin).plan(stage);
        prepared.plan.steps.append(&mut dotted.plan.steps);
        findings.append(&mut prepared.findings);
        findings.append(&mut dotted.findings);
        let boot = sentinels::belong_to(stage, sys).then(|| {
            let (parameters, found) = Parameters::parse(&cmdline);
            findings.extend(found);
            parameters
        });
        Self { findings, begun, boot, ..prepared }
    }

    /// The same, begun before.
    pub fn since(self, begun: Begun) -> Self {
        Self { begun, ..self }
    }

    /// Whether there is nothing to run, and the reason is that no document is valid.
    pub fn nothing_is_valid(&self) -> bool {
        let failed = self.findings.iter().any(|finding| finding.severity == Severity::Error);
        failed && self.plan.steps.is_empty()
    }

    /// Runs the steps, which `observer` watches, and returns the whole.
    pub fn execute(self, sys: &System, observer: &mut impl Observer) -> Report {
        let programs = sys.time_of_programs();
        let mut report = Report::new(&self.stage, sys, &self.findings);
        if let Some(step) = self.boot.and_then(|parameters| sentinels::leave(&parameters, &self.stage, sys)) {
            observer.ended(&step);
            report.push(step);
        }
        execute(self.plan, sys, &Facts::new(sys), observer, |step| report.push(step));
        if let Err(error) = sys.sync() {
            let mut findings = Findings::new(Origin::new("root"));
            findings.error(None, format!("{error:#}"));
            report.add_findings(&findings.into_vec());
        }
        report.ended(self.begun, sys.time_of_programs() - programs);
        report
    }
}

fn kernel_command_line(sys: &System, findings: &mut Vec<Diagnostic>) -> String {
    match sys.host().kernel_file(Path::new("/proc/cmdline")) {
        Ok(bytes) => String::from_utf8_lossy(&bytes.unwrap_or_default()).trim_end().to_owned(),
        Err(error) => {
            let mut found = Findings::new(Origin::new(boot::ORIGIN));
            found.warn(None, format!("cannot be read: {error:#}"));
            findings.extend(found.into_vec());
            String::new()
        }
    }
}

/// What `cos.setup=` and `elemental.setup=` name. A local path that is not there (yet) is only worth a
/// warning: the file system that holds it may be mounted in a later stage.
fn setup_sources(cmdline: &str, sys: &System, findings: &mut Vec<Diagnostic>) -> Vec<Source> {
    let mut sources = Vec::new();
    // What is wrong with other parameters is said by those who act on them.
    for (value, span) in Parameters::parse(cmdline).0.setup {
        let source = Source::parse(&value);
        if let Source::Path(path) = &source
            && matches!(sys.metadata(path), Ok(None))
        {
            let mut found = Findings::new(Origin::new(boot::ORIGIN));
            found.warn(span, format!("`{value}`: there is no such file in this stage"));
            findings.extend(found.into_vec());
            continue;
        }
        sources.push(source);
    }
    sources
}
