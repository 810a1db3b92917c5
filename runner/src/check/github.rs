//! Findings as workflow commands of GitHub Actions, which shows each at its line of a pull request:
//! <https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands>.

use cosette_schema::{Diagnostic, Severity};
use std::fmt::Write as _;

/// A line for each finding.
pub fn annotations(findings: &[Diagnostic]) -> String {
    let mut text = String::new();
    for finding in findings {
        let command = match finding.severity {
            Severity::Note => "notice",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        let file = property(finding.origin.as_str());
        let place =
            finding.span.map_or_else(String::new, |span| format!(",line={},col={}", span.line, span.column));
        let help = finding.help.as_ref().map_or_else(String::new, |help| format!("; {help}"));
        let message = data(&format!("{}{help}", finding.message));
        let title = finding.rule.id();
        let _ = writeln!(text, "::{command} file={file}{place},title={title}::{message}");
    }
    text
}

/// What would end the line, or begin an escape.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// The same, and what would end the property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_schema::{Findings, Origin, Span};

    #[test]
    fn what_would_end_a_command_is_escaped() {
        let mut findings = Findings::new(Origin::new("a,b:c%d\n.yaml"));
        findings
            .error(Span { line: 3, column: 7, start: 0, end: 0 }, "100% wrong:\r\n::set-env::x")
            .help("a, b");
        findings.warn(None, "all of it");
        findings.note(None, "fine");
        let expected = "\
::error file=a%2Cb%3Ac%25d%0A.yaml,line=3,col=7,title=invalid::100%25 wrong:%0D%0A::set-env::x; a, b
::warning file=a%2Cb%3Ac%25d%0A.yaml,title=doubtful::all of it
::notice file=a%2Cb%3Ac%25d%0A.yaml,title=doubtful::fine
";
        assert_eq!(annotations(&findings.into_vec()), expected);
    }
}
