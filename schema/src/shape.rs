//! What the values of a type look like in YAML, for the JSON Schema and the reference of the language.

use crate::Field;

/// What is accepted where a type is decoded. See [`Decode::shape`](crate::Decode::shape).
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// Whatever there is.
    Anything,
    /// A scalar of which the text counts.
    Text {
        /// What it is, in words: `absolute path`.
        words: &'static str,
        /// The regular expression (of ECMA-262) that it must match. Without one a number is a text, too, as is
        /// a boolean, and null is the empty text.
        pattern: Option<&'static str>,
    },
    /// A text that holds YAML of this shape.
    Yaml(Box<Self>),
    /// One of these words.
    Choice(&'static [&'static str]),
    /// `true`, `yes`, `on`, `y` and their opposites.
    Boolean,
    /// A whole number.
    Integer {
        /// The lowest.
        min: i64,
        /// The highest.
        max: u64,
    },
    /// A file mode.
    Mode,
    /// A list, perhaps an empty one, for which null stands, too.
    List(Box<Self>),
    /// A map from names that the author chooses; null is an empty one.
    Map(Box<Self>),
    /// A map with these keys.
    Record {
        /// What it is, written as in [`Field::docs`].
        docs: &'static str,
        /// Its keys.
        fields: &'static [Field],
    },
    /// One of several.
    Either(Vec<Self>),
    /// This, or null.
    Optional(Box<Self>),
    /// This, with a key that it could do without elsewhere.
    With(&'static str, Box<Self>),
}

impl Shape {
    /// Any text.
    pub const TEXT: Self = Self::text("text");

    /// A text that is a certain thing, such as `absolute path`, but may be written in any way.
    pub const fn text(words: &'static str) -> Self {
        Self::Text { words, pattern: None }
    }

    /// A text that is a certain thing, such as `absolute path`, and matches a regular expression of ECMA-262.
    pub const fn matching(words: &'static str, pattern: &'static str) -> Self {
        Self::Text { words, pattern: Some(pattern) }
    }

    /// A list of such values.
    pub fn list(self) -> Self {
        Self::List(Box::new(self))
    }

    /// A map from names that the author chooses to such values.
    pub fn map(self) -> Self {
        Self::Map(Box::new(self))
    }

    /// Such a value or another one.
    pub fn or(self, other: Self) -> Self {
        match self {
            Self::Either(mut shapes) => {
                shapes.push(other);
                Self::Either(shapes)
            }
            shape => Self::Either(vec![shape, other]),
        }
    }

    /// Such a record, in which this key must be given.
    pub fn with(self, key: &'static str) -> Self {
        Self::With(key, Box::new(self))
    }

    /// Such a value or null.
    pub fn or_null(self) -> Self {
        match self {
            shape @ Self::Optional(_) => shape,
            shape => Self::Optional(Box::new(shape)),
        }
    }
}
