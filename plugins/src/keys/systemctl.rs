//! Enables, disables, masks and starts units of systemd, and writes drop-ins for them.
//!
//! ```yaml
//! systemctl:
//!   overrides:
//!     - service: web
//!       content: |
//!         [Service]
//!         Restart=always
//!   enable: [web, fstrim.timer]
//!   mask: [debug-shell]
//! ```
//!
//! ```text before
//! -- /usr/lib/systemd/system/multi-user.target
//! [Unit]
//! -- /usr/lib/systemd/system/timers.target
//! [Unit]
//! -- /usr/lib/systemd/system/fstrim.timer
//! [Install]
//! WantedBy=timers.target
//! -- /usr/lib/systemd/system/web.service
//! [Service]
//! ExecStart=/usr/bin/web
//! [Install]
//! WantedBy=multi-user.target
//! ```
//!
//! ```text after
//! -- /etc/systemd/system/debug-shell.service -> /dev/null
//! -- /etc/systemd/system/multi-user.target.wants/web.service -> /usr/lib/systemd/system/web.service
//! -- /etc/systemd/system/timers.target.wants/fstrim.timer -> /usr/lib/systemd/system/fstrim.timer
//! -- /etc/systemd/system/web.service.d/override-yip.conf
//! [Service]
//! Restart=always
//! ```
//!
//! Drop-ins come first, then `unmask`, `disable`, `mask`, `enable`, and at last what needs a running systemd:
//! `stop`, `start`, `restart`, `reload`. (yip writes the drop-ins last, when the units run already.)
//!
//! All but the last four are done to the files of the root, in one way wherever that root is, so that images and
//! the root of an initramfs need no running systemd, and a plan shows each link. Where systemd runs, it is told
//! to read its units again if anything has changed.
//!
//! The last four are asked of systemd by D-Bus: through its own socket for root, so that no bus need be there,
//! else through the system bus. All units of a list are queued at once and then waited for, at most 100 s. A unit
//! that fails is an error with its result, how its process ended, and the end of its journal. Starting what runs
//! and stopping what does not changes nothing.
//!
//! A job that systemd keeps back until the unit that cosette runs in has started, because its unit is ordered
//! after that one, directly or through others, is queued and not waited for: neither would ever end.

use crate::system::File;
use crate::units::{self, Report, UnitName, Verb};
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Span, Spanned, record};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

record! {
    /// What shall become of units. Without one of the known suffixes, `.service` is meant.
    ///
    /// The content of drop-ins may hold secrets, and so this has no `Debug`.
    pub(crate) struct Systemctl {
        /// Drop-ins to write.
        overrides: Vec<Override>,
        /// Units whose mask is taken away.
        unmask: Vec<Unit>,
        /// Units that are no longer started at boot.
        disable: Vec<Unit>,
        /// Units that nothing can start any more.
        mask: Vec<Unit>,
        /// Units that are started at boot, by name or by the path of a unit file.
        enable: Vec<Enable>,
        /// Units to stop now.
        stop: Vec<Unit>,
        /// Units to start now.
        start: Vec<Unit>,
        /// Units to stop and start now.
        restart: Vec<Unit>,
        /// Units that shall read their configuration again now.
        reload: Vec<Unit>,
    }
}

record! {
    /// A drop-in for one unit.
    struct Override {
        /// The unit, of any kind; without one of the known suffixes `.service` is meant.
        service: Unit = required,
        /// The name of the file; `override-yip.conf` when it is left out, and `.conf` is added when it is
        /// missing.
        name: Option<DropIn>,
        /// The content of the file.
        content: String = required,
    }
}

/// A unit by name, and where it is named.
#[derive(Debug)]
struct Unit(Spanned<UnitName>);

