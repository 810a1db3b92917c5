//! What the firmware says: the tables of SMBIOS, and what the kernel makes of them in `/sys/class/dmi/id`.

use super::{Facts, fields, number, text};
use crate::template::Value;

fn id(facts: &Facts<'_>, name: &str) -> Option<Value> {
    text(facts.kernel_text(format!("/sys/class/dmi/id/{name}")).unwrap_or_default())
}

/// `.Values.product`
pub(super) fn product(facts: &Facts<'_>) -> Option<Value> {
    fields([
        ("name", id(facts, "product_name")),
        ("vendor", id(facts, "sys_vendor")),
        ("version", id(facts, "product_version")),
        ("serial", id(facts, "product_serial")),
        ("uuid", id(facts, "product_uuid")),
        ("sku", id(facts, "product_sku")),
    ])
}

/// `.Values.board`
pub(super) fn board(facts: &Facts<'_>) -> Option<Value> {
    fields([
        ("name", id(facts, "board_name")),
        ("vendor", id(facts, "board_vendor")),
        ("version", id(facts, "board_version")),
        ("serial", id(facts, "board_serial")),
        ("assettag", id(facts, "board_asset_tag")),
    ])
}

/// `.Values.chassis`
pub(super) fn chassis(facts: &Facts<'_>) -> Option<Value> {
    let kind = facts.kernel_text("/sys/class/dmi/id/chassis_type").and_then(|kind| kind.parse().ok());
    fields([
        ("type", number(kind.unwrap_or(0))),
        ("vendor", id(facts, "chassis_vendor")),
        ("version", id(facts, "chassis_version")),
        ("serial", id(facts, "chassis_serial")),
        ("assettag", id(facts, "chassis_asset_tag")),
    ])
}

/// `.Values.bios`
pub(super) fn bios(facts: &Facts<'_>) -> Option<Value> {
    fields([
        ("vendor", id(facts, "bios_vendor")),
        ("version", id(facts, "bios_version")),
        ("date", id(facts, "bios_date")),
    ])
}

/// `.Values.memory`: speed in MT/s, size in MiB.
pub(super) fn memory(facts: &Facts<'_>) -> Option<Value> {
    let tables = facts.tables();
    let (kind, size) = match tables.memory_size {
        0 => ("DRAM", kernel_memory(facts)),
        size => (tables.memory_type, size),
    };
    let kind = if size == 0 { "" } else { kind };
    fields([("type", text(kind)), ("speed", number(tables.memory_speed)), ("size", number(size))])
}

/// Without tables: what the kernel got.
fn kernel_memory(facts: &Facts<'_>) -> u64 {
    let info = facts.kernel_text("/proc/meminfo").unwrap_or_default();
    let total = info.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kibibytes =
        total.and_then(|total| total.trim().strip_suffix(" kB")).and_then(|total| total.trim().parse().ok());
    kibibytes.unwrap_or(0u64) / 1024
}

/// What is taken from the tables of SMBIOS (DMTF DSP0134).
#[derive(Debug, Default, PartialEq)]
pub(super) struct Tables {
    /// In MHz.
    pub(super) cpu_speed: u64,
    /// In MiB, of all modules together.
    memory_size: u64,
    memory_type: &'static str,
    /// In MT/s.
    memory_speed: u64,
}

impl Tables {
    /// Reads the tables. Whatever is cut off or wrong is passed over.
    pub(super) fn parse(mut data: &[u8]) -> Self {
        let mut tables = Self::default();
        let mut mapped = 0;
        while let Some((structure, strings)) =
            data.get(1).and_then(|&len| data.split_at_checked(usize::from(len)))
        {
            match structure.first() {
                // A structure is at least its own header.
                _ if structure.len() < 4 => break,
                Some(4) if tables.cpu_speed == 0 => tables.cpu_speed = word(structure, 0x16).unwrap_or(0),
                Some(17) => tables.memory_device(structure),
                Some(19) => mapped += mapped_memory(structure).unwrap_or(0),
                Some(127) => break,
                _ => {}
            }
            let Some(end) = strings.windows(2).position(|pair| pair == [0, 0]) else { break };
            data = &strings[end + 2..];
        }
        // Some firmware describes the address space, but not the modules.
        if tables.memory_size == 0 && mapped > 0 {
            (tables.memory_size, tables.memory_type) = (mapped, "DRAM");
        }
        tables
    }

