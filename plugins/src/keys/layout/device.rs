//! Which disk is meant, and whether its table counts.

use super::text;
use crate::disk::devices::Device;
use crate::disk::gpt::{Flaw, Found, Guid, Table};
use crate::disk::{MBR, carried_by, layout, udev};
use crate::system::{Command, Disk};
use crate::{Context, System};
use anyhow::{Context as _, Result, bail};
use cosette_schema::{Spanned, record};
use std::path::Path;

/// What the disk is called that yip gives a name without being told.
const DISK_NAME: &str = "YIP_DISK";

record! {
    /// A disk.
    pub(super) struct DeviceName {
        /// The label of a file system or a partition on it.
        pub(super) label: Option<Spanned<String>>,
        /// Its path, that of one of its partitions, or `script://` with a command that prints one.
        pub(super) path: Option<Spanned<String>>,
        /// Whether it gets a new table of partitions.
        pub(super) init_disk: bool,
        /// What its GUID is made of; `YIP_DISK` when it is left out.
        disk_name: Option<String>,
        /// Whether a new table is made even where there is something already, which is lost.
        pub(super) wipe: bool,
    }
}

impl DeviceName {
    /// What it is called in the document: a label or a path.
    pub(super) fn name(&self) -> String {
        match (text(&self.label), text(&self.path)) {
            (Some(label), _) => format!("the disk with {label}"),
            (None, Some(path)) if path.starts_with("script://") => "the disk that a script names".to_owned(),
            (None, path) => path.unwrap_or_default().to_owned(),
        }
    }

    /// The disk. Nothing in a plan that would take a command.
    pub(super) fn find(&self, cx: &Context, sys: &System) -> Result<Option<Device>> {
        if let Some(label) = text(&self.label) {
            let device = self.by_label(sys, label)?;
            return match device {
                Some(device) => device.disk(sys).map(Some),
                None => bail!("no file system and no partition has the label {label:?}"),
            };
        }
        let Some(path) = &self.path else { return Ok(None) };
        let path = match path.strip_prefix("script://") {
            None => path.value.clone(),
            Some(script) => match ask_script(sys, script)? {
                Some(path) => path,
                None => {
                    cx.leave_to_a_run(path.span, "which disk it is, only a run can tell");
                    return Ok(None);
                }
            },
        };
        let mut device = None;
        udev::wait_until(sys, || {
            device = Device::at(sys, Path::new(&path))?;
            Ok(device.is_some())
        })?;
        match device {
            Some(device) => device.disk(sys).map(Some),
            None => bail!("there is no block device {path}"),
        }
    }

    /// The device with a label: that of its file system, or else that of the partition. Where udev does not run,
    /// all disks are looked at.
    fn by_label(&self, sys: &System, label: &str) -> Result<Option<Device>> {
        if !udev::runs(sys)? {
            return layout::labelled(sys, label);
        }
        let mut device = None;
        udev::wait_until(sys, || {
            for kind in ["by-label", "by-partlabel"] {
                if device.is_none() {
                    device = Device::at(sys, &udev::link(kind, label))?;
                }
            }
            Ok(device.is_some())
        })?;
        Ok(device)
    }

    /// The GUID of a disk that was initialised. By RFC 9562 it depends on the name only.
    pub(super) fn guid(&self) -> Guid {
        let name = self.disk_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(DISK_NAME);
        Guid::v5(Guid::NAMESPACE_URL, name)
    }

    /// The table that counts; nothing where a new one is to be made.
    pub(super) fn decide(
        &self,
        sys: &System,
        device: &Device,
        disk: &dyn Disk,
        read: Result<Found>,
    ) -> Result<Option<(Table, Vec<Flaw>)>> {
        let carried = match read {
            Ok(Found::Table { table, flaws }) if !self.init_disk || table.guid == self.guid() => {
                return Ok(Some((table, flaws)));
            }
            Ok(Found::Mbr) if !self.init_disk => {
                bail!("it has {MBR}, and only GPT is known here: `sgdisk --mbrtogpt` makes one of it")
            }
            Err(error) if !self.init_disk => return Err(error),
            read => carried_by(read, sys, device, disk)?,
        };
        match carried {
            Some(carried) if !self.init_disk => {
                bail!("it carries {carried} and no table of partitions")
            }
            None if !self.init_disk => bail!("it has no table of partitions: `init_disk: true` makes one"),
            Some(carried) if !self.wipe => {
                bail!("it carries {carried}, which a new table would destroy: `wipe: true` allows that")
            }
            _ => Ok(None),
        }
    }
}

/// The path that a command prints.
fn ask_script(sys: &System, script: &str) -> Result<Option<String>> {
    let mut words = script.split_whitespace();
    let program = words.next().context("`script://` names no command")?;
    let command =
        words.fold(Command::new("script of the device", program), |command, word| command.argument(word));
    let Some(output) = sys.run(&command)? else { return Ok(None) };
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match (output.status, &*path) {
        (0, "") => bail!("`{program}` has printed no device"),
        (0, _) => Ok(Some(path)),
        (status, _) => bail!("`{program}` ended with status {status}"),
    }
}