impl Decode for Unit {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Spanned { value, span } = Spanned::<String>::decode(node, findings)?;
        match UnitName::complete(&value) {
            Ok(value) => Some(Self(Spanned { value, span })),
            Err(error) => {
                findings.error(span, error.to_string());
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::matching("unit name", r"^[A-Za-z0-9:_.\\][A-Za-z0-9@:_.\\-]*$")
    }
}

/// A unit by name, or by the path of its file.
#[derive(Debug)]
enum Enable {
    Name(Unit),
    Path(Spanned<PathBuf>),
}

impl Decode for Enable {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Spanned { value, span } = Spanned::<String>::decode(node, findings)?;
        if !value.starts_with('/') {
            return Unit::decode(node, findings).map(Self::Name);
        }
        let name = value.rsplit_once('/').map_or("", |(_, name)| name);
        if let Err(error) = UnitName::parse(name) {
            findings.error(span, error.to_string());
            return None;
        }
        Some(Self::Path(Spanned { value: value.into(), span }))
    }

    fn shape() -> Shape {
        Unit::shape().or(Shape::matching("absolute path", "^/"))
    }
}

/// The name of a drop-in, whole.
#[derive(Debug)]
struct DropIn(String);

impl Decode for DropIn {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let mut name = String::decode(node, findings)?;
        if name.contains('/') {
            findings
                .error(node.span, format!("{name:?} is not the name of a drop-in: it contains `/`"))
                .help("give the name only; the directory follows from `service`");
            return None;
        }
        if name.is_empty() {
            name.push_str("override-yip");
        }
        if !name.ends_with(".conf") {
            name.push_str(".conf");
        }
        Some(Self(name))
    }

    fn shape() -> Shape {
        Shape::matching("file name", "^[^/]*$")
    }
}

impl Plugin for Systemctl {
    const KEY: &'static str = "systemctl";

    fn check(&self, findings: &mut Findings) {
        let enabled: BTreeSet<&str> = self.enable.iter().map(Enable::name).collect();
        let masked: BTreeSet<&str> = self.mask.iter().map(Unit::name).collect();
        for unit in self.disable.iter().filter(|unit| enabled.contains(unit.name())) {
            let message = format!("{} is disabled and enabled: in the end it is enabled", unit.name());
            findings.warn(unit.0.span, message);
        }
        for unit in self.mask.iter().filter(|unit| enabled.contains(unit.name())) {
            findings.warn(unit.0.span, format!("{} is masked, and so cannot be enabled", unit.name()));
        }
        for unit in self.unmask.iter().filter(|unit| masked.contains(unit.name())) {
            let message = format!("{} is unmasked and masked: in the end it is masked", unit.name());
            findings.warn(unit.0.span, message);
        }
    }

    fn units(&self) -> Vec<String> {
        let lists =
            [&self.unmask, &self.disable, &self.mask, &self.stop, &self.start, &self.restart, &self.reload];
        let overridden = self.overrides.iter().map(|item| item.service.name());
        let named = lists.into_iter().flatten().map(Unit::name);
        overridden.chain(named).chain(self.enable.iter().map(Enable::name)).map(str::to_owned).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let mut changed = false;
        for item in &self.overrides {
            changed |= cx.attempt(item.service.0.span, item.write(sys)).unwrap_or(false);
        }
        for (units, operation) in [
            (&self.unmask, units::unmask as fn(&System, &UnitName) -> Result<Report>),
            (&self.disable, units::disable),
            (&self.mask, units::mask),
        ] {
            for unit in units {
                changed |= report(cx, unit.0.span, operation(sys, &unit.0.value));
            }
        }
        for unit in &self.enable {
            changed |= match unit {
                Enable::Name(unit) => report(cx, unit.0.span, units::enable(sys, &unit.0.value)),
                Enable::Path(path) => report(cx, path.span, units::enable_file(sys, &path.value)),
            };
        }
        let verbs = [
            (Verb::Stop, &self.stop),
            (Verb::Start, &self.start),
            (Verb::Restart, &self.restart),
            (Verb::Reload, &self.reload),
        ];
        if !changed && verbs.iter().all(|(_, units)| units.is_empty()) {
            return Ok(());
        }
        if !units::systemd_is_running(sys)? {
            self.warn_of_what_does_not_start(cx);
            return Ok(());
        }
        let Some(mut systemd) = sys.systemd()? else {
            Self::plan(sys, changed, verbs);
            return Ok(());
        };
        if changed {
            systemd.reload()?;
            sys.record_systemd("daemon-reload".to_owned(), true);
        }
        for (verb, units) in verbs {
            let names: Vec<&UnitName> = units.iter().map(|unit| &unit.0.value).collect();
            units::control(sys, &mut systemd, verb, &names, |place, outcome| {
                let span = units[place].0.span;
                if let Some(Some(warning)) = cx.attempt(span, outcome) {
                    cx.warn(span, warning);
                }
            })?;
        }
        Ok(())
    }
}

