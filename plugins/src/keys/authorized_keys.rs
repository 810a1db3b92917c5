//! Lets users log in with SSH keys.
//!
//! ```text before
//! -- /etc/passwd
//! alice:x:1000:1000::/home/alice:/bin/sh
//! -- /home/alice/ 0755 1000:1000
//! ```
//!
//! ```yaml
//! authorized_keys:
//!   alice:
//!     - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB alice@laptop
//! ```
//!
//! ```text after
//! -- /home/alice/.ssh/ 0700 1000:1000
//! -- /home/alice/.ssh/authorized_keys 0600 1000:1000
//! ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB alice@laptop
//! ```
//!
//! `github:USER`, `gitlab:USER` and the address of a list of keys stand for the keys that are there, at the stage
//! in which they are asked for; a server must prove who it is. What cannot be fetched is an error, and changes
//! nothing.
//!
//! A key is added unless the file has it already, whatever options and comment stand around it there; no key is
//! ever removed. Users are those of the root. No link that belongs to the user is followed.

use crate::accounts::{self, authorized_keys::install};
use crate::{Context, Plugin, System};
use anyhow::{Context as _, Result};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Named, Shape, Text};

/// Keys for each user.
pub(crate) struct AuthorizedKeys(Named<Vec<Text>>);

impl Decode for AuthorizedKeys {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Named::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Named::<Vec<Text>>::shape()
    }
}

impl Plugin for AuthorizedKeys {
    const KEY: &'static str = "authorized_keys";

