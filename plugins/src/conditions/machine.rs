//! Conditions on what the machine is: `node`, `only_os`, `only_os_version`, `only_arch`, `only_service_manager`.

use crate::System;
use crate::facts::Facts;
use crate::pattern::Pattern;
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Span, Text, suggest};

/// Architectures that have another name than in Go, with that name.
const ARCHITECTURES: [(&str, &str); 6] = [
    ("x86_64", "amd64"),
    ("x86-64", "amd64"),
    ("aarch64", "arm64"),
    ("i386", "386"),
    ("i686", "386"),
    ("armv7", "arm"),
];

/// All architectures for which Go has a name and Linux a kernel.
const KNOWN_TO_GO: [&str; 17] = [
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc", "ppc64",
    "ppc64le", "riscv", "riscv64", "s390x", "sparc", "sparc64",
];

/// What a pattern is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// The name of the running machine.
    Hostname,
    /// `PRETTY_NAME` of os-release(5) in the root.
    Os,
    /// `VERSION_ID` of os-release(5) in the root.
    OsVersion,
    /// The architecture by Go's name.
    Architecture,
}

/// A regular expression that must match somewhere in a fact.
#[derive(Debug)]
pub(super) struct Matches {
    fact: Fact,
    source: Text,
    pattern: Pattern,
}

impl Matches {
    pub(super) fn decode(fact: Fact, node: &Node, findings: &mut Findings) -> Option<Self> {
        let source = Text::decode(node, findings)?;
        match Pattern::new(source.as_str()) {
            Ok(pattern) => Some(Self { fact, source, pattern }),
            Err(error) => {
                let before = source.as_str().get(..error.offset).unwrap_or_default();
                let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
                let line = 1 + before.matches('\n').count();
                let column = 1 + before[line_start..].chars().count();
                let place = source.locate(line.try_into().unwrap_or(1), column.try_into().unwrap_or(1));
                let finding = findings.error(place, format!("invalid regular expression: {}", error.message));
                if error.message.starts_with("RE2 has no") {
                    finding.help("match what the step shall run on, or decide with `if`");
                }
                None
            }
        }
    }

    /// See [`Decode::shape`].
    pub(super) fn shape() -> Shape {
        Shape::text("regular expression")
    }

    /// Why no machine is like that: architectures are few, and known.
    pub(super) fn contradiction(&self) -> Option<(Span, String)> {
        let some = || KNOWN_TO_GO.iter().any(|name| self.pattern.is_match(name));
        if self.fact != Fact::Architecture || some() {
            return None;
        }
        let pattern = self.source.as_str();
        let hint =
            self.hint().unwrap_or_else(|| "; they have the names of Go: amd64, arm64, riscv64".to_owned());
        Some((self.source.span(), format!("`only_arch`: no architecture matches {pattern:?}{hint}")))
    }

    fn hint(&self) -> Option<String> {
        let pattern = self.source.as_str();
        ARCHITECTURES
            .iter()
            .find(|(other, _)| self.fact == Fact::Architecture && pattern.contains(other))
            .map(|(other, name)| format!("; {other} is called {name} here, as in Go"))
    }

    /// Why the step must not run.
    pub(super) fn objection(&self, facts: &Facts) -> Option<String> {
        let (key, name, value) = match self.fact {
            Fact::Hostname => ("node", "host name", Some(facts.hostname())),
            Fact::Os => ("only_os", "operating system", facts.os_pretty_name()),
            Fact::OsVersion => ("only_os_version", "version", facts.os_version_id()),
            Fact::Architecture => ("only_arch", "architecture", Some(facts.architecture())),
        };
        let Some(value) = value.filter(|value| self.fact == Fact::Hostname || !value.is_empty()) else {
            return Some(format!("`{key}`: the os-release of the root does not say its {name}"));
        };
        if self.pattern.is_match(value) {
            return None;
        }
        let pattern = self.source.as_str();
        let hint = self.hint().unwrap_or_default();
        Some(format!("`{key}`: {name} {value:?} does not match {pattern:?}{hint}"))
    }
}

/// The program that manages services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ServiceManager {
    Systemd,
    Openrc,
}

impl Decode for ServiceManager {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let name = String::decode(node, findings)?;
        match name.trim().to_ascii_lowercase().as_str() {
            "systemd" => Some(Self::Systemd),
            "openrc" => Some(Self::Openrc),
            other => {
                let error = findings.error(node.span, format!("unknown service manager {other:?}"));
                match suggest(other, ["systemd", "openrc"]) {
                    Some(near) => error.help(format!("did you mean `{near}`?")),
                    None => error.help("write `systemd` or `openrc`"),
                };
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Choice(&["systemd", "openrc"])
    }
}

impl ServiceManager {
    /// Why the step must not run. A root may hold both managers: then the one that runs is meant, and where
    /// neither runs, as in an image that is being made, each of them.
    pub(super) fn objection(self, sys: &System) -> Result<Option<String>> {
        if !self.is_installed(sys)? {
            let program = self.program();
            return Ok(Some(format!("`only_service_manager`: the root has no {program}")));
        }
        let other = self.other();
        if other.is_installed(sys)? && other.is_running(sys)? && !self.is_running(sys)? {
            return Ok(Some(format!("`only_service_manager`: {} is running", other.name())));
        }
        Ok(None)
    }

    fn is_installed(self, sys: &System) -> Result<bool> {
        for directory in ["/usr/bin", "/bin", "/usr/sbin", "/sbin"] {
            if sys.exists(format!("{directory}/{}", self.program()))? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// By the directory that it makes when it starts: sd_booted(3), and openrc's own.
    fn is_running(self, sys: &System) -> Result<bool> {
        sys.exists(match self {
            Self::Systemd => "/run/systemd/system",
            Self::Openrc => "/run/openrc",
        })
    }

    fn other(self) -> Self {
        match self {
            Self::Systemd => Self::Openrc,
            Self::Openrc => Self::Systemd,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Systemd => "systemd",
            Self::Openrc => "openrc",
        }
    }

    fn program(self) -> &'static str {
        match self {
            Self::Systemd => "systemctl",
            Self::Openrc => "openrc",
        }
    }
}
