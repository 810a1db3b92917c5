//! Findings with an excerpt of the text they are about, in the manner of rustc.

use super::Finding;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use cosette_schema::{Diagnostic, Origin, Severity};
use std::collections::BTreeMap;

/// The texts of documents, kept while findings may point into them.
#[derive(Debug, Default)]
pub struct Texts(BTreeMap<Origin, String>);

impl Texts {
    /// Keeps the text of a document.
    pub fn insert(&mut self, origin: &Origin, text: String) {
        self.0.insert(origin.clone(), text);
    }

    /// The text of a document, if it was kept.
    pub fn get(&self, origin: &Origin) -> Option<&str> {
        self.0.get(origin).map(String::as_str)
    }
}

/// A finding as people read it: with the line it is about, if the text is at hand.
pub fn excerpt(diagnostic: &Diagnostic, texts: &Texts, colour: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let (Some(span), Some(text)) = (diagnostic.span, texts.get(&diagnostic.origin)) else {
        return plain(&Finding::from(diagnostic));
    };
    let (start, end) = (span.start as usize, span.end as usize);
    let end = end.max(start + 1).min(text.len());
    let Some(line) = text.get(start..).and_then(|rest| rest.split('\n').next()) else {
        return plain(&Finding::from(diagnostic));
    };
    // A span over many lines is shown by its first one.
    let end = end.min(start + line.trim_end().len().max(1)).max(start).min(text.len());
    let snippet = Snippet::source(text)
        .path(diagnostic.origin.as_str())
        .line_start(1)
        .annotation(AnnotationKind::Primary.span(start..end));
    let mut group: Group = level.primary_title(diagnostic.message.as_str()).element(snippet);
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// A finding on one line, for where there is no text to show.
pub(super) fn plain(finding: &Finding) -> String {
    let mut line = format!("{}: {}", finding.severity, finding.source);
    if let (Some(at), Some(column)) = (finding.line, finding.column) {
        line += &format!(":{at}:{column}");
    }
    line += &format!(": {}", finding.message);
    if let Some(help) = &finding.help {
        line += &format!("; {help}");
    }
    line
}
