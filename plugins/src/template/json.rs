//! JSON, read and written as Go's encoding/json does.

use super::failure::Failure;
use super::number;
use super::value::{self, MAX_DEPTH, Value};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::rc::Rc;

/// How JSON is written.
#[derive(Clone, Copy)]
pub(super) struct Style {
    /// On several lines.
    pub(super) indent: bool,
    /// `<`, `>` and `&` as escapes.
    pub(super) escape_html: bool,
}

/// Writes a value, which must have been weighed.
pub(super) fn write(value: &Value, style: Style) -> Result<String, Failure> {
    let mut out = String::new();
    write_value(value, style, 0, &mut out)?;
    Ok(out)
}

fn write_value(value: &Value, style: Style, depth: usize, out: &mut String) -> Result<(), Failure> {
    let line = |depth: usize, out: &mut String| {
        if style.indent {
            out.push('\n');
            out.extend(std::iter::repeat_n("  ", depth));
        }
    };
    match value {
        Value::Absent | Value::Nil => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Int(value) => out.push_str(&value.to_string()),
        Value::Float(value) if !value.is_finite() => return Err("JSON has no such number".into()),
        Value::Float(value) => out.push_str(&write_float(*value)),
        Value::Text(text) => write_text(text, style, out),
        Value::Time(time) => write_text(&time.format("2006-01-02T15:04:05.999999999Z07:00"), style, out),
        Value::List(list) if list.is_empty() => out.push_str("[]"),
        Value::List(list) => {
            for (index, value) in list.iter().enumerate() {
                out.push(if index == 0 { '[' } else { ',' });
                line(depth + 1, out);
                write_value(value, style, depth + 1, out)?;
            }
            line(depth, out);
            out.push(']');
        }
        Value::Map(map) if map.entries().is_empty() => out.push_str("{}"),
        Value::Map(map) => {
            for (index, (key, value)) in map.entries().iter().enumerate() {
                out.push(if index == 0 { '{' } else { ',' });
                line(depth + 1, out);
                write_text(key, style, out);
                out.push_str(if style.indent { ": " } else { ":" });
                write_value(value, style, depth + 1, out)?;
            }
            line(depth, out);
            out.push('}');
        }
    }
    Ok(())
}

/// As JavaScript writes numbers: an exponent only for very small and very large ones.
fn write_float(value: f64) -> String {
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        let text = number::shortest(value);
        // 1e-09 becomes 1e-9.
        return text.replace("e-0", "e-");
    }
    format!("{value}")
}

fn write_text(text: &str, style: Style, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        let _ = match c {
            '"' | '\\' => write!(out, "\\{c}"),
            '\x08' => out.write_str("\\b"),
            '\x0c' => out.write_str("\\f"),
            '\n' => out.write_str("\\n"),
            '\r' => out.write_str("\\r"),
            '\t' => out.write_str("\\t"),
            '\0'..='\x1f' | '\u{2028}' | '\u{2029}' => write!(out, "\\u{:04x}", u32::from(c)),
            '<' | '>' | '&' if style.escape_html => write!(out, "\\u{:04x}", u32::from(c)),
            c => out.write_char(c),
        };
    }
    out.push('"');
}

/// Reads JSON. All numbers are fractional, and of two equal keys the later counts.
pub(super) fn parse(text: &str) -> Result<Value, Failure> {
    // Refused before it is made: JSON is shorter than the values it stands for.
    let elements = text.bytes().filter(|byte| matches!(byte, b',' | b'[' | b'{')).count();
    value::check_weight(elements * value::ELEMENT)?;
    let mut reader = Reader { text, at: 0 };
    let value = reader.value(0).ok_or_else(|| reader.failure())?;
    reader.skip_space();
    if reader.at < text.len() { Err(reader.failure()) } else { Ok(value) }
}

struct Reader<'t> {
    text: &'t str,
    at: usize,
}

