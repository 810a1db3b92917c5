//! From a source to the digest of what it leads to, once: everything else follows from that digest.

use super::failure::{Failure, Reason};
use super::layer::Layer;
use super::layout::Layout;
use super::manifest::{Blob, Configuration, Document, Manifest, choose};
use super::policy::{Policy, Verified};
use super::progress::{Counted, Counter};
use super::registries::Endpoint;
use super::registry::Registry;
use super::{Digest, Platform, Request, Source, Store, credentials, registries};
use crate::System;
use crate::system::Kind;
use anyhow::Context;
use std::path::Path;

/// How deep indexes may lie in indexes.
const DEEPEST: usize = 3;

/// What a source leads to. Of an image, all that is fetched later is named by the digests in here.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// What was asked for.
    pub(super) request: Request,
    /// The platform it is for.
    pub platform: Platform,
    /// The digest of what the source leads to, an index or a manifest, which is also what signatures are for;
    /// nothing for a directory or a file.
    pub top: Option<Digest>,
    /// The digest of the manifest, which stands for all of the image; nothing for a directory or a file.
    pub digest: Option<Digest>,
    /// How many bytes there are to be fetched; zero for a directory.
    pub size: u64,
    /// What makes it trustworthy.
    pub verified: Verified,
    /// Each layer as it is stored, and the digest of its archive.
    pub(super) layers: Vec<(Blob, Digest)>,
}

impl Resolved {
    /// What was asked for.
    pub fn source(&self) -> &Source {
        &self.request.source
    }

    /// How many layers it has.
    pub fn layers(&self) -> usize {
        self.layers.len()
    }
}

/// Finds out what the source leads to, and whether the policy lets it be used. Nothing is changed, and of an
/// image nothing but documents is fetched.
pub fn resolve(sys: &System, request: &Request, policy: &Policy) -> Result<Resolved, Failure> {
    let within = |failure: Failure| failure.context(format!("cannot use {}", request.source));
    let mut found = Found::find(sys, request).map_err(within)?;
    found.verify(sys, policy).map_err(within)?;
    Ok(found.resolved)
}

/// What was found, and where.
pub(super) struct Found<'a> {
    pub(super) resolved: Resolved,
    store: Option<Box<dyn Store + 'a>>,
}

impl<'a> Found<'a> {
    /// Looks for what the source names; an image up to its configuration.
    pub(super) fn find(sys: &'a System, request: &'a Request) -> Result<Self, Failure> {
        let mut resolved = Resolved {
            request: request.clone(),
            platform: request.platform(sys),
            top: None,
            digest: None,
            size: 0,
            verified: Verified::Unchecked,
            layers: Vec::new(),
        };
        let store = match &request.source {
            Source::Directory(path) => {
                size(sys, path, Kind::Directory)?;
                None
            }
            Source::File(path) => {
                resolved.size = size(sys, path, Kind::File)?;
                None
            }
            Source::Registry(_) | Source::Layout(_) | Source::Archive(_) => {
                let mut store = open(sys, &request.source, request.insecure)?;
                image(&mut *store, &mut resolved)?;
                Some(store)
            }
        };
        Ok(Self { resolved, store })
    }

    /// What was found before, to be fetched now.
    pub(super) fn again(sys: &'a System, resolved: &'a Resolved) -> Result<Self, Failure> {
        let store = open(sys, &resolved.request.source, resolved.request.insecure)?;
        Ok(Self { resolved: resolved.clone(), store: Some(store) })
    }

    /// Fails unless the policy lets it be used.
    pub(super) fn verify(&mut self, sys: &System, policy: &Policy) -> Result<(), Failure> {
        let store = self.store.as_deref_mut().map(|store| store as &mut dyn Store);
        self.resolved.verified =
            policy.check(sys, self.resolved.source(), self.resolved.top.as_ref(), store)?;
        Ok(())
    }

    /// The layers, from the lowest. They begin to be downloaded.
    pub(super) fn layers(self, counter: &Counter) -> Result<Vec<Layer>, Failure> {
        let (blobs, contents): (Vec<_>, Vec<_>) = self.resolved.layers.into_iter().unzip();
        let Some(store) = self.store else { return Ok(Vec::new()) };
        let stored = store.layers(&blobs).map_err(Failure::or(Reason::Source))?;
        let layers = blobs.into_iter().zip(contents).zip(stored).map(|((blob, content), input)| {
            let stored = Box::new(Counted { input, counter: Counter::clone(counter) });
            Layer { blob, content, stored }
        });
        Ok(layers.collect())
    }
}

