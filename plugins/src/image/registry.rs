//! A registry, over HTTP.
//!
//! **Invariants:** the runtime that the client needs is started here and nowhere else; every wait ends when
//! this process is told to stop, and after a while without an answer; no URL, which may hold a signature, and
//! nothing of a login gets into an error.

mod download;
mod failure;

use super::manifest::{DOCUMENTS, LARGEST_DOCUMENT};
use super::{Blob, Store};
use crate::system::http::Proxies;
use anyhow::{Context, Result, bail};
use download::Download;
use failure::{Failure, classify, patiently, retry};
use futures_util::{StreamExt as _, stream};
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use std::io::Read;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How many layers are downloaded at once.
const AT_ONCE: usize = 3;
/// How many pieces of a layer are downloaded ahead of their use: 4 MiB.
const AHEAD: usize = 16;

/// How to reach a registry.
pub struct Access {
    /// The repository.
    pub reference: Reference,
    /// What it is shown.
    pub login: RegistryAuth,
    /// Whether it is spoken to over plain HTTP.
    pub plain: bool,
    /// Certificates in the DER form that are trusted besides those of the machine.
    pub trusted: Vec<Vec<u8>>,
    /// The way to other machines.
    pub proxies: Proxies,
}

/// A connection to a repository of a registry.
pub struct Registry {
    client: Client,
    runtime: Runtime,
    reference: Reference,
    login: RegistryAuth,
}

impl Registry {
    /// Prepares the connection; nothing is sent yet.
    pub fn new(access: Access) -> Result<Self> {
        // Fails only when it has been installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let der = |data: Vec<u8>| Certificate { encoding: CertificateEncoding::Der, data };
        let config = || ClientConfig {
            protocol: if access.plain { ClientProtocol::Http } else { ClientProtocol::Https },
            connect_timeout: Some(CONNECT),
            user_agent: concat!("cosette/", env!("CARGO_PKG_VERSION")),
            platform_resolver: None,
            extra_root_certificates: access.trusted.iter().cloned().map(der).collect(),
            http_proxy: access.proxies.http.clone(),
            https_proxy: access.proxies.https.clone(),
            no_proxy: Some(access.proxies.exceptions.clone()),
            ..ClientConfig::default()
        };
        // The certificates of the distribution or, where there are none, those that the binary carries.
        let client = Client::try_from(config()).or_else(|_| {
            let carried = webpki_root_certs::TLS_SERVER_ROOT_CERTS.iter();
            let carried = carried.map(|certificate| der(certificate.to_vec()));
            Client::try_from(ClientConfig { tls_certs_only: carried.collect(), ..config() })
        });
        let client = client.map_err(|_| anyhow::anyhow!("cannot set up TLS"))?;
        let runtime =
            Builder::new_current_thread().enable_all().build().context("cannot wait for a network")?;
        Ok(Self { client, runtime, reference: access.reference, login: access.login })
    }

    fn manifest(&self, reference: &Reference) -> Result<Vec<u8>> {
        self.runtime.block_on(retry(|| async {
            // Otherwise a refused login would look like an image that is not there.
            let login = self.client.auth(reference, &self.login, RegistryOperation::Pull);
            patiently(login).await?.map_err(classify)?;
            let manifest = self.client.pull_manifest_raw(reference, &self.login, DOCUMENTS);
            let (bytes, _) = patiently(manifest).await?.map_err(classify)?;
            Ok(bytes.to_vec())
        }))
    }
}

impl Store for Registry {
    fn top(&mut self) -> Result<Vec<u8>> {
        self.manifest(&self.reference)
    }

    fn document(&mut self, blob: &Blob) -> Result<Vec<u8>> {
        let bytes = self.manifest(&self.reference.clone_with_digest(blob.digest.to_string()))?;
        blob.digest.verify(&bytes)?;
        Ok(bytes)
    }

    fn configuration(&mut self, blob: &Blob) -> Result<Vec<u8>> {
        if blob.size > LARGEST_DOCUMENT {
            bail!("it has {} bytes, more than {LARGEST_DOCUMENT}", blob.size);
        }
        let (download, mut pieces) = Download::new(blob, 1 << 5);
        self.runtime.block_on(download.run(&self.client, &self.reference));
        let mut bytes = Vec::new();
        pieces.read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Begins to download them, a few at once, on a thread of its own.
    fn layers(self: Box<Self>, layers: &[Blob]) -> Result<Vec<Box<dyn Read + Send>>> {
        let (downloads, pieces): (Vec<_>, Vec<_>) =
            layers.iter().map(|blob| Download::new(blob, AHEAD)).unzip();
        let Self { client, runtime, reference, .. } = *self;
        let work = move || {
            let all = stream::iter(downloads)
                .for_each_concurrent(AT_ONCE, |download| download.run(&client, &reference));
            runtime.block_on(all);
        };
        std::thread::Builder::new().name("download".to_owned()).spawn(work)?;
        Ok(pieces.into_iter().map(|pieces| Box::new(pieces) as Box<dyn Read + Send>).collect())
    }
}

impl From<Failure> for anyhow::Error {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Passing(error) | Failure::Final(error) => error,
        }
    }
}

#[cfg(test)]
mod server;
#[cfg(test)]
mod tests;