impl Systemctl {
    /// What systemd would be asked for.
    fn plan(sys: &System, changed: bool, verbs: [(Verb, &Vec<Unit>); 4]) {
        if changed {
            sys.record_systemd("daemon-reload".to_owned(), true);
        }
        for (verb, unit) in verbs.iter().flat_map(|(verb, units)| units.iter().map(move |unit| (verb, unit)))
        {
            sys.record_systemd(format!("{} {}", verb.as_str(), unit.name()), true);
        }
    }

    /// What does not run is stopped already, and reads its configuration when it starts; but what should be
    /// started is not, unless it is also enabled, and then the next boot does it.
    fn warn_of_what_does_not_start(&self, cx: &Context) {
        let enabled: BTreeSet<&str> = self.enable.iter().map(Enable::name).collect();
        let mut left = self.start.iter().chain(&self.restart).filter(|unit| !enabled.contains(unit.name()));
        let Some(first) = left.next() else { return };
        let names: Vec<&str> = std::iter::once(first).chain(left).map(Unit::name).collect();
        cx.warn(
            first.0.span,
            format!(
                "systemd is not running in this root, so this does not start, now or at the next boot: {}; \
                 `enable` what shall start at boot",
                names.join(", ")
            ),
        );
    }
}

impl Override {
    fn write(&self, sys: &System) -> Result<bool> {
        let dir = format!("/etc/systemd/system/{}.d", self.service.name());
        let name = self.name.as_ref().map_or("override-yip.conf", |name| &name.0);
        sys.create_dir(&dir, None, None)?;
        sys.write(File::new(Path::new(&dir).join(name), self.content.as_str()).mode(0o644))
    }
}

impl Unit {
    fn name(&self) -> &str {
        self.0.value.as_str()
    }
}

impl Enable {
    fn name(&self) -> &str {
        match self {
            Self::Name(unit) => unit.name(),
            Self::Path(path) => path.value.file_name().and_then(|name| name.to_str()).unwrap_or_default(),
        }
    }
}

/// Hands on what came of an operation, and says whether it changed anything.
fn report(cx: &Context, span: Span, result: Result<Report>) -> bool {
    let Some(report) = cx.attempt(span, result) else { return false };
    for warning in report.warnings {
        cx.warn(span, warning);
    }
    for error in report.errors {
        cx.attempt::<()>(span, Err(error));
    }
    report.changed
}

#[cfg(test)]
mod tests {
    use crate::Action;
    use crate::system::Limits;
    use crate::testing::{FakeSystemd, JobAnswer, Machine, Outcome};
    use std::time::Duration;

    const UNITS: &str = "\
-- /usr/lib/systemd/system/multi-user.target
[Unit]
-- /usr/lib/systemd/system/web.service
[Install]
WantedBy=multi-user.target
-- /usr/lib/systemd/system/static.service
[Service]
-- /usr/lib/systemd/system/hostile.service
[Install]
WantedBy=../../../evil.target multi-user.target /etc/x.target
Alias=../../escape.service
Also=../web.service loop-a.service
-- /usr/lib/systemd/system/loop-a.service -> loop-b.service
-- /usr/lib/systemd/system/loop-b.service -> loop-a.service
";
    const WEB: &str =
        "-- /etc/systemd/system/multi-user.target.wants/web.service -> /usr/lib/systemd/system/web.service\n";

