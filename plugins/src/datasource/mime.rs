//! MIME messages, as far as user-data comes in them: headers, nested parts, transfer encodings (RFC 2045, 2046).
//!
//! Parsing never fails: what is damaged is taken as it is.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Parts within parts are looked into this far.
const DEEPEST: usize = 8;
/// No more parts than this are taken.
const MOST: usize = 100;

/// Lenient in what it takes: damaged tails are common.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A part that has no parts itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    /// Its type, in small letters, without parameters: `text/cloud-config`.
    pub(super) kind: String,
    /// Its content, decoded.
    pub(super) content: Vec<u8>,
}

/// The parts of a message, if it is one with parts.
pub(super) fn parts(message: &[u8]) -> Option<Vec<Part>> {
    let (headers, _) = split(message);
    let known = ["content-type", "mime-version", "content-transfer-encoding", "from", "subject"];
    let begins = headers.first().is_some_and(|(name, _)| known.contains(&name.as_str()));
    let kind = value(&headers, "content-type")?;
    if !begins || !kind.trim_start().to_ascii_lowercase().starts_with("multipart/") {
        return None;
    }
    let mut parts = Vec::new();
    collect(message, 0, &mut parts);
    Some(parts)
}

fn collect(message: &[u8], depth: usize, parts: &mut Vec<Part>) {
    if parts.len() >= MOST {
        return;
    }
    let (headers, body) = split(message);
    let kind = value(&headers, "content-type").unwrap_or("text/plain");
    let name = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match parameter(kind, "boundary") {
        Some(boundary) if name.starts_with("multipart/") && depth < DEEPEST => {
            for part in between(body, &boundary) {
                collect(part, depth + 1, parts);
            }
        }
        _ => {
            let encoding = value(&headers, "content-transfer-encoding").unwrap_or_default();
            parts.push(Part { kind: name, content: decode(body, encoding.trim()) });
        }
    }
}

/// The headers, names in small letters, and what follows them.
fn split(message: &[u8]) -> (Vec<(String, String)>, &[u8]) {
    let mut headers: Vec<(String, String)> = Vec::new();
    let mut rest = message;
    while !rest.is_empty() {
        let length = rest.iter().position(|byte| *byte == b'\n').map_or(rest.len(), |at| at + 1);
        let (line, behind) = rest.split_at(length);
        let line = String::from_utf8_lossy(line);
        let text = line.trim_end();
        if text.is_empty() {
            return (headers, behind);
        }
        let first = headers.is_empty();
        match (headers.last_mut(), text.split_once(':')) {
            (Some((_, value)), _) if text.starts_with([' ', '\t']) => {
                value.push(' ');
                value.push_str(text.trim_start());
            }
            (_, Some((name, value))) if !name.contains(char::is_whitespace) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            // mbox(5) begins with such a line.
            _ if first && text.starts_with("From ") => {}
            _ => return (headers, rest),
        }
        rest = behind;
    }
    (headers, rest)
}

fn value<'h>(headers: &'h [(String, String)], name: &str) -> Option<&'h str> {
    headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

/// A parameter of a header: `multipart/mixed; boundary="x"`.
fn parameter(header: &str, name: &str) -> Option<String> {
    let mut quoted = false;
    let fields = header.split(|c: char| {
        quoted ^= c == '"';
        c == ';' && !quoted
    });
    let (_, value) = fields
        .skip(1)
        .filter_map(|field| field.split_once('='))
        .find(|(key, _)| key.trim().eq_ignore_ascii_case(name))?;
    Some(value.trim().trim_matches('"').to_owned()).filter(|value| !value.is_empty())
}

/// What stands between lines of the boundary. The last part may lack its end.
fn between<'m>(body: &'m [u8], boundary: &str) -> Vec<&'m [u8]> {
    let mark = format!("--{boundary}");
    let (mut parts, mut begin, mut at) = (Vec::new(), None, 0);
    for line in body.split_inclusive(|byte| *byte == b'\n') {
        if let Some(behind) = line.trim_ascii_end().strip_prefix(mark.as_bytes())
            && matches!(behind.trim_ascii(), b"" | b"--")
        {
            if let Some(begin) = begin {
                parts.push(without_line_end(&body[begin..at]));
            }
            begin = (behind.trim_ascii() != b"--").then_some(at + line.len());
            if begin.is_none() {
                return parts;
            }
        }
        at += line.len();
    }
    parts.extend(begin.map(|begin| &body[begin..]));
    parts
}

