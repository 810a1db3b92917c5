//! The JSON Schema of stage documents and cloud-configs, for editors.

mod share;

use super::{documentation_of, fields, first_paragraph, line};
use crate::conditions::Conditions;
use crate::step::Step;
use crate::testing::json;
use crate::{cloud_config, keys};
use cosette_schema::cloud_config::MODULES;
use cosette_schema::yaml;
use cosette_schema::{Decode, Field, Findings, Origin, Shape};
use serde_json::{Map, Value, json};

/// The stages that the units of the system run, each between its `.before` and `.after`.
const STAGES: [(&str, &str); 6] = [
    ("rootfs", "In the initramfs, while the layout of the root is decided."),
    ("initramfs", "In the initramfs, when the root is mounted: the best place for accounts and files."),
    ("fs", "When the file systems are mounted."),
    ("boot", "When the basic system is up."),
    ("network", "When the network is up."),
    ("reconcile", "Again and again while the system runs."),
];

/// What a number looks like in a text.
const NUMBER: &str = "^(0|[1-9][0-9_]*|0[xX][0-9a-fA-F_]+|0[bB][01_]+)$";

/// A file mode as a text.
const MODE: &str = "^(0o)?0*[0-7]{1,4}$";

const BOOLEAN: &str =
    "^(true|True|TRUE|yes|Yes|YES|on|On|ON|y|Y|false|False|FALSE|no|No|NO|off|Off|OFF|n|N)$";

/// The schema as it is published.
pub(super) fn text() -> String {
    let mut schema = schema();
    let names = [
        ("text", of(&Shape::TEXT)),
        ("boolean", of(&Shape::Boolean)),
        ("boolean_or_null", or_null(of(&Shape::Boolean))),
        ("mode", of(&Shape::Mode)),
        ("mode_or_null", or_null(of(&Shape::Mode))),
        ("id_or_null", or_null(of(&u32::shape()))),
    ];
    share::share(&mut schema, &names);
    serde_json::to_string_pretty(&schema).expect("a schema is JSON") + "\n"
}

fn schema() -> Value {
    let mut properties = Map::new();
    for module in MODULES {
        let plugin = cloud_config::PLUGINS.iter().find(|plugin| plugin.key == module.name);
        let plugin = plugin.expect("every module has its plugin");
        let docs = documentation_of(&format!("cloud_config/{}.rs", module.name));
        for field in fields(&(plugin.shape)()) {
            for name in field.names {
                // Null does not call for a module.
                let mut property = described(or_null(of(&(field.shape)())), &line(field.docs));
                add_example(&mut property, name, &docs);
                // A key of several modules means the same to all of them, or must suit each.
                let property = match properties.remove(*name) {
                    Some(other) if accept_the_same(&other, &property) => other,
                    Some(other) => json!({ "allOf": [other, property] }),
                    None => property,
                };
                properties.insert((*name).to_owned(), property);
            }
        }
    }
    let name = described(of(&Shape::TEXT), "The name of the document.");
    properties.insert("name".to_owned(), name);
    let stages = json!({
        "description": "The steps of each stage.",
        "type": ["object", "null"],
        "properties": stages(),
        "additionalProperties": { "$ref": "#/$defs/steps" },
    });
    properties.insert("stages".to_owned(), stages);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "urn:cosette:stages",
        "title": "Stage document",
        "description": "Steps by the stages in which they run, or a #cloud-config.",
        "type": ["object", "null"],
        "defaultSnippets": snippets().0,
        "properties": properties,
        "$defs": {
            "steps": { "type": ["array", "null"], "items": { "$ref": "#/$defs/step" } },
            "step": step(),
        },
    })
}

fn accept_the_same(one: &Value, other: &Value) -> bool {
    let without = |value: &Value| {
        let mut value = value.clone();
        if let Some(keys) = value.as_object_mut() {
            keys.retain(|key, _| key != "examples" && key != "description");
        }
        value
    };
    without(one) == without(other)
}

fn stages() -> Map<String, Value> {
    let mut stages = Map::new();
    for (name, docs) in STAGES {
        let steps = |docs: String| json!({ "$ref": "#/$defs/steps", "description": docs });
        stages.insert(name.to_owned(), steps(docs.to_owned()));
        stages.insert(format!("{name}.before"), steps(format!("Before `{name}`.")));
        stages.insert(format!("{name}.after"), steps(format!("After `{name}`.")));
    }
    stages
}

