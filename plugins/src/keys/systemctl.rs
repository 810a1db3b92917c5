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
//! `stop`, `start`, `restart`, `reload`. (yip writes the drop-ins last, when the units run already.) All but
//! the last four are done to the files of the root, so that images and the root of an initramfs need no
//! running systemd; where it runs, it is told to read its units again if anything has changed.

use crate::system::{Command, File};
use crate::units::{self, Report, UnitName};
use crate::{Context, Plugin, System};
use anyhow::{Result, bail};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Span, Spanned, record};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

record! {
    /// What shall become of units. Without one of the known suffixes, `.service` is meant.
    #[derive(Debug)]
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
    #[derive(Debug)]
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
            ("stop", &self.stop),
            ("start", &self.start),
            ("restart", &self.restart),
            ("reload", &self.reload),
        ];
        if !changed && verbs.iter().all(|(_, units)| units.is_empty()) {
            return Ok(());
        }
        if !units::systemd_is_running(sys)? {
            self.warn_of_what_does_not_start(cx);
            return Ok(());
        }
        let reloaded = if changed { systemctl(sys, &["daemon-reload"]) } else { Ok(()) };
        for (verb, units) in verbs {
            for unit in units {
                cx.attempt(unit.0.span, systemctl(sys, &["--no-block", verb, unit.name()]));
            }
        }
        reloaded
    }
}

impl Systemctl {
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
                "systemd is not running in this root: {} is not started, now or at the next boot; to have it \
                 started at boot, `enable` it",
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

/// Asks the running systemd for something.
fn systemctl(sys: &System, arguments: &[&str]) -> Result<()> {
    let words: Vec<&str> = arguments.iter().copied().filter(|word| !word.starts_with("--")).collect();
    let label = format!("systemctl {}", words.join(" "));
    let command = arguments
        .iter()
        .fold(Command::new(&label, "systemctl"), |command, argument| command.argument(*argument));
    match sys.run(&command)? {
        Some(output) if !output.success() => {
            let said = String::from_utf8_lossy(&output.tail);
            let said = said.trim().lines().last().unwrap_or("it said nothing");
            bail!("`{label}` ended with status {}: {said}", output.status);
        }
        _ => Ok(()),
    }
}
