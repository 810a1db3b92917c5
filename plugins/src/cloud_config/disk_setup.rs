//! Partitions disks and makes file systems, but never over anything.
//!
//! ```yaml
//! #cloud-config
//! device_aliases: {data: /dev/vdb}
//! disk_setup:
//!   data:
//!     table_type: gpt
//!     layout: [25, [75, 8200]]
//! fs_setup:
//! - {label: srv, filesystem: ext4, device: data, partition: 1}
//! - {filesystem: swap, device: data.2}
//! ```
//!
//! A disk that carries anything, be it a table of partitions or a file system, is left alone with a warning, unless
//! `overwrite: true`; one that is partitioned in this way already is left even then. So it is with file
//! systems: one of this type and label stays, whatever `overwrite` says, and `replace_fs` names a type that may be
//! replaced without it. Nothing that is mounted is touched.
//!
//! **A layout** is `true` (one partition), a list of shares in percent, each perhaps with a type (`[50, 82]`; for GPT
//! also `8200` and the like, or a GUID), or `remove`, which takes `overwrite: true`. The table is of the type `mbr`
//! unless `table_type` says `gpt`. It takes `sfdisk` and `partx` of util-linux.
//!
//! **The place of a file system** is a device and a `partition`: a number, `none` for all of the disk, `any` for the
//! first partition with such a file system or else the first without one, `auto` for the same if the label fits, too.
//! `cmd` is run instead of `mkfs`, with `%(label)s`, `%(filesystem)s` and `%(device)s` filled in.
//!
//! This happens on the running machine only, and once for each instance.

mod filesystem;
mod table;

use crate::disk::devices::{Device, Mount};
use crate::program::{answer, ask, remedy};
use crate::system::NoProgram;
use crate::{Action, Context, Plugin, System};
use anyhow::{Result, bail};
use cosette_schema::{Named, Spanned, record};
use filesystem::FileSystem;
use std::path::Path;
use table::Disk;

record! {
    /// Disks and file systems.
    pub(crate) struct DiskSetup {
        /// Names for devices.
        device_aliases: Named<String>,
        /// The disks to partition, by name or path.
        disk_setup: Named<Disk>,
        /// The file systems to make.
        fs_setup: Vec<Spanned<FileSystem>>,
    }
}

/// What became of a disk or a file system.
enum Fate {
    /// It is as it shall be.
    Done,
    /// It was left as it is, for this reason.
    Left(String),
}

impl Plugin for DiskSetup {
    const KEY: &'static str = "disk_setup";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        if !sys.host().lives_in(sys.root()) {
            return Ok(());
        }
        if sys.host().only_says() {
            for (name, _) in &self.disk_setup.0 {
                sys.done(Action::Partition, self.path(name), true);
            }
            for filesystem in &self.fs_setup {
                sys.done(Action::MakeFileSystem, self.path(filesystem.value.place().0), true);
            }
            return Ok(());
        }
        let disks = self.disk_setup.0.iter().map(|(name, disk)| {
            let fate = self.device(sys, name).and_then(|device| match device {
                Ok(device) => disk.make(sys, &device),
                Err(reason) => Ok(Fate::Left(reason)),
            });
            (name.span, fate)
        });
        for (span, fate) in disks {
            if let Some(Fate::Left(reason)) = cx.attempt(span, remedy(fate, table::REMEDY)) {
                cx.warn(span, reason);
            }
        }
        for Spanned { value: filesystem, span } in &self.fs_setup {
            let (name, partition) = filesystem.place();
            let fate = self.device(sys, name).and_then(|device| match device {
                Ok(device) => filesystem.make(sys, &device, partition),
                Err(reason) => Ok(Fate::Left(reason)),
            });
            if let Some(Fate::Left(reason)) = cx.attempt(*span, remedy(fate, filesystem::REMEDY)) {
                cx.warn(*span, reason);
            }
        }
        Ok(())
    }
}

impl DiskSetup {
    /// What is meant by a name that may be an alias.
    fn path(&self, name: &str) -> String {
        let alias = self.device_aliases.0.iter().find(|(alias, _)| alias.value == name);
        alias.map_or(name, |(_, path)| path).to_owned()
    }

    /// The device of this name, or why it is left out.
    fn device(&self, sys: &System, name: &str) -> Result<Result<Device, String>> {
        let path = self.path(name);
        let absolute = if path.starts_with('/') { path.clone() } else { format!("/dev/{path}") };
        match Device::at(sys, Path::new(&absolute))? {
            Some(device) => Ok(Ok(device)),
            None if path.starts_with('/') => bail!("there is no block device {path}"),
            None => Ok(Err(format!("`{path}` is left out: neither a device nor an alias has this name"))),
        }
    }
}

