//! What went wrong, by classes: a script tells them apart by exit status, and a person by what is to be done.

use anyhow::{Error, Result};
use cosette_plugins::image::{self, Reason};
use cosette_plugins::system::{Interrupted, is_full};
use std::fmt;

/// A class of failures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// It takes root.
    Privileges,
    /// The configuration is wrong.
    Configuration,
    /// The machine has no such system or partition: it was not installed by this program or its like.
    NotThere,
    /// Another operation is running.
    Busy,
    /// The source is not there, or cannot be read.
    Source,
    /// The network or the registry.
    Network,
    /// The policy cannot be read, or asks for what the source does not have.
    Policy,
    /// A signature is required, and there is none.
    Unsigned,
    /// There are signatures, but by no key of the policy.
    WrongKey,
    /// A signature is for something else, or was changed.
    Tampered,
    /// A content is not what its digest says.
    Digest,
    /// There is not enough room.
    NoRoom,
    /// The disk is in use, or has a system already.
    Device,
    /// A disk could not be partitioned, or a file system not be made on it.
    Partitioning,
    /// The image of a system could not be built.
    Image,
    /// The image of a system is not what it was built from.
    ReadBack,
    /// A hook failed.
    Hook,
    /// The new system could not be put in the place of the old one.
    Switch,
    /// The boot loader could not be installed or told.
    BootLoader,
    /// The state of the systems could not be read or written.
    State,
    /// What was to be wiped is still there.
    Wipe,
    /// A signal asked this process to stop.
    Interrupted,
}

/// A failure of a class. It reads as the error alone does.
#[derive(Debug)]
struct Failure {
    class: Class,
    error: Error,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.error.source()
    }
}

/// Says of what class a failure is.
pub trait Classify<T> {
    /// A failure is of this class, unless it has one already, or is of one whatever was being done: there is no room,
    /// or this process was told to stop.
    fn class(self, class: Class) -> Result<T>;
}

impl<T> Classify<T> for Result<T> {
    fn class(self, class: Class) -> Result<T> {
        self.map_err(|error| match error.is::<Failure>() {
            true => error,
            false => Failure { class: class_of(&error).unwrap_or(class), error }.into(),
        })
    }
}

/// The class of a failure, if it has one.
pub fn class_of(error: &Error) -> Option<Class> {
    if let Some(failure) = error.downcast_ref::<Failure>() {
        return Some(failure.class);
    }
    if let Some(failure) = error.downcast_ref::<image::Failure>() {
        return Some(of_image(failure.reason));
    }
    if error.is::<Interrupted>() {
        return Some(Class::Interrupted);
    }
    is_full(error).then_some(Class::NoRoom)
}

/// The class of what is wrong with the image of a container.
fn of_image(reason: Reason) -> Class {
    match reason {
        Reason::Source => Class::Source,
        Reason::Registry => Class::Network,
        Reason::Policy => Class::Policy,
        Reason::Unsigned => Class::Unsigned,
        Reason::WrongKey => Class::WrongKey,
        Reason::Tampered => Class::Tampered,
        Reason::Content => Class::Digest,
        Reason::NoRoom => Class::NoRoom,
        Reason::Target => Class::Image,
        Reason::Interrupted => Class::Interrupted,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context as _, anyhow};

    fn failed(error: Error) -> Result<()> {
        Err(error)
    }

    #[test]
    fn a_failure_keeps_its_first_class_and_its_words() {
        let failure = failed(anyhow!("below")).context("above").class(Class::Hook);
        let failure = failure.context("around").class(Class::Switch).unwrap_err();
        assert_eq!(class_of(&failure), Some(Class::Hook));
        assert_eq!(format!("{failure:#}"), "around: above: below");
        assert_eq!(class_of(&anyhow!("of no class")), None);
    }

    #[test]
    fn a_full_disk_and_a_signal_are_classes_of_their_own_whatever_was_done() {
        let stopped = failed(Interrupted { signal: "SIGTERM" }.into()).context("building");
        assert_eq!(class_of(&stopped.class(Class::Image).unwrap_err()), Some(Class::Interrupted));
        let full = std::io::Error::from_raw_os_error(nix::errno::Errno::ENOSPC as i32);
        let full = failed(full.into()).context("layer 2").class(Class::Source).unwrap_err();
        assert_eq!(class_of(&full), Some(Class::NoRoom));
    }

    #[test]
    fn what_is_wrong_with_an_image_of_a_container_is_a_class_of_its_own_each() {
        use cosette_plugins::image::{Policy, Request, Source, resolve};
        use cosette_plugins::system::Mode;
        let machine =
            cosette_plugins::testing::Machine::new("-- /etc/cosette/policy.yaml\ndefault: digest\n");
        let sys = machine.system(Mode::Apply);
        let resolved = |policy: Result<Policy, image::Failure>, source: &str| {
            let source = Source::parse(source).unwrap();
            let request = Request { source, platform: None, insecure: None };
            let resolved = policy.and_then(|policy| resolve(&sys, &request, &policy));
            let failure = resolved.context("around").class(Class::Image).unwrap_err();
            class_of(&failure)
        };
        assert_eq!(resolved(Ok(Policy::default()), "dir:/none"), Some(Class::Source));
        assert_eq!(resolved(Policy::load(&sys), "dir:/etc"), Some(Class::Policy));
    }
}
