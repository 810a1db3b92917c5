//! Images of containers: from a source to the files in a directory.
//!
//! A [`Source`] is resolved to a digest once; everything else is named by digests that follow from it, and
//! verified against them while it streams. Nothing is kept but the files, and memory does not grow with the
//! image.

#[cfg(test)]
mod against_registry;
#[cfg(test)]
mod against_signatures;
#[cfg(test)]
mod against_umoci;
mod credentials;
mod digest;
mod failure;
mod key;
mod layer;
mod layout;
mod manifest;
mod pieces;
mod platform;
mod policy;
mod progress;
mod record;
mod registries;
mod registry;
mod resolve;
mod signature;
mod source;
pub(crate) mod tar;
mod unpack;

pub use digest::Digest;
pub use failure::{Failure, Reason};
pub use platform::Platform;
pub use policy::{Policy, Verified};
pub use progress::Progress;
pub use resolve::{Resolved, resolve};
pub use source::{Local, Source};
pub use unpack::{Unpacked, fetch, unpack};

use crate::System;
use anyhow::Result;
use manifest::Blob;
use std::io::Read;

/// What is wanted.
#[derive(Clone, Debug)]
pub struct Request {
    /// Where the image comes from.
    pub source: Source,
    /// The platform it must be for; that of the machine when nothing is said.
    pub platform: Option<Platform>,
    /// Whether the registry is spoken to over plain HTTP; when nothing is said, only if it is this machine.
    pub insecure: Option<bool>,
}

impl Request {
    /// The platform that the image must be for.
    fn platform(&self, sys: &System) -> Platform {
        let here = || Platform::new("linux", sys.host().architecture(), "");
        self.platform.clone().unwrap_or_else(here)
    }
}

/// A place that holds an image.
trait Store {
    /// What the source leads to: an index or a manifest.
    fn top(&mut self) -> Result<Vec<u8>>;
    /// The index or manifest of that digest.
    fn document(&mut self, blob: &Blob) -> Result<Vec<u8>>;
    /// The small content of that digest, such as a configuration.
    fn blob(&mut self, blob: &Blob) -> Result<Vec<u8>>;
    /// The document at a tag; nothing if there is none, or if there are no tags here.
    fn tagged(&mut self, _tag: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
    /// The index of what refers to the digest; nothing if that is not kept here.
    fn referrers(&mut self, _digest: &Digest) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }
    /// Layers as they are stored. Each ends in an error unless it has its size and digest.
    fn layers(self: Box<Self>, layers: &[Blob]) -> Result<Vec<Box<dyn Read + Send>>>;
}
