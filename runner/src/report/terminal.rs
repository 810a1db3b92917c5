//! Reports for people, on a terminal or in a log.

use super::snippet::plain;
use super::{EffectReport, Outcome, Report, StepReport};
use crate::init::PartReport;
use anstyle::{AnsiColor, Style};
use cosette_plugins::effect::Diff;
use cosette_plugins::system::Mode;
use imara_diff::{Algorithm, BasicLineDiffPrinter, Diff as LineDiff, InternedInput, UnifiedDiffConfig};
use std::io::{self, Write};

/// Writes reports, step by step.
pub struct Terminal<W> {
    out: W,
    colour: bool,
    /// 0: failures and the last line; 1: what changed; 2: what was so already, too.
    detail: u8,
    /// Whether all this would happen, and does not.
    planned: bool,
    /// Whether what a step changed is shown elsewhere.
    only_steps: bool,
}

const FAILED: Style = AnsiColor::Red.on_default().bold();
const APPLIED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const QUIET: Style = Style::new().dimmed();
const WARNED: Style = AnsiColor::Yellow.on_default();

/// What stands before each line of a difference below something.
const INDENT: &str = "            ";

/// Of something long that nobody has asked for, so many lines are shown.
pub(super) const FEW_LINES: usize = 16;

impl<W: Write> Terminal<W> {
    /// Writes to `out`, in colour or not. In plan mode everything is said of what would happen.
    pub fn new(out: W, colour: bool, detail: u8, mode: Mode) -> Self {
        Self { out, colour, detail, planned: mode == Mode::Plan, only_steps: false }
    }

    /// Leaves out what steps changed, if not all is asked for: it is shown elsewhere.
    pub fn only_steps(mut self) -> Self {
        self.only_steps = self.detail < 2;
        self
    }

