//! Makes groups and users.
//!
//! ```yaml
//! #cloud-config
//! groups:
//! - admins: [alice]
//! - cloud-users
//! users:
//! - default
//! - name: alice
//!   gecos: Alice
//!   groups: cloud-users, docker
//!   sudo: ALL=(ALL) NOPASSWD:ALL
//!   shell: /bin/bash
//!   lock_passwd: false
//!   passwd: $6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.
//!   ssh_authorized_keys:
//!   - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB alice@laptop
//! - name: app
//!   system: true
//! ```
//!
//! ```text before
//! -- /etc/cloud/cloud.cfg
//! system_info:
//!   default_user: {name: debian, shell: /bin/sh}
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! -- /etc/shadow 0640
//! root:*:19000:0:99999:7:::
//! -- /etc/group
//! root:x:0:
//! -- /etc/skel/.profile
//! export EDITOR=vi
//! ```
//!
//! ```text after
//! -- /etc/.pwd.lock 0600
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! debian:x:1000:1002::/home/debian:/bin/sh
//! alice:x:1001:1003:Alice:/home/alice:/bin/bash
//! app:x:999:999::/home/app:/bin/sh
//! -- /etc/shadow 0640
//! root:*:19000:0:99999:7:::
//! debian:!:20455::::::
//! alice:$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.:20455::::::
//! app:!:20455::::::
//! -- /etc/group
//! root:x:0:
//! admins:x:1000:alice
//! cloud-users:x:1001:alice
//! debian:x:1002:debian
//! alice:x:1003:alice
//! docker:x:1004:alice
//! app:x:999:app
//! -- /etc/sudoers.d/90-cloud-init-users 0440
//! # User rules for alice
//! alice ALL=(ALL) NOPASSWD:ALL
//!
//! -- /home/debian/ 0755 1000:1002
//! -- /home/debian/.profile 0644 1000:1002
//! export EDITOR=vi
//! -- /home/alice/ 0755 1001:1003
//! -- /home/alice/.profile 0644 1001:1003
//! export EDITOR=vi
//! -- /home/alice/.ssh/ 0700 1001:1003
//! -- /home/alice/.ssh/authorized_keys 0600 1001:1003
//! ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB alice@laptop
//! ```
//!
//! `users` is a list of names and descriptions, a map from names to them, or a text of names. `default` stands for
//! the user that `system_info: default_user:` in `/etc/cloud/cloud.cfg` describes; where no such file says so there
//! is none, which is a warning. `user` describes one more, who then is the default user.
//!
//! **Passwords.** A password counts if `lock_passwd: false` stands beside it, also for a user who exists. Left out,
//! `lock_passwd` is true, as with cloud-init, and a warning says so; but plain text in `passwd` counts, because
//! only yip knows that. A new user without a password that counts is locked; one who exists keeps theirs unless
//! `lock_passwd: true` is written. This is done once for each instance and text, so that a password that the user
//! has changed since stays.
//!
//! Of a user who exists, groups, keys, rules for sudo and a missing home directory are brought up to date, and all
//! else stays. Groups that are missing are made.
//!
//! `sudo` is written to `/etc/sudoers.d/90-cloud-init-users`, after visudo, if there is one, has found no mistake in
//! it; `false` takes the rules of the user away.

use super::account::{Account, Sudo};
use super::listed::{DefaultUser, Groups, Listed, Users, of_image};
use super::rules;
use crate::accounts::allocate::Allocation;
use crate::accounts::authorized_keys::{install, is_remote};
use crate::accounts::database::update;
use crate::accounts::defaults::Defaults;
use crate::accounts::field::check_name;
use crate::accounts::homes::Homes;
use crate::accounts::kind::{Kind, group, gshadow};
use crate::accounts::make_users::make_users;
use crate::{Context, Plugin, System};
use anyhow::{Context as _, Result};
use cosette_schema::{Findings, record};

