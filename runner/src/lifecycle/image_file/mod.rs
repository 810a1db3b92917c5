//! The image of a system: one file that holds the file system that is booted.
//!
//! **Invariant:** what [`build`] and [`adopt`] return has been read back from the disk and is what it was made from. In
//! any other case, also when the disk is full or a signal comes, nothing is left of it.

mod compressed;
mod ext4;
mod program;
mod selinux;
#[cfg(test)]
mod tests;

use super::failure::{Class, Classify as _};
use super::space::{self, Need};
use anyhow::{Context as _, Result, anyhow, bail};
use cosette_plugins::System;
use cosette_plugins::disk::Mountable;
use cosette_plugins::image::Digest;
use cosette_plugins::system::{Kept, Metadata, Mode};
use std::fmt;
use std::path::Path;

/// The room that an image has for changes when nothing is said, in bytes. It takes none on the disk.
pub const MARGIN: u64 = 64 << 20;

/// The longest label, in bytes.
const LONGEST_LABEL: usize = 16;

/// The file systems that an image can have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FileSystem {
    /// ext4, without a journal: nothing is ever to be replayed.
    #[default]
    Ext4,
    /// squashfs.
    Squashfs,
    /// erofs, which GRUB cannot read.
    Erofs,
}

impl FileSystem {
    /// The one of this name. `ext2` is what elemental asks for.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ext4" | "ext3" | "ext2" => Self::Ext4,
            "squashfs" => Self::Squashfs,
            "erofs" => Self::Erofs,
            _ => return None,
        })
    }

    /// Its name, as the kernel knows it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ext4 => "ext4",
            Self::Squashfs => "squashfs",
            Self::Erofs => "erofs",
        }
    }

    /// What of a tree it keeps, as its program makes it.
    fn kept(self) -> Kept {
        match self {
            Self::Ext4 => Kept {
                times: i64::from(i32::MIN)..=i64::from(i32::MAX),
                names_of_links: false,
                own: Some("lost+found"),
            },
            Self::Squashfs => Kept { times: 0..=i64::from(u32::MAX), names_of_links: true, own: None },
            Self::Erofs => Kept { times: i64::MIN..=i64::MAX, names_of_links: true, own: Some("lost+found") },
        }
    }
}

impl fmt::Display for FileSystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What an image shall be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageSpec {
    /// Its file system.
    pub file_system: FileSystem,
    /// Its label, of at most 16 bytes. Squashfs has none.
    pub label: String,
    /// ext4: how many bytes are free in it.
    pub margin: u64,
    /// ext4: it is at least so large, in bytes.
    pub at_least: u64,
    /// squashfs and erofs: how it is compressed, as their programs call it: `xz`, `zstd,19`, `lz4hc,9`; for erofs also
    /// `none`. When nothing is said it is `gzip`, which GRUB reads, and `lz4`.
    pub compression: Option<String>,
}

impl ImageSpec {
    /// An image with a file system and a label, as it is when nothing else is said.
    pub fn new(file_system: FileSystem, label: impl Into<String>) -> Self {
        Self { file_system, label: label.into(), margin: MARGIN, at_least: 0, compression: None }
    }
}

/// What is being done, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Looking how large it will be.
    Measure,
    /// Setting SELinux labels.
    Label,
    /// Making the file system.
    Build,
    /// Having it reach the disk.
    Sync,
    /// Reading it back.
    ReadBack,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Measure => "measuring the tree",
            Self::Label => "setting SELinux labels",
            Self::Build => "building the image",
            Self::Sync => "writing the image to the disk",
            Self::ReadBack => "reading the image back",
        })
    }
}

/// An image that is on the disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// Its size.
    pub bytes: u64,
    /// The SHA-256 of the whole file.
    pub digest: Digest,
    /// Its file system.
    pub file_system: FileSystem,
    /// What was not as it should be, but is no failure.
    pub warnings: Vec<String>,
}

/// Builds an image from a tree. Both are paths inside the root; what stands at `to` is replaced. In the tree only SELinux
/// labels change.
pub fn build(
    sys: &System,
    tree: &Path,
    spec: &ImageSpec,
    to: &Path,
    tell: &mut dyn FnMut(Phase),
) -> Result<Built> {
    let build = || -> Result<Built> {
        if spec.label.len() > LONGEST_LABEL || spec.label.contains(char::is_control) {
            bail!("{:?} is no label: it has at most {LONGEST_LABEL} bytes", spec.label);
        }
        let mut warnings = Vec::from_iter(selinux::label(sys, tree, tell)?);
        tell(Phase::Measure);
        let content = Content::of(sys, tree, spec)?;
        if content.timeless > 0 {
            let (count, file_system) = (content.timeless, spec.file_system);
            warnings
                .push(format!("{count} files get another time of change: {file_system} cannot hold theirs"));
        }
        space::check(sys, directory_of(to), content.need)?;
        tell(Phase::Build);
        content.make(sys, tree, spec, to)?;
        tell(Phase::Sync);
        sys.settle(to)?;
        tell(Phase::ReadBack);
        let compare = || same(sys, tree, spec.file_system, to);
        let (digest, bytes, ()) = sys.digest_while(to, compare).class(Class::ReadBack)?;
        Ok(Built { bytes, digest, file_system: spec.file_system, warnings })
    };
    or_nothing(sys, to, build)
}

