//! From YAML nodes to typed values.
//!
//! [`Decode`] is implemented here for the building blocks; structs implement it through [`record!`], which
//! reports unknown keys, missing keys and wrong types, all at once.

use crate::yaml::{Node, Scalar, Style, Value};
use crate::{Findings, Span};
use std::ops::Deref;

/// A value that can be read from YAML.
pub trait Decode: Sized {
    /// Reads the value, recording every finding on the way. `None` means that the value cannot be used; at
    /// least one error has then been recorded.
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self>;
}

/// A value together with where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    pub span: Span,
}

impl<T> Deref for Spanned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Decode> Decode for Spanned<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Some(Self { value: T::decode(node, findings)?, span: node.span })
    }
}

/// A text that may be a template: it knows where each of its bytes stands in the source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Text {
    value: Box<str>,
    span: Span,
    /// Columns before each line of a block scalar; `None` for the other styles.
    indent: Option<u32>,
}

impl Text {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// Where the text stands.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Where line `line` (from 1), column `column` (from 1, in characters) of the text stands in the source;
    /// exact for plain, single-line quoted and literal scalars, the beginning of the scalar for the others.
    pub fn locate(&self, line: u32, column: u32) -> Span {
        match self.indent {
            Some(indent) => Span { line: self.span.line + line, column: indent + column, ..self.span },
            None if line == 1 => Span { column: self.span.column + column - 1, ..self.span },
            None => self.span,
        }
    }
}

impl Decode for Text {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let scalar = scalar(node, "a text", findings)?;
        let value = if scalar.is_null() { "".into() } else { scalar.text.clone() };
        let indent = match scalar.style {
            Style::Literal { indent } => Some(indent),
            _ => None,
        };
        Some(Self { value, span: node.span, indent })
    }
}

/// The scalar that a node must be, or an error that says what was expected.
fn scalar<'n>(node: &'n Node, expected: &str, findings: &mut Findings) -> Option<&'n Scalar> {
    match &node.value {
        Value::Scalar(scalar) => Some(scalar),
        _ => {
            findings.error(node.span, format!("expected {expected}, found {}", node.kind()));
            None
        }
    }
}

/// Any scalar keeps its source text: `1e3`, `yes` and `0644` stay what they are; null is the empty text.
impl Decode for String {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let scalar = scalar(node, "a text", findings)?;
        Some(if scalar.is_null() { String::new() } else { scalar.text.to_string() })
    }
}

/// Null is nothing.
impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        if node.is_null() { Some(None) } else { T::decode(node, findings).map(Some) }
    }
}

/// An item that cannot be read is left out, the others stay.
impl<T: Decode> Decode for Vec<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::List(items) => Some(items.iter().filter_map(|item| T::decode(item, findings)).collect()),
            _ if node.is_null() => Some(Vec::new()),
            _ => {
                findings
                    .error(node.span, format!("expected a list, found {}", node.kind()))
                    .help("write each item on its own line behind `- `");
                None
            }
        }
    }
}

/// A map whose keys are names chosen by the author, in source order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named<T>(pub Vec<(Spanned<String>, T)>);

impl<T: Decode> Decode for Named<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(Self(
                entries
                    .iter()
                    .filter_map(|(key, value)| {
                        let key = Spanned::<String>::decode(key, findings);
                        let value = T::decode(value, findings);
                        Some((key?, value?))
                    })
                    .collect(),
            )),
            _ if node.is_null() => Some(Self(Vec::new())),
            _ => {
                findings.error(node.span, format!("expected a map, found {}", node.kind()));
                None
            }
        }
    }
}

/// A file mode, `0` to `07777`. `0644` and `0o644` are octal, `"0644"` and `"644"` in quotes too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Permissions(pub u32);

/// The keys of a map that is being decoded by [`record!`].
#[derive(Debug)]
pub struct Fields<'n> {
    node: &'n Node,
    entries: &'n [(Node, Node)],
    failed: bool,
}

impl<'n> Fields<'n> {
    /// Begins with a map whose keys must be among `known` (each key with its other spellings).
    pub fn begin(node: &'n Node, known: &[&[&str]], findings: &mut Findings) -> Option<Self> {
        let _ = known;
        match &node.value {
            Value::Map(entries) => Some(Self { node, entries, failed: false }),
            _ if node.is_null() => Some(Self { node, entries: &[], failed: false }),
            _ => {
                findings.error(node.span, format!("expected a map, found {}", node.kind()));
                None
            }
        }
    }

    /// The value of a key that may be left out.
    pub fn optional<T: Decode + Default>(&mut self, names: &[&str], findings: &mut Findings) -> Option<T> {
        match self.get(names) {
            None => Some(T::default()),
            Some(node) => {
                let value = T::decode(node, findings);
                self.failed |= value.is_none();
                value
            }
        }
    }

    /// The value of a key that must be there.
    pub fn required<T: Decode>(&mut self, names: &[&str], findings: &mut Findings) -> Option<T> {
        let Some(node) = self.get(names) else {
            findings.error(self.node.span, format!("missing key `{}`", names[0]));
            self.failed = true;
            return None;
        };
        let value = T::decode(node, findings);
        self.failed |= value.is_none();
        value
    }

    fn get(&self, names: &[&str]) -> Option<&'n Node> {
        self.entries.iter().find_map(|(key, value)| match &key.value {
            Value::Scalar(scalar) if names.contains(&&*scalar.text) => Some(value),
            _ => None,
        })
    }
}

/// Declares a struct that is read from a YAML map.
///
/// Each field is a key; `as "key" | "other"` gives its spelling and the others that are accepted, and
/// `= required` makes it an error to leave it out. The doc comments become the reference of the language.
///
/// ```ignore
/// record! {
///     /// One directory.
///     pub struct Directory {
///         /// Where it goes.
///         pub path: Spanned<String> = required,
///         /// `user:group`.
///         pub owner_string: Option<String> as "owner_string" | "ownerstring",
///     }
/// }
/// ```
#[macro_export]
macro_rules! record {
    (@names $field:ident) => { &[stringify!($field)] };
    (@names $field:ident $($name:literal)+) => { &[$($name),+] };
    (@read $fields:ident $findings:ident $names:expr) => { $fields.optional($names, $findings) };
    (@read $fields:ident $findings:ident $names:expr, required) => { $fields.required($names, $findings) };
    (
        $(#[$meta:meta])*
        $vis:vis struct $struct:ident {
            $(
                $(#[$field_meta:meta])*
                $field_vis:vis $field:ident : $type:ty $(as $name:literal $(| $other:literal)*)? $(= $required:ident)?
            ),* $(,)?
        }
    ) => {
        $(#[$meta])*
        $vis struct $struct { $( $(#[$field_meta])* $field_vis $field: $type ),* }

        impl $crate::Decode for $struct {
            fn decode(node: &$crate::yaml::Node, findings: &mut $crate::Findings) -> Option<Self> {
                const NAMES: &[&[&str]] = &[$( $crate::record!(@names $field $($name $($other)*)?) ),*];
                #[allow(unused_mut, unused_variables)]
                let mut fields = $crate::Fields::begin(node, NAMES, findings)?;
                $(
                    let $field: Option<$type> = $crate::record!(
                        @read fields findings $crate::record!(@names $field $($name $($other)*)?) $(, $required)?
                    );
                )*
                Some(Self { $( $field: $field? ),* })
            }
        }
    };
}
