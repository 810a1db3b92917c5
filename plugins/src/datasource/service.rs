//! A metadata service: texts behind addresses, over HTTP.

use super::Metadata;
use crate::System;
use crate::system::http::{self, Failure, Method, Request};
use anyhow::{Context as _, Result};
use std::time::Duration;

/// How long an answer may take. These services are a wire away.
const TIMEOUT: Duration = Duration::from_secs(2);

/// A service, and what it wants to see in every request.
pub(super) struct Service<'s> {
    sys: &'s System,
    base: &'static str,
    headers: Vec<(&'static str, String)>,
}

impl<'s> Service<'s> {
    /// The service at an address without a path.
    pub(super) fn new(sys: &'s System, base: &'static str) -> Self {
        Self { sys, base, headers: Vec::new() }
    }

    /// Adds a header to every request.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Asks for the first time: once, so that one that is not there costs little.
    pub(super) fn probe(&self, path: &str) -> Result<Option<String>> {
        self.ask(Method::Get, path, Vec::new(), 1).map(|body| body.map(text))
    }

    /// What is behind a path; nothing if there is nothing.
    pub(super) fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>> {
        self.ask(Method::Get, path, Vec::new(), 2).with_context(|| {
            format!("cannot ask {} for {}", self.base, path.split('?').next().unwrap_or_default())
        })
    }

    /// The same as a text.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>> {
        Ok(self.bytes(path)?.map(text))
    }

    /// Puts nothing to a path, and gives the answer; nothing if the server refuses that in any way.
    pub(super) fn put(&self, path: &str) -> Result<Option<String>> {
        match self.ask(Method::Put, path, Vec::new(), 1) {
            Err(error) if matches!(error.downcast_ref(), Some(Failure::Status { .. })) => Ok(None),
            body => Ok(body?.map(text)),
        }
    }

    /// Sends something to a path.
    pub(super) fn post(&self, path: &str, body: String) -> Result<Option<String>> {
        self.ask(Method::Post, path, body.into_bytes(), 2).map(|body| body.map(text))
    }

    /// Asks for texts by their paths below another, each to be kept under a name.
    pub(super) fn facts(&self, metadata: &mut Metadata, below: &str, names: &[(&str, &str)]) -> Result<()> {
        for (path, name) in names {
            metadata.fact(name, self.text(&format!("{below}{path}"))?);
        }
        Ok(())
    }

    fn ask(&self, method: Method, path: &str, body: Vec<u8>, tries: u32) -> Result<Option<Vec<u8>>> {
        let request =
            Request::new(method, format!("{}{path}", self.base), body).timeout(TIMEOUT).tries(tries);
        let request =
            self.headers.iter().fold(request, |request, (name, value)| request.header(*name, value));
        match http::body(self.sys.host(), &request) {
            Ok(body) => Ok(Some(body)),
            Err(error) => match error.downcast_ref::<Failure>() {
                Some(Failure::Status { code: 400..=499, .. }) => Ok(None),
                _ => Err(error),
            },
        }
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}
