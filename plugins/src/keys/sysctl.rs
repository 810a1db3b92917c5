//! Sets parameters of the running kernel, and with `sysctl_file` also those of the next boot.
//!
//! ```yaml
//! sysctl:
//!   vm.max_map_count: 262144
//!   net.ipv4.conf.eth0/100.forwarding: 1
//!   -net.bridge.bridge-nf-call-iptables: 1
//! sysctl_file: app
//! ```
//!
//! ```text after
//! -- /etc/sysctl.d/app.conf
//! vm.max_map_count = 262144
//! net.ipv4.conf.eth0/100.forwarding = 1
//! -net.bridge.bridge-nf-call-iptables = 1
//! ```
//!
//! Names are those of sysctl.d(5): the first `.` or `/` in a name tells which of the two separates its parts, and
//! the other one belongs to them, so that `net.ipv4.conf.eth0/100.forwarding` and
//! `net/ipv4/conf/eth0.100/forwarding` are the same. (yip takes every `.` for a separator.) A `-` before the
//! name says that it does no harm if the parameter is missing or cannot be set. Patterns are not expanded.
//!
//! Parameters are set in the order in which they stand, those that have the value already are left alone, and
//! one that cannot be set does not stop the others. The running kernel is changed only if the root is its own: not
//! in a chroot, and not with `--root`, where only `sysctl_file` helps. Some parameters come with a module: name that
//! in `modules` of an earlier step.

use super::sysctl_file::SysctlFile;
use crate::{Action, Context, Plugin, System};
use anyhow::{Context as _, Result, bail};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Named, Shape, Spanned, suggest};
use std::path::{Path, PathBuf};

/// Parameters with their values, in the order of the source. Some are secrets, and so this has no `Debug`.
pub(crate) struct Sysctl(Vec<Setting>);

/// A value for a parameter.
pub(super) struct Setting {
    /// As it was written, without the `-`.
    pub(super) name: Spanned<String>,
    /// Below `/proc/sys`.
    pub(super) path: PathBuf,
    pub(super) value: String,
    /// Whether it does no harm if it cannot be set.
    pub(super) optional: bool,
}

impl Decode for Sysctl {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Named(entries) = Named::<Option<String>>::decode(node, findings)?;
        let mut settings: Vec<Setting> = Vec::new();
        for (name, value) in entries {
            let span = name.span;
            let Some(value) = value else {
                findings.error(span, format!("the parameter `{}` needs a value", name.value));
                continue;
            };
            match Setting::new(name, value) {
                Ok(setting) => {
                    if let Some(first) = settings.iter().find(|first| first.path == setting.path) {
                        let message =
                            format!("`{}` is set above, as `{}`", setting.name.value, first.name.value);
                        findings.warn(span, message).help("the last one counts: remove the other");
                    }
                    settings.push(setting);
                }
                Err(error) => _ = findings.error(span, error.to_string()),
            }
        }
        Some(Self(settings))
    }

    fn shape() -> Shape {
        Named::<String>::shape()
    }
}

impl Setting {
    fn new(name: Spanned<String>, value: String) -> Result<Self> {
        let optional = name.starts_with('-');
        let Spanned { value: written, span } = name;
        let name = written.strip_prefix('-').unwrap_or(&written).trim();
        let path = path(name)?;
        let value = value.trim();
        // The kernel may take more than a line; the file cannot hold it.
        if value.contains(char::is_control) && !value.chars().all(|c| c == '\t' || !c.is_control()) {
            bail!("the value of `{name}` holds a line break or another control character");
        }
        Ok(Self { name: Spanned { value: name.to_owned(), span }, path, value: value.to_owned(), optional })
    }

    fn set(&self, cx: &Context, sys: &System) -> Result<()> {
        let set = sys.set_kernel_parameter(&self.path, &self.value);
        if self.optional {
            return Ok(());
        }
        match set.with_context(|| format!("cannot set `{}`", self.name.value))? {
            Some(_) => Ok(()),
            // The machine that is viewed, or will be, may have it: with a module, or another kernel.
            None if sys.host().only_says() => {
                let target = Path::new("/proc/sys").join(&self.path).display().to_string();
                sys.done(Action::SetKernelParameter, target, true);
                cx.warn(self.name.span, self.missing(sys));
                Ok(())
            }
            None => bail!("{}", self.missing(sys)),
        }
    }

