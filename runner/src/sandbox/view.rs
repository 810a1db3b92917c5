//! The view as a whole: built beside the machine's root, then entered.

use super::layers::{Base, Layer, Store};
use super::seed::{Seed, Unreadable, below};
use super::{identities, kernel, mounts, refusal, run, seed};
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::mount::{MntFlags, umount2};
use nix::unistd::{chdir, pivot_root};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::Permissions;
use std::io::ErrorKind;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown};
use std::path::{Path, PathBuf};

/// The view, which is the root directory of this process.
#[derive(Debug)]
pub struct View {
    /// The tree that is viewed, as it is outside.
    machine: OwnedFd,
    /// What was written, by layer.
    store: OwnedFd,
    pub(super) layers: Vec<Layer>,
    pub(super) hostname: String,
    /// Whether owners are pretended.
    pretended: bool,
    notes: Vec<String>,
}

impl View {
    /// The path of the view: it is the root directory.
    pub fn root(&self) -> &Path {
        Path::new("/")
    }

    /// Sentences on how the view differs from the machine; for people.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether the view has too few ids, so that owners should be pretended (see [`super::ViewHost`]).
    pub fn pretends_owners(&self) -> bool {
        self.pretended
    }

    /// A path of the view as it is on the machine.
    pub(super) fn on_machine(&self, path: &Path) -> PathBuf {
        below(&descriptor(&self.machine), path)
    }

    /// A path below the store.
    pub(super) fn in_store(&self, path: &Path) -> PathBuf {
        descriptor(&self.store).join(path)
    }

    pub(super) fn build(root: &Path, network: bool) -> Result<Self> {
        let root = std::fs::canonicalize(root).with_context(|| format!("cannot view {}", root.display()))?;
        let mut builder = Builder::new(&root)?;
        builder.show_inside(Path::new("/"))?;
        builder.own_directories()?;
        let mut view = builder.enter()?;
        if !network {
            view.notes.push("there is no network in the view".to_owned());
        }
        Ok(view)
    }
}

/// The path of what is open, wherever it is or was mounted.
fn descriptor(file: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// A view that is being made.
///
/// In a user namespace the kernel refuses an overlay over a directory with mounts below it. Such a directory,
/// as the root itself, is made anew in the tmpfs: its directories are shown one by one, its files are copied.
struct Builder<'a> {
    root: &'a Path,
    /// The mounts of the tree, by their place in the view.
    mounted: BTreeMap<PathBuf, mounts::Mount>,
    store: Store,
    /// Where the view is, until it becomes the root.
    view: PathBuf,
    /// The directories that are made anew; what of them was copied.
    base: Layer,
    copies: BTreeSet<PathBuf>,
    layers: Vec<Layer>,
    /// Whether every id exists.
    complete: bool,
    unreadable: Unreadable,
    notes: Vec<String>,
}

impl<'a> Builder<'a> {
    fn new(root: &'a Path) -> Result<Self> {
        let mounted = mounts::table()?.into_iter().filter_map(|mount| Some((place(root, &mount.at)?, mount)));
        let mounted = mounted.collect();
        let store = Store::mount(root)?;
        let view = store.path.join("view");
        std::fs::create_dir(&view)?;
        copy_attributes(&std::fs::metadata(root)?, &view)?;
        // A root must be a mount.
        mounts::bind(&view, &view)?;
        Ok(Self {
            root,
            mounted,
            store,
            view,
            base: Layer::new(Path::new("/"), "view".into(), Base::Copies(BTreeSet::new())),
            copies: BTreeSet::new(),
            layers: Vec::new(),
            complete: identities::complete(),
            unreadable: Unreadable::default(),
            notes: Vec::new(),
        })
    }

    /// Shows what is in a directory that is made anew, and exists in the view.
    fn show_inside(&mut self, path: &Path) -> Result<()> {
        let context = || format!("cannot list {}", path.display());
        let entries = std::fs::read_dir(below(self.root, path)).with_context(context)?;
        for entry in entries {
            let entry = entry.with_context(context)?;
            let (path, kind) = (path.join(entry.file_name()), entry.file_type()?);
            if place(self.root, &entry.path()).is_none() {
                continue;
            }
            if kind.is_dir() {
                self.show_directory(&path)?;
            } else if kind.is_file() || kind.is_symlink() {
                self.show_file(&path)?;
            }
        }
        Ok(())
    }

