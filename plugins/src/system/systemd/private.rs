//! systemd's own socket, which speaks D-Bus with one mistake.
//!
//! Its messages name `org.freedesktop.systemd1` as their sender, where the specification wants a unique name,
//! and zbus takes no message without one. So the first letter of that name becomes a colon on the way in.

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use zbus::connection::socket::{ReadHalf, Socket, Split, WriteHalf};
use zbus::export::async_trait::async_trait;

/// How long the fixed part of a header is.
const FIXED: usize = 16;

/// What stands before the name of the sender in a header: the code of the field, its type, and the length of
/// the name.
const BEFORE_NAME: [[u8; 8]; 2] = [*b"\x07\x01s\0\x18\0\0\0", *b"\x07\x01s\0\0\0\0\x18"];

/// A connection to the socket.
#[derive(Debug)]
pub(super) struct PrivateSocket(UnixStream);

impl PrivateSocket {
    pub(super) async fn connect(path: &Path) -> Result<Self> {
        loop {
            match UnixStream::connect(path).await {
                // systemd is busy, and too many are waiting for it.
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                stream => return Ok(Self(stream?)),
            }
        }
    }
}

impl Socket for PrivateSocket {
    type ReadHalf = Reader;
    type WriteHalf = Writer;

    fn split(self) -> Split<Reader, Writer> {
        let (read, write) = self.0.into_split();
        Split::new(Reader { stream: read, senders: Senders::default() }, Writer(write))
    }
}

#[derive(Debug)]
pub(super) struct Reader {
    stream: OwnedReadHalf,
    senders: Senders,
}

#[async_trait]
impl ReadHalf for Reader {
    async fn recvmsg(&mut self, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>)> {
        loop {
            self.stream.readable().await?;
            match self.stream.try_read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => {
                    let read = read?;
                    self.senders.mend(&mut buffer[..read]);
                    return Ok((read, Vec::new()));
                }
            }
        }
    }
}

#[derive(Debug)]
pub(super) struct Writer(OwnedWriteHalf);

#[async_trait]
impl WriteHalf for Writer {
    async fn sendmsg(&mut self, bytes: &[u8], _fds: &[BorrowedFd<'_>]) -> Result<usize> {
        loop {
            self.0.writable().await?;
            match self.0.try_write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Ok(0) => return Err(Error::from(ErrorKind::WriteZero)),
                written => return written,
            }
        }
    }

    async fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    async fn close(&mut self) -> Result<()> {
        Ok(())
    }
}

/// Finds the senders in a stream of messages, wherever it is cut.
#[derive(Debug, Default)]
struct Senders {
    /// Before the first message the server answers in lines.
    in_line: bool,
    fixed: [u8; FIXED],
    /// The bytes just before.
    last: [u8; 8],
    position: usize,
    header_end: usize,
    end: usize,
}

impl Senders {
    fn mend(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            // A message begins with its byte order, and no line with one of these letters.
            if self.in_line || (self.position == 0 && !matches!(*byte, b'l' | b'B')) {
                self.in_line = *byte != b'\n';
                continue;
            }
            if let Some(fixed) = self.fixed.get_mut(self.position) {
                *fixed = *byte;
            } else if self.position < self.header_end && *byte == b'o' && BEFORE_NAME.contains(&self.last) {
                *byte = b':';
            }
            self.last.rotate_left(1);
            self.last[7] = *byte;
            self.position += 1;
            if self.position == FIXED {
                let (body, fields) = (self.number(4), self.number(12));
                self.header_end = (FIXED + fields).next_multiple_of(8);
                self.end = self.header_end.saturating_add(body);
            }
            if self.position >= FIXED && self.position >= self.end {
                self.position = 0;
            }
        }
    }

    fn number(&self, at: usize) -> usize {
        let bytes = [self.fixed[at], self.fixed[at + 1], self.fixed[at + 2], self.fixed[at + 3]];
        let number =
            if self.fixed[0] == b'l' { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) };
        number as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use zbus::Message;
    use zbus::wire::Endian;

    #[test]
    fn senders_are_mended_in_headers_only_wherever_the_stream_is_cut() {
        let (theirs, mended) = ("org.freedesktop.systemd1", ":rg.freedesktop.systemd1");
        let mut expected = b"OK 1234\r\nAGREE_UNIX_FD\r\n".to_vec();
        for endian in [Endian::Little, Endian::Big] {
            for body in [theirs, "org.freedesktop.systemd1\u{7}\u{1}s", ""] {
                let message = Message::signal("/a", "b.c", "d").sender(mended).endian(endian);
                // A number that looks like the field, before a text that looks like the name.
                let message = message.build(&(u32::from_le_bytes(*b"\x07\x01s\0"), body)).unwrap();
                expected.extend_from_slice(&message.data()[..]);
            }
        }
        let name = expected.windows(24).position(|window| window == mended.as_bytes()).unwrap();
        assert_eq!(expected[name - 8..name], BEFORE_NAME[0]);
        let mut received = expected.clone();
        while let Some(name) = received.windows(24).position(|window| window == mended.as_bytes()) {
            received[name] = b'o';
        }
        for size in 1..received.len() {
            let (mut senders, mut bytes) = (Senders::default(), received.clone());
            bytes.chunks_mut(size).for_each(|chunk| senders.mend(chunk));
            assert!(bytes == expected, "in pieces of {size} bytes");
        }
    }
}
