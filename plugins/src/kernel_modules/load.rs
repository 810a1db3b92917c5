//! Loads modules and what they need.

use super::config::Config;
use super::index::{self, Entry, Index};
use super::normalised;
use crate::{Action, System};
use anyhow::{Context as _, Result, bail};
use cosette_schema::suggest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A module that somebody wants, with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name, or another name for it.
    pub name: String,
    /// As the kernel takes them: `a=1 b="x y"`. They may hold secrets.
    pub parameters: String,
}

/// Loads modules into the running kernel.
pub struct Loader<'s> {
    sys: &'s System,
    release: String,
    can_load: bool,
    loaded: BTreeSet<String>,
    /// Read when the first module is not there already.
    library: Option<Library>,
    /// What is on its way already: soft dependencies may form circles.
    begun: BTreeSet<String>,
    warnings: Vec<String>,
}

struct Library {
    index: Index,
    config: Config,
}

impl<'s> Loader<'s> {
    /// Asks the kernel what it has loaded. A view of a machine shows what the kernel of its root would do, if it has
    /// none of the running one.
    pub fn new(sys: &'s System) -> Result<Self> {
        let text = |path: &str| -> Result<Option<String>> {
            let content = sys.host().kernel_file(Path::new(path))?;
            Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
        };
        let modules = text("/proc/modules")?;
        let names = modules.iter().flat_map(|text| text.lines());
        let mut loaded: BTreeSet<String> =
            names.filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
        let mut release = text("/proc/sys/kernel/osrelease")?.unwrap_or_default().trim().to_owned();
        let mut can_load = modules.is_some();
        if sys.host().only_says()
            && let Some(other) = index::kernel_instead_of(sys, &release)?
        {
            (release, loaded, can_load) = (other, BTreeSet::new(), true);
        }
        Ok(Self {
            sys,
            release,
            can_load,
            loaded,
            library: None,
            begun: BTreeSet::new(),
            warnings: Vec::new(),
        })
    }

    /// Loads a module and what it needs, unless it is there. Returns what is worth a warning.
    pub fn load(&mut self, wanted: &Wanted) -> Result<Vec<String>> {
        let name = normalised(&wanted.name);
        if self.is_there(&name)? {
            self.sys.confirm_module(&name);
            self.compare(&name, &wanted.parameters)?;
        } else {
            for name in self.resolve(&name, &wanted.name)? {
                self.begun.clear();
                if self.is_there(&name)? {
                    self.sys.confirm_module(&name);
                } else {
                    self.insert(&name, &wanted.parameters)?;
                }
            }
        }
        Ok(std::mem::take(&mut self.warnings))
    }

    fn library(&mut self) -> Result<&Library> {
        if self.library.is_none() {
            let index = Index::read(self.sys, &self.release)?;
            let command_line = self.sys.host().kernel_file(Path::new("/proc/cmdline"))?.unwrap_or_default();
            let mut config = Config::read(self.sys, &String::from_utf8_lossy(&command_line))?;
            config.add("modules.softdep", &index.soft_dependencies(self.sys)?);
            self.library = Some(Library { index, config });
        }
        self.library.as_ref().context("the modules were just read")
    }

    /// Whether it is loaded or a part of the kernel.
    fn is_there(&mut self, name: &str) -> Result<bool> {
        if self.loaded.contains(name) || self.library()?.index.is_builtin(name) {
            return Ok(true);
        }
        // A kernel without modules has all its drivers built in, and shows those that have parameters.
        let shown = || self.sys.host().kernel_dir(&Path::new("/sys/module").join(name));
        Ok(!self.can_load && shown()?.is_some())
    }

    /// The modules that a name stands for: itself, or those that it is another name of.
    fn resolve(&mut self, name: &str, written: &str) -> Result<Vec<String>> {
        if !self.can_load && !self.sys.host().only_says() {
            bail!("this kernel loads no modules, and has no `{written}` built in");
        }
        let (sys, release) = (self.sys, self.release.clone());
        let Library { index, config } = self.library()?;
        // A view of a tree without modules, such as that of a container, says nothing against it.
        if index.get(name).is_some() || index.is_missing() && sys.host().only_says() {
            return Ok(vec![name.to_owned()]);
        }
        index.must_be_usable(sys, &release)?;
        let mut others = config.aliased(written);
        if others.is_empty() {
            others = index.aliased(sys, written)?;
        }
        others.retain(|other| index.get(other).is_some() || index.is_builtin(other));
        if others.is_empty() {
            let near = suggest(name, index.names());
            let hint = near.map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            bail!("the kernel {release} has no module `{written}`{hint}");
        }
        Ok(others)
    }

