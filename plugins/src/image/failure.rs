//! Why an image cannot be had, for those who do not only tell it.

use crate::system::Interrupted;
use crate::system::{http, is_full};
use anyhow::Error;
use std::fmt;
use std::io;

/// Why an image cannot be had. Each is another exit status of the commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// There is no such image, none for this platform, or what is there is no image.
    Source,
    /// The registry cannot be reached, refuses access or does not keep to the rules.
    Registry,
    /// The policy cannot be read, or it demands what this source does not have.
    Policy,
    /// A signature is required, and there is none.
    Unsigned,
    /// There are signatures, but none is by a key of the policy.
    WrongKey,
    /// There is a signature that belongs to something else, or that was changed.
    Tampered,
    /// A content does not have its digest or its size.
    Content,
    /// There is no room for it.
    NoRoom,
    /// It cannot be written where it shall be.
    Target,
    /// This process was told to stop.
    Interrupted,
}

/// An image cannot be had.
#[derive(Debug)]
pub struct Failure {
    /// Why.
    pub reason: Reason,
    error: Error,
}

impl Failure {
    /// The error with the reason that it knows itself, or else this one.
    pub(super) fn of(error: Error, otherwise: Reason) -> Self {
        Self { reason: known(&error).unwrap_or(otherwise), error }
    }

    /// For `map_err`: [`Failure::of`].
    pub(super) fn or(otherwise: Reason) -> impl Fn(Error) -> Self {
        move |error| Self::of(error, otherwise)
    }

    /// A failure in words.
    pub(super) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, error: Error::msg(message.into()) }
    }

    /// The failure with words before it.
    pub(super) fn context(self, message: impl fmt::Display + Send + Sync + 'static) -> Self {
        Self { error: self.error.context(message), ..self }
    }
}

/// As an error it is that which it holds.
impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

impl Reason {
    /// An error that knows its reason.
    pub(super) fn says(self, message: impl Into<String>) -> Error {
        Known { reason: self, message: message.into() }.into()
    }

    /// The same for those who read through `std::io`.
    pub(super) fn io(self, message: impl Into<String>) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, Known { reason: self, message: message.into() })
    }

    /// An error on its way through `std::io`, as text; whoever reads may be another thread.
    pub(super) fn through_io(self, error: &Error) -> io::Error {
        let reason = known(error).unwrap_or(self);
        io::Error::other(Known { reason, message: format!("{error:#}") })
    }
}

/// An error that knows its reason.
#[derive(Debug)]
struct Known {
    reason: Reason,
    message: String,
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Known {}

/// The reason that an error knows itself.
pub(super) fn known(error: &Error) -> Option<Reason> {
    let reason = error.chain().find_map(|error| {
        // The error inside one of std::io is not its source.
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        reason_of(error).or_else(|| reason_of(inner?))
    });
    reason.or_else(|| is_full(error).then_some(Reason::NoRoom))
}

fn reason_of(error: &(dyn std::error::Error + 'static)) -> Option<Reason> {
    if let Some(known) = error.downcast_ref::<Known>() {
        return Some(known.reason);
    }
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return Some(failure.reason);
    }
    if error.is::<Interrupted>() {
        return Some(Reason::Interrupted);
    }
    error.is::<http::Failure>().then_some(Reason::Registry)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_reason_is_found_however_deep_it_lies() {
        let reason = |error: Error| Failure::of(error, Reason::Target).reason;
        assert_eq!(reason(Error::msg("x")), Reason::Target);
        assert_eq!(reason(Reason::Content.says("x").context("y").context("z")), Reason::Content);
        assert_eq!(reason(Error::from(Reason::Content.io("x")).context("y")), Reason::Content);
        assert_eq!(reason(io::Error::from_raw_os_error(28).into()), Reason::NoRoom);
        assert_eq!(reason(Interrupted { signal: "SIGTERM" }.into()), Reason::Interrupted);
        let through = Reason::Registry.through_io(&Reason::Unsigned.says("x").context("y"));
        assert_eq!(through.to_string(), "y: x");
        assert_eq!(reason(through.into()), Reason::Unsigned);
        let failure = Failure::of(http::Failure::TooLarge(5).into(), Reason::Source).context("what");
        assert_eq!(failure.reason, Reason::Registry);
        let error = Err::<(), _>(failure).context("around").unwrap_err();
        assert_eq!(format!("{error:#}"), "around: what: the answer is larger than 5 bytes");
        assert_eq!(reason(error), Reason::Registry);
    }
}
