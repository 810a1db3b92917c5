//! Lists. None is changed: each function gives a new one.

use super::{Call, Environment, Function, Outcome};
use crate::template::failure::Failure;
use crate::template::value::{self, Value};

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["list", "tuple"],
        "VALUE...",
        "a list of the values",
        (r#"{{ list 1 "a" }}"#, "[1 a]"),
        |call| Ok(call.from(0).to_vec().into()),
    ),
    Function::new(
        &["first", "mustFirst"],
        "LIST",
        "the first element; nil if there is none",
        ("{{ first (list 1 2 3) }}", "1"),
        |call| Ok(call.list(0)?.first().cloned().unwrap_or(Value::Nil)),
    ),
    Function::new(
        &["rest", "mustRest"],
        "LIST",
        "all elements but the first",
        ("{{ rest (list 1 2 3) }}", "[2 3]"),
        |call| Ok(call.list(0)?.get(1..).unwrap_or_default().to_vec().into()),
    ),
    Function::new(
        &["last", "mustLast"],
        "LIST",
        "the last element; nil if there is none",
        ("{{ last (list 1 2 3) }}", "3"),
        |call| Ok(call.list(0)?.last().cloned().unwrap_or(Value::Nil)),
    ),
    Function::new(
        &["initial", "mustInitial"],
        "LIST",
        "all elements but the last",
        ("{{ initial (list 1 2 3) }}", "[1 2]"),
        |call| {
            let list = call.list(0)?;
            Ok(list[..list.len().saturating_sub(1)].to_vec().into())
        },
    ),
    Function::new(
        &["append", "push", "mustAppend", "mustPush"],
        "LIST VALUE",
        "the list with the value at its end",
        ("{{ append (list 1 2) 3 }}", "[1 2 3]"),
        |call| Ok([&call.list(0)?[..], &[call.value(1).clone()]].concat().into()),
    ),
    Function::new(
        &["prepend", "mustPrepend"],
        "LIST VALUE",
        "the list with the value at its beginning",
        ("{{ prepend (list 1 2) 0 }}", "[0 1 2]"),
        |call| Ok([&[call.value(1).clone()], &call.list(0)?[..]].concat().into()),
    ),
    Function::new(
        &["concat"],
        "LIST...",
        "one list of the elements of all",
        ("{{ concat (list 1) (list 2 3) }}", "[1 2 3]"),
        |call| {
            let mut all = Vec::new();
            for index in 0..call.count() {
                all.extend_from_slice(call.list(index)?);
            }
            Ok(all.into())
        },
    ),
    Function::new(
        &["reverse", "mustReverse"],
        "LIST",
        "the elements, the last first",
        ("{{ reverse (list 1 2 3) }}", "[3 2 1]"),
        |call| Ok(call.list(0)?.iter().rev().cloned().collect::<Vec<_>>().into()),
    ),
    Function::new(
        &["uniq", "mustUniq"],
        "LIST",
        "the elements without those that came before",
        ("{{ uniq (list 1 2 1 3) }}", "[1 2 3]"),
        |call| {
            let mut kept: Vec<Value> = Vec::new();
            for value in call.list(0)?.iter() {
                if !is_among(call.environment, value, &kept)? {
                    kept.push(value.clone());
                }
            }
            Ok(kept.into())
        },
    ),
    Function::new(
        &["without", "mustWithout"],
        "LIST VALUE...",
        "the elements that are none of the values",
        ("{{ without (list 1 2 3) 2 }}", "[1 3]"),
        |call| {
            let mut kept = Vec::new();
            for value in call.list(0)?.iter() {
                if !is_among(call.environment, value, call.from(1))? {
                    kept.push(value.clone());
                }
            }
            Ok(kept.into())
        },
    ),
    Function::new(
        &["has", "mustHas"],
        "VALUE LIST",
        "whether the value is an element",
        ("{{ list 1 2 | has 2 }}", "true"),
        |call| match call.value(1).is_nil() {
            true => Ok(false.into()),
            false => Ok(is_among(call.environment, call.value(0), call.list(1)?)?.into()),
        },
    ),
    Function::new(
        &["compact", "mustCompact"],
        "LIST",
        "the elements that are not empty",
        (r#"{{ compact (list 0 1 "" "a") }}"#, "[1 a]"),
        |call| Ok(call.list(0)?.iter().filter(|value| value.is_true()).cloned().collect::<Vec<_>>().into()),
    ),
    Function::new(
        &["chunk", "mustChunk"],
        "SIZE LIST",
        "lists of so many elements each",
        ("{{ chunk 2 (list 1 2 3) }}", "[[1 2] [3]]"),
        chunk,
    ),
];

/// Whether a value equals one of several; each comparison is work.
fn is_among(environment: &Environment<'_>, value: &Value, values: &[Value]) -> Result<bool, Failure> {
    let weight = value::weigh(value)?;
    for other in values {
        environment.spend(weight)?;
        if value.deep_equal(other) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn chunk(call: &Call<'_>) -> Outcome {
    match call.size(0)? {
        0 => Err("a chunk has at least one element".into()),
        size => Ok(call.list(1)?.chunks(size).map(|part| part.to_vec().into()).collect::<Vec<_>>().into()),
    }
}
