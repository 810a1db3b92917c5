//! Keeps packages at the versions that are given.
//!
//! ```yaml
//! package_pins:
//!   vim: 2:9.1.*
//!   nginx: 1.26.3-1
//! ```
//!
//! ```text before
//! -- /etc/os-release
//! ID=debian
//! ```
//!
//! ```text after
//! -- /etc/apt/preferences.d/99-yip-pins
//! Package: nginx
//! Pin: version 1.26.3-1
//! Pin-Priority: 1001
//!
//! Package: vim
//! Pin: version 2:9.1.*
//! Pin-Priority: 1001
//! ```
//!
//! Where the pins go is decided by `ID` and `ID_LIKE` of os-release(5): with apt into its preferences, as above;
//! with dnf 4 into the list of its plugin versionlock, in the form that `dnf repoquery` gives them; with apk into
//! `/etc/apk/world`; with zypper by `zypper addlock`. pacman holds no package at a version, and dnf 5 keeps its
//! locks itself. Pins of other packages stay, so that several steps may pin; a pin that shall go has to be taken
//! out of the file.

use crate::packages::{Manager, pin};
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Named, Shape, Spanned};

/// Packages and their versions, sorted by name.
#[derive(Debug)]
pub(crate) struct PackagePins(Vec<(Spanned<String>, String)>);

impl Decode for PackagePins {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Named(pins) = Named::<Spanned<String>>::decode(node, findings)?;
        let mut sorted = Vec::with_capacity(pins.len());
        for (package, version) in pins {
            let message = match (problem(&package), problem(&version)) {
                (Some(problem), _) => format!("{:?} is no package: {problem}", package.value),
                (_, Some(problem)) => format!("{:?} is no version: {problem}", version.value),
                _ => {
                    sorted.push((package, version.value));
                    continue;
                }
            };
            findings.error(version.span, message);
        }
        sorted.sort_by(|a, b| a.0.value.cmp(&b.0.value));
        Some(Self(sorted))
    }

    fn shape() -> Shape {
        Named::<String>::shape()
    }
}

/// Why a text cannot be a package or a version in the lists of the managers.
fn problem(text: &str) -> Option<&'static str> {
    match text {
        "" => Some("it is empty"),
        _ if text.starts_with(['-', '#']) => Some("it begins with a special character"),
        _ if text.contains(|c: char| c.is_whitespace() || c.is_control()) => Some("it holds white space"),
        _ => None,
    }
}

impl Plugin for PackagePins {
    const KEY: &'static str = "package_pins";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        match self.0.is_empty() {
            true => Ok(()),
            false => pin(Manager::of(cx.facts())?.family, &self.0, cx, sys),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn apt_keeps_other_pins_and_changes_those_that_are_given() {
        let machine = Machine::new(
            "-- /etc/os-release\nID=ubuntu\n-- /etc/apt/preferences.d/99-yip-pins\n\
             Package: nginx\nPin: version 1.0\nPin-Priority: 1001\n\n# mine\nPackage: other\nPin: origin x\nPin-Priority: 5\n",
        );
        machine.check(
            "package_pins: {vim: 9, nginx: 1.26}",
            "-- /etc/apt/preferences.d/99-yip-pins\n\
             Package: nginx\nPin: version 1.26\nPin-Priority: 1001\n\n\
             # mine\nPackage: other\nPin: origin x\nPin-Priority: 5\n\n\
             Package: vim\nPin: version 9\nPin-Priority: 1001\n",
        );
    }

    #[test]
    fn what_cannot_be_written_is_an_error_and_leaves_what_is_there() {
        for (id, path) in [
            ("debian", "/etc/apt/preferences.d/99-yip-pins"),
            ("alpine", "/etc/apk/world"),
            ("fedora", "/etc/dnf/plugins/versionlock.list"),
        ] {
            let machine = Machine::new(&format!("-- /etc/os-release\nID={id}\n-- {path}/inside\n"));
            let outcome = machine.apply("package_pins: {vim: 9}");
            assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
            assert!(outcome.messages().contains(path), "{}", outcome.messages());
            assert!(machine.system(crate::system::Mode::Apply).exists(format!("{path}/inside")).unwrap());
        }
    }

