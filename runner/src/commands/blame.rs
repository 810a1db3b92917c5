//! `cosette blame`: what took the stages of a boot longest.

use super::{print_json, status_of, warn};
use crate::command_line::{self, Options};
use crate::report::boots::{self, Place};
use crate::report::{Report, milliseconds_in_all, rounded};
use anyhow::Result;
use cosette_plugins::system::Mode;
use serde::Serialize;
use std::io::{self, Write, stdout};

/// As many are shown unless more was asked for.
const SHOWN: usize = 20;

/// What a boot spent on the stages.
#[derive(Debug, Serialize)]
struct Blame<'a> {
    boot: &'a Place,
    /// All stages together, in milliseconds.
    duration_ms: f64,
    /// How long of that programs were waited for: the rest is cosette's own time.
    programs_ms: f64,
    /// How long cosette itself had a processor: in the rest of its time it waited.
    processor_ms: f64,
    /// How much of that went by before the program began: its service manager prepared it, and the kernel started it.
    start_ms: f64,
    /// The slowest first.
    steps: Vec<Share<'a>>,
    /// Whole stages, the slowest first.
    stages: Vec<Whole<'a>>,
}

/// A stage with all of its steps.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    duration_ms: f64,
    programs_ms: f64,
    stage: &'a str,
    /// How long the kernel ran when it began.
    uptime_ms: Option<f64>,
}

/// A step; or, without a document, what a stage spent beside its steps.
#[derive(Debug, Serialize)]
struct Share<'a> {
    duration_ms: f64,
    programs_ms: f64,
    stage: &'a str,
    name: Option<&'a str>,
    document: Option<&'a str>,
    line: Option<u32>,
}

/// Shows the slowest steps of the reports of a boot.
pub(super) fn blame(options: &Options, arguments: &command_line::Blame) -> Result<u8> {
    let boot = boots::find(arguments.boot.as_ref(), &options.system(Mode::Plan)?)?;
    warn(&boot.errors);
    let blame = Blame::of(&boot.place, &boot.reports);
    if options.json {
        print_json(&blame)?;
    } else if boot.reports.is_empty() {
        let _ = writeln!(stdout(), "{}", boot.nothing());
    } else {
        let shown = if options.detail() > 1 { usize::MAX } else { SHOWN };
        // A reader may have seen enough.
        let _ = blame.print(&mut stdout().lock(), shown);
    }
    Ok(status_of::DONE)
}

