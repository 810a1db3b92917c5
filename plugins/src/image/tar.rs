//! Reads tar archives, in every form that images have, in bounded memory.
//!
//! The iterator of the `tar` crate reads extension headers of any size into memory, takes a line feed in an
//! extended attribute (a file capability may hold one) for the end of it, and does not know the sparse files
//! of pax. So only its view of a header is used.

mod extensions;
mod sparse;

pub(crate) use sparse::Chunk;

use anyhow::{Context, Result, bail};
use extensions::Extensions;
use std::io::{self, Read};
use tar::Header;

/// Headers, and the starts of contents, lie at multiples of this.
const BLOCK: usize = 512;
/// The largest extension header that is read: as Go has it, and so containerd.
const LARGEST_EXTENSION: u64 = 1 << 20;
/// The longest name and link target: the kernel takes no longer ones.
const LONGEST_NAME: usize = 4095;

/// An archive that is read from the front to the end.
pub(crate) struct Archive<R> {
    input: R,
    /// Where in the archive the reader is.
    position: u64,
    /// Bytes of the current content that are not read yet.
    content: u64,
    /// Bytes behind it, up to the next header.
    padding: u64,
}

/// One entry; its content is read from the archive before the next one.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its name as it is written: perhaps absolute, perhaps with `..`.
    pub(crate) name: Vec<u8>,
    /// What it is.
    pub(crate) kind: Kind,
    /// Mode, `0` to `07777`.
    pub(crate) mode: u32,
    /// User by number.
    pub(crate) uid: u32,
    /// Group by number.
    pub(crate) gid: u32,
    /// When it was modified: seconds and nanoseconds since 1970.
    pub(crate) modified: (i64, u32),
    /// Extended attributes.
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// The size of its content, holes included.
    pub(crate) size: u64,
    /// The parts that are no holes, if it has any.
    pub(crate) chunks: Option<Vec<Chunk>>,
}

/// What an entry is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// Another name of the entry of this name.
    HardLink(Vec<u8>),
    /// A character device by its numbers.
    Character(u32, u32),
    /// A block device by its numbers.
    Block(u32, u32),
    /// A named pipe.
    Fifo,
}

impl<R: Read> Archive<R> {
    /// The archive that is read from there.
    pub(crate) fn new(input: R) -> Self {
        Self { input, position: 0, content: 0, padding: 0 }
    }

