//! Makes single entries of the account databases be as described.
//!
//! ```text before
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! -- /etc/shadow 0640
//! root:*:19000:0:99999:7:::
//! -- /etc/group
//! root:x:0:
//! wheel:x:10:root
//! ```
//!
//! ```yaml
//! ensure_entities:
//!   - entity: |
//!       kind: group
//!       group_name: wheel
//!       users: alice
//!   - entity: |
//!       kind: user
//!       username: alice
//!       group: wheel
//!       homedir: /home/alice
//!       shell: /bin/bash
//!   - entity: |
//!       kind: shadow
//!       username: root
//!       password: $6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.
//! ```
//!
//! ```text after
//! -- /etc/.pwd.lock 0600
//! -- /etc/group
//! root:x:0:
//! wheel:x:10:root,alice
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! alice:x:1000:10:Created by entities:/home/alice:/bin/bash
//! -- /etc/shadow 0640
//! root:$6$saltstring$AIsRs/Ee56G/tC8MEHhvReZTfx8u3rXXMl6eYrjCG9ibix19DxoMBLogdTET5Ukw9Sf7eZTITsuk0Ry5qulYz.:19000:0:99999:7:::
//! ```
//!
//! An entity is YAML within YAML, and may be a template. What it leaves out stays as it is in an entry that
//! exists: yip empties it. A password in plain text is hashed, unless it matches the hash that is there. The
//! members of a group are added to those it has. A group that `group` names must exist; yip makes the user a
//! member of `root` when it does not.

use crate::accounts::allocate::Allocation;
use crate::accounts::database::update;
use crate::accounts::defaults::Defaults;
use crate::accounts::entity::{Entity, Item};
use crate::accounts::entity_edit::Surroundings;
use crate::accounts::homes::Homes;
use crate::{Context, Plugin, System};
use anyhow::{Context as _, Result};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape};
use std::collections::BTreeSet;
use std::path::Path;

/// Entries that shall be.
pub(crate) struct EnsureEntities(Vec<Item>);

impl Decode for EnsureEntities {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Vec::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Vec::<Item>::shape()
    }
}

impl Plugin for EnsureEntities {
    const KEY: &'static str = "ensure_entities";

    fn check(&self, findings: &mut Findings) {
        self.0.iter().for_each(|item| item.check(findings));
    }

    fn accounts(&self) -> Vec<String> {
        self.0.iter().flat_map(Item::accounts).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let mut reported = BTreeSet::new();
        for item in &self.0 {
            let Some(entity) = item.read(cx) else { continue };
            let span = item.entity.span();
            let ensured = ensure(sys, item, &entity).with_context(|| format!("entity `{}`", entity.name()));
            for warning in cx.attempt(span, ensured).into_iter().flatten() {
                // What is wrong with a database is so for each of its entities.
                if reported.insert(warning.clone()) {
                    cx.warn(span, warning);
                }
            }
        }
        Ok(())
    }
}

/// Makes an entity be there; returns what is doubtful about it or about the database.
fn ensure(sys: &System, item: &Item, entity: &Entity) -> Result<Vec<String>> {
    let defaults = Defaults::read(sys)?;
    let home = match entity {
        Entity::User(user) => user.homedir.as_deref(),
        _ => None,
    };
    let homes = Homes::new(sys, &defaults, home);
    let allocation = Allocation { defaults: &defaults, homes, configured_uids: BTreeSet::new() };
    let around = Surroundings { allocation, host: sys.host() };
    let elsewhere = item.elsewhere().map(|path| (entity.kind(), Path::new(path)));
    let updated = update(sys, elsewhere, &[entity.kind()], |accounts| entity.ensure(accounts, &around))?;
    Ok(updated.value.into_iter().chain(updated.malformed).collect())
}

#[cfg(test)]
mod tests {
    use crate::system::Mode;
    use crate::testing::{Machine, Outcome};

    const EMPTY: &str = "-- /etc/passwd\n-- /etc/shadow 0640\n-- /etc/group\n";

    fn entity(text: &str) -> String {
        let indented: String = text.lines().map(|line| format!("      {line}\n")).collect();
        format!("  - entity: |\n{indented}")
    }

    fn step(entities: &[&str]) -> String {
        format!("ensure_entities:\n{}", entities.iter().map(|text| entity(text)).collect::<String>())
    }

    fn read(machine: &Machine, path: &str) -> String {
        machine.system(Mode::Apply).read_text(path).unwrap().unwrap_or_default()
    }

    fn ensure(before: &str, entities: &[&str]) -> (Machine, Outcome) {
        let machine = Machine::new(before);
        let outcome = machine.apply(&step(entities));
        (machine, outcome)
    }

