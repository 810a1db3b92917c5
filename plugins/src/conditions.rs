//! Conditions: whether a step runs, and why not.
//!
//! All conditions of a step must hold; if one does not, the step is skipped, and the report says why. An empty one
//! is no condition, as in yip. Unlike in yip, a condition that cannot be understood is an error with a position
//! instead of a step that is skipped in silence.
//!
//! Regular expressions are those of [RE2](https://github.com/google/re2/wiki/Syntax): they match anywhere unless
//! they have `^` and `$`, case counts unless they begin with `(?i)`, and there is no look-around. `if` is asked last;
//! `if_files` costs less, and needs no shell.

mod machine;
mod paths;

use crate::system::{Command, Mode};
use crate::{Context, System};
use anyhow::Result;
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Field, Findings, Span, Spanned, Text};
use machine::{Fact, Matches, ServiceManager};
use paths::Paths;

/// The answer to whether a step runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It does.
    Run,
    /// It does not, for this reason: `` `node`: host name "machine" does not match "bastion" ``.
    Skip(String),
    /// It cannot be told without running a command, which planning does not do.
    Unknown(String),
}

/// The conditions of one step, all of which must hold.
#[derive(Debug, Default)]
pub struct Conditions {
    matches: Vec<Matches>,
    service_manager: Option<ServiceManager>,
    paths: Paths,
    shell: Option<Text>,
}

impl Conditions {
    /// The keys of a step that are conditions.
    pub const FIELDS: &[Field] = &[
        matches(&["node"], " Matches the host name.\n"),
        matches(&["only_os"], " Matches `PRETTY_NAME` of os-release(5): `Debian GNU/Linux 13 (trixie)`.\n"),
        matches(&["only_os_version"], " Matches `VERSION_ID` of os-release(5): `13`.\n"),
        matches(&["only_arch"], " Matches the architecture by Go's name: `amd64`, `arm64`, `riscv64`.\n"),
        Field::optional::<ServiceManager>(&["only_service_manager"], " What starts the services is this.\n"),
        Field::optional::<Paths>(&["if_files"], " These paths exist, or do not.\n"),
        Field::optional::<Text>(&["if"], " This line for `/bin/sh`, a template, ends with status 0.\n"),
    ];

    /// Whether a key of a step is a condition.
    pub fn has(key: &str) -> bool {
        Self::FIELDS.iter().any(|field| field.names.contains(&key))
    }

    /// Reads the conditions among the keys of a step. `None` when one of them cannot be understood: the step
    /// must then not run.
    pub fn decode(fields: &[(Spanned<String>, Node)], findings: &mut Findings) -> Option<Self> {
        let mut conditions = Self::default();
        let mut understood = true;
        for (key, node) in fields.iter().filter(|(_, node)| !is_empty(node)) {
            understood &= conditions.add(&key.value, node, findings).is_some();
        }
        understood.then_some(conditions)
    }

    fn add(&mut self, key: &str, node: &Node, findings: &mut Findings) -> Option<()> {
        match key {
            "node" => self.matches.push(Matches::decode(Fact::Hostname, node, findings)?),
            "only_os" => self.matches.push(Matches::decode(Fact::Os, node, findings)?),
            "only_os_version" => self.matches.push(Matches::decode(Fact::OsVersion, node, findings)?),
            "only_arch" => self.matches.push(Matches::decode(Fact::Architecture, node, findings)?),
            "only_service_manager" => self.service_manager = Some(Decode::decode(node, findings)?),
            "if_files" => self.paths = Decode::decode(node, findings)?,
            "if" => self.shell = Some(Decode::decode(node, findings)?),
            _ => {}
        }
        Some(())
    }

