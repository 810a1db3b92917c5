//! A registry, over HTTP.
//!
//! **Invariants:** every answer has a bound, and so has the memory for what is downloaded ahead; no URL, which
//! may hold a signature, and nothing of a login gets into an error.

mod challenge;
mod download;
mod retry;

use super::credentials::Login;
use super::failure::{Reason, known};

use super::manifest::{DOCUMENTS, LARGEST_DOCUMENT};
use super::registries::Endpoint;
use super::{Blob, Digest, Store};
use crate::system::http::{self, Client, Request, Response};
use crate::system::stop;
use anyhow::{Result, bail};
use challenge::Challenge;
use download::Download;
use oci_spec::distribution::Reference;
use retry::retry;
use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long an index, a manifest, a configuration or a token may take.
const DOCUMENT_TIME: Duration = Duration::from_secs(60);
/// How many layers are downloaded at once.
const AT_ONCE: usize = 3;
/// How many pieces of a layer are downloaded ahead of their use: 4 MiB.
const AHEAD: usize = 16;

/// An image in a registry, or in its mirrors.
pub(super) struct Registry {
    /// Where it can be, in the order in which they are tried; never none.
    connections: Vec<Arc<Connection>>,
    /// The one that was good for something last.
    good: usize,
    /// The tag or digest that the source names.
    wanted: String,
}

/// What every request needs.
struct Connection {
    client: Client,
    /// Whom it is to, for messages.
    name: String,
    /// Of the repository.
    url: String,
    /// What a token must allow.
    scope: String,
    login: Option<Login>,
    /// What the registry has asked to be shown.
    authorization: Mutex<Option<String>>,
}

impl Registry {
    /// Prepares for requests to the places, each with its login; nothing is sent yet.
    pub(super) fn new(client: &Client, places: Vec<(Endpoint, Option<Login>)>, wanted: &Reference) -> Self {
        let connections = places.into_iter().map(|(endpoint, login)| {
            let Endpoint { reference, plain } = endpoint;
            let (scheme, repository) = (if plain { "http" } else { "https" }, reference.repository());
            Arc::new(Connection {
                client: client.clone(),
                name: reference.registry().to_owned(),
                url: format!("{scheme}://{}/v2/{repository}", reference.resolve_registry()),
                scope: format!("repository:{repository}:pull"),
                login,
                authorization: Mutex::new(None),
            })
        });
        let wanted = wanted.digest().or(wanted.tag()).unwrap_or("latest").to_owned();
        Self { connections: connections.collect(), good: 0, wanted }
    }

    /// Asks one after another until one can tell, beginning with the one that could the last time. Being told to stop
    /// ends it.
    fn ask<T>(&mut self, ask: impl Fn(&Connection) -> Result<Option<T>>) -> Result<Option<T>> {
        let order: Vec<usize> =
            (0..self.connections.len()).map(|turn| (self.good + turn) % self.connections.len()).collect();
        let mut errors = Vec::new();
        for index in order {
            let connection = &self.connections[index];
            match ask(connection) {
                Ok(Some(answer)) => {
                    self.good = index;
                    return Ok(Some(answer));
                }
                Ok(None) => {}
                Err(error) => {
                    stop::check()?;
                    errors.push((&connection.name, error));
                }
            }
        }
        together(errors).map_or(Ok(None), Err)
    }

    /// A small document that must be there.
    fn small(&mut self, path: &str, accept: &str, largest: u64, digest: Option<&Digest>) -> Result<Vec<u8>> {
        let asked = self.ask(|connection| {
            let get = || connection.get(path, small(accept, largest)).and_then(Response::into_bytes);
            let bytes = retry(|| (0, get()))?;
            digest.map_or(Ok(()), |digest| digest.verify(&bytes))?;
            Ok(Some(bytes))
        });
        asked?.ok_or_else(|| Reason::Source.says("nobody has it"))
    }

    /// A small document that need not be there; older registries do not even know of such.
    fn optional(&mut self, path: &str, accept: &str) -> Result<Option<Vec<u8>>> {
        self.ask(|connection| {
            let get = || connection.get(path, small(accept, LARGEST_DOCUMENT)).and_then(Response::into_bytes);
            retry(|| match get() {
                Err(error) if is_missing(&error) => (0, Ok(None)),
                answer => (0, answer.map(Some)),
            })
        })
    }
}

/// All that went wrong as one error; its reason is that of the last place, the registry itself.
fn together(mut errors: Vec<(&String, anyhow::Error)>) -> Option<anyhow::Error> {
    let (last, error) = errors.pop()?;
    if errors.is_empty() {
        return Some(error);
    }
    let reason = known(&error).unwrap_or(Reason::Registry);
    let others: Vec<String> = errors.iter().map(|(name, error)| format!("{name}: {error:#}")).collect();
    Some(reason.says(format!("{last}: {error:#}; and of its mirrors, {}", others.join("; "))))
}

