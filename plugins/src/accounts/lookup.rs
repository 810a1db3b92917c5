//! Users and groups of a root by their name.

use super::kind::{Kind, NAME, group as group_columns, passwd};
use super::table::{Entry, Table};
use crate::System;
use crate::system::Owner;
use anyhow::Result;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// A user as `/etc/passwd` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// The name.
    pub name: String,
    /// The number of the user and of the primary group.
    pub owner: Owner,
    /// The home directory.
    pub home: PathBuf,
}

/// A group as `/etc/group` has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The name.
    pub name: String,
    /// The number.
    pub gid: u32,
}

/// The user of this name in the root.
pub fn user(sys: &System, name: &str) -> Result<Option<User>> {
    let content = sys.read(Kind::User.path())?.unwrap_or_default();
    Ok(Table::parse(Kind::User, &content).find(name).and_then(User::of))
}

/// The first user of this number in the root.
pub fn user_by_id(sys: &System, uid: u32) -> Result<Option<User>> {
    let content = sys.read(Kind::User.path())?.unwrap_or_default();
    let table = Table::parse(Kind::User, &content);
    let mut users = table.entries().filter_map(User::of);
    Ok(users.find(|user| user.owner.uid == uid))
}

/// The first group of this number in the root.
pub fn group_by_id(sys: &System, gid: u32) -> Result<Option<Group>> {
    let content = sys.read(Kind::Group.path())?.unwrap_or_default();
    let table = Table::parse(Kind::Group, &content);
    let mut groups = table.entries().filter_map(Group::of);
    Ok(groups.find(|group| group.gid == gid))
}

/// The group of this name in the root.
pub fn group(sys: &System, name: &str) -> Result<Option<Group>> {
    let content = sys.read(Kind::Group.path())?.unwrap_or_default();
    Ok(Table::parse(Kind::Group, &content).find(name).and_then(Group::of))
}

impl User {
    /// The user that an entry of passwd is.
    pub fn of(entry: Entry<'_>) -> Option<Self> {
        Some(Self {
            name: entry.text(NAME).into_owned(),
            owner: Owner { uid: entry.id(passwd::UID)?, gid: entry.id(passwd::GID)? },
            home: OsStr::from_bytes(entry.get(passwd::HOME)).into(),
        })
    }
}

impl Group {
    /// The group that an entry of group is.
    pub fn of(entry: Entry<'_>) -> Option<Self> {
        Some(Self { name: entry.text(NAME).into_owned(), gid: entry.id(group_columns::GID)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    #[test]
    fn users_and_groups_are_those_of_the_root() {
        let machine = Machine::new(
            "-- /etc/passwd\n\nalice:x:4321:99::/home/alice:\n-- /etc/group\nbroken\nstaff:x:50:alice\n",
        );
        let sys = machine.system(Mode::Apply);
        let alice = user(&sys, "alice").unwrap().unwrap();
        assert_eq!(alice.owner, Owner { uid: 4321, gid: 99 });
        assert_eq!(alice.home, PathBuf::from("/home/alice"));
        assert_eq!(group(&sys, "staff").unwrap().unwrap().gid, 50);
        assert_eq!(
            user(&sys, "root").unwrap(),
            None,
            "the users of the machine that runs the test are others"
        );
        assert_eq!(group(&sys, "root").unwrap(), None);
    }
}
