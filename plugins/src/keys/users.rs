//! Makes users be there, each with a group, a password, a home directory and SSH keys.
//!
//! ```text before
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! -- /etc/shadow 0640
//! root:*:19000:0:99999:7:::
//! -- /etc/group
//! root:x:0:
//! wheel:x:10:
//! ```
//!
//! ```yaml
//! users:
//!   alice:
//!     passwd: $6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.
//!     groups: [wheel]
//!     shell: /bin/bash
//!     ssh_authorized_keys:
//!       - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB alice@laptop
//!   backup:
//!     uid: 5000
//!     no-create-home: true
//! ```
//!
//! ```text after
//! -- /etc/.pwd.lock 0600
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! alice:x:1000:1000:Created by entities:/home/alice:/bin/bash
//! backup:x:5000:1001:Created by entities:/home/backup:/bin/sh
//! -- /etc/shadow 0640
//! root:*:19000:0:99999:7:::
//! alice:$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.:20455::::::
//! backup:!:20455::::::
//! -- /etc/group
//! root:x:0:
//! wheel:x:10:alice
//! alice:x:1000:alice
//! backup:x:1001:backup
//! -- /home/alice/ 0755 1000:1000
//! -- /home/alice/.ssh/ 0700 1000:1000
//! -- /home/alice/.ssh/authorized_keys 0600 1000:1000
//! ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB alice@laptop
//! ```
//!
//! A user without a password is locked: yip lets anybody in. Plain text is hashed, unless it matches the hash
//! that is there. Users are made in the order of their names. A new one gets the number that owns the home
//! directory, if that is free, so that users whose `/etc/passwd` is made anew at each boot keep their files; else
//! the first free number that owns no home directory. Groups that are listed and missing are made, with a warning.
//!
//! Of a user who exists, the password is brought up to date, groups, SSH keys and a missing home directory are
//! added, and all else is left alone, the numbers above all. `lock_passwd` puts `!` before the hash of one who exists, as usermod(8) does; a
//! new one gets no hash at all, as with yip. Nothing is copied from `/etc/skel`.

use crate::accounts::Names;
use crate::accounts::authorized_keys::install;
use crate::accounts::entity_edit::NO_INFO;
use crate::accounts::field::check_name;
use crate::accounts::ids::Id;
use crate::accounts::make_users::{MissingGroups, WantedUser, make_users};
use crate::accounts::password::Password;
use crate::{Context, Plugin, System};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Named, Shape, Spanned, Text, record};

record! {
    /// A user.
    pub(crate) struct Account {
        /// Not used: the key under `users` is the name.
        name: Option<Spanned<String>>,
        /// The password: a hash, or plain text that is hashed. Nobody can log in with a password without it.
        passwd: Password,
        /// Keys with which the user may log in by SSH.
        ssh_authorized_keys: Vec<Text> as "ssh_authorized_keys" | "ssh-authorized-keys",
        /// The full name and other remarks.
        gecos: String,
        /// The home directory; below `/home` when it is left out.
        homedir: String,
        /// The home directory is not made.
        no_create_home: bool as "no_create_home" | "no-create-home",
        /// The primary group, which must exist; a group with the name of the user when it is left out.
        primary_group: String as "primary_group" | "primary-group",
        /// Further groups; those that are missing are made.
        groups: Names,
        /// No group with the name of the user is made; the primary group is that of useradd(8).
        no_user_group: bool as "no_user_group" | "no-user-group",
        /// The number is taken from those for programs.
        system: bool,
        /// Without effect: the records of logins are never touched.
        no_log_init: bool as "no_log_init" | "no-log-init",
        /// The login shell; that of useradd(8), or `/bin/sh`, when it is left out.
        shell: String,
        /// Nobody can log in with a password, whatever `passwd` says.
        lock_passwd: bool as "lock_passwd" | "lock-passwd",
        /// The number of a new user; a free one when it is left out.
        uid: Id,
    }
}

/// Users by their names.
pub(crate) struct Users(Named<Account>);

impl Decode for Users {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Named::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Named::<Account>::shape()
    }
}

impl Plugin for Users {
    const KEY: &'static str = "users";

