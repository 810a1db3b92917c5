//! Fetches texts over HTTP, in bounded time and size, and only from servers that can prove who they are.

use anyhow::{Context, Result, bail};
use reqwest::blocking::{Client, Response};
use std::io::Read;
use std::thread::sleep;
use std::time::Duration;

/// How often a server that does not answer, or is in trouble, is asked.
const TRIES: u32 = 3;
/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one try may take altogether.
const TOTAL: Duration = Duration::from_secs(60);

/// The body behind an address, if the server says 2xx. A body of more than `largest` bytes is cut off one
/// byte behind that, for the caller to see.
pub(crate) fn text(url: &str, largest: u64) -> Result<Vec<u8>> {
    let client = client()?;
    let mut tried = 0;
    loop {
        tried += 1;
        match attempt(&client, url, largest) {
            Err(Failure::Passing(_)) if tried < TRIES => sleep(Duration::from_secs(1 << (tried - 1))),
            Err(Failure::Passing(error)) => return Err(error.context(format!("after {TRIES} tries"))),
            Err(Failure::Final(error)) => return Err(error),
            Ok(body) => return Ok(body),
        }
    }
}

enum Failure {
    /// Another try may go better.
    Passing(anyhow::Error),
    Final(anyhow::Error),
}

fn attempt(client: &Client, url: &str, largest: u64) -> Result<Vec<u8>, Failure> {
    let response = client.get(url).send().map_err(|error| {
        let passing = error.is_connect() || error.is_timeout();
        let error = anyhow::Error::from(error.without_url());
        if passing { Failure::Passing(error) } else { Failure::Final(error) }
    })?;
    let status = response.status();
    if status.is_server_error() || status.as_u16() == 429 {
        return Err(Failure::Passing(anyhow::anyhow!("the server answered {status}")));
    }
    body(response, largest).map_err(Failure::Final)
}

fn body(response: Response, largest: u64) -> Result<Vec<u8>> {
    let status = response.status();
    if !status.is_success() {
        bail!("the server answered {status}");
    }
    let mut body = Vec::new();
    response.take(largest + 1).read_to_end(&mut body).context("the answer broke off")?;
    Ok(body)
}

/// A client that trusts the certificates of the distribution or, where there are none, those of Mozilla that
/// the binary carries. Proxies are those of the environment.
fn client() -> Result<Client> {
    // Fails only when it has been installed before, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = || {
        Client::builder()
            .user_agent(concat!("cosette/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .timeout(TOTAL)
    };
    builder()
        .build()
        .or_else(|_| {
            let carried = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
            let carried = carried.iter().filter_map(|der| reqwest::Certificate::from_der(der).ok());
            builder().tls_certs_only(carried).build()
        })
        .context("cannot set up TLS")
}