    /// The next entry. What was left of the content of the one before is passed over.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let mut extensions = Extensions::default();
        let mut extended = false;
        loop {
            self.skip()?;
            let Some(header) = self.header()? else {
                if extended {
                    bail!("the archive ends behind an extension header");
                }
                return Ok(None);
            };
            let size = number(&header.as_old().size).context("the size of an entry")?;
            let kind = header.as_old().linkflag[0];
            match kind {
                b'L' => extensions.long_name(self.extension(size)?),
                b'K' => extensions.long_link(self.extension(size)?),
                b'x' | b'X' => extensions.pax(&self.extension(size)?)?,
                // Defaults for all that follows, which no image builder means.
                b'g' => self.expect(size)?,
                _ => return self.entry(&header, size, extensions).map(Some),
            }
            extended |= kind != b'g';
        }
    }

    /// Where in the archive the content of the entry begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes of the content of the entry that are stored in the archive and not read yet.
    pub(crate) fn stored(&self) -> u64 {
        self.content
    }

    /// Reads what is behind the last entry, to the end of the input.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self.input, &mut io::sink()).map(drop)
    }

    fn entry(&mut self, header: &Header, stored: u64, mut extensions: Extensions) -> Result<Entry> {
        let old = header.as_old();
        let name = extensions.name.take().unwrap_or_else(|| header.path_bytes().into_owned());
        let shown = || String::from_utf8_lossy(&name).into_owned();
        if name.is_empty() || name.len() > LONGEST_NAME || name.contains(&0) {
            bail!("an entry has a name of {} bytes, or one with a zero byte in it", name.len());
        }
        let link = || {
            let link = extensions.link.clone();
            let link = link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
            match link.unwrap_or_default() {
                link if link.is_empty() || link.len() > LONGEST_NAME || link.contains(&0) => {
                    bail!("{}: a link to a name of {} bytes", shown(), link.len())
                }
                link => Ok(link),
            }
        };
        let device = || -> Result<(u32, u32)> {
            let Some(header) = header.as_ustar() else { return Ok((0, 0)) };
            let number = |field| u32::try_from(number(field)?).context("a number of a device");
            Ok((number(&header.dev_major)?, number(&header.dev_minor)?))
        };
        let kind = match old.linkflag[0] {
            // Before there were kinds, a directory was a name that ends in `/`.
            0 if name.ends_with(b"/") => Kind::Directory,
            0 | b'0' | b'7' | b'S' => Kind::File,
            b'1' => Kind::HardLink(link()?),
            b'2' => Kind::Symlink(link()?),
            b'3' => device().map(|(major, minor)| Kind::Character(major, minor))?,
            b'4' => device().map(|(major, minor)| Kind::Block(major, minor))?,
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            other => bail!("{}: an entry of the unknown kind {:?}", shown(), char::from(other)),
        };
        let id = |extended: Option<u64>, field| -> Result<u32> {
            let id = extended.map_or_else(|| number(field), Ok)?;
            // The last number means that the owner is to stay.
            u32::try_from(id).ok().filter(|id| *id != u32::MAX).with_context(|| format!("no user {id}"))
        };
        let stored = match kind {
            Kind::File => extensions.size.unwrap_or(stored),
            // What some archivers write there is not stored.
            Kind::HardLink(_) | Kind::Symlink(_) => 0,
            _ => stored,
        };
        let attributes = || -> Result<(u32, u32, u32, i64)> {
            Ok((
                (number(&old.mode)? & 0o7777) as u32,
                id(extensions.uid, &old.uid)?,
                id(extensions.gid, &old.gid)?,
                number(&old.mtime)?.cast_signed(),
            ))
        };
        let (mode, uid, gid, modified) = attributes().with_context(shown)?;
        self.expect(stored)?;
        let (size, chunks) = self.sparse(header, &extensions).with_context(shown)?;
        let (modified, xattrs) = (extensions.modified.unwrap_or((modified, 0)), extensions.xattrs);
        Ok(Entry { name, kind, mode, uid, gid, modified, xattrs, size, chunks })
    }

    /// The next header; nothing at the end of the archive.
    fn header(&mut self) -> Result<Option<Header>> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let mut filled = 0;
        while filled < BLOCK {
            match self.input.read(&mut block[filled..]) {
                Ok(0) if filled == 0 => return Ok(None),
                Ok(0) => bail!("the archive breaks off in a header"),
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.position += BLOCK as u64;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum = |block: &[u8]| block.iter().map(|byte| u64::from(*byte)).sum::<u64>();
        let expected = sum(&block[..148]) + sum(&block[156..]) + 8 * u64::from(b' ');
        if number(&block[148..156]).ok() != Some(expected) {
            bail!("it is no tar archive, or broken: the checksum of a header is wrong");
        }
        Ok(Some(header))
    }

    /// The content of an extension header.
    fn extension(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > LARGEST_EXTENSION {
            bail!("an extension header of {size} bytes, which is more than {LARGEST_EXTENSION}");
        }
        self.expect(size)?;
        let mut content = vec![0; size as usize];
        self.read_exact(&mut content)?;
        Ok(content)
    }

    fn expect(&mut self, size: u64) -> Result<()> {
        self.content = size;
        self.padding = size.wrapping_neg() % BLOCK as u64;
        // So that no sum below can overflow.
        if size > u64::MAX / 4 {
            bail!("an entry of {size} bytes");
        }
        Ok(())
    }

    fn skip(&mut self) -> Result<()> {
        let rest = self.content + self.padding;
        let passed = io::copy(&mut self.input.by_ref().take(rest), &mut io::sink())?;
        // The archives of `umoci insert` end with the last byte of content, without what fills up its block.
        if passed < self.content {
            bail!("the archive breaks off in the content of an entry");
        }
        self.position += passed;
        (self.content, self.padding) = (0, 0);
        Ok(())
    }
}

/// The content of the current entry as it is stored.
impl<R: Read> Read for Archive<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(usize::try_from(self.content).unwrap_or(usize::MAX));
        if length == 0 {
            return Ok(0);
        }
        let count = self.input.read(&mut buffer[..length])?;
        if count == 0 {
            let what = "the archive breaks off in the content of an entry";
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, what));
        }
        self.content -= count as u64;
        self.position += count as u64;
        Ok(count)
    }
}

/// A number in a header: octal digits, or binary behind a set bit. None is zero.
fn number(field: &[u8]) -> Result<u64> {
    if let [first, rest @ ..] = field
        && first & 0x80 != 0
    {
        let (fill, first) = if first & 0x40 == 0 { (0, first & 0x7f) } else { (0xff, *first) };
        let mut value: u64 = if fill == 0 { 0 } else { u64::MAX };
        for (index, byte) in std::iter::once(&first).chain(rest).enumerate() {
            if field.len() - index > 8 && *byte != fill {
                bail!("a number that is too large");
            }
            value = value << 8 | u64::from(*byte);
        }
        return Ok(value);
    }
    let text = field.split(|byte| *byte == 0).next().unwrap_or_default().trim_ascii();
    text.iter()
        .try_fold(0_u64, |value, digit| match digit {
            b'0'..=b'7' => value.checked_mul(8)?.checked_add(u64::from(digit - b'0')),
            _ => None,
        })
        .with_context(|| format!("{:?} is no octal number", String::from_utf8_lossy(text)))
}

#[cfg(test)]
mod tests;
