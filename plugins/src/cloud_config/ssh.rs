//! Lets SSH keys in, and gives the machine its own.
//!
//! ```yaml
//! #cloud-config
//! users: [{name: alice}]
//! ssh_authorized_keys:
//! - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB admin@laptop
//! disable_root: true
//! ```
//!
//! ```text before
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! alice:x:1000:1000::/home/alice:/bin/sh
//! -- /etc/shadow 0640
//! alice:!:19000::::::
//! -- /etc/group
//! alice:x:1000:
//! -- /home/alice/ 0755 1000:1000
//! -- /root/ 0700
//! ```
//!
//! ```text after
//! -- /home/alice/.ssh/ 0700 1000:1000
//! -- /home/alice/.ssh/authorized_keys 0600 1000:1000
//! ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB admin@laptop
//! -- /root/.ssh/ 0700
//! -- /root/.ssh/authorized_keys 0600
//! no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command="echo 'Please login as the user \"alice\" rather than the user \"root\".';echo;sleep 10;exit 142" ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB admin@laptop
//! ```
//!
//! **Whose keys `ssh_authorized_keys` are.** Those of the default user, if `user` gives one, or `users` has `default`
//! and the image a default user, as with cloud-init; else of all users that are listed, as with yip; and if none is
//! listed, of root. `disable_root: true` lets them in for root, too, to be told which user to log in as, and
//! `disable_root: false` lets them in for root as they are. A user with `ssh_redirect_user: true` gets them like root.
//! `disable_root_opts` are the options that do so.
//!
//! Keys that are to be fetched (`github:alice`, an address) are let in by `ssh_import_id`, when the network is there.
//!
//! `ssh_keys` (`ed25519_private`, `ed25519_public`, and so on for `rsa`, `ecdsa`) become the keys of the host.

use super::account::Keys;
use super::apart::{Apart, Unreported};
use super::listed::{DefaultUser, Recipients, Users, first_described};
use crate::accounts;
use crate::accounts::authorized_keys::{install_with_options, is_remote};
use crate::system::File;
use crate::{Context, Plugin, System};
use anyhow::{Context as _, Result};
use cosette_schema::{Findings, Named, Text, record};

/// What keys may do that are only let in to be told of the right user.
const REDIRECT: &str = "no-port-forwarding,no-agent-forwarding,no-X11-forwarding,command=\"echo 'Please login as \
    the user \\\"$USER\\\" rather than the user \\\"$DISABLE_USER\\\".';echo;sleep 10;exit 142\"";

record! {
    /// Keys for SSH.
    pub(crate) struct Ssh {
        /// Keys that may log in.
        ssh_authorized_keys: Apart<Keys>,
        /// The keys of the host.
        ssh_keys: Apart<Named<Text>>,
        /// Whether root may not log in with these keys.
        disable_root: Option<bool>,
        /// The options of keys that only tell of another user.
        disable_root_opts: String,
        /// Read for the names only.
        users: Unreported<Users>,
        /// Read for the name only.
        user: Unreported<DefaultUser>,
    }
}

impl Plugin for Ssh {
    const KEY: &'static str = "ssh";

    fn check(&self, findings: &mut Findings) {
        for (name, _) in &self.ssh_keys.0 {
            if is_unsupported(name) {
                findings.warn(name.span, format!("`{}` is not supported, and ignored", name.value));
            } else if path(name).is_none() {
                findings
                    .error(name.span, format!("`{}` is no key of a host that is supported", name.value))
                    .help("write `ed25519_private` and `ed25519_public`, or the same with `rsa` or `ecdsa`");
            }
        }
        if self.disable_root_opts.contains(char::is_control) {
            findings.error(None, "`disable_root_opts` holds a line break");
        }
    }

    fn accounts(&self) -> Vec<String> {
        if self.ssh_authorized_keys.0.is_empty() {
            return Vec::new();
        }
        first_described(&self.users, &self.user).into_iter().chain(["root"]).map(str::to_owned).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        self.write_host_keys(cx, sys);
        // The others are fetched when the network is there.
        let keys: Vec<Text> =
            self.ssh_authorized_keys.0.iter().filter(|keys| !is_remote(keys)).cloned().collect();
        let recipients = Recipients::of(&self.users, &self.user, sys)?;
        let root = RootLogin { disabled: self.disable_root, options: &self.disable_root_opts };
        let_in(cx, sys, &keys, &recipients, &root);
        Ok(())
    }
}

