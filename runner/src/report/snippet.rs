//! Findings with an excerpt of the text they are about, in the manner of rustc.
//!
//! **Invariant:** an excerpt shows no line that may hold a secret; [`line_to_show`] decides.

use super::Finding;
use super::secret::line_to_show;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use cosette_schema::{Diagnostic, Origin, Severity};
use std::collections::BTreeMap;

/// The texts of documents, kept while findings may point into them.
#[derive(Clone, Debug, Default)]
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

/// A finding as people read it: with the line it is about, if the text is at hand and the line holds no secret.
pub fn excerpt(diagnostic: &Diagnostic, texts: &Texts, colour: bool) -> String {
    let level = match diagnostic.severity {
        Severity::Note => Level::NOTE,
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let (Some(span), Some(text)) = (diagnostic.span, texts.get(&diagnostic.origin)) else {
        return plain(&Finding::from(diagnostic));
    };
    let title = level.primary_title(diagnostic.message.as_str());
    let path = diagnostic.origin.as_str();
    let shown = line_to_show(text, span.range(text));
    let mut group: Group = match &shown {
        Some((line, marked)) => title.element(
            Snippet::source(line.as_str())
                .path(path)
                .line_start(span.line as usize)
                .annotation(AnnotationKind::Primary.span(marked.clone())),
        ),
        None => title.element(
            annotate_snippets::Origin::path(path).line(span.line as usize).char_column(span.column as usize),
        ),
    };
    if let Some(help) = &diagnostic.help {
        group = group.element(Level::HELP.message(help.as_str()));
    }
    let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
    renderer.render(&[group])
}

/// A finding on one line, for where there is no text to show.
pub fn plain(finding: &Finding) -> String {
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
