//! Room on the partitions, which is looked for before anything is written.

use super::acquire;
use super::failure::{Class, Classify as _};
use super::image_file::FileSystem;
use crate::report::size;
use anyhow::{Context as _, Result, anyhow};
use cosette_plugins::System;
use cosette_plugins::image::{Progress, Resolved, Source};
use cosette_plugins::system::{BLOCK, Kind};
use std::path::Path;

/// What is going to be written to a file system.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Need {
    /// In bytes.
    pub bytes: u64,
    /// In files.
    pub files: u64,
}

impl std::ops::Add for Need {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { bytes: self.bytes.saturating_add(other.bytes), files: self.files.saturating_add(other.files) }
    }
}

/// Fails if the file system that holds a directory has not the room for this.
pub fn check(sys: &System, directory: &Path, need: Need) -> Result<()> {
    let free = sys.free_space(directory)?;
    let short = if free.bytes < need.bytes {
        Err(anyhow!("{} are needed, and {} are free", size(need.bytes), size(free.bytes)))
    } else if free.files.is_some_and(|files| files < need.files) {
        Err(anyhow!("{} files are needed, and there can be {} more", need.files, free.files.unwrap_or(0)))
    } else {
        Ok(())
    };
    short.with_context(|| format!("there is not enough room at {}", directory.display())).class(Class::NoRoom)
}

/// What a source is going to take, as far as it can be known before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// As a tree. Nothing for a finished image.
    pub tree: Need,
    /// As an image.
    pub image: Need,
}

/// How many times larger the files of a system are than its compressed layers, at least: two to three times are usual.
/// What fits is not to be refused; what turns out not to fit is refused when the tree is there, or the disk full, with
/// nothing lost but time.
const EXPANSION: u64 = 2;

/// How many times smaller squashfs and erofs are, at most.
const COMPRESSION: u64 = 4;

/// Estimates what a source is going to take. Of a directory that is exact.
pub fn estimate(sys: &System, resolved: &Resolved, file_system: FileSystem) -> Result<Estimate> {
    let tree = match resolved.source() {
        Source::File(path) => {
            let image = Need { bytes: sys.allocated(path)?, files: 1 };
            return Ok(Estimate { tree: Need::default(), image });
        }
        Source::Directory(path) => {
            let mut tree = Need::default();
            sys.walk(&sys.real_path(path)?, &mut |thing| {
                if !acquire::is_left_out(thing.path, thing.metadata.kind) {
                    tree.files += 1;
                    // A directory has a block at least.
                    let blocks = thing.blocks.max(u64::from(thing.metadata.kind == Kind::Directory));
                    tree.bytes += blocks * BLOCK;
                }
                Ok(())
            })?;
            tree
        }
        _ => Need { bytes: resolved.size.saturating_mul(EXPANSION), files: 0 },
    };
    let image = Need { bytes: of_image(tree.bytes, file_system), files: 1 };
    Ok(Estimate { tree, image })
}

/// Looks, while a tree is made, whether its image will still fit beside it: as much as the tree has taken, or a part of
/// that.
pub struct Watch<'a> {
    sys: &'a System,
    directory: &'a Path,
    file_system: FileSystem,
    progress: &'a mut dyn Progress,
    /// What was free in the beginning.
    free: u64,
    done: u64,
    looked: u64,
}

/// After so many bytes it is looked again.
const OFTEN: u64 = 16 << 20;

impl<'a> Watch<'a> {
    /// For a tree in a directory of the file system that will hold the image, too.
    pub fn new(
        sys: &'a System,
        directory: &'a Path,
        file_system: FileSystem,
        progress: &'a mut dyn Progress,
    ) -> Result<Self> {
        let free = sys.free_space(directory)?.bytes;
        Ok(Self { sys, directory, file_system, progress, free, done: 0, looked: 0 })
    }
}

impl Progress for Watch<'_> {
    fn advanced(&mut self, done: u64, all: u64) {
        self.done = done;
        self.progress.advanced(done, all);
    }

    fn no_room(&mut self) -> Option<String> {
        if self.done < self.looked + OFTEN {
            return self.progress.no_room();
        }
        self.looked = self.done;
        // Whoever cannot tell finds out when it is full.
        let free = self.sys.free_space(self.directory).ok()?.bytes;
        let image = of_image(self.free.saturating_sub(free), self.file_system);
        let directory = self.directory.display();
        (image > free).then(|| {
            let (image, free) = (size(image), size(free));
            format!("the image will need {image} at {directory}, and {free} are left beside its files")
        })
    }
}

