//! What a new home directory begins with: a copy of `/etc/skel`.

use super::lookup::User;
use crate::System;
use crate::system::{File, Kind};
use anyhow::{Context as _, Result, bail};
use std::path::Path;

/// Where it lies.
const SKELETON: &str = "/etc/skel";

/// How deep it may be nested.
const DEPTH: usize = 32;

/// Copies files, directories and links into the home directory of a user, to whom they then belong.
pub(super) fn copy(sys: &System, user: &User) -> Result<()> {
    copy_dir(sys, user, Path::new(SKELETON), &user.home, DEPTH)
        .with_context(|| format!("cannot copy {SKELETON}"))
}

fn copy_dir(sys: &System, user: &User, from: &Path, to: &Path, depth: usize) -> Result<()> {
    if depth == 0 {
        bail!("{} is nested too deeply", from.display());
    }
    let Some(found) = sys.symlink_metadata(from)? else { return Ok(()) };
    if found.kind != Kind::Directory {
        return Ok(());
    }
    for name in sys.read_dir(from)?.unwrap_or_default() {
        let (from, to) = (from.join(&name), to.join(&name));
        let Some(found) = sys.symlink_metadata(&from)? else { continue };
        match found.kind {
            Kind::Directory => {
                sys.create_dir(&to, Some(found.mode), Some(user.owner))?;
                copy_dir(sys, user, &from, &to, depth - 1)?;
            }
            Kind::File => {
                let content = sys.read(&from)?.unwrap_or_default();
                sys.write(File::new(to, content).mode(found.mode & 0o777).owner(user.owner))?;
            }
            Kind::Symlink => {
                if let Some(target) = sys.read_link(&from)? {
                    sys.symlink(target, &to, false)?;
                    sys.set_attributes(&to, None, Some(user.owner))?;
                }
            }
            Kind::Other => {}
        }
    }
    Ok(())
}