/// Takes over an image that somebody has built, as it is. What stands at `to` is replaced.
pub fn adopt(sys: &System, file: &Path, to: &Path, tell: &mut dyn FnMut(Phase)) -> Result<Built> {
    if sys.real_path(file)? == sys.real_path(to)? {
        return Err(anyhow!("{} is what it would replace", file.display())).class(Class::Source);
    }
    let adopt = || -> Result<Built> {
        tell(Phase::Measure);
        let file_system = whole(sys, file).class(Class::Source)?;
        let need = Need { bytes: sys.allocated(file)?, files: 1 };
        space::check(sys, directory_of(to), need)?;
        tell(Phase::Build);
        sys.copy_file(file, to, 0o644)?;
        tell(Phase::Sync);
        sys.settle(to)?;
        tell(Phase::ReadBack);
        sys.image(to, file_system.name()).class(Class::Source)?;
        let original = || Ok(sys.digest_while(file, || Ok(()))?.0);
        let (digest, bytes, original) = sys.digest_while(to, original).class(Class::ReadBack)?;
        if digest != original {
            return Err(anyhow!("{} is not what was copied to it", to.display())).class(Class::ReadBack);
        }
        Ok(Built { bytes, digest, file_system, warnings: Vec::new() })
    };
    or_nothing(sys, to, adopt)
}

/// Makes a file where nothing stands, or leaves nothing.
fn or_nothing(sys: &System, to: &Path, make: impl FnOnce() -> Result<Built>) -> Result<Built> {
    let made = || -> Result<Built> {
        if sys.mode() == Mode::Plan {
            bail!("a plan makes no images");
        }
        sys.remove(to)?;
        make()
    };
    made()
        .inspect_err(|_| {
            // The error says why it went wrong; that this fails as well says nothing more.
            let _ = sys.remove(to);
        })
        .with_context(|| format!("cannot make the image {}", to.display()))
        .class(Class::Image)
}

fn directory_of(file: &Path) -> &Path {
    file.parent().unwrap_or(file)
}

/// What a tree takes in a file system.
struct Content {
    of: Sized,
    need: Need,
    /// The tree itself.
    top: Option<(Metadata, i64)>,
    /// How many things have a time that the file system cannot hold.
    timeless: u64,
}

enum Sized {
    Ext4(ext4::Size),
    Compressed(compressed::Content),
}

impl Content {
    fn of(sys: &System, tree: &Path, spec: &ImageSpec) -> Result<Self> {
        let kept = spec.file_system.kept();
        let (mut top, mut timeless) = (None, 0);
        let (mut ext4, mut compressed) = (ext4::Content::default(), compressed::Content::default());
        sys.walk(tree, &mut |thing| {
            top.get_or_insert((thing.metadata, thing.modified));
            timeless += u64::from(!kept.times.contains(&thing.modified));
            match spec.file_system {
                FileSystem::Ext4 => ext4.add(thing),
                file_system => compressed.add(thing, file_system),
            }
        })?;
        let (of, need) = match spec.file_system {
            FileSystem::Ext4 => {
                let size = ext4.size(spec.margin, spec.at_least);
                (Sized::Ext4(size), size.need())
            }
            _ => (Sized::Compressed(compressed), compressed.need()),
        };
        Ok(Self { of, need, top, timeless })
    }

    fn make(&self, sys: &System, tree: &Path, spec: &ImageSpec, to: &Path) -> Result<()> {
        match (&self.of, spec.file_system, self.top) {
            (Sized::Ext4(size), _, Some(top)) => ext4::make(sys, tree, top, spec, *size, to),
            (Sized::Compressed(content), FileSystem::Squashfs, _) => {
                compressed::make_squashfs(sys, tree, spec, *content, to)
            }
            (Sized::Compressed(content), _, _) => compressed::make_erofs(sys, tree, spec, *content, to),
            (Sized::Ext4(_), _, None) => bail!("{} is no tree", tree.display()),
        }
    }
}

/// Fails unless the image holds what the tree does.
fn same(sys: &System, tree: &Path, file_system: FileSystem, to: &Path) -> Result<()> {
    let image = sys.image(to, file_system.name())?;
    let tree = sys.directory(tree)?.context("the tree is missing")?;
    let differences = sys.compare(&tree, &image, &file_system.kept())?;
    if !differences.is_empty() {
        bail!("the image is not what it was made from: {}", differences.join("; "));
    }
    Ok(())
}

/// The file system of a finished image, which is all there.
fn whole(sys: &System, file: &Path) -> Result<FileSystem> {
    let Some((found, bytes)) = Mountable::in_file(file, sys)? else {
        bail!("{} holds no file system", file.display());
    };
    let has = sys.metadata(file)?.map_or(0, |found| found.size);
    let Some(file_system) = FileSystem::named(found.kind) else {
        bail!("{} holds {}, which no system is booted from", file.display(), found.kind);
    };
    match bytes {
        Some(bytes) if bytes > has => {
            bail!("{} is not complete: it has {has} bytes of {bytes}", file.display())
        }
        _ => Ok(file_system),
    }
}
