//! Trying again, and what has gone wrong in words that fit a registry.

use crate::image::failure::Reason;
use crate::system::http::Failure;
use crate::system::stop;
use anyhow::{Error, Result};
use std::time::Duration;

/// How often something is tried that makes no progress.
const TRIES: u32 = 5;
/// As many bytes are progress.
const PROGRESS: u64 = 64 << 10;
/// The first pause before another try; each is twice the one before.
const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause, also where a registry asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Tries something until it succeeds or makes no sense any more. An attempt says how many bytes there are since
/// the first one.
pub(super) fn retry<T>(mut attempt: impl FnMut() -> (u64, Result<T>)) -> Result<T> {
    let (mut tried, mut before) = (0, 0);
    loop {
        let (received, result) = attempt();
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if received >= before + PROGRESS {
            (tried, before) = (0, received);
        }
        tried += 1;
        let Some(failure) = error.downcast_ref::<Failure>().filter(|failure| failure.is_passing()) else {
            return Err(told(error));
        };
        if tried == TRIES {
            return Err(told(error).context(format!("after {TRIES} tries")));
        }
        let asked = match failure {
            Failure::Status { wait, .. } => wait.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        stop::pause((PAUSE * (1 << (tried - 1))).max(asked).min(LONGEST_PAUSE))?;
    }
}

/// A login that the registry does not want, or one that it misses.
pub(super) fn refused() -> Error {
    Reason::Registry.says("the registry refuses access: is the name right, and who may see it logged in?")
}

/// What a failure means.
fn told(error: Error) -> Error {
    match error.downcast_ref::<Failure>() {
        Some(Failure::Status { code: 401 | 403, .. }) => refused(),
        Some(Failure::Status { code: 404, .. }) => Reason::Source.says("the registry does not have it"),
        Some(Failure::Passing(message)) if message.contains("InvalidContentType") => {
            Reason::Registry.says("the registry speaks plain HTTP: `insecure = true` in /etc/containers/registries.conf allows that, and in a stage document `insecure: true`")
        }
        _ => error,
    }
}
