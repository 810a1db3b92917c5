//! Names of units: `sshd.service`, `getty@.service`, `getty@tty1.service`.
//!
//! **Invariant:** a [`UnitName`] holds no `/` and is never `.` or `..`: joined to a directory it names an
//! entry of that directory.

use anyhow::{Result, bail};
use std::fmt;

/// The kinds of units, by the end of their names.
const KINDS: [&str; 11] = [
    "service",
    "socket",
    "target",
    "device",
    "mount",
    "automount",
    "swap",
    "timer",
    "path",
    "slice",
    "scope",
];

/// The longest name that systemd accepts, in bytes.
const LONGEST: usize = 255;

/// A valid name of a unit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnitName(String);

/// What a name is to templates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// `sshd.service`.
    Plain,
    /// `getty@.service`.
    Template,
    /// `getty@tty1.service`.
    Instance,
}

impl UnitName {
    /// Reads a whole name, by the rules of systemd.unit(5).
    pub fn parse(text: &str) -> Result<Self> {
        Self::checked(text.to_owned(), text)
    }

    /// Reads a name as a person writes it: without one of the known suffixes it is a service.
    pub fn complete(text: &str) -> Result<Self> {
        let whole = text.rsplit_once('.').is_some_and(|(_, kind)| KINDS.contains(&kind));
        let name = if whole || text.is_empty() { text.to_owned() } else { format!("{text}.service") };
        Self::checked(name, text)
    }

    fn checked(name: String, written: &str) -> Result<Self> {
        let Some((stem, _)) = name.rsplit_once('.').filter(|(_, kind)| KINDS.contains(kind)) else {
            bail!("{written:?} is not the name of a unit: it does not end in `.service` or the like");
        };
        if stem.is_empty() || stem.starts_with('@') {
            bail!("{written:?} is not the name of a unit: nothing stands before `@` or the suffix");
        }
        if let Some(bad) = stem.chars().find(|c| !c.is_ascii_alphanumeric() && !"@:-_.\\".contains(*c)) {
            bail!("{written:?} is not the name of a unit: it contains {bad:?}");
        }
        if name.len() > LONGEST {
            bail!("the name of a unit has {} characters, and {LONGEST} are possible", name.len());
        }
        Ok(Self(name))
    }

    /// The whole name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The kind of unit: `service`.
    pub fn kind(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(_, kind)| kind)
    }

    /// The name without the suffix: `getty@tty1`.
    pub fn stem(&self) -> &str {
        self.0.rsplit_once('.').map_or("", |(stem, _)| stem)
    }

    /// What stands before the `@`, or the stem when there is none: `getty`.
    pub fn prefix(&self) -> &str {
        self.stem().split_once('@').map_or(self.stem(), |(prefix, _)| prefix)
    }

    /// What stands behind the `@`; empty for templates.
    pub fn instance(&self) -> Option<&str> {
        self.stem().split_once('@').map(|(_, instance)| instance)
    }

    /// Whether it is a template, an instance or neither.
    pub fn shape(&self) -> Shape {
        match self.instance() {
            None => Shape::Plain,
            Some("") => Shape::Template,
            Some(_) => Shape::Instance,
        }
    }

    /// The template that an instance is made of; nothing for names that are no instance.
    pub fn template(&self) -> Option<Self> {
        (self.shape() == Shape::Instance).then(|| Self(format!("{}@.{}", self.prefix(), self.kind())))
    }

    /// This template or instance with another instance.
    pub fn with_instance(&self, instance: &str) -> Result<Self> {
        Self::parse(&format!("{}@{instance}.{}", self.prefix(), self.kind()))
    }

    /// Whether units of this kind may have other names.
    pub fn may_have_aliases(&self) -> bool {
        matches!(self.kind(), "service" | "socket" | "target" | "device" | "timer" | "path")
    }

    /// Whether another name may stand for this unit: it must be of the same kind, and a template, an instance
    /// (the same, or any of a template) or neither, as this one is.
    pub fn may_be_called(&self, alias: &Self) -> bool {
        self.may_have_aliases()
            && self.kind() == alias.kind()
            && match (alias.shape(), self.shape()) {
                (Shape::Instance, Shape::Instance) => alias.instance() == self.instance(),
                (alias, unit) => alias == unit || (alias, unit) == (Shape::Instance, Shape::Template),
            }
    }
}

impl fmt::Display for UnitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_without_a_known_suffix_is_a_service() {
        for (written, meant) in [
            ("sshd", "sshd.service"),
            ("fstrim.timer", "fstrim.timer"),
            ("getty@tty1", "getty@tty1.service"),
            ("getty@", "getty@.service"),
            ("org.example.App", "org.example.App.service"),
            ("user@1000.service", "user@1000.service"),
        ] {
            assert_eq!(UnitName::complete(written).unwrap().as_str(), meant);
        }
    }

    #[test]
    fn names_that_would_leave_the_directory_or_that_systemd_refuses_are_refused() {
        let long = "x".repeat(250);
        for text in ["", "../x", "a/b", "/etc/x.service", "a b", ".service", "@x", "%i", "a\n", "ü", &long] {
            assert!(UnitName::complete(text).is_err(), "{text:?}");
        }
        for text in ["a.conf", ".", ".."] {
            assert!(UnitName::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn templates_and_instances_are_told_apart() {
        let instance = UnitName::parse("a@b@c.d.service").unwrap();
        assert_eq!(
            (instance.prefix(), instance.instance(), instance.kind()),
            ("a", Some("b@c.d"), "service")
        );
        assert_eq!(instance.template().unwrap().as_str(), "a@.service");
        let template = UnitName::parse("a@.socket").unwrap();
        assert_eq!((template.shape(), template.template()), (Shape::Template, None));
        assert_eq!(template.with_instance("x").unwrap().as_str(), "a@x.socket");
        assert!(template.with_instance("x/y").is_err());
        assert_eq!(UnitName::parse("a.target").unwrap().shape(), Shape::Plain);
    }
}
