//! Globally unique identifiers, which GPT has for disks, partitions and their types.

use sha1::{Digest as _, Sha1};
use std::fmt;
use std::str::FromStr;

/// A GUID as it is stored on disk: its first three groups in little endian (UEFI 2.10, appendix A).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Guid([u8; 16]);

impl Guid {
    /// What an unused entry has for its type.
    pub(crate) const ZERO: Self = Self([0; 16]);

    /// The namespace of names that are URLs (RFC 9562, 6.6).
    pub(crate) const NAMESPACE_URL: Self = Self::new(0x6ba7_b811_9dad_11d1_80b4_00c0_4fd4_30c8);

    /// The one whose digits these are, in the order in which they are written.
    pub(crate) const fn new(value: u128) -> Self {
        Self(swapped(value.to_be_bytes()))
    }

    /// The one that is stored so.
    pub(crate) const fn from_stored(stored: [u8; 16]) -> Self {
        Self(stored)
    }

    /// As it is stored.
    pub(crate) const fn stored(self) -> [u8; 16] {
        self.0
    }

    /// The one that a name always has in a namespace (RFC 9562, 5.5).
    pub(crate) fn v5(namespace: Self, name: &str) -> Self {
        let hash = Sha1::new().chain_update(swapped(namespace.0)).chain_update(name).finalize();
        let mut bytes = [0; 16];
        bytes.iter_mut().zip(hash).for_each(|(byte, hashed)| *byte = hashed);
        Self::versioned(bytes, 5)
    }

    /// A random one (RFC 9562, 5.4).
    pub(crate) fn v4(random: [u8; 16]) -> Self {
        Self::versioned(random, 4)
    }

    fn versioned(mut bytes: [u8; 16], version: u8) -> Self {
        bytes[6] = bytes[6] & 0x0f | version << 4;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Self(swapped(bytes))
    }
}

/// From the order in which it is written to that in which it is stored, and back.
const fn swapped(b: [u8; 16]) -> [u8; 16] {
    [b[3], b[2], b[1], b[0], b[5], b[4], b[7], b[6], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]]
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in swapped(self.0).iter().enumerate() {
            let hyphen = if matches!(index, 4 | 6 | 8 | 10) { "-" } else { "" };
            write!(f, "{hyphen}{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is no GUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NoGuid;

impl fmt::Display for NoGuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("it is no GUID, which looks like 0fc63daf-8483-4772-8e79-3d69d8477de4")
    }
}

impl std::error::Error for NoGuid {}

impl FromStr for Guid {
    type Err = NoGuid;

    fn from_str(text: &str) -> Result<Self, NoGuid> {
        let hyphens = text.bytes().enumerate().filter(|(_, byte)| *byte == b'-').map(|(index, _)| index);
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        if text.len() != 36 || digits.len() != 32 || !hyphens.eq([8, 13, 18, 23]) {
            return Err(NoGuid);
        }
        u128::from_str_radix(&digits, 16).map(Self::new).map_err(|_| NoGuid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_three_groups_are_stored_in_little_endian() {
        let esp: Guid = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B".parse().unwrap();
        assert_eq!(esp.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
        assert_eq!(esp.stored()[..8], [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11]);
        assert_eq!(Guid::from_stored(esp.stored()), esp);
        assert_eq!(Guid::new(0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b), esp);
        for bad in [
            "",
            "c12a7328f81f11d2ba4b00a0c93ec93b",
            "{c12a7328-f81f-11d2-ba4b-00a0c93ec9}",
            "c12a7328-f81f-11d2-ba4b-00a0c93ec93",
            "c12a7328-f81f-11d2-ba4b-00a0c93ec93g",
            "c12a7328-f81f-11d2-ba4-b00a0c93ec93b",
            "ä12a7328-f81f-11d2-ba4b-00a0c93ec93",
        ] {
            assert_eq!(bad.parse::<Guid>(), Err(NoGuid), "{bad}");
        }
    }

    /// The examples of RFC 9562, A.3 and A.4.
    #[test]
    fn guids_of_names_and_of_randomness_are_those_of_the_rfc() {
        let dns = Guid::new(0x6ba7b810_9dad_11d1_80b4_00c04fd430c8);
        assert_eq!(Guid::v5(dns, "www.example.com").to_string(), "2ed6657d-e927-568b-95e1-2665a8aea6a2");
        let random = 0x919108f7_52d1_4320_9bac_f847db4148a8_u128.to_be_bytes();
        assert_eq!(Guid::v4(random).to_string(), "919108f7-52d1-4320-9bac-f847db4148a8");
        assert_eq!(Guid::v4([0xff; 16]).to_string(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }
}
