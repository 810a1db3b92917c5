//! Which packages are installed, by the database of the manager: no repository is asked.

use super::Package;
use super::manager::{Family, Manager};
use crate::System;
use crate::system::Command;
use anyhow::Result;
use std::collections::BTreeSet;

/// Those that are not installed, as far as that can be told: patterns, groups, files, URLs and conditions on
/// versions are for the manager to judge. A plan, which asks nobody, takes all to be missing.
pub(super) fn missing<'p>(
    manager: &Manager,
    packages: &'p [Package],
    sys: &System,
) -> Result<Vec<&'p Package>> {
    let found = installed(manager, packages, sys)?;
    let there = |package: &Package| found.as_ref().is_some_and(|found| found.contains(package.as_str()));
    Ok(packages.iter().filter(|package| !there(package)).collect())
}

/// Those that are installed. A plan takes all to be there.
pub(super) fn present<'p>(
    manager: &Manager,
    packages: &'p [Package],
    sys: &System,
) -> Result<Vec<&'p Package>> {
    let found = installed(manager, packages, sys)?;
    let there = |package: &Package| {
        found.as_ref().is_none_or(|found| !is_name(package) || found.contains(package.as_str()))
    };
    Ok(packages.iter().filter(|package| there(package)).collect())
}

/// All names, with and without version and architecture, by which those of the packages that are installed can
/// be called. Nothing when a plan may not ask.
fn installed(manager: &Manager, packages: &[Package], sys: &System) -> Result<Option<BTreeSet<String>>> {
    let mut asked = packages.iter().filter(|package| is_name(package)).peekable();
    if asked.peek().is_none() {
        return Ok(Some(BTreeSet::new()));
    }
    let mut command = Command::new(manager.query[0], manager.query[0]).variable("LC_ALL", "C");
    for argument in &manager.query[1..] {
        command = command.argument(*argument);
    }
    for package in asked {
        // dpkg asks by name only.
        let name = match manager.family {
            Family::Apt => package.as_str().split('=').next().unwrap_or_default(),
            _ => package.as_str(),
        };
        command = command.argument(name);
    }
    // The status says only that one of them is missing.
    let Some(output) = sys.ask(&command)? else { return Ok(None) };
    Ok(Some(names(manager.family, &String::from_utf8_lossy(&output.stdout))))
}

/// Whether it is a name, perhaps with architecture and exact version, and so can be looked up.
fn is_name(package: &Package) -> bool {
    let name = |byte: u8| byte.is_ascii_alphanumeric() || b"+-._:=~".contains(&byte);
    let name_is_plain = package.as_str().split('=').next().is_some_and(|name| !name.contains('~'));
    package.as_str().bytes().all(name) && !package.as_str().starts_with('.') && name_is_plain
}

/// The names in the answer to the query of a manager.
fn names(family: Family, answer: &str) -> BTreeSet<String> {
    let lines: Vec<Vec<&str>> = answer.lines().map(|line| line.trim().split('|').collect()).collect();
    let mut names = BTreeSet::new();
    match family {
        Family::Apt => {
            let is_dpkg = |line: &&Vec<&str>| line.get(1) == Some(&"dpkg");
            let native = lines.iter().find(is_dpkg).and_then(|line| line.get(2)).copied();
            for line in &lines {
                let [status, name, architecture, version] = line[..] else { continue };
                if status.as_bytes().get(1) != Some(&b'i') {
                    continue;
                }
                names.extend([format!("{name}:{architecture}"), format!("{name}:{architecture}={version}")]);
                if architecture == "all" || Some(architecture) == native {
                    names.extend([name.to_owned(), format!("{name}={version}")]);
                }
            }
        }
        Family::Dnf | Family::Zypper => {
            for line in &lines {
                let ["", name, version, release, architecture, epoch] = line[..] else { continue };
                names.extend([name.to_owned(), format!("{name}.{architecture}")]);
                for version in [format!("{version}-{release}"), format!("{epoch}:{version}-{release}")] {
                    names.extend([
                        format!("{name}-{version}"),
                        format!("{name}-{version}.{architecture}"),
                        format!("{name}={version}"),
                    ]);
                }
                names.extend([format!("{name}-{version}"), format!("{name}={version}")]);
            }
        }
        Family::Apk => names.extend(lines.iter().map(|line| line[0].to_owned())),
        Family::Pacman => names.extend(answer.lines().filter_map(|line| {
            let (name, version) = line.split_once(' ')?;
            (!version.contains(' ')).then(|| name.to_owned())
        })),
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(family: Family, answer: &str, there: &[&str], missing: &[&str]) {
        let names = names(family, answer);
        for name in there {
            assert!(names.contains(*name), "{family:?} {name}: {names:?}");
        }
        for name in missing {
            assert!(!names.contains(*name), "{family:?} {name}: {names:?}");
        }
    }

    #[test]
    fn dpkg_tells_status_and_architecture() {
        let answer = "ii |dpkg|amd64|1.22\nii |vim|amd64|2:9.1-1\nhi |held|all|1\nrc |gone|amd64|1\n\
                      un |never||\nii |foreign|i386|3\niU |unpacked|amd64|1\n";
        let there = ["vim", "vim=2:9.1-1", "vim:amd64", "held", "foreign:i386", "foreign:i386=3"];
        holds(Family::Apt, answer, &there, &["gone", "never", "foreign", "unpacked", "vim=2:9.1-2", ""]);
    }

    #[test]
    fn rpm_tells_what_a_name_may_look_like() {
        let answer = "|vim-enhanced|9.1|3.fc40|x86_64|2\npackage nano is not installed\n";
        let there = [
            "vim-enhanced",
            "vim-enhanced.x86_64",
            "vim-enhanced-9.1",
            "vim-enhanced-9.1-3.fc40",
            "vim-enhanced-2:9.1-3.fc40.x86_64",
            "vim-enhanced=9.1",
        ];
        holds(Family::Dnf, answer, &there, &["nano", "package", "vim-enhanced-9.2"]);
    }

    #[test]
    fn apk_and_pacman_tell_names() {
        holds(Family::Apk, "vim\nbusybox\n", &["vim", "busybox"], &["nano"]);
        let answer = "vim 9.1-1\nerror: package 'nano' was not found\n";
        holds(Family::Pacman, answer, &["vim"], &["nano", "error:"]);
    }

    #[test]
    fn only_names_are_looked_up() {
        let is_name = |name: &str| super::is_name(&Package::all_in(name).next().unwrap().unwrap());
        for name in ["g++", "libc6:i386", "vim=2:9.1-1~deb12u1", "python3.11"] {
            assert!(is_name(name), "{name}");
        }
        for other in ["lib*", "@development", "./x.deb", "http://h/x.deb", "vim/stable", "a>1", "a~1", "a[b]"]
        {
            assert!(!is_name(other), "{other}");
        }
    }
}
