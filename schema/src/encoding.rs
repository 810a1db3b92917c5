//! From bytes to the text that everything else takes.

use crate::{Diagnostic, Findings, Origin, Span};

/// The text in the content of a file, or the error that says where it stops to be UTF-8.
pub fn text_of<'b>(bytes: &'b [u8], origin: &Origin) -> Result<&'b str, Box<Diagnostic>> {
    let error = match std::str::from_utf8(bytes) {
        Ok(text) => return Ok(text),
        Err(error) => error,
    };
    let mut findings = Findings::new(origin.clone());
    let finding = if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        findings.error(None, "the text is encoded as UTF-16").help("save it as UTF-8")
    } else if bytes.starts_with(&[0x1f, 0x8b]) {
        findings.error(None, "this is gzip-compressed data, not a text").help("decompress it")
    } else {
        let at = error.error_len().unwrap_or(bytes.len() - error.valid_up_to());
        let span = place(&bytes[..error.valid_up_to()], at);
        findings
            .error(span, format!("the byte 0x{:02x} is not UTF-8", bytes[error.valid_up_to()]))
            .help("save the file as UTF-8, and write binary content as base64 with `encoding: base64`")
    };
    Err(Box::new(finding.clone()))
}

/// The place behind `before`, `length` bytes long.
fn place(before: &[u8], length: usize) -> Span {
    let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
    let lines = before.iter().filter(|byte| **byte == b'\n').count();
    let characters =
        String::from_utf8_lossy(&before[line_start..]).trim_start_matches('\u{feff}').chars().count();
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Span {
        line: narrow(lines + 1),
        column: narrow(characters + 1),
        start: narrow(before.len()),
        end: narrow(before.len() + length),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(bytes: &[u8]) -> String {
        text_of(bytes, &Origin::new("x")).unwrap_err().to_string()
    }

    #[test]
    fn the_first_byte_that_is_not_utf_8_is_named_with_its_place() {
        assert_eq!(text_of("ä".as_bytes(), &Origin::new("x")), Ok("ä"));
        assert!(error(b"a: b\n\xc3\xa4: \xff\n").starts_with("x:2:4: the byte 0xff is not UTF-8; save"));
        assert!(error(b"\xef\xbb\xbfa\xc3").starts_with("x:1:2: the byte 0xc3 is not UTF-8"));
    }

    #[test]
    fn other_encodings_are_recognised() {
        assert_eq!(error(b"\xff\xfea\0"), "x: the text is encoded as UTF-16; save it as UTF-8");
        assert!(error(b"\x1f\x8b\x08").starts_with("x: this is gzip-compressed data"));
    }
}
