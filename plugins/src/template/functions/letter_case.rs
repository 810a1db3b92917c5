//! Upper and lower case, and the ways to write names of several words.

use super::builtins::check_length;
use super::{Call, Function};
use crate::template::failure::Failure;
use crate::template::value::ELEMENT;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(&["upper"], "TEXT", "the text in capitals", (r#"{{ upper "aß" }}"#, "ASS"), |call| {
        Ok(call.text(0)?.to_uppercase().into())
    }),
    Function::new(&["lower"], "TEXT", "the text in small letters", (r#"{{ lower "AB" }}"#, "ab"), |call| {
        Ok(call.text(0)?.to_lowercase().into())
    }),
    Function::new(
        &["title"],
        "TEXT",
        "the text with a capital at the beginning of each word",
        (r#"{{ title "hello big world" }}"#, "Hello Big World"),
        |call| Ok(at_beginnings(call.text(0)?, separates, capital).into()),
    ),
    Function::new(
        &["untitle"],
        "TEXT",
        "the text with a small letter at the beginning of each word",
        (r#"{{ untitle "Hello Big World" }}"#, "hello big world"),
        |call| Ok(at_beginnings(call.text(0)?, char::is_whitespace, |c| c.to_lowercase().collect()).into()),
    ),
    Function::new(
        &["swapcase"],
        "TEXT",
        "the text with small letters for capitals, and capitals for small letters",
        (r#"{{ swapcase "This Is A.Test" }}"#, "tHIS iS a.tEST"),
        |call| {
            let swapped = call.text(0)?.chars().map(|c| match c.is_uppercase() {
                true => c.to_lowercase().collect::<String>(),
                false => capital(c),
            });
            Ok(swapped.collect::<String>().into())
        },
    ),
    Function::new(
        &["snakecase"],
        "TEXT",
        "the words of a name in small letters, with `_` between them",
        (r#"{{ snakecase "FirstName" }} {{ snakecase "HTTPServer" }}"#, "first_name http_server"),
        |call| Ok(joined(name(call)?, '_').into()),
    ),
    Function::new(
        &["kebabcase"],
        "TEXT",
        "the words of a name in small letters, with `-` between them",
        (r#"{{ kebabcase "FirstName" }}"#, "first-name"),
        |call| Ok(joined(name(call)?, '-').into()),
    ),
    Function::new(
        &["camelcase"],
        "TEXT",
        "the words of a name with a capital each and nothing between them",
        (r#"{{ camelcase "http_server" }}"#, "HttpServer"),
        |call| {
            let words = words(name(call)?);
            Ok(words.iter().map(|word| at_beginnings(word, |_| false, capital)).collect::<String>().into())
        },
    ),
];

/// A name, which is short.
fn name<'c>(call: &Call<'c>) -> Result<&'c str, Failure> {
    let name = call.text(0)?;
    check_length(name.len().checked_mul(ELEMENT))?;
    Ok(name)
}

/// What ends a word for Go's strings.Title.
fn separates(c: char) -> bool {
    if c.is_ascii() { !c.is_ascii_alphanumeric() && c != '_' } else { c.is_whitespace() }
}

fn capital(c: char) -> String {
    c.to_uppercase().collect()
}

/// Changes the first character of each word.
fn at_beginnings(text: &str, separates: impl Fn(char) -> bool, change: impl Fn(char) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut begins = true;
    for c in text.chars() {
        if begins && !separates(c) {
            out.push_str(&change(c));
        } else {
            out.push(c);
        }
        begins = separates(c);
    }
    out
}

fn joined(text: &str, separator: char) -> String {
    words(text).join(&separator.to_string())
}

/// The words of a name in small letters: `HTTPServer`, `http_server`, `http-server` have the same two.
///
/// A word ends before a capital that follows a small letter or a digit, before the last of several capitals when
/// a small letter follows it, and before digits that small letters follow (`http2xx` is `http` and `2xx`).
fn words(text: &str) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let mut words = vec![String::new()];
    for (index, &c) in characters.iter().enumerate() {
        if matches!(c, '_' | '-' | ' ') {
            words.push(String::new());
            continue;
        }
        let before = index.checked_sub(1).map(|before| characters[before]);
        let next = characters.get(index + 1);
        let in_number = words.last().is_some_and(|word| word.starts_with(|c: char| c.is_numeric()));
        let begins = match before {
            Some(before) if c.is_uppercase() => {
                !before.is_uppercase() || next.is_some_and(|next| next.is_lowercase())
            }
            Some(before) if c.is_numeric() && !before.is_numeric() && !in_number => {
                let after = characters[index..].iter().find(|c| !c.is_numeric());
                after.is_some_and(|c| c.is_lowercase())
            }
            _ => false,
        };
        if begins {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut() {
            word.extend(c.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The samples of xstrings, which sprig uses.
    #[test]
    fn names_fall_into_words() {
        for (name, expected) in [
            ("FirstName", "first_name"),
            ("HTTPServer", "http_server"),
            ("NoHTTPS", "no_https"),
            ("GO_PATH", "go_path"),
            ("GO PATH", "go_path"),
            ("GO-PATH", "go_path"),
            ("http2xx", "http_2xx"),
            ("HTTP20xOK", "http_20x_ok"),
            ("Duration2m3s", "duration_2m3s"),
            ("Bld4Floor3rd", "bld4_floor_3rd"),
            ("", ""),
            ("__", ""),
        ] {
            assert_eq!(joined(name, '_'), expected, "{name}");
        }
    }
}
