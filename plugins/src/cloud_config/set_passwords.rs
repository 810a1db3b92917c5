//! Sets passwords, and says whether they count for SSH.
//!
//! ```yaml
//! #cloud-config
//! users: [{name: alice}]
//! password: $6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.
//! chpasswd:
//!   expire: false
//!   users:
//!   - name: root
//!     password: $6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.
//! ssh_pwauth: false
//! ```
//!
//! ```text before
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! alice:x:1000:1000::/home/alice:/bin/sh
//! -- /etc/shadow 0640
//! root:*:19000:0:99999:7:::
//! alice:!:19000::::::
//! -- /etc/group
//! alice:x:1000:
//! -- /etc/ssh/sshd_config
//! Include /etc/ssh/sshd_config.d/*.conf
//! -- /home/alice/ 0755 1000:1000
//! ```
//!
//! ```text after
//! -- /etc/.pwd.lock 0600
//! -- /etc/shadow 0640
//! root:$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.:20455:0:99999:7:::
//! alice:$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.:20455::::::
//! -- /etc/ssh/sshd_config.d/50-cloud-init.conf 0600
//! PasswordAuthentication no
//! ```
//!
//! `password` is that of the default user, or of the first that `users` lists. Each of these users must choose another
//! one at the first login, unless `expire: false`. `type` is `hash` or `text`; in the old `list`, of lines or items
//! `user:password`, what begins with `$` is a hash. A password that cloud-init would invent (`RANDOM`) is refused: it
//! would have to be shown on the console, and stay in its logs.
//!
//! `ssh_pwauth` is `true`, `false` or `unchanged`. It is set in `/etc/ssh/sshd_config.d/50-cloud-init.conf` if that
//! is read, else in `/etc/ssh/sshd_config`; an sshd that runs is told.

use super::apart::{Apart, Unreported};
use super::listed::{DefaultUser, Recipients, Users, first_described};
use super::sshd_config;
use crate::accounts::password::Password;
use crate::accounts::set_passwords::{NewPassword, set_passwords};
use crate::{Context, Plugin, System};
use anyhow::{Result, anyhow};
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Findings, Shape, Span, Spanned, Text, record};

record! {
    /// Passwords.
    pub(crate) struct SetPasswords {
        /// The password of the default user.
        password: Apart<Spanned<Password>>,
        /// Passwords of several users.
        chpasswd: Apart<Chpasswd>,
        /// Whether passwords count for SSH.
        ssh_pwauth: Apart<PasswordsForSsh>,
        /// Read for the names only.
        users: Unreported<Users>,
        /// Read for the name only.
        user: Unreported<DefaultUser>,
    }
}

record! {
    /// Passwords of several users.
    #[derive(Default)]
    struct Chpasswd {
        /// Whether new ones must be chosen at the first login; true when it is left out.
        expire: Option<bool>,
        /// Users with their passwords.
        users: Vec<Entry>,
        /// The same as `user:password`, an old form.
        list: Pairs,
    }
}

record! {
    /// The password of one user.
    struct Entry {
        /// The user, who exists.
        name: Spanned<String> = required,
        /// The password.
        password: Password,
        /// What it is: a `hash`, which it is when this is left out, or `text`.
        form: Spanned<String> as "type",
    }
}

/// Users and passwords: lines of a text, or the items of a list.
#[derive(Default)]
struct Pairs(Vec<(Span, String, Password)>);

impl Decode for Pairs {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let texts = match &node.value {
            Value::Scalar(_) => vec![Text::decode(node, findings)?],
            _ => Vec::decode(node, findings)?,
        };
        let mut pairs = Vec::new();
        for text in &texts {
            for (number, line) in (1..).zip(text.as_str().lines()).filter(|(_, line)| !line.trim().is_empty())
            {
                let span = text.locate(number, 1);
                match line.trim().split_once(':') {
                    Some((user, password)) if !user.is_empty() && !password.is_empty() => {
                        pairs.push((span, user.trim().to_owned(), Password::from(password)));
                    }
                    _ => drop(findings.error(span, "expected `user:password`")),
                }
            }
        }
        Some(Self(pairs))
    }

    fn shape() -> Shape {
        Vec::<String>::shape().or(Shape::text("lines of `user:password`"))
    }
}

/// Whether passwords count for SSH; nothing where that stays as it is.
#[derive(Default)]
struct PasswordsForSsh(Option<bool>);

impl Decode for PasswordsForSsh {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.text() {
            Some("unchanged") => Some(Self(None)),
            _ => bool::decode(node, findings).map(|value| Self(Some(value))),
        }
    }

    fn shape() -> Shape {
        bool::shape().or(Shape::Choice(&["unchanged"]))
    }
}

impl Plugin for SetPasswords {
    const KEY: &'static str = "set_passwords";

    fn check(&self, findings: &mut Findings) {
        for entry in &self.chpasswd.users {
            if !matches!(&*entry.form.value, "" | "hash" | "text" | "RANDOM") {
                findings.error(entry.form.span, "the type of a password is `hash` or `text`");
            }
        }
    }

