//! Numbers as Go writes and reads them.

/// The digits after which there are only zeros in any number.
const ALL_DIGITS: usize = 1100;

/// The fewest digits that give the number back, with an exponent from 1e+06 on: Go's `%v`.
pub(super) fn shortest(value: f64) -> String {
    if let Some(text) = not_finite(value) {
        return text.to_owned();
    }
    let (digits, exponent) = decimal(&format!("{value:e}"));
    if !(-4..6).contains(&exponent) { with_exponent(&digits, exponent, 'e') } else { format!("{value}") }
}

/// `%e`.
pub(super) fn exponential(value: f64, precision: usize) -> String {
    not_finite(value).map_or_else(
        || {
            let (digits, exponent) = decimal(&format!("{value:.*e}", precision.min(ALL_DIGITS)));
            with_exponent(&(digits + &more_zeros(precision)), exponent, 'e')
        },
        str::to_owned,
    )
}

/// `%f`.
pub(super) fn fixed(value: f64, precision: usize) -> String {
    not_finite(value).map_or_else(
        || format!("{value:.*}{}", precision.min(ALL_DIGITS), more_zeros(precision)),
        str::to_owned,
    )
}

/// `%g` with a precision.
pub(super) fn general(value: f64, precision: usize) -> String {
    if let Some(text) = not_finite(value) {
        return text.to_owned();
    }
    let precision = precision.clamp(1, ALL_DIGITS);
    let (digits, exponent) = decimal(&format!("{value:.*e}", precision - 1));
    let threshold = i32::try_from(precision).unwrap_or(i32::MAX);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= threshold {
        with_exponent(&trimmed(&digits), exponent, 'e')
    } else {
        let decimals = usize::try_from(threshold - 1 - exponent).unwrap_or(0);
        trimmed(&format!("{value:.decimals$}"))
    }
}

/// The zeros that are left to be written behind all digits.
fn more_zeros(precision: usize) -> String {
    "0".repeat(precision.saturating_sub(ALL_DIGITS))
}

fn not_finite(value: f64) -> Option<&'static str> {
    match value {
        _ if value.is_nan() => Some("NaN"),
        f64::INFINITY => Some("+Inf"),
        f64::NEG_INFINITY => Some("-Inf"),
        _ => None,
    }
}

/// `-1.25e-7` as (`-1.25`, -7).
fn decimal(text: &str) -> (String, i32) {
    let (digits, exponent) = text.split_once('e').unwrap_or((text, "0"));
    (digits.to_owned(), exponent.parse().unwrap_or(0))
}

fn with_exponent(digits: &str, exponent: i32, letter: char) -> String {
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{digits}{letter}{sign}{:02}", exponent.unsigned_abs())
}

/// A number in a template.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Constant {
    /// Without `.`, exponent or too many digits.
    Int(i64),
    /// With one of them.
    Float(f64),
}

/// Reads a number: decimal, hexadecimal, octal (`0o17`, `017`), binary, `_` between digits, `1e3`, `.5`.
pub(super) fn parse(text: &str) -> Option<Constant> {
    if let Some(value) = parse_int(text) {
        return Some(Constant::Int(value));
    }
    let float = text.contains(['.', 'e', 'E'])
        && text.bytes().any(|b| b.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_digit() || b".eE+-".contains(&b));
    let value = float.then(|| text.parse::<f64>().ok()).flatten()?;
    value.is_finite().then_some(Constant::Float(value))
}

/// Go's `strconv.ParseInt(text, 0, 64)`.
pub(super) fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        Some(_) if lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    let bare = digits.strip_prefix('_').filter(|_| radix != 10).unwrap_or(digits);
    if bare.is_empty() || bare.starts_with(['_', '+', '-']) || bare.ends_with('_') || bare.contains("__") {
        return None;
    }
    let bare = bare.replace('_', "");
    // Parsed with its sign, so that the smallest number is one.
    i64::from_str_radix(&format!("{}{bare}", if negative { "-" } else { "" }), radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_the_fewest_digits_as_go_does() {
        for (value, expected) in [
            (4.0, "4"),
            (0.1, "0.1"),
            (-2.5, "-2.5"),
            (100_000.0, "100000"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (123_456_789.0, "1.23456789e+08"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1e21, "1e+21"),
            (1e100, "1e+100"),
            (-0.0, "-0"),
            (f64::INFINITY, "+Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(shortest(value), expected);
        }
    }

    #[test]
    fn writes_with_a_precision_as_go_does() {
        assert_eq!(exponential(1234.5678, 2), "1.23e+03");
        assert_eq!(exponential(0.0, 6), "0.000000e+00");
        assert_eq!(fixed(1234.5678, 2), "1234.57");
        assert_eq!(fixed(2.0, 0), "2");
        assert_eq!(general(1234.5678, 3), "1.23e+03");
        assert_eq!(general(1234.5678, 6), "1234.57");
        assert_eq!(general(100.0, 6), "100");
    }

    #[test]
    fn reads_numbers_as_go_does() {
        for (text, expected) in [
            ("12", Some(Constant::Int(12))),
            ("-12", Some(Constant::Int(-12))),
            ("+5", Some(Constant::Int(5))),
            ("0", Some(Constant::Int(0))),
            ("0x1F", Some(Constant::Int(31))),
            ("0b11", Some(Constant::Int(3))),
            ("0o17", Some(Constant::Int(15))),
            ("017", Some(Constant::Int(15))),
            ("1_000", Some(Constant::Int(1000))),
            ("0x_ff", Some(Constant::Int(255))),
            ("-9223372036854775808", Some(Constant::Int(i64::MIN))),
            ("9223372036854775808", None),
            ("1.5", Some(Constant::Float(1.5))),
            ("1e3", Some(Constant::Float(1000.0))),
            (".5", Some(Constant::Float(0.5))),
            ("1e999", None),
            ("08", None),
            ("1__0", None),
            ("0x", None),
            ("1i", None),
            ("", None),
            ("+", None),
        ] {
            assert_eq!(parse(text), expected, "{text}");
        }
    }
}
