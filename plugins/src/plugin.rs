//! What a plugin is, and the table of all of them.

use crate::{Context, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Span};

/// One key of a step. The configuration struct is the plugin.
///
/// A plugin lives in `keys/<KEY>.rs`. That file opens with a doc comment that shows YAML and the files that
/// come of it; the example is run as a test (see `testing`).
pub trait Plugin: Decode + 'static {
    /// The key in a step: `dns`.
    const KEY: &'static str;

    /// Looks for mistakes that decoding cannot see. Pure: no file is looked at.
    fn check(&self, _findings: &mut Findings) {}

    /// The files that it replaces whatever is in them, and where each is named. Pure, as `check` is.
    fn replaces(&self) -> Vec<(&str, Span)> {
        Vec::new()
    }

    /// The users that it is about. Pure, as `check` is.
    fn accounts(&self) -> Vec<String> {
        Vec::new()
    }

    /// The units that it is about, with their suffixes. Pure, as `check` is.
    fn units(&self) -> Vec<String> {
        Vec::new()
    }

    /// Brings the machine into the state that the configuration describes. Called at every boot: what is so
    /// already stays untouched.
    ///
    /// Items fail one by one through [`Context::attempt`] so that the others still happen; `Err` is for what
    /// prevents all of them.
    fn apply(&self, cx: &Context, sys: &System) -> Result<()>;
}

/// A decoded plugin whose type is forgotten.
pub trait Instance {
    /// The key in the step.
    fn key(&self) -> &'static str;
    /// [`Plugin::replaces`].
    fn replaces(&self) -> Vec<(&str, Span)>;
    /// [`Plugin::accounts`].
    fn accounts(&self) -> Vec<String>;
    /// [`Plugin::units`].
    fn units(&self) -> Vec<String>;
    /// [`Plugin::apply`].
    fn apply(&self, cx: &Context, sys: &System) -> Result<()>;
}

impl<P: Plugin> Instance for P {
    fn key(&self) -> &'static str {
        P::KEY
    }

    fn replaces(&self) -> Vec<(&str, Span)> {
        Plugin::replaces(self)
    }

    fn accounts(&self) -> Vec<String> {
        Plugin::accounts(self)
    }

    fn units(&self) -> Vec<String> {
        Plugin::units(self)
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        Plugin::apply(self, cx, sys)
    }
}

/// An entry of the table of plugins.
pub struct Registered {
    /// The key in a step.
    pub key: &'static str,
    /// Decodes and checks the value of the key.
    pub decode: fn(&Node, &mut Findings) -> Option<Box<dyn Instance>>,
    /// What its value looks like.
    pub shape: fn() -> Shape,
}

impl Registered {
    /// The entry of one plugin.
    pub const fn of<P: Plugin>() -> Self {
        Self {
            key: P::KEY,
            decode: |node, findings| {
                let plugin = P::decode(node, findings)?;
                plugin.check(findings);
                Some(Box::new(plugin))
            },
            shape: P::shape,
        }
    }
}
