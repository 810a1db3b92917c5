//! Putting entities into the databases, and taking them out.

use super::allocate::Allocation;
use super::database::Accounts;
use super::entity::{Entity, GroupEntity, GshadowEntity, ShadowEntity, UserEntity};
use super::field::{check_name, names};
use super::ids::Id;
use super::kind::{Column, Kind, NAME, PASSWORD, group, gshadow, passwd, shadow};
use super::password::{LOCKED, Password};
use super::table::Table;
use crate::system::Host;
use anyhow::{Context as _, Result, bail};
use std::time::{SystemTime, UNIX_EPOCH};

/// What yip says of users about whom nothing else is said.
pub const NO_INFO: &str = "Created by entities";

/// The fields of an entry that shall have a value.
type Values<'v> = Vec<(Column, String)>;

/// What entities are put in with.
pub struct Surroundings<'a> {
    /// How numbers are chosen.
    pub allocation: Allocation<'a>,
    /// The clock and the randomness.
    pub host: &'a dyn Host,
}

impl Entity {
    /// Makes the databases have the entity. Returns what is doubtful about it.
    pub fn ensure(&self, accounts: &mut Accounts, around: &Surroundings<'_>) -> Result<Vec<String>> {
        let mut warnings = Vec::new();
        let (kind, name) = (self.kind(), self.name());
        let is_new = accounts.table(kind).find(name).is_none();
        if is_new {
            warnings.extend(check_name(name)?);
        }
        let mut values = match self {
            Self::User(entity) => user(entity, accounts, around, &mut warnings)?,
            Self::Shadow(entity) => shadow_values(entity, accounts, around, &mut warnings)?,
            Self::Group(entity) => group_values(entity, accounts, around, &mut warnings)?,
            Self::Gshadow(entity) => gshadow_values(entity, accounts, around.host)?,
        };
        values.push((NAME, name.to_owned()));
        let values: Vec<_> = values.iter().map(|(column, value)| (*column, value.as_str())).collect();
        let table = accounts.table_mut(kind);
        table.put(name, &values)?;
        if let Self::Group(entity) = self {
            for member in names(entity.users.as_deref().unwrap_or_default()) {
                table.add_to_list(name, group::MEMBERS, member)?;
            }
        }
        Ok(warnings)
    }

    /// Makes the databases not have it. Only its name counts.
    pub fn delete(&self, accounts: &mut Accounts) {
        accounts.table_mut(self.kind()).remove(self.name());
    }
}

fn user(
    entity: &UserEntity,
    accounts: &Accounts,
    around: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Values<'static>> {
    let name = entity.username.value.as_str();
    let table = accounts.table(Kind::User);
    let existing = table.find(name);
    let mut values = Values::new();
    match &entity.password {
        Some(password) => {
            readable_by_all(password, Kind::User, warnings);
            values.push((PASSWORD, password.as_written().to_owned()));
        }
        None if existing.is_none() => values.push((PASSWORD, "x".to_owned())),
        None => {}
    }
    let gid = match (&entity.group, entity.gid) {
        (Some(group), _) if !group.is_empty() => Some(gid_of(accounts, group)?),
        (_, Id::Number(gid)) => Some(gid),
        (_, Id::Any) if existing.is_some() => None,
        (_, Id::Any) => Some(gid_of(accounts, name).context("neither `group` nor `gid` is given")?),
    };
    let homedir = entity.homedir.as_deref().unwrap_or_default();
    let uid = match entity.uid {
        Id::Number(uid) => {
            shared(table, passwd::UID, uid, name, "user", warnings);
            Some(uid)
        }
        Id::Any if existing.is_some() => None,
        Id::Any => Some(around.allocation.uid(accounts, homedir, false)?),
    };
    values.extend(uid.map(|uid| (passwd::UID, uid.to_string())));
    values.extend(gid.map(|gid| (passwd::GID, gid.to_string())));
    match entity.info.as_deref() {
        Some(info) if !info.is_empty() => values.push((passwd::GECOS, info.to_owned())),
        _ if existing.is_none() => values.push((passwd::GECOS, NO_INFO.to_owned())),
        _ => {}
    }
    values.extend(given(passwd::HOME, &entity.homedir));
    values.extend(given(passwd::SHELL, &entity.shell));
    Ok(values)
}

