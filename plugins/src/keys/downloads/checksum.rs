//! What the content of a file must add up to.

use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Spanned};
use sha2::{Digest, Sha256, Sha512};
use std::fmt::Write as _;

/// What the content of a file must add up to: `sha256:` or `sha512:` and hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    is_long: bool,
    digits: String,
}

/// The sum of what was seen so far.
pub(super) enum Sum {
    Short(Sha256),
    Long(Sha512),
}

impl Checksum {
    fn parse(text: &str) -> Option<Self> {
        let (kind, digits) = text.trim().split_once(':')?;
        let (is_long, length) = match kind.to_ascii_lowercase().as_str() {
            "sha256" => (false, 64),
            "sha512" => (true, 128),
            _ => return None,
        };
        let fits = digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
        fits.then(|| Self { is_long, digits: digits.to_ascii_lowercase() })
    }

    /// The sum of nothing.
    pub(super) fn begin(&self) -> Sum {
        if self.is_long { Sum::Long(Sha512::new()) } else { Sum::Short(Sha256::new()) }
    }

    /// Whether it is the sum that it should be.
    pub(super) fn fits(&self, sum: Sum) -> bool {
        self.digits == sum.digits()
    }
}

impl Sum {
    pub(super) fn add(&mut self, piece: &[u8]) {
        match self {
            Self::Short(sum) => sum.update(piece),
            Self::Long(sum) => sum.update(piece),
        }
    }

    pub(super) fn digits(self) -> String {
        let bytes = match self {
            Self::Short(sum) => sum.finalize().to_vec(),
            Self::Long(sum) => sum.finalize().to_vec(),
        };
        bytes.iter().fold(String::new(), |mut digits, byte| {
            let _ = write!(digits, "{byte:02x}");
            digits
        })
    }
}

impl Decode for Checksum {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = Spanned::<String>::decode(node, findings)?;
        let checksum = Self::parse(&text);
        if checksum.is_none() {
            findings.error(node.span, "this is not a checksum").help(
                "write `sha256:` and 64 hexadecimal digits, as sha256sum prints them, or `sha512:` and 128",
            );
        }
        checksum
    }

    fn shape() -> Shape {
        Shape::matching("checksum", "^(sha256:[0-9a-fA-F]{64}|sha512:[0-9a-fA-F]{128})$")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_is_that_of_the_whole_content() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let checksum = Checksum::parse(&format!(" SHA256:{}", empty.to_uppercase())).unwrap();
        assert!(checksum.fits(checksum.begin()));
        let mut sum = checksum.begin();
        sum.add(b"x");
        assert!(!checksum.fits(sum));
        let long = Checksum::parse(&format!("sha512:{}", "0".repeat(128))).unwrap();
        assert_eq!(long.begin().digits().len(), 128);
        for bad in
            ["", "sha256:", "md5:00", &format!("sha256:{}g", &empty[1..]), empty, &format!("sha512:{empty}")]
        {
            assert_eq!(Checksum::parse(bad), None, "{bad}");
        }
    }
}
