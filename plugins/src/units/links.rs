//! Where symbolic links lead, as paths: unlike opening a file, this tells *which* file it is.

use crate::System;
use crate::system::Kind;
use anyhow::{Result, bail};
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows in one path.
const MOST_LINKS: usize = 40;

/// The path with every `.`, `..` and link in it replaced, all within the root. What does not exist is taken
/// as it stands. A link at the very end is followed if `last`.
pub(super) fn resolve(sys: &System, path: &Path, last: bool) -> Result<PathBuf> {
    let mut resolved = PathBuf::from("/");
    let mut rest: Vec<OsString> = names(path);
    let mut links = 0;
    while let Some(name) = rest.pop() {
        if name == ".." {
            resolved.pop();
            continue;
        }
        resolved.push(name);
        let target = if last || !rest.is_empty() { sys.read_link(&resolved)? } else { None };
        if let Some(target) = target {
            links += 1;
            if links > MOST_LINKS {
                bail!("{} leads through too many links", path.display());
            }
            if target.is_absolute() {
                resolved = PathBuf::from("/");
            } else {
                resolved.pop();
            }
            rest.extend(names(&target));
        }
    }
    Ok(resolved)
}

/// Where the link at `path` points, one step far; nothing when there is no link.
pub(super) fn target(sys: &System, path: &Path) -> Result<Option<PathBuf>> {
    let Some(target) = sys.read_link(path)? else { return Ok(None) };
    let directory = path.parent().unwrap_or(Path::new("/"));
    resolve(sys, &directory.join(target), false).map(Some)
}

/// Whether the file at `path` masks its unit: a link that ends at `/dev/null`, or an empty file.
pub(super) fn is_mask(sys: &System, path: &Path) -> Result<bool> {
    if sys.read_link(path)?.is_some() && resolve(sys, path, true)? == Path::new("/dev/null") {
        return Ok(true);
    }
    Ok(sys.metadata(path)?.is_some_and(|found| found.kind == Kind::File && found.size == 0))
}

/// The names in a path, the last one first.
fn names(path: &Path) -> Vec<OsString> {
    let named = path.components().filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir));
    named.rev().map(|part| part.as_os_str().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    #[test]
    fn links_and_dots_are_replaced_within_the_root() {
        let machine = Machine::new(
            "-- /usr/lib/a 0644\n-- /lib -> usr/lib\n-- /abs -> /lib/a\n-- /up -> ../../../usr/lib/a\n\
             -- /loop -> loop\n-- /usr/chain -> ../abs\n",
        );
        let sys = machine.system(Mode::Apply);
        for (path, last, leads_to) in [
            ("/lib/a", true, "/usr/lib/a"),
            ("/abs", true, "/usr/lib/a"),
            ("/abs", false, "/abs"),
            ("/up", true, "/usr/lib/a"),
            ("/usr/chain", true, "/usr/lib/a"),
            ("/lib/../x/./y", true, "/usr/x/y"),
            ("/../..", true, "/"),
        ] {
            assert_eq!(resolve(&sys, Path::new(path), last).unwrap(), Path::new(leads_to), "{path}");
        }
        let error = resolve(&sys, Path::new("/loop/x"), true).unwrap_err();
        assert_eq!(error.to_string(), "/loop/x leads through too many links");
        assert_eq!(target(&sys, Path::new("/usr/chain")).unwrap().unwrap(), Path::new("/abs"));
    }

    #[test]
    fn a_mask_is_a_link_to_dev_null_or_an_empty_file() {
        let machine = Machine::new(
            "-- /null -> /dev/null\n-- /relative -> ../dev/null\n-- /chain -> null\n-- /empty 0644\n\
             -- /full 0644\nx\n-- /other -> full\n-- /dangling -> /nowhere\n",
        );
        let sys = machine.system(Mode::Apply);
        for (path, mask) in [
            ("/null", true),
            ("/relative", true),
            ("/chain", true),
            ("/empty", true),
            ("/full", false),
            ("/other", false),
            ("/dangling", false),
            ("/missing", false),
        ] {
            assert_eq!(is_mask(&sys, Path::new(path)).unwrap(), mask, "{path}");
        }
    }
}
