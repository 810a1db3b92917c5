//! The package managers, and which one a root has.

use crate::facts::Facts;
use anyhow::{Result, bail};

/// How a manager is told things. Each command begins with the program; packages are added to its end.
#[derive(Debug)]
pub(crate) struct Manager {
    pub(crate) family: Family,
    /// The systems that have it, by `ID` or `ID_LIKE` of os-release(5).
    systems: &'static [&'static str],
    pub(super) refresh: &'static [&'static str],
    pub(super) upgrade: &'static [&'static str],
    pub(super) install: &'static [&'static str],
    pub(super) remove: &'static [&'static str],
    /// Lists those of the packages at its end that are installed.
    pub(super) query: &'static [&'static str],
    pub(super) environment: &'static [(&'static str, &'static str)],
}

/// The managers by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Apt,
    Dnf,
    Apk,
    Zypper,
    Pacman,
}

/// The commands are those of yip.
const MANAGERS: [Manager; 5] = [
    Manager {
        family: Family::Apt,
        systems: &["debian", "ubuntu"],
        refresh: &["apt-get", "-y", "update"],
        upgrade: &["apt-get", "-y", "upgrade"],
        install: &["apt-get", "-y", "--no-install-recommends", "install"],
        remove: &["apt-get", "-y", "remove"],
        // The package of dpkg itself tells the architecture of the system.
        query: &[
            "dpkg-query",
            "--show",
            "--showformat=${db:Status-Abbrev}|${Package}|${Architecture}|${Version}\\n",
            "dpkg",
        ],
        environment: &[("DEBIAN_FRONTEND", "noninteractive")],
    },
    Manager {
        family: Family::Dnf,
        systems: &["fedora", "rocky", "ol", "almalinux", "rhel", "centos", "openeuler"],
        refresh: &["dnf", "makecache"],
        upgrade: &["dnf", "update", "-y"],
        install: &["dnf", "install", "-y", "--setopt=install_weak_deps=False"],
        remove: &["dnf", "remove", "-y"],
        query: RPM_QUERY,
        environment: &[],
    },
    Manager {
        family: Family::Apk,
        systems: &["alpine"],
        refresh: &["apk", "update"],
        upgrade: &["apk", "upgrade", "--no-cache"],
        install: &["apk", "add", "--no-cache"],
        remove: &["apk", "del", "--no-cache"],
        query: &["apk", "info", "--installed"],
        environment: &[],
    },
    Manager {
        family: Family::Zypper,
        systems: &["opensuse-leap", "opensuse-tumbleweed", "suse", "opensuse", "sles"],
        refresh: &["zypper", "refresh"],
        upgrade: &["zypper", "update", "-y"],
        install: &["zypper", "install", "-y", "--no-recommends"],
        remove: &["zypper", "remove", "-y"],
        query: RPM_QUERY,
        environment: &[],
    },
    Manager {
        family: Family::Pacman,
        systems: &["arch"],
        refresh: &["pacman", "-Sy", "--noconfirm"],
        upgrade: &["pacman", "-Syu", "--noconfirm"],
        install: &["pacman", "-S", "--noconfirm"],
        remove: &["pacman", "-R", "--noconfirm"],
        query: &["pacman", "-Q"],
        environment: &[],
    },
];

const RPM_QUERY: &[&str] =
    &["rpm", "--query", "--queryformat", "|%{NAME}|%{VERSION}|%{RELEASE}|%{ARCH}|%{EPOCHNUM}\\n"];

impl Manager {
    /// The one of the system in the root, or of the nearest system that it is like.
    pub(crate) fn of(facts: &Facts) -> Result<&'static Self> {
        let mut ids = facts.os_id().into_iter().chain(facts.os_id_like());
        let known = |id: &str| {
            let id = id.to_ascii_lowercase();
            MANAGERS.iter().find(|manager| manager.systems.contains(&id.as_str()))
        };
        match ids.find_map(known) {
            Some(manager) => Ok(manager),
            None => bail!(
                "unknown package manager: the os-release of the root names {}, and known are {}; use `commands`",
                match facts.os_id() {
                    Some(id) => format!("the system {id:?}"),
                    None => "no system".to_owned(),
                },
                MANAGERS.iter().flat_map(|manager| manager.systems).copied().collect::<Vec<_>>().join(", "),
            ),
        }
    }
}
