//! File systems, and where they go.

use super::{Fate, Signature, refuse_mounted, settle};
use crate::System;
use crate::disk::devices::Device;
use crate::program::{must_succeed, run};
use crate::system::Command;
use anyhow::{Context as _, Result, bail};
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Findings, Shape, excerpt, record};

/// What brings the programs.
pub(super) const REMEDY: &str = "the file system cannot be made: install the programs for it";

record! {
    /// A file system.
    pub(super) struct FileSystem {
        /// Its label.
        label: Option<String>,
        /// Its type: `ext4`.
        filesystem: String = required,
        /// The disk or partition; a number behind a dot is that of a partition.
        device: String = required,
        /// `auto`, `any`, `none` or a number.
        partition: Partition,
        /// Whether what it carries is destroyed.
        overwrite: bool,
        /// The type of a file system that may be destroyed.
        replace_fs: Option<String>,
        /// Further arguments for `mkfs`.
        extra_opts: Words,
        /// What is run instead of `mkfs`.
        cmd: Option<Words>,
    }
}

/// Which part of the device.
#[derive(Clone, Copy, Default)]
pub(super) enum Partition {
    #[default]
    None,
    Auto,
    Any,
    Number(u32),
}

impl Decode for Partition {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.text().unwrap_or_default() {
            "none" => Some(Self::None),
            "auto" => Some(Self::Auto),
            "any" => Some(Self::Any),
            text => {
                let number = text.parse().ok().map(Self::Number);
                if number.is_none() {
                    findings.error(node.span, "expected `auto`, `any`, `none` or the number of a partition");
                }
                number
            }
        }
    }

    fn shape() -> Shape {
        Shape::Choice(&["auto", "any", "none"]).or(u32::shape())
    }
}

/// A line for the shell, or a list of words.
enum Words {
    Line(String),
    List(Vec<String>),
}

impl Default for Words {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl Decode for Words {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::List(items) => {
                Vec::decode(node, findings).filter(|list| list.len() == items.len()).map(Self::List)
            }
            _ => String::decode(node, findings).map(Self::Line),
        }
    }

    fn shape() -> Shape {
        Shape::TEXT.or(Shape::TEXT.list())
    }
}

impl FileSystem {
    /// The name of the device, and which part of it.
    pub(super) fn place(&self) -> (&str, Partition) {
        if let Some((name, number)) = self.device.rsplit_once('.')
            && let Ok(number) = number.parse()
        {
            return (name, Partition::Number(number));
        }
        (&self.device, self.partition)
    }

    /// Makes it, unless there is something else in its place.
    pub(super) fn make(&self, sys: &System, device: &Device, partition: Partition) -> Result<Fate> {
        self.validate()?;
        let partitions: Vec<Device> = device.partitions(sys)?.into_iter().map(|(_, part)| part).collect();
        let candidates = match partition {
            Partition::None => vec![device.clone()],
            Partition::Number(number) => {
                let found = device.partitions(sys)?.into_iter().find(|(other, _)| *other == number);
                let (_, part) =
                    found.with_context(|| format!("{} has no partition {number}", device.path()))?;
                vec![part]
            }
            _ if partitions.is_empty() => vec![device.clone()],
            _ => partitions,
        };
        let mut free = None;
        for candidate in &candidates {
            let Some(signature) = Signature::of(sys, candidate)? else { return Ok(Fate::Done) };
            if self.is_so(&signature, matches!(partition, Partition::Any)) {
                return Ok(Fate::Done);
            }
            let found = signature.found(sys, candidate)?;
            let replaced = signature.filesystem.is_some() && signature.filesystem == self.replace_fs;
            let [_] = &candidates[..] else {
                if free.is_none() && (found.is_none() || replaced) {
                    free = Some((candidate, found.is_some()));
                }
                continue;
            };
            match found {
                Some(found) if !self.overwrite && !replaced => {
                    return Ok(Fate::Left(format!(
                        "{} is left as it is, since it carries {found}; `overwrite: true` destroys that",
                        candidate.path()
                    )));
                }
                found => free = Some((candidate, found.is_some())),
            }
        }
        let Some((target, over)) = free else {
            return Ok(Fate::Left(format!(
                "no file system is made, since no partition of {} is free",
                device.path()
            )));
        };
        refuse_mounted(sys, target)?;
        self.run(sys, target, over)?;
        settle(sys)?;
        Ok(Fate::Done)
    }