/// Completes a request for a small document.
fn small(accept: &str, largest: u64) -> impl Fn(Request) -> Request {
    move |request| request.header("Accept", accept).largest(largest).timeout(DOCUMENT_TIME)
}

fn is_missing(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(http::Failure::Status { code: 400 | 404 | 405, .. }))
}

impl Connection {
    /// Asks for something in the repository, and shows the registry who we are when it wants to know.
    fn get(&self, path: &str, complete: impl Fn(Request) -> Request) -> Result<Response> {
        let ask = |authorization: Option<String>| {
            let request = complete(Request::get(format!("{}/{path}", self.url)).challenged());
            let request = authorization
                .into_iter()
                .fold(request, |request, shown| request.header("Authorization", shown));
            self.client.fetch(&request)
        };
        let known = || self.authorization.lock().unwrap_or_else(PoisonError::into_inner);
        let before = known().clone();
        let mut response = ask(before)?;
        if response.status() == 401 {
            let shown = self.authorize(&response)?;
            *known() = Some(shown.clone());
            response = ask(Some(shown))?;
        }
        if response.status() == 401 {
            return Err(retry::refused());
        }
        Ok(response)
    }

    /// What to show to the registry that has answered so.
    fn authorize(&self, response: &Response) -> Result<String> {
        match (Challenge::of(response.headers("www-authenticate")), &self.login) {
            (Some(Challenge::Basic), Some(login)) => Ok(login.header()),
            (Some(Challenge::Token { realm, service }), login) => {
                let url = challenge::url(&realm, service.as_deref(), &self.scope)?;
                if self.url.starts_with("https:") && !url.starts_with("https:") {
                    return Err(Reason::Registry.says("the registry wants the login to go over plain HTTP"));
                }
                let request = Request::get(url).timeout(DOCUMENT_TIME);
                let request = login
                    .iter()
                    .fold(request, |request, login| request.header("Authorization", login.header()));
                let token = challenge::token(&self.client.fetch(&request)?.into_bytes()?);
                Ok(format!(
                    "Bearer {}",
                    token.ok_or_else(|| Reason::Registry.says("the registry hands out no token"))?
                ))
            }
            (Some(Challenge::Basic), None) | (None, _) => Err(retry::refused()),
        }
    }
}

impl Store for Registry {
    fn top(&mut self) -> Result<Vec<u8>> {
        let pinned = Digest::parse(&self.wanted).ok();
        let path = format!("manifests/{}", self.wanted);
        self.small(&path, &DOCUMENTS.join(", "), LARGEST_DOCUMENT, pinned.as_ref())
    }

    fn document(&mut self, blob: &Blob) -> Result<Vec<u8>> {
        let path = format!("manifests/{}", blob.digest);
        self.small(&path, &DOCUMENTS.join(", "), LARGEST_DOCUMENT, Some(&blob.digest))
    }

    fn blob(&mut self, blob: &Blob) -> Result<Vec<u8>> {
        let Blob { digest, size } = blob;
        if *size > LARGEST_DOCUMENT {
            bail!("it has {size} bytes, more than {LARGEST_DOCUMENT}");
        }
        self.small(&format!("blobs/{digest}"), "*/*", *size, Some(digest))
    }

    fn tagged(&mut self, tag: &str) -> Result<Option<Vec<u8>>> {
        self.optional(&format!("manifests/{tag}"), &DOCUMENTS.join(", "))
    }

    fn referrers(&mut self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        self.optional(&format!("referrers/{digest}"), DOCUMENTS[0])
    }

    /// Begins to download them, a few at once, on threads of their own. One more begins when one was read.
    fn layers(mut self: Box<Self>, layers: &[Blob]) -> Result<Vec<Box<dyn Read + Send>>> {
        let (downloads, pieces): (Vec<_>, Vec<_>) =
            layers.iter().map(|blob| Download::new(blob, AHEAD)).unzip();
        let downloads = Arc::new(Mutex::new(downloads.into_iter()));
        let good = self.good;
        self.connections.rotate_left(good);
        let connections = self.connections;
        for _ in 0..AT_ONCE.min(layers.len()) {
            let (downloads, connections) = (Arc::clone(&downloads), connections.clone());
            let next = move || downloads.lock().unwrap_or_else(PoisonError::into_inner).next();
            let work = move || {
                while let Some(download) = next() {
                    download.run(&connections);
                }
            };
            std::thread::Builder::new().name("download".to_owned()).spawn(work)?;
        }
        Ok(pieces.into_iter().map(|pieces| Box::new(pieces) as Box<dyn Read + Send>).collect())
    }
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
