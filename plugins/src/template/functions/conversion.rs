//! From one kind of value to another.

use super::Function;
use crate::template::number;
use crate::template::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["atoi"],
        "TEXT",
        "the whole number that the text is, or 0",
        (r#"{{ atoi "12" | add 1 }}"#, "13"),
        |call| Ok(call.text(0)?.parse::<i64>().unwrap_or(0).into()),
    ),
    Function::new(
        &["int", "int64"],
        "VALUE",
        "a whole number, without the fraction; 0 for what is no number",
        (r#"{{ int 3.7 }} {{ int "0x10" }} {{ int true }}"#, "3 16 1"),
        |call| Ok(to_int(call.value(0)).into()),
    ),
    Function::new(
        &["float64"],
        "VALUE",
        "a fractional number; 0 for what is no number",
        (r#"{{ float64 "1.5" }}"#, "1.5"),
        |call| Ok(to_float(call.value(0)).into()),
    ),
    Function::new(
        &["toDecimal"],
        "VALUE",
        "the number that octal digits stand for",
        (r#"{{ toDecimal "644" }}"#, "420"),
        |call| Ok(i64::from_str_radix(&call.value(0).to_text(), 8).unwrap_or(0).into()),
    ),
    Function::new(
        &["toString"],
        "VALUE",
        "the value as text",
        ("{{ toString (list 1 2) | len }}", "5"),
        |call| Ok(Value::Text(call.value(0).to_text())),
    ),
];

/// sprig's toInt64.
pub(super) fn to_int(value: &Value) -> i64 {
    match value {
        Value::Int(value) => *value,
        Value::Float(value) => *value as i64,
        Value::Bool(value) => i64::from(*value),
        Value::Text(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
            let zeros = fraction.bytes().all(|b| b == b'0');
            number::parse_int(if zeros { whole } else { text }).unwrap_or(0)
        }
        _ => 0,
    }
}

/// sprig's toFloat64.
pub(super) fn to_float(value: &Value) -> f64 {
    match value {
        Value::Int(value) => *value as f64,
        Value::Float(value) => *value,
        Value::Bool(value) => f64::from(u8::from(*value)),
        Value::Text(text) => text.parse().unwrap_or(0.0),
        _ => 0.0,
    }
}
