//! HTTP: the only client of the project.
//!
//! **Invariants:** a server proves who it is, always; nothing but `http` and `https` is spoken, also where a
//! server redirects to, and never `http` behind `https`; every wait and every answer is bounded; being told to
//! stop ends a wait at once; a message never holds what an address may hide ([`shown`]).
//!
//! A [`Client`] makes one try; [`open`] and [`body`] try again where that may help.

mod client;
mod failure;
mod name;
mod redirect;
mod request;
mod response;

pub use client::{Client, Settings};
pub use failure::Failure;
pub use name::{name_of, proposed_name};
pub use request::{Method, Request};
pub use response::Response;

use super::Host;
use anyhow::{Context as _, Result};
use std::time::Duration;

/// How long the first pause before another try is; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause, also where a server asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The answer to a request, its body still to be read. Only 2xx and 304 are answers; all else is a [`Failure`].
/// A server that cannot be reached, is in trouble or too busy is asked again, as often as the request says.
pub fn open(host: &dyn Host, request: &Request) -> Result<Response> {
    retried(host, request, |request| host.client()?.fetch(request))
}

/// The whole body behind an address. An answer that breaks off is asked for again, too.
pub fn body(host: &dyn Host, request: &Request) -> Result<Vec<u8>> {
    retried(host, request, |request| host.client()?.fetch(request)?.into_bytes())
}

fn retried<T>(host: &dyn Host, request: &Request, attempt: impl Fn(&Request) -> Result<T>) -> Result<T> {
    let mut tried = 0;
    loop {
        let error = match attempt(request) {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        tried += 1;
        match error.downcast_ref::<Failure>() {
            Some(failure) if failure.is_passing() && tried < request.tries => {
                host.pause(failure.pause(tried))?;
            }
            _ if tried > 1 => return Err(error).with_context(|| format!("after {tried} tries")),
            _ => return Err(error),
        }
    }
}

/// An address as it may be shown: user names, passwords, queries and fragments, which may hold tokens, are
/// left out.
pub fn shown(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or_default();
    let (server, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    let server = server.rsplit('@').next().unwrap_or_default();
    let (path, query) = path.split_at(path.find(['?', '#']).unwrap_or(path.len()));
    format!("{scheme}://{server}{path}{}", if query.is_empty() { "" } else { "?..." })
}

#[cfg(test)]
mod tests;
