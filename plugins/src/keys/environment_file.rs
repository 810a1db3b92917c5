//! The file that `environment` writes, instead of `/etc/environment`.
//!
//! ```yaml
//! environment_file: /etc/default/app
//! environment:
//!   APP_PORT: 8080
//! ```
//!
//! ```text after
//! -- /etc/default/app
//! APP_PORT=8080
//! ```
//!
//! The key does nothing by itself.

use crate::{Context, Plugin, System};
use anyhow::{Context as _, Result};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Spanned};

/// The path of the file.
#[derive(Debug)]
pub(crate) struct EnvironmentFile(Spanned<String>);

impl Decode for EnvironmentFile {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Spanned::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Shape::text("path")
    }
}

impl EnvironmentFile {
    /// The file that a step names, if it names one. One that cannot be read is an error: the variables must
    /// not end up somewhere else.
    pub(super) fn of_step(cx: &Context) -> Result<Option<String>> {
        if !cx.has(Self::KEY) {
            return Ok(None);
        }
        let file: Self =
            cx.field(Self::KEY).context("no variable is set because `environment_file` is unusable")?;
        Ok(Some(file.0.value).filter(|path| !path.is_empty()))
    }
}

impl Plugin for EnvironmentFile {
    const KEY: &'static str = "environment_file";

    fn apply(&self, cx: &Context, _sys: &System) -> Result<()> {
        if !cx.has("environment") {
            cx.warn(self.0.span, "`environment_file` without `environment` does nothing");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn alone_it_does_nothing_and_says_so() {
        let machine = Machine::new("");
        let outcome = machine.apply("environment_file: /etc/app");
        let expected = "Warning: test.yaml:1:19: `environment_file` without `environment` does nothing\n";
        assert_eq!(outcome.messages(), expected);
        machine.assert_tree("");
    }
}
