//! Disabling units: every link to them is removed.

use super::lookup::{CONFIGURATION, Found, Lookup};
use super::{Report, UnitName, links};
use crate::System;
use crate::system::Kind;
use anyhow::Result;
use std::collections::HashSet;
use std::path::Path;

/// Removes every link to a unit, and to those that it names in `Also=`, from the configuration.
pub fn disable(sys: &System, name: &UnitName) -> Result<Report> {
    let lookup = Lookup::new(sys)?;
    let mut report = Report::default();
    let (mut wanted, mut names) = (vec![name.clone()], HashSet::new());
    let mut seen = HashSet::from([name.clone()]);
    while let Some(asked) = wanted.pop() {
        match lookup.find(&asked) {
            Ok(Found::Unit(unit)) => {
                for also in &unit.install.also {
                    if let Ok(also) = unit.also(also)
                        && seen.insert(also.clone())
                    {
                        wanted.push(also);
                    }
                }
                names.insert(unit.name.to_string());
            }
            Ok(Found::Masked(path)) if asked == *name => {
                report.warnings.push(format!("{name} is masked by {} and is left alone", path.display()));
            }
            Ok(Found::Missing(missing)) if asked == *name => {
                report.warnings.push(format!("there is no unit {missing} to disable"));
            }
            Err(error) if asked == *name => return Err(error),
            // Units that are only named in `Also=` may well not be there.
            Ok(Found::Masked(_) | Found::Missing(_)) | Err(_) => {}
        }
    }
    report.changed = remove_links(sys, names)?;
    Ok(report)
}

/// Removes the links of the configuration that are named like one of these units or lead to one of them, and
/// then those that led to the removed links.
fn remove_links(sys: &System, mut marked: HashSet<String>) -> Result<bool> {
    let root = Path::new(CONFIGURATION);
    let mut changed = false;
    loop {
        let mut again = false;
        let mut dirs = vec![root.to_owned()];
        while let Some(dir) = dirs.pop() {
            for name in sys.read_dir(&dir)?.unwrap_or_default() {
                let path = dir.join(&name);
                match sys.symlink_metadata(&path)?.map(|found| found.kind) {
                    Some(Kind::Directory) if dir == root => dirs.push(path),
                    Some(Kind::Symlink) if is_marked(sys, &path, &marked)? => {
                        changed |= sys.remove(&path)?;
                        again |= marked.insert(path.display().to_string());
                        if dir != root && sys.read_dir(&dir)?.is_some_and(|left| left.is_empty()) {
                            sys.remove(&dir)?;
                        }
                    }
                    _ => {}
                }
            }
        }
        if !again {
            return Ok(changed);
        }
    }
}

/// Whether a link has a marked name, or leads to a marked path or name.
fn is_marked(sys: &System, path: &Path, marked: &HashSet<String>) -> Result<bool> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if UnitName::parse(&name).is_err() {
        return Ok(false);
    }
    if marked.contains(&*name) {
        return Ok(true);
    }
    // What leads in a circle leads to no unit.
    let Ok(end) = links::resolve(sys, path, true) else { return Ok(false) };
    let end_name = end.file_name().unwrap_or_default().to_string_lossy();
    Ok(marked.contains(&*end_name) || marked.contains(&*end.to_string_lossy()))
}
