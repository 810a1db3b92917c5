//! Runs systemd-firstboot(1), which sets what a system does not know yet: locale, keymap, time zone and so on.
//!
//! ```yaml
//! systemd_firstboot:
//!   locale: en_US.UTF-8
//!   keymap: us
//!   setup_machine_id: true
//! ```
//!
//! ```text commands
//! systemd-firstboot --keymap=us --locale=en_US.UTF-8 --setup-machine-id
//! ```
//!
//! Each key is an option of the program, and the value `true` an option without a value. No shell is
//! involved. The program leaves alone what is set already, unless it is told `force: true`.
//!
//! `root_password` and `root_password_hashed` never appear among the arguments, which every user can see: the
//! program reads them from a file of root's that exists only while it runs. For the hashed one that takes
//! systemd 248, which knows credentials.

use crate::command_output::{ending, excerpt};
use crate::system::{Command, File};
use crate::{Context, Plugin, System};
use anyhow::{Result, bail};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Named, Shape};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::Path;

/// Where passwords lie while the program runs.
const CREDENTIALS: &str = "/run/cosette-firstboot";

/// The options of the program by their names, without the `--`.
///
/// Values may be passwords, and so this has no `Debug`.
pub(crate) struct SystemdFirstboot(BTreeMap<String, String>);

impl Decode for SystemdFirstboot {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Named(options) = Named::<String>::decode(node, findings)?;
        let mut sorted = BTreeMap::new();
        for (key, value) in options {
            let name = key.to_ascii_lowercase().replace('_', "-");
            let valid = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
            if name.is_empty() || name.starts_with('-') || !valid {
                findings.error(key.span, format!("{:?} cannot be an option of systemd-firstboot", key.value));
                continue;
            }
            match sorted.entry(name) {
                Entry::Vacant(free) => _ = free.insert(value),
                Entry::Occupied(taken) => {
                    findings.error(key.span, format!("the option `{}` is given twice", taken.key()));
                }
            }
        }
        Some(Self(sorted))
    }

    fn shape() -> Shape {
        Named::<String>::shape()
    }
}

impl Plugin for SystemdFirstboot {
    const KEY: &'static str = "systemd_firstboot";

    fn apply(&self, _cx: &Context, sys: &System) -> Result<()> {
        let (mut arguments, mut label, mut secrets) =
            (Vec::new(), String::from("systemd-firstboot"), Vec::new());
        for (name, value) in &self.0 {
            label += &format!(" --{name}");
            match (name.as_str(), value.as_str()) {
                ("root-password", _) => {
                    secrets.push(("root-password", value));
                    arguments.push(format!("--root-password-file={CREDENTIALS}/root-password"));
                }
                ("root-password-hashed", _) => secrets.push(("passwd.hashed-password.root", value)),
                (_, "true") => arguments.push(format!("--{name}")),
                _ => arguments.push(format!("--{name}={value}")),
            }
        }
        if label == "systemd-firstboot" {
            return Ok(());
        }
        let mut command = Command::new(label, "systemd-firstboot");
        for argument in arguments {
            command = command.argument(argument);
        }
        if secrets.is_empty() {
            return run(sys, &command, false);
        }
        let directory = Path::new(CREDENTIALS);
        sys.create_dir(directory, Some(0o700), None)?;
        let written = secrets.iter().try_for_each(|(name, value)| {
            sys.write(File::new(directory.join(name), value.as_str()).mode(0o600)).map(|_| ())
        });
        let result =
            written.and_then(|()| run(sys, &command.variable("CREDENTIALS_DIRECTORY", CREDENTIALS), true));
        let removed = secrets.iter().try_for_each(|(name, _)| sys.remove(directory.join(name)).map(|_| ()));
        result.and(removed.and_then(|()| sys.remove(directory).map(|_| ())))
    }
}

/// Runs the program. What it says is only repeated when it was given no password, which it may name.
fn run(sys: &System, command: &Command, has_secrets: bool) -> Result<()> {
    match sys.run(command)? {
        Some(output) if !output.success() => {
            let said =
                if has_secrets { String::new() } else { excerpt(&String::from_utf8_lossy(&output.tail)) };
            bail!("`{}` {}", command.label(), ending(output.status, &said))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::Action;
    use crate::testing::Machine;

    #[test]
    fn keys_are_lower_cased_sorted_and_true_stands_alone() {
        let outcome = Machine::new("").check(
            "systemd_firstboot: {LOCALE: en_US.UTF-8, keymap: us, Force: true, hostname: \"a b; reboot\"}",
            "",
        );
        assert_eq!(
            outcome.commands,
            ["systemd-firstboot --force --hostname=a b; reboot --keymap=us --locale=en_US.UTF-8"]
        );
    }

    #[test]
    fn passwords_are_neither_among_the_arguments_nor_in_reports_nor_left_behind() {
        let step =
            "systemd_firstboot: {root_password: hunter2, root-password-hashed: $6$salt$hash, keymap: us}";
        for status in [0, 1] {
            let machine = Machine::new("-- /run/ 0755\n");
            machine.host.answer("systemd-firstboot", status, "hunter2 is too short");
            let outcome = machine.apply(step);
            assert_eq!(outcome.findings.len(), status as usize, "{}", outcome.messages());
            assert_eq!(
                outcome.commands,
                ["systemd-firstboot --keymap=us --root-password-file=/run/cosette-firstboot/root-password"]
            );
            let report = format!("{outcome:?}{:?}", machine.plan(step));
            assert!(!report.contains("hunter2") && !report.contains("salt"), "{report}");
            machine.assert_tree("");
        }
    }

    #[test]
    fn bad_options_are_left_out_and_named() {
        let outcome =
            Machine::new("").apply("systemd_firstboot: {\"a b\": 1, \"--x\": 2, A_B: 3, a-b: 4, keymap: us}");
        assert_eq!(outcome.commands, ["systemd-firstboot --a-b=3 --keymap=us"]);
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:1:21: \"a b\" cannot be an option of systemd-firstboot\n\
             Error: test.yaml:1:31: \"--x\" cannot be an option of systemd-firstboot\n\
             Error: test.yaml:1:49: the option `a-b` is given twice\n"
        );
    }

    #[test]
    fn a_failure_names_the_options_the_status_and_what_was_said() {
        let machine = Machine::new("");
        machine.host.answer("systemd-firstboot", 1, "Locale xx is not installed.\n");
        let outcome = machine.apply("systemd_firstboot: {keymap: us}");
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:1:1: `systemd-firstboot --keymap` ended with status 1; the end of its output:\n\
             Locale xx is not installed.\n"
        );
    }

    #[test]
    fn without_options_nothing_runs_and_a_plan_runs_nothing() {
        assert!(Machine::new("").check("systemd_firstboot: {}", "").effects.is_empty());
        let planned = Machine::new("").plan("systemd_firstboot: {keymap: us}");
        assert!(planned.commands.is_empty());
        assert_eq!(planned.effects[0].action, Action::Run);
    }
}
