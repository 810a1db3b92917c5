//! Tables of partitions.

use super::{Fate, Signature, refuse_mounted, settle};
use crate::System;
use crate::disk::devices::Device;
use crate::program::{answer, must_succeed, run};
use crate::system::Command;
use anyhow::{Result, bail};
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Findings, Shape, excerpt, record};

/// What brings the programs.
pub(super) const REMEDY: &str = "disks cannot be partitioned: install util-linux, with sfdisk and partx";

/// What partitions begin at multiples of: a mebibyte, in sectors of 512 bytes.
const ALIGNMENT: u64 = 2048;

/// The types of GPT by their short codes, which are those of sgdisk(8).
const GPT_TYPES: [(&str, &str); 9] = [
    ("0700", "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"),
    ("8200", "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"),
    ("82", "0657FD6D-A4AB-43C4-84E5-0933C84B4F4F"),
    ("8300", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"),
    ("83", "0FC63DAF-8483-4772-8E79-3D69D8477DE4"),
    ("8E00", "E6D6D379-F507-44C2-A23C-238F2A3DF928"),
    ("EF00", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"),
    ("EF02", "21686148-6449-6E6F-744E-656564454649"),
    ("FD00", "A19D880F-05FC-4D3B-A006-743F0F84911E"),
];

record! {
    /// How a disk is partitioned.
    pub(super) struct Disk {
        /// `mbr` or `gpt`.
        table_type: Table,
        /// `true`, `false`, `remove`, or a list of shares.
        layout: Layout,
        /// Whether what it carries is destroyed.
        overwrite: bool,
    }
}

/// The type of a table.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Table {
    #[default]
    Mbr,
    Gpt,
}

impl Table {
    /// Its name for sfdisk(8) and blkid(8).
    fn as_str(self) -> &'static str {
        match self {
            Self::Mbr => "dos",
            Self::Gpt => "gpt",
        }
    }
}

impl Decode for Table {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.text() {
            Some("mbr") => Some(Self::Mbr),
            Some("gpt") => Some(Self::Gpt),
            _ => {
                findings.error(node.span, "expected `mbr` or `gpt`");
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Choice(&["mbr", "gpt"])
    }
}

/// The partitions of a disk.
#[derive(Default)]
enum Layout {
    /// It is left as it is.
    #[default]
    Nothing,
    /// It has none, nor a table of them.
    Remove,
    /// These.
    Shares(Vec<Share>),
}

/// A partition: its share of the disk in percent, and its type.
struct Share {
    percent: u64,
    kind: Option<String>,
}

impl Decode for Layout {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        if let Value::List(items) = &node.value {
            let shares: Vec<Share> = Vec::decode(node, findings)?;
            if shares.len() != items.len() {
                return None;
            }
            let sum = shares.iter().try_fold(0_u64, |sum, share| sum.checked_add(share.percent));
            if sum.is_none_or(|sum| sum > 100) {
                findings.error(node.span, "the shares are more than 100 percent");
                return None;
            }
            return Some(if shares.is_empty() { Self::Nothing } else { Self::Shares(shares) });
        }
        if node.text() == Some("remove") {
            return Some(Self::Remove);
        }
        let all = || Self::Shares(vec![Share { percent: 100, kind: None }]);
        bool::decode(node, findings).map(|whole| if whole { all() } else { Self::Nothing })
    }

    fn shape() -> Shape {
        Shape::Boolean.or(Shape::Choice(&["remove"])).or(Vec::<Share>::shape())
    }
}

impl Decode for Share {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let (percent, kind) = match &node.value {
            Value::List(items) if items.len() == 2 => {
                (u64::decode(&items[0], findings)?, Some(String::decode(&items[1], findings)?))
            }
            Value::Scalar(_) => (u64::decode(node, findings)?, None),
            _ => {
                findings
                    .error(node.span, "expected a share in percent, such as `50`, or `[50, 82]` with a type");
                return None;
            }
        };
        if percent == 0 {
            findings.error(node.span, "a share of nothing");
        } else if let Some(kind) = kind.as_ref().filter(|kind| !is_type(kind)) {
            findings.error(node.span, format!("{:?} is not the type of a partition", excerpt(kind)));
        } else {
            return Some(Self { percent, kind });
        }
        None
    }

    fn shape() -> Shape {
        u64::shape().or(Shape::Anything.list())
    }
}

