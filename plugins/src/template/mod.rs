//! Go templates with the functions of sprig that make sense on a host.
//!
//! The engine is our own: it borrows everything from the text, knows Go's rules for missing values and numbers,
//! and is bounded in time, memory and stack by counting, so that no text can stop a boot and a template renders
//! on every machine or on none. What it renders with:
//!
//! | name | value |
//! |---|---|
//! | `.Values.node.hostname`, ... | [facts](crate::facts) about the machine |
//! | `.MachineID`, `.ProtectedID` | the machine id, and one derived from it that may be shown to others |
//! | `.UUID`, `.Random` | random, but the same throughout one run of the program |
//!
//! A field that does not exist prints as `<no value>`, as in Go.

mod ast;
mod exec;
mod failure;
mod functions;
mod json;
mod lexer;
mod number;
mod parser;
mod printf;
mod quote;
mod time;
mod value;
mod zone;

pub use functions::reference;
pub(crate) use time::Time;
pub(crate) use value::{Map, Value};

use crate::facts::{Facts, OBJECTS};
use ast::Needs;
use lexer::SyntaxError;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// Why a template could not be rendered, and where in its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Line in the template, from 1.
    pub line: u32,
    /// Column in that line in characters, from 1.
    pub column: u32,
    /// What is wrong. It never quotes values of facts.
    pub message: String,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for TemplateError {}

/// Renders a template with the facts as its data. A text without `{{` is returned as it is, at no cost.
pub fn render<'t>(text: &'t str, facts: &Facts) -> Result<Cow<'t, str>, TemplateError> {
    if !text.contains("{{") {
        return Ok(Cow::Borrowed(text));
    }
    let rendered = parser::parse(text).and_then(|template| {
        let data = data(&template.needs, facts);
        exec::render(&template, text, &data, &functions::Environment::new(facts))
    });
    rendered.map(Cow::Owned).map_err(|error| locate(text, error))
}

/// Looks for mistakes in a template without rendering it.
pub fn check(text: &str) -> Result<(), TemplateError> {
    if !text.contains("{{") {
        return Ok(());
    }
    parser::parse(text).map(|_| ()).map_err(|error| locate(text, error))
}

/// The facts that a template can get at; no others are gathered.
fn data(needs: &Needs<'_>, facts: &Facts) -> Value {
    let mut data: BTreeMap<Rc<str>, Value> = BTreeMap::new();
    let wants = |name: &str| needs.everything || needs.names.contains(&name);
    if needs.everything || needs.all_values || !needs.values.is_empty() {
        data.insert("Values".into(), values(needs, facts));
    }
    if wants("UUID") {
        data.insert("UUID".into(), facts.uuid().into());
    }
    if wants("Random") {
        data.insert("Random".into(), facts.random_text().into());
    }
    if let Some(id) = facts.machine_id().filter(|_| wants("MachineID")) {
        data.insert("MachineID".into(), id.into());
    }
    if let Some(id) = facts.protected_id().filter(|_| wants("ProtectedID")) {
        data.insert("ProtectedID".into(), id.into());
    }
    Value::Map(Rc::new(Map::frozen(data)))
}

fn values(needs: &Needs<'_>, facts: &Facts) -> Value {
    let all = needs.everything || needs.all_values;
    let wants = |name: &str| all || needs.values.contains(&name);
    let mut values: BTreeMap<Rc<str>, Value> = BTreeMap::new();
    for object in OBJECTS.iter().filter(|object| wants(object.name)) {
        if let Some(value) = facts.object(object) {
            values.insert(object.name.into(), value);
        }
    }
    if wants("Random") {
        values.insert("Random".into(), facts.random_text().into());
    }
    if let Some(id) = facts.protected_id().filter(|_| wants("ProtectedID")) {
        values.insert("ProtectedID".into(), id.into());
    }
    Value::Map(Rc::new(Map::frozen(values)))
}

/// From a byte offset to line and column.
fn locate(text: &str, error: SyntaxError) -> TemplateError {
    let before = &text[..error.at.min(text.len())];
    let line_start = before.rfind('\n').map_or(0, |end| end + 1);
    let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    TemplateError {
        line: count(before.matches('\n').count() + 1),
        column: count(before[line_start..].chars().count() + 1),
        message: error.message,
    }
}

#[cfg(test)]
mod tests;
