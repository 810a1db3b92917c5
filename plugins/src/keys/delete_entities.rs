//! Removes single entries from the account databases.
//!
//! ```text before
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! games:x:5:60:games:/usr/games:/usr/sbin/nologin
//! -- /etc/group
//! root:x:0:
//! ```
//!
//! ```yaml
//! delete_entities:
//!   - entity: |
//!       kind: user
//!       username: games
//!   - entity: |
//!       kind: group
//!       group_name: games
//! ```
//!
//! ```text after
//! -- /etc/.pwd.lock 0600
//! -- /etc/passwd
//! root:x:0:0:root:/root:/bin/sh
//! ```
//!
//! Only the name counts: whatever else the entity says may differ from the entry. (yip removes users only when
//! every field is the same, and in place of a group that is not there, the first group of the file.)

use crate::accounts::database::update;
use crate::accounts::entity::{Entity, Item};
use crate::{Context, Plugin, System};
use anyhow::{Context as _, Result};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape};
use std::path::Path;

/// Entries that shall not be.
pub(crate) struct DeleteEntities(Vec<Item>);

impl Decode for DeleteEntities {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        Vec::decode(node, findings).map(Self)
    }

    fn shape() -> Shape {
        Vec::<Item>::shape()
    }
}

impl Plugin for DeleteEntities {
    const KEY: &'static str = "delete_entities";

    fn check(&self, findings: &mut Findings) {
        self.0.iter().for_each(|item| item.check(findings));
    }

    fn accounts(&self) -> Vec<String> {
        self.0.iter().flat_map(Item::accounts).collect()
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        for item in &self.0 {
            let Some(entity) = item.read(cx) else { continue };
            let deleted = delete(sys, item, &entity).with_context(|| format!("entity `{}`", entity.name()));
            cx.attempt(item.entity.span(), deleted);
        }
        Ok(())
    }
}

fn delete(sys: &System, item: &Item, entity: &Entity) -> Result<()> {
    let elsewhere = item.elsewhere().map(|path| (entity.kind(), Path::new(path)));
    update(sys, elsewhere, &[entity.kind()], |accounts| {
        entity.delete(accounts);
        Ok(())
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn what_is_not_there_is_fine() {
        let machine = Machine::new("-- /etc/group\nroot:x:0:\n");
        let kinds = [
            "user\n      username",
            "shadow\n      username",
            "group\n      group_name",
            "gshadow\n      name",
        ];
        for kind in kinds {
            machine.check(&format!("delete_entities:\n  - entity: |\n      kind: {kind}: gone\n"), "");
        }
    }

    #[test]
    fn only_the_name_counts() {
        let machine = Machine::new(
            "-- /etc/passwd\nfoo:x:1:1:::\nfoobar:x:2:2:::\nfoo:x:3:3:::\n-- /etc/shadow 0600\nfoo:$6$a$b:1::::::\nroot:*:1::::::\n",
        );
        machine.check(
            "delete_entities:\n  - entity: '{kind: user, username: foo, uid: 77}'\n  - entity: '{kind: shadow, username: foo}'\n",
            "-- /etc/.pwd.lock 0600\n-- /etc/passwd\nfoobar:x:2:2:::\n-- /etc/shadow 0600\nroot:*:1::::::\n",
        );
    }

    #[test]
    fn odd_lines_stay_and_cannot_be_named() {
        let machine = Machine::new("-- /etc/group\n\nodd\n+odd:::\nroot:x:0:");
        machine.check("delete_entities:\n  - entity: '{kind: group, group_name: odd}'\n", "");
        let outcome = machine.apply("delete_entities:\n  - entity: '{kind: group, group_name: \"a:b\"}'\n");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        machine.assert_tree("");
    }
}
