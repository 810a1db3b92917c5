//! Where the view keeps what is written in it.

use super::{mounts, refusal};
use anyhow::{Context as _, Result};
use nix::mount::MsFlags;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A directory of the view that keeps its changes in a directory of its own.
#[derive(Debug)]
pub(super) struct Layer {
    /// Its place in the view: `/etc`.
    pub(super) at: PathBuf,
    /// What was written, below the store.
    pub(super) upper: PathBuf,
    /// What of the machine shows through.
    pub(super) base: Base,
    /// Things put there for the view, which are no change: mount points.
    pub(super) scaffold: HashSet<PathBuf>,
    /// Contents that stand for those that the user may not read.
    pub(super) stand_ins: HashMap<PathBuf, Vec<u8>>,
    /// The state of what was put into `upper` beforehand, by inode number.
    seeded: HashMap<u64, (i64, i64)>,
}

/// What of the machine shows in a layer.
#[derive(Debug)]
pub(super) enum Base {
    /// All that is at the same place, as the lower layer of an overlay.
    Overlay,
    /// These paths, which were copied; nothing else of the machine is there.
    Copies(BTreeSet<PathBuf>),
}

impl Layer {
    pub(super) fn new(at: &Path, upper: PathBuf, base: Base) -> Self {
        let (scaffold, stand_ins, seeded) = Default::default();
        Self { at: at.to_owned(), upper, base, scaffold, stand_ins, seeded }
    }

    /// Remembers that something was put into the upper layer before the view started.
    pub(super) fn seeded(&mut self, upper: &Path) -> std::io::Result<()> {
        let found = std::fs::symlink_metadata(upper)?;
        self.seeded.insert(found.ino(), (found.ctime(), found.ctime_nsec()));
        Ok(())
    }

    /// Whether something in the upper layer was put there before the view started, and not made anew since.
    pub(super) fn was_seeded(&self, upper: &Metadata) -> bool {
        self.seeded.contains_key(&upper.ino())
    }

    /// Whether nobody has touched something that was put into the upper layer. The machine's own may have
    /// changed meanwhile, so that the two differ.
    pub(super) fn untouched(&self, upper: &Metadata) -> bool {
        self.seeded.get(&upper.ino()) == Some(&(upper.ctime(), upper.ctime_nsec()))
    }

    /// Whether what the machine has at a path was there in the view at the beginning.
    pub(super) fn shows(&self, path: &Path) -> bool {
        match &self.base {
            Base::Overlay => true,
            Base::Copies(copies) => copies.contains(path),
        }
    }
}

/// The tmpfs of the view, mounted over a directory that no view shows.
#[derive(Debug)]
pub(super) struct Store {
    /// Where it is, until the view becomes the root.
    pub(super) path: PathBuf,
    count: usize,
}

/// Directories of which one exists on every machine, and which a view does not take from the machine. The
/// last two are for trees without a `/dev` of the usual kind: such a directory is then empty in the view.
const PLACES: [&str; 5] = ["/dev/shm", "/dev/pts", "/dev/mqueue", "/mnt", "/media"];

/// Mounts a tmpfs for a tree that is to be viewed: at the last of the places, for the store takes the first.
pub(super) fn scratch() -> Result<PathBuf> {
    let place = PLACES.iter().rev().map(PathBuf::from).find(|place| place.is_dir());
    let path = place.with_context(|| format!("none of {} is a directory", PLACES.join(", ")))?;
    mounts::new("tmpfs", &path, MsFlags::empty(), "size=50%,mode=0755")
        .map_err(|errno| refusal::explain(errno, "mount a tmpfs"))?;
    Ok(path)
}

impl Store {
    /// Mounts it where it does not hide the tree at `root`.
    pub(super) fn mount(root: &Path) -> Result<Self> {
        let place = PLACES.iter().map(Path::new).find(|place| place.is_dir() && !root.starts_with(place));
        let path = place.with_context(|| format!("none of {} is a directory", PLACES.join(", ")))?;
        mounts::new("tmpfs", path, MsFlags::empty(), "size=25%,mode=0700")
            .map_err(|errno| refusal::explain(errno, "mount a tmpfs"))?;
        Ok(Self { path: path.to_owned(), count: 0 })
    }

    /// Makes the directories of one more layer: the upper one and, for an overlay, its work directory.
    pub(super) fn layer(&mut self) -> Result<(PathBuf, PathBuf)> {
        let name = PathBuf::from(self.count.to_string());
        self.count += 1;
        let (upper, work) = (name.join("upper"), name.join("work"));
        std::fs::create_dir_all(self.path.join(&upper))?;
        std::fs::create_dir(self.path.join(&work))?;
        Ok((upper, work))
    }
}
