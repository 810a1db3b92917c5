//! Volumes: waiting for their devices, checking them, and what can be told of their file systems.

use crate::boot::{Check, Device, Parameters};
use anyhow::{Context as _, Result, bail};
use cosette_plugins::System;
use cosette_plugins::disk::Mountable;
use cosette_plugins::system::{Command, Interrupted, Kind};
use std::path::PathBuf;
use std::time::Duration;

/// How long all volumes together are waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often they are looked for.
const INTERVAL: Duration = Duration::from_millis(100);

/// How long the check of a file system may take. One that is forced, of a large disk, takes minutes.
const CHECK: Duration = Duration::from_secs(10 * 60);

/// The unit that has waited for `/oem` already, if there is one.
const OEM_UNIT: &str = "/run/systemd/generator.early/oem.mount";

const SYSTEMD_FSCK: [&str; 2] = ["/usr/lib/systemd/systemd-fsck", "/lib/systemd/systemd-fsck"];
const FSCK: [&str; 2] = ["/usr/sbin/fsck", "/sbin/fsck"];

/// Waits for devices, all of them together, and returns those that did not come.
pub(super) fn wait<'d>(
    sys: &System,
    devices: impl Iterator<Item = &'d Device>,
    parameters: &Parameters,
) -> Result<Vec<(&'d Device, Duration)>, Interrupted> {
    let oem = match sys.exists(OEM_UNIT) {
        Ok(true) => Duration::ZERO,
        _ => parameters.oem_timeout.min(PATIENCE),
    };
    let limit = |device: &Device| if device.path() == parameters.oem.path() { oem } else { PATIENCE };
    let mut missing: Vec<_> = devices.map(|device| (device, limit(device))).collect();
    let mut waited = Duration::ZERO;
    loop {
        missing.retain(|(device, _)| !is_there(sys, device));
        if missing.iter().all(|(_, limit)| waited >= *limit) {
            return Ok(missing);
        }
        sys.wait_for_others(INTERVAL)?;
        waited += INTERVAL;
    }
}

fn is_there(sys: &System, device: &Device) -> bool {
    matches!(sys.metadata(device.path()), Ok(Some(found)) if found.kind == Kind::Other)
}

/// A device that is there.
pub(super) struct Volume {
    /// Its path without links.
    pub(super) path: PathBuf,
    /// The kind of its file system.
    pub(super) kind: &'static str,
}

impl Volume {
    pub(super) fn find(sys: &System, device: &Device) -> Result<Self> {
        let path = sys.real_path(device.path())?;
        let found = Mountable::on(&path, sys).with_context(|| format!("cannot read {device}"))?;
        let Mountable { kind, .. } = found.with_context(|| format!("{device} holds no known file system"))?;
        Ok(Self { path, kind })
    }

    /// Whether its kind of file system is never written to.
    pub(super) fn is_read_only(&self) -> bool {
        matches!(self.kind, "iso9660" | "squashfs" | "erofs")
    }

    /// Checks it, unless it is mounted anywhere or has no use for that. An error says why it had better not be written
    /// to.
    pub(super) fn check(&self, sys: &System, device: &Device, when: Check) -> Result<()> {
        if when == Check::Skip
            || !matches!(self.kind, "ext4" | "vfat" | "f2fs")
            || sys.is_mounted(&self.path)?
        {
            return Ok(());
        }
        let find = |programs: [&'static str; 2]| {
            programs.into_iter().find(|program| matches!(sys.exists(program), Ok(true)))
        };
        let label = format!("fsck {device}");
        let command = match (find(SYSTEMD_FSCK), find(FSCK)) {
            // It reads `fsck.mode` and `fsck.repair` itself.
            (Some(program), _) => Command::new(label, program).argument(&self.path),
            (None, Some(program)) => {
                let command = Command::new(label, program).argument("-a").argument(&self.path);
                if when == Check::Force { command.argument("-f") } else { command }
            }
            (None, None) => return Ok(()),
        };
        let Some(output) = sys.run(&command.at_most(CHECK))? else { return Ok(()) };
        // 1 says that all errors were corrected.
        if output.status > 1 {
            let tail = String::from_utf8_lossy(&output.tail);
            let last = tail.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
            let last: String = last.chars().filter(|c| !c.is_control()).take(200).collect();
            bail!("its check ended with status {}: {last}", output.status);
        }
        Ok(())
    }
}
