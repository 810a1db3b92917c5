//! The download of one blob: what has arrived is never asked for again.

use super::failure::{Failure, TRIES, classify, patiently, pause};
use crate::image::Blob;
use crate::image::digest::Check;
use crate::image::pieces::{self, PIECE, Pieces, Sender};
use anyhow::anyhow;
use futures_util::StreamExt as _;
use oci_client::client::BlobResponse;
use oci_client::manifest::OciDescriptor;
use oci_client::{Client, Reference};
use std::io;

/// A download, as far as it has got.
pub(super) struct Download {
    blob: Blob,
    sender: Sender,
    check: Check,
    received: u64,
    piece: Vec<u8>,
}

impl Download {
    /// A download that will be at most so many pieces ahead of who reads it.
    pub(super) fn new(blob: &Blob, ahead: usize) -> (Self, Pieces) {
        let (sender, pieces) = pieces::channel(ahead);
        let check = blob.digest.check();
        (Self { blob: blob.clone(), sender, check, received: 0, piece: Vec::new() }, pieces)
    }

    /// Downloads it to the end. That is an error unless everything was right.
    pub(super) async fn run(mut self, client: &Client, reference: &Reference) {
        let (mut tried, mut before) = (0, 0);
        let result = loop {
            tried += 1;
            match self.go_on(client, reference).await {
                Err(Failure::Passing(error)) => {
                    if self.received > before {
                        (tried, before) = (1, self.received);
                    }
                    if tried >= TRIES {
                        break Err(error.context(format!("after {TRIES} tries")));
                    }
                    if let Err(stopped) = pause(tried).await {
                        break Err(stopped.into());
                    }
                }
                Err(Failure::Final(error)) => break Err(error),
                Ok(()) => break Ok(()),
            }
        };
        let end = match result {
            Ok(()) => self.check.finish(),
            Err(error) => Err(io::Error::other(format!("{error:#}"))),
        };
        // A reader that is gone has had its reasons.
        if let Err(error) = end {
            let _ = self.sender.send(Err(error)).await;
        } else if !self.piece.is_empty() {
            let _ = self.sender.send(Ok(self.piece)).await;
        }
    }

    /// Downloads what is missing, over one connection.
    async fn go_on(&mut self, client: &Client, reference: &Reference) -> Result<(), Failure> {
        let Blob { digest, size } = &self.blob;
        // Without its URLs: those are for layers that are refused.
        let blob = OciDescriptor { digest: digest.to_string(), ..OciDescriptor::default() };
        if self.received == *size {
            return Ok(());
        }
        let answer = client.pull_blob_stream_partial(reference, &blob, self.received, None);
        let (mut stream, mut known) = match patiently(answer).await?.map_err(classify)? {
            BlobResponse::Partial(stream) => (stream, 0),
            // This one cannot begin in the middle.
            BlobResponse::Full(stream) => (stream, self.received),
        };
        while self.received < self.blob.size {
            let chunk = match patiently(stream.next()).await? {
                Some(Ok(chunk)) => chunk,
                Some(Err(error)) => return Err(broken(error)),
                None => return Err(Failure::Passing(anyhow!("the connection broke off"))),
            };
            let pass = chunk.len().min(usize::try_from(known).unwrap_or(usize::MAX));
            known -= pass as u64;
            self.take(&chunk[pass..]).await?;
        }
        Ok(())
    }

    async fn take(&mut self, mut chunk: &[u8]) -> Result<(), Failure> {
        if chunk.len() as u64 > self.blob.size - self.received {
            let size = self.blob.size;
            return Err(Failure::Final(anyhow!("the registry sends more than the {size} bytes it should")));
        }
        self.received += chunk.len() as u64;
        self.check.update(chunk);
        while !chunk.is_empty() {
            let (now, later) = chunk.split_at(chunk.len().min(PIECE - self.piece.len()));
            self.piece.extend_from_slice(now);
            chunk = later;
            if self.piece.len() == PIECE {
                let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
                if self.sender.send(Ok(piece)).await.is_err() {
                    return Err(Failure::Final(anyhow!("nobody needs it any more")));
                }
            }
        }
        Ok(())
    }
}

/// An error in the middle of a stream.
fn broken(error: io::Error) -> Failure {
    match error.downcast::<reqwest::Error>() {
        Ok(error) => super::failure::request(error),
        Err(error) => Failure::Passing(error.into()),
    }
}
