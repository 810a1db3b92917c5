//! Lets SSH keys in that must be fetched: those of users of GitHub, GitLab and Launchpad, and those at an address.
//!
//! ```yaml
//! #cloud-config
//! ssh_import_id: []
//! users:
//! - name: alice
//!   ssh_import_id: []
//! ```
//!
//! ```text before
//! -- /etc/passwd
//! alice:x:1000:1000::/home/alice:/bin/sh
//! -- /etc/shadow 0640
//! alice:!:19000::::::
//! -- /etc/group
//! alice:x:1000:
//! -- /home/alice/ 0755 1000:1000
//! ```
//!
//! `ssh_import_id: [gh:alice, lp:alice]` of a user lets in the keys of these users of GitHub and Launchpad, and without
//! `gh:` or `lp:` those of Launchpad. At the top level it does so for the default user, or else for the first that is listed,
//! or else for root. `github:alice`, `gitlab:alice` and addresses among `ssh_authorized_keys` are fetched here, too, for
//! those who would have got the key.
//!
//! This is done in the stage `network`, where no login at the machine itself waits for it.

use super::account::Keys;
use super::apart::{Apart, Unreported};
use super::listed::{DefaultUser, Listed, Recipients, Users, first_described};
use super::ssh::{RootLogin, let_in};
use crate::accounts;
use crate::accounts::authorized_keys::{import, install, is_remote};
use crate::{Context, Plugin, System};
use anyhow::{Context as _, Result};
use cosette_schema::{Text, record};

record! {
    /// Keys that must be fetched.
    pub(crate) struct SshImportId {
        /// Ids for the default user: `gh:USER`, `lp:USER`.
        ssh_import_id: Apart<Keys>,
        /// Read for those that must be fetched.
        ssh_authorized_keys: Unreported<Keys>,
        /// Read as by the module `ssh`.
        disable_root: Unreported<Option<bool>>,
        /// Read as by the module `ssh`.
        disable_root_opts: Unreported<String>,
        /// Read for their keys.
        users: Unreported<Users>,
        /// Read for the keys.
        user: Unreported<DefaultUser>,
    }
}

impl Plugin for SshImportId {
    const KEY: &'static str = "ssh_import_id";

    fn accounts(&self) -> Vec<String> {
        let first = first_described(&self.users, &self.user).or(Some("root"));
        let first = first.filter(|_| !self.ssh_import_id.0.is_empty());
        let listed = self.users.0.iter().filter_map(|listed| match listed {
            Listed::User(account) if !account.ssh_import_id.0.is_empty() => account.known_as(),
            _ => None,
        });
        first.into_iter().chain(listed).map(str::to_owned).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let recipients = Recipients::of(&self.users, &self.user, sys)?;
        let root = RootLogin { disabled: *self.disable_root, options: &self.disable_root_opts };
        let_in(cx, sys, &remote(&self.ssh_authorized_keys), &recipients, &root);
        give(cx, sys, recipients.first().unwrap_or("root"), &self.ssh_import_id.0, &[]);
        for account in recipients.listed.iter().copied().chain(self.user.0.as_deref()) {
            if let Some(name) = account.known_as() {
                give(cx, sys, name, &account.ssh_import_id.0, &remote(&account.ssh_authorized_keys));
            }
        }
        Ok(())
    }
}

fn remote(keys: &Keys) -> Vec<Text> {
    keys.0.iter().filter(|keys| is_remote(keys)).cloned().collect()
}

/// Lets in the keys of ids, and keys at addresses.
fn give(cx: &Context, sys: &System, name: &str, ids: &[Text], keys: &[Text]) {
    let Some(span) = ids.iter().chain(keys).next().map(Text::span) else { return };
    let fetch = || {
        let user = accounts::user(sys, name)?.context("there is no such user in /etc/passwd")?;
        import(cx, sys, &user, ids)?;
        install(cx, sys, &user, keys)
    };
    cx.attempt(span, fetch().with_context(|| format!("SSH keys for user {name:?}")));
}

#[cfg(test)]
mod tests {
    use crate::system::Mode;
    use crate::testing::Machine;
    use std::io::{Read as _, Write as _};
    use std::net::TcpListener;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB";
    const ROOT: &str = "-- /etc/passwd\na:x:1:1::/a:/bin/sh\n-- /a/ 0755 1:1\n-- /etc/shadow\na:!:1::::::\n\
         -- /etc/group\na:x:1:\n";

    #[test]
    fn keys_at_an_address_are_fetched_for_those_who_would_have_got_them() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/keys", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            for stream in listener.incoming().take(2) {
                let mut stream = stream.unwrap();
                let _ = stream.read(&mut [0; 4096]);
                let head =
                    format!("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", KEY.len());
                stream.write_all(format!("{head}{KEY}").as_bytes()).unwrap();
            }
        });
        for text in [
            format!("users: [a]\nssh_authorized_keys: ['{address}']"),
            format!("users: [{{name: a, ssh_authorized_keys: '{address}'}}]"),
        ] {
            let machine = Machine::new(ROOT);
            let outcome = machine.apply(&format!("#cloud-config\n{text}"));
            assert!(!outcome.messages().contains("Error"), "{}", outcome.messages());
            let keys = machine.system(Mode::Apply).read_text("/a/.ssh/authorized_keys").unwrap();
            assert_eq!(keys, Some(format!("{KEY}\n")));
        }
        server.join().unwrap();
    }

    #[test]
    fn ids_that_can_be_none_and_users_who_are_not_there_are_told() {
        let machine = Machine::new(ROOT);
        let outcome = machine
            .apply("#cloud-config\nssh_import_id: [gh:../x, xx:y]\nusers: [{name: a, ssh_import_id: [gh:]}]");
        assert_eq!(outcome.messages().lines().count(), 3, "{}", outcome.messages());
        assert!(!machine.system(Mode::Apply).exists("/a/.ssh").unwrap());
        let outcome = machine.apply("#cloud-config\nssh_import_id: gh:alice");
        assert!(
            outcome.messages().contains("SSH keys for user \"root\": there is no such user"),
            "{}",
            outcome.messages()
        );
        let outcome = machine.plan("#cloud-config\nssh_import_id: gh:alice\nuser: a");
        assert!(outcome.messages().contains("fetched when the step really runs"), "{}", outcome.messages());
    }
}
