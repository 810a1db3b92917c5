//! The partitions of a machine, by their labels, and their mounts for the time of an operation.
//!
//! The partition that holds the booted image is mounted by the initramfs, read-only. An operation, which has mounts of its
//! own, makes that one writable for itself; where everybody else sees it, it stays read-only. What is not mounted is mounted
//! where nobody else sees it.

use super::failure::{Class, Classify as _};
use super::system_disk::Role;
use anyhow::{Context as _, Result, anyhow, bail};
use cosette_plugins::System;
use cosette_plugins::disk::{self, Labelled, Mountable};
use cosette_plugins::system::{DiskAccess, InUse, NewMount};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The label of the partition with the active and the passive system.
pub const STATE: &str = "COS_STATE";
/// The label of the partition with the recovery system.
pub const RECOVERY: &str = "COS_RECOVERY";
/// The label of the partition with the documents of the machine.
pub const OEM: &str = "COS_OEM";
/// The label of the partition with the data that persist.
pub const PERSISTENT: &str = "COS_PERSISTENT";

/// Where the initramfs mounts the partition that holds the booted image: ours and that of cOS, and that of elemental.
pub const BOOTED: [&str; 2] = ["/run/initramfs/cos-state", "/run/initramfs/elemental-state"];

/// Where partitions are mounted that are not mounted yet.
const POINTS: &str = "/run/cosette/mnt";

/// So long a partition may be in use by somebody who is about to leave it, and so often it is tried.
const PATIENCE: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(50);

/// The partitions that were found.
#[derive(Clone, Debug, Default)]
pub struct Partitions {
    found: Vec<Labelled>,
    /// The disk that was booted from, if it is known.
    disk: Option<PathBuf>,
}

impl Partitions {
    /// Looks for the partitions of the machine. The disk that was booted from comes before all others.
    pub fn find(sys: &System) -> Result<Self> {
        let find = || -> Result<Self> {
            let mut disk = None;
            for point in BOOTED {
                disk = disk.or(disk::disk_of_mount(sys, &sys.outside(Path::new(point)))?);
            }
            Ok(Self { found: disk::labelled(sys, &[STATE, RECOVERY, OEM, PERSISTENT])?, disk })
        };
        find().context("cannot look for the partitions").class(Class::NotThere)
    }

    /// The partition of this label, if there is one.
    pub fn get(&self, label: &str) -> Result<Option<&Labelled>> {
        let all: Vec<&Labelled> = self.found.iter().filter(|found| found.label == label).collect();
        let near: Vec<&Labelled> =
            all.iter().copied().filter(|found| Some(&found.disk) == self.disk.as_ref()).collect();
        match (&near[..], &all[..]) {
            ([one], _) | ([], [one]) => Ok(Some(one)),
            ([], []) => Ok(None),
            ([], several) | (several, _) => {
                let devices: Vec<_> =
                    several.iter().map(|found| found.device.display().to_string()).collect();
                Err(anyhow!("several partitions have the label {label}: {}", devices.join(", ")))
                    .class(Class::NotThere)
            }
        }
    }

    /// The partition of this label, without which nothing can be done.
    pub fn require(&self, label: &str) -> Result<&Labelled> {
        let missing =
            || anyhow!("there is no partition with the label {label}: this machine has no system to work on");
        self.get(label)?.ok_or_else(missing).class(Class::NotThere)
    }

    /// The partition of this label that is to be made anew. Where that was cut off, it has no label any more, but a name in
    /// the table of the disk of the systems; it comes before one that another disk has.
    pub fn require_to_wipe(&self, sys: &System, label: &str) -> Result<Labelled> {
        let systems = &self.require(STATE)?.disk;
        let role = Role::ALL.into_iter().find(|role| role.label() == Some(label));
        let is_near = |found: &Labelled| found.label == label && found.disk == *systems;
        match role.filter(|_| !self.found.iter().any(is_near)) {
            Some(role) => blank(sys, systems, role)?.map_or_else(|| self.require(label).cloned(), Ok),
            None => self.require(label).cloned(),
        }
    }
}

/// The partition of a role on a disk, if nothing is on it.
fn blank(sys: &System, disk: &Path, role: Role) -> Result<Option<Labelled>> {
    let table = sys.disk(disk, DiskAccess::Read)?;
    // A disk may have another kind of table, which has no names.
    let all = disk::partitions(&*table).unwrap_or_default();
    let Some(found) = all.into_iter().find(|found| found.name == role.name()) else { return Ok(None) };
    let device = disk::partition_at(sys, disk, found.number)?;
    if Mountable::on(&device, sys)?.is_some() {
        return Ok(None);
    }
    let label = role.label().unwrap_or_default().to_owned();
    Ok(Some(Labelled { label, device, kind: "ext4", disk: disk.to_owned(), mounted: Vec::new() }))
}

