//! Documents: named stages, each an ordered list of steps.

use crate::yaml::{self, Node};
use crate::{Diagnostic, Findings, Origin, Span, Spanned};

/// What one text says.
#[derive(Clone, Debug)]
pub struct Document {
    /// Where the text came from.
    pub origin: Origin,
    /// The `name:` of the document.
    pub name: Option<String>,
    /// Its stages in source order.
    pub stages: Vec<Stage>,
}

/// One entry of `stages:`.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The name of the stage: `boot`, `rootfs.before`, or any other.
    pub name: Spanned<String>,
    /// Its steps in source order.
    pub steps: Vec<RawStep>,
}

/// One step, its keys not yet decoded: which keys there are is the knowledge of the plugins.
#[derive(Clone, Debug)]
pub struct RawStep {
    /// Where the step begins.
    pub span: Span,
    /// The value of each key, in source order.
    pub fields: Vec<(Spanned<String>, Node)>,
}

/// Reads a document.
///
/// Returns everything that could be understood and all findings. Only the shape of the document is looked
/// at here; the keys of a step are decoded by the plugins.
pub fn parse(text: &str, origin: &Origin) -> (Document, Vec<Diagnostic>) {
    let mut findings = Findings::new(origin.clone());
    let document = Document { origin: origin.clone(), name: None, stages: Vec::new() };
    let _ = yaml::parse(text, &mut findings);
    (document, findings.into_vec())
}
