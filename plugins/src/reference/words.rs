//! Shapes in words.

use cosette_schema::Shape;

/// One value of this shape, in words: `list of maps`.
pub(super) fn one(shape: &Shape) -> String {
    say(shape, "")
}

/// One value of this shape as the end of a sentence: `a list of maps`.
pub(super) fn with_article(shape: &Shape) -> String {
    match shape {
        Shape::Optional(inner) | Shape::With(_, inner) => with_article(inner),
        Shape::Either(shapes) => either(shapes, with_article),
        Shape::Anything | Shape::Boolean | Shape::Choice(_) => one(shape),
        shape => {
            let words = one(shape);
            let article = if words.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
            format!("{article} {words}")
        }
    }
}

fn say(shape: &Shape, plural: &str) -> String {
    match shape {
        Shape::Anything => "anything".to_owned(),
        Shape::Text { words, .. } => format!("{words}{plural}"),
        Shape::Yaml(inner) => format!("text{plural} with the YAML of {}", with_article(inner)),
        Shape::Boolean | Shape::Choice(_) => alternatives(words_of(shape).into_iter()),
        // Bounds that are those of a type are nothing to know.
        Shape::Integer { min, max } if *max >= u64::from(u32::MAX - 1) || *min < -0xffff => {
            format!("whole number{plural}")
        }
        Shape::Integer { min, max } => format!("whole number{plural} from {min} to {max}"),
        Shape::Mode => format!("file mode{plural}"),
        Shape::List(inner) => format!("list{plural} of {}", say(inner, "s")),
        Shape::Map(inner) => format!("map{plural} from names to {}", say(inner, "s")),
        Shape::Record { .. } => format!("map{plural}"),
        Shape::Either(shapes) => either(shapes, |shape| say(shape, plural)),
        Shape::Optional(inner) | Shape::With(_, inner) => say(inner, plural),
    }
}

fn either(shapes: &[Shape], say: impl Fn(&Shape) -> String) -> String {
    alternatives(shapes.iter().flat_map(|shape| match shape {
        Shape::Boolean | Shape::Choice(_) => words_of(shape),
        shape => vec![say(shape)],
    }))
}

/// The words of which a value is one.
fn words_of(shape: &Shape) -> Vec<String> {
    let words = match shape {
        Shape::Boolean => &["true", "false"],
        Shape::Choice(words) => *words,
        _ => &[],
    };
    words.iter().filter(|word| !word.is_empty()).map(|word| format!("`{word}`")).collect()
}

/// `a, b or c`.
fn alternatives(words: impl Iterator<Item = String>) -> String {
    let mut distinct: Vec<String> = Vec::new();
    for word in words {
        if !distinct.contains(&word) {
            distinct.push(word);
        }
    }
    match &distinct[..] {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

#[test]
fn shapes_are_said_in_words() {
    let texts = || Shape::TEXT.list();
    assert_eq!(one(&texts().map()), "map from names to lists of texts");
    assert_eq!(one(&texts().or(Shape::TEXT).or_null()), "list of texts or text");
    assert_eq!(with_article(&Shape::TEXT.or(texts())), "a text or a list of texts");
    assert_eq!(with_article(&Shape::matching("absolute path", "^/")), "an absolute path");
    assert_eq!(one(&Shape::Choice(&["", "a", "b", "c"])), "`a`, `b` or `c`");
    assert_eq!(one(&Shape::Boolean.or(Shape::Choice(&["a"]))), "`true`, `false` or `a`");
    assert_eq!(one(&Shape::Integer { min: 0, max: 65535 }.list()), "list of whole numbers from 0 to 65535");
    assert_eq!(one(&Shape::Integer { min: i64::MIN, max: u64::MAX }), "whole number");
}