    /// A machine that runs systemd, which is pretended, too.
    fn booted(tree: &str, answers: &[(&'static str, JobAnswer)]) -> (Machine, FakeSystemd) {
        let machine = Machine::new(&format!("{tree}-- /run/systemd/system/\n"));
        let systemd = machine.boot(answers);
        (machine, systemd)
    }

    /// What is waited for in vain here; for all else there is as much time as a busy machine takes.
    const SOON: Duration = Duration::from_millis(300);

    #[track_caller]
    fn assert_messages(outcome: &Outcome, expected: &[&str]) {
        let messages = outcome.messages();
        assert_eq!(messages.lines().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn drop_ins_belong_to_units_of_every_kind() {
        Machine::new("").check(
            "systemctl:\n  overrides:\n  - {service: foo.timer, content: x}\n  - {service: foo, name: a, content: y}\n\
             \x20 - {service: bar@x, name: b.conf, content: z}\n",
            "-- /etc/systemd/system/foo.timer.d/override-yip.conf 0644 0:0 no-newline\nx\n\
             -- /etc/systemd/system/foo.service.d/a.conf 0644 0:0 no-newline\ny\n\
             -- /etc/systemd/system/bar@x.service.d/b.conf 0644 0:0 no-newline\nz\n",
        );
    }

    #[test]
    fn an_override_without_unit_or_content_or_with_a_path_is_an_error_and_the_others_are_written() {
        let machine = Machine::new("");
        let outcome = machine.apply(
            "systemctl:\n  overrides:\n  - {content: x}\n  - {service: a}\n  - {service: a, name: ../../b, content: x}\n\
             \x20 - {service: ../a, content: x}\n  - {service: good, content: x}\n",
        );
        assert_messages(
            &outcome,
            &[
                "Error: test.yaml:3:5: missing key `service`",
                "Error: test.yaml:4:5: missing key `content`",
                "Error: test.yaml:5:24: \"../../b\" is not the name of a drop-in: it contains `/`; give the name \
                 only; the directory follows from `service`",
                "Error: test.yaml:6:15: \"../a\" is not the name of a unit: it contains '/'",
            ],
        );
        machine
            .assert_tree("-- /etc/systemd/system/good.service.d/override-yip.conf 0644 0:0 no-newline\nx\n");
    }

    #[test]
    fn one_unit_that_fails_does_not_keep_the_others() {
        let machine = Machine::new(UNITS);
        let outcome =
            machine.apply("systemctl:\n  enable: [missing, ../../etc/passwd, static, loop-a, web]\n");
        assert_messages(
            &outcome,
            &[
                "Error: test.yaml:2:21: \"../../etc/passwd\" is not the name of a unit: it contains '/'",
                "Error: test.yaml:2:12: there is no unit missing.service",
                "Warning: test.yaml:2:39: static.service has no [Install] section that says how to enable it: it is \
                 meant to be started by another unit, a socket, a timer or the like",
                "Error: test.yaml:2:47: /usr/lib/systemd/system/loop-a.service leads through too many links",
            ],
        );
        machine.assert_tree(WEB);
    }

    #[test]
    fn what_a_unit_file_says_cannot_leave_the_directory_of_units() {
        let machine = Machine::new(UNITS);
        let outcome = machine.apply("systemctl: {enable: [hostile]}");
        assert_eq!(outcome.findings.len(), 5, "{}", outcome.messages());
        machine.assert_tree(
            "-- /etc/systemd/system/multi-user.target.wants/hostile.service -> \
             /usr/lib/systemd/system/hostile.service\n",
        );
    }

    #[test]
    fn a_link_that_cannot_be_made_does_not_keep_the_others_nor_the_other_units() {
        let machine = Machine::new(&format!(
            "{UNITS}-- /etc/systemd/system/sockets.target.wants\nin the way\n\
             -- /usr/lib/systemd/system/both.service\n[Install]\nWantedBy=sockets.target multi-user.target\n"
        ));
        let outcome = machine.apply("systemctl: {enable: [both, web]}");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        assert!(
            outcome.messages().contains("both.service: WantedBy=sockets.target"),
            "{}",
            outcome.messages()
        );
        machine.assert_tree(&format!(
            "{WEB}-- /etc/systemd/system/multi-user.target.wants/both.service -> \
             /usr/lib/systemd/system/both.service\n"
        ));
    }

    #[test]
    fn a_file_that_is_too_large_for_a_unit_is_refused() {
        let large = format!("[Install]\nWantedBy=multi-user.target\n{}", "#\n".repeat(1 << 19));
        let machine = Machine::new(&format!("-- /usr/lib/systemd/system/huge.service\n{large}"));
        let outcome = machine.apply("systemctl: {enable: [huge]}");
        assert!(outcome.messages().contains("too many for a unit file"), "{}", outcome.messages());
        machine.assert_tree("");
    }

    #[test]
    fn masks_come_and_go_and_never_replace_a_real_unit() {
        let real = "-- /etc/systemd/system/real.service\n[Service]\n";
        let machine =
            Machine::new(&format!("{UNITS}{real}-- /etc/systemd/system/web.service -> /dev/null\n"));
        let outcome = machine.apply("systemctl: {mask: [real, gone], unmask: [web, real], enable: [web]}");
        assert_messages(
            &outcome,
            &[
                "Warning: test.yaml:1:47: real.service is unmasked and masked: in the end it is masked",
                "Error: test.yaml:1:20: cannot mask real.service: /etc/systemd/system/real.service is in its place; \
                 move the unit file to /usr/lib/systemd/system, or disable the unit first",
            ],
        );
        machine.assert_tree(&format!(
            "-- /etc/systemd/system/web.service removed\n-- /etc/systemd/system/gone.service -> /dev/null\n{WEB}"
        ));
    }

    #[test]
    fn disabling_twice_changes_nothing_more() {
        let machine = Machine::new(&format!("{UNITS}{WEB}"));
        let gone = "-- /etc/systemd/system/multi-user.target.wants/web.service removed\n\
                    -- /etc/systemd/system/\n";
        machine.check("systemctl: {disable: [web]}", gone);
    }

    #[test]
    fn enabling_an_alias_twice_is_fine() {
        let unit = "-- /usr/lib/systemd/system/a.service\n[Install]\nAlias=b.service\n";
        Machine::new(unit).check(
            "systemctl: {enable: [a, b]}",
            "-- /etc/systemd/system/b.service -> /usr/lib/systemd/system/a.service\n",
        );
    }

    #[test]
    fn with_a_merged_usr_an_equal_link_is_left_as_it_is() {
        let wanted = "-- /etc/systemd/system/multi-user.target.wants/web.service -> ";
        let machine =
            Machine::new(&format!("{UNITS}-- /lib -> usr/lib\n{wanted}/lib/systemd/system/web.service\n"));
        machine.check("systemctl: {enable: [web]}", "");
    }

    #[test]
    fn upheld_units_get_their_links() {
        let unit = "-- /usr/lib/systemd/system/a.service\n[Install]\nUpheldBy=b.service\n\
                    -- /usr/lib/systemd/system/b.service\n[Service]\n";
        Machine::new(unit).check(
            "systemctl: {enable: [a]}",
            "-- /etc/systemd/system/b.service.upholds/a.service -> /usr/lib/systemd/system/a.service\n",
        );
    }

    #[test]
    fn without_a_running_systemd_what_should_start_and_never_will_is_said_once() {
        let machine = Machine::new(UNITS);
        let outcome = machine.apply(
            "systemctl: {enable: [web], start: [web, one, two], restart: [web], stop: [a], reload: [b]}",
        );
        assert_messages(
            &outcome,
            &[
                "Warning: test.yaml:1:41: systemd is not running in this root, so this does not start, now or \
                 at the next boot: one.service, two.service; `enable` what shall start at boot",
            ],
        );
        assert!(outcome.commands.is_empty(), "{:?}", outcome.commands);
        machine.assert_tree(WEB);
    }

    #[test]
    fn a_running_systemd_reads_changed_units_again_and_then_does_what_it_is_asked_for() {
        let (machine, systemd) = booted(UNITS, &[]);
        let step = "systemctl: {enable: [web], start: [a], restart: [b], stop: [c], reload: [d]}";
        let verbs =
            ["StopUnit c.service", "StartUnit a.service", "RestartUnit b.service", "ReloadUnit d.service"];
        let outcome = machine.apply(step);
        assert_messages(&outcome, &[]);
        machine.assert_tree(WEB);
        let requests = systemd.take_requests();
        assert_eq!((&requests[0], &requests[1..]), (&"Reload".to_owned(), &verbs.map(str::to_owned)[..]));
        let controlled = |outcome: &Outcome| -> Vec<_> {
            let effects = outcome.effects.iter().filter(|effect| effect.action == Action::Systemd);
            effects.map(|effect| (effect.target.clone(), effect.changed)).collect()
        };
        let effect = |target: &str, changed| (target.to_owned(), changed);
        assert_eq!(
            controlled(&outcome),
            [
                effect("daemon-reload", true),
                effect("stop c.service", false),
                effect("start a.service", true),
                effect("restart b.service", true),
                effect("reload d.service", true),
            ]
        );
        let again = machine.apply(step);
        assert_eq!(systemd.take_requests(), verbs, "units that did not change are not read again");
        assert_eq!(
            controlled(&again),
            [
                effect("stop c.service", false),
                effect("start a.service", false),
                effect("restart b.service", true),
                effect("reload d.service", true),
            ]
        );
    }

    #[test]
    fn a_unit_that_fails_is_an_error_with_the_end_of_its_journal_and_the_next_is_started() {
        let (machine, systemd) = booted(
            UNITS,
            &[("a.service", JobAnswer::Ends("failed")), ("b.service", JobAnswer::Ends("dependency"))],
        );
        machine.host.answer("INVOCATION_ID=abab", 0, "one\n\x1b[31mlast words\n");
        let outcome = machine.apply("systemctl: {start: [a, b, web]}");
        assert_messages(
            &outcome,
            &[
                "Error: test.yaml:1:21: cannot start a.service: it has failed (exit-code, status 3); the end of its \
                 journal:",
                "one",
                "\\u{1b}[31mlast words",
                "Error: test.yaml:1:24: cannot start b.service: a unit that it needs has not started; the end of \
                 its journal:",
                "one",
                "\\u{1b}[31mlast words",
            ],
        );
        assert_eq!(systemd.take_requests().len(), 3);
        assert_eq!(outcome.effects.len(), 3, "asking the journal is no effect");
    }

    #[test]
    fn what_systemd_refuses_is_said_with_a_remedy() {
        let refused = |name, text| JobAnswer::Refused(name, text);
        let (machine, systemd) = booted(
            UNITS,
            &[
                ("a.service", refused("org.freedesktop.systemd1.UnitMasked", "Unit a.service is masked.")),
                ("b.service", refused("org.freedesktop.systemd1.NoSuchUnit", "Unit b.service not\tfound.")),
                ("c.service", refused("org.freedesktop.DBus.Error.AccessDenied", "Permission denied")),
                ("d.service", JobAnswer::Ends("invalid")),
            ],
        );
        let outcome = machine.apply("systemctl: {stop: [b], start: [a, b, c, web], reload: [d]}");
        assert_messages(
            &outcome,
            &[
                "Warning: test.yaml:1:20: there is no unit b.service to stop",
                "Error: test.yaml:1:32: cannot start a.service: Unit a.service is masked; `unmask` it first",
                "Error: test.yaml:1:35: cannot start b.service: Unit b.service not found; is its name right, and is \
                 its package installed?",
                "Error: test.yaml:1:38: cannot start c.service: Permission denied; run as root",
                "Error: test.yaml:1:56: cannot reload d.service: it is not running",
            ],
        );
        assert_eq!(systemd.take_requests().len(), 6);
    }

    #[test]
    fn all_jobs_are_queued_before_one_is_waited_for_and_one_may_end_before_its_number_is_known() {
        let answers =
            [("a.service", JobAnswer::DoneWith("b.service")), ("b.service", JobAnswer::EndsEarly("done"))];
        let (machine, _systemd) = booted(UNITS, &answers);
        assert_messages(&machine.apply("systemctl: {start: [a, b]}"), &[]);
    }

    #[test]
    fn what_must_wait_for_the_own_unit_is_queued_and_not_waited_for() {
        let answers = [
            ("late.service", JobAnswer::WaitsFor("middle.service")),
            ("middle.service", JobAnswer::WaitsFor("own.service")),
            ("own.service", JobAnswer::WaitsFor("own.service")),
            ("circle.service", JobAnswer::WaitsFor("circle.service")),
        ];
        let (machine, systemd) = booted(UNITS, &answers);
        let outcome = machine.apply("systemctl: {start: [late, middle, web], restart: [own]}");
        assert_messages(&outcome, &[]);
        let targets: Vec<&str> = outcome.effects.iter().map(|effect| effect.target.as_str()).collect();
        assert_eq!(
            targets,
            [
                "start web.service",
                "start late.service (queued, to be done after own.service)",
                "start middle.service (queued, to be done after own.service)",
                "restart own.service (queued, to be done after own.service)",
            ]
        );
        machine.host.systemd_at(systemd.socket(), Limits { jobs: SOON, ..Limits::default() });
        let outcome = machine.apply("systemctl: {start: [circle]}");
        assert_messages(
            &outcome,
            &[
                "Warning: test.yaml:1:21: circle.service: the start has not ended within 0.3 s; systemd goes on with it",
            ],
        );
    }

    #[test]
    fn a_connection_that_breaks_and_a_systemd_that_is_silent_or_missing_are_errors() {
        let answers = [("a.service", JobAnswer::HangUp), ("b.service", JobAnswer::Silence)];
        let (machine, systemd) = booted(UNITS, &answers);
        for (step, message) in [
            ("systemctl: {start: [a, web]}", "systemd has closed the connection at StartUnit"),
            ("systemctl: {start: [b, web]}", "systemd has not answered StartUnit for 0.3 s"),
        ] {
            assert_messages(&machine.apply(step), &[&format!("Error: test.yaml:1:1: {message}")]);
            assert_eq!(systemd.take_requests().len(), 1);
            machine.host.systemd_at(systemd.socket(), Limits { answer: SOON, ..Limits::default() });
        }
        drop(systemd);
        let outcome = machine.apply("systemctl: {enable: [web], start: [a]}");
        assert!(outcome.messages().contains("cannot talk to systemd: "), "{}", outcome.messages());
        machine.assert_tree(WEB);
    }

    #[test]
    fn a_plan_tells_what_systemd_would_be_asked_for_and_asks_nothing() {
        let (machine, systemd) = booted(UNITS, &[]);
        let planned = machine.plan("systemctl: {enable: [web], start: [web], stop: [a]}");
        assert_messages(&planned, &[]);
        let targets: Vec<&str> =
            planned.effects.iter().rev().take(3).map(|effect| effect.target.as_str()).collect();
        assert_eq!(targets, ["start web.service", "stop a.service", "daemon-reload"]);
        assert!(systemd.take_requests().is_empty());
    }

    #[test]
    fn the_systemd_of_an_initramfs_is_not_the_one_of_the_new_root() {
        let (machine, systemd) = booted(UNITS, &[]);
        machine.host.kernel_file("/proc/1/mountinfo", "1 1 0:2 / / rw - rootfs rootfs rw\n");
        machine.host.kernel_file("/proc/self/mountinfo", "30 1 7:0 / / ro - ext4 /dev/loop0 ro\n");
        let outcome = machine.apply("systemctl: {start: [web]}");
        assert!(outcome.messages().contains("systemd is not running"), "{}", outcome.messages());
        assert!(systemd.take_requests().is_empty());
    }

    #[test]
    fn a_plan_tells_the_links_and_makes_none() {
        let machine = Machine::new(UNITS);
        let planned =
            machine.plan("systemctl: {enable: [web], mask: [x], overrides: [{service: web, content: x}]}");
        assert!(planned.findings.is_empty(), "{}", planned.messages());
        assert!(
            planned
                .effects
                .iter()
                .any(|effect| effect.changed && effect.target.ends_with("wants/web.service"))
        );
        machine.assert_tree("");
    }
}
