//! Findings: what is wrong with a text, where, and what to do about it.

use crate::Span;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// Where a text came from, as a person would name it: `/oem/90.yaml`, `builtin:03_branding.yaml`,
/// `kernel command line`, `<stdin>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin(Arc<str>);

impl Origin {
    /// Names an origin.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name as it is shown.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Right as it is, and worth knowing.
    Note,
    /// Understood, but probably not meant.
    Warning,
    /// Not understood: the item around it is left out.
    Error,
}

/// What kind of finding it is, for programs that sort and silence them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// Something is not understood, and left out.
    Invalid,
    /// Something is understood, but probably not meant.
    Doubtful,
    /// A key that nothing reads.
    UnknownKey,
    /// An `after` that names no step, or steps that wait for each other.
    Order,
    /// A file that a later document writes as well.
    Overwritten,
    /// A step whose conditions hold nowhere.
    NeverRuns,
    /// A stage that nothing runs.
    UnknownStage,
}

impl Rule {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Invalid,
        Self::Doubtful,
        Self::UnknownKey,
        Self::Order,
        Self::Overwritten,
        Self::NeverRuns,
        Self::UnknownStage,
    ];

    const fn of(severity: Severity) -> Self {
        match severity {
            Severity::Error => Self::Invalid,
            Severity::Warning | Severity::Note => Self::Doubtful,
        }
    }

    /// The name by which programs know it: these stay what they are.
    pub const fn id(self) -> &'static str {
        match self {
            Self::Invalid => "invalid",
            Self::Doubtful => "doubtful",
            Self::UnknownKey => "unknown-key",
            Self::Order => "order",
            Self::Overwritten => "overwritten",
            Self::NeverRuns => "never-runs",
            Self::UnknownStage => "unknown-stage",
        }
    }

    /// What it is about, in a sentence.
    pub const fn description(self) -> &'static str {
        match self {
            Self::Invalid => "Something is not understood, and left out.",
            Self::Doubtful => "Something is understood, but probably not meant.",
            Self::UnknownKey => "A key that nothing reads.",
            Self::Order => "An `after` that names no step, or steps that wait for each other.",
            Self::Overwritten => "A file that a later document writes as well.",
            Self::NeverRuns => "A step whose conditions hold nowhere.",
            Self::UnknownStage => "A stage that nothing runs.",
        }
    }
}

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What kind it is.
    pub rule: Rule,
    /// The text it is about.
    pub origin: Origin,
    /// Where in the text; nothing when it is about the whole of it.
    pub span: Option<Span>,
    /// What is wrong, in one line without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Adds the remedy.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    /// Sets the kind, which is otherwise that of the severity.
    pub fn rule(&mut self, rule: Rule) -> &mut Self {
        self.rule = rule;
        self
    }
}

impl fmt::Display for Diagnostic {
    /// `origin:line:column: message; help`, for logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.origin)?;
        if let Some(span) = self.span {
            write!(f, ":{}:{}", span.line, span.column)?;
        }
        write!(f, ": {}", self.message)?;
        if let Some(help) = &self.help {
            write!(f, "; {help}")?;
        }
        Ok(())
    }
}

/// The largest number of findings that are kept of one text.
const LIMIT: usize = 1000;

/// Collects the findings of one text.
#[derive(Debug)]
pub struct Findings {
    origin: Origin,
    list: Vec<Diagnostic>,
    /// The latest of those beyond the limit, and their number: a text can be wrong in a million places.
    beyond: Option<(Box<Diagnostic>, usize)>,
    errors: usize,
}

impl Findings {
    /// An empty collection for the text that came from `origin`.
    pub fn new(origin: Origin) -> Self {
        Self { origin, list: Vec::new(), beyond: None, errors: 0 }
    }

    /// The text these findings are about.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Records an error.
    pub fn error(&mut self, span: impl Into<Option<Span>>, message: impl Into<String>) -> &mut Diagnostic {
        self.errors += 1;
        self.push(Severity::Error, span.into(), message.into())
    }

    /// Records a warning.
    pub fn warn(&mut self, span: impl Into<Option<Span>>, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Warning, span.into(), message.into())
    }

    /// Records something worth knowing.
    pub fn note(&mut self, span: impl Into<Option<Span>>, message: impl Into<String>) -> &mut Diagnostic {
        self.push(Severity::Note, span.into(), message.into())
    }

    /// Whether an error is among the findings.
    pub fn has_errors(&self) -> bool {
        self.errors > 0
    }

    /// How many errors were recorded so far.
    pub fn errors(&self) -> usize {
        self.errors
    }

    /// All findings in the order they were made, each once: what stands at an anchor is found again at each of
    /// its aliases. Of very many the first, and one that says how many there are more.
    pub fn into_vec(mut self) -> Vec<Diagnostic> {
        distinct(&mut self.list);
        if let Some((_, count)) = self.beyond {
            let severity = if self.has_errors() { Severity::Error } else { Severity::Warning };
            let message = format!("{count} more findings are not shown");
            let (rule, origin) = (Rule::of(severity), self.origin);
            self.list.push(Diagnostic { severity, rule, origin, span: None, message, help: None });
        }
        self.list
    }

    fn push(&mut self, severity: Severity, span: Option<Span>, message: String) -> &mut Diagnostic {
        let (rule, origin) = (Rule::of(severity), self.origin.clone());
        let finding = Diagnostic { severity, rule, origin, span, message, help: None };
        if self.list.len() < LIMIT {
            let at = self.list.len();
            self.list.push(finding);
            return &mut self.list[at];
        }
        let count = self.beyond.take().map_or(0, |(_, count)| count) + 1;
        &mut self.beyond.insert((Box::new(finding), count)).0
    }
}

/// Takes out what was found before: the same message about the same place.
pub fn distinct(findings: &mut Vec<Diagnostic>) {
    let mut seen = HashSet::new();
    findings.retain(|finding| seen.insert(finding.clone()));
}

#[cfg(test)]
impl Findings {
    /// Findings that were taken out before.
    pub(crate) fn from_list(origin: Origin, list: Vec<Diagnostic>) -> Self {
        let errors = list.iter().filter(|finding| finding.severity == Severity::Error).count();
        Self { origin, list, beyond: None, errors }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_found_again_at_the_same_place_is_told_once() {
        let mut findings = Findings::new(Origin::new("test"));
        let place = |line| Span { line, column: 1, start: 0, end: 0 };
        for line in [1, 2, 1] {
            findings.warn(place(line), "message").help("help");
        }
        findings.error(place(1), "message").help("help");
        let lines: Vec<_> = findings.into_vec().iter().map(|found| found.span.unwrap().line).collect();
        assert_eq!(lines, [1, 2, 1]);
    }

    #[test]
    fn a_million_findings_become_a_thousand_and_their_number() {
        let mut findings = Findings::new(Origin::new("test"));
        for index in 0..1500 {
            findings.warn(None, format!("{index}")).help("none");
        }
        assert!(!findings.has_errors());
        findings.error(None, "an error among those that are not shown");
        assert!(findings.has_errors());
        let list = findings.into_vec();
        assert_eq!(list.len(), 1001);
        assert_eq!(list[999].message, "999");
        assert_eq!(list[1000].message, "501 more findings are not shown");
        assert_eq!(list[1000].severity, Severity::Error);
    }
}
