//! From YAML nodes to typed values.
//!
//! [`Decode`] is implemented here for the building blocks; structs implement it through
//! [`record!`](crate::record!), which reports unknown keys, missing keys and wrong types, all at once.

use crate::scalar::{boolean, broken_octal, integer};
use crate::yaml::{Node, Scalar, Style, Value};
use crate::{Findings, Shape, Span, excerpt};
use std::ops::Deref;

/// A value that can be read from YAML.
pub trait Decode: Sized {
    /// Reads the value, recording every finding on the way. `None` means that the value cannot be used; at
    /// least one error has then been recorded.
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self>;

    /// What is accepted, for the JSON Schema and the reference of the language.
    fn shape() -> Shape;
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

    fn shape() -> Shape {
        T::shape()
    }
}

/// The scalar that a node must be, or an error that says what was expected.
pub(crate) fn scalar<'n>(node: &'n Node, expected: &str, findings: &mut Findings) -> Option<&'n Scalar> {
    if let Value::Scalar(scalar) = &node.value {
        return Some(scalar);
    }
    let error = findings.error(node.span, format!("expected {expected}, found {}", node.kind()));
    if is_template(node) {
        error.help("a value that begins with `{{` needs quotes: `\"{{ ... }}\"`");
    }
    None
}

/// Whether a map is what YAML makes of `{{ .Values.x }}` without quotes: a map whose only key is a map.
fn is_template(node: &Node) -> bool {
    matches!(&node.value, Value::Map(entries)
        if matches!(&entries[..], [(key, value)] if matches!(key.value, Value::Map(_)) && value.is_null()))
}

/// The key of a map, which must be a text.
pub(crate) fn key(node: &Node, findings: &mut Findings) -> Option<Spanned<String>> {
    match &node.value {
        Value::Scalar(scalar) if !scalar.is_null() => {
            Some(Spanned { value: scalar.text.to_string(), span: node.span })
        }
        _ => {
            let error = findings.error(node.span, format!("a key must be a text, found {}", node.kind()));
            if node.is_null() {
                error.help("write a name before the `:`");
            } else {
                error.help("put the key in quotes if its brackets belong to it");
            }
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

    fn shape() -> Shape {
        Shape::TEXT
    }
}

/// `true`, `yes`, `on`, `y` and their opposites, in quotes too.
impl Decode for bool {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        const EXPECTED: &str = "`true` or `false`";
        let scalar = scalar(node, EXPECTED, findings)?;
        let value = boolean(scalar);
        if value.is_none() {
            unexpected(node, scalar, EXPECTED, findings);
        }
        value
    }

    fn shape() -> Shape {
        Shape::Boolean
    }
}

fn unexpected<'f>(
    node: &Node,
    scalar: &Scalar,
    expected: &str,
    findings: &'f mut Findings,
) -> &'f mut crate::Diagnostic {
    let found = if scalar.is_null() { "null".to_owned() } else { format!("`{}`", excerpt(&scalar.text)) };
    findings.error(node.span, format!("expected {expected}, found {found}"))
}

macro_rules! decode_integer {
    ($($type:ty)*) => { $(
        /// `420`, `0644` (octal), `0o644`, `0x1a4`, `0b110`, `1_000`; in quotes only decimal.
        impl Decode for $type {
            fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
                let scalar = scalar(node, "a whole number", findings)?;
                let Some(number) = integer(scalar) else {
                    let error = unexpected(node, scalar, "a whole number", findings);
                    if scalar.style == Style::Plain && broken_octal(&scalar.text) {
                        error.help("a leading zero makes a number octal: leave it out");
                    } else if scalar.style != Style::Plain && !scalar.text.is_empty() {
                        error.help("write it without quotes");
                    }
                    return None;
                };
                let value = Self::try_from(number).ok();
                if value.is_none() {
                    let range = format!("a whole number from {} to {}", Self::MIN, Self::MAX);
                    unexpected(node, scalar, &range, findings);
                }
                value
            }

            fn shape() -> Shape {
                Shape::Integer { min: Self::MIN as i64, max: Self::MAX as u64 }
            }
        }
    )* };
}

decode_integer!(u16 u32 u64 i32 i64);

/// Null is nothing.
impl<T: Decode> Decode for Option<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        if node.is_null() { Some(None) } else { T::decode(node, findings).map(Some) }
    }

    fn shape() -> Shape {
        T::shape().or_null()
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
                    .help("a single item is a list too: put it on a line of its own behind `- `");
                None
            }
        }
    }

    fn shape() -> Shape {
        T::shape().list()
    }
}

/// A map whose keys are names chosen by the author, in source order.
///
/// An entry that cannot be read is left out, the others stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named<T>(pub Vec<(Spanned<String>, T)>);