    /// That the parameter is not there, and what to do about it.
    fn missing(&self, sys: &System) -> String {
        let (group, name) = (self.path.parent(), self.path.file_name().unwrap_or_default().to_string_lossy());
        let group = group.unwrap_or(Path::new(""));
        let names = sys.host().kernel_dir(&Path::new("/proc/sys").join(group)).ok().flatten();
        let names: Vec<String> =
            names.unwrap_or_default().iter().map(|name| name.to_string_lossy().into_owned()).collect();
        let remedy = match suggest(&name, names.iter().map(String::as_str)) {
            Some(near) => format!("did you mean `{}`?", dotted(&group.join(near))),
            None => "if it belongs to a module, name that in `modules` of an earlier step".to_owned(),
        };
        format!("the kernel has no parameter `{}`: {remedy}", self.name.value)
    }
}

/// The path of a parameter below `/proc/sys`: sysctl.d(5).
pub(super) fn path(name: &str) -> Result<PathBuf> {
    if name.starts_with("/proc/sys/") {
        bail!("`{name}` is a path: leave `/proc/sys/` out");
    }
    if name.contains(['*', '?', '[']) {
        bail!("`{name}` is a pattern, which is not expanded: name each parameter");
    }
    let dots = name.find(['.', '/']).is_some_and(|at| name[at..].starts_with('.'));
    let swapped = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path = if dots { name.chars().map(swapped).collect() } else { name.to_owned() };
    let is_part = |part: &str| !matches!(part, "" | "." | "..") && !part.contains(char::is_control);
    if !path.split('/').all(is_part) {
        bail!("{name:?} is no parameter of the kernel: write it as sysctl(8) does, `net.ipv4.ip_forward`");
    }
    Ok(path.into())
}

/// The name of a parameter as sysctl(8) writes it.
fn dotted(path: &Path) -> String {
    let swapped = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    path.to_string_lossy().chars().map(swapped).collect()
}