impl<'a> Blame<'a> {
    fn of(boot: &'a Place, reports: &'a [Report]) -> Self {
        let mut steps = Vec::new();
        for report in reports {
            let mut rest = (report.duration_ms, report.programs_ms);
            for step in &report.steps {
                rest = (rest.0 - step.duration_ms, rest.1 - step.programs_ms);
                steps.push(Share {
                    duration_ms: step.duration_ms,
                    programs_ms: step.programs_ms,
                    stage: &step.stage,
                    name: step.name.as_deref(),
                    document: Some(&step.document),
                    line: Some(step.line),
                });
            }
            let (duration_ms, programs_ms) = (rounded(rest.0), rounded(rest.1));
            steps.push(Share {
                duration_ms,
                programs_ms,
                stage: &report.stage,
                name: None,
                document: None,
                line: None,
            });
        }
        steps.sort_by(|one, other| other.duration_ms.total_cmp(&one.duration_ms));
        let whole = |report: &'a Report| Whole {
            duration_ms: report.duration_ms,
            programs_ms: report.programs_ms,
            stage: &report.stage,
            uptime_ms: report.uptime_ms,
        };
        let mut stages: Vec<Whole> = reports.iter().map(whole).collect();
        stages.sort_by(|one, other| other.duration_ms.total_cmp(&one.duration_ms));
        Self {
            boot,
            duration_ms: milliseconds_in_all(reports, |report| report.duration_ms),
            programs_ms: milliseconds_in_all(reports, |report| report.programs_ms),
            processor_ms: milliseconds_in_all(reports, |report| report.processor_ms),
            start_ms: milliseconds_in_all(reports, |report| report.start_ms),
            steps,
            stages,
        }
    }

    fn print(&self, out: &mut impl Write, shown: usize) -> io::Result<()> {
        if self.boot.offset != 0 {
            writeln!(out, "{}", self.boot)?;
        }
        writeln!(out, "{:>10} {:>10}", "ms", "programs")?;
        for share in self.steps.iter().take(shown) {
            write!(out, "{:>10.1} {:>10.1}  {:<17}", share.duration_ms, share.programs_ms, share.stage)?;
            match (share.document, share.line) {
                (Some(document), Some(line)) => {
                    writeln!(out, " {}  {document}:{line}", share.name.unwrap_or("(no name)"))?;
                }
                _ => writeln!(out, " (starting, reading documents, ordering steps, writing to disk)")?,
            }
        }
        if let Some(left) = self.steps.len().checked_sub(shown).filter(|left| *left > 0) {
            writeln!(out, "{left} more are quicker; -v shows them")?;
        }
        writeln!(out, "\n{:>10} {:>10}  whole stages", "ms", "programs")?;
        for stage in &self.stages {
            let uptime =
                stage.uptime_ms.map(|uptime| format!("begun {:.2} s after the kernel", uptime / 1e3));
            let (duration, programs, name) = (stage.duration_ms, stage.programs_ms, stage.stage);
            let line =
                format!("{duration:>10.1} {programs:>10.1}  {name:<17} {}", uptime.unwrap_or_default());
            writeln!(out, "{}", line.trim_end())?;
        }
        writeln!(out)?;
        let (all, programs) = (self.duration_ms, self.programs_ms);
        let (own, processor, start) = (all - programs, self.processor_ms, self.start_ms);
        writeln!(
            out,
            "{all:.1} ms in all: {programs:.1} ms in programs, {own:.1} ms in cosette, which had a processor for \
             {processor:.1} ms, {start:.1} ms of that before it began"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn place() -> Place {
        Place { id: None, offset: -1, started: None }
    }

    fn reports() -> Vec<Report> {
        let step = |name: &str, line: u32, duration: f64, programs: f64| {
            json!({"name": name, "document": "/oem/a.yaml", "line": line, "stage": "boot.after",
                "outcome": "applied", "reason": null, "duration_ms": duration, "programs_ms": programs,
                "effects": [], "errors": []})
        };
        let summary = json!({"steps": 2, "applied": 2, "skipped": 0, "failed": 0, "changed": 0});
        let report = json!({"stage": "boot", "result": "applied", "started": "2026-01-01T00:00:00Z",
            "uptime_ms": 2310.0,
            "duration_ms": 12.5, "programs_ms": 8.0, "processor_ms": 2.5, "start_ms": 0.8, "summary": summary, "diagnostics": [],
            "steps": [step("quick", 3, 0.5, 0.0), step("slow", 9, 10.0, 8.0)]});
        vec![serde_json::from_value(report).unwrap()]
    }

    #[test]
    fn the_slowest_comes_first_and_what_no_step_spent_is_the_stages_own() {
        let mut text = Vec::new();
        Blame::of(&place(), &reports()).print(&mut text, 2).unwrap();
        let expected = "
boot -1
        ms   programs
      10.0        8.0  boot.after        slow  /oem/a.yaml:9
       2.0        0.0  boot              (starting, reading documents, ordering steps, writing to disk)
1 more are quicker; -v shows them

        ms   programs  whole stages
      12.5        8.0  boot              begun 2.31 s after the kernel

12.5 ms in all: 8.0 ms in programs, 4.5 ms in cosette, which had a processor for 2.5 ms, 0.8 ms of that before it began
";
        assert_eq!(String::from_utf8(text).unwrap(), &expected[1..]);
    }

    #[test]
    fn as_json_it_has_all_steps_and_the_sums() {
        let (place, reports) = (place(), reports());
        let json = serde_json::to_value(Blame::of(&place, &reports)).unwrap();
        assert_eq!(json["boot"], json!({"id": null, "offset": -1, "started": null}));
        assert_eq!((&json["duration_ms"], &json["programs_ms"]), (&json!(12.5), &json!(8.0)));
        let last = &json["steps"][2];
        assert_eq!(last["name"], "quick");
        assert_eq!((&last["document"], &last["line"]), (&json!("/oem/a.yaml"), &json!(3)));
        assert_eq!(json["steps"][1]["document"], json!(null));
        assert_eq!(json["stages"][0]["stage"], "boot");
    }
}