/// What the image of a tree of so many bytes takes.
fn of_image(tree: u64, file_system: FileSystem) -> u64 {
    match file_system {
        FileSystem::Ext4 => tree,
        FileSystem::Squashfs | FileSystem::Erofs => tree / COMPRESSION,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests look at what is free by themselves")]

    use super::super::acquire::acquire;
    use super::super::failure::class_of;
    use super::*;
    use cosette_plugins::image::{Policy, Request, resolve};
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::{LayoutBuilder, Machine, TarBuilder, TarEntry};
    use std::io::Write as _;

    fn resolved(machine: &Machine, source: &str) -> Resolved {
        let request = Request { source: Source::parse(source).unwrap(), platform: None, insecure: None };
        resolve(&machine.system(Mode::Apply), &request, &Policy::default()).unwrap()
    }

    #[test]
    fn what_is_short_is_said_with_numbers_and_for_files_too() {
        let machine = Machine::new("-- /state/file\n\n");
        let sys = machine.system(Mode::Apply);
        check(&sys, Path::new("/state"), Need { bytes: 1, files: 1 }).unwrap();
        let failure = check(&sys, Path::new("/state"), Need { bytes: 1 << 60, files: 0 }).unwrap_err();
        let text = format!("{failure:#}");
        assert!(
            text.starts_with("there is not enough room at /state: 1073741824.0 GiB are needed"),
            "{text}"
        );
        assert_eq!(class_of(&failure), Some(Class::NoRoom));
        assert!(check(&sys, Path::new("/none"), Need::default()).is_err());
    }

    #[test]
    fn a_directory_and_a_file_are_measured_and_a_container_is_estimated() {
        let machine = Machine::new("-- /s/etc/issue\ntext\n-- /s/proc/x\n\n-- /image\ntext\n");
        let layer = TarBuilder::new().file("f", &"x".repeat(100_000)).finish();
        LayoutBuilder::new(&machine.root().join("layout")).image("", &[layer]);
        let sys = machine.system(Mode::Apply);
        let estimate =
            |source: &str, file_system| estimate(&sys, &resolved(&machine, source), file_system).unwrap();
        // Three directories and a file, of a block each.
        let tree = Need { bytes: 4 * BLOCK, files: 4 };
        let image = Need { bytes: 4 * BLOCK, files: 1 };
        assert_eq!(estimate("dir:/s", FileSystem::Ext4), Estimate { tree, image });
        assert_eq!(estimate("dir:/s", FileSystem::Squashfs).image.bytes, BLOCK);
        let image = Need { bytes: BLOCK, files: 1 };
        assert_eq!(estimate("file:/image", FileSystem::Ext4), Estimate { tree: Need::default(), image });
        let size = resolved(&machine, "oci-layout:/layout").size;
        let found = estimate("oci-layout:/layout", FileSystem::Ext4);
        assert_eq!((found.tree.bytes, found.image.bytes), (2 * size, 2 * size));
    }

    #[test]
    fn an_image_that_will_not_fit_is_noticed_while_its_tree_is_made() {
        let machine = Machine::new("-- /state/file\n\n");
        let at = machine.root().join("state");
        let mounted = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=96m", "none"])
            .arg(&at)
            .output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            writeln!(std::io::stderr(), "SKIPPED: images that will not fit: cannot mount").unwrap();
            return;
        }
        let content = vec![0; 40 << 20];
        let layer = |name| {
            TarBuilder::new().entry(TarEntry { content: &content, ..TarEntry::new(name, b'0') }).finish()
        };
        LayoutBuilder::new(&machine.root().join("layout")).image("", &[layer("one"), layer("two")]);
        let sys = machine.system(Mode::Apply);
        let resolved = resolved(&machine, "oci-layout:/layout");
        let directory = Path::new("/state");
        let mut acquired = |file_system| {
            let mut silent = ();
            let mut watch = Watch::new(&sys, directory, file_system, &mut silent).unwrap();
            acquire(&sys, &resolved, &directory.join("tree"), &mut watch)
        };
        let results = [FileSystem::Ext4, FileSystem::Squashfs].map(&mut acquired);
        std::process::Command::new("umount").arg(&at).status().unwrap();
        let [ext4, squashfs] = results;
        let failure = ext4.unwrap_err();
        assert_eq!(class_of(&failure), Some(Class::NoRoom), "{failure:#}");
        assert!(format!("{failure:#}").contains("the image will need"), "{failure:#}");
        squashfs.unwrap();
    }
}