fn is_type(text: &str) -> bool {
    (1..=36).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

impl Disk {
    /// Partitions a disk.
    pub(super) fn make(&self, sys: &System, device: &Device) -> Result<Fate> {
        let path = device.path();
        if matches!(self.layout, Layout::Nothing) {
            return Ok(Fate::Done);
        }
        if device.partition(sys)?.is_some() {
            bail!("{path} is a partition, not a disk");
        }
        let Some(signature) = Signature::of(sys, device)? else { return Ok(Fate::Done) };
        let found = signature.found(sys, device)?;
        match (&self.layout, &found) {
            (Layout::Remove, None) => return Ok(Fate::Done),
            (Layout::Shares(shares), Some(_)) if self.is_so(sys, &signature, &path, shares)? => {
                return Ok(Fate::Done);
            }
            (_, Some(found)) if !self.overwrite => {
                return Ok(Fate::Left(format!(
                    "{path} is left as it is, since it carries {found}; `overwrite: true` destroys that"
                )));
            }
            _ => {}
        }
        refuse_mounted(sys, device)?;
        match &self.layout {
            Layout::Shares(shares) => {
                let label = format!("sfdisk {path}");
                let command = Command::new(&label, "sfdisk")
                    .argument("--wipe")
                    .argument("always")
                    .argument("--wipe-partitions")
                    .argument("always")
                    .argument(&path)
                    .input(self.script(shares, device.sectors(sys)?)?);
                must_succeed(sys, &label, command)?;
            }
            _ => {
                run(sys, &["wipefs", "--all", &path])?;
            }
        }
        run(sys, &["partx", "--update", &path])?;
        settle(sys)?;
        Ok(Fate::Done)
    }

    /// Whether the disk has such partitions already: as many, and of the same types.
    fn is_so(&self, sys: &System, signature: &Signature, path: &str, shares: &[Share]) -> Result<bool> {
        if signature.table.as_deref() != Some(self.table_type.as_str()) {
            return Ok(false);
        }
        let Some(text) = answer(sys, &["sfdisk", "--dump", path])? else { return Ok(true) };
        let types = text.lines().filter_map(|line| {
            let (_, rest) = line.split_once("type=")?;
            Some(rest.split(',').next().unwrap_or_default().trim().to_ascii_uppercase())
        });
        Ok(types.eq(shares.iter().map(|share| self.type_of(share))))
    }

    fn type_of(&self, share: &Share) -> String {
        let kind = share.kind.as_deref().unwrap_or("83").to_ascii_uppercase();
        match self.table_type {
            Table::Mbr => kind.trim_start_matches('0').to_owned(),
            Table::Gpt => {
                let known = GPT_TYPES.iter().find(|(code, _)| *code == kind);
                known.map_or(kind, |(_, guid)| (*guid).to_owned())
            }
        }
    }

    /// What sfdisk(8) reads.
    fn script(&self, shares: &[Share], sectors: u64) -> Result<String> {
        let mut script = format!("label: {}\n", self.table_type.as_str());
        let mut left = 100;
        for (index, share) in shares.iter().enumerate() {
            left -= share.percent;
            let kind = self.type_of(share);
            // The last one takes what rounding has left.
            if index + 1 == shares.len() && left == 0 {
                script += &format!("type={kind}\n");
                continue;
            }
            let size = (sectors / 100 * share.percent) / ALIGNMENT * ALIGNMENT;
            if size == 0 {
                bail!("the disk is too small for a partition of {} percent", share.percent);
            }
            script += &format!("size={size}, type={kind}\n");
        }
        Ok(script)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;

    fn config(disk: &str) -> String {
        format!("#cloud-config\ndisk_setup: {{vdb: {{{disk}}}}}")
    }

    #[test]
    fn an_empty_disk_is_partitioned_and_the_last_share_takes_the_rest() {
        let outcome = machine().apply(&config("table_type: gpt, layout: [33, [67, 8200]]"));
        assert!(outcome.findings.is_empty(), "{}", outcome.messages());
        assert_eq!(
            outcome.commands,
            [
                "blkid -p -o export /dev/vdb",
                "wipefs --no-act /dev/vdb",
                "label: gpt\nsize=135168, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4\n\
                 type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F",
                "partx --update /dev/vdb",
                "udevadm settle"
            ]
        );
        let outcome = machine().apply(&config("layout: true"));
        assert_eq!(outcome.commands[2], "label: dos\ntype=83");
        assert!(machine().apply(&config("layout: false")).effects.is_empty());
    }

    #[test]
    fn a_disk_that_carries_anything_is_left_unless_it_may_be_overwritten() {
        for (sign, words) in
            [("TYPE=ext4\n", "a file system (ext4)"), ("PTTYPE=gpt\n", "a table of partitions (gpt)")]
        {
            let machine = machine();
            machine.host.answer("blkid", 0, sign);
            let outcome = machine.apply(&config("layout: true"));
            assert_eq!(
                outcome.messages(),
                format!(
                    "Warning: test.yaml:2:14: /dev/vdb is left as it is, since it carries {words}; \
                     `overwrite: true` destroys that\n"
                )
            );
            assert_eq!(outcome.commands.len(), 1);
            assert_eq!(machine.apply(&config("layout: true, overwrite: true")).commands.len(), 4);
            assert_eq!(machine.apply(&config("layout: remove")).commands.len(), 1);
            let removed = machine.apply(&config("layout: remove, overwrite: true"));
            assert_eq!(removed.commands[1], "wipefs --all /dev/vdb");
        }
    }

    #[test]
    fn a_disk_that_is_partitioned_so_already_is_left_even_then() {
        let machine = machine();
        machine.host.answer("blkid", 0, "PTTYPE=dos\n");
        machine.host.answer(
            "--dump",
            0,
            "label: dos\nunit: sectors\n\n/dev/vdb1 : start= 2048, size= 4096, type=83\n\
             /dev/vdb2 : start= 8192, size= 4096, type=82, bootable\n",
        );
        let outcome = machine.apply(&config("layout: [50, [50, 82]], overwrite: true"));
        assert_eq!(outcome.commands.len(), 2, "{outcome:?}");
        assert_eq!(machine.apply(&config("layout: [50, 50], overwrite: true")).commands.len(), 5);
    }

    #[test]
    fn what_is_mounted_is_never_touched() {
        let machine = machine();
        machine.host.answer("blkid", 0, "PTTYPE=dos\n");
        let outcome = machine
            .apply("#cloud-config\ndisk_setup: {vda: {layout: true, table_type: gpt, overwrite: true}}");
        assert!(
            outcome.messages().contains("/dev/vda is in use: /dev/vda1 is mounted at /"),
            "{}",
            outcome.messages()
        );
        let outcome =
            machine.apply("#cloud-config\ndisk_setup: {/dev/vda1: {layout: true, overwrite: true}}");
        assert!(outcome.messages().contains("/dev/vda1 is a partition, not a disk"));
    }

    #[test]
    fn layouts_that_cannot_be_are_named() {
        for layout in
            ["[60, 60]", "[0]", "[[50, 'x, start=0']]", "{}", "[18446744073709551615, 2]", "[[1, 2, 3]]"]
        {
            let outcome = machine().apply(&config(&format!("layout: {layout}, overwrite: true")));
            assert_eq!(outcome.findings.len(), 1, "{layout}: {}", outcome.messages());
            assert!(outcome.effects.is_empty());
        }
    }
}