impl<T> Default for Named<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Decode> Decode for Named<T> {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Map(entries) => Some(Self(
                entries
                    .iter()
                    .filter_map(|(name, value)| {
                        let name = key(name, findings);
                        let value = T::decode(value, findings);
                        Some((name?, value?))
                    })
                    .collect(),
            )),
            _ if node.is_null() => Some(Self::default()),
            _ => {
                let error = findings.error(node.span, format!("expected a map, found {}", node.kind()));
                error.help(match node.value {
                    Value::List(_) => "write `name: value` without the `- ` before it",
                    _ => "write `name: value`, each on a line of its own",
                });
                None
            }
        }
    }

    fn shape() -> Shape {
        T::shape().map()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{Origin, Severity, yaml};

    /// The value of a YAML text, and the findings as `severity line:column message; help`.
    pub(crate) fn decode<T: Decode>(text: &str) -> (Option<T>, Vec<String>) {
        let mut findings = Findings::new(Origin::new("test"));
        let value = yaml::parse(text, &mut findings).and_then(|node| T::decode(&node, &mut findings));
        (value, lines(findings))
    }

    /// Findings as `severity line:column message; help`.
    pub(crate) fn lines(findings: Findings) -> Vec<String> {
        findings
            .into_vec()
            .into_iter()
            .map(|finding| {
                let severity = match finding.severity {
                    Severity::Note => "note",
                    Severity::Warning => "warning",
                    Severity::Error => "error",
                };
                let place =
                    finding.span.map_or(String::new(), |span| format!(" {}:{}", span.line, span.column));
                let help = finding.help.map_or(String::new(), |help| format!("; {help}"));
                format!("{severity}{place} {}{help}", finding.message)
            })
            .collect()
    }

    fn ok<T: Decode>(text: &str) -> T {
        let (value, findings) = decode(text);
        assert_eq!(findings, Vec::<String>::new(), "{text}");
        value.unwrap()
    }

    fn error<T: Decode>(text: &str) -> String {
        let (value, mut findings) = decode::<T>(text);
        assert!(value.is_none(), "{text}");
        assert_eq!(findings.len(), 1, "{text}: {findings:?}");
        findings.remove(0)
    }

    #[test]
    fn any_scalar_read_as_a_text_keeps_its_source() {
        let texts: Vec<String> = ok("[1, true, 1e3, 0644, yes, 1.50, 0x1F, ~, null, '', \"a\\tb\", 262144]");
        assert_eq!(texts, ["1", "true", "1e3", "0644", "yes", "1.50", "0x1F", "", "", "", "a\tb", "262144"]);
    }

    #[test]
    fn numbers_out_of_range_and_words_are_errors_that_name_what_was_found() {
        assert_eq!(ok::<Vec<u16>>("[0, 65535, 0x10]"), [0, 65535, 16]);
        assert_eq!(error::<u16>("65536"), "error 1:1 expected a whole number from 0 to 65535, found `65536`");
        assert_eq!(
            error::<i32>("-3000000000"),
            "error 1:1 expected a whole number from -2147483648 to 2147483647, found `-3000000000`"
        );
        assert_eq!(
            error::<u32>("0888"),
            "error 1:1 expected a whole number, found `0888`; a leading zero makes a number octal: leave it out"
        );
        assert_eq!(
            error::<u32>("\"010\""),
            "error 1:1 expected a whole number, found `010`; write it without quotes"
        );
        assert_eq!(error::<u64>("[1]"), "error 1:1 expected a whole number, found a list");
        assert_eq!(
            error::<Vec<Vec<u64>>>("{a: 1}").split(';').next(),
            Some("error 1:1 expected a list, found a map")
        );
    }

    #[test]
    fn booleans_take_the_words_of_yaml_1_1() {
        assert_eq!(
            ok::<Vec<bool>>("[yes, No, on, OFF, y, n, \"true\", 'no']"),
            [true, false, true, false, true, false, true, false]
        );
        assert_eq!(error::<bool>("1"), "error 1:1 expected `true` or `false`, found `1`");
        assert_eq!(error::<bool>("~"), "error 1:1 expected `true` or `false`, found null");
    }

    #[test]
    fn a_bad_item_is_left_out_and_the_others_stay() {
        let (list, findings) = decode::<Vec<u16>>("[1, x, 3, [4], 5]");
        assert_eq!(list, Some(vec![1, 3, 5]));
        assert_eq!(findings.len(), 2);
        let (map, findings) = decode::<Named<bool>>("a: yes\nb: perhaps\n? [c]\n: no\n~: no\nd: no\n");
        let names: Vec<_> = map.unwrap().0.into_iter().map(|(name, value)| (name.value, value)).collect();
        assert_eq!(names, [("a".to_owned(), true), ("d".to_owned(), false)]);
        assert_eq!(
            findings,
            [
                "error 2:4 expected `true` or `false`, found `perhaps`",
                "error 3:3 a key must be a text, found a list; put the key in quotes if its brackets belong to it",
                "error 5:1 a key must be a text, found null; write a name before the `:`",
            ]
        );
    }

    #[test]
    fn a_single_value_is_not_a_list_and_the_help_says_how_to_make_it_one() {
        assert_eq!(
            error::<Vec<String>>("users"),
            "error 1:1 expected a list, found a single value; a single item is a list too: put it on a line of its own behind `- `"
        );
        assert_eq!(ok::<Vec<String>>("~"), Vec::<String>::new());
    }

    #[test]
    fn a_template_without_quotes_is_recognised() {
        assert_eq!(
            error::<String>("{{ .Values.x }}"),
            "error 1:1 expected a text, found a map; a value that begins with `{{` needs quotes: `\"{{ ... }}\"`"
        );
    }

    #[test]
    fn null_is_nothing_where_nothing_is_possible() {
        assert_eq!(ok::<Vec<Option<u16>>>("[1, ~]"), [Some(1), None]);
        assert_eq!(ok::<Named<u16>>("~"), Named::default());
    }
}
