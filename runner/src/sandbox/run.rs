//! `/run` of the view.

use super::seed::{below, copy};
use super::view::copy_attributes;
use anyhow::{Context as _, Result};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the view keeps of the machine's `/run`: how it was booted, which stages ask for. The target of
/// `/etc/resolv.conf` is kept too.
pub(super) const KEPT: [&str; 4] = ["/run/cos", "/run/cosette", "/run/elemental", "/run/ostree-booted"];

/// Makes `/run` and copies [`KEPT`] into the view at `view`, and adds the paths to those copied. What cannot be read is left
/// out.
pub(super) fn fill(root: &Path, view: &Path, copies: &mut BTreeSet<PathBuf>) -> Result<()> {
    let run = view.join("run");
    std::fs::create_dir(&run)?;
    if let Ok(found) = std::fs::metadata(root.join("run")) {
        copy_attributes(&found, &run)?;
    }
    copies.insert("/run".into());
    for path in KEPT.iter().map(PathBuf::from).chain(resolver(root)) {
        if std::fs::symlink_metadata(below(root, &path)).is_err() {
            continue;
        }
        let above: Vec<_> = path.ancestors().skip(1).take_while(|dir| *dir != Path::new("/run")).collect();
        for directory in above.into_iter().rev() {
            copy_directory(root, view, directory, copies)?;
        }
        copy_tree(root, view, &path, copies).with_context(|| format!("cannot copy {}", path.display()))?;
    }
    Ok(())
}

/// Copies files, links and directories: no sockets, pipes and large files.
fn copy_tree(root: &Path, view: &Path, path: &Path, copies: &mut BTreeSet<PathBuf>) -> Result<()> {
    let from = below(root, path);
    if !std::fs::symlink_metadata(&from)?.is_dir() {
        match copy(&from, &below(view, path)) {
            Ok(true) => _ = copies.insert(path.to_owned()),
            Ok(false) => {}
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(error.into()),
        }
        return Ok(());
    }
    copy_directory(root, view, path, copies)?;
    let Ok(entries) = std::fs::read_dir(&from) else { return Ok(()) };
    for entry in entries {
        copy_tree(root, view, &path.join(entry?.file_name()), copies)?;
    }
    Ok(())
}

fn copy_directory(root: &Path, view: &Path, path: &Path, copies: &mut BTreeSet<PathBuf>) -> Result<()> {
    if copies.insert(path.to_owned()) {
        let to = below(view, path);
        std::fs::create_dir(&to)?;
        copy_attributes(&std::fs::symlink_metadata(below(root, path))?, &to)?;
    }
    Ok(())
}

/// The file in `/run` that tells of the name servers, if they are told of there.
fn resolver(root: &Path) -> Option<PathBuf> {
    let target = std::fs::canonicalize(below(root, Path::new("/etc/resolv.conf"))).ok()?;
    let path = Path::new("/").join(target.strip_prefix(root).ok()?);
    (path.starts_with("/run") && std::fs::metadata(&target).ok()?.is_file()).then_some(path)
}
