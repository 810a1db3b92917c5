//! Regular expressions, in the notation of RE2 (see [`crate::pattern`]). One that is invalid is an error.

use super::string_lists::from_texts;
use super::{Call, Environment, Function, Outcome};
use crate::pattern::Pattern;
use crate::template::failure::Failure;
use crate::template::value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["regexMatch", "mustRegexMatch"],
        "PATTERN TEXT",
        "whether the pattern matches anywhere",
        (r#"{{ regexMatch "^[a-z]+$" "abc" }}"#, "true"),
        |call| {
            let (pattern, text) = (call.environment.pattern(call.text(0)?)?, call.text(1)?);
            search(call.environment, &pattern, text)?;
            Ok(pattern.is_match(text).into())
        },
    ),
    Function::new(
        &["regexFind", "mustRegexFind"],
        "PATTERN TEXT",
        "the first match, or empty text",
        (r#"{{ regexFind "[0-9]+" "a12b3" }}"#, "12"),
        |call| {
            let (pattern, text) = (call.environment.pattern(call.text(0)?)?, call.text(1)?);
            search(call.environment, &pattern, text)?;
            Ok(pattern.find(text).unwrap_or_default().into())
        },
    ),
    Function::new(
        &["regexFindAll", "mustRegexFindAll"],
        "PATTERN TEXT COUNT",
        "a list of the first matches; of all with a negative COUNT",
        (r#"{{ regexFindAll "[0-9]" "a1b2c3" 2 }} {{ regexFindAll "[0-9]" "a1b2c3" -1 }}"#, "[1 2] [1 2 3]"),
        |call| {
            let (pattern, text) = (call.environment.pattern(call.text(0)?)?, call.text(1)?);
            let most = usize::try_from(call.int(2)?).unwrap_or(usize::MAX);
            let mut found = Vec::new();
            search(call.environment, &pattern, text)?;
            for range in pattern.find_all(text).take(most) {
                search(call.environment, &pattern, &text[range.end..])?;
                found.push(text[range].to_owned());
                value::check_weight(found.len() * value::ELEMENT)?;
            }
            Ok(from_texts(found))
        },
    ),
    Function::new(
        &["regexReplaceAll", "mustRegexReplaceAll"],
        "PATTERN TEXT REPLACEMENT",
        "the text with the replacement for every match, in which `${1}` is what the first group matched",
        (r#"{{ regexReplaceAll "a(x*)b" "-ab-axxb-" "${1}W" }}"#, "-W-xxW-"),
        |call| replace(call, call.text(2)?),
    ),
    Function::new(
        &["regexReplaceAllLiteral", "mustRegexReplaceAllLiteral"],
        "PATTERN TEXT REPLACEMENT",
        "the same with a replacement in which `$` means nothing",
        (r#"{{ regexReplaceAllLiteral "a" "bab" "$1" }}"#, "b$1b"),
        |call| replace(call, &call.text(2)?.replace('$', "$$")),
    ),
    Function::new(
        &["regexSplit", "mustRegexSplit"],
        "PATTERN TEXT COUNT",
        "a list of at most so many parts between matches; of all with a negative COUNT",
        (r#"{{ regexSplit " *, *" "a , b,c" -1 }}"#, "[a b c]"),
        |call| {
            let (pattern, text) = (call.environment.pattern(call.text(0)?)?, call.text(1)?);
            search(call.environment, &pattern, text)?;
            for (count, range) in pattern.find_all(text).enumerate() {
                search(call.environment, &pattern, &text[range.end..])?;
                value::check_weight(count * value::ELEMENT)?;
            }
            let parts = pattern.split(text, usize::try_from(call.int(2)?).ok());
            Ok(from_texts(parts.into_iter().map(str::to_owned)))
        },
    ),
    Function::new(
        &["regexQuoteMeta"],
        "TEXT",
        "a pattern that matches just this text",
        (r#"{{ regexQuoteMeta "1.2*" }}"#, r"1\.2\*"),
        |call| {
            let text = call.text(0)?;
            let mut out = String::with_capacity(text.len());
            for c in text.chars() {
                if r"\.+*?()|[]{}^$".contains(c) {
                    out.push('\\');
                }
                out.push(c);
            }
            Ok(out.into())
        },
    ),
];

fn replace(call: &Call<'_>, replacement: &str) -> Outcome {
    let pattern = call.environment.pattern(call.text(0)?)?;
    search(call.environment, &pattern, call.text(1)?)?;
    let replaced = pattern.try_replace_all(call.text(1)?, replacement, |rest, out| {
        search(call.environment, &pattern, rest)?;
        value::check_weight(out.len()).map(|_| ())
    })?;
    Ok(replaced.into())
}

/// Takes the work of one search. It is in proportion to the pattern and the text, and since a search may look at
/// all that is left before it finds a short match, that of all matches may be in proportion to its square.
fn search(environment: &Environment<'_>, pattern: &Pattern, rest: &str) -> Result<(), Failure> {
    environment.spend(1 + rest.len().saturating_mul(pattern.weight()) / 2)
}
