//! Conditions: whether a step runs, and why not.
//!
//! All conditions of a step must hold. An empty one is no condition, as in yip. Unlike in yip, a condition that
//! cannot be understood is an error with a position instead of a step that is skipped in silence.

mod machine;
mod paths;

use crate::system::{Command, Mode};
use crate::{Context, System};
use anyhow::Result;
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Findings, Spanned, Text};
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
    pub const KEYS: &[&str] =
        &["node", "if", "only_os", "only_os_version", "only_arch", "only_service_manager", "if_files"];

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

fn is_empty(node: &Node) -> bool {
    node.is_null() || matches!(&node.value, Value::Scalar(scalar) if scalar.text.trim().is_empty())
}
