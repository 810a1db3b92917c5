//! From a source to a tree: what becomes the image of a system.

use super::failure::{Class, Classify as _};
use anyhow::{Context as _, Result, bail};
use cosette_plugins::System;
use cosette_plugins::image::{self, Progress, Resolved, Source};
use cosette_plugins::system::Kind;
use std::path::Path;

/// What a system needs to boot and an image of containers may lack, with modes: its root cannot be written to then.
const DIRECTORIES: [(&str, u32); 9] = [
    ("/boot", 0o755),
    ("/dev", 0o755),
    ("/oem", 0o755),
    ("/proc", 0o555),
    ("/run", 0o755),
    ("/sys", 0o555),
    ("/system", 0o755),
    ("/tmp", 0o1777),
    ("/usr/local", 0o755),
];

/// Directories of a running system that hold nothing of its own.
const PASSING: [&str; 6] = ["dev", "mnt", "proc", "run", "sys", "tmp"];

/// Makes the tree of a source be in a directory, in place of whatever stands there, with the directories that a system
/// needs to boot. A `file:` has none: see [`super::image_file::adopt`]. Returns warnings.
pub fn acquire(
    sys: &System,
    resolved: &Resolved,
    tree: &Path,
    progress: &mut dyn Progress,
) -> Result<Vec<String>> {
    let mut acquire = || -> Result<Vec<String>> {
        sys.remove_tree(tree)?;
        let warnings = match resolved.source() {
            Source::Directory(from) => {
                let directory = sys.directory(sys.real_path(from)?)?;
                let directory =
                    directory.with_context(|| format!("there is no directory {}", from.display()))?;
                sys.copy_dir_without(&directory, tree, &is_left_out)?;
                Vec::new()
            }
            Source::File(path) => bail!("{} is an image, not a tree", path.display()),
            _ => image::fetch(sys, resolved, tree, progress)?,
        };
        complete(sys, tree)?;
        Ok(warnings)
    };
    acquire().class(Class::Source)
}

/// Whether something of a directory that holds a system is nothing of the system: what is in the directories of a
/// running one, the snapshots of a btrfs, and the resolvers that whoever ran it in a container has put there. A link to
/// those is the system's own.
pub(super) fn is_left_out(path: &Path, kind: Kind) -> bool {
    PASSING.iter().any(|passing| path.starts_with(passing) && path != Path::new(passing))
        || path.starts_with(".snapshots")
        || (kind == Kind::File && path == Path::new("etc/resolv.conf"))
}

/// Makes what is missing.
fn complete(sys: &System, tree: &Path) -> Result<()> {
    let inside = sys.reroot(tree)?;
    for (path, mode) in DIRECTORIES {
        if inside.symlink_metadata(path)?.is_none() {
            inside.create_dir(path, Some(mode), None)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests look at files from outside")]

    use super::super::failure::class_of;
    use super::*;
    use cosette_plugins::image::{Policy, Request, resolve};
    use cosette_plugins::system::{File, Mode};
    use cosette_plugins::testing::{LayoutBuilder, Machine, TarBuilder};
    use std::os::unix::fs::MetadataExt as _;

    fn resolved(machine: &Machine, source: &str) -> Resolved {
        let request = Request { source: Source::parse(source).unwrap(), platform: None, insecure: None };
        let sys = machine.system(Mode::Apply);
        resolve(&sys, &request, &Policy::load(&sys).unwrap()).unwrap()
    }

    fn names(machine: &Machine, directory: &str) -> Vec<String> {
        let entries = std::fs::read_dir(machine.root().join(directory)).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_image_of_containers_becomes_a_tree_that_can_boot() {
        let machine = Machine::new("");
        let layer = TarBuilder::new().file("etc/issue", "text").dir("tmp", 0o700).finish();
        LayoutBuilder::new(&machine.root().join("layout")).image("", &[layer]);
        let resolved = resolved(&machine, "oci-layout:/layout");
        acquire(&machine.system(Mode::Apply), &resolved, Path::new("/state/tree"), &mut ()).unwrap();
        let expected = ["boot", "dev", "etc", "oem", "proc", "run", "sys", "system", "tmp", "usr"];
        assert_eq!(names(&machine, "state/tree"), expected);
        let mode =
            |path: &str| machine.root().join("state/tree").join(path).metadata().unwrap().mode() & 0o7777;
        assert_eq!(["tmp", "proc", "oem"].map(mode), [0o700, 0o555, 0o755]);
    }

    #[test]
    fn of_a_directory_that_is_a_running_system_only_what_is_its_own_is_taken() {
        let machine = Machine::new(
            "-- /s/etc/issue\n\n-- /s/proc/1/stat\n\n-- /s/tmp/x\n\n-- /s/.snapshots/1/x\n\n-- /s/etc/resolv.conf\n\n-- /s/var/tmp/x\n\n",
        );
        let sys = machine.system(Mode::Apply);
        acquire(&sys, &resolved(&machine, "dir:/s"), Path::new("/tree"), &mut ()).unwrap();
        assert_eq!(names(&machine, "tree/etc"), ["issue"]);
        assert_eq!((names(&machine, "tree/proc").len(), names(&machine, "tree/tmp").len()), (0, 0));
        assert_eq!(names(&machine, "tree/var/tmp"), ["x"]);
        assert!(!machine.root().join("tree/.snapshots").exists());
        std::fs::remove_file(machine.root().join("s/etc/resolv.conf")).unwrap();
        sys.symlink("../run/stub", "/s/etc/resolv.conf", false).unwrap();
        sys.write(File::new("/tree/left", "by a crash")).unwrap();
        acquire(&sys, &resolved(&machine, "dir:/s"), Path::new("/tree"), &mut ()).unwrap();
        assert_eq!(names(&machine, "tree/etc"), ["issue", "resolv.conf"]);
        assert!(!machine.root().join("tree/left").exists());
    }

    #[test]
    fn what_is_no_tree_is_a_failure_of_the_source() {
        let machine = Machine::new("-- /file\n\n");
        let sys = machine.system(Mode::Apply);
        let failure =
            acquire(&sys, &resolved(&machine, "file:/file"), Path::new("/tree"), &mut ()).unwrap_err();
        assert_eq!(class_of(&failure), Some(Class::Source));
    }
}