impl Reader<'_> {
    fn failure(&self) -> Failure {
        format!("the text is not JSON, from byte {} on", self.at).into()
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        self.skip_space();
        match self.peek()? {
            b'{' if depth < MAX_DEPTH => self.object(depth),
            b'[' if depth < MAX_DEPTH => self.array(depth),
            b'"' => self.string().map(Value::from),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Nil),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let mut entries: BTreeMap<Rc<str>, Value> = BTreeMap::new();
        self.at += 1;
        if self.takes(b'}') {
            return Some(Value::map(entries));
        }
        loop {
            self.skip_space();
            let key = self.string()?;
            if !self.takes(b':') {
                return None;
            }
            entries.insert(key.into(), self.value(depth + 1)?);
            if self.takes(b'}') {
                return Some(Value::map(entries));
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        let mut values = Vec::new();
        self.at += 1;
        if self.takes(b']') {
            return Some(values.into());
        }
        loop {
            values.push(self.value(depth + 1)?);
            if self.takes(b']') {
                return Some(values.into());
            }
            if !self.takes(b',') {
                return None;
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        if self.peek()? != b'"' {
            return None;
        }
        self.at += 1;
        let mut out = String::new();
        loop {
            let rest = &self.text[self.at..];
            let plain = rest.find(|c: char| c == '"' || c == '\\' || c < ' ')?;
            out.push_str(&rest[..plain]);
            self.at += plain;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(out);
                }
                b'\\' => self.escape(&mut out)?,
                _ => return None,
            }
        }
    }

    fn escape(&mut self, out: &mut String) -> Option<()> {
        let escape = *self.text.as_bytes().get(self.at + 1)?;
        let c = match escape {
            b'"' | b'\\' | b'/' => char::from(escape),
            b'b' => '\x08',
            b'f' => '\x0c',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = self.unit(self.at)?;
                self.at += 6;
                let pair = (0xd800..0xdc00).contains(&unit).then(|| self.unit(self.at)).flatten();
                let c = match pair {
                    Some(low @ 0xdc00..0xe000) => {
                        self.at += 6;
                        char::from_u32(0x1_0000 + ((unit - 0xd800) << 10) + (low - 0xdc00))
                    }
                    _ => char::from_u32(unit),
                };
                // As in Go, half of a pair becomes the sign for what cannot be shown.
                out.push(c.unwrap_or('\u{fffd}'));
                return Some(());
            }
            _ => return None,
        };
        self.at += 2;
        out.push(c);
        Some(())
    }

    /// The number in `\u12ab`.
    fn unit(&self, at: usize) -> Option<u32> {
        let escape = self.text.get(at..at + 6)?;
        let digits =
            escape.strip_prefix("\\u").filter(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Option<Value> {
        let rest = &self.text[self.at..];
        let length = rest.bytes().take_while(|b| b.is_ascii_digit() || b"+-.eE".contains(b)).count();
        let number = &rest[..length];
        let digits = number.strip_prefix('-').unwrap_or(number).as_bytes();
        let valid = match digits {
            [b'0', second, ..] => !second.is_ascii_digit(),
            [first, ..] => first.is_ascii_digit(),
            [] => false,
        };
        let dots =
            number.find('.').is_none_or(|dot| number.as_bytes().get(dot + 1).is_some_and(u8::is_ascii_digit));
        let value: f64 = (valid && dots).then(|| number.parse().ok())??;
        self.at += length;
        value.is_finite().then_some(value.into())
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        let found = self.text[self.at..].starts_with(word);
        self.at += if found { word.len() } else { 0 };
        found.then_some(value)
    }

    fn takes(&mut self, byte: u8) -> bool {
        self.skip_space();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn skip_space(&mut self) {
        while self.peek().is_some_and(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: Style = Style { indent: false, escape_html: false };

    #[test]
    fn reads_and_writes() {
        for (text, expected) in [
            ("null", "null"),
            (" [ 1 , 2.5, -3e2, 1e-7, 1e21 ] ", "[1,2.5,-300,1e-7,1e+21]"),
            (r#"{"b": {}, "a": [], "b": true}"#, r#"{"a":[],"b":true}"#),
            (r#""a\"\\\/\n\u00e9\ud83d\ude00\ud800""#, "\"a\\\"\\\\/\\n\u{e9}\u{1f600}\u{fffd}\""),
            (r#""\u0001\u2028""#, r#""\u0001\u2028""#),
        ] {
            assert_eq!(write(&parse(text).unwrap(), RAW).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn refuses_what_is_not_json() {
        for text in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "{a:1}",
            "\"a",
            "\"\n\"",
            "01",
            "1.",
            "+1",
            ".5",
            "tru",
            "1 2",
            "\"\\x\"",
            "1e999",
            "[1 2]",
            "-",
            "\"\\u12\"",
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"[".repeat(100_000)).is_err());
    }
}
