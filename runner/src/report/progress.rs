//! A report while it is made: to the journal of systemd, if this process was started by it, or else to the terminal
//! or log that standard output and standard error are. The service manager is told what is being done.
//!
//! An entry of the journal has the text that the terminal would have; what it is about stands in fields, and the
//! place in the source code is that in the document.

use super::{Finding, Outcome, Report, StepReport, Terminal, plain};
use crate::executor::Observer;
use cosette_plugins::system::{Journal, Mode, ServiceManager};
use cosette_schema::Diagnostic;
use std::fmt;
use std::io::{self, Write, stderr};

/// By which the entries of all steps are found.
pub const STEP_ENDED: &str = "5bd7c3f2c4c34b0f9d1e6f0f6a8e2b71";
/// By which the last entry of each stage is found.
pub const STAGE_ENDED: &str = "0f2e9a7d61b84c3c8a54d7b9e3f01c46";

/// Where a report goes while it is made.
pub struct Progress<W> {
    stage: String,
    detail: u8,
    terminal: Option<Terminal<W>>,
    journal: Option<Journal>,
    manager: Option<ServiceManager>,
}

/// One entry of the journal.
#[derive(Default)]
struct Entry<'a> {
    id: Option<&'a str>,
    priority: Priority,
    message: String,
    stage: &'a str,
    step: Option<&'a str>,
    outcome: Option<Outcome>,
    place: Option<(&'a str, u32)>,
}

/// As syslog(3) counts.
#[derive(Clone, Copy, Default)]
enum Priority {
    Error = 3,
    Warning = 4,
    #[default]
    Info = 6,
    Debug = 7,
}

impl<W: Write> Progress<W> {
    /// The report of a stage goes to the journal, and to the terminal if standard output leads elsewhere.
    pub fn new(
        stage: &str,
        detail: u8,
        terminal: Option<Terminal<W>>,
        journal: Option<Journal>,
        manager: Option<ServiceManager>,
    ) -> Self {
        Self { stage: stage.to_owned(), detail, terminal, journal, manager }
    }

    /// Tells what was found about documents. No line of them is shown, since a log may keep it.
    pub fn findings(&mut self, findings: &[Diagnostic]) {
        let findings: Vec<Finding> = findings.iter().map(Finding::from).collect();
        if !self.log(|stage, _| findings.iter().map(|finding| Entry::of_finding(finding, stage)).collect()) {
            let mut out = stderr().lock();
            for finding in &findings {
                // Nobody is left to be told when standard error is gone.
                let _ = writeln!(out, "{}", plain(finding));
            }
        }
    }

    /// Tells what came of the stage.
    pub fn summary(&mut self, report: &Report) {
        if let Some(manager) = &self.manager {
            manager.status(&text(0, |terminal| terminal.summary(report)));
        }
        let is_logged = self.log(|stage, detail| vec![Entry::of_stage(report, stage, detail)]);
        self.print(is_logged, |terminal| terminal.summary(report));
    }

    /// Whether entries are in the journal. One that does not take them is not asked again.
    fn log<'a>(&'a mut self, entries: impl FnOnce(&'a str, u8) -> Vec<Entry<'a>>) -> bool {
        let Some(journal) = &self.journal else { return false };
        let is_logged = entries(&self.stage, self.detail).iter().all(|entry| entry.send(journal).is_ok());
        if !is_logged {
            self.journal = None;
        }
        is_logged
    }

    fn print(&mut self, is_logged: bool, print: impl FnOnce(&mut Terminal<W>) -> io::Result<()>) {
        let has_seen = is_logged && self.journal.as_ref().is_some_and(Journal::has_output);
        if let Some(terminal) = self.terminal.as_mut().filter(|_| !has_seen) {
            // A reader that has gone away must not stop the stage.
            let _ = print(terminal);
        }
    }
}

impl<W: Write> Observer for Progress<W> {
    /// What may take its time is named while it does.
    fn begins(&mut self, what: fmt::Arguments) {
        if let Some(manager) = &self.manager {
            manager.status(&format!("{}: {what}", self.stage));
        }
    }

    fn ended(&mut self, step: &StepReport) {
        let is_logged = self.log(|_, detail| Entry::of_step(step, detail));
        self.print(is_logged, |terminal| terminal.step(step));
    }
}

impl<'a> Entry<'a> {
    fn of_finding(finding: &'a Finding, stage: &'a str) -> Self {
        let priority = if finding.severity == "error" { Priority::Error } else { Priority::Warning };
        let place = finding.line.map(|line| (finding.source.as_str(), line));
        Self { priority, message: plain(finding), stage, place, ..Self::default() }
    }

