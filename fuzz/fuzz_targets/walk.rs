//! What both targets do with a document: decode each value as each type, and look at each place.

use cosette_schema::yaml::{Node, Scalar, Style, Value};
use cosette_schema::{Decode, Diagnostic, Document, Findings, Named, Permissions, Spanned, Text, record};

record! {
    /// A little of everything.
    #[derive(Debug)]
    struct Everything {
        /// Required.
        path: Spanned<String> = required,
        /// Numbers.
        count: Option<u32>,
        /// Booleans.
        system: bool as "system" | "is_system",
        /// Modes.
        permissions: Option<Permissions>,
        /// Lists.
        groups: Vec<String>,
        /// Maps.
        values: Named<String>,
        /// Templates.
        content: Text as "content" | "text",
    }
}

/// Walks through all of a document and all findings.
pub fn walk(text: &str, document: Document, diagnostics: &[Diagnostic]) {
    let mut findings = Findings::new(document.origin.clone());
    for stage in &document.stages {
        let _ = stage.name.span.range(text);
        for step in &stage.steps {
            for (name, value) in &step.fields {
                let _ = name.span.range(text);
                node(text, value, &mut findings);
            }
        }
    }
    for finding in diagnostics.iter().chain(&findings.into_vec()) {
        let shown = finding.to_string();
        assert!(!shown.contains('\n'), "a finding has one line: {shown:?}");
        if let Some(span) = finding.span {
            let _ = &text[span.range(text)];
        }
    }
}

fn node(text: &str, node: &Node, findings: &mut Findings) {
    // Exact places are those of the source.
    let (start, end) = (node.span.start as usize, node.span.end as usize);
    assert!(start <= end && text.get(start..end).is_some(), "{:?}", node.span);
    let _ = Everything::decode(node, findings);
    let _ = Vec::<Everything>::decode(node, findings);
    let _ = Named::<Everything>::decode(node, findings);
    let _ = i64::decode(node, findings);
    let _ = u16::decode(node, findings);
    let _ = bool::decode(node, findings);
    let _ = Permissions::decode(node, findings);
    if let Some(value) = Text::decode(node, findings) {
        let lines = value.as_str().split('\n').count() as u32;
        for (line, column) in [(0, 0), (1, 1), (lines, 2), (lines + 1, 1000), (u32::MAX, u32::MAX)] {
            let _ = &text[value.locate(line, column).range(text)];
        }
    }
    match &node.value {
        Value::Scalar(Scalar { style: Style::Plain, text: found }) if !found.is_empty() => {
            assert!(start < end, "a plain scalar stands somewhere");
        }
        Value::Scalar(_) => {}
        Value::List(items) => items.iter().for_each(|item| self::node(text, item, findings)),
        Value::Map(entries) => entries.iter().for_each(|(key, value)| {
            self::node(text, key, findings);
            self::node(text, value, findings);
        }),
    }
}
