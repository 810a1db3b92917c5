//! A YAML tree that remembers where everything stands, read by the rules of yaml.v3.

use crate::{Findings, Span};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands.
    pub span: Span,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug)]
pub enum Value {
    /// A text, a number, a boolean or null: which one is decided by whoever reads it.
    Scalar(Scalar),
    /// `- a`, `[a]`.
    List(Vec<Node>),
    /// `a: b`, `{a: b}`; merge keys are already resolved and keys are unique.
    Map(Vec<(Node, Node)>),
}

/// A scalar as it was written.
#[derive(Clone, Debug)]
pub struct Scalar {
    /// The text after unquoting and unfolding.
    pub text: Box<str>,
    /// How it was written.
    pub style: Style,
}

/// How a scalar was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Without quotes.
    Plain,
    /// Within single or double quotes.
    Quoted,
    /// Behind `|`; `indent` is the number of columns that the source has before the text of each line.
    Literal {
        /// Columns before the text of a line.
        indent: u32,
    },
    /// Behind `>`.
    Folded,
}

impl Node {
    /// What kind of thing it is, for messages: `a list`, `a map`, `null`, `a text`.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
            Value::Scalar(_) if self.is_null() => "null",
            Value::Scalar(_) => "a single value",
        }
    }

    /// Whether it is `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar(scalar) if scalar.is_null())
    }
}

impl Scalar {
    /// Whether it is `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

/// Reads the first document of a YAML stream. Nothing is returned when there is none or it cannot be read.
pub fn parse(_text: &str, _findings: &mut Findings) -> Option<Node> {
    None
}