record! {
    /// Groups and users.
    pub(crate) struct UsersGroups {
        /// Groups: names, or names with members.
        groups: Groups,
        /// Users: names, `default`, and descriptions.
        users: Users,
        /// The default user.
        user: DefaultUser,
    }
}

impl Plugin for UsersGroups {
    const KEY: &'static str = "users_groups";

    fn check(&self, findings: &mut Findings) {
        for (name, _) in &self.groups.0 {
            match check_name(name) {
                Err(error) => drop(findings.error(name.span, error.to_string())),
                Ok(warning) => {
                    if let Some(warning) = warning {
                        findings.warn(name.span, warning);
                    }
                }
            }
        }
        self.described().for_each(|account| account.check(findings));
    }

    fn accounts(&self) -> Vec<String> {
        let described = self.described().filter_map(Account::known_as);
        let members = self.groups.0.iter().flat_map(|(_, members)| members.iter());
        described.chain(members).map(str::to_owned).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        self.make_groups(sys)?;
        let image = self.default_of_image(cx, sys)?;
        let accounts: Vec<&Account> = image.iter().chain(self.described()).collect();
        let passwords: Vec<_> = accounts.iter().map(|account| account.password()).collect();
        let described = accounts
            .iter()
            .zip(&passwords)
            .map(|(account, password)| Some((*account, account.wanted(password.as_ref())?)));
        let (accounts, wanted): (Vec<_>, Vec<_>) = described.flatten().unzip();
        for ((account, wanted), user) in accounts.into_iter().zip(&wanted).zip(make_users(cx, sys, &wanted)?)
        {
            let Some(user) = user else { continue };
            let (name, span) = (wanted.name, wanted.span);
            let rules = match &account.sudo {
                Sudo::LeftOut => Ok(()),
                Sudo::Nothing => rules::sudo(sys, name, &[]),
                Sudo::Rules(rules) => rules::sudo(sys, name, rules),
            };
            cx.attempt(span, rules.with_context(|| format!("user `{name}`")));
            if !account.doas.is_empty() {
                let rules: Vec<&str> = account.doas.iter().map(|rule| rule.value.as_str()).collect();
                cx.attempt(span, rules::doas(sys, name, &rules).with_context(|| format!("user `{name}`")));
            }
            // The others are fetched when the network is there.
            let keys = account.ssh_authorized_keys.0.iter().filter(|keys| !is_remote(keys)).cloned();
            cx.attempt(span, install(cx, sys, &user, &keys.collect::<Vec<_>>()));
        }
        self.add_members(cx, sys)
    }
}

impl UsersGroups {
    fn described(&self) -> impl Iterator<Item = &Account> {
        let listed = self.users.0.iter().filter_map(|listed| match listed {
            Listed::User(account) => Some(&**account),
            Listed::Default(_) => None,
        });
        self.user.0.as_deref().into_iter().chain(listed)
    }

    /// The default user of the image, if it is asked for, and there is none in the document.
    fn default_of_image(&self, cx: &Context, sys: &System) -> Result<Option<Account>> {
        let asked = self.users.0.iter().find_map(|listed| match listed {
            Listed::Default(span) if self.user.0.is_none() => Some(*span),
            _ => None,
        });
        let Some(span) = asked else { return Ok(None) };
        let user = of_image(sys)?;
        if user.is_none() {
            cx.warn(span, "`default` is nobody here: no default user is configured in /etc/cloud/cloud.cfg");
        }
        Ok(user)
    }

