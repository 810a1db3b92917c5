//! Conditions: whether a step runs, and why not.

use crate::{Context, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Findings, Spanned};

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
pub struct Conditions {}

impl Conditions {
    /// The keys of a step that are conditions.
    pub const KEYS: &[&str] =
        &["node", "if", "only_os", "only_os_version", "only_arch", "only_service_manager", "if_files"];

    /// Reads the conditions among the keys of a step. `None` when one of them cannot be understood: the step
    /// must then not run.
    pub fn decode(_fields: &[(Spanned<String>, Node)], _findings: &mut Findings) -> Option<Self> {
        Some(Self {})
    }

    /// Asks each condition, the cheap ones first and the shell last. `Err` means that a question could not be
    /// answered.
    pub fn evaluate(&self, _cx: &Context, _sys: &System) -> Result<Verdict> {
        Ok(Verdict::Run)
    }
}
