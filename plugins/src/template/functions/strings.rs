//! Text. Where sprig counts bytes, characters are counted here, so that none is cut in half.

use super::builtins::check_length;
use super::{Call, Function, Outcome};
use crate::template::failure::Failure;
use crate::template::quote;
use crate::template::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(
        &["trim"],
        "TEXT",
        "the text without white space at its ends",
        (r#"[{{ trim "  a b " }}]"#, "[a b]"),
        |call| Ok(call.text(0)?.trim().into()),
    ),
    Function::new(
        &["trimAll", "trimall"],
        "CHARACTERS TEXT",
        "the text without these characters at its ends",
        (r#"{{ trimAll "$-" "$5.00-" }}"#, "5.00"),
        |call| {
            let characters = call.text(0)?;
            Ok(call.text(1)?.trim_matches(|c| characters.contains(c)).into())
        },
    ),
    Function::new(
        &["trimSuffix"],
        "SUFFIX TEXT",
        "the text without this end",
        (r#"{{ trimSuffix ".conf" "a.conf" }}"#, "a"),
        |call| {
            let text = call.text(1)?;
            Ok(text.strip_suffix(&**call.text(0)?).unwrap_or(text).into())
        },
    ),
    Function::new(
        &["trimPrefix"],
        "PREFIX TEXT",
        "the text without this beginning",
        (r#"{{ trimPrefix "node-" "node-7" }}"#, "7"),
        |call| {
            let text = call.text(1)?;
            Ok(text.strip_prefix(&**call.text(0)?).unwrap_or(text).into())
        },
    ),
    Function::new(
        &["nospace"],
        "TEXT",
        "the text without any white space",
        (r#"{{ nospace "a b  c" }}"#, "abc"),
        |call| Ok(call.text(0)?.chars().filter(|c| !c.is_whitespace()).collect::<String>().into()),
    ),
    Function::new(
        &["repeat"],
        "COUNT TEXT",
        "the text so many times",
        (r#"{{ repeat 3 "ab" }}"#, "ababab"),
        |call| {
            let (count, text) = (call.size(0)?, call.text(1)?);
            check_length(text.len().checked_mul(count))?;
            Ok(text.repeat(count).into())
        },
    ),
    Function::new(
        &["substr"],
        "FROM TO TEXT",
        "the characters from one index to before another; a negative FROM is the beginning, a negative TO the end",
        (r#"{{ substr 1 3 "abcdef" }} {{ substr 2 -1 "abcdef" }}"#, "bc cdef"),
        substr,
    ),
    Function::new(
        &["trunc"],
        "COUNT TEXT",
        "the first characters of the text; with a negative COUNT the last",
        (r#"{{ trunc 4 "abcdef" }} {{ trunc -2 "abcdef" }} {{ .MachineID | trunc 4 }}"#, "abcd ef 0123"),
        |call| {
            let (count, text) = (call.int(0)?, call.text(1)?);
            let wanted = usize::try_from(count.unsigned_abs()).unwrap_or(usize::MAX);
            let skip = if count < 0 { text.chars().count().saturating_sub(wanted) } else { 0 };
            Ok(text.chars().skip(skip).take(wanted).collect::<String>().into())
        },
    ),
    Function::new(
        &["abbrev"],
        "WIDTH TEXT",
        "the text with `...` at its end if it is longer than the width, which is at least 4",
        (r#"{{ abbrev 8 "a long text" }}"#, "a lon..."),
        |call| abbreviate(call.text(1)?, 0, call.int(0)?),
    ),
    Function::new(
        &["abbrevboth"],
        "OFFSET WIDTH TEXT",
        "the part of the text around an offset, with `...` at both ends",
        (r#"{{ abbrevboth 5 10 "1234 5678 9123 4567" }}"#, "...5678..."),
        |call| {
            let (offset, width) = (call.int(0)?, call.int(1)?);
            match width < 4 || (offset > 0 && width < 7) {
                true => Ok(call.value(2).clone()),
                false => abbreviate(call.text(2)?, usize::try_from(offset).unwrap_or(0), width),
            }
        },
    ),
    Function::new(
        &["initials"],
        "TEXT",
        "the first letter of each word",
        (r#"{{ initials "John Ronald Tolkien" }}"#, "JRT"),
        |call| {
            let words = call.text(0)?.split_whitespace();
            Ok(words.filter_map(|word| word.chars().next()).collect::<String>().into())
        },
    ),
    Function::new(
        &["wrap"],
        "WIDTH TEXT",
        "the text with line breaks for spaces where a line would be longer than the width",
        (r#"{{ wrap 5 "aa bb cc" }}"#, "aa bb\ncc"),
        |call| wrap(call.text(1)?, call.int(0)?, "\n", false),
    ),
    Function::new(
        &["wrapWith"],
        "WIDTH SEPARATOR TEXT",
        "the same with another separator, and with long words cut",
        (r#"{{ wrapWith 4 "|" "abcdefgh ij" }}"#, "abcd|efgh|ij"),
        |call| wrap(call.text(2)?, call.int(0)?, call.text(1)?, true),
    ),
    Function::new(
        &["contains"],
        "PART TEXT",
        "whether the text contains the part",
        (r#"{{ contains "b" "abc" }}"#, "true"),
        |call| Ok(call.text(1)?.contains(&**call.text(0)?).into()),
    ),
    Function::new(
        &["hasPrefix"],
        "PREFIX TEXT",
        "whether the text begins so",
        (r#"{{ hasPrefix "a" "abc" }}"#, "true"),
        |call| Ok(call.text(1)?.starts_with(&**call.text(0)?).into()),
    ),
    Function::new(
        &["hasSuffix"],
        "SUFFIX TEXT",
        "whether the text ends so",
        (r#"{{ hasSuffix "a" "abc" }}"#, "false"),
        |call| Ok(call.text(1)?.ends_with(&**call.text(0)?).into()),
    ),
    Function::new(
        &["quote"],
        "VALUE...",
        "the values in double quotes with Go's escapes, nil left out",
        (r#"{{ quote "a" 1 "b\"c" }}"#, r#""a" "1" "b\"c""#),
        |call| Ok(join_present(call.from(0), |value| quote::quote(&value.to_text())).into()),
    ),
    Function::new(
        &["squote"],
        "VALUE...",
        "the values in single quotes, nil left out; nothing inside of them is escaped",
        (r#"{{ squote "a" 1 }}"#, "'a' '1'"),
        |call| Ok(join_present(call.from(0), |value| format!("'{value}'")).into()),
    ),
    Function::new(
        &["cat"],
        "VALUE...",
        "the values with spaces between them, nil left out",
        (r#"{{ cat "a" 1 "b" }}"#, "a 1 b"),
        |call| Ok(join_present(call.from(0), Value::to_string).into()),
    ),
    Function::new(
        &["indent"],
        "COUNT TEXT",
        "the text with so many spaces before each line",
        (r#"{{ indent 2 "a\nb" }}"#, "  a\n  b"),
        |call| Ok(indent(call)?.into()),
    ),
    Function::new(
        &["nindent"],
        "COUNT TEXT",
        "the same behind a line break",
        (r#"a:{{ nindent 2 "b" }}"#, "a:\n  b"),
        |call| Ok(format!("\n{}", indent(call)?).into()),
    ),
    Function::new(
        &["replace"],
        "OLD NEW TEXT",
        "the text with NEW for every OLD",
        (r#"{{ replace " " "-" "a b c" }}"#, "a-b-c"),
        |call| {
            let (old, new, text) = (call.text(0)?, call.text(1)?, call.text(2)?);
            let grown = text.matches(&**old).count().checked_mul(new.len());
            check_length(grown.and_then(|grown| grown.checked_add(text.len())))?;
            Ok(text.replace(&**old, new).into())
        },
    ),
    Function::new(
        &["plural"],
        "ONE MANY COUNT",
        "the first text if the count is 1, else the second",
        (r#"{{ plural "disk" "disks" 2 }}"#, "disks"),
        |call| Ok(call.value(if call.int(2)? == 1 { 0 } else { 1 }).clone()),
    ),
    Function::new(&["hello"], "", "a greeting, to try the engine with", ("{{ hello }}", "Hello!"), |_| {
        Ok("Hello!".into())
    }),
];

fn join_present(values: &[Value], show: impl Fn(&Value) -> String) -> String {
    let shown: Vec<_> = values.iter().filter(|value| !value.is_nil()).map(show).collect();
    shown.join(" ")
}

fn substr(call: &Call<'_>) -> Outcome {
    let (from, to, text) = (call.int(0)?, call.int(1)?, call.text(2)?);
    let length = text.chars().count();
    let from = usize::try_from(from).unwrap_or(0);
    let to = usize::try_from(to).unwrap_or(length).min(length);
    if from > to {
        return Err("the indices of `substr` are out of range".into());
    }
    Ok(text.chars().skip(from).take(to - from).collect::<String>().into())
}

/// The rules of goutils.AbbreviateFull, which sprig uses.
fn abbreviate(text: &str, offset: usize, width: i64) -> Outcome {
    let characters: Vec<char> = text.chars().collect();
    let length = characters.len();
    let Some(width) = usize::try_from(width).ok().filter(|width| *width >= 4) else { return Ok(text.into()) };
    if length <= width {
        return Ok(text.into());
    }
    let part = |from: usize, to: usize| characters[from..to].iter().collect::<String>();
    let offset = offset.min(length).min(length - (width - 3));
    if offset <= 4 {
        return Ok(format!("{}...", part(0, width - 3)).into());
    }
    if offset + width - 3 < length {
        return Ok(format!("...{}...", part(offset, offset + width.saturating_sub(6))).into());
    }
    Ok(format!("...{}", part(length - (width - 3), length)).into())
}

/// The rules of goutils.WrapCustom, which sprig uses: one line of text, broken at spaces.
fn wrap(text: &str, width: i64, separator: &str, cuts_words: bool) -> Outcome {
    let separator = if separator.is_empty() { "\n" } else { separator };
    let width = usize::try_from(width).unwrap_or(1).max(1);
    let characters: Vec<char> = text.chars().collect();
    check_length(separator.len().checked_mul(characters.len() / width + 1 + text.matches(' ').count()))?;
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while characters.len() - at > width {
        if characters[at] == ' ' {
            at += 1;
            continue;
        }
        let last_space = characters[at..=at + width].iter().rposition(|&c| c == ' ').map(|space| at + space);
        let (end, next) = match last_space {
            Some(space) => (space, space + 1),
            None if cuts_words => (at + width, at + width),
            None => match characters[at + width..].iter().position(|&c| c == ' ') {
                Some(space) => (at + width + space, at + width + space + 1),
                None => break,
            },
        };
        out.extend(&characters[at..end]);
        out.push_str(separator);
        at = next;
    }
    out.extend(&characters[at..]);
    Ok(out.into())
}

fn indent(call: &Call<'_>) -> Result<String, Failure> {
    let (count, text) = (call.size(0)?, call.text(1)?);
    check_length(count.checked_mul(text.matches('\n').count() + 1).and_then(|n| n.checked_add(text.len())))?;
    let padding = " ".repeat(count);
    Ok(format!("{padding}{}", text.replace('\n', &format!("\n{padding}"))))
}
