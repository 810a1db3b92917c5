//! Digests: the names of contents, by which they are verified.

use super::failure::Reason;
use anyhow::{Result, bail};
use sha2::{Digest as _, Sha256, Sha512};
use std::fmt;
use std::io::{self, Read};

/// `sha256:…` or `sha512:…`.
#[derive(Clone, PartialEq, Eq)]
pub struct Digest(String);

impl Digest {
    /// Reads a digest.
    pub fn parse(text: &str) -> Result<Self> {
        let (algorithm, digits) = text.split_once(':').unwrap_or(("", text));
        let length = match algorithm {
            "sha256" => 64,
            "sha512" => 128,
            _ => bail!("{text:?} is no digest of the form sha256:…"),
        };
        if digits.len() != length || !digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            bail!("{text:?} is no digest: {algorithm} has {length} digits from 0 to 9 and a to f");
        }
        Ok(Self(text.to_owned()))
    }

    /// The SHA-256 digest of the bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(format!("sha256:{}", hexadecimal(&Sha256::digest(bytes))))
    }

    /// The SHA-256 digest of all that can be read, and how much that is.
    pub(crate) fn of_all(
        mut input: impl Read,
        mut go_on: impl FnMut() -> io::Result<()>,
    ) -> io::Result<(Self, u64)> {
        let (mut hasher, mut size, mut buffer) = (Sha256::new(), 0, vec![0; 256 << 10]);
        loop {
            go_on()?;
            match input.read(&mut buffer) {
                Ok(0) => return Ok((Self(format!("sha256:{}", hexadecimal(&hasher.finalize()))), size)),
                Ok(count) => {
                    hasher.update(&buffer[..count]);
                    size += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// The digest as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where a layout keeps the content: `sha256/…`.
    pub(super) fn path(&self) -> String {
        self.0.replacen(':', "/", 1)
    }

    /// Begins the comparison of a content with it.
    pub(crate) fn check(&self) -> Check {
        let hasher = match self.0.starts_with("sha512") {
            true => Hasher::Sha512(Sha512::new()),
            false => Hasher::Sha256(Sha256::new()),
        };
        Check { digest: self.clone(), hasher }
    }

    /// Fails unless the bytes have this digest.
    pub(crate) fn verify(&self, bytes: &[u8]) -> Result<()> {
        let mut check = self.check();
        check.update(bytes);
        Ok(check.finish()?)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The comparison of a content with a digest, piece by piece.
pub(crate) struct Check {
    digest: Digest,
    hasher: Hasher,
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
}

impl Check {
    /// Takes the next piece.
    pub(crate) fn update(&mut self, piece: &[u8]) {
        match &mut self.hasher {
            Hasher::Sha256(hasher) => hasher.update(piece),
            Hasher::Sha512(hasher) => hasher.update(piece),
        }
    }

    /// Fails unless the pieces had the digest.
    pub(crate) fn finish(self) -> io::Result<()> {
        let (algorithm, found) = match self.hasher {
            Hasher::Sha256(hasher) => ("sha256", hexadecimal(&hasher.finalize())),
            Hasher::Sha512(hasher) => ("sha512", hexadecimal(&hasher.finalize())),
        };
        let (found, expected) = (format!("{algorithm}:{found}"), self.digest);
        if found != expected.0 {
            let what = format!("the content is not what its digest says: {found} instead of {expected}");
            return Err(Reason::Content.io(what));
        }
        Ok(())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A content that is verified as it is read: its end is an error unless it has the size and the digest.
pub(crate) struct Verified<R> {
    input: R,
    left: u64,
    check: Option<Check>,
}

impl<R: Read> Verified<R> {
    /// The content that is read from there.
    pub(crate) fn new(input: R, size: u64, digest: &Digest) -> Self {
        Self { input, left: size, check: Some(digest.check()) }
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        let wrong = |what: &str| Err(Reason::Content.io(what));
        let count = self.input.read(buffer)?;
        if count as u64 > self.left {
            return wrong("the content is larger than its description says");
        }
        self.left -= count as u64;
        match &mut self.check {
            Some(check) if count > 0 => check.update(&buffer[..count]),
            None if count > 0 => return wrong("the content goes on behind its end"),
            check if self.left == 0 => check.take().map_or(Ok(()), Check::finish)?,
            _ => return wrong("the content is smaller than its description says"),
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF_NOTHING: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digests_are_read_strictly_because_they_become_paths() {
        assert_eq!(Digest::of(b"").as_str(), OF_NOTHING);
        assert_eq!(Digest::parse(OF_NOTHING).unwrap().path(), OF_NOTHING.replace(':', "/"));
        let upper = OF_NOTHING.to_uppercase();
        for wrong in ["", "sha256:", "sha256:../../x", "md5:d41d8cd98f00b204e9800998ecf8427e", &upper] {
            assert!(Digest::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Digest::parse(&format!("sha512:{}", "0".repeat(128))).is_ok());
    }

    #[test]
    fn a_content_is_read_whole_or_ends_in_an_error() {
        let read = |content: &[u8], size, digest: &Digest| {
            let mut read = Vec::new();
            let result = Verified::new(content, size, digest).read_to_end(&mut read);
            result.map(|_| read).map_err(|error| error.to_string())
        };
        let digest = Digest::of(b"abc");
        assert_eq!(read(b"abc", 3, &digest).unwrap(), b"abc");
        assert!(read(b"abcd", 3, &digest).unwrap_err().contains("larger"));
        assert!(read(b"ab", 3, &digest).unwrap_err().contains("smaller"));
        assert!(read(b"abd", 3, &digest).unwrap_err().contains("not what its digest says"));
        assert_eq!(read(b"", 0, &Digest::of(b"")).unwrap(), b"");
    }
}