/// Whether root may log in with the keys of others.
pub(super) struct RootLogin<'a> {
    /// As it is configured.
    pub(super) disabled: Option<bool>,
    /// The options of keys that only tell of another user; the usual ones when empty.
    pub(super) options: &'a str,
}

/// Lets keys in that are given without saying for whom.
pub(super) fn let_in(
    cx: &Context,
    sys: &System,
    keys: &[Text],
    recipients: &Recipients<'_>,
    root_login: &RootLogin<'_>,
) {
    let Some(span) = keys.first().map(Text::span) else { return };
    let redirected = |name: &str| {
        let mut listed = recipients.listed.iter();
        listed.any(|account| account.known_as() == Some(name) && account.ssh_redirect_user)
    };
    let mut names: Vec<&str> = match &recipients.default {
        Some(default) => vec![default],
        None => recipients.names().filter(|name| !redirected(name)).collect(),
    };
    let main = names.first().copied();
    if main.is_none() || root_login.disabled == Some(false) && !names.contains(&"root") {
        names.push("root");
    }
    let told = recipients.names().filter(|name| redirected(name) && !names.contains(name));
    let root = ["root"].into_iter().filter(|root| root_login.disabled == Some(true) && !names.contains(root));
    let told: Vec<&str> = told.chain(root).collect();
    let give = |name: &str, options: &str| {
        let install = || {
            let user = accounts::user(sys, name)?.context("there is no such user in /etc/passwd")?;
            install_with_options(cx, sys, &user, keys, options)
        };
        cx.attempt(span, install().with_context(|| format!("SSH keys for user {name:?}")));
    };
    names.iter().for_each(|name| give(name, ""));
    for name in told {
        // A line break, of which the document is warned, would begin a line of its own.
        let usual = root_login.options.is_empty() || root_login.options.contains(char::is_control);
        let options = if usual { REDIRECT } else { root_login.options };
        let options = options.replace("$DISABLE_USER", name).replace("$USER", main.unwrap_or("NONE"));
        give(name, options.trim());
    }
}

impl Ssh {
    fn write_host_keys(&self, cx: &Context, sys: &System) {
        for (name, key) in &self.ssh_keys.0 {
            let Some((path, mode)) = path(name) else { continue };
            let content = format!("{}\n", key.as_str().trim_end());
            cx.attempt(name.span, sys.write(File::new(path, content).mode(mode).durable()));
        }
    }
}

/// Where a key of the host goes, and its mode.
fn path(name: &str) -> Option<(String, u32)> {
    let (algorithm, part) = name.split_once('_')?;
    if !["rsa", "ecdsa", "ed25519"].contains(&algorithm) {
        return None;
    }
    match part {
        "private" => Some((format!("/etc/ssh/ssh_host_{algorithm}_key"), 0o600)),
        "public" => Some((format!("/etc/ssh/ssh_host_{algorithm}_key.pub"), 0o644)),
        _ => None,
    }
}

/// Whether cloud-init knows such a key of a host, and nothing is done with it here.
fn is_unsupported(name: &str) -> bool {
    let Some((algorithm, part)) = name.split_once('_') else { return false };
    let known = ["rsa", "ecdsa", "ed25519", "dsa"].contains(&algorithm)
        && ["private", "public", "certificate"].contains(&part);
    known && path(name).is_none()
}

#[cfg(test)]
mod tests {
    use crate::system::Mode;
    use crate::testing::Machine;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB";
    const ROOT: &str = "-- /etc/passwd\nroot:x:0:0::/root:/bin/sh\na:x:1:1::/a:/bin/sh\nb:x:2:2::/b:/bin/sh\n\
         -- /root/ 0700\n-- /a/ 0755 1:1\n-- /b/ 0755 2:2\n-- /etc/shadow\na:!:1::::::\nb:!:1::::::\n\
         -- /etc/group\na:x:1:\nb:x:2:\n";

