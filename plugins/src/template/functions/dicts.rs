//! Dictionaries. `set`, `unset`, `merge` and `mergeOverwrite` change the first one in place, as in sprig.
//! Keys are in order.

use super::{Call, Function, Outcome};
use crate::template::failure::Failure;
use crate::template::value::{Map, Value};
use std::collections::BTreeMap;
use std::rc::Rc;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["dict"],
        "KEY_OR_VALUE...",
        "a dictionary of keys and values in turn",
        (r#"{{ dict "a" 1 "b" 2 }}"#, "map[a:1 b:2]"),
        |call| {
            let entries = call.from(0).chunks(2).map(|pair| match pair {
                [key, value] => (key.to_text(), value.clone()),
                pair => (pair[0].to_text(), "".into()),
            });
            Ok(Value::map(entries))
        },
    ),
    Function::new(
        &["get"],
        "DICT KEY",
        "the value of the key; empty text if there is none",
        (r#"{{ get (dict "a" 1) "a" }}"#, "1"),
        |call| Ok(call.map(0)?.get(call.text(1)?).unwrap_or_else(|| "".into())),
    ),
    Function::new(
        &["set"],
        "DICT KEY VALUE",
        "the dictionary, in which the key now has the value",
        (r#"{{ $d := dict "a" 1 }}{{ $_ := set $d "b" 2 }}{{ $d }}"#, "map[a:1 b:2]"),
        |call| {
            call.map(0)?.insert(call.text(1)?, call.value(2).clone())?;
            Ok(call.value(0).clone())
        },
    ),
    Function::new(
        &["unset"],
        "DICT KEY",
        "the dictionary, from which the key is removed",
        (r#"{{ unset (dict "a" 1 "b" 2) "a" }}"#, "map[b:2]"),
        |call| {
            call.map(0)?.remove(call.text(1)?)?;
            Ok(call.value(0).clone())
        },
    ),
    Function::new(
        &["hasKey"],
        "DICT KEY",
        "whether there is such a key",
        (r#"{{ hasKey (dict "a" 1) "b" }}"#, "false"),
        |call| Ok(call.map(0)?.get(call.text(1)?).is_some().into()),
    ),
    Function::new(
        &["pluck"],
        "KEY DICT...",
        "the values that the key has in several dictionaries",
        (r#"{{ pluck "a" (dict "a" 1) (dict "b" 2) (dict "a" 3) }}"#, "[1 3]"),
        |call| {
            let key = call.text(0)?;
            let mut found = Vec::new();
            for index in 1..call.count() {
                found.extend(call.map(index)?.get(key));
            }
            Ok(found.into())
        },
    ),
    Function::new(
        &["dig"],
        "KEY KEYS_DEFAULT_DICT...",
        "the value below several keys, one in the other, or else the default",
        (r#"{{ dict "a" (dict "b" 1) | dig "a" "b" 0 }} {{ dict | dig "a" "b" 0 }}"#, "1 0"),
        dig,
    ),
    Function::new(
        &["merge", "mustMerge"],
        "DICT DICT...",
        "the first dictionary, with what it lacks from the others",
        (r#"{{ merge (dict "a" 1) (dict "a" 2 "b" 3) }}"#, "map[a:1 b:3]"),
        |call| merge(call, false),
    ),
    Function::new(
        &["mergeOverwrite", "mustMergeOverwrite"],
        "DICT DICT...",
        "the first dictionary, with all that is not empty in the others",
        (r#"{{ mergeOverwrite (dict "a" 1) (dict "a" 2 "b" 3) }}"#, "map[a:2 b:3]"),
        |call| merge(call, true),
    ),
    Function::new(
        &["keys"],
        "DICT...",
        "a list of the keys",
        (r#"{{ keys (dict "b" 1 "a" 2) }}"#, "[a b]"),
        |call| {
            let mut keys = Vec::new();
            for index in 0..call.count() {
                keys.extend(call.map(index)?.entries().keys().map(|key| Value::Text(key.clone())));
            }
            Ok(keys.into())
        },
    ),
    Function::new(
        &["values"],
        "DICT",
        "a list of the values, in the order of their keys",
        (r#"{{ values (dict "b" 1 "a" 2) }}"#, "[2 1]"),
        |call| Ok(call.map(0)?.entries().values().cloned().collect::<Vec<_>>().into()),
    ),
    Function::new(
        &["pick"],
        "DICT KEY...",
        "a dictionary of these keys only",
        (r#"{{ pick (dict "a" 1 "b" 2) "a" "c" }}"#, "map[a:1]"),
        |call| select(call, true),
    ),
    Function::new(
        &["omit"],
        "DICT KEY...",
        "a dictionary without these keys",
        (r#"{{ omit (dict "a" 1 "b" 2) "a" }}"#, "map[b:2]"),
        |call| select(call, false),
    ),
    Function::new(
        &["deepCopy", "mustDeepCopy"],
        "VALUE",
        "a copy, with copies of all that is in it",
        (r#"{{ $d := dict "a" 1 }}{{ $_ := set (deepCopy $d) "a" 2 }}{{ $d }}"#, "map[a:1]"),
        |call| Ok(deep_copy(call.value(0))),
    ),
];

fn dig(call: &Call<'_>) -> Outcome {
    let Some(last) = call.count().checked_sub(1).filter(|last| *last >= 2) else {
        return Err("`dig` wants keys, a default and a dictionary".into());
    };
    let mut value = Value::Map(call.map(last)?.clone());
    for index in 0..last - 1 {
        let Value::Map(map) = &value else {
            return Err(format!("key {} of `dig` asks {} for an entry", index + 1, value.noun()).into());
        };
        let Some(found) = map.get(call.text(index)?) else { return Ok(call.value(last - 1).clone()) };
        value = found;
    }
    Ok(value)
}

fn select(call: &Call<'_>, listed: bool) -> Outcome {
    let mut names = Vec::new();
    for index in 1..call.count() {
        names.push(call.text(index)?.clone());
    }
    names.sort();
    let map = call.map(0)?.entries();
    let kept = map.iter().filter(|(key, _)| names.binary_search(key).is_ok() == listed);
    Ok(Value::map(kept.map(|(key, value)| (key.clone(), value.clone()))))
}

fn merge(call: &Call<'_>, overwrites: bool) -> Outcome {
    let target = call.map(0)?;
    for index in 1..call.count() {
        let source = call.map(index)?;
        if !Rc::ptr_eq(target, source) {
            merge_into(target, source, overwrites)?;
        }
    }
    Ok(call.value(0).clone())
}

/// The rules of mergo, which sprig uses: dictionaries are merged with each other; otherwise the target keeps what
/// is not empty, or takes what is not empty. What is taken is copied, so that later changes stay apart.
fn merge_into(target: &Rc<Map>, source: &Map, overwrites: bool) -> Result<(), Failure> {
    let entries: Vec<_> = source.entries().iter().map(|(key, value)| (key.clone(), value.clone())).collect();
    for (key, new) in entries {
        match (target.get(&key), &new) {
            (Some(Value::Map(old)), Value::Map(new)) => {
                if !Rc::ptr_eq(&old, new) {
                    merge_into(&old, new, overwrites)?;
                }
            }
            (Some(old), new) if old.is_true() && !(overwrites && new.is_true()) => {}
            (_, new) => target.insert(&key, deep_copy(new))?,
        }
    }
    Ok(())
}

fn deep_copy(value: &Value) -> Value {
    match value {
        Value::List(list) => list.iter().map(deep_copy).collect::<Vec<_>>().into(),
        Value::Map(map) => {
            let entries = map.entries();
            let copied: BTreeMap<_, _> =
                entries.iter().map(|(key, value)| (key.clone(), deep_copy(value))).collect();
            Value::map(copied)
        }
        value => value.clone(),
    }
}
