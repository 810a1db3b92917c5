//! Sizes, file systems and types, as they are written.

use crate::disk::file_system::FileSystem;
use crate::disk::gpt::Guid;
use crate::disk::types;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, excerpt, suggest};

const MIB: u64 = 1 << 20;

/// A size in bytes.
#[derive(Clone, Copy, Default)]
pub(super) struct Size(pub(super) u64);

impl Decode for Size {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        const UNITS: [(&str, u32); 6] =
            [("MiB", 0), ("GiB", 10), ("TiB", 20), ("M", 0), ("G", 10), ("T", 20)];
        let text = node.text().unwrap_or_default().trim();
        let unit = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
        let mib = match unit {
            Some((number, shift)) => {
                number.trim_end().parse().ok().and_then(|number: u64| number.checked_mul(1 << shift))
            }
            None if text.ends_with(|last: char| last.is_ascii_alphabetic()) && !text.starts_with("0x") => {
                None
            }
            None => return Decode::decode(node, findings).and_then(|mib: u64| in_bytes(mib, node, findings)),
        };
        match mib {
            Some(mib) => in_bytes(mib, node, findings),
            None => {
                let found = excerpt(text);
                findings
                    .error(node.span, format!("expected a size, found `{found}`"))
                    .help("write it in MiB (`8192`), or with one of the units MiB, GiB and TiB (`8GiB`)");
                None
            }
        }
    }

    fn shape() -> Shape {
        u64::shape().or(Shape::matching("size", r"^\s*[0-9]+\s*([MGT]i?B?)?\s*$"))
    }
}

fn in_bytes(mib: u64, node: &Node, findings: &mut Findings) -> Option<Size> {
    let bytes = mib.checked_mul(MIB);
    if bytes.is_none() {
        findings.error(node.span, "no disk is so large");
    }
    bytes.map(Size)
}

/// A file system, or none.
pub(super) struct Format(pub(super) Option<FileSystem>);

impl Default for Format {
    fn default() -> Self {
        Self(Some(FileSystem::Ext4))
    }
}

impl Decode for Format {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        match text.trim() {
            "" => Some(Self::default()),
            "none" | "noformat" | "-" => Some(Self(None)),
            name => {
                let file_system = FileSystem::named(name);
                if file_system.is_none() {
                    let names = FileSystem::NAMES.join("`, `");
                    let message = format!("expected `{names}` or `none`, found `{}`", excerpt(name));
                    let finding = findings.error(node.span, message);
                    if let Some(near) = suggest(name, FileSystem::NAMES) {
                        finding.help(format!("did you mean `{near}`?"));
                    }
                }
                file_system.map(|file_system| Self(Some(file_system)))
            }
        }
    }

    fn shape() -> Shape {
        Shape::Choice(&[
            "ext2",
            "ext3",
            "ext4",
            "xfs",
            "btrfs",
            "vfat",
            "fat",
            "fat16",
            "fat32",
            "swap",
            "linux-swap",
            "none",
            "noformat",
            "-",
        ])
    }
}

/// The type of a partition.
pub(super) struct Type(pub(super) Guid);

impl Decode for Type {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        let text = text.trim();
        let found = types::named(text).or_else(|| text.parse().ok());
        if found.is_none() {
            let message = format!("`{}` is neither the name of a type nor a GUID", excerpt(text));
            let finding = findings.error(node.span, message);
            if let Some(near) = suggest(text, types::names()) {
                finding.help(format!("did you mean `{near}`?"));
            }
        }
        found.map(Self)
    }

    fn shape() -> Shape {
        Shape::text("name or GUID")
    }
}
