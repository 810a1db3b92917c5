//! Enabling units: the links that their `[Install]` sections ask for.

use super::Report;
use super::install::expand;
use super::links;
use super::lookup::{CONFIGURATION, Found, Lookup, Unit};
use super::name::{Shape, UnitName};
use crate::System;
use anyhow::{Context, Result, bail};
use std::collections::HashSet;
use std::path::Path;

/// Makes the links that the `[Install]` section of a unit asks for, and of those that it names in `Also=`.
pub fn enable(sys: &System, name: &UnitName) -> Result<Report> {
    let lookup = Lookup::new(sys)?;
    let found = lookup.find(name)?;
    Enabling { sys, lookup: &lookup, report: Report::default() }.run(found)
}

/// Enables a unit file that lies outside of the places for units: a link makes it known.
pub fn enable_file(sys: &System, path: &Path) -> Result<Report> {
    let lookup = Lookup::new(sys)?;
    let path = links::resolve(sys, path, false)?;
    let name = UnitName::parse(&path.file_name().unwrap_or_default().to_string_lossy())?;
    let found = if lookup.contains(&path) { lookup.find(&name)? } else { lookup.find_at(&name, &path)? };
    Enabling { sys, lookup: &lookup, report: Report::default() }.run(found)
}

struct Enabling<'s> {
    sys: &'s System,
    lookup: &'s Lookup<'s>,
    report: Report,
}

impl Enabling<'_> {
    fn run(mut self, found: Found) -> Result<Report> {
        let unit = match found {
            Found::Unit(unit) => unit,
            Found::Masked(path) => bail!("the unit is masked by {}; `unmask` it first", path.display()),
            Found::Missing(name) => bail!("there is no unit {name}"),
        };
        if unit.install.is_empty() {
            self.report.warnings.push(format!(
                "{} has no [Install] section that says how to enable it: it is meant to be started by another \
                 unit, a socket, a timer or the like",
                unit.name
            ));
        }
        let mut seen = HashSet::from([unit.name.clone()]);
        let mut wanted = vec![unit];
        while let Some(unit) = wanted.pop() {
            self.report.warnings.extend(unit.warnings.iter().cloned());
            self.install(&unit);
            for also in &unit.install.also {
                let Some(name) = self.attempt(unit.also(also)) else { continue };
                if !seen.insert(name.clone()) {
                    continue;
                }
                match self.lookup.find(&name) {
                    Ok(Found::Unit(unit)) => wanted.push(unit),
                    Ok(Found::Masked(path)) => self.report.warnings.push(format!(
                        "{name}, which {} names in Also=, is masked by {}",
                        unit.name,
                        path.display()
                    )),
                    Ok(Found::Missing(missing)) => self
                        .report
                        .warnings
                        .push(format!("there is no unit {missing}, which {} names in Also=", unit.name)),
                    Err(error) => self.report.errors.push(error),
                }
            }
        }
        Ok(self.report)
    }

    /// Makes the links of one unit.
    fn install(&mut self, unit: &Unit) {
        for alias in &unit.install.aliases {
            if !unit.name.may_have_aliases() {
                let kind = unit.name.kind();
                self.report.warnings.push(format!("{}: a {kind} unit cannot have an Alias=", unit.name));
                break;
            }
            let done = self.alias(unit, alias).with_context(|| format!("{}: Alias={alias}", unit.name));
            self.attempt(done);
        }
        let install = &unit.install;
        for (key, list, directory) in [
            ("WantedBy", &install.wanted_by, "wants"),
            ("RequiredBy", &install.required_by, "requires"),
            ("UpheldBy", &install.upheld_by, "upholds"),
        ] {
            for parent in list {
                let done = self.depend(unit, parent, directory);
                let done = done.with_context(|| format!("{}: {key}={parent}", unit.name));
                self.attempt(done);
            }
        }
        if !self.lookup.contains(&unit.path) {
            let done = self.link(&unit.path, &Path::new(CONFIGURATION).join(unit.name.as_str()), false);
            self.attempt(done);
        }
    }

    fn alias(&mut self, unit: &Unit, alias: &str) -> Result<()> {
        let alias = expand(alias, &unit.name, unit.install.default_instance.as_deref())?;
        let at = match alias.rsplit_once('/') {
            // The old way to say WantedBy=: `Alias=multi-user.target.wants/foo.service`.
            Some((directory, name)) => {
                let parent = directory.strip_suffix(".wants").or_else(|| directory.strip_suffix(".requires"));
                let parent = parent.map(UnitName::parse).transpose()?;
                let same = name == unit.name.as_str() && unit.name.shape() != Shape::Template
                    || UnitName::parse(name)?.template().as_ref() == Some(&unit.name);
                if parent.is_none() || !same {
                    bail!("a unit cannot have that name");
                }
                Path::new(CONFIGURATION).join(alias)
            }
            None => {
                let mut alias = UnitName::parse(&alias)?;
                if let (Shape::Template, Some(instance)) = (alias.shape(), unit.name.instance()) {
                    alias = alias.with_instance(instance)?;
                }
                if alias == unit.name {
                    return Ok(());
                }
                if !unit.name.may_be_called(&alias) {
                    bail!("a unit cannot have another name of a different kind");
                }
                Path::new(CONFIGURATION).join(alias.as_str())
            }
        };
        // An alias that leads nowhere is a leftover, and may be replaced.
        let leftover = self.sys.read_link(&at)?.is_some() && {
            let end = links::resolve(self.sys, &at, true)?;
            end != Path::new("/dev/null") && !self.sys.exists(end)?
        };
        self.link(&unit.path, &at, leftover)
    }

    fn depend(&mut self, unit: &Unit, parent: &str, directory: &str) -> Result<()> {
        let default = unit.install.default_instance.as_deref();
        let parent = UnitName::parse(&expand(parent, &unit.name, default)?)?;
        let name = match (unit.name.shape(), default) {
            (Shape::Template, Some(default)) => {
                let instance = unit.name.with_instance(&expand(default, &unit.name, None)?)?;
                if let Found::Masked(path) = self.lookup.find(&instance)? {
                    bail!("{instance} is masked by {}", path.display());
                }
                instance
            }
            (Shape::Template, None) if parent.shape() != Shape::Template => {
                bail!(
                    "a template needs an instance to be enabled: {}",
                    unit.name.with_instance("NAME").map_or_else(|_| String::new(), |name| name.to_string())
                );
            }
            _ => unit.name.clone(),
        };
        let at = Path::new(CONFIGURATION).join(format!("{parent}.{directory}")).join(name.as_str());
        self.link(&unit.path, &at, true)?;
        if !self.lookup.exists(&parent)? {
            let warning = format!("{name} is added to {parent}, a unit that does not exist");
            self.report.warnings.push(warning);
        }
        Ok(())
    }

    /// Makes a link, unless one that leads to the same place is there already.
    fn link(&mut self, target: &Path, at: &Path, replace: bool) -> Result<()> {
        let mut target = target.to_owned();
        if let Some(written) = self.sys.read_link(at)? {
            let there = links::target(self.sys, at)?;
            if there == Some(links::resolve(self.sys, &target, false)?) {
                target = written;
            } else if !replace {
                bail!("{} is a link to {} already", at.display(), written.display());
            }
        }
        self.report.changed |= self.sys.symlink(&target, at, false)?;
        Ok(())
    }

    fn attempt<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.report.errors.push(error)).ok()
    }
}
