//! Makes directories.
//!
//! ```yaml
//! directories:
//! - path: /var/lib/app/data
//!   permissions: 0750
//!   owner_string: app
//! - path: /var/log/journal
//! ```
//!
//! ```text before
//! -- /etc/passwd
//! app:x:400:400::/var/lib/app:/sbin/nologin
//! -- /var/lib/
//! -- /var/log/journal/ 2755 0:190
//! ```
//!
//! ```text after
//! -- /var/lib/app/ 0750 400:400
//! -- /var/lib/app/data/ 0750 400:400
//! ```
//!
//! A directory that exists keeps its mode and owner unless they are given; a new one without `permissions` gets
//! 0755 and belongs to root. Missing directories above it get its owner and mode, with search permission where
//! there is read permission and without write permission for everybody.
//!
//! Differences from yip, which sets mode 0000 when none is given, also on a directory that exists, and gives a
//! directory above a mode that may keep even its owner out.

use crate::accounts::owner::{self, Number};
use crate::path::AbsolutePath;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Permissions, Shape, record};

/// Directories, made in the order in which they are written.
#[derive(Debug)]
pub(crate) struct Directories(Vec<Directory>);

record! {
    /// One directory.
    #[derive(Debug)]
    struct Directory {
        /// Where it goes.
        path: AbsolutePath = required,
        /// Its mode.
        permissions: Option<Permissions>,
        /// The number of the user that owns it.
        owner: Option<Number>,
        /// The number of its group.
        group: Option<Number>,
        /// `user` or `user:group`, names of the root; wins over `owner` and `group`.
        owner_string: Option<String> as "owner_string" | "ownerstring",
    }
}

impl Decode for Directories {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Decode::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Vec::<Directory>::shape()
    }
}

impl Plugin for Directories {
    const KEY: &'static str = "directories";

    fn check(&self, findings: &mut Findings) {
        for Directory { path, permissions, .. } in &self.0 {
            let Some(Permissions(mode)) = permissions else { continue };
            let searchable = mode | (mode & 0o444) >> 2;
            if searchable != *mode {
                findings
                    .warn(
                        path.span(),
                        format!("nobody but root can use the files in {} (mode {mode:04o})", path.as_str()),
                    )
                    .help(format!("write `permissions: {searchable:04o}`"));
            }
        }
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        for directory in &self.0 {
            cx.attempt(directory.path.span(), directory.create(sys));
        }
        Ok(())
    }
}

impl Directory {
    fn create(&self, sys: &System) -> Result<bool> {
        let owner = owner::requested(sys, self.owner, self.group, self.owner_string.as_deref())?;
        sys.create_dir(&self.path, self.permissions.map(|Permissions(mode)| mode), owner)
    }
}

#[cfg(test)]
mod tests {
    use crate::system::Mode;
    use crate::testing::{Machine, Tree};

    #[test]
    fn missing_directories_above_get_the_owner_and_a_mode_that_lets_in() {
        let machine = Machine::new("");
        let step = "directories: [{path: /a/b, permissions: 01757, owner: 7}]";
        machine.check(step, "-- /a/ 0755 7:0\n-- /a/b/ 1757 7:0\n");
    }

    #[test]
    fn a_directory_that_exists_changes_only_as_asked() {
        let tree = "-- /data/ 0700 5:6\n";
        Machine::new(tree).check("directories: [{path: /data}]", "");
        Machine::new(tree).check("directories: [{path: /data, permissions: 02750}]", "-- /data/ 2750 5:6\n");
        Machine::new(tree).check("directories: [{path: /data, owner: 1, group: 2}]", "-- /data/ 0700 1:2\n");
    }

    #[test]
    fn a_file_in_its_place_is_an_error_and_the_others_are_made() {
        let machine = Machine::new("-- /data\nkeep me\n");
        let outcome =
            machine.apply("directories: [{path: /one}, {path: /data}, {path: /data/sub}, {path: /two}]");
        assert_eq!(outcome.findings.len(), 2, "{}", outcome.messages());
        assert!(outcome.messages().contains("/data"), "{}", outcome.messages());
        machine.assert_tree("-- /one/\n-- /two/\n");
    }

    #[test]
    fn an_unknown_owner_is_an_error_before_anything_is_made() {
        let machine = Machine::new("");
        let outcome = machine.apply("directories: [{path: /a, owner_string: nosuch}, {path: /b}]");
        assert_eq!(outcome.messages(), "Error: test.yaml:1:22: no user \"nosuch\" in /etc/passwd\n");
        machine.assert_tree("-- /b/\n");
    }

    #[test]
    fn links_lead_nowhere_outside_the_root() {
        let outside = tempfile::tempdir().unwrap();
        let target = outside.path().display();
        let machine = Machine::new(&format!("-- /away -> {target}\n-- /loop -> loop\n"));
        let outcome = machine.apply("directories: [{path: /away/x}, {path: /loop/x}, {path: /../../y}]");
        assert!(outcome.messages().contains("/loop"), "{}", outcome.messages());
        assert_eq!(Tree::read(outside.path(), &machine.host).unwrap(), Tree::default());
        assert!(machine.system(Mode::Apply).exists("/y").unwrap());
    }

    #[test]
    fn a_directory_that_only_root_can_use_is_a_warning() {
        let machine = Machine::new("");
        let outcome =
            machine.apply("directories: [{path: /a, permissions: 0600}, {path: /b, permissions: 0711}]");
        assert_eq!(
            outcome.messages(),
            "Warning: test.yaml:1:22: nobody but root can use the files in /a (mode 0600); \
             write `permissions: 0700`\n"
        );
    }

    #[test]
    fn planning_makes_nothing() {
        let machine = Machine::new("-- /b/ 0700\n");
        let outcome = machine.plan("directories: [{path: /a/b}, {path: /b, permissions: 0755}]");
        assert!(outcome.findings.is_empty() && outcome.effects.iter().all(|effect| effect.changed));
        machine.assert_tree("");
    }
}
