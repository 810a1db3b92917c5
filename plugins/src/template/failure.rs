//! Why a step of the evaluation failed, without its place.

/// A message for people. It never quotes the value of a fact.
#[derive(Debug)]
pub(crate) struct Failure(pub(super) String);

impl From<&str> for Failure {
    fn from(message: &str) -> Self {
        Self(message.to_owned())
    }
}

impl From<String> for Failure {
    fn from(message: String) -> Self {
        Self(message)
    }
}
