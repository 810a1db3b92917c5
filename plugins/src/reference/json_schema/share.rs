//! Says once, below `$defs`, what a schema would say again and again.

use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What is said about a value but does not decide whether it is accepted.
const ANNOTATIONS: [&str; 4] = ["defaultSnippets", "description", "examples", "markdownDescription"];

/// The shortest text that is worth a reference.
const SHORTEST: usize = 40;

/// Moves each part that occurs twice or more into `$defs`, the largest first. `names` are those of parts that
/// have one; the others are called by the key that they are first seen at.
pub(super) fn share(schema: &mut Value, names: &[(&str, Value)]) {
    while let Some((core, place)) = most_repeated(schema) {
        let named = names.iter().find(|(_, value)| *value == core).map(|(name, _)| *name);
        let name = free_name(&schema["$defs"], named.unwrap_or(&place));
        let reference = json!(format!("#/$defs/{name}"));
        visit(schema, "", &mut |value, _| {
            if core_of(value).as_ref() == Some(&core) {
                let keys = value.as_object_mut().expect("what has a core is a map");
                keys.retain(|key, _| ANNOTATIONS.contains(&key.as_str()));
                keys.insert("$ref".to_owned(), reference.clone());
            }
        });
        schema["$defs"][name] = core;
    }
}

fn free_name(taken: &Value, name: &str) -> String {
    let numbered = (2..).map(|number| format!("{name}{number}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    names.find(|name| taken.get(name).is_none()).expect("there is always another number")
}

/// The largest part that occurs more than once, and the key at which it is first seen.
fn most_repeated(schema: &mut Value) -> Option<(Value, String)> {
    let mut seen: BTreeMap<String, (usize, String)> = BTreeMap::new();
    visit(schema, "", &mut |value, place| {
        if let Some(core) = core_of(value) {
            let text = core.to_string();
            if text.len() > SHORTEST {
                seen.entry(text).or_insert_with(|| (0, place.to_owned())).0 += 1;
            }
        }
    });
    let repeated = seen.into_iter().filter(|(_, (count, _))| *count > 1);
    let (text, (_, place)) = repeated.max_by_key(|(text, _)| text.len())?;
    Some((serde_json::from_str(&text).expect("it was JSON before"), place))
}

/// A part without its annotations; nothing if it is a reference already.
fn core_of(value: &Value) -> Option<Value> {
    let keys = value.as_object()?;
    if keys.contains_key("$ref") {
        return None;
    }
    let mut core = keys.clone();
    core.retain(|key, _| !ANNOTATIONS.contains(&key.as_str()));
    Some(Value::Object(core))
}

/// Visits each schema within a schema, but not itself, with the key at which it stands.
fn visit(schema: &mut Value, place: &str, visitor: &mut impl FnMut(&mut Value, &str)) {
    let Some(keys) = schema.as_object_mut() else { return };
    for (keyword, value) in keys {
        match (keyword.as_str(), value) {
            ("properties" | "$defs", Value::Object(schemas)) => {
                for (name, schema) in schemas {
                    visitor(schema, name);
                    visit(schema, name, visitor);
                }
            }
            ("anyOf" | "allOf", Value::Array(schemas)) => {
                for schema in schemas {
                    visitor(schema, place);
                    visit(schema, place, visitor);
                }
            }
            ("items" | "additionalProperties", schema @ Value::Object(_)) => {
                visitor(schema, place);
                visit(schema, place, visitor);
            }
            _ => {}
        }
    }
}

#[test]
fn what_is_repeated_is_said_once_and_keeps_its_descriptions() {
    let text = json!({ "type": ["string", "number", "boolean", "null"] });
    let mut described = text.clone();
    described["description"] = json!("One.");
    let user = json!({ "type": "object", "properties": { "name": described, "shell": text } });
    let mut schema = json!({
        "properties": { "user": user, "users": { "items": user } },
        "$defs": { "user": true },
    });
    share(&mut schema, &[("text", text.clone())]);
    let expected = json!({
        "properties": { "user": { "$ref": "#/$defs/user2" }, "users": { "items": { "$ref": "#/$defs/user2" } } },
        "$defs": {
            "user": true,
            "user2": { "type": "object", "properties": {
                "name": { "$ref": "#/$defs/text", "description": "One." },
                "shell": { "$ref": "#/$defs/text" },
            } },
            "text": text,
        },
    });
    assert_eq!(schema, expected);
}
