//! Bytes on their way from one thread to another, in pieces and in bounded memory: who is faster waits.

use std::io::{self, Read};
use tokio::sync::mpsc;

/// How large a piece is.
pub(super) const PIECE: usize = 256 << 10;

/// A piece, or why there are no more.
pub(super) type Piece = io::Result<Vec<u8>>;

/// Where pieces are put in.
pub(super) type Sender = mpsc::Sender<Piece>;

/// Where they come out as a stream.
pub(crate) struct Pieces {
    receiver: mpsc::Receiver<Piece>,
    piece: Vec<u8>,
    read: usize,
}

/// A way for pieces, of which at most `most` are on it.
pub(super) fn channel(most: usize) -> (Sender, Pieces) {
    let (sender, receiver) = mpsc::channel(most);
    (sender, Pieces { receiver, piece: Vec::new(), read: 0 })
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => (self.piece, self.read) = (piece?, 0),
            }
        }
        let count = buffer.len().min(self.piece.len() - self.read);
        buffer[..count].copy_from_slice(&self.piece[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}
