//! JSON. What cannot be read is an error.

use super::Function;
use crate::template::json;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["fromJson", "mustFromJson"],
        "TEXT",
        "the value that JSON stands for; numbers are fractional",
        (r#"{{ (fromJson "{\"a\": [1, 2]}").a }}"#, "[1 2]"),
        |call| json::parse(call.text(0)?),
    ),
    Function::new(
        &["toJson", "mustToJson"],
        "VALUE",
        "the value in JSON, with `<`, `>` and `&` escaped",
        (r#"{{ toJson (dict "b" (list 1 "<") "a" nil) }}"#, r#"{"a":null,"b":[1,"\u003c"]}"#),
        |call| Ok(json::write(call.value(0), json::Style { indent: false, escape_html: true })?.into()),
    ),
    Function::new(
        &["toPrettyJson", "mustToPrettyJson"],
        "VALUE",
        "the same on several lines",
        (r#"{{ toPrettyJson (dict "a" (list 1)) }}"#, "{\n  \"a\": [\n    1\n  ]\n}"),
        |call| Ok(json::write(call.value(0), json::Style { indent: true, escape_html: true })?.into()),
    ),
    Function::new(
        &["toRawJson", "mustToRawJson"],
        "VALUE",
        "the value in JSON, with only the necessary escapes",
        (r#"{{ toRawJson "<a>" }}"#, r#""<a>""#),
        |call| Ok(json::write(call.value(0), json::Style { indent: false, escape_html: false })?.into()),
    ),
];
