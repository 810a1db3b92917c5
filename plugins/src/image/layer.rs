//! From the bytes of a layer to its archive: decompressed and verified on a thread of its own.

use super::pieces::{self, PIECE, Pieces, Sender};
use super::{Blob, Digest, Reason};
use crate::system::stop;
use flate2::bufread::MultiGzDecoder;
use std::io::{self, BufRead, BufReader, Read};

/// How many pieces may lie between the decompression and the files: 4 MiB.
const AHEAD: usize = 16;

/// A layer of an image.
pub(crate) struct Layer {
    /// What is stored of it.
    pub(crate) blob: Blob,
    /// The digest of its archive, which is not compressed.
    pub(crate) content: Digest,
    /// Its bytes as they are stored; verified, so that the end is an error unless they are right.
    pub(crate) stored: Box<dyn Read + Send>,
}

impl Layer {
    /// Its archive. The end of it is an error unless everything was right.
    pub(crate) fn archive(self) -> io::Result<Pieces> {
        let (mut sender, archive) = pieces::channel(AHEAD);
        let work = move || {
            if let Err(error) = decompress(self, &mut sender) {
                sender.fail(error);
            }
        };
        std::thread::Builder::new().name("decompress".to_owned()).spawn(work)?;
        Ok(archive)
    }
}

fn decompress(layer: Layer, sender: &mut Sender) -> io::Result<()> {
    let mut stored = BufReader::with_capacity(PIECE, layer.stored);
    let mut check = layer.content.check();
    // Its media type is not always true, but what it begins with is.
    let begin = stored.fill_buf()?;
    if begin.starts_with(&[0x1f, 0x8b]) {
        let mut decoder = MultiGzDecoder::new(&mut stored);
        send(&mut decoder, |piece| check.update(piece), sender).map_err(|error| broken("gzip", error))?;
    } else if is_zstd(begin) {
        let mut decoder = zstd::stream::read::Decoder::with_buffer(&mut stored)?;
        send(&mut decoder, |piece| check.update(piece), sender).map_err(|error| broken("zstd", error))?;
    } else {
        send(&mut stored, |piece| check.update(piece), sender)?;
    }
    // Behind the end of the compression: nothing, but the digest is compared there.
    io::copy(&mut stored, &mut io::sink())?;
    check.finish()
}

/// A frame, or one that decoders pass over.
fn is_zstd(begin: &[u8]) -> bool {
    begin.starts_with(&[0x28, 0xb5, 0x2f, 0xfd])
        || matches!(begin, [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50)
}

/// Says that it is the compression that is broken, unless the bytes already were.
fn broken(compression: &str, error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => Reason::Content.io(format!("the {compression} stream breaks off")),
        io::ErrorKind::InvalidInput | io::ErrorKind::Other if error.get_ref().is_none() => error,
        io::ErrorKind::InvalidInput => {
            Reason::Content.io(format!("the {compression} stream is broken: {error}"))
        }
        _ => error,
    }
}

/// Sends everything that can be read.
fn send(input: &mut impl Read, mut see: impl FnMut(&[u8]), sender: &mut Sender) -> io::Result<()> {
    loop {
        // What decompresses to much more than it was would otherwise not be stopped soon.
        stop::check().map_err(io::Error::other)?;
        let room = sender.room();
        match input.read(room) {
            Ok(0) => return sender.flush(),
            Ok(count) => {
                see(&room[..count]);
                sender.fill(count)?;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::digest::Verified;
    use std::io::Write as _;

    fn read(stored: &[u8], content: &[u8]) -> Result<Vec<u8>, String> {
        let (digest, size) = (Digest::of(stored), stored.len() as u64);
        let verified = Verified::new(io::Cursor::new(stored.to_vec()), size, &digest);
        let blob = Blob { digest, size };
        let layer = Layer { blob, content: Digest::of(content), stored: Box::new(verified) };
        let mut bytes = Vec::new();
        let result = layer.archive().unwrap().read_to_end(&mut bytes);
        result.map(|_| bytes).map_err(|error| error.to_string())
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_compression_is_known_by_its_first_bytes() {
        let content = vec![b'x'; 3 * PIECE + 5];
        let zstd = |content| zstd::encode_all(content, 1).unwrap();
        let skippable = [&[0x52, 0x2a, 0x4d, 0x18, 2, 0, 0, 0, 9, 9][..], &zstd(&content[..])].concat();
        let (first, second) = content.split_at(PIECE);
        for stored in [
            content.clone(),
            gzip(&content),
            [gzip(first), gzip(second)].concat(),
            zstd(&content[..]),
            [zstd(first), zstd(second)].concat(),
            skippable,
        ] {
            assert!(read(&stored, &content).unwrap() == content);
        }
        assert_eq!(read(b"", b"").unwrap(), b"");
    }

    #[test]
    fn a_broken_compression_and_another_content_are_errors() {
        let content = vec![b'x'; PIECE];
        let stored = gzip(&content);
        assert!(
            read(&stored[..stored.len() / 2], &content).unwrap_err().contains("the gzip stream breaks off")
        );
        assert!(
            read(&stored[..stored.len() - 4], &content).unwrap_err().contains("the gzip stream breaks off")
        );
        let mut sum = stored.clone();
        let at = sum.len() - 8;
        sum[at] ^= 1;
        assert!(read(&sum, &content).unwrap_err().contains("the gzip stream is broken"));
        assert!(read(&[stored.clone(), b"more".to_vec()].concat(), &content).is_err());
        let zstd = zstd::encode_all(&content[..], 1).unwrap();
        assert!(read(&zstd[..zstd.len() / 2], &content).is_err());
        for stored in [stored, zstd, content] {
            assert!(read(&stored, b"other").unwrap_err().contains("not what its digest says"));
        }
    }

    #[test]
    fn who_stops_reading_stops_the_decompression() {
        let content = vec![b'x'; 100 * PIECE];
        let stored = gzip(&content);
        let (digest, size) = (Digest::of(&stored), stored.len() as u64);
        let (sender, dropped) = std::sync::mpsc::channel();
        struct Watched(io::Cursor<Vec<u8>>, std::sync::mpsc::Sender<()>);
        impl Read for Watched {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(buffer)
            }
        }
        impl Drop for Watched {
            fn drop(&mut self) {
                let _ = self.1.send(());
            }
        }
        let stored = Box::new(Watched(io::Cursor::new(stored), sender));
        let layer = Layer { blob: Blob { digest, size }, content: Digest::of(&content), stored };
        drop(layer.archive().unwrap());
        dropped.recv_timeout(std::time::Duration::from_secs(60)).unwrap();
    }
}
