//! Installs, removes and updates packages with the package manager of the root.
//!
//! ```yaml
//! packages:
//!   refresh: true
//!   install: [vim, "linux-headers-{{ .Values.os.architecture }}"]
//!   remove: [nano]
//! ```
//!
//! ```text before
//! -- /etc/os-release
//! ID=debian
//! ```
//!
//! ```text commands
//! dpkg-query --show --showformat=${db:Status-Abbrev}|${Package}|${Architecture}|${Version}\n dpkg vim linux-headers-amd64
//! apt-get -y update
//! apt-get -y --no-install-recommends install vim linux-headers-amd64
//! dpkg-query --show --showformat=${db:Status-Abbrev}|${Package}|${Architecture}|${Version}\n dpkg nano
//! ```
//!
//! The order is `refresh`, `upgrade`, `install`, `remove`, and the first failure ends it. `ID` and `ID_LIKE` of
//! os-release(5) choose between `apt-get`, `dnf`, `apk`, `zypper` and `pacman`, which are called without a shell.
//!
//! What is installed already is not installed again, and what is not there is not removed; so at the next boot
//! nothing happens, and no network is needed: `refresh` asks the repositories only when something is to be
//! installed or upgraded, or when it stands alone. Packages that are there are brought up to date by `upgrade`,
//! not by `install`. Patterns, groups, files and URLs are always given to the manager.
//!
//! Each entry is a template. Entries that begin with `-` would be options, and are refused.

use crate::packages::{Package, Request};
use crate::{Context, Plugin, System};
use anyhow::{Result, anyhow};
use cosette_schema::{Text, record};

record! {
    /// Packages to install, to remove and to update.
    pub(crate) struct Packages {
        /// Packages that shall be there, by name, or however else the manager knows them: `vim=2:9.1-1`.
        install: Vec<Text>,
        /// Packages that shall not be there.
        remove: Vec<Text>,
        /// Ask the repositories for what they have.
        refresh: bool,
        /// Bring everything that is installed up to date.
        upgrade: bool,
    }
}

impl Plugin for Packages {
    const KEY: &'static str = "packages";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let (install, remove) = (packages(&self.install, cx), packages(&self.remove, cx));
        if let Some(both) = install.iter().find(|package| remove.contains(package)) {
            return Err(anyhow!(
                "{both} shall be both installed and removed: take it out of one of the lists"
            ));
        }
        Request { refresh: self.refresh, upgrade: self.upgrade, install, remove }.apply(cx, sys)
    }
}

/// The packages of a list. What is none, and what cannot be rendered, is left out with an error.
fn packages(list: &[Text], cx: &Context) -> Vec<Package> {
    let mut packages = Vec::new();
    for text in list {
        let Some(rendered) = cx.render_required(text) else { continue };
        for package in Package::all_in(&rendered).filter_map(|package| cx.attempt(text.span(), package)) {
            if package.shows_password() {
                let message = "every user can see the password in the address while the manager runs";
                cx.warn(text.span(), message);
            }
            if !packages.contains(&package) {
                packages.push(package);
            }
        }
    }
    packages
}

#[cfg(test)]
mod tests {
    use crate::system::NoProgram;
    use crate::testing::Machine;

    fn machine(os_release: &str) -> Machine {
        Machine::new(&format!("-- /etc/os-release\n{os_release}\n"))
    }

    /// The commands other than the questions what is installed.
    fn commands(os_release: &str, packages: &str) -> Vec<String> {
        let machine = machine(os_release);
        let outcome = machine.check(&format!("packages: {packages}"), "");
        let query = |line: &String| {
            ["dpkg-query", "rpm", "apk info", "pacman -Q "].iter().any(|q| line.starts_with(q))
        };
        outcome.commands.into_iter().filter(|line| !query(line)).collect()
    }

    #[test]
    fn the_commands_are_those_of_yip() {
        let install = "{install: [a, b], refresh: true, upgrade: true}";
        for (id, expected) in [
            (
                "debian",
                ["apt-get -y update", "apt-get -y upgrade", "apt-get -y --no-install-recommends install a b"],
            ),
            (
                "fedora",
                ["dnf makecache", "dnf update -y", "dnf install -y --setopt=install_weak_deps=False a b"],
            ),
            ("alpine", ["apk update", "apk upgrade --no-cache", "apk add --no-cache a b"]),
            (
                "opensuse-leap",
                ["zypper refresh", "zypper update -y", "zypper install -y --no-recommends a b"],
            ),
            ("arch", ["pacman -Sy --noconfirm", "pacman -Syu --noconfirm", "pacman -S --noconfirm a b"]),
        ] {
            assert_eq!(commands(&format!("ID={id}"), install), expected);
        }
    }

    #[test]
    fn the_system_may_be_like_another() {
        let refresh = |os_release| commands(os_release, "{refresh: true}").join(";");
        assert_eq!(refresh("ID=linuxmint\nID_LIKE=\"ubuntu debian\""), "apt-get -y update");
        assert_eq!(refresh("ID=\"sle-micro\"\nID_LIKE=\"sles suse\""), "zypper refresh");
        assert_eq!(refresh("ID=openEuler"), "dnf makecache");
        assert_eq!(refresh("ID=Arch"), "pacman -Sy --noconfirm");
        // The nearest counts.
        assert_eq!(refresh("ID=x\nID_LIKE=\"nobody fedora debian\""), "dnf makecache");
    }