/// The place that holds the image.
fn open<'a>(
    sys: &'a System,
    source: &'a Source,
    insecure: Option<bool>,
) -> Result<Box<dyn Store + 'a>, Failure> {
    Ok(match source {
        Source::Registry(reference) => {
            let wrong = Failure::or(Reason::Registry);
            let login = |endpoint: Endpoint| {
                let login = credentials::find(sys, &endpoint.reference)?;
                Ok((endpoint, login))
            };
            let endpoints = registries::endpoints(sys, reference, insecure)?.into_iter();
            let places = endpoints.map(login).collect::<anyhow::Result<_>>().map_err(&wrong)?;
            let client = sys.host().client().map_err(&wrong)?;
            Box::new(Registry::new(&client, places, reference))
        }
        Source::Layout(local) => Box::new(Layout::directory(sys, local)),
        Source::Archive(local) => Box::new(Layout::archive(sys, local).map_err(Failure::or(Reason::Source))?),
        Source::Directory(_) | Source::File(_) => {
            return Err(Failure::new(Reason::Source, "it is no image of layers"));
        }
    })
}

/// Follows the source to a manifest, and reads what that says.
fn image(store: &mut dyn Store, resolved: &mut Resolved) -> Result<(), Failure> {
    // What a registry has to say of itself knows its reason.
    let wrong = Failure::or(Reason::Source);
    let mut bytes = store.top().map_err(&wrong)?;
    let top = resolved.source().pinned().unwrap_or_else(|| Digest::of(&bytes));
    top.verify(&bytes).map_err(&wrong)?;
    let mut depth = 0;
    let manifest = loop {
        match Document::parse(&bytes).map_err(&wrong)? {
            Document::Manifest(manifest) => break manifest,
            Document::Index(_) if depth == DEEPEST => {
                return Err(Failure::new(Reason::Source, "its indexes lie in one another too deeply"));
            }
            Document::Index(index) => {
                let chosen = choose(&index, &resolved.platform).map_err(&wrong)?;
                bytes = store.document(&chosen).map_err(&wrong)?;
            }
        }
        depth += 1;
    };
    resolved.top = Some(top);
    resolved.digest = Some(Digest::of(&bytes));
    let asked = resolved.request.platform.as_ref().filter(|_| depth == 0);
    resolved.layers = layers(store, manifest, asked).map_err(&wrong)?;
    resolved.size = resolved.layers.iter().fold(0, |sum, (blob, _)| sum.saturating_add(blob.size));
    Ok(())
}

/// The layers of the manifest, with the digests that the configuration has for their archives.
fn layers(
    store: &mut dyn Store,
    manifest: Manifest,
    asked: Option<&Platform>,
) -> anyhow::Result<Vec<(Blob, Digest)>> {
    let bytes = store.blob(&manifest.config).context("its configuration")?;
    let configuration = Configuration::parse(&bytes)?;
    if let (Some(asked), Some(platform)) = (asked, configuration.platform())
        && asked.rank(&platform).is_none()
    {
        anyhow::bail!("it has no image for {asked}, only for {platform}");
    }
    let contents = configuration.contents()?;
    if contents.len() != manifest.layers.len() {
        let (layers, contents) = (manifest.layers.len(), contents.len());
        anyhow::bail!("its manifest has {layers} layers, but its configuration {contents}");
    }
    Ok(manifest.layers.into_iter().zip(contents).collect())
}

/// The size of a directory or file, which must be what the source says.
fn size(sys: &System, path: &Path, wanted: Kind) -> Result<u64, Failure> {
    let found = sys.metadata(path).map_err(Failure::or(Reason::Source))?;
    match found {
        Some(found) if found.kind == wanted => Ok(if wanted == Kind::File { found.size } else { 0 }),
        Some(found) => Err(Failure::new(Reason::Source, format!("it is {}, not {wanted}", found.kind))),
        None => Err(Failure::new(Reason::Source, "it does not exist")),
    }
}
