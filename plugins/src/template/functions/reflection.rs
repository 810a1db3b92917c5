//! Kinds of values, and equality.

use super::Function;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["kindOf"],
        "VALUE",
        "Go's name of the kind: `bool`, `int`, `float64`, `string`, `slice`, `map`, `struct`, `invalid`",
        ("{{ kindOf (list 1) }} {{ kindOf .Values.cpu.cores }}", "slice float64"),
        |call| Ok(call.value(0).kind().into()),
    ),
    Function::new(
        &["kindIs"],
        "KIND VALUE",
        "whether the value is of the kind",
        (r#"{{ kindIs "string" "a" }}"#, "true"),
        |call| Ok((**call.text(0)? == *call.value(1).kind()).into()),
    ),
    Function::new(
        &["typeOf"],
        "VALUE",
        "Go's name of the type",
        ("{{ typeOf (dict) }}", "map[string]interface {}"),
        |call| Ok(call.value(0).type_name().into()),
    ),
    Function::new(
        &["typeIs", "typeIsLike"],
        "TYPE VALUE",
        "whether the value is of the type",
        (r#"{{ typeIs "int" 1 }}"#, "true"),
        |call| Ok((**call.text(0)? == *call.value(1).type_name()).into()),
    ),
    Function::new(
        &["deepEqual"],
        "VALUE VALUE",
        "whether two values, lists and dictionaries too, have the same content",
        ("{{ deepEqual (list 1 2) (list 1 2) }}", "true"),
        |call| Ok(call.value(0).deep_equal(call.value(1)).into()),
    ),
];
