//! Images of containers: from a source to the files in a directory.
//!
//! A [`Source`] is resolved to a digest once; everything else is named by digests that follow from it, and
//! verified against them while it streams. Nothing is kept but the files, and memory does not grow with the
//! image.

#[cfg(test)]
mod against_registry;
#[cfg(test)]
mod against_umoci;
mod credentials;
mod digest;
mod layer;
mod layout;
mod manifest;
mod pieces;
mod platform;
mod record;
mod registry;
mod source;
pub(crate) mod tar;
mod unpack;

pub use digest::Digest;
pub use platform::Platform;
pub use source::{Local, Source};
pub use unpack::unpack;

use crate::System;
use anyhow::{Context, Result, bail};
use layer::Layer;
use layout::Layout;
use manifest::{Blob, Configuration, Document, Manifest, choose};
use registry::Registry;
use std::io::Read;

/// How deep indexes may lie in indexes.
const DEEPEST: usize = 3;

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
    /// The configuration of that digest.
    fn configuration(&mut self, blob: &Blob) -> Result<Vec<u8>>;
    /// Layers as they are stored. Each ends in an error unless it has its size and digest.
    fn layers(self: Box<Self>, layers: &[Blob]) -> Result<Vec<Box<dyn Read + Send>>>;
}

/// An image that was found.
pub(crate) struct Image<'a> {
    /// The digest of what the source leads to: an index, or the manifest.
    pub(crate) top: Digest,
    /// The digest of its manifest, which stands for all of it.
    pub(crate) digest: Digest,
    layers: Vec<(Blob, Digest)>,
    store: Box<dyn Store + 'a>,
}

impl<'a> Image<'a> {
    /// Looks for an image, up to its configuration.
    pub(crate) fn find(sys: &'a System, request: &'a Request) -> Result<Self> {
        let mut store: Box<dyn Store + 'a> = match &request.source {
            Source::Registry(reference) => {
                let plain = request.insecure.unwrap_or_else(|| source::is_loopback(reference.registry()));
                let login = credentials::find(sys, reference)?;
                Box::new(Registry::new(sys.host().client()?, reference, login, plain))
            }
            Source::Layout(local) => Box::new(Layout::directory(sys, local)),
            Source::Archive(local) => Box::new(Layout::archive(sys, local)?),
        };
        let mut bytes = store.top()?;
        let top = request.source.pinned().unwrap_or_else(|| Digest::of(&bytes));
        top.verify(&bytes)?;
        let wanted = request.platform(sys);
        let mut depth = 0;
        let (manifest, digest) = loop {
            match Document::parse(&bytes)? {
                Document::Manifest(manifest) => break (manifest, Digest::of(&bytes)),
                Document::Index(_) if depth == DEEPEST => bail!("its indexes lie in one another too deeply"),
                Document::Index(index) => {
                    bytes = store.document(&choose(&index, &wanted)?)?;
                }
            }
            depth += 1;
        };
        let layers = layers(&mut *store, manifest, depth == 0, request.platform.as_ref())?;
        Ok(Self { top, digest, layers, store })
    }

    /// Its layers, from the lowest. They begin to be downloaded.
    pub(crate) fn layers(self) -> Result<Vec<Layer>> {
        let (blobs, contents): (Vec<_>, Vec<_>) = self.layers.into_iter().unzip();
        let stored = self.store.layers(&blobs)?;
        let layers = blobs.into_iter().zip(contents).zip(stored);
        Ok(layers.map(|((blob, content), stored)| Layer { blob, content, stored }).collect())
    }
}

/// The layers of the manifest, with the digests that the configuration has for their archives.
fn layers(
    store: &mut dyn Store,
    manifest: Manifest,
    alone: bool,
    asked: Option<&Platform>,
) -> Result<Vec<(Blob, Digest)>> {
    let bytes = store.configuration(&manifest.config).context("its configuration")?;
    let configuration = Configuration::parse(&bytes)?;
    if let (true, Some(asked), Some(platform)) = (alone, asked, configuration.platform())
        && asked.rank(&platform).is_none()
    {
        bail!("it has no image for {asked}, only for {platform}");
    }
    let contents = configuration.contents()?;
    if contents.len() != manifest.layers.len() {
        let (layers, contents) = (manifest.layers.len(), contents.len());
        bail!("its manifest has {layers} layers, but its configuration {contents}");
    }
    Ok(manifest.layers.into_iter().zip(contents).collect())
}