    /// Why they hold on no machine, and where that stands. Only what is certain is said.
    pub fn contradiction(&self) -> Option<(Span, String)> {
        let of_facts = self.matches.iter().find_map(Matches::contradiction);
        of_facts.or_else(|| self.paths.contradiction()).or_else(|| {
            let text = self.shell.as_ref()?;
            let never_true = match text.as_str().trim() {
                "false" | "/bin/false" | "/usr/bin/false" | "! true" => true,
                line => line
                    .strip_prefix("exit ")
                    .is_some_and(|status| status.trim().parse().is_ok_and(|status: u8| status > 0)),
            };
            never_true.then(|| (text.span(), "`if` never ends with status 0".to_owned()))
        })
    }

    /// Asks each condition, the cheap ones first and the shell last. `Err` means that a question could not be
    /// answered.
    pub fn evaluate(&self, cx: &Context, sys: &System) -> Result<Verdict> {
        for condition in &self.matches {
            if let Some(reason) = condition.objection(cx.facts()) {
                return Ok(Verdict::Skip(reason));
            }
        }
        if let Some(manager) = self.service_manager
            && let Some(reason) = manager.objection(sys)?
        {
            return Ok(Verdict::Skip(reason));
        }
        if let Some(reason) = self.paths.objection(sys)? {
            return Ok(Verdict::Skip(reason));
        }
        match &self.shell {
            Some(text) => ask_shell(text, cx, sys),
            None => Ok(Verdict::Run),
        }
    }
}

/// Runs the command of `if` under the shell of the root. Its text may hold secrets and is never shown.
fn ask_shell(text: &Text, cx: &Context, sys: &System) -> Result<Verdict> {
    if sys.mode() == Mode::Plan {
        return Ok(Verdict::Unknown("`if`: planning runs no command".to_owned()));
    }
    let line = cx.render(text);
    Ok(match sys.run(&Command::shell("if", &*line))? {
        Some(output) if output.success() => Verdict::Run,
        Some(output) => Verdict::Skip(format!("`if` ended with status {}", output.status)),
        None => Verdict::Unknown("`if`: planning runs no command".to_owned()),
    })
}

const fn matches(names: &'static [&'static str; 1], docs: &'static str) -> Field {
    Field { names, required: false, docs, shape: Matches::shape }
}

