//! What may stand in a field of an account database, and what a user or group may be called.

use anyhow::{Result, bail};
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Findings, Shape};

/// A number that stands for no user or group: `(uid_t) -1`.
pub const NO_ID: u32 = u32::MAX;

/// The longest name that every program copes with.
const LONGEST_NAME: usize = 32;

/// Refuses what would break the line: `:` and control characters. The value is not quoted, it may be secret.
pub fn check_value(what: &str, value: &str) -> Result<()> {
    if value.contains(':') || value.chars().any(char::is_control) {
        bail!("the {what} must not hold `:`, line breaks or other control characters");
    }
    Ok(())
}

/// Refuses names that shadow-utils would not give to a new user or group. What is only unwise comes back as
/// a warning.
pub fn check_name(name: &str) -> Result<Option<String>> {
    let body = name.strip_suffix('$').unwrap_or(name);
    let mut characters = body.chars();
    let begins = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    if !begins || !characters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-')) {
        bail!(
            "{name:?} cannot be the name of a user or group: it begins with a letter or `_`, and goes on with \
             letters, digits, `_`, `.` and `-`"
        );
    }
    if name.len() > 255 {
        bail!("a name of {} characters is too long for a user or group", name.len());
    }
    if name.len() > LONGEST_NAME {
        return Ok(Some(format!("`{name}` is longer than {LONGEST_NAME} characters: some programs cut it")));
    }
    if name.contains(|c: char| c.is_ascii_uppercase()) {
        return Ok(Some(format!("`{name}` has upper-case letters: some programs do not cope with them")));
    }
    Ok(None)
}

/// Reads the number of a user or group; `4294967295` stands for none and is no number.
pub fn parse_id(text: &[u8]) -> Option<u32> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(text).ok()?.parse().ok().filter(|id| *id != NO_ID)
}

/// Names that are written as a list, or in one text with commas between them, as cloud-init allows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names(Vec<String>);

impl Names {
    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

impl Decode for Names {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let list = match &node.value {
            Value::Scalar(_) => names(&String::decode(node, findings)?).map(str::to_owned).collect(),
            _ => Vec::<String>::decode(node, findings)?,
        };
        Some(Self(list.into_iter().filter(|name| !name.is_empty()).collect()))
    }

    fn shape() -> Shape {
        Vec::<String>::shape().or(Shape::text("text with commas between names"))
    }
}

/// The names in a list such as `wheel,users`, those that are there.
pub fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_users_follow_shadow_utils() {
        for good in ["a", "_apt", "alice.b-c_d9", "machine$", "systemd-network"] {
            assert_eq!(check_name(good).unwrap(), None, "{good}");
        }
        for warned in ["Alice", &"a".repeat(33)] {
            assert!(check_name(warned).unwrap().is_some(), "{warned}");
        }
        for bad in
            ["", "$", "1000", "-x", ".", "..", "a b", "a:b", "a\nb", "a/b", "jörg", "a$b", &"a".repeat(300)]
        {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_that_would_break_the_line_are_refused_without_being_quoted() {
        for bad in ["CANARY:0", "CANARY\n", "CANARY\0", "CANARY\r", "\u{85}CANARY"] {
            let error = check_value("gecos", bad).unwrap_err().to_string();
            assert!(!error.contains("CANARY"), "{error}");
        }
        check_value("gecos", "Jörg Müller,Room 3,\"quoted\"").unwrap();
    }

    #[test]
    fn numbers_are_those_of_the_kernel_except_minus_one() {
        assert_eq!(parse_id(b"0"), Some(0));
        assert_eq!(parse_id(b"4294967294"), Some(4_294_967_294));
        for bad in ["4294967295", "4294967296", "-1", "+1", " 1", "1 ", "", "x", "99999999999999999999"] {
            assert_eq!(parse_id(bad.as_bytes()), None, "{bad:?}");
        }
    }
}
