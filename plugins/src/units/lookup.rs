//! Finding unit files: the search path, aliases, masks, linked units and drop-ins.

use super::install::{Install, expand};
use super::links;
use super::name::{Shape, UnitName};
use crate::System;
use crate::system::Kind;
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where units of the machine's administrator live, and the links that enable units.
pub(super) const CONFIGURATION: &str = "/etc/systemd/system";

/// Where unit files are looked for, the first place first.
const SEARCH_PATH: [&str; 5] = [
    CONFIGURATION,
    "/run/systemd/system",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
];

/// Unit files are a few kilobytes; what is larger than this is none.
const LARGEST: u64 = 1 << 20;

/// As many aliases as systemd follows from one unit to the next.
const MOST_ALIASES: usize = 64;

/// The places where a root has unit files.
pub(super) struct Lookup<'s> {
    sys: &'s System,
    dirs: Vec<Place>,
}

struct Place {
    dir: PathBuf,
    /// The same without links: with a merged `/usr`, `/lib/systemd/system` is `/usr/lib/systemd/system`.
    resolved: PathBuf,
}

/// What is known under the name of a unit.
#[derive(Debug)]
pub(super) enum Found {
    /// A unit file; its name is another one than was asked for if that was an alias.
    Unit(Unit),
    /// It is masked by the file at this path.
    Masked(PathBuf),
    /// There is no unit of this name, which is another one than was asked for if that was an alias.
    Missing(UnitName),
}

/// A unit file with its `[Install]` section, drop-ins included.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) name: UnitName,
    /// The file that links to the unit shall point to.
    pub(super) path: PathBuf,
    pub(super) install: Install,
    /// What could not be understood in it.
    pub(super) warnings: Vec<String>,
}

impl Unit {
    /// The unit that an entry of `Also=` means.
    pub(super) fn also(&self, also: &str) -> Result<UnitName> {
        let name = expand(also, &self.name, self.install.default_instance.as_deref());
        name.and_then(|name| UnitName::parse(&name)).with_context(|| format!("{}: Also={also}", self.name))
    }
}

impl<'s> Lookup<'s> {
    /// Looks which places there are.
    pub(super) fn new(sys: &'s System) -> Result<Self> {
        let mut dirs: Vec<Place> = Vec::new();
        for dir in SEARCH_PATH.map(PathBuf::from) {
            let resolved = links::resolve(sys, &dir, true)?;
            if dirs.iter().all(|place| place.resolved != resolved) {
                dirs.push(Place { dir, resolved });
            }
        }
        Ok(Self { sys, dirs })
    }

    /// Whether a path without links lies directly in one of the places.
    pub(super) fn contains(&self, path: &Path) -> bool {
        let parent = path.parent().unwrap_or(Path::new("/"));
        self.dirs.iter().any(|place| place.dir == parent || place.resolved == parent)
    }

    /// Finds the unit, following aliases.
    pub(super) fn find(&self, name: &UnitName) -> Result<Found> {
        let mut name = name.clone();
        for _ in 0..MOST_ALIASES {
            let Some(path) = self.file(&name)? else { return Ok(Found::Missing(name)) };
            match self.follow(&name, path)? {
                Step::Alias(other) => name = other,
                Step::Masked(path) => return Ok(Found::Masked(path)),
                Step::File(path) => return self.load(name, path).map(Found::Unit),
            }
        }
        bail!("{name} is an alias that never ends")
    }

    /// Finds the unit in a file outside of the places.
    pub(super) fn find_at(&self, name: &UnitName, path: &Path) -> Result<Found> {
        if self.sys.symlink_metadata(path)?.is_none() {
            return Ok(Found::Missing(name.clone()));
        }
        match self.follow(name, path.to_owned())? {
            Step::Alias(other) => self.find(&other),
            Step::Masked(path) => Ok(Found::Masked(path)),
            Step::File(path) => self.load(name.clone(), path).map(Found::Unit),
        }
    }