    #[test]
    fn a_password_in_plain_text_is_hashed_once_and_the_other_fields_stay() {
        let text = "kind: \"shadow\"\nusername: \"root\"\npassword: \"cos\"\n";
        let (machine, outcome) = ensure("-- /etc/shadow 0640\nroot:*:19000:0:99999:7:::\n", &[text]);
        assert!(outcome.findings.is_empty(), "{}", outcome.messages());
        let shadow = read(&machine, "/etc/shadow");
        assert!(shadow.starts_with("root:$6$") && shadow.ends_with(":19000:0:99999:7:::\n"), "{shadow}");
        let second = machine.apply(&step(&[text]));
        assert!(second.effects.iter().all(|effect| !effect.changed), "{:?}", second.effects);
        assert_eq!(read(&machine, "/etc/shadow"), shadow);
    }

    #[test]
    fn aging_fields_are_set_as_given_and_now_is_the_day_of_the_change() {
        let machine = Machine::new("-- /etc/shadow 0640\nroot:*:19000:0:99999:7:::\n");
        machine.check(
            &step(&["kind: shadow\nusername: root\npassword: '!'\nlast_changed: now\nminimum_changed: 1\nexpire: ''\nwarn: 9\n"]),
            "-- /etc/.pwd.lock 0600\n-- /etc/shadow 0640\nroot:!:20455:1:99999:9:::\n",
        );
        let machine = Machine::new("-- /etc/shadow 0640\nroot:*:19000:0:99999:7:::\n");
        machine.check(&step(&["kind: shadow\nusername: root\npassword: '*'\nlast_changed: now\n"]), "");
        machine.check(
            &step(&["kind: shadow\nusername: new\nlast_changed: now\n"]),
            "-- /etc/.pwd.lock 0600\n-- /etc/shadow 0640\nroot:*:19000:0:99999:7:::\nnew:!:20455::::::\n",
        );
        let outcome = machine.apply(&step(&["kind: shadow\nusername: root\nwarn: soon\n"]));
        assert!(outcome.messages().contains("must be a number of days"), "{}", outcome.messages());
    }

    #[test]
    fn an_empty_password_is_set_but_reported() {
        let (machine, outcome) = ensure(
            "-- /etc/shadow 0640\nlive:*:1::::::\n",
            &["kind: shadow\nusername: live\npassword: ''\n"],
        );
        assert!(outcome.messages().contains("anybody can log in"), "{}", outcome.messages());
        assert_eq!(read(&machine, "/etc/shadow"), "live::1::::::\n");
    }

    #[test]
    fn every_field_of_a_user_is_written_as_given() {
        let (machine, outcome) = ensure(
            "-- /etc/passwd\nroot:x:0:0:root:/root:/bin/sh\n",
            &[
                "kind: \"user\"\nusername: \"foo\"\npassword: \"pass\"\nuid: 0\ngid: 0\ninfo: \"Foo!\"\nhomedir: \"/home/foo\"\nshell: \"/bin/bash\"\n",
            ],
        );
        assert!(read(&machine, "/etc/passwd").ends_with("\nfoo:pass:0:0:Foo!:/home/foo:/bin/bash\n"));
        let messages = outcome.messages();
        assert!(messages.contains("user `foo` has the number 0, which user `root` has too"), "{messages}");
        assert!(messages.contains("everybody can read it"), "{messages}");
    }

    #[test]
    fn what_a_user_entity_leaves_out_stays() {
        let machine = Machine::new("-- /etc/passwd\nfoo:x:1234:99:Foo:/srv/foo:/bin/false\n");
        machine.check(
            &step(&["kind: user\nusername: foo\nuid: -1\ngid: -1\nshell: /bin/sh\n"]),
            "-- /etc/.pwd.lock 0600\n-- /etc/passwd\nfoo:x:1234:99:Foo:/srv/foo:/bin/sh\n",
        );
    }

    #[test]
    fn a_group_that_is_missing_is_an_error_and_never_root() {
        for text in ["group: missing\n", "", "gid: -1\n"] {
            let (machine, outcome) = ensure(EMPTY, &[&format!("kind: user\nusername: foo\n{text}")]);
            assert!(outcome.messages().contains("is not in /etc/group"), "{}", outcome.messages());
            machine.assert_tree("");
        }
    }

    #[test]
    fn a_group_keeps_its_number_and_its_members() {
        let machine = Machine::new("-- /etc/group\n\nwheel:x:10:root,bob\nlast:x:1000:");
        machine.apply(&step(&[
            "kind: group\ngroup_name: wheel\ngid: -1\npassword: ''\nusers: bob,alice\n",
            "kind: group\ngroup_name: new\ngid: -1\npassword: x\nusers: alice\n",
            "kind: group\ngroup_name: last\ngid: 7\n",
        ]));
        assert_eq!(
            read(&machine, "/etc/group"),
            "\nwheel:x:10:root,bob,alice\nlast:x:7:\nnew:x:1001:alice\n"
        );
    }

