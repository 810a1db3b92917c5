//! Installs packages, and brings those that are installed up to date.
//!
//! ```yaml
//! #cloud-config
//! package_upgrade: true
//! packages:
//! - vim
//! - [git, "1:2.39.5-0"]
//! - apt: [htop]
//!   dnf: [btop]
//! ```
//!
//! ```text before
//! -- /etc/os-release
//! ID=debian
//! ```
//!
//! ```text commands
//! apt-get -y update
//! apt-get -y upgrade
//! apt-get -y --no-install-recommends install vim git=1:2.39.5-0 htop
//! ```
//!
//! The managers are those of the key `packages` of a step, and what is installed already is not installed again. The
//! repositories are asked first if `package_update`, `package_upgrade` or a package that is missing needs it. A list
//! may be for one manager only: `apt`, `dnf`, `yum`, `apk`, `zypper` or `pacman`; `snap` is not supported. With
//! `package_reboot_if_required: true`, the machine restarts a minute later if there is a `/run/reboot-required`.

use crate::packages::{Family, Manager, Package, Request};
use crate::program::run;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Findings, Named, Shape, Span, record};

/// Where packages leave word that they take effect with the next boot only.
const REBOOT_REQUIRED: &str = "/run/reboot-required";

record! {
    /// Packages to install and to update.
    pub(crate) struct PackageUpdateUpgradeInstall {
        /// Packages that shall be there.
        packages: Vec<Entry>,
        /// Ask the repositories for what they have.
        package_update: bool as "package_update" | "apt_update",
        /// Bring everything that is installed up to date.
        package_upgrade: bool as "package_upgrade" | "apt_upgrade",
        /// Restart the machine if a package asks for it.
        package_reboot_if_required: bool as "package_reboot_if_required" | "apt_reboot_if_required",
    }
}

/// An entry of the list: a package, or those for certain managers.
enum Entry {
    Package(Versioned),
    Managers(Vec<(String, Span, Vec<Versioned>)>),
}

/// A package, perhaps with its version.
struct Versioned {
    name: String,
    version: Option<String>,
    span: Span,
}

impl Decode for Entry {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        if !matches!(node.value, Value::Map(_)) {
            return Versioned::decode(node, findings).map(Self::Package);
        }
        let Named(lists) = Named::<Vec<Versioned>>::decode(node, findings)?;
        Some(Self::Managers(lists.into_iter().map(|(name, list)| (name.value, name.span, list)).collect()))
    }

    fn shape() -> Shape {
        Versioned::shape().or(Named::<Vec<Versioned>>::shape())
    }
}

impl Decode for Versioned {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let (name, version) = match &node.value {
            Value::List(items) if matches!(items.len(), 1 | 2) => {
                let version = items.get(1).map(|version| String::decode(version, findings));
                (
                    String::decode(&items[0], findings)?,
                    version.map_or(Some(None), |version| version.map(Some))?,
                )
            }
            Value::Scalar(_) => (String::decode(node, findings)?, None),
            _ => {
                findings.error(node.span, "expected a package, or a list of a package and its version");
                return None;
            }
        };
        if name.trim().is_empty()
            || version.as_ref().is_some_and(|version| version.contains(char::is_whitespace))
        {
            findings
                .error(node.span, "expected the name of a package, or a list of its name and its version");
            return None;
        }
        Some(Self { name, version, span: node.span })
    }

    fn shape() -> Shape {
        Shape::TEXT.or(Shape::TEXT.list())
    }
}

impl Versioned {
    /// As the manager of the root calls it.
    fn package(&self, family: Family) -> Result<Vec<Package>> {
        let separator = if family == Family::Dnf { '-' } else { '=' };
        let version = self.version.as_ref().filter(|version| !version.is_empty());
        let text = match version {
            Some(version) => format!("{}{separator}{version}", self.name.trim()),
            None => self.name.clone(),
        };
        Package::all_in(&text).collect()
    }
}

