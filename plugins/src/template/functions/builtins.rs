//! The functions of Go's text/template. `slice` is that of sprig for lists, which has the same name.

use super::{Call, Function, Outcome};
use crate::template::failure::Failure;
use crate::template::value::{self, Value};
use crate::template::{printf, quote};
use std::cmp::Ordering;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["and"],
        "VALUE VALUE...",
        "the first empty argument, or else the last; those behind it are not evaluated",
        (r#"{{ and 1 "" (fail "never") }}|{{ and 1 2 }}"#, "|2"),
        last,
    )
    .stopping_at(false),
    Function::new(
        &["or"],
        "VALUE VALUE...",
        "the first argument that is not empty, or else the last; those behind it are not evaluated",
        (r#"{{ or "" "b" (fail "never") }}"#, "b"),
        last,
    )
    .stopping_at(true),
    Function::new(&["not"], "VALUE", "whether the argument is empty", ("{{ not 0 }}", "true"), |call| {
        Ok((!call.value(0).is_true()).into())
    }),
    Function::new(
        &["len"],
        "VALUE",
        "the number of bytes of a text, elements of a list, entries of a dictionary",
        (r#"{{ len "abc" }} {{ len (list 1 2) }}"#, "3 2"),
        len,
    ),
    Function::new(
        &["index"],
        "VALUE KEY...",
        "the element of a list or dictionary, one level deeper with each key; a number indexes the bytes of a text",
        (r#"{{ index (list "a" (dict "k" "v")) 1 "k" }}"#, "v"),
        index,
    ),
    Function::new(
        &["slice", "mustSlice"],
        "VALUE [FROM] [TO]",
        "the part of a list or text from one index to before another",
        (r#"{{ slice (list 1 2 3 4) 1 3 }} {{ slice "abcd" 2 }}"#, "[2 3] cd"),
        slice,
    ),
    Function::new(
        &["print"],
        "VALUE...",
        "all values as text, with a space between two of which neither is text",
        (r#"{{ print 1 2 "a" 3 }}"#, "1 2a3"),
        |call| Ok(printf::sprint(call.from(0)).into()),
    ),
    Function::new(
        &["println"],
        "VALUE...",
        "all values as text, with a space between any two and a line break at the end",
        (r#"{{ println "a" 1 }}"#, "a 1\n"),
        |call| {
            let words: Vec<_> = call.from(0).iter().map(Value::to_string).collect();
            Ok((words.join(" ") + "\n").into())
        },
    ),
    Function::new(
        &["printf"],
        "FORMAT VALUE...",
        "the values in the format of Go's fmt",
        (
            r#"{{ printf "%s-%03d %5.2f %q %v %x" "a" 7 1.5 "b" (list 1 "c") 255 }}"#,
            r#"a-007  1.50 "b" [1 c] ff"#,
        ),
        |call| Ok(printf::sprintf(call.text(0)?, call.from(1))?.into()),
    ),
    Function::new(
        &["html"],
        "VALUE...",
        "the values as `print` has them, escaped for HTML",
        (r#"{{ html "<a>" }}"#, "&lt;a&gt;"),
        |call| Ok(quote::html(&printf::sprint_shown(call.from(0))).into()),
    ),
    Function::new(
        &["js"],
        "VALUE...",
        "the values as `print` has them, escaped for JavaScript",
        (r#"{{ js "it's" }}"#, r"it\'s"),
        |call| Ok(quote::javascript(&printf::sprint_shown(call.from(0))).into()),
    ),
    Function::new(
        &["urlquery"],
        "VALUE...",
        "the values as `print` has them, escaped for the query of a URL",
        (r#"{{ urlquery "a b&c" }}"#, "a+b%26c"),
        |call| Ok(quote::query(&printf::sprint_shown(call.from(0))).into()),
    ),
    Function::new(
        &["eq"],
        "VALUE VALUE VALUE...",
        "whether the first value equals one of the others; numbers are equal when their value is",
        (r#"{{ eq "b" "a" "b" }} {{ eq 1 1.0 }}"#, "true true"),
        |call| {
            for other in call.from(1) {
                if equal(call.value(0), other)? {
                    return Ok(true.into());
                }
            }
            Ok(false.into())
        },
    ),
    Function::new(&["ne"], "VALUE VALUE", "whether two values differ", ("{{ ne 1 2 }}", "true"), |call| {
        Ok((!equal(call.value(0), call.value(1))?).into())
    }),
    Function::new(
        &["lt"],
        "VALUE VALUE",
        "whether the first number or text comes before the second",
        (r#"{{ lt 1 2 }} {{ lt "b" "a" }}"#, "true false"),
        |call| Ok(compare(call)?.is_some_and(Ordering::is_lt).into()),
    ),
    Function::new(&["le"], "VALUE VALUE", "`lt` or equal", ("{{ le 2 2.0 }}", "true"), |call| {
        Ok(compare(call)?.is_some_and(Ordering::is_le).into())
    }),
    Function::new(
        &["gt"],
        "VALUE VALUE",
        "whether the first number or text comes after the second",
        ("{{ gt 1 2 }}", "false"),
        |call| Ok(compare(call)?.is_some_and(Ordering::is_gt).into()),
    ),
    Function::new(&["ge"], "VALUE VALUE", "`gt` or equal", ("{{ ge 2 1 }}", "true"), |call| {
        Ok(compare(call)?.is_some_and(Ordering::is_ge).into())
    }),
];

fn last(call: &Call<'_>) -> Outcome {
    Ok(call.value(call.count() - 1).clone())
}

fn len(call: &Call<'_>) -> Outcome {
    let length = match call.value(0) {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        Value::Map(map) => map.entries().len(),
        other => return Err(format!("{} has no length", other.noun()).into()),
    };
    Ok(Value::Int(length as i64))
}

fn index(call: &Call<'_>) -> Outcome {
    let mut value = call.value(0).clone();
    for key in call.from(1) {
        value = match (&value, key) {
            (Value::List(list), Value::Int(_) | Value::Float(_)) => {
                let found = position(key).and_then(|index| list.get(index));
                found.cloned().ok_or("the index is beyond the end of the list")?
            }
            (Value::Text(text), Value::Int(_) | Value::Float(_)) => {
                let found = position(key).and_then(|index| text.as_bytes().get(index));
                Value::Int(i64::from(*found.ok_or("the index is beyond the end of the text")?))
            }
            (Value::Map(map), Value::Text(key)) => map.get(key).unwrap_or(Value::Absent),
            (value, key) => return Err(format!("{} has no element for {}", value.noun(), key.noun()).into()),
        };
    }
    Ok(value)
}

fn position(key: &Value) -> Option<usize> {
    match key {
        Value::Int(index) => usize::try_from(*index).ok(),
        Value::Float(index) if index.fract() == 0.0 && *index >= 0.0 => Some(*index as usize),
        _ => None,
    }
}

fn slice(call: &Call<'_>) -> Outcome {
    let length = match call.value(0) {
        Value::Text(text) => text.len(),
        Value::List(list) => list.len(),
        other => return Err(format!("{} has no parts", other.noun()).into()),
    };
    let from = if call.count() > 1 { call.size(1)? } else { 0 };
    let to = if call.count() > 2 { call.size(2)? } else { length };
    if from > to || to > length {
        return Err("the indices of `slice` are out of range".into());
    }
    match call.value(0) {
        Value::Text(text) => {
            text.get(from..to).map(Value::from).ok_or_else(|| "an index is inside of a character".into())
        }
        Value::List(list) => Ok(list[from..to].to_vec().into()),
        _ => Ok(Value::Nil),
    }
}

fn equal(a: &Value, b: &Value) -> Result<bool, Failure> {
    match (a, b) {
        (a, b) if a.is_nil() || b.is_nil() => Ok(a.is_nil() && b.is_nil()),
        (Value::Int(a), Value::Float(b)) | (Value::Float(b), Value::Int(a)) => Ok(*a as f64 == *b),
        (Value::List(_) | Value::Map(_), _) | (_, Value::List(_) | Value::Map(_)) => {
            Err("lists and dictionaries are compared with `deepEqual`".into())
        }
        (a, b) if std::mem::discriminant(a) != std::mem::discriminant(b) => {
            Err(format!("{} cannot be compared with {}", a.noun(), b.noun()).into())
        }
        (a, b) => Ok(a.deep_equal(b)),
    }
}

/// The order of the two arguments; none when one is not a number.
fn compare(call: &Call<'_>) -> Result<Option<Ordering>, Failure> {
    match (call.value(0), call.value(1)) {
        (Value::Int(a), Value::Int(b)) => Ok(Some(a.cmp(b))),
        (Value::Float(a), Value::Float(b)) => Ok(a.partial_cmp(b)),
        (Value::Int(a), Value::Float(b)) => Ok((*a as f64).partial_cmp(b)),
        (Value::Float(a), Value::Int(b)) => Ok(a.partial_cmp(&(*b as f64))),
        (Value::Text(a), Value::Text(b)) => Ok(Some(a.cmp(b))),
        (a, b) => Err(format!("{} and {} have no order", a.noun(), b.noun()).into()),
    }
}

/// Refuses text that would become too long, before it is made.
pub(super) fn check_length(length: Option<usize>) -> Result<usize, Failure> {
    value::check_weight(length.unwrap_or(usize::MAX))
}