    #[test]
    fn a_group_shadow_entry_is_made_with_its_database() {
        let machine = Machine::new("-- /etc/group\nshadow:x:42:\n");
        machine.check(
            &step(&["kind: gshadow\nname: wheel\nadministrators: root\nmembers: a,b\n"]),
            "-- /etc/.pwd.lock 0600\n-- /etc/gshadow 0640 0:42\nwheel:!:root:a,b\n",
        );
    }

    #[test]
    fn the_database_may_be_elsewhere() {
        let machine = Machine::new("-- /srv/passwd 0600\nfoo:x:1:1:::\n");
        machine.check(
            &format!("{}    path: /srv/passwd\n", step(&["kind: user\nusername: foo\nshell: /bin/sh\n"])),
            "-- /etc/.pwd.lock 0600\n-- /srv/passwd 0600\nfoo:x:1:1:::/bin/sh\n",
        );
    }

    #[test]
    fn what_is_wrong_within_an_entity_is_found_where_it_stands_and_reported_once() {
        let outcome =
            Machine::new(EMPTY).apply(&step(&["kind: user\nusernam: foo\nuid: x\n", "kind: pet\n"]));
        let messages = outcome.messages();
        for part in [
            "Warning: test.yaml:4:7: unknown key `usernam`; did you mean `username`?",
            "Error: test.yaml:3:7: missing key `username`",
            "Error: test.yaml:5:12: expected a number",
            "Error: test.yaml:7:13: unknown kind of entity \"pet\"",
        ] {
            assert_eq!(messages.matches(part).count(), 1, "{part}\n{messages}");
        }
        assert_eq!(outcome.findings.len(), 4, "{messages}");
    }

    #[test]
    fn an_entity_that_fails_does_not_stop_the_others() {
        let (machine, outcome) = ensure(
            "-- /etc/passwd/\n-- /etc/group\n",
            &[
                "kind: user\nusername: a\ngid: 1\n",
                "- x\n",
                "kind: group\ngroup_name: '1:2'\n",
                "",
                "kind: group\ngroup_name: ok\ngid: 5\n",
            ],
        );
        assert_eq!(read(&machine, "/etc/group"), "ok:x:5:\n");
        assert_eq!(outcome.findings.len(), 4, "{}", outcome.messages());
        assert!(outcome.messages().contains("entity `a`: cannot read /etc/passwd"), "{}", outcome.messages());
    }

    #[test]
    fn a_database_with_odd_lines_is_reported_once() {
        let (machine, outcome) = ensure(
            "-- /etc/group\n\nnonsense\n",
            &["kind: group\ngroup_name: a\ngid: 1\n", "kind: group\ngroup_name: b\ngid: 2\n"],
        );
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        assert_eq!(read(&machine, "/etc/group"), "\nnonsense\na:x:1:\nb:x:2:\n");
    }

    #[test]
    fn no_secret_is_shown_whatever_goes_wrong() {
        let entities = [
            "kind: shadow\nusername: a\npassword: CANARY\n",
            "kind: shadow\nusername: a\npassword: $CANARY\n",
            "kind: shadow\nusername: a\npassword: \"CANARY\n",
            "kind: shadow\nusername: a\npassword: [CANARY]\n",
            "kind: shadow\nusername: a\npassword: {CANARY: CANARY}\n",
            "kind: shadow\nusername: a\n password: CANARY\n",
            "kind: shadow\nusername: a\npassword: *CANARY\n",
            "kind: shadow\nusername: a\npassword: %CANARY\n",
            "kind: shadow\nusername: a\npassword: !CANARY CANARY\n",
            "kind: shadow\nusername: a\npassword: \"CANARY\\n\"\n",
            "kind: shadow\nusername: a\npassword: $6$CANARY:\n",
            "kind: shadow\nusername: a\npassword:CANARY\n",
            "kind: shadow\nusername: a\npassword: |\n  CANARY\n",
            "kind: gshadow\nname: a\npassword: CANARY\n",
            "kind: user\nusername: a\ngid: 1\npassword: CANARY\n",
        ];
        for text in entities {
            for before in [
                EMPTY,
                "-- /etc/shadow 0640\na:CANARY:1::::::\nCANARY\n",
                "-- /etc/passwd/\n-- /etc/shadow/\n-- /etc/gshadow/\n",
            ] {
                for (machine, mode) in
                    [(Machine::new(before), Mode::Apply), (Machine::new(before), Mode::Plan)]
                {
                    let outcome = match mode {
                        Mode::Apply => machine.apply(&step(&[text])),
                        Mode::Plan => machine.plan(&step(&[text])),
                    };
                    // What is written to a database that everybody may read is no secret any more.
                    if text.contains("kind: user") && mode == Mode::Plan {
                        continue;
                    }
                    let shown = format!("{outcome:?}");
                    assert!(!shown.contains("CANARY"), "{text}\n{shown}");
                }
            }
        }
    }
}
