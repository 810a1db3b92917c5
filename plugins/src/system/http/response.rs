//! What a server answers.

use super::Failure;
use super::failure::{from_io, to_io};
use anyhow::Result;
use std::fmt;
use std::io::Read;

/// What a server answers. Reading it reads the body.
pub struct Response {
    status: u16,
    url: String,
    headers: Vec<(String, Vec<u8>)>,
    length: Option<u64>,
    largest: u64,
    read: u64,
    body: Box<dyn Read>,
}

impl Response {
    /// An answer with a body of at most `largest` bytes.
    pub(super) fn new(
        status: u16,
        url: String,
        headers: Vec<(String, Vec<u8>)>,
        length: Option<u64>,
        largest: u64,
        body: Box<dyn Read>,
    ) -> Result<Self, Failure> {
        if length.is_some_and(|length| length > largest) {
            return Err(Failure::TooLarge(largest));
        }
        Ok(Self { status, url, headers, length, largest, read: 0, body })
    }

    /// 2xx or 304, or what else the request takes for an answer.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The address it came from, which may be another than was asked, and may hold secrets.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The value of a header, by its name in any case; nothing when it is no text.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        str::from_utf8(value).ok()
    }

    /// The values of a header that may be there several times.
    pub fn headers<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let values = self.headers.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name));
        values.filter_map(|(_, value)| str::from_utf8(value).ok())
    }

    /// How many bytes the body has, where the server says so.
    pub fn length(&self) -> Option<u64> {
        self.length
    }

    /// Reads the whole body.
    pub fn into_bytes(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.read_to_end(&mut bytes).map_err(Self::failure)?;
        Ok(bytes)
    }

    /// The error behind one of reading: a [`Failure`], or that this process was told to stop.
    pub fn failure(error: std::io::Error) -> anyhow::Error {
        from_io(error)
    }
}

impl Read for Response {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.body.read(buffer)?;
        self.read += count as u64;
        if self.read > self.largest {
            return Err(to_io(Failure::TooLarge(self.largest).into()));
        }
        Ok(count)
    }
}

/// Without headers, body and what the address may hide.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.status, super::shown(&self.url))
    }
}
