//! Pins of packages to versions, in the files of each manager.

use super::manager::Family;
use super::{Package, run};
use crate::system::{Command, File};
use crate::{Context, System};
use anyhow::{Result, bail};
use cosette_schema::Spanned;

const APT_PREFERENCES: &str = "/etc/apt/preferences.d/99-yip-pins";
const VERSIONLOCK: &str = "/etc/dnf/plugins/versionlock.conf";
const VERSIONLOCK_LIST: &str = "/etc/dnf/plugins/versionlock.list";
const APK_WORLD: &str = "/etc/apk/world";

/// Pins packages to versions. Pins of other packages stay.
pub(crate) fn pin(
    family: Family,
    pins: &[(Spanned<String>, String)],
    cx: &Context,
    sys: &System,
) -> Result<()> {
    match family {
        Family::Apt => {
            let before = sys.read_text(APT_PREFERENCES)?.unwrap_or_default();
            sys.write(File::new(APT_PREFERENCES, preferences(&before, pins)))?;
        }
        Family::Dnf => versionlock(pins, cx, sys)?,
        Family::Apk => {
            let before = sys.read_text(APK_WORLD)?.unwrap_or_default();
            sys.write(File::new(APK_WORLD, world(&before, pins)))?;
        }
        Family::Zypper => {
            for (package, version) in pins {
                cx.attempt(package.span, add_lock(package, version, cx, sys));
            }
        }
        Family::Pacman => {
            for (package, _) in pins {
                let message =
                    format!("pacman cannot hold {} at a version: see IgnorePkg in pacman.conf(5)", **package);
                cx.warn(package.span, message);
            }
        }
    }
    Ok(())
}

/// The preferences of apt with these pins in place of others for the same packages.
fn preferences(before: &str, pins: &[(Spanned<String>, String)]) -> String {
    let package = |stanza: &[&str]| {
        let fields = stanza.iter().filter_map(|line| line.split_once(':'));
        fields
            .into_iter()
            .find(|(field, _)| field.eq_ignore_ascii_case("package"))
            .map(|(_, name)| name.trim().to_owned())
    };
    // White space alone in a line ends a stanza, too.
    let lines: Vec<_> = before.lines().map(str::trim_end).collect();
    let mut stanzas: Vec<(Option<String>, String)> = lines
        .split(|line| line.is_empty())
        .filter(|stanza| !stanza.is_empty())
        .map(|stanza| (package(stanza), stanza.join("\n")))
        .collect();
    for (name, version) in pins {
        let pin = format!("Package: {}\nPin: version {version}\nPin-Priority: 1001", name.value);
        match stanzas.iter_mut().find(|(package, _)| package.as_ref() == Some(&name.value)) {
            Some((_, stanza)) => *stanza = pin,
            None => stanzas.push((Some(name.value.clone()), pin)),
        }
    }
    stanzas.into_iter().map(|(_, stanza)| stanza).collect::<Vec<_>>().join("\n\n") + "\n"
}

/// The world of apk with these versions in place of what it said of the same packages.
fn world(before: &str, pins: &[(Spanned<String>, String)]) -> String {
    let name = |entry: &str| entry.split(['=', '<', '>', '~', '@']).next().unwrap_or_default().to_owned();
    let mut lines: Vec<String> = before.split_whitespace().map(str::to_owned).collect();
    for (package, version) in pins {
        let pinned = format!("{}={version}", package.value);
        match lines.iter_mut().find(|entry| name(entry) == package.value) {
            Some(entry) => *entry = pinned,
            None => lines.push(pinned),
        }
    }
    lines.join("\n") + "\n"
}