    fn check(&self, findings: &mut Findings) {
        for (name, account) in &self.0.0 {
            match check_name(name) {
                Err(error) => drop(findings.error(name.span, error.to_string())),
                Ok(Some(warning)) => drop(findings.warn(name.span, warning)),
                Ok(None) => {}
            }
            if let Some(warning) = account.passwd.warning() {
                findings.warn(name.span, format!("user `{}`: {warning}", name.value));
            }
            if let Some(other) = account.name.as_ref().filter(|other| other.value != name.value) {
                let message = format!("the user is called `{}`, as the key says", name.value);
                findings.warn(other.span, message).help("remove `name`, or change the key");
            }
            if !account.shell.is_empty() && !account.shell.starts_with('/') {
                findings.warn(name.span, format!("the shell of user `{}` is no absolute path", name.value));
            }
        }
    }

    fn accounts(&self) -> Vec<String> {
        self.0.0.iter().map(|(name, _)| name.value.clone()).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        // The others have been reported by `check`.
        let mut users: Vec<_> = self.0.0.iter().filter(|(name, _)| check_name(name).is_ok()).collect();
        users.sort_by(|(one, _), (other, _)| one.value.cmp(&other.value));
        let wanted: Vec<_> = users.iter().map(|(name, account)| account.wanted(name)).collect();
        let made = make_users(cx, sys, &wanted)?;
        for ((name, account), user) in users.into_iter().zip(made) {
            if let Some(user) = user.filter(|_| !account.ssh_authorized_keys.is_empty()) {
                cx.attempt(name.span, install(cx, sys, &user, &account.ssh_authorized_keys));
            }
        }
        Ok(())
    }
}