    /// The step with what it changed, then each of its findings.
    fn of_step(step: &'a StepReport, detail: u8) -> Vec<Self> {
        let (stage, name) = (step.stage.as_str(), step.name.as_deref());
        let step_itself = Self {
            id: Some(STEP_ENDED),
            priority: match step.outcome {
                Outcome::Failed => Priority::Error,
                Outcome::Skipped => Priority::Debug,
                Outcome::Applied | Outcome::Unknown => Priority::Info,
            },
            message: text(detail, |terminal| terminal.step_itself(step)),
            stage,
            step: name,
            outcome: Some(step.outcome),
            place: Some((&step.document, step.line)),
        };
        let findings = step.errors.iter().chain(&step.warnings);
        let findings = findings.map(|finding| Self { step: name, ..Self::of_finding(finding, stage) });
        // With --quiet, there is nothing to say of a step that went well.
        Some(step_itself).filter(|entry| !entry.message.is_empty()).into_iter().chain(findings).collect()
    }

    fn of_stage(report: &Report, stage: &'a str, detail: u8) -> Self {
        Self {
            id: Some(STAGE_ENDED),
            priority: if report.failed() { Priority::Error } else { Priority::Info },
            message: text(detail, |terminal| terminal.summary(report)),
            stage,
            outcome: Some(report.result),
            ..Self::default()
        }
    }

    fn send(&self, journal: &Journal) -> anyhow::Result<()> {
        let priority = (self.priority as u8).to_string();
        let line = self.place.map(|(_, line)| line.to_string());
        let fields = [
            ("MESSAGE", Some(self.message.as_str())),
            ("MESSAGE_ID", self.id),
            ("PRIORITY", Some(priority.as_str())),
            ("COSETTE_STAGE", Some(self.stage)),
            ("COSETTE_STEP", self.step),
            ("COSETTE_OUTCOME", self.outcome.map(Outcome::as_str)),
            ("CODE_FILE", self.place.map(|(file, _)| file)),
            ("CODE_LINE", line.as_deref()),
        ];
        let fields: Vec<_> = fields.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect();
        journal.send(&fields)
    }
}

