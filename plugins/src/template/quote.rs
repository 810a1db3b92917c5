//! Quoting: Go's string literals, `%q`, and the escapes of HTML, JavaScript and URL queries.

use std::fmt::Write;

/// The text of a literal in double quotes; `None` when it is not one or not UTF-8.
pub(super) fn unquote(literal: &str) -> Option<String> {
    let inner = literal.strip_prefix('"')?.strip_suffix('"')?;
    if !inner.contains('\\') {
        return Some(inner.to_owned());
    }
    let mut bytes = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        rest = unescape(rest, '"', &mut bytes)?;
    }
    String::from_utf8(bytes).ok()
}

/// The character of a literal in single quotes.
pub(super) fn unquote_character(literal: &str) -> Option<char> {
    let inner = literal.strip_prefix('\'')?.strip_suffix('\'')?;
    let mut bytes = Vec::new();
    if !unescape(inner, '\'', &mut bytes)?.is_empty() {
        return None;
    }
    // A single byte stands for the character with its number.
    if let [byte] = bytes[..] {
        return Some(char::from(byte));
    }
    let text = String::from_utf8(bytes).ok()?;
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// Moves one character or escape to the bytes; answers what is left.
fn unescape<'t>(text: &'t str, quote: char, out: &mut Vec<u8>) -> Option<&'t str> {
    let mut characters = text.chars();
    let first = characters.next()?;
    if first != '\\' {
        let mut buffer = [0; 4];
        out.extend(first.encode_utf8(&mut buffer).as_bytes());
        return Some(characters.as_str());
    }
    let escape = characters.next()?;
    let rest = characters.as_str();
    let coded = |length: usize, radix: u32| {
        let digits = rest.get(..length)?;
        let valid = digits.bytes().all(|b| b.is_ascii_hexdigit());
        Some((valid.then(|| u32::from_str_radix(digits, radix).ok()).flatten()?, &rest[length..]))
    };
    let byte = match escape {
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 0x0b,
        '\\' => b'\\',
        c if c == quote => c as u8,
        'x' => {
            let (code, rest) = coded(2, 16)?;
            out.push(u8::try_from(code).ok()?);
            return Some(rest);
        }
        '0'..='7' => {
            let digits = text.get(1..4)?;
            out.push(u8::from_str_radix(digits, 8).ok()?);
            return Some(&text[4..]);
        }
        'u' | 'U' => {
            let (code, rest) = coded(if escape == 'u' { 4 } else { 8 }, 16)?;
            let mut buffer = [0; 4];
            out.extend(char::from_u32(code)?.encode_utf8(&mut buffer).as_bytes());
            return Some(rest);
        }
        _ => return None,
    };
    out.push(byte);
    Some(rest)
}

/// Go's `%q` of a text.
pub(super) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        escape_character(c, '"', &mut out);
    }
    out.push('"');
    out
}

/// Go's `%q` of a character.
pub(super) fn quote_character(c: char) -> String {
    let mut out = String::from("'");
    escape_character(c, '\'', &mut out);
    out.push('\'');
    out
}

fn escape_character(c: char, quote: char, out: &mut String) {
    let _ = match c {
        '\x07' => out.write_str("\\a"),
        '\x08' => out.write_str("\\b"),
        '\x0c' => out.write_str("\\f"),
        '\n' => out.write_str("\\n"),
        '\r' => out.write_str("\\r"),
        '\t' => out.write_str("\\t"),
        '\x0b' => out.write_str("\\v"),
        '\\' => out.write_str("\\\\"),
        c if c == quote => write!(out, "\\{c}"),
        c if is_printable(c) => out.write_char(c),
        c if u32::from(c) < 0x80 => write!(out, "\\x{:02x}", u32::from(c)),
        c if u32::from(c) < 0x1_0000 => write!(out, "\\u{:04x}", u32::from(c)),
        c => write!(out, "\\U{:08x}", u32::from(c)),
    };
}

/// Nearly `strconv.IsPrint`: Rust's own idea of what a debug string shows, without spaces but the usual one.
pub(super) fn is_printable(c: char) -> bool {
    c == ' ' || c == '\'' || c == '"' || (!c.is_whitespace() && c.escape_debug().len() == 1)
}

/// Go's `html`.
pub(super) fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0' => out.push('\u{fffd}'),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            c => out.push(c),
        }
    }
    out
}

/// Go's `js`.
pub(super) fn javascript(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let _ = match c {
            '\\' | '\'' | '"' => write!(out, "\\{c}"),
            '<' | '>' | '&' | '=' => write!(out, "\\u{:04X}", u32::from(c)),
            c if is_printable(c) => out.write_char(c),
            c => write!(out, "\\u{:04X}", u32::from(c)),
        };
    }
    out
}

/// Go's `urlquery`.
pub(super) fn query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        let _ = match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.write_char(char::from(byte))
            }
            b' ' => out.write_char('+'),
            byte => write!(out, "%{byte:02X}"),
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_literals_as_go_does() {
        for (literal, expected) in [
            (r#""""#, Some("")),
            (r#""a\tb\n""#, Some("a\tb\n")),
            (r#""\"\\""#, Some("\"\\")),
            (r#""\x41\101\u00e9\U0001F4A9x""#, Some("AA\u{e9}\u{1f4a9}x")),
            (r#""\xc3\xa9""#, Some("é")),
            (r#""\xff""#, None),
            (r#""\'""#, None),
            (r#""\q""#, None),
            (r#""\ud800""#, None),
            (r#""\400""#, None),
            (r#""\x4""#, None),
            (r#""\é""#, None),
        ] {
            assert_eq!(unquote(literal).as_deref(), expected, "{literal}");
        }
        assert_eq!(unquote_character("'a'"), Some('a'));
        assert_eq!(unquote_character("'é'"), Some('é'));
        assert_eq!(unquote_character(r"'\n'"), Some('\n'));
        assert_eq!(unquote_character(r"'\''"), Some('\''));
        assert_eq!(unquote_character("''"), None);
        assert_eq!(unquote_character("'ab'"), None);
    }

    #[test]
    fn quotes_as_go_does() {
        assert_eq!(quote("a\"b\\c\n\x01é\u{a0}\u{200b}'"), r#""a\"b\\c\n\x01é\u00a0\u200b'""#);
        assert_eq!(quote_character('\''), r"'\''");
        assert_eq!(html("<a b=\"c\">'&'"), "&lt;a b=&#34;c&#34;&gt;&#39;&amp;&#39;");
        assert_eq!(javascript("a='x'&\n"), r"a\u003D\'x\'\u0026\u000A");
        assert_eq!(query("a b/c?é"), "a+b%2Fc%3F%C3%A9");
    }
}
