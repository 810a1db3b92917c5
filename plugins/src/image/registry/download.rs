//! The download of one blob: what has arrived is never asked for again.

use super::{Connection, retry};
use crate::image::Blob;
use crate::image::digest::Check;
use crate::image::failure::Reason;
use crate::image::pieces::{self, Pieces, Sender};
use crate::system::http::{Failure, Response};
use crate::system::stop;
use anyhow::Result;
use std::io::{self, Read};
use std::sync::Arc;

/// A download, as far as it has got.
pub(super) struct Download {
    blob: Blob,
    sender: Sender,
    check: Check,
    received: u64,
}

impl Download {
    /// A download that will be at most so many pieces ahead of who reads it.
    pub(super) fn new(blob: &Blob, ahead: usize) -> (Self, Pieces) {
        let (sender, pieces) = pieces::channel(ahead);
        (Self { blob: blob.clone(), sender, check: blob.digest.check(), received: 0 }, pieces)
    }

    /// Downloads it to the end, and waits until it was read. Where one of the connections fails for good, the next
    /// one goes on. The end is an error unless everything was right.
    pub(super) fn run(mut self, connections: &[Arc<Connection>]) {
        let mut result = Ok(());
        for connection in connections {
            result = retry(|| {
                let result = self.go_on(connection);
                (self.received, result)
            });
            if result.is_ok() || stop::check().is_err() {
                break;
            }
        }
        let end = match result {
            Ok(()) => self.check.finish().and_then(|()| self.sender.flush()),
            Err(error) => Err(Reason::Registry.through_io(&error)),
        };
        match end {
            Ok(()) => self.sender.finish(),
            Err(error) => self.sender.fail(error),
        }
    }

    /// Downloads what is missing, over one connection.
    fn go_on(&mut self, connection: &Connection) -> Result<()> {
        let Blob { digest, size } = &self.blob;
        if self.received == *size || !self.sender.is_read() {
            return Ok(());
        }
        let response = connection.get(&format!("blobs/{digest}"), |request| {
            let request = request.largest(*size);
            match self.received {
                0 => request,
                received => request.header("Range", format!("bytes={received}-")),
            }
        });
        if let Err(error) = &response
            && matches!(error.downcast_ref(), Some(Failure::Status { code: 416, .. }))
        {
            let received = self.received;
            return Err(Reason::Content.says(format!("the registry has only {received} of its {size} bytes")));
        }
        let mut response = response?;
        if response.status() != 206 {
            // This one cannot begin in the middle.
            let passed = io::copy(&mut response.by_ref().take(self.received), &mut io::sink());
            if passed.map_err(Response::failure)? < self.received {
                return Err(broken_off());
            }
        }
        while self.received < *size {
            let room = self.sender.room();
            let most = room.len().min(usize::try_from(*size - self.received).unwrap_or(usize::MAX));
            let count = response.read(&mut room[..most]).map_err(Response::failure)?;
            if count == 0 {
                return Err(broken_off());
            }
            self.received += count as u64;
            self.check.update(&room[..count]);
            self.sender.fill(count)?;
        }
        Ok(())
    }
}

fn broken_off() -> anyhow::Error {
    Failure::Passing("the connection broke off".to_owned()).into()
}