impl Plugin for Sysctl {
    const KEY: &'static str = "sysctl";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        if let Some(first) = self.0.first().filter(|_| !sys.is_own_kernel() && !cx.has("sysctl_file")) {
            cx.warn(
                first.name.span,
                "nothing is set: parameters are of a running machine, and this root is not its own; with \
                 `sysctl_file` they are set at its next boot",
            );
        }
        for setting in &self.0 {
            cx.attempt(setting.name.span, setting.set(cx, sys));
        }
        SysctlFile::write(cx, sys, &self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effect::Diff;
    use crate::testing::Machine;

    /// A machine whose kernel has some parameters.
    fn running(tree: &str) -> Machine {
        let machine = Machine::new(tree);
        machine.host.live_here();
        for (path, value) in [
            ("net/ipv4/ip_forward", "0\n"),
            ("net/ipv4/tcp_rmem", "4096\t131072\t6291456\n"),
            ("net/ipv4/conf/eth0.100/forwarding", "0\n"),
            ("net/ipv4/tcp_fastopen_key", "0-0-0-0\n"),
            ("vm/swappiness", "60\n"),
            ("kernel/core_pattern", "core\n"),
        ] {
            machine.host.kernel_file(&format!("/proc/sys/{path}"), value);
        }
        machine
    }

    fn parameter(machine: &Machine, path: &str) -> String {
        let path = Path::new("/proc/sys").join(path);
        String::from_utf8(
            machine.system(crate::system::Mode::Apply).host().kernel_file(&path).unwrap().unwrap(),
        )
        .unwrap()
    }

    #[test]
    fn the_first_separator_decides() {
        for (name, expected) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
            ("net.ipv4.conf.eth0/1.x", "net/ipv4/conf/eth0.1/x"),
            ("net/ipv4/conf/eth0.100/forwarding", "net/ipv4/conf/eth0.100/forwarding"),
            ("panic", "panic"),
        ] {
            assert_eq!(path(name).unwrap(), Path::new(expected), "{name}");
        }
        for bad in
            ["", "/", "a..b", "a/../../../etc/passwd", "a./../b", "/etc/passwd", "a.b.", "net/*/x", "a/b\n"]
        {
            assert!(path(bad).is_err(), "{bad:?}");
        }
        assert!(path("/proc/sys/vm/swappiness").unwrap_err().to_string().contains("leave `/proc/sys/` out"));
    }

    #[test]
    fn what_differs_is_set_and_what_is_so_already_is_left_alone() {
        let machine = running("");
        let step = "sysctl: {net.ipv4.tcp_rmem: 4096 131072 6291456, net.ipv4.conf.eth0/100.forwarding: 1, \
                    kernel/core_pattern: '|/usr/bin/dump %p', vm.swappiness: 010}";
        let outcome = machine.check(step, "");
        let effects: Vec<_> =
            outcome.effects.iter().map(|effect| (effect.target.as_str(), effect.changed)).collect();
        assert_eq!(
            effects,
            [
                ("/proc/sys/net/ipv4/tcp_rmem", false),
                ("/proc/sys/net/ipv4/conf/eth0.100/forwarding", true),
                ("/proc/sys/kernel/core_pattern", true),
                ("/proc/sys/vm/swappiness", true),
            ]
        );
        assert_eq!(parameter(&machine, "kernel/core_pattern"), "|/usr/bin/dump %p\n");
        assert_eq!(parameter(&machine, "vm/swappiness"), "010\n");
    }

    #[test]
    fn each_fails_for_itself_and_says_what_to_do() {
        let machine = running("");
        machine.host.refuse_parameter("/proc/sys/kernel/core_pattern");
        let outcome = machine.apply(
            "sysctl:\n  net.ipv4.ip_forwrd: 1\n  net.bridge.x: 1\n  kernel.core_pattern: CANARY\n  a..b: 1\n  \
             vm.swappiness:\n  net.ipv4.ip_forward: 1\n  -net.gone: 1\n  vm/overcommit: |\n    1\n    2\n",
        );
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:5:3: \"a..b\" is no parameter of the kernel: write it as sysctl(8) does, \
             `net.ipv4.ip_forward`\n\
             Error: test.yaml:6:3: the parameter `vm.swappiness` needs a value\n\
             Error: test.yaml:9:3: the value of `vm/overcommit` holds a line break or another control character\n\
             Error: test.yaml:2:3: the kernel has no parameter `net.ipv4.ip_forwrd`: did you mean `net.ipv4.ip_forward`?\n\
             Error: test.yaml:3:3: the kernel has no parameter `net.bridge.x`: if it belongs to a module, name that in \
             `modules` of an earlier step\n\
             Error: test.yaml:4:3: cannot set `kernel.core_pattern`: the kernel does not take this value\n"
        );
        assert_eq!(parameter(&machine, "net/ipv4/ip_forward"), "1\n");
    }

    #[test]
    fn two_spellings_of_one_parameter_are_noticed() {
        let outcome = running("").apply("sysctl: {vm.swappiness: 1, vm/swappiness: 2}");
        assert!(outcome.messages().contains("`vm/swappiness` is set above"), "{}", outcome.messages());
    }

    #[test]
    fn a_plan_shows_the_values_and_sets_none() {
        let machine = running("");
        let outcome = machine.plan("sysctl: {vm.swappiness: 1, net.ipv4.tcp_fastopen_key: CANARY}");
        let diffs: Vec<_> = outcome.effects.iter().map(|effect| effect.diff.clone().unwrap()).collect();
        let shown = Diff::Text { before: Some("60\n".to_owned()), after: "1\n".to_owned() };
        assert_eq!(diffs, [shown, Diff::Hidden("it may be a secret")]);
        assert_eq!(parameter(&machine, "vm/swappiness"), "60\n");
    }

    #[test]
    fn a_view_says_also_what_the_running_kernel_does_not_have() {
        let machine = running("");
        machine.host.be_a_view();
        let outcome = machine.apply("sysctl: {net.bridge.x: 1}");
        assert_eq!(outcome.effects[0].target, "/proc/sys/net/bridge/x");
        assert!(outcome.messages().starts_with("Warning: test.yaml:1:10: the kernel has no parameter"));
    }

    #[test]
    fn another_root_leaves_the_running_kernel_alone() {
        let machine = Machine::new("");
        machine.host.kernel_file("/proc/sys/vm/swappiness", "60\n");
        let outcome = machine.apply("sysctl: {vm.swappiness: 1, no.such.thing: 1}");
        assert!(outcome.effects.is_empty());
        assert_eq!(
            outcome.messages(),
            "Warning: test.yaml:1:10: nothing is set: parameters are of a running machine, and this root is not \
             its own; with `sysctl_file` they are set at its next boot\n"
        );
        assert_eq!(parameter(&machine, "vm/swappiness"), "60\n");
    }
}