    /// A line as it is.
    pub fn line(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.out, "{line}")
    }

    /// A change of the machine.
    pub fn change(&mut self, kind: &str, target: &str) -> io::Result<()> {
        let kind = self.paint(APPLIED, &format!("{kind:<9}"));
        writeln!(self.out, "{kind} {}", printable(target))
    }

    /// What a program printed.
    pub fn said(&mut self, label: &str, text: &str) -> io::Result<()> {
        self.change("said", label)?;
        let most = self.most();
        let lines: Vec<&str> = text.lines().collect();
        for line in lines.iter().take(most) {
            writeln!(self.out, "            {}", printable(line))?;
        }
        self.more(INDENT, lines.len(), most)
    }

    /// One step, with what it changed and what went wrong.
    pub fn step(&mut self, step: &StepReport) -> io::Result<()> {
        self.step_itself(step)?;
        for finding in step.errors.iter().chain(&step.warnings) {
            let style = if finding.severity == "error" { FAILED } else { WARNED };
            for (at, line) in plain(finding).lines().enumerate() {
                let line = if at == 0 { self.paint(style, line) } else { format!("  {line}") };
                writeln!(self.out, "          {line}")?;
            }
        }
        Ok(())
    }

    /// One step, with what it changed.
    pub(super) fn step_itself(&mut self, step: &StepReport) -> io::Result<()> {
        let failed = step.outcome == Outcome::Failed;
        if self.detail > 0 || failed {
            let word = self.outcome(step.outcome, step.changed());
            let name = step.name.as_deref().unwrap_or("(no name)");
            let place = self.paint(QUIET, &format!("{}:{}", step.document, step.line));
            writeln!(self.out, "{word} {name}  {place}")?;
        }
        if let Some(reason) = step.reason.as_ref().filter(|_| self.detail > 0 || failed) {
            writeln!(self.out, "          {reason}")?;
        }
        self.effects(&step.effects)
    }

    /// One part of `cosette init`, with what it changed and what went wrong.
    pub fn part(&mut self, part: &PartReport) -> io::Result<()> {
        if self.detail > 0 || part.outcome == Outcome::Failed {
            let word = self.outcome(part.outcome, part.changed());
            writeln!(self.out, "{word} {}", part.part)?;
        }
        self.effects(&part.effects)?;
        let errors = part.errors.iter().map(|text| (FAILED, "error", text));
        let warnings = part.warnings.iter().map(|text| (WARNED, "warning", text));
        for (style, severity, text) in errors.chain(warnings.filter(|_| self.detail > 0)) {
            for (at, line) in text.lines().enumerate() {
                let line = printable(line);
                let line = if at == 0 {
                    self.paint(style, &format!("{severity}: {line}"))
                } else {
                    format!("  {line}")
                };
                writeln!(self.out, "          {line}")?;
            }
        }
        Ok(())
    }

    fn outcome(&self, outcome: Outcome, changed: usize) -> String {
        let (style, word) = match outcome {
            Outcome::Failed => (FAILED, outcome.as_str()),
            Outcome::Skipped => (QUIET, outcome.as_str()),
            Outcome::Unknown => (WARNED, outcome.as_str()),
            Outcome::Applied if changed == 0 => (QUIET, "unchanged"),
            Outcome::Applied if self.planned => (APPLIED, "would run"),
            Outcome::Applied => (APPLIED, outcome.as_str()),
        };
        self.paint(style, &format!("{word:<9}"))
    }

    fn effects(&mut self, effects: &[EffectReport]) -> io::Result<()> {
        for effect in effects {
            if self.detail > 1 || self.detail == 1 && effect.changed && !self.only_steps {
                self.effect(effect)?;
            }
        }
        Ok(())
    }

    /// The last line: how many of which.
    pub fn summary(&mut self, report: &Report) -> io::Result<()> {
        self.numbers(report, "")
    }

    /// The same of a stage that has long ended, with the time at which it began.
    pub fn past(&mut self, report: &Report) -> io::Result<()> {
        let uptime = report.uptime_ms.map(|uptime| format!(", {:.2} s after the kernel", uptime / 1e3));
        self.numbers(report, &format!(", begun {}{}", report.started, uptime.unwrap_or_default()))
    }

    fn numbers(&mut self, report: &Report, when: &str) -> io::Result<()> {
        for finding in report.diagnostics.iter().filter(|finding| finding.source == "root") {
            let line = self.paint(FAILED, &format!("error: {}", finding.message));
            writeln!(self.out, "{line}")?;
        }
        let numbers = &report.summary;
        let style = if report.failed() { FAILED } else { APPLIED };
        let stage = self.paint(style, &report.stage);
        let (applied, skipped, failed) = (numbers.applied, numbers.skipped, numbers.failed);
        // A stage that failed must not look as if nothing had: its documents may be the reason.
        let errors = report
            .diagnostics
            .iter()
            .filter(|finding| finding.severity == "error" && finding.source != "root")
            .count();
        let errors =
            if errors == 0 { String::new() } else { format!(", {} in documents", plural(errors, "error")) };
        let changes = plural(numbers.changed, "change");
        if self.planned {
            let unknown = match numbers.steps - applied - skipped - failed {
                0 => String::new(),
                unknown => format!(", {unknown} only a run can tell"),
            };
            return writeln!(
                self.out,
                "{stage}: {applied} would run, {skipped} would be skipped, {failed} would fail{unknown}{errors}; {changes} to make"
            );
        }
        let time = report.duration_ms;
        writeln!(
            self.out,
            "{stage}: {applied} applied, {skipped} skipped, {failed} failed{errors}; {changes} in {time:.1} ms{when}"
        )
    }

    /// One effect on a line, with its difference below it.
    pub fn effect(&mut self, effect: &EffectReport) -> io::Result<()> {
        let action = if effect.changed { effect.action.as_str() } else { "already so" };
        let action = self.paint(QUIET, action);
        writeln!(self.out, "          {action} {}", effect.target)?;
        match &effect.diff {
            Some(diff) => self.diff(diff),
            None => Ok(()),
        }
    }

    /// A difference, as a unified diff.
    pub fn diff(&mut self, diff: &Diff) -> io::Result<()> {
        match diff {
            Diff::Hidden(reason) => writeln!(self.out, "{INDENT}(not shown: {reason})"),
            Diff::Attributes(change) => writeln!(self.out, "{INDENT}{change}"),
            Diff::Text { before, after } => {
                let text = unified(before.as_deref().unwrap_or_default(), after, 2);
                self.lines(INDENT, &text, 0, usize::MAX)
            }
            // All of it, without the line that says which part it is.
            Diff::Table(tables) => {
                let [before, after] = &**tables;
                self.lines(INDENT, &unified(before, after, before.len() as u32), 1, usize::MAX)
            }
        }
    }

    /// Lines of a difference, from the `first` on and so many at `most`, each behind an `indent`.
    pub(super) fn lines(&mut self, indent: &str, text: &str, first: usize, most: usize) -> io::Result<()> {
        let lines: Vec<&str> = text.lines().skip(first).collect();
        for line in lines.iter().take(most) {
            let style = match line.as_bytes().first() {
                Some(b'+') => APPLIED,
                Some(b'-') => REMOVED,
                _ => QUIET,
            };
            let line = self.paint(style, &printable(line));
            let indent = if indent == INDENT { indent.to_owned() } else { self.paint(QUIET, indent) };
            writeln!(self.out, "{indent}{line}")?;
        }
        self.more(indent, lines.len(), most)
    }

    /// A line of a tree: what stands before it, the mark of what happened, and what it is.
    pub(super) fn branch(&mut self, bars: &str, mark: Option<char>, what: &str) -> io::Result<()> {
        let bars = self.paint(QUIET, bars);
        let style = if mark == Some('-') { REMOVED } else { APPLIED };
        let mark = mark.map_or_else(String::new, |mark| self.paint(style, &mark.to_string()) + " ");
        writeln!(self.out, "{bars}{mark}{}", printable(what))
    }

    /// How many lines of something long are shown.
    pub(super) fn most(&self) -> usize {
        if self.detail > 1 { usize::MAX } else { FEW_LINES }
    }

    fn more(&mut self, indent: &str, lines: usize, most: usize) -> io::Result<()> {
        match lines.saturating_sub(most) {
            0 => Ok(()),
            more => writeln!(self.out, "{indent}({}: -v shows all)", plural(more, "more line")),
        }
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if self.colour { format!("{style}{text}{style:#}") } else { text.to_owned() }
    }
}

