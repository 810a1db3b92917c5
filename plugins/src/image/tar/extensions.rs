//! What extension headers say of the entry behind them: long names of GNU tar, and everything of pax.

use super::sparse::Map;
use anyhow::{Context, Result, bail};

/// What was said.
#[derive(Debug, Default)]
pub(super) struct Extensions {
    pub(super) name: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) modified: Option<(i64, u32)>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: Map,
}

impl Extensions {
    /// A header of GNU tar that holds a long name.
    pub(super) fn long_name(&mut self, content: Vec<u8>) {
        self.name = Some(terminated(content));
    }

    /// A header of GNU tar that holds the long target of a link.
    pub(super) fn long_link(&mut self, content: Vec<u8>) {
        self.link = Some(terminated(content));
    }

    /// A header of pax: records of the form `LENGTH KEY=VALUE\n`.
    pub(super) fn pax(&mut self, mut content: &[u8]) -> Result<()> {
        while !content.is_empty() {
            let (key, value);
            (key, value, content) = split(content).context("a pax header is malformed")?;
            self.record(key, value)
                .with_context(|| format!("the pax record {:?}", String::from_utf8_lossy(key)))?;
        }
        Ok(())
    }

    fn record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        let text = || (!value.is_empty()).then(|| value.to_vec());
        match key {
            b"path" => self.name = text(),
            b"linkpath" => self.link = text(),
            b"size" => self.size = Some(decimal(value)?),
            b"uid" => self.uid = Some(decimal(value)?),
            b"gid" => self.gid = Some(decimal(value)?),
            b"mtime" => self.modified = Some(time(value)?),
            b"GNU.sparse.name" => self.name = text(),
            _ => {
                if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.push((name.to_vec(), value.to_vec()));
                } else if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
                    self.sparse.record(key, value)?;
                }
            }
        }
        Ok(())
    }
}

/// The key and the value of the first record, and what is behind it.
fn split(content: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = content.iter().take(20).position(|byte| *byte == b' ')?;
    let length = usize::try_from(decimal(&content[..space]).ok()?).ok()?;
    let (record, rest) = content.split_at_checked(length)?;
    let record = record.get(space + 1..)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|byte| *byte == b'=')?;
    Some((&record[..equals], &record[equals + 1..], rest))
}

pub(super) fn decimal(text: &[u8]) -> Result<u64> {
    match std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()) {
        Some(number) => Ok(number),
        None => bail!("{:?} is no number", String::from_utf8_lossy(text)),
    }
}

/// Seconds with a fraction: `1700000000.25`, `-1.5`.
fn time(text: &[u8]) -> Result<(i64, u32)> {
    let text = std::str::from_utf8(text).context("a time")?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().with_context(|| format!("{text:?} is no time"))?;
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().with_context(|| format!("{text:?} is no time"))?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Ok((seconds.checked_sub(1).context("a time")?, 1_000_000_000 - nanoseconds));
    }
    Ok((seconds, nanoseconds))
}

/// Up to the zero byte.
fn terminated(mut content: Vec<u8>) -> Vec<u8> {
    if let Some(end) = content.iter().position(|byte| *byte == 0) {
        content.truncate(end);
    }
    content
}