    /// Whether there is anything by that name.
    pub(super) fn exists(&self, name: &UnitName) -> Result<bool> {
        Ok(self.file(name)?.is_some())
    }

    /// The first file by that name, or else by that of its template.
    fn file(&self, name: &UnitName) -> Result<Option<PathBuf>> {
        for candidate in std::iter::once(name.clone()).chain(name.template()) {
            for place in &self.dirs {
                let path = place.dir.join(candidate.as_str());
                if self.sys.symlink_metadata(&path)?.is_some() {
                    return Ok(Some(path));
                }
            }
        }
        Ok(None)
    }

    /// Follows links from the file at `path` until it is clear what it is. A link within the places makes an
    /// alias; one that leads out of them makes a linked unit, whose file is the target.
    fn follow(&self, name: &UnitName, mut path: PathBuf) -> Result<Step> {
        for _ in 0..MOST_ALIASES {
            if links::is_mask(self.sys, &path)? {
                return Ok(Step::Masked(path));
            }
            let Some(target) = links::target(self.sys, &path)? else { return Ok(Step::File(path)) };
            let file_name = target.file_name().unwrap_or_default().to_string_lossy();
            let other = UnitName::parse(&file_name)
                .with_context(|| format!("{} is a link to {}", path.display(), target.display()))?;
            let other = match name.instance() {
                Some(instance) if !instance.is_empty() && other.shape() == Shape::Template => {
                    other.with_instance(instance)?
                }
                _ => other,
            };
            if other != *name {
                if !other.may_be_called(name) {
                    bail!("{} is a link to {}, a unit of another kind", path.display(), target.display());
                }
                return Ok(Step::Alias(other));
            }
            path = target;
        }
        bail!("{} is a link that never ends", path.display())
    }

    fn load(&self, name: UnitName, path: PathBuf) -> Result<Unit> {
        let (mut install, mut warnings) = (Install::default(), Vec::new());
        self.read(&path, &mut install, &mut warnings)?;
        for drop_in in self.drop_ins(&name)? {
            self.read(&drop_in, &mut install, &mut warnings)?;
        }
        Ok(Unit { name, path, install, warnings })
    }

    /// The drop-ins of the unit, then of its template where no name comes twice, in the order of their names.
    fn drop_ins(&self, name: &UnitName) -> Result<Vec<PathBuf>> {
        let mut files: BTreeMap<OsString, PathBuf> = BTreeMap::new();
        for of in std::iter::once(name.clone()).chain(name.template()) {
            for place in &self.dirs {
                let dir = place.dir.join(format!("{of}.d"));
                for file in self.sys.read_dir(&dir)?.unwrap_or_default() {
                    if file.as_encoded_bytes().ends_with(b".conf") {
                        files.entry(file).or_insert_with_key(|file| dir.join(file));
                    }
                }
            }
        }
        Ok(files.into_values().collect())
    }

    fn read(&self, path: &Path, install: &mut Install, warnings: &mut Vec<String>) -> Result<()> {
        if links::is_mask(self.sys, path)? {
            return Ok(());
        }
        match self.sys.metadata(path)? {
            None => bail!("{} is a link to nothing", path.display()),
            Some(found) if found.kind != Kind::File => bail!("{} is not a file", path.display()),
            Some(found) if found.size > LARGEST => {
                bail!("{} has {} bytes, too many for a unit file", path.display(), found.size);
            }
            Some(_) => {}
        }
        let content = self.sys.read(path)?.unwrap_or_default();
        let before = warnings.len();
        install.read(&content, warnings).with_context(|| format!("cannot read {}", path.display()))?;
        for warning in &mut warnings[before..] {
            *warning = format!("{}: {warning}", path.display());
        }
        Ok(())
    }
}

/// Where a file leads.
enum Step {
    File(PathBuf),
    Masked(PathBuf),
    Alias(UnitName),
}
