//! Base64 and base32. What decodes to bytes that are not text is an error.

use super::Function;
use crate::template::failure::Failure;
use crate::template::value::Value;

pub(super) const FUNCTIONS: &[Function] = &[
    Function::new(&["b64enc"], "TEXT", "the text in base64", (r#"{{ b64enc "hi" }}"#, "aGk="), |call| {
        Ok(base64(call.text(0)?.as_bytes()).into())
    }),
    Function::new(
        &["b64dec"],
        "TEXT",
        "the text that base64 stands for",
        (r#"{{ b64dec "aGk=" }}"#, "hi"),
        |call| decoded(decode(call.text(0)?, BASE64, 6), "base64"),
    ),
    Function::new(&["b32enc"], "TEXT", "the text in base32", (r#"{{ b32enc "hi" }}"#, "NBUQ===="), |call| {
        Ok(encode(call.text(0)?.as_bytes(), BASE32, 5).into())
    }),
    Function::new(
        &["b32dec"],
        "TEXT",
        "the text that base32 stands for",
        (r#"{{ b32dec "NBUQ====" }}"#, "hi"),
        |call| decoded(decode(call.text(0)?, BASE32, 5), "base32"),
    ),
];

const BASE64: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Base64 of bytes.
pub(super) fn base64(bytes: &[u8]) -> String {
    encode(bytes, BASE64, 6)
}

fn decoded(bytes: Option<Vec<u8>>, notation: &str) -> Result<Value, Failure> {
    let bytes = bytes.ok_or_else(|| format!("the text is not {notation}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "what is encoded is not text")?;
    Ok(text.into())
}

/// How many characters stand for a whole number of bytes.
fn group(bits: u32) -> usize {
    if bits == 6 { 4 } else { 8 }
}

/// Letters of so many bits each, the first bits first, filled up with `=`.
fn encode(bytes: &[u8], alphabet: &[u8], bits: u32) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    let (mut buffer, mut filled) = (0u32, 0);
    let letter = |value: u32| char::from(alphabet[value as usize & (alphabet.len() - 1)]);
    for &byte in bytes {
        buffer = buffer << 8 | u32::from(byte);
        filled += 8;
        while filled >= bits {
            filled -= bits;
            out.push(letter(buffer >> filled));
        }
        buffer &= (1 << filled) - 1;
    }
    if filled > 0 {
        out.push(letter(buffer << (bits - filled)));
    }
    while !out.len().is_multiple_of(group(bits)) {
        out.push('=');
    }
    out
}

/// The reverse. As in Go, line breaks do not count, and the padding must be there.
fn decode(text: &str, alphabet: &[u8], bits: u32) -> Option<Vec<u8>> {
    let text: String = text.chars().filter(|c| !matches!(c, '\r' | '\n')).collect();
    let letters = text.trim_end_matches('=');
    let padding = text.len() - letters.len();
    let whole = text.len().is_multiple_of(group(bits)) && padding < group(bits);
    // Letters that end within a byte which they do not fill cannot come from encoding.
    if !whole || letters.len() * bits as usize % 8 >= bits as usize {
        return None;
    }
    let mut out = Vec::with_capacity(letters.len());
    let (mut buffer, mut filled) = (0u32, 0);
    for letter in letters.bytes() {
        let value = alphabet.iter().position(|&known| known == letter)?;
        buffer = buffer << bits | value as u32;
        filled += bits;
        if filled >= 8 {
            filled -= 8;
            out.push((buffer >> filled) as u8);
        }
        buffer &= (1 << filled) - 1;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The samples of RFC 4648.
    #[test]
    fn encodes_and_decodes() {
        for (text, in_64, in_32) in [
            ("", "", ""),
            ("f", "Zg==", "MY======"),
            ("fo", "Zm8=", "MZXQ===="),
            ("foo", "Zm9v", "MZXW6==="),
            ("foob", "Zm9vYg==", "MZXW6YQ="),
            ("fooba", "Zm9vYmE=", "MZXW6YTB"),
            ("foobar", "Zm9vYmFy", "MZXW6YTBOI======"),
        ] {
            assert_eq!(base64(text.as_bytes()), in_64);
            assert_eq!(encode(text.as_bytes(), BASE32, 5), in_32);
            assert_eq!(decode(in_64, BASE64, 6).as_deref(), Some(text.as_bytes()));
            assert_eq!(decode(in_32, BASE32, 5).as_deref(), Some(text.as_bytes()));
        }
        for wrong in ["Z", "Zg", "Zg=", "Zg===", "Z===", "Zm9v!", "====", "Zm=v"] {
            assert_eq!(decode(wrong, BASE64, 6), None, "{wrong}");
        }
    }
}
