//! Makes symbolic links.
//!
//! ```yaml
//! links:
//! - path: /etc/localtime
//!   target: ../usr/share/zoneinfo/Europe/Berlin
//! - path: /etc/motd
//!   target: /run/motd
//!   force: true
//! ```
//!
//! ```text before
//! -- /etc/localtime -> ../usr/share/zoneinfo/UTC
//! -- /etc/motd
//! Welcome
//! ```
//!
//! ```text after
//! -- /etc/localtime -> ../usr/share/zoneinfo/Europe/Berlin
//! -- /etc/motd -> /run/motd
//! ```
//!
//! A link that exists is replaced in one step, so that at no moment there is none. A file in its place is an
//! error unless `force` is set; a directory with something in it always is. The target need not exist. yip has
//! no such key.

use crate::path::AbsolutePath;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Span, record};

/// Symbolic links, made in the order in which they are written.
#[derive(Debug)]
pub(crate) struct Links(Vec<Link>);

record! {
    /// One symbolic link.
    #[derive(Debug)]
    struct Link {
        /// Where it goes.
        path: AbsolutePath = required,
        /// What it points to, written into the link as it is.
        target: Target = required,
        /// Whether a file in its place is replaced.
        force: bool,
    }
}

impl Decode for Links {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Decode::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Vec::<Link>::shape()
    }
}

impl Plugin for Links {
    const KEY: &'static str = "links";

    fn replaces(&self) -> Vec<(&str, Span)> {
        self.0.iter().map(|link| (link.path.as_str(), link.path.span())).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        for Link { path, target, force } in &self.0 {
            cx.attempt(path.span(), sys.symlink(&target.0, path, *force));
        }
        Ok(())
    }
}

/// The target of a link, which may be relative to the directory that holds the link.
#[derive(Debug)]
struct Target(String);

impl Decode for Target {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let target = String::decode(node, findings)?;
        let target = target.trim();
        if target.is_empty() {
            findings.error(node.span, "a link needs a target");
        } else if target.contains(char::is_control) {
            findings.error(node.span, format!("the target {target:?} holds a control character"));
        } else {
            return Some(Self(target.to_owned()));
        }
        None
    }

    fn shape() -> Shape {
        Shape::text("path")
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{Machine, Tree};

    #[test]
    fn a_link_is_made_with_the_directories_above_it() {
        let machine = Machine::new("");
        machine.check("links: [{path: /a/b/c, target: ../x}]", "-- /a/b/c -> ../x\n");
    }

    #[test]
    fn a_file_is_only_replaced_by_force_and_a_full_directory_never() {
        let machine = Machine::new("-- /file\nkeep me\n-- /dir/file\nkeep me too\n");
        let outcome = machine.apply(
            "links: [{path: /file, target: x}, {path: /dir, target: x, force: true}, {path: /last, target: x}]",
        );
        assert_eq!(outcome.findings.len(), 2, "{}", outcome.messages());
        machine.assert_tree("-- /last -> x\n");
        machine.check("links: [{path: /file, target: x, force: true}]", "-- /file -> x\n-- /last -> x\n");
    }

    #[test]
    fn a_link_to_a_directory_is_replaced_and_not_entered() {
        let machine = Machine::new("-- /dir/file\n-- /current -> dir\n");
        machine.check("links: [{path: /current, target: /other}]", "-- /current -> /other\n");
    }

    #[test]
    fn links_above_the_link_lead_nowhere_outside_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let machine = Machine::new(&format!("-- /away -> {}\n-- /loop -> loop\n", outside.path().display()));
        let outcome = machine.apply("links: [{path: /away/x, target: y}, {path: /loop/x, target: y}]");
        assert!(outcome.messages().contains("/loop"), "{}", outcome.messages());
        assert_eq!(Tree::read(outside.path(), &machine.host).unwrap(), Tree::default());
    }

    #[test]
    fn incomplete_links_are_refused_and_the_others_made() {
        let machine = Machine::new("");
        let outcome = machine.apply(
            "links: [{path: /a}, {target: /b}, {path: /c, target: ''}, {path: d, target: /e}, {path: /f, target: g}]",
        );
        assert_eq!(outcome.findings.len(), 4, "{}", outcome.messages());
        machine.assert_tree("-- /f -> g\n");
    }

    #[test]
    fn planning_makes_nothing() {
        let machine = Machine::new("");
        let outcome = machine.plan("links: [{path: /a, target: b}]");
        assert!(outcome.findings.is_empty() && outcome.effects[0].changed);
        machine.assert_tree("");
    }
}