    fn memory_device(&mut self, structure: &[u8]) {
        let size = match word(structure, 0x0c) {
            // Empty, unknown, or so small that it is counted in KiB.
            None | Some(0 | 0x8000..) => return,
            Some(0x7fff) => match structure.get(0x1c..0x20) {
                Some(&[a, b, c, d]) => u64::from(u32::from_le_bytes([a, b, c, d]) & 0x7fff_ffff),
                _ => return,
            },
            Some(size) => size,
        };
        self.memory_size += size;
        if self.memory_type.is_empty() {
            let kind = structure.get(0x12).and_then(|kind| usize::from(*kind).checked_sub(1));
            self.memory_type = kind.and_then(|kind| MEMORY_TYPES.get(kind)).copied().unwrap_or("");
        }
        if self.memory_speed == 0 {
            self.memory_speed = word(structure, 0x15).unwrap_or(0);
        }
    }
}

const MEMORY_TYPES: [&str; 36] = [
    "Other",
    "Unknown",
    "DRAM",
    "EDRAM",
    "VRAM",
    "SRAM",
    "RAM",
    "ROM",
    "FLASH",
    "EEPROM",
    "FEPROM",
    "EPROM",
    "CDRAM",
    "3DRAM",
    "SDRAM",
    "SGRAM",
    "RDRAM",
    "DDR",
    "DDR2",
    "DDR2 FB-DIMM",
    "Reserved",
    "Reserved",
    "Reserved",
    "DDR3",
    "FBD2",
    "DDR4",
    "LPDDR",
    "LPDDR2",
    "LPDDR3",
    "LPDDR4",
    "Logical non-volatile device",
    "HBM",
    "HBM2",
    "DDR5",
    "LPDDR5",
    "HBM3",
];

fn word(structure: &[u8], at: usize) -> Option<u64> {
    Some(u64::from(u16::from_le_bytes(structure.get(at..at + 2)?.try_into().ok()?)))
}

/// The MiB of a range of addresses, whose ends are in KiB or, when these do not suffice, in bytes.
fn mapped_memory(structure: &[u8]) -> Option<u64> {
    let short = |at: usize| Some(u64::from(u32::from_le_bytes(structure.get(at..at + 4)?.try_into().ok()?)));
    let long = |at: usize| Some(u64::from_le_bytes(structure.get(at..at + 8)?.try_into().ok()?));
    match (short(4)?, short(8)?) {
        (0xffff_ffff, 0xffff_ffff) => Some((long(0x17)?.checked_sub(long(0x0f)?)?.checked_add(1)?) >> 20),
        (start, end) => Some((end.checked_sub(start)? + 1) / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn structure(kind: u8, length: usize, fields: &[(usize, &[u8])]) -> Vec<u8> {
        let mut out = vec![0; length];
        (out[0], out[1]) = (kind, u8::try_from(length).unwrap());
        for (at, bytes) in fields {
            out[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        out.extend(b"A name\0\0");
        out
    }

    fn tables() -> Vec<u8> {
        [
            structure(4, 0x30, &[(0x16, &2600u16.to_le_bytes())]),
            structure(
                17,
                0x28,
                &[(0x0c, &16_384u16.to_le_bytes()), (0x12, &[26]), (0x15, &3200u16.to_le_bytes())],
            ),
            structure(17, 0x28, &[(0x0c, &[0xff, 0x7f]), (0x1c, &65_536u32.to_le_bytes()), (0x12, &[26])]),
            structure(17, 0x28, &[]),
            structure(127, 4, &[]),
            structure(17, 0x28, &[(0x0c, &1u16.to_le_bytes())]),
        ]
        .concat()
    }

    #[test]
    fn modules_are_added_up_to_the_end_of_the_tables() {
        let expected =
            Tables { cpu_speed: 2600, memory_size: 81_920, memory_type: "DDR4", memory_speed: 3200 };
        assert_eq!(Tables::parse(&tables()), expected);
    }

    #[test]
    fn without_modules_the_address_space_counts() {
        let end = (4u32 << 20) - 1;
        let short = structure(19, 0x1f, &[(8, &end.to_le_bytes())]);
        let long = structure(19, 0x1f, &[(4, &[0xff; 8]), (0x17, &((8u64 << 30) - 1).to_le_bytes())]);
        let found = Tables::parse(&[short, long].concat());
        assert_eq!((found.memory_size, found.memory_type), (4096 + 8192, "DRAM"));
    }

    #[test]
    fn tables_that_are_cut_off_or_wrong_do_no_harm() {
        let whole = tables();
        for length in 0..whole.len() {
            Tables::parse(&whole[..length]);
            let mut wrong = whole.clone();
            wrong[length] ^= 0xff;
            Tables::parse(&wrong);
        }
        assert_eq!(Tables::parse(&[0; 64]), Tables::default());
    }
}
