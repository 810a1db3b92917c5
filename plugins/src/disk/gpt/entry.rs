//! Entries of partitions (UEFI 2.10, table 5.6).

use super::super::bytes::{le16, le64, put, sixteen};
use super::Guid;
use anyhow::{Result, bail};

/// A name has so many UTF-16 units.
pub(super) const NAME_UNITS: usize = 36;

/// What the specification describes of an entry; what is behind is not looked at, and kept.
pub(super) const ENTRY_BYTES: usize = 128;

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its type, never zero.
    pub(crate) kind: Guid,
    /// Its own GUID.
    pub(crate) id: Guid,
    /// Its first sector.
    pub(crate) first: u64,
    /// Its last sector.
    pub(crate) last: u64,
    /// Its attributes, also those that nobody here knows.
    pub(crate) attributes: u64,
    /// Its name, or label.
    pub(crate) name: String,
}

impl Entry {
    /// The attribute by which BIOS boot loaders find what to boot.
    pub(crate) const LEGACY_BOOT: u64 = 1 << 2;

    /// Its size in sectors.
    pub(crate) fn sectors(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }

    /// That it can be written.
    pub(super) fn check(&self) -> Result<()> {
        if self.kind == Guid::ZERO {
            bail!("it has no type");
        }
        let units = self.name.encode_utf16().count();
        if units > NAME_UNITS || self.name.contains('\0') {
            bail!(
                "its name is longer than the {NAME_UNITS} characters that a partition label has, or holds a zero"
            );
        }
        Ok(())
    }

    /// What a slot of the array holds; nothing if it is unused.
    pub(super) fn decode(slot: &[u8]) -> Option<Self> {
        let kind = Guid::from_stored(sixteen(slot, 0));
        let units = (0..NAME_UNITS).map(|unit| le16(slot, 56 + 2 * unit)).take_while(|unit| *unit != 0);
        (kind != Guid::ZERO).then(|| Self {
            kind,
            id: Guid::from_stored(sixteen(slot, 16)),
            first: le64(slot, 32),
            last: le64(slot, 40),
            attributes: le64(slot, 48),
            name: char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect(),
        })
    }

    /// Writes it to its slot. What the slot says already in other bytes, such as a name that is no Unicode, is
    /// left as it is, and so is what is behind the described part of the same partition.
    pub(super) fn encode(&self, slot: &mut [u8]) {
        let before = Self::decode(slot);
        if before.as_ref().is_none_or(|before| before.id != self.id) {
            slot.fill(0);
        }
        put(slot, 0, &self.kind.stored());
        put(slot, 16, &self.id.stored());
        put(slot, 32, &self.first.to_le_bytes());
        put(slot, 40, &self.last.to_le_bytes());
        put(slot, 48, &self.attributes.to_le_bytes());
        if before.is_none_or(|before| before.id != self.id || before.name != self.name) {
            let units = self.name.encode_utf16().chain(std::iter::repeat(0)).take(NAME_UNITS);
            let name: Vec<u8> = units.flat_map(u16::to_le_bytes).collect();
            put(slot, 56, &name);
        }
    }
}
