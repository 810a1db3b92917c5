//! The file that keeps the parameters of `sysctl` for the next boot, read by systemd-sysctl and sysctl(8).
//!
//! ```yaml
//! sysctl_file: /etc/sysctl.d/90-app.conf
//! sysctl:
//!   vm.swappiness: 10
//!   fs.inotify.max_user_watches: 524288
//! ```
//!
//! ```text before
//! -- /etc/sysctl.d/90-app.conf
//! # by hand
//! vm/swappiness=60
//! kernel.panic = 10
//! ```
//!
//! ```text after
//! -- /etc/sysctl.d/90-app.conf
//! # by hand
//! vm.swappiness = 10
//! kernel.panic = 10
//! fs.inotify.max_user_watches = 524288
//! ```
//!
//! A name without `/` is that of a file in `/etc/sysctl.d`, whose `.conf` may be left out. What else is in the file
//! stays. The key does nothing by itself. (yip has no such key: there, parameters last until the next boot.)

use super::sysctl::{self, Setting};
use crate::path::AbsolutePath;
use crate::system::File;
use crate::{Context, Plugin, System};
use anyhow::{Context as _, Result};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Span, Spanned};

/// The path of the file.
#[derive(Debug)]
pub(crate) struct SysctlFile {
    path: String,
    span: Span,
}

impl Decode for SysctlFile {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Spanned { value: name, span } = Spanned::<String>::decode(node, findings)?;
        if name.contains('/') || name.trim().is_empty() || name.contains(char::is_control) {
            let path = AbsolutePath::decode(node, findings)?;
            return Some(Self { path: path.as_str().to_owned(), span });
        }
        let name = name.trim();
        let extension = if name.ends_with(".conf") { "" } else { ".conf" };
        Some(Self { path: format!("/etc/sysctl.d/{name}{extension}"), span })
    }

    fn shape() -> Shape {
        Shape::text("path, or the name of a file in /etc/sysctl.d")
    }
}

impl SysctlFile {
    /// Writes the settings to the file that the step names, if it names one.
    pub(super) fn write(cx: &Context, sys: &System, settings: &[Setting]) -> Result<()> {
        if !cx.has(Self::KEY) || settings.is_empty() {
            return Ok(());
        }
        let file: Self =
            cx.field(Self::KEY).context("no parameter is kept because `sysctl_file` is unusable")?;
        let before = sys.read(&file.path)?.unwrap_or_default();
        sys.write(File::new(&file.path, with_settings(&before, settings)))?;
        Ok(())
    }
}

impl Plugin for SysctlFile {
    const KEY: &'static str = "sysctl_file";

    fn apply(&self, cx: &Context, _sys: &System) -> Result<()> {
        if !cx.has("sysctl") {
            cx.warn(self.span, "`sysctl_file` without `sysctl` does nothing");
        }
        Ok(())
    }
}

/// The content of a file with these settings: the last line about a parameter, or a new one, has its value.
fn with_settings(before: &[u8], settings: &[Setting]) -> Vec<u8> {
    let mut lines: Vec<Vec<u8>> =
        before.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_owned).collect();
    for setting in settings {
        let is_it = |line: &Vec<u8>| parse(line).is_some_and(|(path, _)| path == setting.path);
        let place = lines.iter().rposition(is_it);
        let same = |line: &Vec<u8>| {
            parse(line).is_some_and(|(_, value)| {
                value.split_ascii_whitespace().eq(setting.value.split_ascii_whitespace())
            })
        };
        if place.is_some_and(|at| same(&lines[at])) {
            continue;
        }
        let optional = if setting.optional { "-" } else { "" };
        let line = format!("{optional}{} = {}\n", setting.name.value, setting.value).into_bytes();
        match place {
            Some(at) => lines[at] = line,
            None => {
                if let Some(last) = lines.last_mut().filter(|last| last.last() != Some(&b'\n')) {
                    last.push(b'\n');
                }
                lines.push(line);
            }
        }
    }
    lines.concat()
}

/// The parameter that a line sets, and its value.
fn parse(line: &[u8]) -> Option<(std::path::PathBuf, String)> {
    let line = str::from_utf8(line).ok()?.trim();
    if line.starts_with(['#', ';']) {
        return None;
    }
    let (name, value) = line.strip_prefix('-').unwrap_or(line).split_once('=')?;
    Some((sysctl::path(name.trim()).ok()?, value.trim().to_owned()))
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn alone_it_does_nothing_and_says_so() {
        let outcome = Machine::new("").apply("sysctl_file: app");
        let expected = "Warning: test.yaml:1:14: `sysctl_file` without `sysctl` does nothing\n";
        assert_eq!(outcome.messages(), expected);
    }

    #[test]
    fn a_file_that_cannot_be_used_keeps_nothing_anywhere() {
        for bad in ["[a]", "a/b", "''", "\"a\\nb\""] {
            let machine = Machine::new("");
            let outcome = machine.apply(&format!("sysctl: {{vm.x: 1}}\nsysctl_file: {bad}\n"));
            assert!(outcome.messages().contains("`sysctl_file` is unusable"), "{}", outcome.messages());
            machine.assert_tree("");
        }
    }

    #[test]
    fn a_line_that_means_the_value_stays_and_of_several_the_last_one_is_changed() {
        let machine = Machine::new(
            "-- /etc/sysctl.d/a.conf 0600 no-newline\n;vm.x=9\nvm/x=1\nvm.x = 2\n-net.ipv4.tcp_rmem=1\t2  3\n\
             \u{fffd}= =\nvm.z\n",
        );
        machine.check(
            "sysctl: {vm.x: 3, net.ipv4.tcp_rmem: 1 2 3, -vm.y: 4}\nsysctl_file: a.conf\n",
            "-- /etc/sysctl.d/a.conf 0600\n;vm.x=9\nvm/x=1\nvm.x = 3\n-net.ipv4.tcp_rmem=1\t2  3\n\
             \u{fffd}= =\nvm.z\n-vm.y = 4\n",
        );
    }
}
