//! One try of a request.

use super::failure::{Failure, to_io};
use super::redirect::{Way, address};
use super::{Method, Request, Response};
use crate::system::stop;
use anyhow::{Context as _, Result, anyhow};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::{LOCATION, RETRY_AFTER};
use reqwest::{Certificate, NoProxy, Proxy, redirect};
use std::ffi::OsString;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// Addresses that mean another machine to a proxy than to this one.
const NEVER_PROXIED: &str = "localhost,127.0.0.0/8,::1,169.254.0.0/16,fe80::/10";

/// How the client behaves; only tests have another than the default.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a connection may take to come about.
    pub connect: Duration,
    /// How long an answer may stand still.
    pub stall: Duration,
    /// Certificates that are trusted besides those of the distribution, in DER.
    pub roots: Vec<Vec<u8>>,
    /// The only host names there are, and addresses beside the loopback ones, and what each stands for, with the
    /// port that is its standard one.
    pub names: Option<Vec<(String, SocketAddr)>>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            stall: Duration::from_secs(30),
            roots: Vec::new(),
            names: None,
        }
    }
}

/// A client, set up once.
#[derive(Clone, Debug)]
pub struct Client {
    client: reqwest::Client,
    stall: Duration,
    names: Option<Vec<(String, SocketAddr)>>,
}

impl Client {
    /// A client that trusts the certificates of the distribution or, where there are none, those of Mozilla
    /// that the binary carries. Proxies are those that `variable` names: `http_proxy`, `https_proxy`,
    /// `all_proxy`, `no_proxy`, in capitals as well.
    pub fn new(settings: &Settings, variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Self> {
        // Fails only when it has been installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let proxies = proxies(variable)?;
        let own: Vec<_> =
            settings.roots.iter().map(|der| Certificate::from_der(der)).collect::<Result<_, _>>()?;
        let builder = || {
            let mut builder = reqwest::Client::builder()
                .user_agent(concat!("cosette/", env!("CARGO_PKG_VERSION")))
                .connect_timeout(settings.connect)
                .redirect(redirect::Policy::none())
                // Each request has a runtime of its own, and no connection outlives it.
                .pool_max_idle_per_host(0)
                .no_proxy();
            if let Some(names) = &settings.names {
                builder = builder.dns_resolver(Arc::new(Names(names.clone())));
            }
            proxies.iter().cloned().fold(builder, reqwest::ClientBuilder::proxy)
        };
        let client = builder().tls_certs_merge(own.clone()).build().or_else(|_| {
            let carried = webpki_root_certs::TLS_SERVER_ROOT_CERTS;
            let carried = carried.iter().filter_map(|der| Certificate::from_der(der).ok());
            builder().tls_certs_only(carried.chain(own)).build()
        });
        let client = client.map_err(reqwest::Error::without_url).context("cannot set up TLS")?;
        Ok(Self { client, stall: settings.stall, names: settings.names.clone() })
    }

    /// Makes one try, following redirects.
    pub fn fetch(&self, request: &Request) -> Result<Response> {
        // One thread, which is this one, so that nothing goes on behind its back.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let patience = Patience {
            runtime: Some(runtime.context("cannot prepare for the network")?),
            stall: self.stall,
            end: request.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        };
        let mut way = Way::new(request.method, address(&request.url)?);
        loop {
            let server = way.end().host_str().unwrap_or_default().to_owned();
            let sent = patience.wait(&server, self.build(request, &way)?.send())?;
            let response = sent.map_err(|error| Failure::of_client(error, &server))?;
            let status = response.status();
            let header =
                |name| response.headers().get(name).and_then(|value| str::from_utf8(value.as_bytes()).ok());
            if matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
                && let Some(location) = header(LOCATION)
            {
                way.follow(location)?;
                continue;
            }
            if !request.expects(status.as_u16()) {
                return Err(Failure::Status {
                    code: status.as_u16(),
                    reason: status.canonical_reason().unwrap_or_default(),
                    wait: header(RETRY_AFTER)
                        .and_then(|text| text.trim().parse().ok())
                        .map(Duration::from_secs),
                }
                .into());
            }
            let headers = response.headers().iter();
            let headers =
                headers.map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
            let (status, url) = (status.as_u16(), way.end().to_string());
            let length = response.content_length();
            let body = Body { response, patience, server, rest: Vec::new(), taken: 0 };
            return Ok(Response::new(status, url, headers, length, request.largest, Box::new(body))?);
        }
    }

