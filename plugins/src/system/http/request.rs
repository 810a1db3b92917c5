//! What is asked of a server.

use std::fmt;
use std::time::Duration;

/// How often a server is asked unless the request says otherwise.
const TRIES: u32 = 3;
/// The largest body that is read unless the request says otherwise.
const LARGEST: u64 = 1 << 20;

/// What is done with an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Its content is asked for.
    Get,
    /// A body is given to it.
    Post,
    /// A body is put there.
    Put,
}

/// What is asked of a server.
#[derive(Clone)]
pub struct Request {
    pub(in crate::system) method: Method,
    pub(super) url: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    pub(super) timeout: Option<Duration>,
    pub(super) largest: u64,
    pub(super) tries: u32,
    pub(super) challenged: bool,
}

impl Request {
    /// Asks for what is behind an address: at most 1 MiB, with three tries of any length.
    pub fn get(url: impl Into<String>) -> Self {
        Self::new(Method::Get, url, Vec::new())
    }

    /// The same with another method and a body.
    pub fn new(method: Method, url: impl Into<String>, body: impl Into<Vec<u8>>) -> Self {
        Self {
            method,
            url: url.into(),
            headers: Vec::new(),
            body: body.into(),
            timeout: None,
            largest: LARGEST,
            tries: TRIES,
            challenged: false,
        }
    }

    /// Adds a header. It is kept from other servers that this one redirects to, unless it is one of those that
    /// only say which part or version of the content is wanted.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// How long one try may take, from the connection to the end of the body. Without it, only standing still
    /// is limited.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// The largest body that is read, in bytes; a larger one is a failure.
    pub fn largest(mut self, largest: u64) -> Self {
        self.largest = largest;
        self
    }

    /// How often the server is asked while it cannot be reached, is in trouble or too busy.
    pub fn tries(mut self, tries: u32) -> Self {
        self.tries = tries;
        self
    }

    /// That the server asks who it is (401) is an answer, too.
    pub fn challenged(mut self) -> Self {
        self.challenged = true;
        self
    }

    /// Whether a status is an answer: what was not asked for, a part or that nothing has changed, is none.
    pub(super) fn expects(&self, status: u16) -> bool {
        let asked = |names: &[&str]| {
            self.headers.iter().any(|(name, _)| names.iter().any(|known| name.eq_ignore_ascii_case(known)))
        };
        match status {
            206 => asked(&["range"]),
            304 => asked(&["if-none-match", "if-modified-since"]),
            401 => self.challenged,
            other => (200..300).contains(&other),
        }
    }

    /// The address as it may be shown.
    pub fn shown(&self) -> String {
        super::shown(&self.url)
    }
}

/// Without headers, body and what the address may hide.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.method, self.shown())
    }
}