    /// Shows a directory and lets it be changed.
    fn show_directory(&mut self, path: &Path) -> Result<()> {
        let (from, to) = (below(self.root, path), below(&self.view, path));
        let metadata = match std::fs::metadata(&from) {
            Ok(metadata) => metadata,
            // It went away, or is a mount of another user.
            Err(_) => return Ok(()),
        };
        std::fs::create_dir(&to).with_context(|| format!("cannot make {}", path.display()))?;
        copy_attributes(&metadata, &to)?;
        self.base.seeded(&to)?;
        if self.mounted.get(path).is_some_and(|mount| mount.kind == "autofs") {
            self.copies.insert(path.to_owned());
            return Ok(());
        }
        let entries = match std::fs::read_dir(&from) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => return self.hide(path),
            Err(error) => return Err(error).with_context(|| format!("cannot list {}", path.display())),
        };
        if !self.has_mounts_below(path) {
            self.overlay(path)
        } else if entries.count() > MOST_COPIES {
            self.show_as_it_is(path, "it has mounts below it and too many entries")
        } else {
            self.copies.insert(path.to_owned());
            self.show_inside(path)
        }
    }

    fn has_mounts_below(&self, path: &Path) -> bool {
        self.mounted.range(path.to_owned()..).any(|(at, _)| at != path && at.starts_with(path))
    }

    /// Shows a file or link of a directory that is made anew.
    fn show_file(&mut self, path: &Path) -> Result<()> {
        let (from, to) = (below(self.root, path), below(&self.view, path));
        match seed::file(self.root, path, &to, &mut self.base, &mut self.unreadable)? {
            true => _ = self.copies.insert(path.to_owned()),
            false => {
                std::fs::write(&to, "")?;
                mounts::bind(&from, &to)?;
                mounts::make_read_only(&to)?;
                self.base.scaffold.insert(path.to_owned());
            }
        }
        Ok(())
    }

    /// Lays an overlay over a directory.
    fn overlay(&mut self, path: &Path) -> Result<()> {
        let (from, to) = (below(self.root, path), below(&self.view, path));
        let (upper, work) = self.store.layer()?;
        let (upper_at, work_at) = (self.store.path.join(&upper), self.store.path.join(&work));
        copy_attributes(&std::fs::metadata(&from)?, &upper_at)?;
        let mut layer = Layer::new(path, upper, Base::Overlay);
        let mut unreadable = Vec::new();
        if !self.complete {
            let seed = Seed::new(self.root, &self.store.path, &mut self.unreadable);
            unreadable = seed.fill(&mut layer)?;
        }
        match mounts::overlay(&from, &upper_at, &work_at, &to)? {
            Ok(()) => self.layers.push(layer),
            Err(errno @ (Errno::ENODEV | Errno::EPERM)) => return Err(refusal::explain_overlay(errno, path)),
            // One file system among others may be unfit for it.
            Err(errno) => {
                let reason = format!("the kernel refuses an overlay over it, {}", errno.desc());
                return self.show_as_it_is(path, &reason);
            }
        }
        unreadable.iter().try_for_each(|directory| self.hide(directory))
    }

    /// Shows a directory of the machine, to look at.
    fn show_as_it_is(&mut self, path: &Path, reason: &str) -> Result<()> {
        let to = below(&self.view, path);
        mounts::bind(&below(self.root, path), &to)?;
        mounts::make_read_only(&to)?;
        self.base.scaffold.insert(path.to_owned());
        self.notes.push(format!("{} is read-only in the view ({reason})", path.display()));
        Ok(())
    }

    /// Shows an empty directory instead of one that the user may not read. Its place in the view exists.
    fn hide(&mut self, path: &Path) -> Result<()> {
        let (upper, _) = self.store.layer()?;
        let upper_at = self.store.path.join(&upper);
        copy_attributes(&std::fs::symlink_metadata(below(self.root, path))?, &upper_at)?;
        mounts::bind(&upper_at, &below(&self.view, path))?;
        self.layers.push(Layer::new(path, upper, Base::Copies(BTreeSet::new())));
        self.unreadable.directories.push(path.to_owned());
        Ok(())
    }

    /// Makes the directories of the kernel and of what runs.
    fn own_directories(&mut self) -> Result<()> {
        self.notes.extend(kernel::processes(&self.view.join("proc"))?);
        kernel::hardware(&self.view.join("sys"))?;
        kernel::devices(&self.view.join("dev"))?;
        self.base.scaffold.extend(["/proc", "/sys", "/dev"].map(PathBuf::from));
        run::fill(self.root, &self.view, &mut self.copies)?;
        // What the machine does to its own meanwhile is no change.
        for path in self.copies.iter().filter(|path| path.starts_with("/run")) {
            self.base.seeded(&below(&self.view, path))?;
        }
        Ok(())
    }

    /// Makes the view the root directory and lets go of the machine's.
    fn enter(mut self) -> Result<View> {
        let machine = mounts::directory(self.root)?;
        let store = mounts::directory(&self.store.path)?;
        let hostname = nix::unistd::gethostname().context("cannot ask for the host name")?;
        chdir(&self.view).context("cannot enter the view")?;
        // The old root ends up over the new one, from where it is taken away: see pivot_root(2).
        pivot_root(".", ".").context(
            "cannot make the view the root directory (this needs a root that is mounted: not a chroot or initramfs)",
        )?;
        umount2(".", MntFlags::MNT_DETACH).context("cannot leave the old root directory")?;
        chdir("/").context("cannot enter the view")?;
        self.note_unreadable();
        self.base.base = Base::Copies(self.copies);
        self.layers.push(self.base);
        Ok(View {
            machine,
            store,
            layers: self.layers,
            hostname: hostname.to_string_lossy().into_owned(),
            pretended: !self.complete,
            notes: self.notes,
        })
    }

    fn note_unreadable(&mut self) {
        if !self.complete {
            let note = "you are not root: owners are only pretended, and commands that change them fail; \
                        outside of /etc, files of others cannot be changed in place";
            self.notes.push(note.to_owned());
        }
        let unreadable = std::mem::take(&mut self.unreadable);
        let mut note = |mut paths: Vec<PathBuf>, sentence: &str| {
            if !paths.is_empty() {
                // Those nearest to the root say most.
                paths.sort_by_key(|path| (path.components().count(), path.clone()));
                self.notes.push(format!("not readable by you, {sentence}: {}", some_of(&paths)));
            }
        };
        note(unreadable.replaced, "shown with every account locked");
        note(unreadable.directories, "shown as empty");
        note(unreadable.files, "run as root to try what changes them");
    }
}

