//! Bytes on their way from one thread to another, in pieces and in bounded memory: who is faster waits. Pieces
//! that were read go back and are filled again.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

/// How large a piece is.
pub(super) const PIECE: usize = 256 << 10;

/// A piece, or why there are no more.
type Piece = io::Result<Vec<u8>>;

/// Where pieces are put in.
pub(super) struct Sender {
    sender: SyncSender<Piece>,
    read: Receiver<Vec<u8>>,
    piece: Vec<u8>,
    filled: usize,
}

/// Where they come out as a stream.
pub(crate) struct Pieces {
    receiver: Receiver<Piece>,
    back: SyncSender<Vec<u8>>,
    piece: Vec<u8>,
    read: usize,
}

/// A way for pieces, of which at most `most` are on it.
pub(super) fn channel(most: usize) -> (Sender, Pieces) {
    let ((sender, receiver), (back, read)) = (sync_channel(most), sync_channel(most));
    let sender = Sender { sender, read, piece: Vec::new(), filled: 0 };
    (sender, Pieces { receiver, back, piece: Vec::new(), read: 0 })
}

impl Sender {
    /// The room for what comes next, which is never empty.
    pub(super) fn room(&mut self) -> &mut [u8] {
        if self.piece.is_empty() {
            self.piece = self.read.try_recv().unwrap_or_default();
            self.piece.resize(PIECE, 0);
        }
        &mut self.piece[self.filled..]
    }

    /// So much of the room was filled. That is an error once nobody reads any more.
    pub(super) fn fill(&mut self, count: usize) -> io::Result<()> {
        self.filled += count;
        if self.filled == PIECE { self.flush() } else { Ok(()) }
    }

    /// Sends what there is.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        let mut piece = std::mem::take(&mut self.piece);
        piece.truncate(std::mem::take(&mut self.filled));
        if piece.is_empty() {
            return Ok(());
        }
        self.sender.send(Ok(piece)).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Sends why there are no more.
    pub(super) fn fail(self, error: io::Error) {
        // Nobody is interested any more in what nobody reads.
        let _ = self.sender.send(Err(error));
    }

    /// Whether somebody reads.
    pub(super) fn is_read(&self) -> bool {
        !matches!(self.read.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Says that this was all, and waits until everything was read or nobody reads any more.
    pub(super) fn finish(self) {
        drop(self.sender);
        while self.read.recv().is_ok() {}
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.read == self.piece.len() {
            match self.receiver.recv() {
                Err(_) => return Ok(0),
                Ok(piece) => {
                    let used = std::mem::replace(&mut self.piece, piece?);
                    self.read = 0;
                    // When there is no room, it is one too many.
                    let _ = self.back.try_send(used);
                }
            }
        }
        let count = buffer.len().min(self.piece.len() - self.read);
        buffer[..count].copy_from_slice(&self.piece[self.read..self.read + count]);
        self.read += count;
        Ok(count)
    }
}
