//! File systems that grow to the size of their device, mounted or not.

use super::devices::{Device, Mount};
use crate::System;
use crate::program::{command, failure, remedy, run};
use anyhow::{Result, bail};

const REMEDY: &str = "the file system cannot grow: install e2fsprogs";

/// Has a file system grow to the size of its device.
///
/// XFS and btrfs grow by a request to the kernel. So do ext2, ext3 and ext4 while they are mounted, by resize2fs(8);
/// otherwise it takes a check first.
pub(crate) fn grow(sys: &System, device: &Device, kind: &str) -> Result<()> {
    let path = device.path();
    match kind {
        "ext2" | "ext3" | "ext4" => {
            if !is_mounted(sys, device)? {
                check(sys, &path)?;
            }
            remedy(run(sys, &["resize2fs", &path]), REMEDY).map(drop)
        }
        "xfs" | "btrfs" => sys.grow_file_system(path.as_ref(), kind),
        other => bail!("{other} cannot grow"),
    }
}

/// Checks an ext file system, and repairs what can be repaired without a question.
fn check(sys: &System, path: &str) -> Result<()> {
    let words = ["e2fsck", "-f", "-p", path];
    match remedy(sys.run(&command(&words)), REMEDY)? {
        // By e2fsck(8): 1 and 2 stand for errors that were corrected.
        Some(output) if output.status > 2 => {
            bail!("the file system needs a repair by hand: `{}` {}", words.join(" "), failure(&output))
        }
        _ => Ok(()),
    }
}

fn is_mounted(sys: &System, device: &Device) -> Result<bool> {
    for mount in Mount::all(sys)? {
        if mount.device(sys)?.as_ref() == Some(device) {
            return Ok(true);
        }
    }
    Ok(false)
}