/// The first few paths, and how many there are beside.
fn some_of(paths: &[PathBuf]) -> String {
    const FEW: usize = 5;
    let mut text =
        paths.iter().take(FEW).map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ");
    if paths.len() > FEW {
        text.push_str(&format!(" and {} more", paths.len() - FEW));
    }
    text
}

/// A directory with mounts below it and more entries than this is not made anew.
const MOST_COPIES: usize = 5_000;

/// Where in the view something at `at` is to be seen, if the view takes it from the machine.
fn place(root: &Path, at: &Path) -> Option<PathBuf> {
    let inside = at.strip_prefix(root).ok()?;
    let first = inside.components().next()?;
    let own = kernel::OWN.iter().any(|own| first.as_os_str() == *own);
    (!own).then(|| Path::new("/").join(inside))
}

/// Gives a file, link or directory the mode and, if it exists here, the owner of another.
pub(super) fn copy_attributes(found: &std::fs::Metadata, to: &Path) -> std::io::Result<()> {
    // Refused for an id that does not exist in the namespace: then it belongs to the user.
    let _ = lchown(to, Some(found.uid()), Some(found.gid()));
    if found.is_symlink() {
        return Ok(());
    }
    std::fs::set_permissions(to, Permissions::from_mode(found.mode() & 0o7777))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_of_the_kernel_and_outside_of_the_root_have_no_place() {
        let place = |root: &str, at: &str| place(Path::new(root), Path::new(at));
        assert_eq!(place("/", "/var/lib"), Some("/var/lib".into()));
        assert_eq!(place("/", "/"), None);
        assert_eq!(place("/", "/proc/sys/fs/binfmt_misc"), None);
        assert_eq!(place("/tree", "/tree/boot/efi"), Some("/boot/efi".into()));
        assert_eq!(place("/tree", "/treehouse/boot"), None);
    }

    #[test]
    fn a_long_list_of_paths_is_cut() {
        let paths: Vec<PathBuf> = (1..=7).map(|number| format!("/{number}").into()).collect();
        assert_eq!(some_of(&paths[..2]), "/1, /2");
        assert_eq!(some_of(&paths), "/1, /2, /3, /4, /5 and 2 more");
    }
}