fn step() -> Value {
    let mut properties = properties(Step::FIELDS);
    properties.append(&mut self::properties(Conditions::FIELDS));
    for plugin in keys::PLUGINS {
        let docs = documentation_of(&format!("keys/{}.rs", plugin.key));
        let mut property = described(of(&(plugin.shape)()), &first_paragraph(&docs));
        property["markdownDescription"] = json!(prose(&docs));
        add_example(&mut property, plugin.key, &docs);
        if let Some(example) = property["examples"].get(0) {
            let snippet = json!([{ "label": format!("{} …", plugin.key), "body": as_snippet(example) }]);
            property["defaultSnippets"] = snippet;
        }
        properties.insert(plugin.key.to_owned(), property);
    }
    json!({
        "description": "What shall be so, if its conditions hold.",
        "defaultSnippets": snippets().1,
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    })
}

/// A documentation without its blocks: editors show the example beside it, and trees are long.
fn prose(docs: &str) -> String {
    let parts = docs.split("```").step_by(2).map(str::trim).filter(|part| !part.is_empty());
    parts.collect::<Vec<_>>().join("\n\n")
}

/// The same as the body of a snippet, in which `$` begins a place to fill in.
fn as_snippet(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text.replace('\\', "\\\\").replace('$', "\\$").replace('}', "\\}")),
        Value::Array(items) => items.iter().map(as_snippet).collect(),
        Value::Object(fields) => {
            Value::Object(fields.iter().map(|(key, value)| (key.clone(), as_snippet(value))).collect())
        }
        other => other.clone(),
    }
}

/// A document with one step, and a step with a condition, to be filled in.
fn snippets() -> (Value, Value) {
    let step = json!({ "name": "${1:What it does}", "${2:hostname}": "${3:value}" });
    let document = json!([{
        "label": "stages", "description": "A document with one step",
        "body": { "name": "${4:Name}", "stages": { "${5:boot}": [step] } },
    }]);
    let step = json!([
        { "label": "step", "description": "A step", "body": step },
        { "label": "step if …", "description": "A step that runs where a file exists",
          "body": { "name": "${1:What it does}", "if_files": { "all": ["${2:/path}"] }, "${3:hostname}": "${4:value}" } },
    ]);
    (document, step)
}

/// Adds the value that the key has in the YAML of a documentation.
fn add_example(property: &mut Value, key: &str, docs: &str) {
    let mut blocks = docs.split("```yaml\n").skip(1).filter_map(|block| block.split_once("```"));
    let Some((text, _)) = blocks.next() else { return };
    let mut findings = Findings::new(Origin::new("example"));
    let Some(yaml::Value::Map(entries)) = yaml::parse(text, &mut findings).map(|node| node.value) else {
        return;
    };
    if let Some((_, value)) = entries.iter().find(|(name, _)| name.text() == Some(key)) {
        property["examples"] = json!([json(value)]);
    }
}

fn properties(fields: &[Field]) -> Map<String, Value> {
    let mut properties = Map::new();
    for field in fields {
        for name in field.names {
            let docs = match field.names[0] {
                first if first == *name => line(field.docs),
                first => format!("The same as `{first}`. {}", line(field.docs)),
            };
            properties.insert((*name).to_owned(), described(value_of(field), &docs));
        }
    }
    properties
}

/// What may stand behind a key of a map: null is the same as leaving it out.
fn value_of(field: &Field) -> Value {
    let value = of(&(field.shape)());
    if field.required { not_null(value) } else { or_null(value) }
}

