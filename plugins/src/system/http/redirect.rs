//! Where a server may send us.

use super::{Failure, Method};
use reqwest::Url;

/// How many redirects are followed.
const MOST: usize = 10;

/// Headers that say which part or version of the content is wanted, and nothing about who asks.
const HARMLESS: [&str; 5] = ["accept", "if-modified-since", "if-none-match", "if-range", "range"];

/// An address that may be asked.
pub(super) fn address(url: &str) -> Result<Url, Failure> {
    let wrong = |why: String| Failure::Final(why);
    let url = Url::parse(url).map_err(|error| wrong(format!("the address is not well-formed: {error}")))?;
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(wrong(format!("`{other}` is not spoken: an address begins with http:// or https://"))),
    }
}

/// The way that a request has taken so far.
pub(super) struct Way {
    method: Method,
    visited: Vec<Url>,
}

impl Way {
    pub(super) fn new(method: Method, start: Url) -> Self {
        Self { method, visited: vec![start] }
    }

    /// Where it is now.
    pub(super) fn end(&self) -> &Url {
        &self.visited[self.visited.len() - 1]
    }

    /// Whether the header may be shown to the server it is at now.
    pub(super) fn shows(&self, header: &str) -> bool {
        self.end().origin() == self.visited[0].origin()
            || HARMLESS.iter().any(|harmless| header.eq_ignore_ascii_case(harmless))
    }

    /// Goes on to where the server says, if that may be.
    pub(super) fn follow(&mut self, location: &str) -> Result<(), Failure> {
        let refused = |why: &str| Failure::Final(format!("the server redirects {why}"));
        if self.method != Method::Get {
            return Err(refused("what was sent to it elsewhere"));
        }
        let next = self.end().join(location).map_err(|_| refused("to an address that is not well-formed"))?;
        match (self.end().scheme(), next.scheme()) {
            ("https", "http") => return Err(refused("from https to http, which anybody could have changed")),
            (_, "http" | "https") => {}
            (_, other) => return Err(refused(&format!("to an address of `{other}`"))),
        }
        if self.visited.contains(&next) {
            return Err(refused("in a circle"));
        }
        if self.visited.len() > MOST {
            return Err(refused(&format!("more than {MOST} times")));
        }
        self.visited.push(next);
        Ok(())
    }
}