/// The mounts of an operation; when this is dropped, all is as it was.
pub struct Mounts<'s> {
    sys: &'s System,
    writable: Vec<PathBuf>,
    mounted: Vec<PathBuf>,
}

impl<'s> Mounts<'s> {
    /// None yet.
    pub fn new(sys: &'s System) -> Self {
        Self { sys, writable: Vec::new(), mounted: Vec::new() }
    }

    /// Where a partition can be read.
    pub fn read(&mut self, partition: &Labelled) -> Result<PathBuf> {
        match self.point(partition)? {
            Some(point) => Ok(point),
            None => self.mount(partition, true),
        }
    }

    /// Where a partition can be written to.
    pub fn write(&mut self, partition: &Labelled) -> Result<PathBuf> {
        let Some(point) = self.point(partition)? else { return self.mount(partition, false) };
        let directory = self.sys.directory(&point)?.context("it is not there any more")?;
        let is_read_only = self.sys.mounted(&directory)?.read_only;
        drop(directory);
        if is_read_only {
            let name = &partition.label;
            self.sys
                .set_read_only(&point, false)
                .with_context(|| format!("cannot write to {name}"))
                .class(Class::NotThere)?;
            self.writable.push(point.clone());
        }
        Ok(point)
    }

    /// Where it is mounted already, inside of the root.
    fn point(&self, partition: &Labelled) -> Result<Option<PathBuf>> {
        let own = Path::new(POINTS).join(&partition.label);
        if self.mounted.contains(&own) {
            return Ok(Some(own));
        }
        let root = self.sys.outside(Path::new("/"));
        let inside = |point: &PathBuf| Some(Path::new("/").join(point.strip_prefix(&root).ok()?));
        for point in partition.mounted.iter().filter_map(inside) {
            // Another mount may lie over it.
            let Some(directory) = self.sys.directory(&point)? else { continue };
            let mounted = self.sys.mounted(&directory)?;
            if mounted.is_point && mounted.kind == partition.kind {
                return Ok(Some(point));
            }
        }
        Ok(None)
    }

    fn mount(&mut self, partition: &Labelled, read_only: bool) -> Result<PathBuf> {
        let point = Path::new(POINTS).join(&partition.label);
        let mount = || -> Result<()> {
            self.sys.create_dir(&point, Some(0o700), None)?;
            let at = self.sys.directory(&point)?.context("it is not there")?;
            let new = NewMount::Device { device: &partition.device, kind: partition.kind, read_only };
            let mut waited = Duration::ZERO;
            loop {
                match self.sys.mount(&new, &at) {
                    // Who only looks at it is gone in a moment.
                    Err(error) if error.is::<InUse>() && waited < PATIENCE => {
                        self.sys.host().pause(INTERVAL)?;
                        waited += INTERVAL;
                    }
                    mounted => return mounted,
                }
            }
        };
        mount()
            .with_context(|| format!("cannot mount {} ({})", partition.label, partition.device.display()))
            .class(Class::NotThere)?;
        self.mounted.push(point.clone());
        Ok(point)
    }

    /// Unmounts what was mounted, and makes read-only what was made writable. What is not possible is returned as
    /// sentences.
    pub fn end(&mut self) -> Vec<String> {
        let mut problems = Vec::new();
        for point in self.writable.drain(..).rev() {
            // Also one whose disk fails.
            let ended = [self.sys.checkpoint(&point), self.sys.set_read_only(&point, true)];
            problems.extend(ended.into_iter().filter_map(Result::err).map(|error| format!("{error:#}")));
        }
        for point in self.mounted.drain(..).rev() {
            let ended = self.sys.unmount(&point).and_then(|()| self.sys.remove(&point).map(drop));
            problems.extend(ended.err().map(|error| format!("{error:#}")));
        }
        let _ = self.sys.remove(POINTS);
        problems
    }
}

impl Drop for Mounts<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// A partition that is mounted nowhere can be made anew.
pub fn assert_unmounted(sys: &System, partition: &Labelled) -> Result<()> {
    if sys.is_mounted(&partition.device)? {
        bail!("{} is mounted", partition.device.display());
    }
    Ok(())
}
