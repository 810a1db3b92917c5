//! What a plugin knows of the step it acts for, and where it reports to.

use crate::facts::Facts;
use crate::template;
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Diagnostic, Findings, Origin, Span, Spanned, Text};
use std::borrow::Cow;
use std::cell::{Cell, RefCell};

/// The surroundings of one step: where its document came from, the facts that templates use, and the place
/// for errors and warnings.
pub struct Context<'a> {
    facts: &'a Facts<'a>,
    fields: &'a [(Spanned<String>, Node)],
    findings: RefCell<Findings>,
    left_to_a_run: Cell<bool>,
}

impl<'a> Context<'a> {
    /// The surroundings of a step with these keys, of the document that came from `origin`.
    pub fn new(origin: &Origin, facts: &'a Facts, fields: &'a [(Spanned<String>, Node)]) -> Self {
        Self {
            facts,
            fields,
            findings: RefCell::new(Findings::new(origin.clone())),
            left_to_a_run: Cell::new(false),
        }
    }

    /// Whether the step has this key, whatever its value is.
    pub fn has(&self, key: &str) -> bool {
        self.fields.iter().any(|(name, _)| name.value == key)
    }

    /// The value of another key of the step; nothing when it is not there. What is wrong with the value has
    /// been reported when the step was decoded.
    pub fn field<T: Decode>(&self, key: &str) -> Option<T> {
        let (_, node) = self.fields.iter().find(|(name, _)| name.value == key)?;
        T::decode(node, &mut Findings::new(self.findings.borrow().origin().clone()))
    }

    /// The facts about the machine; each is gathered when it is first asked for.
    pub fn facts(&self) -> &Facts<'_> {
        self.facts
    }

    /// Renders a template. A text that is not one, or that cannot be rendered, is returned as it is, in the
    /// second case with a warning that names the place.
    pub fn render<'t>(&self, text: &'t Text) -> Cow<'t, str> {
        match template::render(text.as_str(), self.facts) {
            Ok(rendered) => rendered,
            Err(error) => {
                self.warn(
                    text.locate(error.line, error.column),
                    format!("the template is kept as it is: {}", error.message),
                );
                Cow::Borrowed(text.as_str())
            }
        }
    }

    /// Renders a template that its own text cannot stand in for. Where it cannot be rendered, that is recorded
    /// as an error that names the place, and nothing is returned.
    pub fn render_required<'t>(&self, text: &'t Text) -> Option<Cow<'t, str>> {
        template::render(text.as_str(), self.facts)
            .map_err(|error| {
                let message = format!("the template cannot be rendered: {}", error.message);
                self.findings.borrow_mut().error(text.locate(error.line, error.column), message);
            })
            .ok()
    }

    /// Records the failure of one item, if it is one, and goes on.
    pub fn attempt<T>(&self, span: Span, result: Result<T>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(error) => {
                self.findings.borrow_mut().error(span, format!("{error:#}"));
                None
            }
        }
    }

    /// Records a warning.
    pub fn warn(&self, span: Span, message: impl Into<String>) {
        self.findings.borrow_mut().warn(span, message);
    }

    /// Records a warning of something that a plan cannot foresee: the plan is without it.
    pub fn leave_to_a_run(&self, span: Span, message: impl Into<String>) {
        self.left_to_a_run.set(true);
        self.warn(span, message);
    }

    /// Whether the plan of the step is without something that only a run can tell.
    pub fn is_left_to_a_run(&self) -> bool {
        self.left_to_a_run.get()
    }

    /// Whether an error was recorded.
    pub fn has_failed(&self) -> bool {
        self.findings.borrow().has_errors()
    }

    /// Everything that was recorded, errors and warnings.
    pub fn into_findings(self) -> Vec<Diagnostic> {
        self.findings.into_inner().into_vec()
    }
}