    #[test]
    fn an_unknown_system_is_an_error_that_names_those_that_are_known() {
        for (os_release, named) in [("ID=gentoo", "the system \"gentoo\""), ("NAME=x", "no system")] {
            let outcome = machine(os_release).apply("packages: {install: [vim]}");
            let messages = outcome.messages();
            assert!(messages.contains("unknown package manager") && messages.contains(named), "{messages}");
            assert!(messages.contains("debian, ubuntu, fedora") && outcome.commands.is_empty(), "{messages}");
        }
    }

    #[test]
    fn upgrade_alone_upgrades_and_empty_lists_do_nothing() {
        assert_eq!(commands("ID=debian", "{upgrade: true}"), ["apt-get -y upgrade"]);
        for nothing in ["{}", "{install: [], remove: ~}", "{refresh: false}", "{install: ['', '  ']}"] {
            assert!(commands("ID=gentoo", nothing).is_empty(), "{nothing}");
        }
        assert_eq!(commands("ID=debian", "{install: [], refresh: true}"), ["apt-get -y update"]);
    }

    #[test]
    fn what_is_installed_stays_and_what_is_absent_needs_no_removal() {
        let machine = machine("ID=debian");
        let answer = "ii |dpkg|amd64|1\nii |vim|amd64|9\nrc |nano|amd64|1\n";
        machine.host.answer("dpkg-query", 1, answer);
        let run = |step| {
            let outcome = machine.apply(step);
            assert!(outcome.findings.is_empty(), "{}", outcome.messages());
            outcome.commands.into_iter().filter(|line| !line.starts_with("dpkg-query")).collect::<Vec<_>>()
        };
        let nothing: [&str; 0] = [];
        assert_eq!(run("packages: {refresh: true, install: [vim, vim=9], remove: [nano, never]}"), nothing);
        let install = "apt-get -y --no-install-recommends install";
        assert_eq!(
            run("packages: {refresh: true, install: [emacs, vim=10, 'vi*'], remove: [vim, 'na*']}"),
            ["apt-get -y update", &format!("{install} emacs vim=10 vi*"), "apt-get -y remove vim na*"]
        );
        // Everything shall be up to date, also what `upgrade` holds back.
        assert_eq!(
            run("packages: {upgrade: true, install: [vim]}"),
            ["apt-get -y upgrade", &format!("{install} vim")]
        );
    }

    #[test]
    fn the_first_failure_ends_it_and_shows_no_secret() {
        let machine = machine("ID=debian");
        machine.host.answer("apt-get -y update", 100, "E: https://ann:hunter2@host/x 401\n");
        let outcome = machine.apply("packages: {refresh: true, install: [vim]}");
        assert_eq!(outcome.commands.last().unwrap(), "apt-get -y update");
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:1:1: `apt-get -y update` ended with status 100; the end of its output:\n\
             E: https://host/x 401\n"
        );
        let step = "packages: {install: ['https://ann:hunter2@host/x.rpm?t=hunter2']}";
        let machine = self::machine("ID=fedora");
        machine.host.answer("dnf", 1, "");
        let (planned, applied) = (machine.plan(step), machine.apply(step));
        assert!(
            !format!("{:?}{:?}{}", planned.effects, applied.effects, applied.messages()).contains("hunter2")
        );
    }

    #[test]
    fn a_password_in_an_address_is_warned_of() {
        let outcome =
            machine("ID=fedora").plan("packages: {install: ['https://ann:hunter2@host/x.rpm', a@b]}");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        assert!(outcome.messages().contains("every user can see the password"), "{}", outcome.messages());
    }

    #[test]
    fn a_missing_manager_is_named() {
        let machine = machine("ID=debian");
        machine.host.refuse("apt-get", || NoProgram { program: "apt-get".into() }.into());
        let outcome = machine.apply("packages: {upgrade: true}");
        assert!(outcome.messages().contains("the root has no program apt-get"), "{}", outcome.messages());
    }

    #[test]
    fn options_and_broken_templates_are_refused_and_the_others_installed() {
        let machine = machine("ID=debian");
        let outcome = machine.apply(
            "packages:\n  install:\n  - --allow-downgrades\n  - vim -oX=1\n  - '{{ nofunction }}'\n  - \"a\\0b\"\n  - $(reboot);\n  - vim\n",
        );
        assert_eq!(
            outcome.commands.last().unwrap(),
            "apt-get -y --no-install-recommends install vim $(reboot);"
        );
        let messages = outcome.messages();
        assert_eq!(outcome.findings.len(), 4, "{messages}");
        assert!(messages.contains("3:5: \"--allow-downgrades\" is an option, not a package"), "{messages}");
        assert!(messages.contains("4:5: \"-oX=1\" is an option"), "{messages}");
        let both = machine.apply("packages: {install: [vim], remove: [vim]}");
        assert!(both.messages().contains("vim shall be both installed and removed"), "{}", both.messages());
    }

    #[test]
    fn planning_runs_nothing_and_says_what_would_run() {
        let outcome = machine("ID=alpine").plan("packages: {refresh: true, install: [vim], remove: [nano]}");
        assert!(outcome.commands.is_empty());
        let targets: Vec<_> = outcome.effects.iter().map(|effect| effect.target.as_str()).collect();
        assert_eq!(targets, ["apk update", "apk add --no-cache vim", "apk del --no-cache nano"]);
    }
}
