//! Which number a new user or group gets.
//!
//! In this order: the owner of the home directory, if that number is free and in the range; else the first
//! free number of the range that owns no home directory. The same databases and home directories give the
//! same numbers, always.

use super::database::Accounts;
use super::defaults::Defaults;
use super::homes::Homes;
use super::ids::IdRange;
use super::kind::{Kind, group, passwd};
use anyhow::{Result, bail};
use std::collections::BTreeSet;

/// What numbers are chosen by, besides the databases.
pub struct Allocation<'a> {
    /// The ranges.
    pub defaults: &'a Defaults,
    /// The home directories there are.
    pub homes: Homes<'a>,
    /// Numbers of users that are configured and therefore spoken for.
    pub configured_uids: BTreeSet<u32>,
}

impl Allocation<'_> {
    /// A number for a user whose home directory is, or will be, `home`.
    pub fn uid(&self, accounts: &Accounts, home: &str, system: bool) -> Result<u32> {
        let ranges = &self.defaults.ranges;
        let range = if system { ranges.system_users } else { ranges.users };
        let mut taken: BTreeSet<u32> = accounts.table(Kind::User).ids(passwd::UID).collect();
        taken.extend(&self.configured_uids);
        let owner = self.homes.owner(home)?.map(|owner| owner.uid);
        choose(range, taken, owner, self.homes.uids()?, system, "user")
    }

    /// A number for a group; `home` is the home directory of the user whose own group it will be.
    pub fn gid(&self, accounts: &Accounts, home: Option<&str>, system: bool) -> Result<u32> {
        let ranges = &self.defaults.ranges;
        let range = if system { ranges.system_groups } else { ranges.groups };
        let mut taken: BTreeSet<u32> = accounts.table(Kind::Group).ids(group::GID).collect();
        // A number that somebody has as primary group is in use, even if the group has no entry.
        taken.extend(accounts.table(Kind::User).ids(passwd::GID));
        let owner = match home {
            Some(home) => self.homes.owner(home)?.map(|owner| owner.gid),
            None => None,
        };
        choose(range, taken, owner, self.homes.gids()?, system, "group")
    }
}

fn choose(
    range: IdRange,
    mut taken: BTreeSet<u32>,
    owner: Option<u32>,
    owners: BTreeSet<u32>,
    system: bool,
    what: &str,
) -> Result<u32> {
    if let Some(owner) = owner.filter(|owner| range.contains(*owner) && !taken.contains(owner)) {
        return Ok(owner);
    }
    taken.extend(owners);
    let free = if system { range.last_free(&taken) } else { range.first_free(&taken) };
    let Some(free) = free else {
        bail!("no number from {} to {} is free for a new {what}", range.min, range.max);
    };
    Ok(free)
}
