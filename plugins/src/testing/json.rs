//! YAML as JSON.

use cosette_schema::yaml::{Node, Scalar, Style, Value};
use cosette_schema::{Decode, Findings, Origin};
use serde_json::{Number, Value as Json};

/// What yaml.v3 makes of a value that may be anything: `yes` and `on` are texts, `0644` is a number.
pub fn json(node: &Node) -> Json {
    match &node.value {
        Value::List(items) => items.iter().map(json).collect(),
        Value::Map(entries) => {
            Json::Object(entries.iter().map(|(key, value)| (name(key), json(value))).collect())
        }
        Value::Scalar(scalar) if node.is_null() || scalar.style != Style::Plain => {
            if node.is_null() {
                Json::Null
            } else {
                Json::String(scalar.text.to_string())
            }
        }
        Value::Scalar(scalar) => plain(node, scalar),
    }
}

fn name(key: &Node) -> String {
    key.text().map_or_else(|| json(key).to_string(), str::to_owned)
}

fn plain(node: &Node, scalar: &Scalar) -> Json {
    let mut ignored = Findings::new(Origin::new("json"));
    match &*scalar.text {
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        text => {
            let integer = i64::decode(node, &mut ignored).map(Number::from);
            let integer = integer.or_else(|| u64::decode(node, &mut ignored).map(Number::from));
            let number = integer.or_else(|| float(text).and_then(Number::from_f64));
            number.map_or_else(|| Json::String(text.to_owned()), Json::Number)
        }
    }
}

/// A number with a point or an exponent; `inf` and `nan` are none, since JSON does not know them.
fn float(text: &str) -> Option<f64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let numeric = digits.bytes().all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    if numeric && digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        text.parse().ok()
    } else {
        None
    }
}