fn shadow_values(
    entity: &ShadowEntity,
    accounts: &Accounts,
    around: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Values<'static>> {
    let existing = accounts.table(Kind::Shadow).find(&entity.username);
    let current = existing.map(|entry| entry.text(PASSWORD).into_owned());
    let password = match &entity.password {
        Some(password) => {
            warnings.extend(password.warning().map(str::to_owned));
            if password.is_empty() {
                let name = &entity.username.value;
                warnings.push(format!("`{name}` has no password: anybody can log in; `!` locks the account"));
            }
            Some(password.store(current.as_deref(), around.host)?)
        }
        None if existing.is_none() => Some(LOCKED.to_owned()),
        None => None,
    };
    let is_changed = password.is_some() && password != current;
    let mut values = Values::new();
    values.extend(password.map(|password| (PASSWORD, password)));
    for (column, value) in [
        (shadow::LAST_CHANGED, &entity.last_changed),
        (shadow::MINIMUM, &entity.minimum_changed),
        (shadow::MAXIMUM, &entity.maximum_changed),
        (shadow::WARN, &entity.warn),
        (shadow::INACTIVE, &entity.inactive),
        (shadow::EXPIRE, &entity.expire),
    ] {
        match value.as_deref() {
            Some("now") if column == shadow::LAST_CHANGED => {
                let today = || (column, days_since_1970(around.host.now()).to_string());
                values.extend(is_changed.then(today));
            }
            Some(days) => {
                if !days.bytes().all(|byte| byte.is_ascii_digit()) {
                    bail!("the {} must be a number of days, not {days:?}", column.name);
                }
                values.push((column, days.to_owned()));
            }
            None => {}
        }
    }
    values.extend(given(shadow::RESERVED, &entity.reserved));
    Ok(values)
}

fn group_values(
    entity: &GroupEntity,
    accounts: &Accounts,
    around: &Surroundings<'_>,
    warnings: &mut Vec<String>,
) -> Result<Values<'static>> {
    let name = entity.group_name.value.as_str();
    let table = accounts.table(Kind::Group);
    let existing = table.find(name);
    let mut values = Values::new();
    match entity.password.as_ref().filter(|password| !password.is_empty()) {
        Some(password) => {
            readable_by_all(password, Kind::Group, warnings);
            values.push((PASSWORD, password.as_written().to_owned()));
        }
        None if existing.is_none() => values.push((PASSWORD, "x".to_owned())),
        None => {}
    }
    match entity.gid {
        Id::Number(gid) => {
            shared(table, group::GID, gid, name, "group", warnings);
            values.push((group::GID, gid.to_string()));
        }
        Id::Any if existing.is_none() => {
            values.push((group::GID, around.allocation.gid(accounts, None, false)?.to_string()));
        }
        Id::Any => {}
    }
    Ok(values)
}

fn gshadow_values(entity: &GshadowEntity, accounts: &Accounts, host: &dyn Host) -> Result<Values<'static>> {
    let existing = accounts.table(Kind::Gshadow).find(&entity.name);
    let current = existing.map(|entry| entry.text(PASSWORD).into_owned());
    let mut values = Values::new();
    match &entity.password {
        Some(password) => values.push((PASSWORD, password.store(current.as_deref(), host)?)),
        None if existing.is_none() => values.push((PASSWORD, LOCKED.to_owned())),
        None => {}
    }
    values.extend(given(gshadow::ADMINISTRATORS, &entity.administrators));
    values.extend(given(gshadow::MEMBERS, &entity.members));
    Ok(values)
}

fn given(column: Column, value: &Option<String>) -> Option<(Column, String)> {
    value.clone().map(|value| (column, value))
}

/// The number of a group that must be there.
pub fn gid_of(accounts: &Accounts, name: &str) -> Result<u32> {
    let entry = accounts.table(Kind::Group).find(name);
    entry
        .and_then(|entry| entry.id(group::GID))
        .with_context(|| format!("group `{name}` is not in /etc/group"))
}

/// Whole days since the beginning of 1970, as shadow(5) counts.
pub fn days_since_1970(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400)
}

/// Warns when a number is somebody else's too.
fn shared(table: &Table, column: Column, id: u32, name: &str, what: &str, warnings: &mut Vec<String>) {
    let other =
        table.entries().find(|entry| entry.id(column) == Some(id) && entry.get(NAME) != name.as_bytes());
    if let Some(other) = other {
        let other = other.text(NAME);
        warnings.push(format!("{what} `{name}` has the number {id}, which {what} `{other}` has too"));
    }
}

/// Warns of passwords in databases that everybody may read.
fn readable_by_all(password: &Password, kind: Kind, warnings: &mut Vec<String>) {
    let path = kind.path();
    if password.is_plain_text() && password.as_written() != "x" {
        warnings.push(format!(
            "the password is written to {path} as it is, where everybody can read it and nobody can log in with \
             it: write `x`, and the password with `kind: shadow`"
        ));
    } else if password.is_empty() {
        warnings.push(format!("the password in {path} is empty: anybody can log in; write `x`"));
    }
}
