//! What can go wrong with a registry, in words that hold no secret, and whether another try may go better.

use crate::system::stop;
use anyhow::{Error, anyhow};
use oci_client::errors::OciDistributionError as Oci;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

/// How often something is tried that makes no progress.
pub(super) const TRIES: u32 = 5;
/// How long to wait for an answer, or for more of one.
const PATIENCE: Duration = Duration::from_secs(60);

/// Why something failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Another try may go better.
    Passing(Error),
    /// It will not.
    Final(Error),
}

/// Waits for an answer, but not forever, and not when this process is told to stop.
pub(super) async fn patiently<T>(answer: impl Future<Output = T>) -> Result<T, Failure> {
    let (mut answer, mut stopped) = (pin!(tokio::time::timeout(PATIENCE, answer)), pin!(stop::requested()));
    let answer = poll_fn(|context| match stopped.as_mut().poll(context) {
        Poll::Ready(stopped) => Poll::Ready(Err(Failure::Final(stopped.into()))),
        Poll::Pending => answer.as_mut().poll(context).map(Ok),
    });
    let seconds = PATIENCE.as_secs();
    let late = |_| Failure::Passing(anyhow!("the registry sends nothing for {seconds} seconds"));
    answer.await?.map_err(late)
}

/// Waits before the next try: 0.25, 0.5, 1, 2 seconds.
pub(super) async fn pause(tried: u32) -> Result<(), Failure> {
    let pause = tokio::time::sleep(Duration::from_millis(125 << tried.min(8)));
    patiently(pause).await
}

/// Tries something until it succeeds or makes no sense any more.
pub(super) async fn retry<T, F>(attempt: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Failure>>,
{
    let mut tried = 0;
    loop {
        tried += 1;
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(Failure::Passing(_)) if tried < TRIES => pause(tried).await?,
            Err(Failure::Passing(error)) => return Err(error.context(format!("after {TRIES} tries"))),
            Err(Failure::Final(error)) => return Err(error),
        }
    }
}

/// Says what an error of the client means.
pub(super) fn classify(error: Oci) -> Failure {
    let refused = || anyhow!("the registry refuses access: is the name right, and who may see it logged in?");
    match error {
        Oci::RequestError(error) => request(error),
        Oci::IoError(error) => Failure::Passing(error.into()),
        Oci::UnauthorizedError { .. } | Oci::AuthenticationFailure(_) => Failure::Final(refused()),
        Oci::ServerError { code: 401 | 403, .. } => Failure::Final(refused()),
        Oci::ServerError { code: 404, .. } => Failure::Final(anyhow!("the registry does not have it")),
        Oci::ServerError { code, .. } if code >= 500 || code == 429 || code == 408 => {
            Failure::Passing(anyhow!("the registry answered {code}"))
        }
        Oci::ServerError { code, .. } => Failure::Final(anyhow!("the registry answered {code}")),
        Oci::RegistryError { envelope, .. } => {
            let codes: Vec<_> = envelope.errors.iter().map(|error| format!("{:?}", error.code)).collect();
            let has = |wanted: &str| codes.iter().any(|code| code == wanted);
            if has("Unauthorized") || has("Denied") {
                Failure::Final(refused())
            } else if has("Toomanyrequests") {
                Failure::Passing(anyhow!("the registry is asked too often"))
            } else if has("ManifestUnknown") || has("NameUnknown") || has("BlobUnknown") || has("NotFound") {
                Failure::Final(anyhow!("the registry does not have it"))
            } else {
                Failure::Final(anyhow!("the registry answered: {}", codes.join(", ")))
            }
        }
        Oci::DigestError(error) => {
            Failure::Final(anyhow!(error).context("the content is not what its digest says"))
        }
        // The others say nothing of URLs.
        error => Failure::Final(anyhow!("the registry is not understood: {error}")),
    }
}

/// An error of a connection.
pub(super) fn request(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut causes = Vec::new();
    let mut next: Option<&dyn std::error::Error> = Some(&error);
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    // The innermost one says what it was; those around it, that it was a request.
    let text = causes.last().cloned().unwrap_or_default();
    if causes.iter().any(|cause| cause.contains("certificate")) {
        return Failure::Final(anyhow!("the registry does not prove who it is: {text}"));
    }
    if causes.iter().any(|cause| cause.contains("corrupt message of type InvalidContentType")) {
        return Failure::Final(anyhow!("the registry speaks plain HTTP: `insecure: true` allows that"));
    }
    Failure::Passing(anyhow!("cannot speak to the registry: {text}"))
}
