//! Repositories of git, cloned and brought up to date by the `git` of the root.
//!
//! **Invariants:** no secret is among the arguments of a program, in an address, or in the configuration of a
//! repository; nothing that a repository or a server says runs a program.

mod host_keys;
mod remote;
mod repository;
mod session;
#[cfg(test)]
mod tests;

pub(crate) use host_keys::HostKeys;
pub(crate) use remote::{Remote, Transport};
pub(crate) use repository::{Reference, Wanted};

/// How to prove who one is, and who the server must be.
///
/// It holds secrets, and so it has no `Debug`.
#[derive(Default)]
pub(crate) struct Access {
    pub(crate) username: String,
    pub(crate) password: String,
    /// A private key, as ssh(1) reads it.
    pub(crate) private_key: String,
    /// The keys of which the server must have one.
    pub(crate) host_keys: Option<HostKeys>,
    /// Take any key of the server.
    pub(crate) insecure: bool,
}