/// A unified diff with so many lines of context.
pub(super) fn unified(before: &str, after: &str, context: u32) -> String {
    let input = InternedInput::new(before, after);
    let mut diff = LineDiff::compute(Algorithm::Histogram, &input);
    diff.postprocess_lines(&input);
    let mut config = UnifiedDiffConfig::default();
    config.context_len(context);
    diff.unified_diff(&BasicLineDiffPrinter(&input.interner), config, &input).to_string()
}

/// A number of things: `1 change`, `2 changes`.
pub fn plural(number: usize, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

/// The text without control characters, which could take hold of the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::testing::Machine;

    #[test]
    fn a_stage_that_has_long_ended_is_told_with_its_time() {
        let machine = Machine::new("");
        let past = || {
            let report = Report::new("rootfs", &machine.system(Mode::Apply), &[]);
            let mut out = Vec::new();
            Terminal::new(&mut out, false, 1, Mode::Apply).past(&report).unwrap();
            String::from_utf8(out).unwrap()
        };
        let numbers = "rootfs: 0 applied, 0 skipped, 0 failed; 0 changes in 0.0 ms";
        assert_eq!(past(), format!("{numbers}, begun 2026-01-02T03:04:05.000Z\n"));
        machine.host.kernel_file("/proc/uptime", "2.31 3.00\n");
        assert_eq!(past(), format!("{numbers}, begun 2026-01-02T03:04:05.000Z, 2.31 s after the kernel\n"));
    }
}