impl Account {
    fn wanted<'a>(&'a self, name: &'a Spanned<String>) -> WantedUser<'a> {
        WantedUser {
            name: &name.value,
            span: name.span,
            password: Some(&self.passwd).filter(|password| !password.is_empty() && !self.lock_passwd),
            lock: self.lock_passwd,
            gecos: if self.gecos.is_empty() { NO_INFO } else { &self.gecos },
            home: &self.homedir,
            create_home: !self.no_create_home,
            skeleton: false,
            shell: &self.shell,
            uid: self.uid,
            system: self.system,
            primary_group: &self.primary_group,
            no_user_group: self.no_user_group,
            groups: &self.groups,
            missing_groups: MissingGroups::MadeWithWarning,
            expires: None,
            inactive: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    const EMPTY: &str = "-- /etc/passwd\n-- /etc/shadow 0640\n-- /etc/group\n";
    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB";

    fn read(machine: &Machine, path: &str) -> String {
        machine.system(crate::system::Mode::Apply).read_text(path).unwrap().unwrap_or_default()
    }

    #[test]
    fn users_are_numbered_in_the_order_of_their_names() {
        let machine = Machine::new(EMPTY);
        machine.apply("users: {foo: {passwd: $6$a$b}, bar: {}, x: {}, a: {}}");
        assert_eq!(
            read(&machine, "/etc/passwd"),
            "a:x:1000:1000:Created by entities:/home/a:/bin/sh\n\
             bar:x:1001:1001:Created by entities:/home/bar:/bin/sh\n\
             foo:x:1002:1002:Created by entities:/home/foo:/bin/sh\n\
             x:x:1003:1003:Created by entities:/home/x:/bin/sh\n"
        );
        assert_eq!(read(&machine, "/etc/group"), "a:x:1000:a\nbar:x:1001:bar\nfoo:x:1002:foo\nx:x:1003:x\n");
        assert!(read(&machine, "/etc/shadow").contains("foo:$6$a$b:20455::::::\n"));
    }

    #[test]
    fn a_number_that_is_configured_leaves_the_group_its_own() {
        let machine = Machine::new(EMPTY);
        machine.check(
            "users: {foo: {uid: 5000, no_create_home: true, lock_passwd: true, passwd: $6$a$b, gecos: Foo}}",
            "-- /etc/.pwd.lock 0600\n\
             -- /etc/passwd\nfoo:x:5000:1000:Foo:/home/foo:/bin/sh\n\
             -- /etc/shadow 0640\nfoo:!:20455::::::\n\
             -- /etc/group\nfoo:x:1000:foo\n",
        );
    }

    #[test]
    fn hyphens_are_as_good_as_underscores() {
        let machine = Machine::new("-- /etc/passwd\n-- /etc/shadow 0640\n-- /etc/group\nstaff:x:50:\n");
        machine.check(
            "users: {foo: {primary-group: staff, no-create-home: yes, lock-passwd: yes, no-user-group: true, \
             no-log-init: true, ssh-authorized-keys: []}}",
            "-- /etc/.pwd.lock 0600\n\
             -- /etc/passwd\nfoo:x:1000:50:Created by entities:/home/foo:/bin/sh\n\
             -- /etc/shadow 0640\nfoo:!:20455::::::\n",
        );
    }

    #[test]
    fn plain_text_is_hashed_once() {
        let machine = Machine::new(EMPTY);
        let step = "users: {foo: {passwd: CANARY}}";
        let first = machine.apply(step);
        assert!(first.findings.is_empty(), "{}", first.messages());
        let shadow = read(&machine, "/etc/shadow");
        assert!(shadow.starts_with("foo:$6$") && shadow.ends_with(":20455::::::\n"), "{shadow}");
        assert!(machine.apply(step).effects.iter().all(|effect| !effect.changed));
        assert_eq!(read(&machine, "/etc/shadow"), shadow);
        machine.apply("users: {foo: {passwd: other}}");
        assert_ne!(read(&machine, "/etc/shadow"), shadow);
    }

    #[test]
    fn the_password_of_a_user_who_exists_is_changed_and_nothing_else() {
        let machine = Machine::new(
            "-- /etc/passwd\nfoo:x:1234:99:Foo:/srv/foo:/bin/false\n\
             -- /etc/shadow 0640\nfoo:$6$rounds=1000$saltstring$2BkAo106CG84raQcWpAlhyy6TSSkAsL1nfvBCoezLYyerUzY2l8axTvq6NynEt7SQAx3/cdop9ds0po8uaeHq0:18820:1:90:7:14:30000:\n\
             -- /etc/group\nfoo:x:4321:\n",
        );
        let step = |passwd: &str| {
            format!(
                "users: {{foo: {{passwd: {passwd}, shell: /bin/sh, gecos: Other, homedir: /home/foo, primary_group: foo}}}}"
            )
        };
        machine.check(&step("secret"), "");
        machine.check(
            &step("$6$other$hash"),
            "-- /etc/.pwd.lock 0600\n\
             -- /etc/shadow 0640\nfoo:$6$other$hash:20455:1:90:7:14:30000:\n",
        );
    }

    #[test]
    fn a_user_who_exists_is_locked_as_usermod_does_and_unlocked_by_a_password() {
        let machine = Machine::new("-- /etc/passwd\nfoo:x:1:1:::\n-- /etc/shadow 0640\nfoo:$6$a$b:9::::::\n");
        machine.check(
            "users: {foo: {lock_passwd: true, passwd: $6$c$d}}",
            "-- /etc/.pwd.lock 0600\n-- /etc/shadow 0640\nfoo:!$6$a$b:9::::::\n",
        );
        machine.check(
            "users: {foo: {passwd: $6$a$b}}",
            "-- /etc/.pwd.lock 0600\n-- /etc/shadow 0640\nfoo:$6$a$b:20455::::::\n",
        );
    }

    #[test]
    fn a_user_who_exists_and_has_no_password_is_reported() {
        let machine = Machine::new("-- /etc/passwd\nfoo:x:1:1:::\n-- /etc/shadow 0640\nfoo::9::::::\n");
        let outcome = machine.apply("users: {foo: {uid: 7}}");
        assert!(outcome.messages().contains("anybody can log in"), "{}", outcome.messages());
        assert!(outcome.messages().contains("the number stays 1"), "{}", outcome.messages());
        machine.assert_tree("");
    }

    #[test]
    fn what_is_left_of_another_user_gives_no_password() {
        let machine = Machine::new(
            "-- /etc/passwd\n-- /etc/shadow 0640\nfoo:$6$old$old:18820:0:9:::: \n-- /etc/group\n",
        );
        machine.apply("users: {foo: {no_create_home: true}}");
        assert!(read(&machine, "/etc/shadow").starts_with("foo:!:20455:0:9:"));
    }

    #[test]
    fn groups_are_added_and_missing_ones_made_with_a_warning() {
        let machine = Machine::new(
            "-- /etc/passwd\nadmin:x:1000:1000::/home/admin:\n-- /etc/shadow 0640\n\
             -- /etc/group\nadmin:x:1000:admin\n-- /etc/gshadow 0640\nadmin:!::admin\n",
        );
        let step = "users: {bar: {groups: [admin, admin], no_create_home: true}, baz: {groups: 'admin, new', no_create_home: true}}";
        let outcome = machine.apply(step);
        assert_eq!(
            outcome.messages(),
            "Warning: test.yaml:1:62: user `baz`: the group `new` did not exist and was made, with the number 1003\n"
        );
        let tree = "-- /etc/.pwd.lock 0600\n\
             -- /etc/passwd\nadmin:x:1000:1000::/home/admin:\n\
             bar:x:1001:1001:Created by entities:/home/bar:/bin/sh\n\
             baz:x:1002:1002:Created by entities:/home/baz:/bin/sh\n\
             -- /etc/shadow 0640\nbar:!:20455::::::\nbaz:!:20455::::::\n\
             -- /etc/group\nadmin:x:1000:admin,bar,baz\nbar:x:1001:bar\nbaz:x:1002:baz\nnew:x:1003:baz\n\
             -- /etc/gshadow 0640\nadmin:!::admin,bar,baz\nbar:!::bar\nbaz:!::baz\nnew:!::baz\n";
        machine.assert_tree(tree);
        machine.check(step, tree);
        machine.check(&format!("{step}\nunused: 1"), tree);
    }

    #[test]
    fn a_group_with_the_name_of_the_user_stays_as_it_is() {
        let machine =
            Machine::new("-- /etc/passwd\n-- /etc/shadow 0640\n-- /etc/group\nfoo:x:2000:someone\n");
        machine.apply("users: {foo: {no_create_home: true}}");
        assert_eq!(read(&machine, "/etc/group"), "foo:x:2000:someone\n");
        assert!(read(&machine, "/etc/passwd").starts_with("foo:x:1000:2000:"));
    }

    #[test]
    fn numbers_that_own_home_directories_go_to_their_users_and_to_nobody_else() {
        let machine = Machine::new(&format!(
            "{EMPTY}-- /home/zoe/ 0700 1000:1002\n-- /home/left/ 0700 1001:1001\n-- /home/rooted/ 0755 0:0\n-- /srv/far/ 0700 1007:1007\n"
        ));
        machine.apply("users: {amy: {}, zoe: {}, rooted: {}, ned: {uid: 1002}, far: {homedir: /srv/far}}");
        let passwd = read(&machine, "/etc/passwd");
        let ids: Vec<_> =
            passwd.lines().map(|line| line.split(':').take(4).collect::<Vec<_>>().join(":")).collect();
        assert_eq!(
            ids,
            [
                "amy:x:1003:1000",
                "far:x:1007:1007",
                "ned:x:1002:1003",
                "rooted:x:1004:1004",
                "zoe:x:1000:1002"
            ]
        );
    }

    #[test]
    fn the_root_says_where_numbers_homes_and_shells_come_from() {
        let machine = Machine::new(&format!(
            "{EMPTY}-- /etc/login.defs\nUID_MIN 500\nSYS_UID_MAX 300\nHOME_MODE 0700\n\
             -- /etc/default/useradd\nHOME=/var/home\nSHELL=/bin/zsh\nGROUP=50\n"
        ));
        machine.check(
            "users: {a: {no_user_group: true}, d: {system: true, no_create_home: true}}",
            "-- /etc/.pwd.lock 0600\n\
             -- /etc/passwd\na:x:500:50:Created by entities:/var/home/a:/bin/zsh\n\
             d:x:300:999:Created by entities:/var/home/d:/bin/zsh\n\
             -- /etc/shadow 0640\na:!:20455::::::\nd:!:20455::::::\n\
             -- /etc/group\nd:x:999:d\n\
             -- /var/home/a/ 0700 500:50\n",
        );
    }

    #[test]
    fn a_user_that_cannot_be_made_leaves_no_trace_and_does_not_stop_the_others() {
        let machine = Machine::new("-- /etc/passwd\nroot:x:0:0:::\n-- /etc/shadow 0640\n-- /etc/group\n");
        let outcome = machine.apply(
            "users:\n  a: {uid: 0}\n  b: {primary_group: nope}\n  c: {homedir: relative}\n  \"1bad\": {}\n  \
             d: {passwd: \"CANARY\\n\"}\n  e: {gecos: 'a:b'}\n  f: {uid: -5000000000}\n  g: {uid: 4294967295}\n  \
             h: {groups: [good, 'b,d']}\n  z: {no_create_home: true}\n",
        );
        let messages = outcome.messages();
        for part in [
            "user `a`: the number 0 is that of user `root`",
            "user `b`: group `nope` is not in /etc/group",
            "user `c`: the home directory must be",
            "\"1bad\" cannot be the name",
            "user `d`: the password holds",
            "user `e`: the gecos must not hold",
            "expected a number from 0 to 4294967294",
            "user `h`: \"b,d\" cannot be the name",
        ] {
            assert!(messages.contains(part), "{part}\n{messages}");
        }
        assert!(!messages.contains("CANARY"), "{messages}");
        assert_eq!(read(&machine, "/etc/group"), "f:x:1000:f\nz:x:1001:z\n");
        assert_eq!(read(&machine, "/etc/shadow"), "f:!:20455::::::\nz:!:20455::::::\n");
    }

    #[test]
    fn odd_lines_are_kept_and_reported_once() {
        let machine = Machine::new(
            "-- /etc/passwd\nroot:x:0:0:::\n\nnonsense\n# note\n+::::::\n\
             -- /etc/shadow 0640\n-- /etc/group\n\nroot:x:0:\n",
        );
        let outcome = machine.apply("users: {a: {no_create_home: true}, b: {no_create_home: true}}");
        assert_eq!(
            outcome.messages(),
            "Warning: test.yaml:1:9: line 1 of /etc/group is blank or malformed and is left as it is\n\
             Warning: test.yaml:1:9: lines 2, 3 of /etc/passwd are blank or malformed and are left as they are\n"
        );
        assert_eq!(
            read(&machine, "/etc/passwd"),
            "root:x:0:0:::\n\nnonsense\n# note\n\
             a:x:1000:1000:Created by entities:/home/a:/bin/sh\n\
             b:x:1001:1001:Created by entities:/home/b:/bin/sh\n+::::::\n"
        );
    }

    #[test]
    fn a_home_directory_that_cannot_be_made_is_the_users_own_failure() {
        let machine = Machine::new(&format!("{EMPTY}-- /blocked\n-- /home/c/ 0700 0:0\n"));
        let outcome = machine.apply(&format!(
            "users:\n  a: {{homedir: /blocked/a, ssh_authorized_keys: [{KEY}]}}\n  \
             b: {{homedir: /srv/deep/b, ssh_authorized_keys: [{KEY}]}}\n  c: {{}}\n"
        ));
        let messages = outcome.messages();
        assert!(messages.contains("user `a`") && messages.contains("/blocked"), "{messages}");
        assert!(
            messages.contains("Warning: test.yaml:4:3: user `c`: the home directory /home/c belongs to 0:0"),
            "{messages}"
        );
        machine.assert_tree(&format!(
            "-- /etc/.pwd.lock 0600\n\
             -- /etc/passwd\na:x:1000:1000:Created by entities:/blocked/a:/bin/sh\n\
             b:x:1001:1001:Created by entities:/srv/deep/b:/bin/sh\n\
             c:x:1002:1002:Created by entities:/home/c:/bin/sh\n\
             -- /etc/shadow 0640\na:!:20455::::::\nb:!:20455::::::\nc:!:20455::::::\n\
             -- /etc/group\na:x:1000:a\nb:x:1001:b\nc:x:1002:c\n\
             -- /srv/deep/b/ 0755 1001:1001\n-- /srv/deep/b/.ssh/ 0700 1001:1001\n\
             -- /srv/deep/b/.ssh/authorized_keys 0600 1001:1001\n{KEY}\n"
        ));
    }

    #[test]
    fn a_home_directory_that_was_lost_is_made_again_and_one_that_is_not_ours_is_not() {
        let machine = Machine::new(
            "-- /etc/passwd\na:x:1000:1000::/home/a:\nnobody:x:65534:65534::/nonexistent:\n\
             -- /etc/shadow 0640\na:!:::::::\nnobody:*:::::::\n-- /etc/group\n",
        );
        machine.check("users: {a: {}, nobody: {}}", "-- /home/a/ 0755 1000:1000\n");
    }

    #[test]
    fn no_secret_is_shown_whatever_goes_wrong() {
        let users = [
            "passwd: CANARY",
            "passwd: $CANARY",
            "passwd: $6$CANARY$CANARY",
            "passwd: '!CANARY'",
            "passwd: \"CANARY\\n\"",
            "passwd: 'CANARY:'",
            "passwd: '$6$CANARY:'",
            "passwd: [CANARY]",
            "passwd: {CANARY: CANARY}",
            "ssh_authorized_keys: [CANARY, ssh-rsa AAAACANARY, ssh-rsa CA-NARY]",
            "ssh_authorized_keys: CANARY",
        ];
        let trees = [
            EMPTY,
            "-- /etc/passwd\na:x:1:1::/home/a:\n-- /etc/shadow 0640\na:CANARY:1::::::\nCANARY\n-- /home/a/ 0755 1:1\n",
            "-- /etc/passwd/\n-- /etc/shadow/\n",
        ];
        for user in users {
            for tree in trees {
                let step = format!("users: {{a: {{{user}}}}}");
                for shown in [
                    format!("{:?}", Machine::new(tree).apply(&step)),
                    format!("{:?}", Machine::new(tree).plan(&step)),
                ] {
                    assert!(!shown.contains("CANARY"), "{user}\n{shown}");
                }
            }
        }
    }

    #[test]
    fn a_user_that_a_power_cut_left_half_made_is_finished() {
        // The order of writing: group, shadow, passwd, home directory.
        let (group, shadow) = ("-- /etc/group\na:x:1000:a\n", "-- /etc/shadow 0640\na:!:20455::::::\n");
        let passwd = "-- /etc/passwd\na:x:1000:1000:Created by entities:/home/a:/bin/sh\n";
        for before in [
            format!("-- /etc/passwd\n-- /etc/shadow 0640\n{group}"),
            format!("-- /etc/passwd\n{shadow}{group}"),
            format!("{passwd}{shadow}{group}"),
        ] {
            let machine = Machine::new(&format!("{before}-- /etc/.pwd.lock 0600\n"));
            machine.check("users: {a: {}}", &format!("{passwd}{shadow}-- /home/a/ 0755 1000:1000\n"));
        }
    }

    #[test]
    fn a_plan_shows_users_and_makes_none() {
        let machine = Machine::new(EMPTY);
        let outcome =
            machine.plan(&format!("users: {{a: {{passwd: secret, ssh_authorized_keys: [{KEY}]}}}}"));
        assert!(outcome.findings.is_empty(), "{}", outcome.messages());
        let changed: Vec<_> = outcome
            .effects
            .iter()
            .filter(|effect| effect.changed)
            .map(|effect| effect.target.as_str())
            .collect();
        assert_eq!(
            changed,
            [
                "/etc/group",
                "/etc/shadow",
                "/etc/passwd",
                "/home",
                "/home/a",
                "/home/a/.ssh",
                "/home/a/.ssh/authorized_keys"
            ]
        );
        machine.assert_tree("");
    }

    #[test]
    fn a_root_without_databases_gets_them() {
        let machine = Machine::new("-- /etc/hostname\nx\n");
        machine.check(
            "users: {a: {no_create_home: true}}",
            "-- /etc/.pwd.lock 0600\n-- /etc/passwd\na:x:1000:1000:Created by entities:/home/a:/bin/sh\n\
             -- /etc/shadow 0600\na:!:20455::::::\n-- /etc/group\na:x:1000:a\n",
        );
    }
}