/// What blkid(8) finds on a device.
#[derive(Debug, Default, PartialEq, Eq)]
struct Signature {
    /// The type of the table of partitions: `dos`, `gpt`.
    table: Option<String>,
    /// The type of the file system.
    filesystem: Option<String>,
    /// Its label.
    label: Option<String>,
}

impl Signature {
    /// What a device carries. Nothing is known in a plan.
    fn of(sys: &System, device: &Device) -> Result<Option<Self>> {
        let path = device.path();
        let Some(output) = ask(sys, &["blkid", "-p", "-o", "export", &path])? else { return Ok(None) };
        let text = String::from_utf8_lossy(&output.stdout);
        let value = |name: &str| {
            text.lines().find_map(|line| Some(line.strip_prefix(name)?.strip_prefix('=')?.replace('\\', "")))
        };
        match output.status {
            0 => Ok(Some(Self { table: value("PTTYPE"), filesystem: value("TYPE"), label: value("LABEL") })),
            // The status of a device that cannot be read is the same; wipefs(8) tells them apart.
            2 => match answer(sys, &["wipefs", "--no-act", &path])? {
                Some(found) if !found.trim().is_empty() => {
                    bail!("{path} carries something that blkid does not know: clean it with wipefs")
                }
                _ => Ok(Some(Self::default())),
            },
            8 => bail!("{path} carries the signs of several file systems: clean it with wipefs"),
            status => bail!("`blkid {path}` ended with status {status}"),
        }
    }

    /// What there is, in words.
    fn found(&self, sys: &System, device: &Device) -> Result<Option<String>> {
        Ok(match (&self.filesystem, &self.table) {
            (Some(kind), _) => Some(format!("a file system ({kind})")),
            (None, Some(kind)) => Some(format!("a table of partitions ({kind})")),
            _ if !device.partitions(sys)?.is_empty() => Some("partitions".to_owned()),
            _ => None,
        })
    }
}

/// Fails if a device, or a partition on it, is mounted.
fn refuse_mounted(sys: &System, device: &Device) -> Result<()> {
    let partitions = device.partitions(sys)?;
    for mount in Mount::all(sys)? {
        let Some(mounted) = mount.device(sys)? else { continue };
        if mounted == *device || partitions.iter().any(|(_, partition)| *partition == mounted) {
            bail!("{} is in use: {} is mounted at {}", device.path(), mounted.path(), mount.point);
        }
    }
    Ok(())
}

/// Waits until the files of new partitions are there, where udev makes them.
fn settle(sys: &System) -> Result<()> {
    match ask(sys, &["udevadm", "settle"]) {
        Err(error) if !error.is::<NoProgram>() => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::disk::devices::tests::{disk, root};
    use crate::testing::Machine;

    pub(super) fn machine() -> Machine {
        let machine = Machine::new("");
        machine.host.live_here();
        disk(&machine.host, "vda", 1 << 21, &[(1, 2048, 8192)]);
        root(&machine.host, "ext4", "/dev/vda1", "8:1");
        machine.host.kernel_file("/sys/class/block/vdb/size", "409600\n");
        machine.host.answer("blkid", 2, "");
        machine
    }

    #[test]
    fn a_device_that_nobody_knows_is_left_out_and_the_others_are_made() {
        let machine = machine();
        let outcome = machine.apply(
            "#cloud-config\ndisk_setup: {ephemeral0: {layout: true}, /dev/none: {layout: true}, vdb: {layout: true}}",
        );
        let messages = outcome.messages();
        assert!(messages.contains("Warning: test.yaml:2:14: `ephemeral0` is left out"), "{messages}");
        assert!(messages.contains("Error: test.yaml:2:42: there is no block device /dev/none"), "{messages}");
        assert!(outcome.commands.iter().any(|command| command.starts_with("label: dos")), "{outcome:?}");
    }

    #[test]
    fn a_disk_that_cannot_be_read_is_not_an_empty_one() {
        for status in [0, 2, 8] {
            let machine = machine();
            machine.host.answer("blkid", status, if status == 0 { "PTTYPE=gpt\n" } else { "" });
            machine.host.answer("wipefs", 1, "wipefs: error: /dev/vdb: probing initialization failed\n");
            machine.host.answer("--dump", 1, "sfdisk: cannot open /dev/vdb: Input/output error\n");
            let text = "#cloud-config\ndisk_setup: {vdb: {table_type: gpt, layout: true, overwrite: true}}";
            let outcome = machine.apply(text);
            assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
            assert!(outcome.effects.is_empty(), "{status}: {outcome:?}");
        }
    }

    #[test]
    fn a_plan_runs_nothing_and_says_nothing_of_what_it_cannot_know() {
        let text =
            "#cloud-config\ndisk_setup: {vdb: {layout: true}}\nfs_setup: [{device: vdb, filesystem: ext4}]";
        let planned = machine().plan(text);
        assert!(planned.findings.is_empty() && planned.commands.is_empty() && planned.effects.is_empty());
    }
}
