//! The tag `!!binary`: base64 in place of a text.

/// The text that base64 stands for; white space within it does not count.
pub(super) fn text(base64: &str) -> Result<String, &'static str> {
    let mut bytes = Vec::with_capacity(base64.len() / 4 * 3);
    let (mut bits, mut held, mut padding) = (0u32, 0, 0);
    for byte in base64.bytes().filter(|byte| !byte.is_ascii_whitespace()) {
        let digit = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                padding += 1;
                continue;
            }
            _ => return Err("`!!binary` is not valid base64"),
        };
        if padding > 0 {
            return Err("`!!binary` is not valid base64");
        }
        bits = bits << 6 | u32::from(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
            bits &= (1 << held) - 1;
        }
    }
    // Padding fills up to whole groups of four digits: 24 bits.
    if bits != 0 || held == 6 || held / 2 != padding {
        return Err("`!!binary` is not valid base64");
    }
    String::from_utf8(bytes).map_err(|_| "`!!binary` holds bytes that are no text")
}
