//! Masks: links to `/dev/null` in the place of units, so that nothing can start them.

use super::links;
use super::lookup::CONFIGURATION;
use super::{Report, UnitName};
use crate::System;
use crate::system::Kind;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

/// Masks a unit: nothing can start it any more. The unit need not exist.
pub fn mask(sys: &System, name: &UnitName) -> Result<Report> {
    let at = Path::new(CONFIGURATION).join(name.as_str());
    let remedy = "move the unit file to /usr/lib/systemd/system, or disable the unit first";
    match sys.symlink_metadata(&at)?.map(|found| found.kind) {
        Some(Kind::Symlink) if links::resolve(sys, &at, true)? != Path::new("/dev/null") => {
            let target = sys.read_link(&at)?.unwrap_or_default();
            bail!("cannot mask {name}: {} is a link to {}; {remedy}", at.display(), target.display());
        }
        None | Some(Kind::Symlink) => {}
        Some(_) => bail!("cannot mask {name}: {} is in its place; {remedy}", at.display()),
    }
    let target = sys.read_link(&at)?.unwrap_or_else(|| PathBuf::from("/dev/null"));
    let changed = sys.symlink(&target, &at, false)?;
    Ok(Report { changed, ..Report::default() })
}

/// Removes the mask of a unit, and nothing else that may stand in its place.
pub fn unmask(sys: &System, name: &UnitName) -> Result<Report> {
    let at = Path::new(CONFIGURATION).join(name.as_str());
    let changed = links::is_mask(sys, &at)? && sys.remove(&at)?;
    Ok(Report { changed, ..Report::default() })
}
