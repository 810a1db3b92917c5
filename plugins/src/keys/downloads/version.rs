//! Which version of a file a server has.

use crate::system::http::{Request, Response};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// The longest that is remembered, in bytes.
const LONGEST: usize = 1 << 10;

/// Which version of a file a server has, in its own words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Version {
    /// An `ETag`.
    Tag(String),
    /// The time of `Last-Modified`.
    Time(String),
}

impl Version {
    /// The version that was answered, if the server tells.
    pub(super) fn of(response: &Response) -> Option<Self> {
        let header = |name| response.header(name).filter(|value| value.len() <= LONGEST).map(str::to_owned);
        header("etag").map(Self::Tag).or_else(|| header("last-modified").map(Self::Time))
    }

    /// Asks for the content only if it is another version by now.
    pub(super) fn unless_same(&self, request: Request) -> Request {
        match self {
            Self::Tag(tag) => request.header("If-None-Match", tag),
            Self::Time(time) => request.header("If-Modified-Since", time),
        }
    }

    /// What the rest of this version may be asked by. A weak tag is none: it stands for more than one content.
    pub(super) fn strong(&self) -> Option<&str> {
        match self {
            Self::Tag(tag) => (!tag.starts_with("W/")).then_some(tag),
            Self::Time(time) => Some(time),
        }
    }

    /// What is remembered of a file that came from this address in this version. The address is hidden: it may
    /// hold a token.
    pub(super) fn memory(&self, url: &str) -> String {
        match self {
            Self::Tag(tag) => format!("{} tag {tag}", hidden(url)),
            Self::Time(time) => format!("{} time {time}", hidden(url)),
        }
    }

    /// The version that is remembered, if it came from this address.
    pub(super) fn remembered(memory: &[u8], url: &str) -> Option<Self> {
        let rest = str::from_utf8(memory).ok()?.strip_prefix(hidden(url).as_str())?;
        match rest.trim_start().split_once(' ')? {
            ("tag", tag) => Some(Self::Tag(tag.to_owned())),
            ("time", time) => Some(Self::Time(time.to_owned())),
            _ => None,
        }
    }
}

fn hidden(url: &str) -> String {
    Sha256::digest(url).iter().fold(String::new(), |mut digits, byte| {
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_the_version_of_one_address() {
        for version in [Version::Tag("\"a b\"".into()), Version::Time("Sun, 06 Nov 1994 08:49:37 GMT".into())]
        {
            let memory = version.memory("https://h/?token=CANARY");
            assert!(!memory.contains("CANARY"));
            assert_eq!(Version::remembered(memory.as_bytes(), "https://h/?token=CANARY"), Some(version));
            assert_eq!(Version::remembered(memory.as_bytes(), "https://h/"), None);
        }
        assert_eq!(Version::remembered(b"\xff", ""), None);
        assert_eq!(Version::Tag("W/\"1\"".into()).strong(), None);
    }
}