fn of(shape: &Shape) -> Value {
    match shape {
        Shape::Anything => json!({}),
        Shape::Text { pattern: None, .. } => json!({ "type": ["string", "number", "boolean", "null"] }),
        Shape::Text { pattern: Some(pattern), .. } => json!({ "type": "string", "pattern": pattern }),
        Shape::Yaml(_) => json!({ "type": "string" }),
        Shape::Choice(words) => json!({ "enum": words }),
        Shape::Boolean => json!({ "type": ["boolean", "string"], "pattern": BOOLEAN }),
        Shape::Integer { min, max } => {
            let mut value = json!({ "type": ["integer", "string"], "pattern": NUMBER });
            if *min > i64::MIN {
                value["minimum"] = json!(min);
            }
            if *max < u64::MAX {
                value["maximum"] = json!(max);
            }
            value
        }
        // For an editor that reads YAML 1.2, 0644 is six hundred and forty-four.
        Shape::Mode => {
            json!({ "type": ["integer", "string"], "minimum": 0, "maximum": 7777, "pattern": MODE })
        }
        Shape::List(inner) => json!({ "type": ["array", "null"], "items": of(inner) }),
        Shape::Map(inner) => json!({ "type": ["object", "null"], "additionalProperties": of(inner) }),
        Shape::Record { docs, fields } => described(record(fields), &first_paragraph(docs)),
        Shape::Either(shapes) => json!({ "anyOf": shapes.iter().map(of).collect::<Vec<_>>() }),
        Shape::Optional(inner) => or_null(of(inner)),
        Shape::With(key, inner) => json!({ "allOf": [of(inner)], "type": "object", "required": [key] }),
    }
}

fn record(fields: &[Field]) -> Value {
    let mut value = json!({ "properties": properties(fields), "additionalProperties": false });
    let (single, several): (Vec<&Field>, Vec<&Field>) =
        fields.iter().filter(|field| field.required).partition(|field| field.names.len() == 1);
    if single.is_empty() && several.is_empty() {
        value["type"] = json!(["object", "null"]);
        return value;
    }
    value["type"] = json!("object");
    if !single.is_empty() {
        value["required"] = single.iter().map(|field| field.names[0]).collect();
    }
    if !several.is_empty() {
        let one = |name: &&str| json!({ "required": [name] });
        let any = |field: &&Field| json!({ "anyOf": field.names.iter().map(one).collect::<Vec<_>>() });
        value["allOf"] = several.iter().map(any).collect();
    }
    value
}

/// The same, but what stands behind a key describes it better than what it is made of.
fn described(mut value: Value, docs: &str) -> Value {
    value["description"] = json!(docs);
    value
}

fn or_null(mut value: Value) -> Value {
    if let Some(kinds) = value.get_mut("type") {
        match kinds {
            Value::Array(kinds) if kinds.contains(&json!("null")) => {}
            Value::Array(kinds) => kinds.push(json!("null")),
            kind => *kind = json!([kind, "null"]),
        }
    } else if let Some(Value::Array(words)) = value.get_mut("enum") {
        words.push(Value::Null);
    } else if let Some(Value::Array(alternatives)) = value.get_mut("anyOf") {
        alternatives.push(json!({ "type": "null" }));
    }
    value
}

fn not_null(mut value: Value) -> Value {
    if let Some(Value::Array(kinds)) = value.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [kind] = &kinds[..] {
            value["type"] = kind.clone();
        }
    } else if let Some(Value::Array(words)) = value.get_mut("enum") {
        words.retain(|word| !word.is_null());
    } else if let Some(Value::Array(alternatives)) = value.get_mut("anyOf") {
        alternatives.retain(|value| value["type"] != "null");
        for value in alternatives {
            *value = not_null(value.take());
        }
    }
    value
}

#[test]
fn what_may_be_null_is_told_from_what_may_not() {
    let (texts, path) = (Shape::TEXT.list(), Shape::matching("path", "^/"));
    assert_eq!(not_null(of(&texts))["type"], "array");
    assert_eq!(or_null(of(&path))["type"], json!(["string", "null"]));
    assert_eq!(or_null(of(&Shape::Choice(&["a"])))["enum"], json!(["a", null]));
    let either = not_null(or_null(of(&texts.or(Shape::Optional(Box::new(path))))));
    assert_eq!(either["anyOf"][0]["type"], "array");
    assert_eq!(either["anyOf"][1]["type"], "string");
    assert_eq!(either["anyOf"].as_array().unwrap().len(), 2);
}

#[test]
fn a_snippet_says_what_it_is_made_of() {
    let value = json!({ "a": ["${x} \\ }", 1], "$": null });
    assert_eq!(as_snippet(&value), json!({ "a": ["\\${x\\} \\\\ \\}", 1], "$": null }));
}

#[test]
fn blocks_are_left_out_of_the_prose() {
    let docs = "A.\n\n```text before\n-- /a\n```\n\n```yaml\na: b\n```\n\n```text after\n-- /b\n```\n\nC.\n";
    assert_eq!(prose(docs), "A.\n\nC.");
}