impl Plugin for PackageUpdateUpgradeInstall {
    const KEY: &'static str = "package_update_upgrade_install";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let (refresh, upgrade) = (self.package_update || self.package_upgrade, self.package_upgrade);
        if !refresh && self.packages.is_empty() {
            return Ok(());
        }
        let family = Manager::of(cx.facts())?.family;
        let mut install = Vec::new();
        for package in self.packages.iter().flat_map(|entry| entry.of(family, cx)) {
            for package in cx.attempt(package.span, package.package(family)).into_iter().flatten() {
                if !install.contains(&package) {
                    install.push(package);
                }
            }
        }
        let refresh = refresh || !install.is_empty();
        Request { refresh, upgrade, install, remove: Vec::new() }.apply(cx, sys)?;
        if self.package_reboot_if_required
            && sys.host().lives_in(sys.root())
            && sys.exists(REBOOT_REQUIRED)?
        {
            // Time for the other steps to end and to be recorded.
            run(sys, &["shutdown", "-r", "+1", "Restart for packages that were installed"])?;
        }
        Ok(())
    }
}

impl Entry {
    /// The packages for a manager. Managers that nobody knows are named.
    fn of(&self, family: Family, cx: &Context) -> Vec<&Versioned> {
        let lists = match self {
            Self::Package(package) => return vec![package],
            Self::Managers(lists) => lists,
        };
        let mut packages = Vec::new();
        for (name, span, list) in lists {
            match name.as_str() {
                "apt" if family == Family::Apt => packages.extend(list),
                "dnf" | "yum" if family == Family::Dnf => packages.extend(list),
                "apk" if family == Family::Apk => packages.extend(list),
                "zypper" if family == Family::Zypper => packages.extend(list),
                "pacman" if family == Family::Pacman => packages.extend(list),
                "apt" | "dnf" | "yum" | "apk" | "zypper" | "pacman" => {}
                other => {
                    cx.warn(*span, format!("the packages of `{other}` are left out: it is not supported"))
                }
            }
        }
        packages
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    fn machine(id: &str) -> Machine {
        Machine::new(&format!("-- /etc/os-release\nID={id}\n-- /run/reboot-required\n"))
    }

    #[test]
    fn each_manager_gets_its_own_and_names_versions_in_its_way() {
        let text = "#cloud-config\npackages: [a, [b, 1.2], {apt: [c], dnf: [[d, 3]], snap: [e]}]";
        for (id, install) in [
            ("debian", "apt-get -y --no-install-recommends install a b=1.2 c"),
            ("fedora", "dnf install -y --setopt=install_weak_deps=False a b-1.2 d-3"),
            ("alpine", "apk add --no-cache a b=1.2"),
        ] {
            let outcome = machine(id).apply(text);
            assert_eq!(outcome.commands.last().unwrap(), install, "{}", outcome.messages());
            assert!(outcome.messages().contains(": the packages of `snap` are left out"));
        }
    }

    #[test]
    fn options_and_nonsense_are_left_out_and_named() {
        let outcome =
            machine("debian").apply("#cloud-config\npackages: [--force, [a, b, c], '', [x, '1 y'], good]");
        assert_eq!(outcome.findings.len(), 4, "{}", outcome.messages());
        assert!(outcome.commands.last().unwrap().ends_with("install good"));
    }

    #[test]
    fn the_older_keys_are_known_and_a_restart_leaves_time() {
        let machine = machine("debian");
        machine.host.live_here();
        let outcome = machine.check("#cloud-config\napt_update: true\napt_reboot_if_required: true", "");
        assert_eq!(outcome.commands[0], "apt-get -y update");
        assert!(outcome.commands[1].starts_with("shutdown -r +1 "));
        machine.host.answer("update", 100, "E: no network\n");
        let outcome = machine.apply("#cloud-config\npackage_update: true\npackage_reboot_if_required: true");
        assert_eq!((outcome.findings.len(), outcome.commands.len()), (1, 1), "{}", outcome.messages());
    }

    #[test]
    fn a_huge_list_is_one_command() {
        let list: Vec<String> = (0..5000).map(|n| format!("p{n}")).collect();
        let outcome = machine("debian").apply(&format!("#cloud-config\npackages: [{}]", list.join(",")));
        assert!(outcome.commands.last().unwrap().ends_with("p4999"));
    }
}
