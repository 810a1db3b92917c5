//! HTTP servers on the loopback device, which answer well, badly, too much, or not at all.

use super::Identity;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The longest that a server waits for a client.
const PATIENCE: Duration = Duration::from_secs(10);

/// A server that is there until it is dropped. It answers one request a connection.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
}

struct Shared {
    handler: Box<dyn Fn(&Received) -> Answer + Send + Sync>,
    identity: Option<Identity>,
    received: Mutex<Vec<Received>>,
    closed: AtomicBool,
}

/// A request as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The method: `GET`.
    pub method: String,
    /// The path with the query; for a proxy, the whole address.
    pub path: String,
    /// The headers, their names in small letters.
    pub headers: BTreeMap<String, String>,
    /// The body.
    pub body: Vec<u8>,
}

impl Received {
    /// The value of a header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

impl Server {
    /// Serves HTTP on a free port.
    pub fn new(handler: impl Fn(&Received) -> Answer + Send + Sync + 'static) -> Self {
        Self::start(None, Box::new(handler))
    }

    /// Serves HTTPS on a free port.
    pub fn with_tls(
        identity: Identity,
        handler: impl Fn(&Received) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(identity), Box::new(handler))
    }

    fn start(identity: Option<Identity>, handler: Box<dyn Fn(&Received) -> Answer + Send + Sync>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("the port is known");
        let scheme = if identity.is_some() { "https" } else { "http" };
        let (received, closed) = (Mutex::default(), AtomicBool::new(false));
        let shared = Arc::new(Shared { handler, identity, received, closed });
        let serving = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if serving.closed.load(Ordering::SeqCst) {
                    break;
                }
                let serving = serving.clone();
                // A client that has seen enough goes away.
                thread::spawn(move || _ = serving.connection(stream));
            }
        });
        Self { address, scheme, shared }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address of something on it: `/file`.
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The same under a host name that a host of tests must know.
    pub fn url_as(&self, name: &str, path: &str) -> String {
        format!("{}://{name}:{}{path}", self.scheme, self.address.port())
    }

    /// The requests since the last call.
    pub fn take_requests(&self) -> Vec<Received> {
        std::mem::take(&mut *self.shared.received.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for clients.
        let _ = TcpStream::connect(self.address);
    }
}

impl Shared {
    fn connection(&self, stream: TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        match &self.identity {
            None => self.serve(stream),
            Some(identity) => {
                let session =
                    rustls::ServerConnection::new(identity.0.clone()).map_err(std::io::Error::other)?;
                self.serve(rustls::StreamOwned::new(session, stream))
            }
        }
    }

    fn serve(&self, stream: impl Read + Write) -> std::io::Result<()> {
        let mut reader = BufReader::new(stream);
        let received = receive(&mut reader)?;
        let answer = (self.handler)(&received);
        self.received.lock().unwrap_or_else(PoisonError::into_inner).push(received);
        answer.send(reader.get_mut(), &self.closed)
    }
}

fn receive(reader: &mut impl BufRead) -> std::io::Result<Received> {
    let mut received = Received::default();
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        if let Some((name, value)) = line.split_once(':').filter(|_| !received.method.is_empty()) {
            received.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        } else {
            let mut words = line.split(' ').map(str::to_owned);
            received.method = words.next().unwrap_or_default();
            received.path = words.next().unwrap_or_default();
        }
        line.clear();
    }
    if received.method.is_empty() {
        return Err(ErrorKind::UnexpectedEof.into());
    }
    let length = received.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    reader.take(length).read_to_end(&mut received.body)?;
    Ok(received)
}

/// What a server answers.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    claimed: Option<u64>,
    sent: u64,
    piece: usize,
    pause: Duration,
}

impl Answer {
    /// Success, with this body.
    pub fn ok(body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let (claimed, sent) = (Some(body.len() as u64), body.len() as u64);
        Self { status: 200, headers: Vec::new(), body, claimed, sent, piece: 64 << 10, pause: Duration::ZERO }
    }

    /// Another status, with a page that says so.
    pub fn status(status: u16) -> Self {
        Self { status, ..Self::ok(format!("<html>{status}</html>\n")) }
    }

    /// The way to another address.
    pub fn redirect(to: impl Into<String>) -> Self {
        Self::status(302).header("Location", to)
    }

    /// A file with a version, of which parts can be had: `Range`, `If-Range` and `If-None-Match` are honoured.
    pub fn file(content: impl Into<Vec<u8>>, etag: &str, received: &Received) -> Self {
        let content = content.into();
        if received.header("if-none-match") == Some(etag) {
            return Self { status: 304, ..Self::ok("") }.unclaimed().header("ETag", etag);
        }
        let range = received.header("range").and_then(|range| range.strip_prefix("bytes="));
        let start = range.and_then(|range| range.strip_suffix('-')?.parse().ok());
        let same = received.header("if-range").is_none_or(|wanted| wanted == etag);
        match start {
            Some(start) if same && start >= content.len() => Self::status(416),
            Some(start) if same => {
                let (last, whole) = (content.len() - 1, content.len());
                Self { status: 206, ..Self::ok(&content[start..]) }
                    .header("Content-Range", format!("bytes {start}-{last}/{whole}"))
            }
            _ => Self::ok(content),
        }
        .header("ETag", etag)
    }

    /// Adds a header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The same with another status.
    pub fn with_status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Says that the body has so many bytes, whatever is sent.
    pub fn claiming(mut self, length: u64) -> Self {
        self.claimed = Some(length);
        self
    }

    /// Does not say how many bytes the body has.
    pub fn unclaimed(mut self) -> Self {
        self.claimed = None;
        self
    }

    /// Sends only so many bytes of the body, and goes away.
    pub fn cut_after(mut self, length: u64) -> Self {
        self.sent = length;
        self
    }

    /// Repeats the body until the client has enough.
    pub fn endless(mut self) -> Self {
        self.sent = u64::MAX;
        self
    }

    /// Sends so many bytes at once, with a pause before each time.
    pub fn slowly(mut self, piece: usize, pause: Duration) -> Self {
        (self.piece, self.pause) = (piece, pause);
        self
    }

    fn send(&self, stream: &mut impl Write, closed: &AtomicBool) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} Said\r\nConnection: close\r\n", self.status);
        if let Some(claimed) = self.claimed {
            head += &format!("Content-Length: {claimed}\r\n");
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all((head + "\r\n").as_bytes())?;
        stream.flush()?;
        let mut left = self.sent;
        while left > 0 && !self.body.is_empty() {
            for piece in self.body.chunks(self.piece) {
                thread::sleep(self.pause);
                if closed.load(Ordering::SeqCst) {
                    return Ok(());
                }
                let piece = &piece[..piece.len().min(usize::try_from(left).unwrap_or(usize::MAX))];
                stream.write_all(piece)?;
                stream.flush()?;
                left -= piece.len() as u64;
                if left == 0 {
                    break;
                }
            }
        }
        Ok(())
    }
}