    /// Who may log in, and who is told to be somebody else.
    fn given(keys: &str) -> String {
        let machine = Machine::new(ROOT);
        let outcome = machine.apply(&format!("#cloud-config\nssh_authorized_keys: [{KEY}]\n{keys}"));
        assert!(
            outcome.messages().replace("`default` is nobody", "").lines().count() <= 1,
            "{}",
            outcome.messages()
        );
        let sys = machine.system(Mode::Apply);
        let kind = |home: &str| match sys.read_text(format!("{home}/.ssh/authorized_keys")).unwrap() {
            Some(text) if text.starts_with(KEY) => "yes",
            Some(text) if text.contains("Please login as the user \\\"a\\\"") => "told",
            Some(_) => "other",
            None => "no",
        };
        ["/root", "/a", "/b"].map(kind).join(" ")
    }

    #[test]
    fn keys_go_to_the_default_user_or_to_all_or_to_root() {
        for (keys, expected) in [
            ("", "yes no no"),
            ("users: [a, b]", "no yes yes"),
            ("users: [{name: a}, b]\ndisable_root: true", "told yes yes"),
            ("users: [a]\ndisable_root: false", "yes yes no"),
            ("user: a\nusers: [b]", "no yes no"),
            ("users: [default, b]", "no no yes"),
            ("users: [a, {name: b, ssh_redirect_user: true}]", "no yes told"),
            ("users: [root, a]\ndisable_root: true", "yes yes no"),
            ("users: [a]\ndisable_root: true\ndisable_root_opts: no-pty", "other yes no"),
            ("users: [a]\ndisable_root: true\ndisable_root_opts: \"x\\ny\"", "told yes no"),
        ] {
            assert_eq!(given(keys), expected, "{keys}");
        }
    }

    #[test]
    fn keys_of_the_host_are_private_and_never_shown() {
        let machine = Machine::new("-- /etc/ssh/\n");
        let outcome = machine.check(
            "#cloud-config\nssh_keys:\n  ed25519_private: |\n    -----BEGIN CANARY\n  ed25519_public: ssh-ed25519 x",
            "-- /etc/ssh/ssh_host_ed25519_key 0600\n-----BEGIN CANARY\n\
             -- /etc/ssh/ssh_host_ed25519_key.pub\nssh-ed25519 x\n",
        );
        assert!(!format!("{outcome:?}").contains("CANARY"));
        let outcome = machine
            .apply("#cloud-config\nssh_keys: {dsa_private: CANARY, rsa_certificate: CANARY, x: [CANARY], y_private: CANARY}");
        assert_eq!(outcome.messages().matches("is no key of a host that is supported").count(), 1);
        assert_eq!(outcome.messages().matches("_private` is not supported, and ignored").count(), 1);
        assert_eq!(outcome.messages().matches("_certificate` is not supported, and ignored").count(), 1);
        assert!(!outcome.messages().contains("CANARY"), "{}", outcome.messages());
        assert!(
            machine
                .plan("#cloud-config\nssh_keys: {rsa_private: CANARY}")
                .effects
                .iter()
                .all(|effect| { !format!("{:?}", effect.diff).contains("CANARY") })
        );
    }

    #[test]
    fn a_user_who_does_not_exist_is_told_and_others_get_their_keys() {
        let machine = Machine::new(ROOT);
        let text =
            format!("#cloud-config\nusers: {{a: {{}}, 'x:': }}\nssh_authorized_keys:\n- {KEY}\n- CANARY\n");
        let messages = machine.apply(&text).messages();
        assert!(messages.contains("SSH keys for user \"x:\": there is no such user"), "{messages}");
        assert!(
            messages.contains("6:3: this is no SSH key") || messages.contains("5:3: this is no SSH key"),
            "{messages}"
        );
        assert!(!messages.contains("CANARY"));
        assert!(machine.system(Mode::Apply).exists("/a/.ssh/authorized_keys").unwrap());
    }
}
