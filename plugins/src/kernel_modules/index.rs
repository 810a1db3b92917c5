//! What depmod(8) knows of the modules of one kernel.

use super::{matches, normalised};
use crate::System;
use anyhow::{Result, bail};
use std::collections::{BTreeMap, BTreeSet};

/// Where the modules of a kernel are, below a directory with its release as the name.
const DIRECTORIES: [&str; 2] = ["/lib/modules", "/usr/lib/modules"];

/// The modules of one kernel.
#[derive(Debug, Default)]
pub(super) struct Index {
    directory: String,
    modules: BTreeMap<String, Entry>,
    builtin: BTreeSet<String>,
}

/// A module that can be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// The file.
    pub(super) path: String,
    /// The names of the modules that it needs, in the order in which they are loaded.
    pub(super) needs: Vec<String>,
}

impl Index {
    /// Reads what the root has for a kernel. Without anything it is an empty index.
    pub(super) fn read(sys: &System, release: &str) -> Result<Self> {
        for directory in DIRECTORIES {
            let directory = format!("{directory}/{release}");
            let text = |name: &str| -> Result<String> {
                let content = sys.read(format!("{directory}/{name}"))?.unwrap_or_default();
                Ok(String::from_utf8_lossy(&content).into_owned())
            };
            if sys.exists(&directory)? {
                let modules = parse_dependencies(&directory, &text("modules.dep")?);
                let builtin = text("modules.builtin")?.lines().filter_map(name_of).collect();
                return Ok(Self { directory, modules, builtin });
            }
        }
        Ok(Self::default())
    }

    /// The file of a module and what it needs.
    pub(super) fn get(&self, name: &str) -> Option<&Entry> {
        self.modules.get(name)
    }

    /// Whether the module is a part of the kernel itself.
    pub(super) fn is_builtin(&self, name: &str) -> bool {
        self.builtin.contains(name)
    }

    /// The names of all modules.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.modules.keys().map(String::as_str)
    }

    /// The modules that say of themselves that this is another name for them.
    pub(super) fn aliased(&self, sys: &System, alias: &str) -> Result<Vec<String>> {
        let content = sys.read(format!("{}/modules.alias", self.directory))?.unwrap_or_default();
        let content = String::from_utf8_lossy(&content);
        let mut names: Vec<String> = content
            .lines()
            .filter_map(|line| {
                let mut words = line.strip_prefix("alias ")?.split_ascii_whitespace();
                matches(words.next()?, alias).then_some(normalised(words.next()?))
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// What modules.softdep says: lines of modprobe.d(5).
    pub(super) fn soft_dependencies(&self, sys: &System) -> Result<String> {
        let content = sys.read(format!("{}/modules.softdep", self.directory))?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&content).into_owned())
    }

    /// Whether the root has nothing for this kernel.
    pub(super) fn is_missing(&self) -> bool {
        self.directory.is_empty()
    }

    /// Says what to do if there is nothing to load from for this kernel.
    pub(super) fn must_be_usable(&self, sys: &System, release: &str) -> Result<()> {
        if self.is_missing() {
            let others = kernels(sys)?;
            if others.is_empty() {
                bail!("the root has no modules: /lib/modules/{release} does not exist");
            }
            bail!(
                "the root has no modules for the running kernel {release}, only for {}: boot that kernel, or install \
                 the modules of this one",
                others.join(", ")
            );
        }
        if self.modules.is_empty() {
            bail!("{}/modules.dep is missing or empty: run `depmod {release}`", self.directory);
        }
        Ok(())
    }
}

/// The releases of the kernels that the root has modules for.
fn kernels(sys: &System) -> Result<Vec<String>> {
    let mut kernels = Vec::new();
    for directory in DIRECTORIES {
        let names = sys.read_dir(directory)?.unwrap_or_default();
        kernels.extend(names.iter().map(|name| name.to_string_lossy().into_owned()));
    }
    kernels.sort_unstable();
    kernels.dedup();
    Ok(kernels)
}

/// A kernel of the root, if it has modules, but none of the running one.
pub(super) fn kernel_instead_of(sys: &System, running: &str) -> Result<Option<String>> {
    let mut kernels = kernels(sys)?;
    Ok(if kernels.iter().any(|kernel| kernel == running) { None } else { kernels.pop() })
}

/// Reads modules.dep: `file: files that it needs`, of which the last one is loaded first.
fn parse_dependencies(directory: &str, text: &str) -> BTreeMap<String, Entry> {
    let absolute =
        |path: &str| if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    let line = |line: &str| {
        let (path, needs) = line.split_once(':')?;
        let needs = needs.split_ascii_whitespace().rev().filter_map(name_of).collect();
        Some((name_of(path)?, Entry { path: absolute(path.trim()), needs }))
    };
    text.lines().filter_map(line).collect()
}

/// The name of the module in a file.
fn name_of(path: &str) -> Option<String> {
    let file = path.trim().rsplit('/').next()?;
    let (name, _) = file.split_once(".ko")?;
    (!name.is_empty()).then(|| normalised(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_loaded_from_the_last_one_on() {
        let text = "kernel/net/nf-conntrack.ko.zst: kernel/net/nf_defrag_ipv6.ko.zst kernel/lib/crc.ko\n\
                    /abs/crc.ko:\nnonsense\nalso: nonsense\n.ko:\n";
        let modules = parse_dependencies("/lib/modules/6.1", text);
        assert_eq!(modules.keys().collect::<Vec<_>>(), ["crc", "nf_conntrack"]);
        let entry = &modules["nf_conntrack"];
        assert_eq!(entry.path, "/lib/modules/6.1/kernel/net/nf-conntrack.ko.zst");
        assert_eq!(entry.needs, ["crc", "nf_defrag_ipv6"]);
        assert_eq!(modules["crc"].path, "/abs/crc.ko");
    }
}
