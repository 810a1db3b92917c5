//! What the text of a scalar means where a boolean or a number is wanted, by the rules of yaml.v3.
//!
//! Deviations, both unambiguous: the words of YAML 1.1 are booleans in each of their capitalisations and within
//! quotes too, and a number in quotes is read when it is decimal without a leading zero.

use crate::yaml::{Scalar, Style};

/// `true`, `yes`, `on`, `y` and their opposites.
pub(crate) fn boolean(scalar: &Scalar) -> Option<bool> {
    match &*scalar.text {
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => Some(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => Some(false),
        _ => None,
    }
}

/// A whole number.
pub(crate) fn integer(scalar: &Scalar) -> Option<i128> {
    let text = &*scalar.text;
    if scalar.style == Style::Plain {
        return plain_integer(text);
    }
    let decimal = text == "0" || !text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit());
    if decimal { text.parse().ok() } else { None }
}

/// `5`, `+5`, `-5`, `1_000`, `0644`, `0o644`, `0x1a4`, `0b110`.
fn plain_integer(text: &str) -> Option<i128> {
    let (negative, unsigned) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digits = unsigned.replace('_', "");
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        Some(two) if two.starts_with('0') => (8, &digits[1..]),
        _ => (10, &*digits),
    };
    // from_str_radix would take a second sign.
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit()) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    Some(if negative { -value } else { value })
}

/// Whether a number was meant to be decimal although its leading zero makes it octal: `0888`.
pub(crate) fn broken_octal(text: &str) -> bool {
    text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scalar(text: &str, style: Style) -> Scalar {
        Scalar { text: text.into(), style }
    }

    #[test]
    fn integers_are_read_as_yaml_v3_reads_them() {
        for (text, value) in [
            ("0", Some(0)),
            ("-0", Some(0)),
            ("420", Some(420)),
            ("+5", Some(5)),
            ("-5", Some(-5)),
            ("0644", Some(0o644)),
            ("0o644", Some(0o644)),
            ("0O644", Some(0o644)),
            ("-0644", Some(-0o644)),
            ("0x1a4", Some(0x1a4)),
            ("0X1A4", Some(0x1a4)),
            ("0b110", Some(6)),
            ("1_000", Some(1000)),
            ("0_644", Some(0o644)),
            ("18446744073709551615", Some(u64::MAX.into())),
            ("0888", None),
            ("0x", None),
            ("0x-1", None),
            ("0o+1", None),
            ("+-5", None),
            ("_1", None),
            ("", None),
            ("-", None),
            ("1e3", None),
            ("1.0", None),
            ("1k", None),
            ("é", None),
            ("0é", None),
            ("999999999999999999999999999999999999999999", None),
        ] {
            assert_eq!(integer(&scalar(text, Style::Plain)), value, "{text}");
        }
    }

    #[test]
    fn a_quoted_integer_is_read_when_it_can_only_mean_one_thing() {
        for (text, value) in [("0", Some(0)), ("1000", Some(1000)), ("0644", None), ("0x1", None), ("", None)]
        {
            assert_eq!(integer(&scalar(text, Style::Quoted)), value, "{text}");
        }
    }

    #[test]
    fn booleans_are_the_words_of_yaml_1_1_in_or_out_of_quotes() {
        for style in [Style::Plain, Style::Quoted] {
            for text in ["true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON", "y", "Y"] {
                assert_eq!(boolean(&scalar(text, style)), Some(true), "{text}");
            }
            for text in ["false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF", "n", "N"] {
                assert_eq!(boolean(&scalar(text, style)), Some(false), "{text}");
            }
            for text in ["", "1", "0", "tRUE", "yep", "~"] {
                assert_eq!(boolean(&scalar(text, style)), None, "{text}");
            }
        }
    }
}
