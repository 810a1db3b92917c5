//! Lists of text, and text taken apart into them.

use super::builtins::check_length;
use super::{Call, Function, Outcome};
use crate::template::failure::Failure;
use crate::template::value::{ELEMENT, ENTRY, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["join"],
        "SEPARATOR LIST",
        "the elements as text with the separator between them, nil left out",
        (r#"{{ join "-" (list "a" 1 "b") }}"#, "a-1-b"),
        |call| {
            let texts = to_texts(call.value(1));
            let separator = call.text(0)?;
            let length: usize = texts.iter().map(String::len).sum();
            check_length(separator.len().checked_mul(texts.len()).and_then(|all| all.checked_add(length)))?;
            Ok(texts.join(separator).into())
        },
    ),
    Function::new(
        &["split"],
        "SEPARATOR TEXT",
        "a dictionary of the parts, with the keys `_0`, `_1`, ...",
        (r#"{{ (split "/" "a/b")._1 }}"#, "b"),
        |call| {
            let (separator, text) = (call.text(0)?, call.text(1)?);
            check_parts(separator, text, ENTRY)?;
            Ok(numbered(text.split(&**separator)))
        },
    ),
    Function::new(
        &["splitn"],
        "SEPARATOR COUNT TEXT",
        "the same with at most so many parts, the last being the rest",
        (r#"{{ (splitn "/" 2 "a/b/c")._1 }}"#, "b/c"),
        |call| {
            let (separator, text) = (call.text(0)?, call.text(2)?);
            check_parts(separator, text, ENTRY)?;
            Ok(match usize::try_from(call.int(1)?) {
                Ok(count) => numbered(text.splitn(count, &**separator)),
                Err(_) => numbered(text.split(&**separator)),
            })
        },
    ),
    Function::new(
        &["splitList"],
        "SEPARATOR TEXT",
        "a list of the parts",
        (r#"{{ splitList "," "a,b" | last }}"#, "b"),
        split_list,
    ),
    Function::new(
        &["sortAlpha"],
        "LIST",
        "the elements as text, in order",
        (r#"{{ sortAlpha (list "b" "a" 1) }}"#, "[1 a b]"),
        |call| {
            let mut texts = to_texts(call.value(0));
            texts.sort();
            Ok(from_texts(texts))
        },
    ),
    Function::new(
        &["toStrings"],
        "LIST",
        "the elements as text, nil left out",
        (r#"{{ toStrings (list 1 nil 2) | kindOf }}"#, "slice"),
        |call| Ok(from_texts(to_texts(call.value(0)))),
    ),
];

/// The parts of a text. An empty separator separates all characters.
fn split_list(call: &Call<'_>) -> Outcome {
    let (separator, text) = (call.text(0)?, call.text(1)?);
    check_parts(separator, text, ELEMENT)?;
    if separator.is_empty() {
        return Ok(from_texts(text.chars().map(String::from)));
    }
    Ok(from_texts(text.split(&**separator).map(str::to_owned)))
}

/// Refuses more parts than a value may have, before they are made.
fn check_parts(separator: &str, text: &str, weight: usize) -> Result<(), Failure> {
    check_length((text.matches(separator).count() + 1).checked_mul(weight)).map(|_| ())
}

fn numbered<'t>(parts: impl Iterator<Item = &'t str>) -> Value {
    Value::map(parts.enumerate().map(|(index, part)| (format!("_{index}"), part.into())))
}

/// sprig's strslice: the elements of a list as text, any other value as a list of one.
fn to_texts(value: &Value) -> Vec<String> {
    match value {
        Value::List(list) => list.iter().filter(|value| !value.is_nil()).map(Value::to_string).collect(),
        value if value.is_nil() => Vec::new(),
        value => vec![value.to_string()],
    }
}

pub(super) fn from_texts(texts: impl IntoIterator<Item = String>) -> Value {
    texts.into_iter().map(Value::from).collect::<Vec<_>>().into()
}