    fn build(&self, request: &Request, way: &Way) -> Result<reqwest::RequestBuilder> {
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
        };
        let mut built = self.client.request(method, self.place(way.end())?);
        for (name, value) in request.headers.iter().filter(|(name, _)| way.shows(name)) {
            built = built.header(name, value);
        }
        Ok(if request.method == Method::Get { built } else { built.body(request.body.clone()) })
    }

    /// Where an address leads: no name server has a say in one that is a number.
    fn place(&self, url: &reqwest::Url) -> Result<reqwest::Url> {
        let mut url = url.clone();
        let host = url.host_str().unwrap_or_default().to_owned();
        let Some((names, address)) = self.names.as_ref().zip(host.parse::<IpAddr>().ok()) else {
            return Ok(url);
        };
        if let Some((_, place)) = names.iter().find(|(name, _)| *name == host) {
            let set = url.set_ip_host(place.ip()).and_then(|()| url.set_port(Some(place.port())));
            set.map_err(|()| anyhow!("{host} cannot stand for another address"))?;
        } else if !address.is_loopback() {
            return Err(Failure::Passing(format!("cannot connect to {host}: there is no such host")).into());
        }
        Ok(url)
    }
}

/// The only host names there are.
struct Names(Vec<(String, SocketAddr)>);

impl Resolve for Names {
    fn resolve(&self, name: Name) -> Resolving {
        let found = self.0.iter().find(|(known, _)| known == name.as_str());
        let found = found.map(|(_, address)| -> Addrs { Box::new(std::iter::once(*address)) });
        Box::pin(std::future::ready(found.ok_or_else(|| "there is no such host".into())))
    }
}

/// The proxies of the environment.
fn proxies(variable: &dyn Fn(&str) -> Option<OsString>) -> Result<Vec<Proxy>> {
    let value = |name: &str| {
        let found = variable(name).or_else(|| variable(&name.to_ascii_uppercase()))?;
        found.into_string().ok().filter(|text| !text.is_empty())
    };
    let exceptions = format!("{NEVER_PROXIED},{}", value("no_proxy").unwrap_or_default());
    let exceptions = NoProxy::from_string(&exceptions);
    let all = value("all_proxy");
    let http = value("http_proxy").or_else(|| all.clone());
    let https = value("https_proxy").or(all);
    let made = [("http", http.map(Proxy::http)), ("https", https.map(Proxy::https))];
    let made = made.into_iter().filter_map(|(scheme, proxy)| Some((scheme, proxy?)));
    made.map(|(scheme, proxy)| match proxy {
        Ok(proxy) => Ok(proxy.no_proxy(exceptions.clone())),
        // Its own words could quote a password.
        Err(_) => Err(anyhow!("the variable {scheme}_proxy or all_proxy holds no address of a proxy")),
    })
    .collect()
}

/// Waits for the network, but not for ever, and not when this process is told to stop.
struct Patience {
    runtime: Option<Runtime>,
    stall: Duration,
    end: Option<Instant>,
}

impl Patience {
    fn wait<T>(&self, server: &str, future: impl Future<Output = T>) -> Result<T> {
        let now = Instant::now();
        let left = self.end.map_or(self.stall, |end| self.stall.min(end.saturating_duration_since(now)));
        let waiting = async {
            let (mut future, mut stopped) =
                (pin!(tokio::time::timeout(left, future)), pin!(stop::requested()));
            std::future::poll_fn(|context| match stopped.as_mut().poll(context) {
                Poll::Ready(interrupted) => Poll::Ready(Err(interrupted)),
                Poll::Pending => future.as_mut().poll(context).map(Ok),
            })
            .await
        };
        let runtime = self.runtime.as_ref().context("the network is closed")?;
        let late = || match self.end {
            Some(end) if end <= Instant::now() => Failure::Passing(format!("{server} takes too long")),
            _ => Failure::Passing(format!("{server} has sent nothing for {} s", self.stall.as_secs_f32())),
        };
        runtime.block_on(waiting)?.map_err(|_| late().into())
    }
}

impl Drop for Patience {
    fn drop(&mut self) {
        // A name that is still being looked up is not waited for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The body of an answer.
struct Body {
    response: reqwest::Response,
    patience: Patience,
    server: String,
    /// What came but did not fit into the buffer of the reader, and how much of it was taken since.
    rest: Vec<u8>,
    taken: usize,
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.taken < self.rest.len() {
            let count = (&self.rest[self.taken..]).read(buffer)?;
            self.taken += count;
            return Ok(count);
        }
        loop {
            let chunk = self.patience.wait(&self.server, self.response.chunk()).map_err(to_io)?;
            let chunk = chunk.map_err(|error| to_io(Failure::of_client(error, &self.server).into()))?;
            let Some(chunk) = chunk else { return Ok(0) };
            if chunk.is_empty() {
                continue;
            }
            let (now, later) = chunk.split_at(chunk.len().min(buffer.len()));
            buffer[..now.len()].copy_from_slice(now);
            self.rest.clear();
            self.rest.extend_from_slice(later);
            self.taken = 0;
            return Ok(now.len());
        }
    }
}
