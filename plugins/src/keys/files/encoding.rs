//! How the content of a file is written in a document: as it is, as base64, as gzip, or as base64 of gzip.

use anyhow::{Context, Result, anyhow, bail};
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use base64::{DecodeError, Engine};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape};
use std::io::Read;

/// Content that unpacks to more than this many bytes is refused.
const UNPACKED_LIMIT: u64 = 64 << 20;

/// The base64 of RFC 4648, section 4; padding may be missing.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The layers around a content, from the outside to the inside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Encoding {
    base64: bool,
    gzip: bool,
}

impl Decode for Encoding {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let name = String::decode(node, findings)?;
        let (base64, gzip) = match name.trim() {
            "" | "text/plain" => (false, false),
            "b64" | "base64" => (true, false),
            "gz" | "gzip" => (false, true),
            "gz+b64" | "gz+base64" | "gzip+b64" | "gzip+base64" => (true, true),
            other => {
                findings.error(node.span, format!("unknown encoding {other:?}")).help(
                    "the encodings are b64, base64, gz, gzip, gz+b64, gz+base64, gzip+b64 and gzip+base64",
                );
                return None;
            }
        };
        Some(Self { base64, gzip })
    }

    fn shape() -> Shape {
        Shape::Choice(&["", "b64", "base64", "gz", "gzip", "gz+b64", "gz+base64", "gzip+b64", "gzip+base64"])
    }
}

impl Encoding {
    /// The bytes that a content stands for; nothing when it is not encoded. No error quotes it.
    pub(crate) fn decode(self, content: &str) -> Result<Option<Vec<u8>>> {
        let bytes = match self.base64 {
            true => unpack_base64(content)?,
            false if self.gzip => content.as_bytes().to_vec(),
            false => return Ok(None),
        };
        match self.gzip {
            true => unpack_gzip(&bytes, UNPACKED_LIMIT).map(Some),
            false => Ok(Some(bytes)),
        }
    }
}

/// White space within base64 does not count, nor do its characters in the positions of errors.
fn unpack_base64(content: &str) -> Result<Vec<u8>> {
    let digits: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    // The library looks at the end first: its positions are not of the first mistake.
    let foreign = |byte: &u8| !byte.is_ascii_alphanumeric() && !b"+/=".contains(byte);
    if let Some(at) = digits.iter().position(foreign) {
        bail!("its character {} is none of base64", at + 1);
    }
    BASE64.decode(&digits).map_err(|error| match error {
        DecodeError::InvalidByte(..) | DecodeError::InvalidPadding => {
            anyhow!("the padding of the base64 is wrong")
        }
        DecodeError::InvalidLastSymbol { .. } | DecodeError::InvalidLength(_) => {
            anyhow!("the end of the base64 is missing")
        }
    })
}

/// Unpacks gzip, of one member or more, to at most `limit` bytes.
fn unpack_gzip(bytes: &[u8], limit: u64) -> Result<Vec<u8>> {
    if !bytes.starts_with(b"\x1f\x8b") {
        bail!("it is not gzip (in YAML, gzip needs base64 around it: `encoding: gz+b64`)");
    }
    let mut unpacked = Vec::new();
    flate2::read::MultiGzDecoder::new(bytes)
        .take(limit + 1)
        .read_to_end(&mut unpacked)
        .context("the gzip data is damaged")?;
    if unpacked.len() as u64 > limit {
        bail!("the gzip data unpacks to more than {} MiB", limit >> 20);
    }
    Ok(unpacked)
}

#[cfg(test)]
mod tests {
    use super::{BASE64, Encoding, unpack_gzip};
    use base64::Engine;
    use flate2::{Compression, write::GzEncoder};
    use std::io::Write;

    const B64: Encoding = Encoding { base64: true, gzip: false };
    const GZ_B64: Encoding = Encoding { base64: true, gzip: true };

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn error(encoding: Encoding, content: &str) -> String {
        format!("{:#}", encoding.decode(content).unwrap_err())
    }

    #[test]
    fn base64_may_be_broken_into_lines_and_lack_its_padding() {
        for content in ["aGVsbG8=", " aGVs\r\n bG8=\n", "aGVsbG8"] {
            assert_eq!(B64.decode(content).unwrap().unwrap(), b"hello", "{content:?}");
        }
        assert_eq!(B64.decode("").unwrap().unwrap(), b"");
    }

    #[test]
    fn broken_base64_is_an_error_that_does_not_quote_it() {
        assert_eq!(error(B64, "ab\n!!"), "its character 3 is none of base64");
        assert_eq!(error(B64, "hunter2!!"), "its character 8 is none of base64");
        assert_eq!(error(B64, "aGVs=aGVs"), "the padding of the base64 is wrong");
        assert_eq!(error(B64, "aGVsb"), "the end of the base64 is missing");
        assert_eq!(error(B64, "aGVs-_8="), "its character 5 is none of base64");
    }

    #[test]
    fn gzip_of_several_members_is_unpacked_whole() {
        let bytes = [gzip(b"one\n"), gzip(b"two\n")].concat();
        assert_eq!(GZ_B64.decode(&BASE64.encode(bytes)).unwrap().unwrap(), b"one\ntwo\n");
    }

    #[test]
    fn damaged_and_foreign_gzip_are_errors() {
        let mut bytes = gzip(b"hello");
        bytes.truncate(bytes.len() - 6);
        assert!(error(GZ_B64, &BASE64.encode(bytes)).starts_with("the gzip data is damaged"));
        assert!(error(GZ_B64, "aGVsbG8=").starts_with("it is not gzip"));
        assert!(error(Encoding { base64: false, gzip: true }, "hello").starts_with("it is not gzip"));
    }

    #[test]
    fn a_gzip_bomb_is_refused() {
        let bomb = gzip(&vec![0; 1 << 20]);
        assert_eq!(unpack_gzip(&bomb, 1 << 20).unwrap().len(), 1 << 20);
        let error = unpack_gzip(&bomb, (1 << 20) - 1).unwrap_err();
        assert!(error.to_string().starts_with("the gzip data unpacks to more than"), "{error}");
    }
}