/// The line break before a boundary belongs to the boundary.
fn without_line_end(part: &[u8]) -> &[u8] {
    let part = part.strip_suffix(b"\n").unwrap_or(part);
    part.strip_suffix(b"\r").unwrap_or(part)
}

fn decode(body: &[u8], encoding: &str) -> Vec<u8> {
    if encoding.eq_ignore_ascii_case("base64") {
        let text: Vec<u8> = body.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
        return BASE64.decode(text).unwrap_or_else(|_| body.to_vec());
    }
    if encoding.eq_ignore_ascii_case("quoted-printable") {
        return unquote(body);
    }
    body.to_vec()
}

fn unquote(body: &[u8]) -> Vec<u8> {
    let digit = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let (mut text, mut rest) = (Vec::with_capacity(body.len()), body);
    while let Some((byte, behind)) = rest.split_first() {
        rest = behind;
        match (byte, digit(behind.first()), digit(behind.get(1))) {
            (b'=', Some(high), Some(low)) => {
                text.push((high * 16 + low) as u8);
                rest = &behind[2..];
            }
            (b'=', ..) if behind.starts_with(b"\r\n") => rest = &behind[2..],
            (b'=', ..) if behind.starts_with(b"\n") => rest = &behind[1..],
            _ => text.push(*byte),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(message: &str) -> Option<Vec<(String, String)>> {
        let text = |part: Part| (part.kind, String::from_utf8(part.content).unwrap());
        parts(message.as_bytes()).map(|parts| parts.into_iter().map(text).collect())
    }

    fn pair(kind: &str, content: &str) -> (String, String) {
        (kind.to_owned(), content.to_owned())
    }

    #[test]
    fn parts_of_any_boundary_nested_and_encoded() {
        let message = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed;\r\n boundary=\"==a b;c==\"\r\n\r\npreamble\r\n\
            --==a b;c==\r\nContent-Type: text/cloud-config; charset=\"us-ascii\"\r\nMIME-Version: 1.0\r\n\r\n#cloud-config\r\nx: 1\r\n\r\n\
            --==a b;c==\r\nContent-Type: Multipart/Alternative; boundary=in\r\n\r\n\
            --in\r\nContent-Type: text/x-shellscript\r\nContent-Transfer-Encoding: base64\r\n\r\nIyEvYmlu\r\nL3NoCg==\r\n\
            --in\r\n\r\nplain\r\n--in--\r\n\
            --==a b;c==\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=3Db=\r\nc=zz\r\n\
            --==a b;c==--\r\nepilogue\r\n";
        let expected = vec![
            pair("text/cloud-config", "#cloud-config\r\nx: 1\r\n"),
            pair("text/x-shellscript", "#!/bin/sh\n"),
            pair("text/plain", "plain"),
            pair("text/plain", "a=bc=zz"),
        ];
        assert_eq!(seen(message), Some(expected));
        let cut = "Content-Type: multipart/mixed; boundary=b\n\n--b\n\nwithout an end\n";
        assert_eq!(seen(cut), Some(vec![pair("text/plain", "without an end\n")]));
    }

    #[test]
    fn what_is_no_message_is_none() {
        for other in
            ["", "#cloud-config\na: b\n", "#!/bin/sh\n", "stages: {}\n", "Content-Type: text/plain\n\nx"]
        {
            assert_eq!(seen(other), None, "{other}");
        }
        let comment = "# x\nContent-Type: multipart/mixed; boundary=b\n\n--b\n\nx\n--b--\n";
        assert_eq!(seen(comment), None);
    }

    #[test]
    fn nesting_and_numbers_are_bounded() {
        let deep = "Content-Type: multipart/mixed; boundary=b\n\n--b\n".repeat(1000);
        assert!(seen(&deep).unwrap().len() <= MOST);
        let many = format!("Content-Type: multipart/mixed; boundary=b\n\n{}", "--b\n\nx\n".repeat(10_000));
        assert_eq!(seen(&many).unwrap().len(), MOST);
    }
}
