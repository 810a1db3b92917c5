//! What user-data is: documents, scripts, or a message with parts of both.

use super::mime;
use anyhow::{Context as _, Result, bail};
use cosette_schema::{Origin, parse};
use std::borrow::Cow;
use std::io::Read;

/// Unpacked user-data of more bytes is refused.
const LARGEST: u64 = 16 << 20;

/// What is in user-data, in its order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    /// Stage documents, and cloud-configs.
    pub(crate) documents: Vec<Vec<u8>>,
    /// What begins with `#!`.
    pub(crate) scripts: Vec<Vec<u8>>,
    /// What cannot be used, in words.
    pub(crate) others: Vec<String>,
}

/// Unpacks what is packed by gzip.
pub(crate) fn unpacked(data: &[u8]) -> Result<Cow<'_, [u8]>> {
    if !data.starts_with(&[0x1f, 0x8b]) {
        return Ok(Cow::Borrowed(data));
    }
    let mut content = Vec::new();
    let decoder = flate2::read::MultiGzDecoder::new(data).take(LARGEST + 1);
    let mut decoder = decoder;
    decoder.read_to_end(&mut content).context("the user-data cannot be unpacked")?;
    if content.len() as u64 > LARGEST {
        bail!("the user-data is larger than 16 MiB once it is unpacked");
    }
    Ok(Cow::Owned(content))
}

/// Tells what is in user-data that is unpacked.
pub(crate) fn contents(data: &[u8]) -> Contents {
    let mut contents = Contents::default();
    match mime::parts(data) {
        None => contents.add("", data, "the user-data is"),
        Some(parts) => {
            for (number, part) in (1..).zip(&parts) {
                let what = format!("part {number} of the user-data, of type {}, is", part.kind);
                match unpacked(&part.content) {
                    Ok(content) => contents.add(&part.kind, &content, &what),
                    Err(error) => contents.others.push(format!("part {number} of the user-data: {error:#}")),
                }
            }
        }
    }
    contents
}

impl Contents {
    /// Adds something by what it begins with; its declared type decides only where that says nothing.
    fn add(&mut self, kind: &str, data: &[u8], what: &str) {
        let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
        if data.trim_ascii().is_empty() {
            return;
        }
        if data.starts_with(b"#!") {
            self.scripts.push(data.to_vec());
        } else if data.starts_with(b"#cloud-config") || kind == "text/cloud-config" || has_stages(data) {
            self.documents.push(data.to_vec());
        } else {
            self.others.push(format!(
                "{what} neither a script (`#!`), nor a cloud-config (`#cloud-config`), nor a document with `stages`: it is \
                 only kept"
            ));
        }
    }
}

fn has_stages(data: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(data) else { return false };
    let (document, _) = parse(text, &Origin::new("user-data"));
    !document.stages.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn gzip(data: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_it_begins_with_decides() {
        let one = |data: &str| {
            let found = contents(data.as_bytes());
            (found.documents.len(), found.scripts.len(), found.others.len())
        };
        assert_eq!(one("#!/bin/sh\n# only comments\n"), (0, 1, 0));
        assert_eq!(one("#cloud-config\nusers: []\n"), (1, 0, 0));
        assert_eq!(one("stages: {boot: [{name: x}]}\n"), (1, 0, 0));
        assert_eq!(one("\u{feff}#cloud-config\n"), (1, 0, 0));
        assert_eq!(one("hello\n"), (0, 0, 1));
        assert_eq!(one("a: b\n"), (0, 0, 1));
        assert_eq!(one(" \n"), (0, 0, 0));
    }

    #[test]
    fn what_is_packed_is_unpacked_also_within_a_message() {
        let config = b"#cloud-config\n";
        assert_eq!(&*unpacked(&gzip(config)).unwrap(), config);
        let mut message =
            b"Content-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/x-other\n\n".to_vec();
        message.extend(gzip(config));
        message.extend(b"\n--b\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n--b\nContent-Type: text/x-include-url\n\nhttp://x\n--b--\n");
        let found = contents(&message);
        assert_eq!((found.documents, found.scripts), (vec![config.to_vec()], vec![b"#!/bin/sh".to_vec()]));
        assert!(
            found.others[0].starts_with("part 3 of the user-data, of type text/x-include-url, is neither")
        );
        assert!(unpacked(b"\x1f\x8bno").is_err());
        let bomb = gzip(&vec![0; (LARGEST + 1) as usize]);
        assert!(unpacked(&bomb).unwrap_err().to_string().contains("larger than 16 MiB"));
    }
}