    /// Whether this is the file system that is wanted.
    fn is_so(&self, signature: &Signature, whatever_label: bool) -> bool {
        let label = self.label.as_ref().filter(|label| !label.is_empty());
        signature.filesystem.as_deref() == Some(&*self.filesystem)
            && (whatever_label || label.is_none() || label == signature.label.as_ref())
    }

    /// What becomes part of a command is of few characters.
    fn validate(&self) -> Result<()> {
        let kind = &self.filesystem;
        if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()) {
            bail!("{:?} is not the type of a file system, such as `ext4`", excerpt(kind));
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-+".contains(&byte);
        if let Some(label) = &self.label
            && (!label.bytes().all(allowed) || label.starts_with('-'))
        {
            bail!("the label {:?} is not of letters, digits, `_`, `.`, `+` and `-`", excerpt(label));
        }
        Ok(())
    }

    fn run(&self, sys: &System, target: &Device, over: bool) -> Result<()> {
        let path = target.path();
        let label = self.label.as_deref().unwrap_or_default();
        let fill = |text: &str| {
            text.replace("%(label)s", label)
                .replace("%(filesystem)s", &self.filesystem)
                .replace("%(device)s", &path)
        };
        match &self.cmd {
            None => {}
            Some(Words::Line(line)) => {
                let name = format!("cmd for {path}");
                return must_succeed(sys, &name, Command::shell(&name, fill(line))).map(|_| ());
            }
            Some(Words::List(words)) => {
                let words: Vec<String> = words.iter().map(|word| fill(word)).collect();
                let Some((program, arguments)) = words.split_first() else { bail!("`cmd` is empty") };
                let name = format!("cmd for {path}");
                let command = Command::new(&name, program);
                let command = arguments.iter().fold(command, |command, word| command.argument(word));
                return must_succeed(sys, &name, command).map(|_| ());
            }
        }
        let program = match &*self.filesystem {
            "swap" => "mkswap".to_owned(),
            kind => format!("mkfs.{kind}"),
        };
        let mut words = vec![&*program];
        match &*self.filesystem {
            // What was found there may be destroyed, and they ask before they do.
            "ext2" | "ext3" | "ext4" => words.push("-F"),
            "xfs" | "btrfs" | "swap" | "f2fs" if over => words.push("-f"),
            _ => {}
        }
        if !label.is_empty() {
            words.extend([
                if ["vfat", "fat", "exfat"].contains(&&*self.filesystem) { "-n" } else { "-L" },
                label,
            ]);
        }
        match &self.extra_opts {
            Words::Line(line) => words.extend(line.split_whitespace()),
            Words::List(list) => words.extend(list.iter().map(|word| &**word)),
        }
        words.push(&path);
        run(sys, &words).map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::machine;
    use crate::disk::devices::tests::disk;
    use crate::testing::{Machine, Outcome};

    fn apply(machine: &Machine, filesystem: &str) -> Outcome {
        machine.apply(&format!("#cloud-config\nfs_setup: [{{{filesystem}}}]"))
    }

    /// A disk with two partitions, of which the first has a file system.
    fn partitioned() -> Machine {
        let machine = machine();
        disk(&machine.host, "vdb", 409_600, &[(1, 2048, 4096), (2, 8192, 4096)]);
        machine.host.answer("/dev/vdb1", 0, "LABEL=one\nTYPE=ext4\n");
        machine
    }

    #[test]
    fn an_empty_device_gets_the_file_system() {
        for (filesystem, command) in [
            ("filesystem: ext4, device: vdb, label: a", "mkfs.ext4 -F -L a /dev/vdb"),
            ("filesystem: xfs, device: /dev/vdb, extra_opts: -n ftype=1", "mkfs.xfs -n ftype=1 /dev/vdb"),
            (
                "filesystem: vfat, device: vdb, label: A, extra_opts: [-F, 32]",
                "mkfs.vfat -n A -F 32 /dev/vdb",
            ),
            ("filesystem: swap, device: vdb, partition: none", "mkswap /dev/vdb"),
            (
                "filesystem: ext4, label: x, device: vdb, cmd: mk -t %(filesystem)s -L %(label)s %(device)s",
                "mk -t ext4 -L x /dev/vdb",
            ),
            ("filesystem: ext4, device: vdb, cmd: [mk, \"%(device)s\"]", "mk /dev/vdb"),
        ] {
            let outcome = apply(&machine(), filesystem);
            assert_eq!(outcome.messages(), "");
            assert_eq!(outcome.commands[2..], [command, "udevadm settle"]);
        }
    }

    #[test]
    fn what_is_there_stays_unless_it_may_be_replaced() {
        let found = partitioned();
        for place in ["partition: 1", "device: vdb.1"] {
            let device =
                if place.starts_with("device") { place.to_owned() } else { format!("device: vdb, {place}") };
            let outcome = apply(&found, &format!("filesystem: xfs, {device}"));
            assert!(
                outcome
                    .messages()
                    .contains("/dev/vdb1 is left as it is, since it carries a file system (ext4)")
            );
            assert_eq!(outcome.commands.len(), 1);
            for allowed in ["overwrite: true", "replace_fs: ext4"] {
                // The first time it is asked.
                let outcome = apply(&found, &format!("filesystem: xfs, {device}, {allowed}"));
                assert_eq!(outcome.commands[1], "mkfs.xfs -f /dev/vdb1");
            }
            // One that is as it shall be is never made again.
            let outcome = apply(&found, &format!("filesystem: ext4, label: one, overwrite: true, {device}"));
            assert_eq!((outcome.commands.len(), outcome.findings.len()), (1, 0));
            let outcome = apply(&found, &format!("filesystem: ext4, label: two, {device}"));
            assert_eq!((outcome.commands.len(), outcome.findings.len()), (1, 1));
        }
    }

    #[test]
    fn a_partition_is_chosen_by_what_it_carries() {
        let commands = |filesystem: &str| apply(&partitioned(), filesystem).commands;
        assert_eq!(commands("filesystem: ext4, label: two, device: vdb, partition: any").len(), 1);
        assert_eq!(
            commands("filesystem: ext4, label: two, device: vdb, partition: auto")[3],
            "mkfs.ext4 -F -L two /dev/vdb2"
        );
        let full = partitioned();
        full.host.answer("/dev/vdb2", 0, "TYPE=xfs\n");
        let outcome = apply(&full, "filesystem: btrfs, device: vdb, partition: auto, overwrite: true");
        assert!(outcome.messages().contains("no partition of /dev/vdb is free"), "{}", outcome.messages());
        let outcome = apply(&full, "filesystem: btrfs, device: vdb, partition: 7");
        assert!(outcome.messages().contains("/dev/vdb has no partition 7"));
        // The whole disk carries partitions even if blkid finds nothing.
        let outcome = apply(&full, "filesystem: btrfs, device: vdb");
        assert!(outcome.messages().contains("it carries partitions"), "{}", outcome.messages());
    }

    #[test]
    fn what_is_mounted_is_never_touched() {
        let machine = machine();
        machine.host.answer("blkid", 0, "TYPE=ext4\n");
        let outcome = apply(&machine, "filesystem: xfs, device: vda, partition: 1, overwrite: true");
        assert!(outcome.messages().contains("/dev/vda1 is mounted at /"), "{}", outcome.messages());
        assert_eq!(outcome.commands.len(), 1);
    }

    #[test]
    fn hostile_words_run_nothing() {
        for filesystem in [
            "filesystem: ../../bin/sh, device: vdb",
            "filesystem: ext4, device: vdb, label: '; reboot'",
            "filesystem: ext4, device: vdb, label: -n",
            "filesystem: ext4, device: /etc/passwd",
            "filesystem: ext4, device: vdb, partition: first",
        ] {
            let outcome = apply(&machine(), filesystem);
            assert_eq!(outcome.findings.len(), 1, "{filesystem}: {}", outcome.messages());
            assert!(outcome.commands.is_empty(), "{filesystem}");
        }
    }
}
