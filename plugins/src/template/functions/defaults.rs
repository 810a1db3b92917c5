//! Defaults, choices and failure.

use super::Function;
use crate::template::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["default"],
        "DEFAULT [VALUE]",
        "the value, or the default if it is empty (nothing, false, 0, no characters, elements or entries)",
        (r#"{{ .Values.nope | default "a" }} {{ default "a" "b" }}"#, "a b"),
        |call| Ok(call.value(if call.value(1).is_true() { 1 } else { 0 }).clone()),
    ),
    Function::new(&["empty"], "VALUE", "whether the value is empty", (r#"{{ empty "" }}"#, "true"), |call| {
        Ok((!call.value(0).is_true()).into())
    }),
    Function::new(
        &["coalesce"],
        "VALUE...",
        "the first value that is not empty",
        (r#"{{ coalesce 0 "" "a" }}"#, "a"),
        |call| Ok(call.from(0).iter().find(|value| value.is_true()).cloned().unwrap_or(Value::Nil)),
    ),
    Function::new(
        &["all"],
        "VALUE...",
        "whether no value is empty",
        (r#"{{ all 1 "a" "" }}"#, "false"),
        |call| Ok(call.from(0).iter().all(Value::is_true).into()),
    ),
    Function::new(
        &["any"],
        "VALUE...",
        "whether a value is not empty",
        (r#"{{ any 0 "a" }}"#, "true"),
        |call| Ok(call.from(0).iter().any(Value::is_true).into()),
    ),
    Function::new(
        &["ternary"],
        "IF_TRUE IF_FALSE CONDITION",
        "one of two values",
        (r#"{{ eq 1 1 | ternary "yes" "no" }}"#, "yes"),
        |call| Ok(call.value(if call.bool(2)? { 0 } else { 1 }).clone()),
    ),
    Function::new(
        &["fail"],
        "MESSAGE",
        "nothing: the template fails with this message, and the text stays as it is",
        (r#"{{ if false }}{{ fail "no" }}{{ end }}"#, ""),
        |call| Err(call.text(0)?.to_string().into()),
    ),
];