fn versionlock(pins: &[(Spanned<String>, String)], cx: &Context, sys: &System) -> Result<()> {
    if sys.exists("/usr/bin/dnf5")? {
        bail!("dnf 5 keeps its locks itself: use `commands` with `dnf versionlock add NAME-VERSION`");
    }
    let (configuration, list) = match sys.read_text(VERSIONLOCK)? {
        Some(text) => enabled(&text),
        None => {
            (format!("[main]\nenabled = 1\nlocklist = {VERSIONLOCK_LIST}\n"), VERSIONLOCK_LIST.to_owned())
        }
    };
    sys.write(File::new(VERSIONLOCK, configuration))?;
    let before = sys.read_text(&list)?.unwrap_or_default();
    let mut lines: Vec<String> = before.lines().map(str::to_owned).collect();
    for (package, version) in pins {
        if lines
            .iter()
            .any(|line| locked_version(line, package).is_some_and(|found| is_version(found, version)))
        {
            continue;
        }
        let Some(lock) = cx.attempt(package.span, full_version(package, version, sys)) else { continue };
        lines.retain(|line| locked_version(line, package).is_none());
        lines.push(lock);
    }
    sys.write(File::new(list, lines.join("\n") + "\n"))?;
    Ok(())
}

/// The configuration of versionlock with the plugin enabled, and where its list is.
fn enabled(text: &str) -> (String, String) {
    let mut list = VERSIONLOCK_LIST.to_owned();
    let mut lines: Vec<String> = Vec::new();
    let mut is_enabled = false;
    for line in text.lines() {
        match line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("enabled", value)) if !is_enabled => {
                is_enabled = true;
                lines.push(if value == "1" { line.to_owned() } else { "enabled = 1".to_owned() });
            }
            Some(("locklist", path)) => {
                path.clone_into(&mut list);
                lines.push(line.to_owned());
            }
            _ => lines.push(line.to_owned()),
        }
    }
    if !is_enabled {
        let main = lines.iter().position(|line| line.trim() == "[main]");
        let at = main.map_or_else(
            || {
                lines.push("[main]".to_owned());
                lines.len()
            },
            |at| at + 1,
        );
        lines.insert(at, "enabled = 1".to_owned());
    }
    (lines.join("\n") + "\n", list)
}

/// What a line of the list says of the version of a package: `2:9.0-1.el9.*` of `vim-2:9.0-1.el9.*`. A version
/// begins with a digit, and so `bash-completion` is not `bash`.
fn locked_version<'l>(line: &'l str, package: &str) -> Option<&'l str> {
    let version = line.trim().strip_prefix(package)?.strip_prefix('-')?;
    version.starts_with(|c: char| c.is_ascii_digit() || c == '*').then_some(version)
}

/// Whether a lock is one on this version, which may leave out the epoch and the release.
fn is_version(locked: &str, version: &str) -> bool {
    let without_epoch = locked.split_once(':').map_or(locked, |(_, rest)| rest);
    [locked, without_epoch].iter().any(|locked| {
        locked.strip_prefix(version).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '.', '*']))
    })
}

/// The lock of a version, with the epoch and the release that the repositories know it by. Where they know none, as
/// without a network, a pattern.
fn full_version(package: &str, version: &str, sys: &System) -> Result<String> {
    let command = Command::new("dnf repoquery", "dnf")
        .argument("-q")
        .argument("repoquery")
        .argument("--qf")
        .argument("%{name}-%{epoch}:%{version}-%{release}.*\\n")
        .argument(format!("{package}-{version}*"));
    let answer = sys.ask(&command)?.filter(crate::system::Output::success).unwrap_or_default();
    let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
    let known = |line: &&str| locked_version(line, package).is_some_and(|found| is_version(found, version));
    // The newest release comes last.
    Ok(match answer.lines().map(str::trim).rfind(known) {
        Some(lock) => lock.to_owned(),
        None => format!("{package}-{version}*"),
    })
}

fn add_lock(package: &Spanned<String>, version: &str, cx: &Context, sys: &System) -> Result<()> {
    let lock = |what: String| run(&[], &["zypper", "--non-interactive", "addlock"], &[&Package(what)], sys);
    match lock(format!("{}={version}", package.value)) {
        Err(error) if error.is::<crate::system::NoProgram>() || error.is::<crate::system::Interrupted>() => {
            Err(error)
        }
        Err(_) => {
            let message =
                format!("zypper does not lock {0} at a version: {0} is locked as it is", package.value);
            cx.warn(package.span, message);
            lock(package.value.clone())
        }
        Ok(()) => Ok(()),
    }
}