    fn accounts(&self) -> Vec<String> {
        self.0.0.iter().map(|(name, _)| name.value.clone()).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        for (name, keys) in &self.0.0 {
            let user = accounts::user(sys, name).and_then(|user| {
                user.with_context(|| format!("user `{}` is not in /etc/passwd", name.value))
            });
            if let Some(user) = cx.attempt(name.span, user) {
                cx.attempt(name.span, install(cx, sys, &user, keys));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::facts::Facts;
    use crate::system::{Live, Mode};
    use crate::testing::{Answer, Authority, Machine, Server};
    use crate::{Context, Plugin, System};
    use cosette_schema::{Decode, Findings, Origin, yaml};
    use std::os::unix::fs::{lchown, symlink};
    use std::path::Path;
    use std::sync::Arc;

    const A: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB";
    const B: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC";
    const ALICE: &str = "-- /etc/passwd\nalice:x:1000:1000::/home/alice:\n-- /home/alice/ 0755 1000:1000\n";

    #[test]
    fn a_user_who_is_not_there_does_not_stop_the_others() {
        let machine = Machine::new(ALICE);
        let outcome = machine.apply(&format!("authorized_keys: {{ghost: [{A}], alice: [{B}]}}"));
        assert_eq!(outcome.messages(), "Error: test.yaml:1:19: user `ghost` is not in /etc/passwd\n");
        machine.assert_tree(&format!(
            "-- /home/alice/.ssh/ 0700 1000:1000\n-- /home/alice/.ssh/authorized_keys 0600 1000:1000\n{B}\n"
        ));
    }

    #[test]
    fn keys_are_added_behind_those_that_are_there_and_modes_are_mended() {
        let machine = Machine::new(&format!(
            "{ALICE}-- /home/alice/.ssh/ 0777 0:0\n\
             -- /home/alice/.ssh/authorized_keys 0666 0:0 no-newline\n# mine\nno-pty {A} x\n"
        ));
        machine.check(
            &format!("authorized_keys:\n  alice:\n    - |\n      {A} y\n\n      {B}\n"),
            &format!(
                "-- /home/alice/.ssh/ 0700 1000:1000\n\
                 -- /home/alice/.ssh/authorized_keys 0600 1000:1000\n# mine\nno-pty {A} x\n{B}\n"
            ),
        );
    }

    #[test]
    fn what_is_no_key_is_found_where_it_stands() {
        let machine = Machine::new(ALICE);
        let outcome = machine.apply(&format!(
            "authorized_keys:\n  alice:\n    - CANARY\n    - ftp://CANARY/\n    - |\n      {A}\n      ssh-rsa\n    - ssh-rsa AAAACANARY\n"
        ));
        let places: Vec<_> =
            outcome.findings.iter().filter_map(|finding| finding.span).map(|s| s.line).collect();
        assert_eq!(places, [3, 4, 7, 8], "{}", outcome.messages());
        assert!(!format!("{outcome:?}").contains("CANARY"), "{}", outcome.messages());
        machine.assert_tree(&format!(
            "-- /home/alice/.ssh/ 0700 1000:1000\n\
             -- /home/alice/.ssh/authorized_keys 0600 1000:1000\n{A}\nssh-rsa AAAACANARY\n"
        ));
    }

    const FILE: &str =
        "-- /home/alice/.ssh/ 0700 1000:1000\n-- /home/alice/.ssh/authorized_keys 0600 1000:1000\n";

    /// A machine that takes this server for GitHub, GitLab, Launchpad and keys.example.
    fn machine(server: &Server, authority: &Authority) -> Machine {
        let machine = Machine::new(ALICE);
        machine.host.trust(authority.certificate());
        for name in ["github.com", "gitlab.com", "launchpad.net", "keys.example"] {
            machine.host.name(name, server.address());
        }
        machine
    }

    #[test]
    fn keys_are_fetched_from_servers_that_prove_who_they_are() {
        let authority = Authority::new();
        let names = ["github.com", "gitlab.com", "keys.example"];
        let server = Server::with_tls(authority.issue_for(&names), |received| {
            match (received.header("host"), received.path.as_str()) {
                (Some("github.com"), "/alice.keys") => Answer::ok(format!("{A}\n")),
                (Some("gitlab.com"), "/alice.keys") => Answer::ok(format!("{A} twice\n\n# none\n")),
                (Some("keys.example"), "/list?token=CANARY") => Answer::ok(format!("{B} b\r\n{A}\n")),
                _ => Answer::status(404),
            }
        });
        let machine = machine(&server, &authority);
        let step = "authorized_keys: {alice: [github:alice, gitlab:alice, 'https://keys.example/list?token=CANARY']}";
        machine.check(step, &format!("{FILE}{A}\n{B} b\n"));
        let plan = machine.plan(step);
        assert!(plan.messages().contains("the plan is without them"), "{}", plan.messages());
        assert_eq!(server.take_requests().len(), 6);
    }

    #[test]
    fn what_cannot_be_fetched_is_an_error_and_takes_no_key_away() {
        let authority = Authority::new();
        let server =
            Server::with_tls(authority.issue("github.com"), |received| match received.path.as_str() {
                "/page.keys" => Answer::ok("<html>\nSign in\n</html>\n"),
                "/large.keys" => Answer::ok("x").unclaimed().endless(),
                "/binary.keys" => Answer::ok(b"\xff"),
                "/empty.keys" => Answer::ok(""),
                "/mixed.keys" => Answer::ok(format!("ssh-ed25519 AAAACANARY\n{B}\n")),
                _ => Answer::status(404),
            });
        let machine = machine(&server, &authority);
        machine.check(&format!("authorized_keys: {{alice: [{A}]}}"), &format!("{FILE}{A}\n"));
        let outcome = machine.apply(
            "authorized_keys:\n  alice:\n  - github:page\n  - github:large\n  - github:binary\n  - github:empty\n\
             \x20 - github:mixed\n  - github:nobody\n  - gitlab:alice\n  - https://unknown.example/?CANARY\n",
        );
        let messages = outcome.messages();
        for part in [
            "test.yaml:3:5: 3 of the lines at this address are no SSH keys that sshd would take",
            "test.yaml:4:5: cannot fetch the keys at https://github.com/large.keys: the answer is larger than",
            "test.yaml:5:5: cannot fetch the keys at https://github.com/binary.keys: what it sends is no text",
            "Warning: test.yaml:6:5: there are no SSH keys at this address",
            "test.yaml:7:5: 1 of the lines at this address",
            "test.yaml:8:5: cannot fetch the keys at https://github.com/nobody.keys: the server answered 404",
            "test.yaml:9:5: cannot fetch the keys at https://gitlab.com/alice.keys: the server does not prove",
            "test.yaml:10:5: cannot fetch the keys at https://unknown.example/?...: after 3 tries: ",
        ] {
            assert!(messages.contains(part), "{part} is not in {messages}");
        }
        assert!(!messages.contains("CANARY"), "{messages}");
        machine.assert_tree(&format!("{FILE}{A}\n{B}\n"));
    }

    #[test]
    fn keys_without_tls_are_warned_of_and_users_get_theirs_in_the_same_way() {
        let server = Server::new(|_| Answer::ok(format!("{A}\n")));
        let machine = machine(&server, &Authority::new());
        let outcome = machine.apply(&format!(
            "users: {{alice: {{passwd: '*', ssh_authorized_keys: ['{}']}}}}",
            server.url_as("keys.example", "/a")
        ));
        assert!(outcome.messages().contains("without TLS"), "{}", outcome.messages());
        let written = machine.system(Mode::Apply).read_text("/home/alice/.ssh/authorized_keys").unwrap();
        assert_eq!(written, Some(format!("{A}\n")));
    }

    #[test]
    fn keys_of_github_and_launchpad_are_imported() {
        let authority = Authority::new();
        let server = Server::with_tls(authority.issue_for(&["github.com", "launchpad.net"]), |received| {
            Answer::ok(if received.path == "/~bob/+sshkeys" { format!("{B}\n") } else { format!("{A}\n") })
        });
        let machine = machine(&server, &authority);
        let sys = machine.system(Mode::Apply);
        let (facts, origin) = (Facts::new(&sys), Origin::new("test.yaml"));
        let cx = Context::new(&origin, &facts, &[]);
        let mut findings = Findings::new(origin.clone());
        let node = yaml::parse("[gh:alice, 'lp:bob', gl:x]", &mut findings).unwrap();
        let ids: Vec<cosette_schema::Text> = Decode::decode(&node, &mut findings).unwrap();
        let users: Vec<_> = findings.into_vec();
        assert!(users.is_empty());
        let name = cosette_schema::Spanned { span: node.span, value: "alice".to_owned() };
        let user = crate::accounts::user(&sys, &name).unwrap().unwrap();
        crate::accounts::authorized_keys::import(&cx, &sys, &user, &ids).unwrap();
        assert_eq!(cx.into_findings().len(), 1);
        machine.assert_tree(&format!("{FILE}{A}\n{B}\n"));
    }

    #[test]
    fn a_home_directory_that_is_not_there_is_not_made() {
        for (home, part) in
            [("/nowhere", "does not exist"), ("", "has no home"), ("/etc/passwd", "does not exist")]
        {
            let machine = Machine::new(&format!("-- /etc/passwd\nalice:x:1000:1000::{home}:\n"));
            let outcome = machine.apply(&format!("authorized_keys: {{alice: [{A}]}}"));
            assert!(outcome.messages().contains(part), "{}", outcome.messages());
            machine.assert_tree("");
        }
    }

    #[test]
    fn a_file_that_the_user_cannot_read_is_not_given_to_the_user() {
        let machine = Machine::new(&format!("{ALICE}-- /home/alice/.ssh/authorized_keys 0600 0:0\nCANARY\n"));
        let outcome = machine.apply(&format!("authorized_keys: {{alice: [{A}]}}"));
        assert!(outcome.messages().contains("does not belong to user `alice`"), "{}", outcome.messages());
        machine.assert_tree("-- /home/alice/.ssh/ 0700 1000:1000\n");
    }

    /// Adds a key as the real host would, and returns the errors.
    fn add_for_real(root: &Path) -> String {
        let sys = System::new(root, Arc::new(Live), Mode::Apply).unwrap();
        let mut findings = Findings::new(Origin::new("test.yaml"));
        let node = yaml::parse(&format!("{{alice: [{A}]}}"), &mut findings).unwrap();
        let plugin = super::AuthorizedKeys::decode(&node, &mut findings).unwrap();
        let facts = Facts::new(&sys);
        let cx = Context::new(&Origin::new("test.yaml"), &facts, &[]);
        plugin.apply(&cx, &sys).unwrap();
        cx.into_findings().iter().map(|finding| format!("{finding}\n")).collect()
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the test makes real files with real owners")]
    fn no_link_of_the_user_is_followed() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: links that belong to another user: needs root");
            return;
        }
        use std::fs;
        for (name, target) in [
            (".ssh", "/etc"),
            (".ssh/authorized_keys", "/etc/shadow"),
            (".ssh/authorized_keys", "../../../etc/shadow"),
            (".ssh/authorized_keys", "/etc/new"),
            (".ssh/authorized_keys", "authorized_keys"),
        ] {
            let dir = tempfile::tempdir().unwrap();
            let root = dir.path();
            let home = root.join("home/alice");
            fs::create_dir_all(root.join("etc")).unwrap();
            fs::create_dir_all(home.join(".ssh")).unwrap();
            fs::write(root.join("etc/passwd"), "alice:x:1000:1000::/home/alice:\n").unwrap();
            fs::write(root.join("etc/shadow"), "root:CANARY:1::::::\n").unwrap();
            for path in [home.clone(), home.join(".ssh")] {
                lchown(path, Some(1000), Some(1000)).unwrap();
            }
            if name == ".ssh" {
                fs::remove_dir(home.join(".ssh")).unwrap();
            }
            symlink(target, home.join(name)).unwrap();
            lchown(home.join(name), Some(1000), Some(1000)).unwrap();
            let errors = add_for_real(root);
            assert!(errors.contains("/home/alice/.ssh") && !errors.contains("CANARY"), "{target}: {errors}");
            assert_eq!(fs::read_to_string(root.join("etc/shadow")).unwrap(), "root:CANARY:1::::::\n");
            assert_eq!(fs::read_dir(root.join("etc")).unwrap().count(), 2, "{target}");
            assert!(fs::symlink_metadata(home.join(name)).unwrap().is_symlink(), "{target}");
        }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the test makes real files with real owners")]
    fn real_owners_are_set() {
        use std::os::unix::fs::MetadataExt;
        if !nix::unistd::geteuid().is_root() {
            eprintln!("SKIPPED: owners of SSH keys: needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        std::fs::create_dir_all(root.join("home/alice")).unwrap();
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(root.join("etc/passwd"), "alice:x:1000:1001::/home/alice:\n").unwrap();
        lchown(root.join("home/alice"), Some(1000), Some(1001)).unwrap();
        assert_eq!(add_for_real(root), "");
        for (path, mode) in [("home/alice/.ssh", 0o700), ("home/alice/.ssh/authorized_keys", 0o600)] {
            let found = std::fs::symlink_metadata(root.join(path)).unwrap();
            assert_eq!((found.uid(), found.gid(), found.mode() & 0o7777), (1000, 1001, mode), "{path}");
        }
    }
}