    /// Loads a module that is not there, after what it needs.
    fn insert(&mut self, name: &str, parameters: &str) -> Result<()> {
        if self.loaded.contains(name) || !self.begun.insert(name.to_owned()) {
            return Ok(());
        }
        let only_says = self.sys.host().only_says();
        let Library { index, config } = self.library()?;
        if let Some(file) = config.command(name) {
            bail!(
                "`{name}` is not loaded: an `install` line in {file} has a command in its place, mostly to forbid it; \
                 remove the line, or run the command yourself"
            );
        }
        if only_says && index.is_missing() {
            self.sys.done(Action::LoadModule, name.to_owned(), true);
            self.loaded.insert(name.to_owned());
            return Ok(());
        }
        let Some(Entry { path, needs }) = index.get(name).cloned() else {
            bail!("there is no module `{name}`, though modules.dep names it: run `depmod`");
        };
        let (before, after) = (config.before(name), config.after(name));
        let mut all: Vec<&str> = config.options(name);
        all.push(parameters);
        let parameters = all.join(" ").trim().to_owned();
        for other in before {
            self.insert_if_there_is(&other);
        }
        for need in needs {
            if !self.is_there(&need)? {
                self.insert(&need, "").with_context(|| format!("`{name}` needs `{need}`"))?;
            }
        }
        self.look_for_parameters(name, &path, &parameters);
        self.sys.load_module(name, Path::new(&path), &parameters)?;
        self.loaded.insert(name.to_owned());
        for other in after {
            self.insert_if_there_is(&other);
        }
        Ok(())
    }

    /// Loads what is wanted beside a module. That it is missing does no harm.
    fn insert_if_there_is(&mut self, name: &str) {
        let exists = self.library().is_ok_and(|library| library.index.get(name).is_some());
        if exists && let Err(error) = self.insert(name, "") {
            self.warnings.push(format!("cannot load `{name}`, which is wanted beside it: {error:#}"));
        }
    }

    /// Warns of parameters that the module does not have: the kernel passes over them in silence.
    fn look_for_parameters(&mut self, name: &str, path: &str, parameters: &str) {
        if parameters.is_empty() {
            return;
        }
        // What cannot be read cannot be loaded either, and that is told there.
        let Ok(Some(image)) = self.sys.module_image(Path::new(path)) else { return };
        let known = declared(&image);
        for (parameter, _) in assignments(parameters) {
            if GENERAL.contains(&&*parameter) || known.contains(&parameter) {
                continue;
            }
            let near = suggest(&parameter, known.iter().map(String::as_str));
            let hint = near.map_or_else(String::new, |near| format!(": did you mean `{near}`?"));
            self.warnings.push(format!("the module `{name}` has no parameter `{parameter}`{hint}"));
        }
    }

    /// Warns if a module that is there has other parameters than those wanted, as far as the kernel shows them.
    fn compare(&mut self, name: &str, parameters: &str) -> Result<()> {
        for (parameter, wanted) in assignments(parameters) {
            let path = format!("/sys/module/{name}/parameters/{parameter}");
            let Ok(Some(found)) = self.sys.host().kernel_file(Path::new(&path)) else { continue };
            if plain(&String::from_utf8_lossy(&found)) != plain(&wanted) {
                self.warnings.push(format!(
                    "`{name}` is loaded already, with another value of `{parameter}`: parameters count when a module \
                     is loaded"
                ));
            }
        }
        Ok(())
    }
}

/// Parameters that every module has.
const GENERAL: [&str; 2] = ["dyndbg", "async_probe"];

/// Parameters with their values, by name; quotes are taken off, and one without a value is true.
fn assignments(parameters: &str) -> BTreeMap<String, String> {
    let mut quoted = false;
    let words = parameters.split(|c: char| {
        quoted ^= c == '"';
        c.is_ascii_whitespace() && !quoted
    });
    let pair = |word: &str| {
        let (name, value) = word.split_once('=').unwrap_or((word, "1"));
        (normalised(name), value.replace('"', ""))
    };
    words.filter(|word| !word.is_empty()).map(pair).collect()
}

/// A value without the freedom of writing that the kernel leaves.
fn plain(value: &str) -> &str {
    match value.trim() {
        "Y" | "y" | "true" | "on" => "1",
        "N" | "n" | "false" | "off" => "0",
        other => other,
    }
}

/// The parameters that a module declares, in the section `.modinfo`.
fn declared(image: &[u8]) -> Vec<String> {
    let text = |entry: &[u8]| {
        let name = entry.strip_prefix(b"parmtype=")?.split(|byte| *byte == b':').next()?;
        Some(normalised(str::from_utf8(name).ok()?))
    };
    image.split(|byte| *byte == 0).filter_map(text).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_told_apart_as_the_kernel_does() {
        let found = assignments("a=1  b-c=\"x y=z\" flag");
        let pairs: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(pairs, [("a", "1"), ("b_c", "x y=z"), ("flag", "1")]);
        assert_eq!(
            declared(b"\x7fELF\0license=GPL\0parmtype=debug:int\0parmtype=x\0parm=no:y"),
            ["debug", "x"]
        );
        assert_eq!((plain("Y\n"), plain(" 0")), ("1", "0"));
    }
}
