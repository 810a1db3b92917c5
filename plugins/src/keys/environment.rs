//! Sets variables in a file of variables, `/etc/environment` unless `environment_file` names another one.
//!
//! ```yaml
//! environment:
//!   EDITOR: vim
//!   UMASK: 0022
//!   GREETING: costs $5
//! ```
//!
//! ```text before
//! -- /etc/environment
//! # set by hand
//! export EDITOR=nano
//! PATH="/opt/bin:$PATH"
//! ```
//!
//! ```text after
//! -- /etc/environment
//! # set by hand
//! export EDITOR=vim
//! PATH="/opt/bin:$PATH"
//! UMASK=0022
//! GREETING='costs $5'
//! ```
//!
//! Everything else in the file stays as it is: comments, the order, other variables, and `$PATH` is never
//! expanded. (yip drops comments, sorts, expands, and turns `0022` into `22`.) Values are templates; they are
//! quoted so that systemd, pam_env(8) and shells read the same text. One line break at the end of a value is
//! dropped, others are an error. Missing directories get mode 0755 (in yip 0744, which nobody else can enter).

use super::environment_file::EnvironmentFile;
use crate::env_file::{self, EnvFile};
use crate::system::File;
use crate::{Context, Plugin, System};
use anyhow::{Context as _, Result};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Named, Shape, Spanned, Text};

/// Where pam_env(8) reads the variables of login sessions.
const OF_LOGINS: &str = "/etc/environment";

/// Variables by name, in the order of the source. Values may be secrets, and so this has no `Debug`.
pub(crate) struct Environment(Vec<(Spanned<String>, Text)>);

impl Decode for Environment {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Named(mut variables) = Named::<Text>::decode(node, findings)?;
        variables.retain(|(key, _)| {
            let valid = env_file::is_name(key.as_bytes());
            if !valid {
                findings
                    .error(key.span, format!("{:?} cannot be the name of a variable", key.value))
                    .help("use letters, digits and `_`, and no digit first");
            }
            valid
        });
        Some(Self(variables))
    }

    fn shape() -> Shape {
        Named::<Text>::shape()
    }
}

impl Plugin for Environment {
    const KEY: &'static str = "environment";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        let path = EnvironmentFile::of_step(cx)?.unwrap_or_else(|| OF_LOGINS.to_owned());
        let before = sys.read(&path)?.unwrap_or_default();
        let (mut file, unclosed) = EnvFile::parse(&before);
        if let Some(line) = unclosed {
            let (key, _) = &self.0[0];
            cx.warn(
                key.span,
                format!("{path}: a quote in line {line} is never closed, and hides what follows"),
            );
        }
        for (key, value) in &self.0 {
            let value = cx.render(value);
            let value = value.strip_suffix('\n').unwrap_or(&value);
            let set = file.set(key, value).with_context(|| format!("cannot set {}", key.value));
            if cx.attempt(key.span, set).is_some() && path == OF_LOGINS && !env_file::pam_agrees(value) {
                let message = format!("{}: login sessions do not see this value as it is meant", key.value);
                cx.warn(key.span, message + " (`#`, or both kinds of quotes, in it)");
            }
        }
        sys.write(File::new(path, file.into_bytes()))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn scalars_keep_their_text() {
        Machine::new("").check(
            "environment: {A: 010, B: yes, C: ~, D: 1.50, E: \"x$y !\", F: 1e3, G: 2001-01-01}",
            "-- /etc/environment\nA=010\nB=yes\nC=\"\"\nD=1.50\nE='x$y !'\nF=1e3\nG=2001-01-01\n",
        );
    }

    #[test]
    fn another_file_is_written_with_its_directories_and_keeps_its_mode() {
        let step = "environment_file: /run/cos/cos-layout.env\nenvironment:\n  VOLUMES: LABEL=COS_OEM:/oem\n";
        let file = "-- /run/cos/cos-layout.env\nVOLUMES=\"LABEL=COS_OEM:/oem\"\n";
        Machine::new("").check(step, file);
        let machine = Machine::new("-- /run/cos/cos-layout.env 0600 1:2\n# kept\n");
        machine.check(step, "-- /run/cos/cos-layout.env 0600 1:2\n# kept\nVOLUMES=\"LABEL=COS_OEM:/oem\"\n");
    }

    #[test]
    fn a_bad_name_or_value_is_left_out_and_the_others_are_set() {
        let machine = Machine::new("");
        let outcome =
            machine.apply("environment:\n  A-B: 1\n  GOOD: 2\n  LINES: |\n    a\n    b\n  LINE: |\n    a\n");
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:2:3: \"A-B\" cannot be the name of a variable; use letters, digits and `_`, and no \
             digit first\n\
             Error: test.yaml:4:3: cannot set LINES: the value has more than one line, which a file of variables \
             cannot hold\n"
        );
        machine.assert_tree("-- /etc/environment\nGOOD=2\nLINE=a\n");
    }

    #[test]
    fn without_its_file_nothing_is_written_anywhere() {
        let machine = Machine::new("");
        let outcome = machine.apply("environment_file: [a]\nenvironment: {A: 1}\n");
        assert!(outcome.messages().contains("`environment_file`"), "{}", outcome.messages());
        machine.assert_tree("");
    }

    #[test]
    fn what_readers_would_not_agree_on_is_said_without_the_value() {
        let machine = Machine::new("-- /etc/environment\nA=\"open\n");
        let outcome = machine.apply("environment: {SECRET: \"hunter#2\", OTHER: \"'$\"}");
        assert_eq!(outcome.findings.len(), 3, "{}", outcome.messages());
        assert!(!outcome.messages().contains("hunter"), "{}", outcome.messages());
        machine.assert_tree("-- /etc/environment\nA=\"open\nSECRET=\"hunter#2\"\nOTHER=\"'\\$\"\n");
    }

    #[test]
    fn a_directory_in_the_place_of_the_file_is_an_error() {
        let outcome = Machine::new("-- /etc/environment/\n").apply("environment: {A: 1}");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
    }
}
