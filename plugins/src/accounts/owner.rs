//! Owners of files as documents name them: by number, or by the names in `/etc/passwd` and `/etc/group` of
//! the root. The databases of the machine that runs this are never asked, nor is NSS.

use crate::system::Owner;
use crate::{System, accounts};
use anyhow::{Result, bail};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, excerpt};

/// The number of a user or a group.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(u32);

impl Decode for Number {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.text() {
            Some(name) if name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') => {
                findings
                    .error(node.span, format!("expected a whole number, found `{}`", excerpt(name)))
                    .help("names go into `owner_string: user:group`");
                None
            }
            _ => u32::decode(node, findings).map(Self),
        }
    }

    fn shape() -> Shape {
        u32::shape()
    }
}

/// The owner that `owner`, `group` and `owner_string` of a document ask for: names win over numbers, and of two
/// numbers the one that is left out is 0, as in yip. Nothing when nobody is asked for.
pub(crate) fn requested(
    sys: &System,
    user: Option<Number>,
    group: Option<Number>,
    names: Option<&str>,
) -> Result<Option<Owner>> {
    match (names, user, group) {
        (Some(names), _, _) => resolve(sys, names).map(Some),
        (None, None, None) => Ok(None),
        (None, user, group) => {
            let id = |number: Option<Number>| valid(number.map_or(0, |Number(id)| id));
            Ok(Some(Owner { uid: id(user)?, gid: id(group)? }))
        }
    }
}

/// Looks up `user:group`, each a name or a number; without a group it is the primary group of the user. As
/// with chown(1), what is a name is no number.
pub(crate) fn resolve(sys: &System, owner: &str) -> Result<Owner> {
    let (user, group) = match owner.trim().split_once(':') {
        Some((user, group)) if !group.is_empty() => (user, Some(group)),
        Some((user, _)) => (user, None),
        None => (owner.trim(), None),
    };
    if user.is_empty() {
        bail!("the owner {owner:?} names no user: write `user` or `user:group`");
    }
    let (uid, entry) = match (accounts::user(sys, user)?, user.parse()) {
        (Some(entry), _) => (entry.owner.uid, Some(entry)),
        (None, Ok(uid)) => (uid, accounts::user_by_id(sys, uid)?),
        (None, Err(_)) => bail!("no user {user:?} in /etc/passwd"),
    };
    let gid = match (group, entry) {
        (Some(group), _) => group_id(sys, group)?,
        (None, Some(entry)) => entry.owner.gid,
        (None, None) => bail!(
            "no user with the number {uid} in /etc/passwd, so its group is unknown: write `{uid}:GROUP`"
        ),
    };
    Ok(Owner { uid: valid(uid)?, gid: valid(gid)? })
}

fn group_id(sys: &System, group: &str) -> Result<u32> {
    match (accounts::group(sys, group)?, group.parse()) {
        (Some(group), _) => Ok(group.gid),
        (None, Ok(gid)) => Ok(gid),
        (None, Err(_)) => bail!("no group {group:?} in /etc/group"),
    }
}

/// Refuses the number that chown(2) takes for "leave it as it is".
fn valid(id: u32) -> Result<u32> {
    if id == u32::MAX {
        bail!("{id} is not the number of a user or group");
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::{Number, requested, resolve};
    use crate::system::{Mode, Owner};
    use crate::testing::Machine;

    const TREE: &str = "\
-- /etc/passwd
root:x:0:0:root:/root:/bin/sh

broken
alice:x:1000:100::/home/alice:/bin/sh
alice:x:7:7:the first entry counts:/:/bin/sh
bob:x:many:100::/home/bob:/bin/sh
-- /etc/group
root:x:0:
users:x:100:
wheel:x:10:alice
";

    fn owner(text: &str) -> Result<(u32, u32), String> {
        let machine = Machine::new(TREE);
        let found = resolve(&machine.system(Mode::Apply), text);
        found.map(|owner| (owner.uid, owner.gid)).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn names_come_from_the_databases_of_the_root() {
        assert_eq!(owner("alice:wheel"), Ok((1000, 10)));
        assert_eq!(owner("root"), Ok((0, 0)));
    }

    #[test]
    fn without_a_group_it_is_the_primary_group_of_the_user() {
        assert_eq!(owner("alice"), Ok((1000, 100)));
        assert_eq!(owner("alice:"), Ok((1000, 100)));
        assert_eq!(owner("1000"), Ok((1000, 100)));
    }

    #[test]
    fn numbers_need_no_entry_unless_the_group_is_asked_of_it() {
        assert_eq!(owner("4711:42"), Ok((4711, 42)));
        assert_eq!(
            owner("4711").unwrap_err(),
            "no user with the number 4711 in /etc/passwd, so its group is unknown: write `4711:GROUP`"
        );
    }

    #[test]
    fn unknown_and_malformed_names_are_errors() {
        assert_eq!(owner("nosuch").unwrap_err(), "no user \"nosuch\" in /etc/passwd");
        assert_eq!(owner("alice:nosuch").unwrap_err(), "no group \"nosuch\" in /etc/group");
        assert_eq!(owner("bob").unwrap_err(), "no user \"bob\" in /etc/passwd");
        assert!(owner(":wheel").is_err() && owner("").is_err() && owner("4294967295:0").is_err());
    }

    #[test]
    fn of_two_numbers_the_missing_one_is_zero() {
        let machine = Machine::new("");
        let sys = machine.system(Mode::Apply);
        assert_eq!(requested(&sys, None, None, None).unwrap(), None);
        assert_eq!(requested(&sys, Some(Number(5)), None, None).unwrap(), Some(Owner { uid: 5, gid: 0 }));
        assert_eq!(requested(&sys, None, Some(Number(6)), None).unwrap(), Some(Owner { uid: 0, gid: 6 }));
    }
}