fn is_empty(node: &Node) -> bool {
    node.is_null() || matches!(&node.value, Value::Scalar(scalar) if scalar.text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Conditions, Verdict};
    use crate::Context;
    use crate::facts::Facts;
    use crate::system::{Mode, NoProgram};
    use crate::testing::Machine;
    use cosette_schema::yaml::{self, Value};
    use cosette_schema::{Decode, Findings, Origin, Spanned};

    const DEBIAN: &str = "\
-- /etc/os-release
PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"
VERSION_ID=\"12\"
-- /usr/bin/systemctl
";

    /// The verdict on a step, or what is wrong with its conditions.
    fn ask(machine: &Machine, step: &str, mode: Mode) -> Result<Verdict, String> {
        let origin = Origin::new("test.yaml");
        let mut findings = Findings::new(origin.clone());
        let Some(Value::Map(entries)) = yaml::parse(step, &mut findings).map(|node| node.value) else {
            panic!("a step is a map: {:?}", findings.into_vec());
        };
        let fields: Vec<_> = entries
            .into_iter()
            .filter_map(|(key, value)| Some((Spanned::<String>::decode(&key, &mut findings)?, value)))
            .collect();
        let conditions = Conditions::decode(&fields, &mut findings);
        let messages: Vec<_> = findings.into_vec().iter().map(ToString::to_string).collect();
        let Some(conditions) = conditions else { return Err(messages.join("\n")) };
        assert!(messages.is_empty(), "{messages:?}");
        let sys = machine.system(mode);
        let facts = Facts::new(&sys);
        let cx = Context::new(&origin, &facts, &fields);
        conditions.evaluate(&cx, &sys).map_err(|error| format!("{error:#}"))
    }

    #[track_caller]
    fn runs(tree: &str, step: &str) {
        assert_eq!(ask(&Machine::new(tree), step, Mode::Apply), Ok(Verdict::Run), "{step}");
    }

    #[track_caller]
    fn skips(tree: &str, step: &str, reason: &str) {
        assert_eq!(
            ask(&Machine::new(tree), step, Mode::Apply),
            Ok(Verdict::Skip(reason.to_owned())),
            "{step}"
        );
    }

    #[track_caller]
    fn refuses(step: &str, message: &str) {
        assert_eq!(ask(&Machine::new(""), step, Mode::Apply), Err(format!("test.yaml:{message}")), "{step}");
    }

    #[test]
    fn a_step_without_conditions_runs() {
        runs("", "name: x");
        runs("", "{node: '', if: ' ', only_os: ~, only_arch:, if_files:, only_service_manager: ''}");
    }

    #[test]
    fn a_name_matches_anywhere_and_with_its_case() {
        runs("", "node: achi");
        runs("", "node: '(?i)^MACHINE$'");
        skips("", "node: bastion", "`node`: host name \"machine\" does not match \"bastion\"");
        skips("", "node: MACHINE", "`node`: host name \"machine\" does not match \"MACHINE\"");
    }

    #[test]
    fn the_operating_system_is_that_of_the_root() {
        runs(DEBIAN, "only_os: 'Ubuntu.*|Debian.*'");
        runs(DEBIAN, "{only_os: (?i)debian, only_os_version: ^1\\d$}");
        skips(
            DEBIAN,
            "only_os: debian",
            "`only_os`: operating system \"Debian GNU/Linux 12 (bookworm)\" does not match \"debian\"",
        );
        skips(DEBIAN, "only_os_version: '11'", "`only_os_version`: version \"12\" does not match \"11\"");
        skips("", "only_os: .*", "`only_os`: the os-release of the root does not say its operating system");
        skips(
            "",
            "only_os_version: .*",
            "`only_os_version`: the os-release of the root does not say its version",
        );
    }

    #[test]
    fn architectures_have_the_names_of_go_and_others_a_hint() {
        runs("", "only_arch: ^amd64$");
        skips("", "only_arch: arm64", "`only_arch`: architecture \"amd64\" does not match \"arm64\"");
        skips(
            "",
            "only_arch: x86_64",
            "`only_arch`: architecture \"amd64\" does not match \"x86_64\"; x86_64 is called amd64 here, as in Go",
        );
    }

    #[test]
    fn an_invalid_pattern_is_an_error_with_its_place() {
        for (step, place) in
            [("node: (", "1:7"), ("only_os: 'a(?!b)'", "1:1"), ("only_os_version: '['", "1:1")]
        {
            let message = ask(&Machine::new(""), step, Mode::Apply).unwrap_err();
            assert!(message.starts_with(&format!("test.yaml:{place}")), "{message}");
            assert!(message.contains("invalid regular expression: "), "{message}");
        }
    }

    #[test]
    fn service_managers_are_looked_for_in_the_root() {
        runs(DEBIAN, "only_service_manager: Systemd");
        skips(DEBIAN, "only_service_manager: openrc", "`only_service_manager`: the root has no openrc");
        skips("", "only_service_manager: systemd", "`only_service_manager`: the root has no systemctl");
        refuses(
            "only_service_manager: sytemd",
            "1:23: unknown service manager \"sytemd\"; did you mean `systemd`?",
        );
        refuses(
            "only_service_manager: runit",
            "1:23: unknown service manager \"runit\"; write `systemd` or `openrc`",
        );
    }

    #[test]
    fn where_both_service_managers_are_the_running_one_decides() {
        let both = format!("{DEBIAN}-- /sbin/openrc\n");
        runs(&both, "only_service_manager: systemd");
        runs(&both, "only_service_manager: openrc");
        let running = format!("{both}-- /run/systemd/system/\n");
        runs(&running, "only_service_manager: systemd");
        skips(&running, "only_service_manager: openrc", "`only_service_manager`: systemd is running");
    }

    #[test]
    fn all_three_lists_of_files_count_together() {
        let tree = "-- /a\n-- /b\n-- /dir/\n-- /link -> b\n-- /dangling -> nowhere\n";
        runs(tree, "if_files: {any: [/x, /a], all: [/b, /dir, /link], none: [/x, /dangling, /a/x]}");
        runs(tree, "if_files: {any: [], all: ~, none: [/x]}");
        skips(tree, "if_files: {any: [], none: [/a]}", "`if_files`: /a exists");
        skips(tree, "if_files: {all: [/a, /x], any: [/a]}", "`if_files`: /x does not exist");
        skips(tree, "if_files: {any: [/x, /y], all: [/a]}", "`if_files`: none of /x, /y exists");
        skips(tree, "if_files: {any: [/x]}", "`if_files`: /x does not exist");
    }

    #[test]
    fn a_list_of_files_that_is_only_half_understood_is_none() {
        refuses("if_files: {noen: [/a]}", "1:12: `if_files` has no \"noen\"; did you mean `none`?");
        refuses("if_files: {every: [/a]}", "1:12: `if_files` has no \"every\"; write `any`, `all` or `none`");
        refuses("if_files: {all: [/a, b]}", "1:22: the path \"b\" is not absolute; write \"/b\"");
        refuses(
            "if_files: {all: /a}",
            "1:17: expected a list of paths, found a single value; write each path on its own line behind `- `",
        );
        assert!(ask(&Machine::new(""), "if_files: [/a]", Mode::Apply).is_err());
    }

    #[test]
    fn a_question_about_a_file_that_cannot_be_answered_is_an_error() {
        let machine = Machine::new("-- /loop -> loop\n");
        let message = ask(&machine, "if_files: {none: [/loop]}", Mode::Apply).unwrap_err();
        assert!(message.contains("/loop"), "{message}");
    }

    #[test]
    fn the_shell_is_asked_last_and_its_command_is_not_shown() {
        let machine = Machine::new("");
        assert_eq!(ask(&machine, "if: test -e /x", Mode::Apply), Ok(Verdict::Run));
        assert_eq!(machine.host.take_commands(), ["test -e /x"]);
        for (step, status) in [("if: 'false'", 1), ("if: exit 3", 3), ("if: exit 137", 137)] {
            let reason = format!("`if` ended with status {status}");
            assert_eq!(ask(&machine, step, Mode::Apply), Ok(Verdict::Skip(reason)));
        }
        machine.host.take_commands();
        assert!(matches!(ask(&machine, "{if: reboot, node: other}", Mode::Apply), Ok(Verdict::Skip(_))));
        assert!(machine.host.take_commands().is_empty());
    }

    #[test]
    fn without_a_shell_the_question_cannot_be_answered() {
        let machine = Machine::new("");
        machine.host.refuse("true", || NoProgram { program: "/bin/sh".into() }.into());
        let message = ask(&machine, "if: 'true'", Mode::Apply).unwrap_err();
        assert!(message.contains("no program /bin/sh"), "{message}");
    }

    #[test]
    fn planning_does_not_ask_the_shell() {
        let machine = Machine::new("");
        assert!(matches!(ask(&machine, "if: reboot", Mode::Plan), Ok(Verdict::Unknown(_))));
        assert!(matches!(ask(&machine, "{if: reboot, node: other}", Mode::Plan), Ok(Verdict::Skip(_))));
        assert!(machine.host.take_commands().is_empty());
    }

    #[test]
    fn conditions_that_cannot_be_understood_are_reported_together() {
        let message = ask(&Machine::new(""), "{node: (, only_arch: '[', if: [x]}", Mode::Apply).unwrap_err();
        assert_eq!(message.lines().count(), 3, "{message}");
    }
}