    #[test]
    fn dnf_asks_for_the_full_version_once() {
        let machine = Machine::new("-- /etc/os-release\nID=rocky\n");
        machine.host.answer("repoquery", 0, "vim-enhanced-2:9.0-1.el9.*\nvim-enhanced-2:9.0-2.el9.*\n");
        let files = "-- /etc/dnf/plugins/versionlock.conf\n[main]\nenabled = 1\nlocklist = /etc/dnf/plugins/versionlock.list\n\
                     -- /etc/dnf/plugins/versionlock.list\nvim-enhanced-2:9.0-2.el9.*\n";
        let outcome = machine.check("package_pins: {vim-enhanced: '9.0'}", files);
        assert_eq!(
            outcome.commands,
            ["dnf -q repoquery --qf %{name}-%{epoch}:%{version}-%{release}.*\\n vim-enhanced-9.0*"]
        );
        // A second time nobody is asked, and another version takes the place of the first.
        assert!(machine.apply("package_pins: {vim-enhanced: '9.0'}").commands.is_empty());
        let machine = Machine::new(
            "-- /etc/os-release\nID=rocky\n-- /etc/dnf/plugins/versionlock.conf\n[main]\nenabled=0\nlocklist = /etc/locks\n\
             -- /etc/locks\n# mine\nbash-0:5.1-6.el9.*\nbash-completion-0:1-1.*\n",
        );
        machine.host.answer("repoquery", 1, "");
        machine.check(
            "package_pins: {bash: 5.2}",
            "-- /etc/dnf/plugins/versionlock.conf\n[main]\nenabled = 1\nlocklist = /etc/locks\n\
             -- /etc/locks\n# mine\nbash-completion-0:1-1.*\nbash-5.2*\n",
        );
    }

    #[test]
    fn apk_edits_its_world() {
        let machine = Machine::new(
            "-- /etc/os-release\nID=alpine\n-- /etc/apk/world\nalpine-base\nvim>9\nnano@edge\nbusybox-extras\n",
        );
        machine.check(
            "package_pins: {vim: 9.0.1-r0, busybox: 1.36}",
            "-- /etc/apk/world\nalpine-base\nvim=9.0.1-r0\nnano@edge\nbusybox-extras\nbusybox=1.36\n",
        );
    }

    #[test]
    fn zypper_is_told_and_falls_back_to_the_name() {
        let machine = Machine::new("-- /etc/os-release\nID=x\nID_LIKE=\"suse opensuse\"\n");
        machine.host.answer("vim=9", 1, "no");
        let outcome = machine.apply("package_pins: {vim: 9, nano: 1}");
        assert_eq!(
            outcome.commands,
            [
                "zypper --non-interactive addlock nano=1",
                "zypper --non-interactive addlock vim=9",
                "zypper --non-interactive addlock vim"
            ]
        );
        assert!(outcome.messages().starts_with("Warning: test.yaml:1:16: "), "{}", outcome.messages());
    }

    #[test]
    fn pacman_and_dnf_5_are_told_apart_from_what_can_be_pinned() {
        let outcome = Machine::new("-- /etc/os-release\nID=arch\n").apply("package_pins: {vim: 9}");
        assert!(outcome.messages().starts_with("Warning: "), "{}", outcome.messages());
        let dnf5 = Machine::new("-- /etc/os-release\nID=fedora\n-- /usr/bin/dnf5 0755\n");
        let outcome = dnf5.apply("package_pins: {vim: 9}");
        assert!(outcome.messages().contains("dnf versionlock add"), "{}", outcome.messages());
        dnf5.assert_tree("");
    }

    #[test]
    fn a_value_cannot_add_lines() {
        let machine = Machine::new("-- /etc/os-release\nID=debian\n");
        let outcome = machine.apply(
            "package_pins: {vim: \"1\\nPin-Priority: 9\", \"a b\": 1, nano: ~, -x: 1, \"#y\": 1, z: 3}",
        );
        assert_eq!(outcome.findings.len(), 5, "{}", outcome.messages());
        machine.assert_tree(
            "-- /etc/apt/preferences.d/99-yip-pins\nPackage: z\nPin: version 3\nPin-Priority: 1001\n",
        );
    }

    #[test]
    fn planning_asks_and_writes_nothing() {
        let machine = Machine::new("-- /etc/os-release\nID=rocky\n");
        let outcome = machine.plan("package_pins: {vim: 9}");
        assert!(outcome.findings.is_empty() && outcome.commands.is_empty(), "{}", outcome.messages());
        machine.assert_tree("");
        assert!(Machine::new("").apply("package_pins: {}").findings.is_empty());
    }
}
