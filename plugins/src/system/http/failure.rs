//! Why there was no answer, or only a part of one.

use super::{FIRST_PAUSE, LONGEST_PAUSE};
use crate::system::Interrupted;
use nix::errno::Errno;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// Why there was no answer, or only a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The server answered, but not with success.
    Status {
        /// The number: 404.
        code: u16,
        /// The number in words: `Not Found`.
        reason: &'static str,
        /// How long it asks to wait before the next try.
        wait: Option<Duration>,
    },
    /// The body is larger than the request allows, which is so many bytes.
    TooLarge(u64),
    /// What another try may bring about: a connection, the rest of a body.
    Passing(String),
    /// What another try would not change.
    Final(String),
}

impl Failure {
    /// Whether another try may go better.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Status { code, .. } => matches!(code, 408 | 429 | 500..=599),
            Self::Passing(_) => true,
            Self::TooLarge(_) | Self::Final(_) => false,
        }
    }

    /// How long to wait after so many tries.
    pub fn pause(&self, tried: u32) -> Duration {
        let own = FIRST_PAUSE.saturating_mul(1 << (tried.clamp(1, 16) - 1));
        let asked = match self {
            Self::Status { wait: Some(wait), .. } => *wait,
            _ => Duration::ZERO,
        };
        own.max(asked).min(LONGEST_PAUSE)
    }

    /// What went wrong in the client, in its innermost words: those around them say nothing more.
    pub(super) fn of_client(error: reqwest::Error, server: &str) -> Self {
        let error = error.without_url();
        if let Some(refusal) = tls_refusal(&error) {
            return Self::Final(format!("the server does not prove that it is {server}: {refusal}"));
        }
        if error.is_timeout() {
            return Self::Passing(format!("{server} does not answer"));
        }
        let passing = error.is_connect() || error.is_body() || error.is_decode() || error.is_request();
        let mut innermost: &dyn Error = &error;
        while let Some(source) = innermost.source() {
            innermost = source;
        }
        let errno = innermost.downcast_ref().and_then(std::io::Error::raw_os_error).map(Errno::from_raw);
        let cause = errno.map_or_else(|| innermost.to_string(), |errno| errno.desc().to_owned());
        let message = match error.is_connect() {
            true => format!("cannot connect to {server}: {cause}"),
            false => format!("the answer broke off: {cause}"),
        };
        if passing && !error.is_builder() { Self::Passing(message) } else { Self::Final(message) }
    }
}

/// Why TLS refused the certificate of the server.
fn tls_refusal(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        // The error inside one of std::io is not its source.
        let inner = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        let tls = error.downcast_ref().or_else(|| inner.and_then(|inner| inner.downcast_ref()));
        if let Some(rustls::Error::InvalidCertificate(refusal)) = tls {
            return Some(match refusal {
                rustls::CertificateError::UnknownIssuer => "its certificate has an unknown issuer".to_owned(),
                other => other.to_string(),
            });
        }
        next = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
    }
    None
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { code, reason, .. } => write!(f, "the server answered {code} {reason}"),
            Self::TooLarge(largest) if largest % (1 << 20) == 0 => {
                write!(f, "the answer is larger than {} MiB", largest >> 20)
            }
            Self::TooLarge(largest) => write!(f, "the answer is larger than {largest} bytes"),
            Self::Passing(message) | Self::Final(message) => f.write_str(message),
        }
    }
}

impl Error for Failure {}

/// As the body of an answer is read through std::io.
pub(super) fn to_io(error: anyhow::Error) -> std::io::Error {
    // Not as one of the kind "interrupted": such a read would be tried again.
    match (error.downcast_ref::<Failure>(), error.downcast_ref::<Interrupted>()) {
        (Some(failure), _) => std::io::Error::other(failure.clone()),
        (_, Some(interrupted)) => std::io::Error::other(*interrupted),
        _ => std::io::Error::other(error.to_string()),
    }
}

/// Back from std::io.
pub(super) fn from_io(error: std::io::Error) -> anyhow::Error {
    let inner = error.get_ref();
    let failure = inner.and_then(|inner| inner.downcast_ref::<Failure>()).cloned();
    let interrupted = inner.and_then(|inner| inner.downcast_ref::<Interrupted>()).copied();
    match (failure, interrupted) {
        (Some(failure), _) => failure.into(),
        (_, Some(interrupted)) => interrupted.into(),
        _ => error.into(),
    }
}