    fn make_groups(&self, sys: &System) -> Result<()> {
        if self.groups.0.is_empty() {
            return Ok(());
        }
        let defaults = Defaults::read(sys)?;
        let homes = Homes::new(sys, &defaults, []);
        let allocation = Allocation { defaults: &defaults, homes, configured_uids: Default::default() };
        update(sys, None, &[Kind::Group, Kind::Gshadow], |accounts| {
            for (name, _) in self.groups.0.iter().filter(|(name, _)| check_name(name).is_ok()) {
                if accounts.table(Kind::Group).find(name).is_none() {
                    let gid = allocation.gid(accounts, None, false)?;
                    accounts.add_group(name, gid, "")?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Puts members into groups, when all users are there.
    fn add_members(&self, cx: &Context, sys: &System) -> Result<()> {
        if self.groups.0.iter().all(|(_, members)| members.iter().next().is_none()) {
            return Ok(());
        }
        let unknown = update(sys, None, &[Kind::Group, Kind::Gshadow], |accounts| {
            let mut unknown = Vec::new();
            for (name, members) in &self.groups.0 {
                for member in members.iter() {
                    if accounts.table(Kind::User).find(member).is_none() {
                        unknown.push((name, member));
                        continue;
                    }
                    accounts.table_mut(Kind::Group).add_to_list(name, group::MEMBERS, member)?;
                    accounts.table_mut(Kind::Gshadow).add_to_list(name, gshadow::MEMBERS, member)?;
                }
            }
            Ok(unknown)
        })?;
        for (group, member) in unknown.value {
            let message = format!("{member:?} is no user, and not made a member of `{}`", group.value);
            cx.warn(group.span, message);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::system::Mode;
    use crate::testing::Machine;

    const EMPTY: &str = "-- /etc/passwd\n-- /etc/shadow 0640\n-- /etc/group\n";

    fn read(machine: &Machine, path: &str) -> String {
        machine.system(Mode::Apply).read_text(path).unwrap().unwrap_or_default()
    }

    fn names(machine: &Machine) -> Vec<String> {
        let passwd = read(machine, "/etc/passwd");
        passwd.lines().map(|line| line.split(':').next().unwrap().to_owned()).collect()
    }

    #[test]
    fn users_come_in_every_form_that_cloud_init_takes() {
        for (users, expected) in [
            ("users: [b, a]", &["b", "a"][..]),
            ("users: 'b, a'", &["b", "a"]),
            ("users: {b: {gecos: B}, a: , c: true, d: false}", &["b", "a", "c"]),
            ("users: [{name: b, sudo: ~, passwd: ~, groups: ~, ssh_authorized_keys: ~}]", &["b"]),
            ("users: [{name: b}, [a, c]]", &["b", "a", "c"]),
            ("user: x\nusers: [a]", &["x", "a"]),
            ("user: {name: x, gecos: X}", &["x"]),
            ("users: []", &[]),
            ("users:", &[]),
        ] {
            let machine = Machine::new(EMPTY);
            let outcome = machine.apply(&format!("#cloud-config\n{users}"));
            assert!(outcome.findings.is_empty(), "{users}: {}", outcome.messages());
            assert_eq!(names(&machine), expected, "{users}");
        }
    }

    #[test]
    fn groups_come_in_every_form_that_cloud_init_takes() {
        for groups in ["g1, g2", "[g1, g2]", "[{g1: [a]}, g2]", "{g1: a, g2: }", "[{g1: 'a', g2: []}]"] {
            let machine = Machine::new(EMPTY);
            let outcome = machine.apply(&format!("#cloud-config\ngroups: {groups}\nusers: [a]"));
            assert!(outcome.findings.is_empty(), "{groups}: {}", outcome.messages());
            let member = if groups.contains(" a") || groups.contains("'a'") || groups.contains("[a]") {
                "a"
            } else {
                ""
            };
            let expected = format!("g1:x:1000:{member}\ng2:x:1001:\na:x:1002:a\n");
            assert_eq!(read(&machine, "/etc/group"), expected, "{groups}");
        }
    }

    #[test]
    fn default_is_nobody_without_an_image_that_says_so_and_the_user_of_the_document_where_there_is_one() {
        let machine = Machine::new(EMPTY);
        let outcome = machine.apply("#cloud-config\nusers: [default, a]");
        assert_eq!(
            outcome.messages(),
            "Warning: test.yaml:2:9: `default` is nobody here: no default user is configured in /etc/cloud/cloud.cfg\n"
        );
        assert_eq!(names(&machine), ["a"]);
        let machine = Machine::new(&format!(
            "{EMPTY}-- /etc/cloud/cloud.cfg\nsystem_info: {{default_user: {{name: image}}}}\n"
        ));
        assert!(machine.apply("#cloud-config\nusers: [default]\nuser: own").findings.is_empty());
        assert_eq!(names(&machine), ["own"]);
        assert!(machine.apply("#cloud-config\nusers: default").findings.is_empty());
        assert_eq!(names(&machine), ["own", "image"]);
        for broken in ["[", "system_info: 1", "system_info: {default_user: {gecos: x}}"] {
            let machine = Machine::new(&format!("{EMPTY}-- /etc/cloud/cloud.cfg\n{broken}\n"));
            assert!(
                machine.apply("#cloud-config\nusers: [default]").messages().contains("nobody here"),
                "{broken}"
            );
        }
    }

    #[test]
    fn the_password_that_counts_is_found_and_locks_are_kept() {
        for (keys, expected) in [
            ("", "!"),
            ("lock_passwd: false", "!"),
            ("passwd: $6$a$b", "!"),
            ("plain_text_passwd: CANARY", "!"),
            ("{passwd: CANARY, hashed_passwd: $6$c$d}", "!"),
            ("{passwd: $6$a$b, lock_passwd: true}", "!"),
            ("{passwd: CANARY, lock_passwd: true}", "!"),
            ("{passwd: $6$a$b, lock_passwd: false}", "$6$a$b"),
            (
                "{passwd: $6$a$b, hashed-passwd: $6$c$d, plain_text_passwd: CANARY, lock_passwd: false}",
                "$6$c$d",
            ),
        ] {
            let machine = Machine::new(EMPTY);
            let keys = keys.trim_matches(['{', '}']);
            machine.apply(&format!("#cloud-config\nusers: [{{name: a, {keys}}}]"));
            assert_eq!(read(&machine, "/etc/shadow"), format!("a:{expected}:20455::::::\n"), "{keys}");
        }
        let machine = Machine::new(EMPTY);
        let text = "#cloud-config\nusers: [{name: a, plain_text_passwd: $6$CANARY, lock_passwd: false}]";
        assert!(machine.apply(text).findings.is_empty());
        let shadow = read(&machine, "/etc/shadow");
        assert!(shadow.starts_with("a:$6$") && !shadow.contains("CANARY"), "{shadow}");
        assert!(machine.apply(text).effects.iter().all(|effect| !effect.changed));
    }

    #[test]
    fn a_user_who_exists_keeps_what_is_not_given() {
        let machine = Machine::new(
            "-- /etc/passwd\nroot:x:0:0:root:/root:/bin/sh\na:x:5:5:A:/srv/a:/bin/false\n\
             -- /etc/shadow 0640\nroot:$6$r$r:1::::::\na:$6$a$a:1::::::\n-- /etc/group\nx:x:7:\n",
        );
        machine.check("#cloud-config\nusers: [root, {name: a, shell: /bin/sh, uid: '5', gecos: B}]", "");
        machine.check(
            "#cloud-config\nusers:\n- {name: a, lock_passwd: true, groups: x}\n\
             - {name: root, passwd: $6$n$n, lock_passwd: false}",
            "-- /etc/.pwd.lock 0600\n-- /etc/shadow 0640\nroot:$6$n$n:20455::::::\na:!$6$a$a:1::::::\n\
             -- /etc/group\nx:x:7:a\n",
        );
    }

    #[test]
    fn expiry_groups_and_homes_are_as_described() {
        let machine = Machine::new(EMPTY);
        let outcome = machine.apply(
            "#cloud-config\nusers:\n- {name: a, expiredate: '2032-09-01', inactive: '5', primary_group: staff, \
             homedir: /srv/a, no-create-home: true}\n- {name: b, groups: [no], create_groups: false}\n\
             - {name: c, uid: 2000, no_user_group: true, expiredate: soon}\n- {name: d, no_user_group: true}\n",
        );
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:5:57: `soon` is no day such as `2032-09-01`\n\
             Error: test.yaml:4:10: user `b`: the group `no` does not exist\n"
        );
        assert_eq!(read(&machine, "/etc/shadow"), "a:!:20455::::5:22889:\nd:!:20455::::::\n");
        assert_eq!(read(&machine, "/etc/group"), "staff:x:1000:\n");
        assert!(!machine.system(Mode::Apply).exists("/srv").unwrap());
    }

    #[test]
    fn a_user_that_cannot_be_made_stops_no_other_and_no_secret_is_shown() {
        let machine = Machine::new(&format!("{EMPTY}-- /etc/sudoers\nroot ALL=ALL\n"));
        let outcome = machine.apply(
            "#cloud-config\nusers:\n- {name: 'a:b', passwd: CANARY}\n- {name: ok, passwd: $9$CANARY, lock_passwd: false}\n\
             - {passwd: CANARY}\n- {name: c, passwd: [CANARY]}\n- {name: d, plain_text_passwd: \"CANARY\\n\", lock_passwd: false}\n\
             - {name: e, lock_passwd: false, hashed_passwd: CANARY, sudo: 'CANARY'}\n- {name: f, sudo: true, passwd: CANARY}\n\
             - {name: g, doas: [permit nopass root], selinux_user: staff_u, ssh_authorized_keys: CANARY}\n- 5\n- [[h]]\n",
        );
        let messages = outcome.messages();
        for part in [
            "\"a:b\" cannot be the name",
            "user `ok`: the password begins with `$`",
            "missing key `name`",
            "expected a text, found a list",
            "user `d`: the password holds a line break",
            "user `e`: the password is given as a hash, but it is none",
            "user `e`: \"CANARY\" is no rule for sudo",
            "`true` is no rule for sudo",
            "user `g`: a rule for doas begins with",
            "`selinux_user` is not supported",
            "this is no SSH key",
            "\"5\" cannot be the name",
            "expected a user, found a list",
        ] {
            assert!(messages.contains(part), "{part}\n{messages}");
        }
        assert!(!messages.replace("\"CANARY\" is no rule", "").contains("CANARY"), "{messages}");
        assert!(!format!("{:?}", outcome.effects).contains("CANARY"));
        assert_eq!(names(&machine), ["ok", "e", "g"]);
        machine.plan("#cloud-config\nusers: [planned]");
        assert_eq!(names(&machine), ["ok", "e", "g"]);
    }

    #[test]
    fn a_skeleton_is_copied_for_new_homes_only_and_given_to_the_user() {
        let machine = Machine::new(&format!(
            "{EMPTY}-- /etc/skel/.bashrc 0640\nrc\n-- /etc/skel/bin/x 0755\nx\n-- /etc/skel/link -> .bashrc\n\
             -- /home/b/ 0700 1001:1001\n"
        ));
        machine.apply("#cloud-config\nusers: [a, b, {name: c, system: true}]");
        assert!(machine.compare("").is_err());
        let found = |path: &str| machine.system(Mode::Apply).symlink_metadata(path).unwrap();
        for (path, mode) in [("/home/a/.bashrc", 0o640), ("/home/a/bin/x", 0o755), ("/home/a/link", 0o777)] {
            let found = found(path).unwrap();
            assert_eq!((found.mode, found.owner.uid), (mode, 1000), "{path}");
        }
        assert!(found("/home/b/.bashrc").is_none() && found("/home/c").is_none());
    }
}