/// What a terminal without colours would show.
fn text(detail: u8, print: impl FnOnce(&mut Terminal<&mut Vec<u8>>) -> io::Result<()>) -> String {
    let mut text = Vec::new();
    // Memory takes everything.
    let _ = print(&mut Terminal::new(&mut text, false, detail, Mode::Apply));
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::EffectReport;
    use cosette_plugins::Host as _;
    use cosette_plugins::testing::FakeHost;
    use cosette_schema::{Findings, Origin, Span};
    use std::os::unix::net::UnixDatagram;
    use std::time::Duration;

    const SOCKET: &str = "socket";

    struct Listening {
        directory: tempfile::TempDir,
        socket: Option<UnixDatagram>,
        host: FakeHost,
    }

    fn listening() -> Listening {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(SOCKET);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let host = FakeHost::new();
        host.journal_at(&path);
        Listening { directory, socket: Some(socket), host }
    }

    impl Listening {
        fn path(&self) -> std::path::PathBuf {
            self.directory.path().join(SOCKET)
        }

        fn next(&self) -> String {
            let mut buffer = vec![0; 100_000];
            let length = self.socket.as_ref().unwrap().recv(&mut buffer).unwrap();
            String::from_utf8(buffer[..length].to_vec()).unwrap()
        }

        fn is_empty(&self) -> bool {
            let socket = self.socket.as_ref().unwrap();
            socket.set_nonblocking(true).unwrap();
            socket.recv(&mut [0]).is_err()
        }
    }

    fn findings() -> Vec<Diagnostic> {
        let mut findings = Findings::new(Origin::new("/oem/a.yaml"));
        findings.warn(Span { line: 4, column: 7, start: 0, end: 1 }, "unknown key `comands`");
        findings.error(None, "first\nPRIORITY=0");
        findings.into_vec()
    }

    fn step() -> StepReport {
        let effect = |target: &str, changed| EffectReport {
            plugin: "files".to_owned(),
            action: "write".to_owned(),
            target: target.to_owned(),
            changed,
            before: None,
            diff: None,
        };
        StepReport {
            line: 3,
            effects: vec![effect("/etc/issue", true), effect("/etc/same", false)],
            ..StepReport::unplanned("Greeting", "/oem/a.yaml", "boot.after")
        }
    }

    fn report(step: StepReport) -> Report {
        let machine = cosette_plugins::testing::Machine::new("");
        let mut report = Report::new("boot", &machine.system(Mode::Apply), &[]);
        report.push(step);
        report
    }

    fn progress<'a>(out: &'a mut Vec<u8>, detail: u8, host: &FakeHost) -> Progress<&'a mut Vec<u8>> {
        let terminal = Terminal::new(out, false, detail, Mode::Apply);
        Progress::new("boot", detail, Some(terminal), host.journal(), host.service_manager())
    }

    #[test]
    fn the_journal_gets_each_thing_with_its_fields_and_standard_output_nothing() {
        let (listening, mut out) = (listening(), Vec::new());
        let mut progress = progress(&mut out, 1, &listening.host);
        progress.findings(&findings());
        progress.ended(&step());
        let reason = Some("only if: x\0y".to_owned());
        progress.ended(&StepReport { outcome: Outcome::Skipped, reason, name: None, ..step() });
        let mut failed = StepReport { effects: vec![], ..step() };
        failed.add_findings(&findings());
        progress.ended(&failed);
        progress.summary(&report(failed));

        let begins = "SYSLOG_IDENTIFIER=cosette\n";
        let warning = "MESSAGE=warning: /oem/a.yaml:4:7: unknown key `comands`\nPRIORITY=4\n";
        let long = |message: &str| {
            let length = char::from(u8::try_from(message.len()).unwrap());
            format!("MESSAGE\n{length}\0\0\0\0\0\0\0{message}\n")
        };
        let error = format!("{}PRIORITY=3\n", long("error: /oem/a.yaml: first\nPRIORITY=0"));
        let place = "CODE_FILE=/oem/a.yaml\nCODE_LINE";
        let next = || listening.next().strip_prefix(begins).unwrap().to_owned();
        assert_eq!(next(), format!("{warning}COSETTE_STAGE=boot\n{place}=4\n"));
        assert_eq!(next(), format!("{error}COSETTE_STAGE=boot\n"));
        let applied = long("applied   Greeting  /oem/a.yaml:3\n          write /etc/issue");
        assert_eq!(
            next(),
            format!(
                "{applied}MESSAGE_ID={STEP_ENDED}\nPRIORITY=6\nCOSETTE_STAGE=boot.after\n\
                 COSETTE_STEP=Greeting\nCOSETTE_OUTCOME=applied\n{place}=3\n"
            )
        );
        let skipped = next();
        assert!(skipped.contains("skipped   (no name)  /oem/a.yaml:3\n          only if: x\0y\n"));
        let rest = "PRIORITY=7\nCOSETTE_STAGE=boot.after\nCOSETTE_OUTCOME=skipped\n";
        assert!(skipped.ends_with(&format!("{rest}{place}=3\n")), "{skipped}");
        assert_eq!(
            next(),
            format!(
                "MESSAGE=failed    Greeting  /oem/a.yaml:3\nMESSAGE_ID={STEP_ENDED}\nPRIORITY=3\n\
                 COSETTE_STAGE=boot.after\nCOSETTE_STEP=Greeting\nCOSETTE_OUTCOME=failed\n{place}=3\n"
            )
        );
        let step = "COSETTE_STAGE=boot.after\nCOSETTE_STEP=Greeting\n";
        assert_eq!(next(), format!("{error}{step}"));
        assert_eq!(next(), format!("{warning}{step}{place}=4\n"));
        assert_eq!(
            next(),
            format!(
                "MESSAGE=boot: 0 applied, 0 skipped, 1 failed; 0 changes in 0.0 ms\nMESSAGE_ID={STAGE_ENDED}\n\
                 PRIORITY=3\nCOSETTE_STAGE=boot\nCOSETTE_OUTCOME=failed\n"
            )
        );
        assert!(listening.is_empty() && out.is_empty());
    }

    #[test]
    fn the_service_manager_knows_what_is_being_done_and_what_came_of_it() {
        let (listening, mut out) = (listening(), Vec::new());
        let host = FakeHost::new();
        host.service_manager_at(&listening.path());
        let mut progress = progress(&mut out, 1, &host);
        progress.begins(format_args!("step {}: Greeting  /oem/a.yaml:3", 2));
        progress.ended(&step());
        progress.summary(&report(step()));
        assert_eq!(listening.next(), "STATUS=boot: step 2: Greeting  /oem/a.yaml:3");
        assert_eq!(listening.next(), "STATUS=boot: 1 applied, 0 skipped, 0 failed; 1 change in 0.0 ms");
        assert!(listening.is_empty());
    }

    #[test]
    fn quietly_only_what_failed_is_told_and_the_stage() {
        let (listening, mut out) = (listening(), Vec::new());
        let mut progress = progress(&mut out, 0, &listening.host);
        progress.ended(&step());
        progress.summary(&report(step()));
        assert!(listening.next().contains("MESSAGE=boot: 1 applied"));
        assert!(listening.is_empty() && out.is_empty());
    }

    #[test]
    fn where_the_journal_refuses_everything_is_printed_from_there_on() {
        let (mut listening, mut out) = (listening(), Vec::new());
        let mut progress = progress(&mut out, 1, &listening.host);
        progress.ended(&step());
        listening.socket = None;
        progress.ended(&step());
        progress.summary(&report(step()));
        let expected = "applied   Greeting  /oem/a.yaml:3\n          write /etc/issue\n\
            boot: 1 applied, 0 skipped, 0 failed; 1 change in 0.0 ms\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}
