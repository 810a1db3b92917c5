//! Packages of the root, through its own package manager: what the keys `packages` and `package_pins` share
//! with the modules of cloud-config.

mod installed;
mod manager;
mod pins;
#[cfg(test)]
mod real_apt;

pub(crate) use manager::{Family, Manager};
pub(crate) use pins::pin;

use crate::command_output::{ending, excerpt, without_credentials};
use crate::system::Command;
use crate::{Context, System};
use anyhow::{Result, bail};
use std::fmt;

/// What shall become of the packages of the root.
#[derive(Debug, Default)]
pub(crate) struct Request {
    /// Ask the repositories for what they have.
    pub(crate) refresh: bool,
    /// Bring what is installed up to date.
    pub(crate) upgrade: bool,
    /// What shall be there.
    pub(crate) install: Vec<Package>,
    /// What shall not be there.
    pub(crate) remove: Vec<Package>,
}

/// A package as its manager understands it: a name, often with a version, a file or a URL. It can be no option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Package(String);

impl Package {
    /// The packages in a text, which white space keeps apart.
    pub(crate) fn all_in(text: &str) -> impl Iterator<Item = Result<Self>> {
        text.split_whitespace().map(Self::new)
    }

    fn new(name: &str) -> Result<Self> {
        if name.starts_with('-') {
            bail!("{name:?} is an option, not a package");
        }
        if name.contains(char::is_control) {
            bail!("the package {name:?} holds a control character");
        }
        Ok(Self(name.to_owned()))
    }

    /// Whether it is an address with a user or a password.
    pub(crate) fn shows_password(&self) -> bool {
        let authority =
            self.0.split_once("://").map_or("", |(_, rest)| rest.split('/').next().unwrap_or_default());
        authority.contains('@')
    }

    /// As the manager gets it.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// As reports show it: a URL without its secrets.
impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_credentials(&self.0))
    }
}

impl Request {
    /// Does it: refresh, upgrade, install, remove. The first failure ends it, as what follows builds on what
    /// went before.
    ///
    /// What is installed is not installed again, unless everything shall be up to date, and what is absent is
    /// not removed. The repositories are not asked for packages that are all there: a machine boots without a
    /// network, too.
    pub(crate) fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        if !self.refresh && !self.upgrade && self.install.is_empty() && self.remove.is_empty() {
            return Ok(());
        }
        let manager = Manager::of(cx.facts())?;
        let install = match self.upgrade {
            true => self.install.iter().collect(),
            false => installed::missing(manager, &self.install, sys)?,
        };
        let only_refresh = self.install.is_empty() && self.remove.is_empty();
        if self.refresh && (self.upgrade || only_refresh || !install.is_empty()) {
            run(manager.environment, manager.refresh, &[], sys)?;
        }
        if self.upgrade {
            run(manager.environment, manager.upgrade, &[], sys)?;
        }
        if !install.is_empty() {
            run(manager.environment, manager.install, &install, sys)?;
        }
        // Asked only now, as installing one thing may remove another.
        let remove = installed::present(manager, &self.remove, sys)?;
        if !remove.is_empty() {
            run(manager.environment, manager.remove, &remove, sys)?;
        }
        Ok(())
    }
}

/// Variables for the environment of a manager.
type Variables = [(&'static str, &'static str)];

fn run(variables: &Variables, argv: &[&str], packages: &[&Package], sys: &System) -> Result<()> {
    let shown = packages.iter().map(ToString::to_string);
    let label = argv.iter().map(ToString::to_string).chain(shown).collect::<Vec<_>>().join(" ");
    let mut command = Command::new(label, argv[0]);
    for argument in argv[1..].iter().copied().chain(packages.iter().map(|package| package.as_str())) {
        command = command.argument(argument);
    }
    for (name, value) in variables {
        command = command.variable(*name, *value);
    }
    match sys.run(&command)? {
        Some(output) if !output.success() => {
            let shown = excerpt(&without_credentials(&String::from_utf8_lossy(&output.tail)));
            bail!("`{}` {}", command.label(), ending(output.status, &shown))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::Package;

    #[test]
    fn an_option_is_no_package() {
        let all = |text| Package::all_in(text).map(|name| name.map(|name| name.0)).collect::<Vec<_>>();
        let names: Vec<_> = all(" vim\tg++ libc6:i386=2.36-9 ").into_iter().flatten().collect();
        assert_eq!(names, ["vim", "g++", "libc6:i386=2.36-9"]);
        for bad in ["-oDebug::x=1", "--allow-unauthenticated", "a\u{7}b"] {
            assert!(all(bad)[0].is_err(), "{bad}");
        }
        assert!(all(" ").is_empty());
    }

    #[test]
    fn a_url_is_shown_without_its_secrets() {
        let package = Package("https://ann:hunter2@host/x.rpm?token=hunter2".to_owned());
        assert_eq!(package.to_string(), "https://host/x.rpm?...");
    }
}
