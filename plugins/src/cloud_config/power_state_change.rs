//! Restarts, switches off or halts the machine, in the end, once.
//!
//! ```yaml
//! #cloud-config
//! power_state:
//!   delay: 5
//!   mode: reboot
//!   message: Rebooting for the new kernel
//!   condition: test -e /run/reboot-required
//! ```
//!
//! `mode` is `reboot`, `poweroff` or `halt`, `delay` a number of minutes (`5`, `+5`) or `now`. A `condition` is `true`,
//! `false`, a line for the shell or a list of words; the machine stays up unless it succeeds. That it is done is
//! recorded before, so that a machine never restarts twice for the same document. It is `shutdown` that
//! is asked, and other steps go on meanwhile; `timeout` is therefore not needed, and ignored.

use crate::program::{must_succeed, remedy};
use crate::system::Command;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Findings, Shape, record};

record! {
    /// What becomes of the machine.
    pub(crate) struct PowerStateChange {
        /// How, when and whether.
        power_state: Change = required,
    }
}

record! {
    /// A change of the state of the machine.
    struct Change {
        /// `now`, or a number of minutes.
        delay: Delay,
        /// `reboot`, `poweroff` or `halt`.
        mode: Mode = required,
        /// What users who are logged in are told.
        message: Message,
        /// Ignored.
        timeout: Option<u64>,
        /// Whether it is done.
        condition: Condition,
    }
}

/// When: what shutdown(8) takes.
struct Delay(String);

impl Default for Delay {
    fn default() -> Self {
        Self("now".to_owned())
    }
}

impl Decode for Delay {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        let minutes = text.strip_prefix('+').unwrap_or(&text);
        if text == "now" {
            return Some(Self(text));
        }
        if minutes.bytes().all(|byte| byte.is_ascii_digit()) && minutes.parse::<u32>().is_ok() {
            return Some(Self(format!("+{minutes}")));
        }
        findings.error(node.span, "expected `now` or a number of minutes, such as `5` or `+5`");
        None
    }

    fn shape() -> Shape {
        Shape::matching("`now` or a number of minutes", r"^(now|\+?[0-9]+)$").or(u32::shape())
    }
}

/// What becomes of it: the option of shutdown(8).
struct Mode(&'static str);

impl Decode for Mode {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.text() {
            Some("reboot") => Some(Self("-r")),
            Some("poweroff") => Some(Self("-P")),
            Some("halt") => Some(Self("-H")),
            _ => {
                findings.error(node.span, "expected `reboot`, `poweroff` or `halt`");
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Choice(&["reboot", "poweroff", "halt"])
    }
}

/// What users are told; it can be no option.
#[derive(Default)]
struct Message(String);

impl Decode for Message {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        if text.starts_with('-') {
            findings.error(node.span, "the message begins with `-`, and would be an option of shutdown(8)");
            return None;
        }
        Some(Self(text))
    }

    fn shape() -> Shape {
        Shape::TEXT
    }
}

/// Whether it is done.
enum Condition {
    Known(bool),
    Line(String),
    Words(Vec<String>),
}

impl Default for Condition {
    fn default() -> Self {
        Self::Known(true)
    }
}

impl Decode for Condition {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match (&node.value, node.text()) {
            (Value::List(items), _) => {
                Vec::decode(node, findings).filter(|words| words.len() == items.len()).map(Self::Words)
            }
            (_, Some("true" | "True" | "yes" | "on")) => Some(Self::Known(true)),
            (_, Some("false" | "False" | "no" | "off")) => Some(Self::Known(false)),
            _ => String::decode(node, findings).map(Self::Line),
        }
    }

    fn shape() -> Shape {
        Shape::Boolean.or(Shape::TEXT).or(Shape::TEXT.list())
    }
}

impl Plugin for PowerStateChange {
    const KEY: &'static str = "power_state_change";

    fn apply(&self, _cx: &Context, sys: &System) -> Result<()> {
        let Change { delay, mode, message, condition, .. } = &self.power_state;
        if !sys.host().lives_in(sys.root()) || !condition.holds(sys)? {
            return Ok(());
        }
        let label = format!("shutdown {} {}", mode.0, delay.0);
        let mut command = Command::new(&label, "shutdown").argument(mode.0).argument(&delay.0);
        if !message.0.is_empty() {
            command = command.argument(&message.0);
        }
        remedy(must_succeed(sys, &label, command), "the machine stays up")?;
        Ok(())
    }
}

impl Condition {
    /// Whether it holds; a plan takes it to.
    fn holds(&self, sys: &System) -> Result<bool> {
        const LABEL: &str = "condition of power_state";
        let command = match self {
            Self::Known(known) => return Ok(*known),
            Self::Line(line) if line.is_empty() => return Ok(true),
            Self::Line(line) => Command::shell(LABEL, line.as_str()),
            Self::Words(words) => {
                let Some((program, arguments)) = words.split_first() else { return Ok(true) };
                arguments.iter().fold(Command::new(LABEL, program), |command, word| command.argument(word))
            }
        };
        Ok(sys.run(&command)?.is_none_or(|output| output.success()))
    }
}

#[cfg(test)]
mod tests {
    use crate::system::NoProgram;
    use crate::testing::Machine;

    fn commands(text: &str) -> Vec<String> {
        let machine = Machine::new("");
        machine.host.live_here();
        let outcome = machine.apply(&format!("#cloud-config\npower_state: {{{text}}}"));
        assert_eq!(outcome.messages(), "");
        outcome.commands
    }

    #[test]
    fn shutdown_is_asked() {
        for (text, command) in [
            ("mode: reboot", "shutdown -r now"),
            ("mode: poweroff, delay: now, message: Good night", "shutdown -P now Good night"),
            ("mode: halt, delay: 5, timeout: 30, condition: true", "shutdown -H +5"),
            ("mode: reboot, delay: +15", "shutdown -r +15"),
        ] {
            assert_eq!(commands(text), [command]);
        }
    }

    #[test]
    fn it_stays_up_unless_the_condition_holds() {
        assert!(commands("mode: reboot, condition: false").is_empty());
        assert_eq!(commands("mode: reboot, condition: exit 1"), ["exit 1"]);
        assert_eq!(commands("mode: reboot, condition: exit 0"), ["exit 0", "shutdown -r now"]);
        assert_eq!(
            commands("mode: reboot, condition: [test, -e, /x y]"),
            ["test -e /x y", "shutdown -r now"]
        );
        let image = Machine::new("");
        assert!(image.check("#cloud-config\npower_state: {mode: reboot}", "").effects.is_empty());
    }

    #[test]
    fn what_shutdown_does_not_take_is_named() {
        for text in [
            "mode: restart",
            "mode: reboot, delay: 23:00",
            "mode: reboot, delay: -5",
            "mode: reboot, message: -c",
            "delay: 5",
        ] {
            let machine = Machine::new("");
            machine.host.live_here();
            let outcome = machine.apply(&format!("#cloud-config\npower_state: {{{text}}}"));
            assert_eq!(outcome.findings.len(), 1, "{text}: {}", outcome.messages());
            assert!(outcome.commands.is_empty());
        }
    }

    #[test]
    fn a_machine_without_shutdown_stays_up() {
        let machine = Machine::new("");
        machine.host.live_here();
        machine.host.refuse("shutdown", || NoProgram { program: "shutdown".into() }.into());
        let outcome = machine.apply("#cloud-config\npower_state: {mode: reboot}");
        assert!(outcome.messages().contains("the machine stays up: the root has no program shutdown"));
    }
}
