//! File systems by their labels.

use super::devices::{Device, Mount};
use super::driver;
use super::file_system::FileSystem;
use super::superblock::{self, Superblock};
use crate::System;
use crate::system::DiskAccess;
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};

/// A file system on a block device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// Its label.
    pub label: String,
    /// The device: `/dev/vda3`.
    pub device: PathBuf,
    /// As mount(2) wants to hear it.
    pub kind: &'static str,
    /// The disk that it is on.
    pub disk: PathBuf,
    /// Where its root is mounted, in the order in which that was done.
    pub mounted: Vec<PathBuf>,
}

/// The file systems that have one of these labels, also where no udev has made links to them. A device that is part of
/// another one, such as one path of several to a disk, is left out for that.
pub fn labelled(sys: &System, labels: &[&str]) -> Result<Vec<Labelled>> {
    let mounts = Mount::all(sys)?;
    let mut found = Vec::new();
    for device in Device::all(sys)? {
        let path = PathBuf::from(device.path());
        // What cannot be read, or is several things at once, is not what is looked for.
        let Ok(disk) = sys.disk(&path, DiskAccess::Read) else { continue };
        let superblock = superblock::probe(&*disk, 0, disk.bytes()).ok().flatten();
        let Some(Superblock { kind, label: Some(label), .. }) = superblock else { continue };
        let (Some(kind), true) = (driver(kind), labels.contains(&&*label)) else { continue };
        if device.is_part_of_another(sys)? {
            continue;
        }
        let mut mounted = Vec::new();
        for mount in mounts.iter().filter(|mount| mount.shows_root()) {
            if mount.device(sys)?.as_ref() == Some(&device) {
                mounted.push(PathBuf::from(&mount.point));
            }
        }
        let disk = PathBuf::from(device.disk(sys)?.path());
        found.push(Labelled { label, device: path, kind, disk, mounted });
    }
    Ok(found)
}

/// The disk that what is mounted at a place is on.
pub fn disk_of_mount(sys: &System, point: &Path) -> Result<Option<PathBuf>> {
    let Some(mount) = Mount::at(sys, &point.to_string_lossy())? else { return Ok(None) };
    let Some(device) = mount.device(sys)? else { return Ok(None) };
    Ok(Some(PathBuf::from(device.disk(sys)?.path())))
}

/// Makes a file system of this kind on a block device that nobody uses, in the place of what is there.
pub fn make_file_system(sys: &System, device: &Path, kind: &str, label: &str) -> Result<()> {
    let kind = FileSystem::named(kind).with_context(|| format!("{kind} cannot be made"))?;
    kind.require(sys)?;
    kind.make(sys, &device.to_string_lossy(), Some(label))
}