    fn accounts(&self) -> Vec<String> {
        let listed = self.chpasswd.list.0.iter().map(|(_, user, _)| user.clone());
        let listed = listed.chain(self.chpasswd.users.iter().map(|entry| entry.name.value.clone()));
        let first = first_described(&self.users, &self.user).filter(|_| !self.password.value.is_empty());
        listed.chain(first.map(str::to_owned)).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let expire = self.chpasswd.expire.unwrap_or(true);
        let mut passwords = Vec::new();
        let mut add = |span: Span, user: &str, password: Password| {
            if ["R", "RANDOM"].contains(&password.as_written()) {
                cx.attempt::<()>(span, Err(refusal(user)));
                return;
            }
            if let Some(warning) = password.warning() {
                cx.warn(span, format!("user {user:?}: {warning}"));
            }
            passwords.push(NewPassword { user: user.to_owned(), span, password, expire });
        };
        if !self.password.value.is_empty() {
            let span = self.password.span;
            match Recipients::of(&self.users, &self.user, sys)?.first() {
                Some(user) => add(span, user, self.password.value.clone()),
                None => {
                    let error =
                        anyhow!("`password` is that of the default user, and there is none: use `chpasswd`");
                    cx.attempt::<()>(span, Err(error));
                }
            }
        }
        for (span, user, password) in &self.chpasswd.list.0 {
            add(*span, user, password.clone());
        }
        for Entry { name, password, form } in &self.chpasswd.users {
            match form.value.as_str() {
                "RANDOM" => drop(cx.attempt::<()>(name.span, Err(refusal(name)))),
                _ if password.is_empty() => {
                    cx.attempt::<()>(name.span, Err(anyhow!("user {:?} has no `password` here", name.value)));
                }
                "text" => add(name.span, name, password.as_plain_text()),
                "" | "hash" => add(name.span, name, password.as_hash()),
                _ => {}
            }
        }
        let set = if passwords.is_empty() { Ok(()) } else { set_passwords(cx, sys, &passwords) };
        let pwauth = match self.ssh_pwauth.0 {
            Some(count) => sshd_config::set(sys, "PasswordAuthentication", if count { "yes" } else { "no" }),
            None => Ok(()),
        };
        set.and(pwauth)
    }
}

fn refusal(user: &str) -> anyhow::Error {
    anyhow!(
        "no password is invented for user {user:?}: it would have to be shown on the console, and stay in its logs; \
         give a hash"
    )
}

#[cfg(test)]
mod tests {
    use crate::system::Mode;
    use crate::testing::Machine;

    const ROOT: &str =
        "-- /etc/passwd\na:x:1:1::/:/bin/sh\nb:x:2:2::/:/bin/sh\n-- /etc/shadow 0640\na:!:1::::::\n";

    fn shadow(machine: &Machine) -> String {
        machine.system(Mode::Apply).read_text("/etc/shadow").unwrap().unwrap()
    }

    #[test]
    fn passwords_of_every_form_are_set_and_must_be_changed_unless_that_is_said() {
        for chpasswd in [
            "list: |\n    a:$6$x$y\n    b:$6$z$w\n",
            "list: ['a:$6$x$y', 'b:$6$z$w']",
            "users: [{name: a, password: $6$x$y}, {name: b, password: $6$z$w, type: hash}]",
        ] {
            let machine = Machine::new(ROOT);
            machine.check(
                &format!("#cloud-config\nchpasswd:\n  {chpasswd}"),
                "-- /etc/.pwd.lock 0600\n-- /etc/shadow 0640\na:$6$x$y:0::::::\nb:$6$z$w:0::::::\n",
            );
        }
        let machine = Machine::new(ROOT);
        let text =
            "#cloud-config\nchpasswd: {expire: false, users: [{name: a, password: $CANARY, type: text}]}";
        assert!(machine.apply(text).findings.is_empty());
        let first = shadow(&machine);
        assert!(first.starts_with("a:$6$") && first.ends_with(":20455::::::\n"), "{first}");
        machine.apply(text);
        assert_eq!(shadow(&machine), first);
    }

    #[test]
    fn the_default_user_gets_the_password() {
        for (users, who) in
            [("users: [b, a]", "b"), ("users: [a]\nuser: b", "b"), ("users: [default, a]", "a")]
        {
            let machine = Machine::new(ROOT);
            let outcome = machine.apply(&format!("#cloud-config\n{users}\npassword: $6$x$y"));
            assert!(
                shadow(&machine).contains(&format!("{who}:$6$x$y:0:")),
                "{users}: {}",
                outcome.messages()
            );
        }
        let machine = Machine::new(ROOT);
        let outcome = machine.apply("#cloud-config\npassword: CANARY");
        assert!(outcome.messages().contains("there is none: use `chpasswd`"), "{}", outcome.messages());
        machine.assert_tree("");
    }

    #[test]
    fn what_cannot_be_set_is_told_without_the_password_and_stops_nothing() {
        let machine = Machine::new(ROOT);
        let outcome = machine.apply(
            "#cloud-config\nssh_pwauth: maybe\nchpasswd:\n  list: [CANARY, 'ghost:CANARY', 'a:RANDOM', ':CANARY']\n  \
             users:\n  - {name: b, type: RANDOM}\n  - {name: b, password: CANARY, type: magic}\n  - {name: b}\n  \
             - {name: b, password: CANARY}\n",
        );
        let messages = outcome.messages();
        for part in [
            "4:10: expected `user:password`",
            "expected `true` or `false`",
            "4:19: the password of user \"ghost\": there is no such user",
            "no password is invented for user \"a\"",
            "no password is invented for user \"b\"",
            "the type of a password is",
            "user \"b\" has no `password` here",
            "user \"b\": the password is given as a hash, but it is none",
        ] {
            assert!(messages.contains(part), "{part}\n{messages}");
        }
        assert!(!messages.contains("CANARY"), "{messages}");
    }
}
