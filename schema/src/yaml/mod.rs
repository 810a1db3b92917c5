//! A YAML tree that remembers where everything stands, read by the rules of yaml.v3.
//!
//! **A syntax error loses the whole text**: one clear error, and no tree. Behind the place where YAML breaks
//! nothing is certain, and what stands before it may be the first half of something (a step without its `if:`,
//! a list of commands without the last ones). A machine that boots without one file is better off than one that
//! runs half of it. The same holds for an alias without an anchor, a merge key that cannot be merged and an
//! exceeded budget.
//!
//! Only the first document of a stream is read, as yaml.v3 does; that others follow is a warning.
//!
//! **Budgets** bound memory and time for hostile texts: [`TEXT_LIMIT`], [`NODE_LIMIT`], [`COPY_LIMIT`],
//! [`DEPTH_LIMIT`]. Because of the last one, the tree may be walked recursively.

mod binary;
mod map;
mod parser;
mod syntax;
mod tree;

#[cfg(test)]
mod tests;

use crate::{Findings, Span};
use std::fmt;

pub use tree::{COPY_LIMIT, DEPTH_LIMIT, NODE_LIMIT, TEXT_LIMIT};

/// A value and where it stands.
#[derive(Clone, Debug)]
pub struct Node {
    /// Where it stands. What an alias or a merge key brings in stands where it was written first.
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
    /// `a: b`, `{a: b}`; merge keys are already resolved and no scalar is a key twice.
    Map(Vec<(Node, Node)>),
}

/// A scalar as it was written. `Debug` does not show the text, which may be a password.
#[derive(Clone)]
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
    /// Within single or double quotes, or marked as a text by the tag `!!str`.
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
    /// Whether both say the same, wherever they stand and however they are quoted.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.value, &other.value) {
            (Value::Scalar(one), Value::Scalar(other)) => {
                one.text == other.text && one.is_null() == other.is_null()
            }
            (Value::List(one), Value::List(other)) => {
                one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is_same(other))
            }
            (Value::Map(one), Value::Map(other)) => {
                let same = |(one, other): (&(Self, Self), &(Self, Self))| {
                    one.0.is_same(&other.0) && one.1.is_same(&other.1)
                };
                one.len() == other.len() && one.iter().zip(other).all(same)
            }
            _ => false,
        }
    }

    /// What kind of thing it is, for messages: `a list`, `a map`, `null`, `a single value`.
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

    /// The text of a scalar; nothing for a list or a map.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(&scalar.text),
            _ => None,
        }
    }

    /// The items of a list; the value itself where none is.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::List(items) => items,
            _ if self.is_null() => &[],
            _ => std::slice::from_ref(self),
        }
    }
}

impl fmt::Debug for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} scalar of {} bytes", self.style, self.text.len())
    }
}

impl Scalar {
    /// Whether it is `null`, `~` or nothing at all.
    pub fn is_null(&self) -> bool {
        self.style == Style::Plain && matches!(&*self.text, "" | "~" | "null" | "Null" | "NULL")
    }
}

/// Reads the first document of a YAML stream. Nothing is returned when there is none or it cannot be read.
pub fn parse(text: &str, findings: &mut Findings) -> Option<Node> {
    match tree::build(text, findings) {
        Ok(node) => node,
        Err(problem) => {
            findings.error(problem.span, problem.message).help = problem.help;
            None
        }
    }
}
