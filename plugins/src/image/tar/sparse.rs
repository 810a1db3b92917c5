//! Files with holes, of which an archive holds the other parts only: the form of GNU tar, and the three of pax.

use super::extensions::{Extensions, decimal};
use super::{Archive, BLOCK, number};
use anyhow::{Context, Result, bail};
use std::io::Read;
use tar::{GnuExtSparseHeader, GnuSparseHeader, Header};

/// More parts than this are refused.
const MOST_CHUNKS: usize = 1 << 16;

/// A part of a file that is no hole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Chunk {
    /// Where it begins.
    pub(crate) offset: u64,
    /// How many bytes it has.
    pub(crate) length: u64,
}

/// What pax headers say of the parts.
#[derive(Debug, Default)]
pub(super) struct Map {
    /// Whether the list of parts stands before the content.
    in_content: bool,
    size: Option<u64>,
    /// Offsets and lengths in turn.
    numbers: Vec<u64>,
}

impl Map {
    /// A record whose key begins with `GNU.sparse.`.
    pub(super) fn record(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        match key {
            b"major" => self.in_content = decimal(value)? >= 1,
            b"size" | b"realsize" => self.size = Some(decimal(value)?),
            b"offset" | b"numbytes" => self.numbers.push(decimal(value)?),
            b"map" => {
                let numbers = value.split(|byte| *byte == b',').map(decimal);
                self.numbers = numbers.collect::<Result<_>>()?;
            }
            _ => {}
        }
        Ok(())
    }
}

impl<R: Read> Archive<R> {
    /// The size of the file that now follows, and its parts if it has holes.
    pub(super) fn sparse(
        &mut self,
        header: &Header,
        extensions: &Extensions,
    ) -> Result<(u64, Option<Vec<Chunk>>)> {
        let map = &extensions.sparse;
        let (size, numbers) = if header.as_old().linkflag[0] == b'S' {
            let gnu = header.as_gnu().context("a sparse file in an archive that is none of GNU tar")?;
            (number(&gnu.realsize)?, self.of_gnu(gnu)?)
        } else if map.in_content {
            (map.size.context("a sparse file without its size")?, self.of_content()?)
        } else if let Some(size) = map.size {
            (size, map.numbers.clone())
        } else {
            return Ok((self.stored(), None));
        };
        Ok((size, Some(checked(&numbers, size, self.stored())?)))
    }

    fn of_gnu(&mut self, gnu: &tar::GnuHeader) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let mut add = |chunks: &[GnuSparseHeader]| -> Result<()> {
            for chunk in chunks.iter().filter(|chunk| !chunk.is_empty()) {
                numbers.extend([number(&chunk.offset)?, number(&chunk.numbytes)?]);
            }
            if numbers.len() / 2 > MOST_CHUNKS {
                bail!("a sparse file of more than {MOST_CHUNKS} parts");
            }
            Ok(())
        };
        add(&gnu.sparse)?;
        let mut more = gnu.is_extended();
        while more {
            let mut next = GnuExtSparseHeader::new();
            // They stand before the content, and are not counted as part of it.
            self.input.read_exact(next.as_mut_bytes())?;
            self.position += BLOCK as u64;
            add(&next.sparse)?;
            more = next.is_extended();
        }
        Ok(numbers)
    }

    /// The list in front of the content: decimal numbers on lines of their own, filled up to a whole block.
    fn of_content(&mut self) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let mut wanted = None;
        let mut digits: Vec<u8> = Vec::new();
        loop {
            let mut block = [0; BLOCK];
            self.read_exact(&mut block).context("the list of parts of a sparse file")?;
            for byte in block {
                if byte != b'\n' {
                    digits.push(byte);
                    if digits.len() > 20 {
                        bail!("the list of parts of a sparse file is malformed");
                    }
                    continue;
                }
                let number = decimal(&std::mem::take(&mut digits))?;
                match wanted {
                    None if number > MOST_CHUNKS as u64 => {
                        bail!("a sparse file of more than {MOST_CHUNKS} parts")
                    }
                    None => wanted = Some(number as usize * 2),
                    Some(_) => numbers.push(number),
                }
                if wanted == Some(numbers.len()) {
                    return Ok(numbers);
                }
            }
        }
    }
}

/// The parts, which must follow one another, fit into the file, and be all that is stored.
fn checked(numbers: &[u64], size: u64, stored: u64) -> Result<Vec<Chunk>> {
    let mut chunks = Vec::new();
    let (mut end, mut sum) = (0_u64, 0_u64);
    for pair in numbers.chunks(2) {
        let [offset, length] = *pair else { bail!("a sparse file has half a part") };
        if offset < end || offset.checked_add(length).is_none_or(|end| end > size) {
            bail!("the parts of a sparse file overlap, or do not fit into it");
        }
        end = offset + length;
        sum += length;
        if length > 0 {
            chunks.push(Chunk { offset, length });
        }
    }
    if sum != stored {
        bail!("a sparse file stores {stored} bytes, but its parts have {sum}");
    }
    Ok(chunks)
}
