//! Directories of FAT, with long names.

use anyhow::{Result, bail};

/// The bytes of a slot.
const SLOT: usize = 32;

/// The UTF-16 units of a long name that one slot has.
const UNITS: usize = 13;

const LABEL: u8 = 0x08;
const DIRECTORY: u8 = 0x10;
const ARCHIVE: u8 = 0x20;
const LONG: u8 = 0x0f;

/// The first day that there is: what is made of the same files is the same.
const DATE: u16 = 0x0021;

/// What is in a directory.
pub(super) enum Node {
    File(Vec<u8>),
    Directory(Directory),
}

/// A directory.
pub(super) struct Directory {
    /// Of the root: that of the volume.
    label: Option<[u8; 11]>,
    nodes: Vec<(String, Node)>,
}

/// A label as it is stored.
pub(super) fn padded_label(label: &str) -> Result<[u8; 11]> {
    let mut padded = [b' '; 11];
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || b" _-".contains(&byte);
    if label.is_empty() || label.len() > padded.len() || !label.bytes().all(allowed) {
        bail!("a label of FAT has 11 capital letters, digits and `_` at most, and {label:?} is none");
    }
    padded[..label.len()].copy_from_slice(label.as_bytes());
    Ok(padded)
}

impl Directory {
    /// The root of a volume with this label.
    pub(super) fn new(label: &str) -> Result<Self> {
        Ok(Self { label: Some(padded_label(label)?), nodes: Vec::new() })
    }

    pub(super) fn is_root(&self) -> bool {
        self.label.is_some()
    }

    pub(super) fn nodes(&self) -> &[(String, Node)] {
        &self.nodes
    }

    /// Adds a file at a path, with the directories on the way. Names that differ in case only are the same.
    pub(super) fn add(&mut self, path: &str, content: &[u8]) -> Result<()> {
        let (name, rest) = match path.split_once('/') {
            Some((name, rest)) => (name, Some(rest)),
            None => (path, None),
        };
        let refused = |c: char| c.is_control() || "\\/:*?\"<>|".contains(c);
        if name.is_empty() || name.ends_with(['.', ' ']) || name.contains(refused) || name.len() > 200 {
            bail!("{name:?} is no name for a file of an EFI system partition");
        }
        let found = self.nodes.iter().position(|(other, _)| other.eq_ignore_ascii_case(name));
        match (rest, found.map(|index| &mut self.nodes[index].1)) {
            (Some(rest), Some(Node::Directory(below))) => below.add(rest, content),
            (None, Some(Node::File(old))) => {
                content.clone_into(old);
                Ok(())
            }
            (_, Some(_)) => bail!("{name:?} is a file and a directory"),
            (Some(rest), None) => {
                let mut below = Self { label: None, nodes: Vec::new() };
                below.add(rest, content)?;
                self.nodes.push((name.to_owned(), Node::Directory(below)));
                Ok(())
            }
            (None, None) => {
                self.nodes.push((name.to_owned(), Node::File(content.to_owned())));
                Ok(())
            }
        }
    }

    /// How many slots it takes.
    pub(super) fn slots(&self) -> usize {
        let of_names: usize = self.nodes.iter().map(|(name, _)| 1 + long_slots(name)).sum();
        of_names + if self.is_root() { 1 } else { 2 }
    }

    /// Its content. `clusters` are where its nodes begin; `here` and `above` those of the directory itself and of the one
    /// that it is in.
    pub(super) fn encode(&self, here: u32, above: u32, clusters: &[u32]) -> Vec<u8> {
        let mut content = Vec::new();
        match &self.label {
            Some(label) => content.extend_from_slice(&slot(label, LABEL, 0, 0)),
            None => {
                content.extend_from_slice(&slot(b".          ", DIRECTORY, here, 0));
                content.extend_from_slice(&slot(b"..         ", DIRECTORY, above, 0));
            }
        }
        for (index, ((name, node), cluster)) in self.nodes.iter().zip(clusters).enumerate() {
            let short = short_name(name).unwrap_or_else(|| made_up(name, index));
            if short_name(name).is_none() {
                content.extend_from_slice(&long_name(name, &short));
            }
            let (attributes, bytes) = match node {
                Node::File(content) => (ARCHIVE, content.len() as u32),
                Node::Directory(_) => (DIRECTORY, 0),
            };
            content.extend_from_slice(&slot(&short, attributes, *cluster, bytes));
        }
        content
    }
}

fn slot(name: &[u8; 11], attributes: u8, cluster: u32, bytes: u32) -> [u8; SLOT] {
    let mut slot = [0; SLOT];
    slot[..11].copy_from_slice(name);
    slot[11] = attributes;
    for date in [16, 18, 24] {
        slot[date..date + 2].copy_from_slice(&DATE.to_le_bytes());
    }
    let [low, low_too, high, high_too] = cluster.to_le_bytes();
    slot[20..22].copy_from_slice(&[high, high_too]);
    slot[26..28].copy_from_slice(&[low, low_too]);
    slot[28..].copy_from_slice(&bytes.to_le_bytes());
    slot
}

/// A name in capital letters, of eight characters and three behind a dot, needs no long one.
fn short_name(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.split_once('.').unwrap_or((name, ""));
    let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
    let fits = (1..=8).contains(&base.len()) && extension.len() <= 3;
    let mut short = [b' '; 11];
    (fits && base.bytes().chain(extension.bytes()).all(allowed)).then(|| {
        short[..base.len()].copy_from_slice(base.as_bytes());
        short[8..8 + extension.len()].copy_from_slice(extension.as_bytes());
        short
    })
}

/// A short name for a long one. It is made of the place in the directory, so that there is no other like it.
fn made_up(name: &str, index: usize) -> [u8; 11] {
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let letters = |text: &str, most: usize| -> Vec<u8> {
        let letters = text.bytes().filter(u8::is_ascii_alphanumeric).take(most);
        letters.map(|byte| byte.to_ascii_uppercase()).collect()
    };
    let tail = format!("~{}", index + 1);
    let base = [letters(base, 8 - tail.len()), tail.into_bytes()].concat();
    let extension = letters(extension, 3);
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(&base);
    short[8..8 + extension.len()].copy_from_slice(&extension);
    short
}

fn long_slots(name: &str) -> usize {
    if short_name(name).is_some() { 0 } else { name.encode_utf16().count().div_ceil(UNITS) }
}

/// The slots of a long name, the last part first.
fn long_name(name: &str, short: &[u8; 11]) -> Vec<u8> {
    let checksum = short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let units: Vec<u16> = name.encode_utf16().collect();
    let count = units.len().div_ceil(UNITS);
    let mut content = Vec::new();
    for (part, number) in units.chunks(UNITS).zip(1..).collect::<Vec<_>>().into_iter().rev() {
        // The end is marked, if there is room, and filled.
        let units = part.iter().copied().chain([0]).chain(std::iter::repeat(0xffff)).take(UNITS);
        let bytes: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
        let mut slot = [0; SLOT];
        slot[0] = number | if usize::from(number) == count { 0x40 } else { 0 };
        slot[11] = LONG;
        slot[13] = checksum;
        slot[1..11].copy_from_slice(&bytes[..10]);
        slot[14..26].copy_from_slice(&bytes[10..22]);
        slot[28..].copy_from_slice(&bytes[22..]);
        content.extend_from_slice(&slot);
    }
    content
}
