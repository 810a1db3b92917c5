//! Makes users be there: entries in the databases, groups, and home directories.

use super::allocate::Allocation;
use super::database::{Accounts, update};
use super::defaults::Defaults;
use super::entity_edit::{days_since_1970, gid_of};
use super::field::{check_name, parse_id};
use super::homes::Homes;
use super::ids::Id;
use super::kind::{Kind, NAME, PASSWORD, group, gshadow, passwd, shadow};
use super::password::{LOCKED, Password};
use super::{Names, User, skeleton};
use crate::system::{self, Host, Owner};
use crate::{Context, System};
use anyhow::{Context as _, Result, bail};
use cosette_schema::Span;
use std::path::Path;

/// A user who shall be there.
pub(crate) struct WantedUser<'a> {
    /// The name, which is one that a user may have.
    pub(crate) name: &'a str,
    /// Where it stands in the document.
    pub(crate) span: Span,
    /// The password. Without one a new user is locked, and one who exists keeps what is there.
    pub(crate) password: Option<&'a Password>,
    /// Whether the password of one who exists is locked.
    pub(crate) lock: bool,
    /// The full name and other remarks.
    pub(crate) gecos: &'a str,
    /// The home directory; the usual one when empty.
    pub(crate) home: &'a str,
    /// Whether that is made.
    pub(crate) create_home: bool,
    /// Whether a new one begins with what is in `/etc/skel`.
    pub(crate) skeleton: bool,
    /// The login shell; the usual one when empty.
    pub(crate) shell: &'a str,
    /// The number of a new user.
    pub(crate) uid: Id,
    /// Whether that is taken from those for programs.
    pub(crate) system: bool,
    /// The primary group, by name or number; when empty, a group with the name of the user.
    pub(crate) primary_group: &'a str,
    /// The primary group is that of useradd(8) instead.
    pub(crate) no_user_group: bool,
    /// Further groups.
    pub(crate) groups: &'a Names,
    /// What becomes of those that do not exist.
    pub(crate) missing_groups: MissingGroups,
    /// When a new account expires, in days since 1970.
    pub(crate) expires: Option<u32>,
    /// After how many days without a new password it is disabled.
    pub(crate) inactive: Option<u32>,
}

/// What becomes of groups that do not exist.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum MissingGroups {
    /// They are made.
    Made,
    /// They are made, which is worth a warning.
    MadeWithWarning,
    /// The user cannot be made.
    Refused,
}

/// A user as the databases have it now.
struct Settled {
    user: User,
    is_new: bool,
    warnings: Vec<String>,
}

/// Makes all of them be there, in their order. One that cannot be made is reported, and nothing stands for it in
/// what is returned.
pub(crate) fn make_users(cx: &Context, sys: &System, users: &[WantedUser<'_>]) -> Result<Vec<Option<User>>> {
    let Some(first) = users.first() else { return Ok(Vec::new()) };
    let defaults = Defaults::read(sys)?;
    let configured_uids = users.iter().filter_map(|user| user.uid.number()).collect();
    let homes = Homes::new(sys, &defaults, users.iter().map(|user| user.home));
    let around = Around { allocation: Allocation { defaults: &defaults, homes, configured_uids }, sys };
    let updated = update(sys, None, &Kind::ALL, |accounts| {
        Ok(users.iter().map(|user| user.settle(accounts, &around)).collect::<Vec<_>>())
    })?;
    for warning in updated.malformed {
        cx.warn(first.span, warning);
    }
    let made = users.iter().zip(updated.value).map(|(wanted, settled)| {
        let settled = settled.with_context(|| format!("user `{}`", wanted.name));
        let settled = cx.attempt(wanted.span, settled)?;
        let home = wanted.make_home(sys, &settled, &defaults);
        let home = home.with_context(|| format!("user `{}`", wanted.name));
        for warning in settled.warnings.iter().chain(&cx.attempt(wanted.span, home).flatten()) {
            cx.warn(wanted.span, format!("user `{}`: {warning}", wanted.name));
        }
        Some(settled.user)
    });
    Ok(made.collect())
}

/// What users are made with.
struct Around<'a> {
    allocation: Allocation<'a>,
    sys: &'a System,
}

impl Around<'_> {
    fn host(&self) -> &dyn Host {
        self.sys.host()
    }

    fn today(&self) -> String {
        days_since_1970(self.host().now()).to_string()
    }
}

impl WantedUser<'_> {
    /// Makes the databases have the user, wholly or, when that fails, not at all.
    fn settle(&self, accounts: &mut Accounts, around: &Around<'_>) -> Result<Settled> {
        let before = accounts.clone();
        let settled = self.try_settle(accounts, around);
        if settled.is_err() {
            *accounts = before;
        }
        settled
    }

    fn try_settle(&self, accounts: &mut Accounts, around: &Around<'_>) -> Result<Settled> {
        let mut warnings = Vec::new();
        let existing = accounts.table(Kind::User).find(self.name).and_then(User::of);
        let is_new = existing.is_none();
        let user = match existing {
            Some(user) => {
                self.update(&user, accounts, around, &mut warnings)?;
                user
            }
            None => self.add(accounts, around)?,
        };
        for group in self.groups.iter() {
            if accounts.table(Kind::Group).find(group).is_none() {
                let gid = self.make_group(group, accounts, around, &mut warnings)?;
                if self.missing_groups == MissingGroups::MadeWithWarning {
                    warnings.push(format!(
                        "the group `{group}` did not exist and was made, with the number {gid}"
                    ));
                }
            }
            accounts.table_mut(Kind::Group).add_to_list(group, group::MEMBERS, self.name)?;
            accounts.table_mut(Kind::Gshadow).add_to_list(group, gshadow::MEMBERS, self.name)?;
        }
        Ok(Settled { user, is_new, warnings })
    }

    fn make_group(
        &self,
        group: &str,
        accounts: &mut Accounts,
        around: &Around<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<u32> {
        if self.missing_groups == MissingGroups::Refused {
            bail!("the group `{group}` does not exist");
        }
        warnings.extend(check_name(group)?);
        let gid = around.allocation.gid(accounts, None, self.system)?;
        accounts.add_group(group, gid, "")?;
        Ok(gid)
    }

    fn add(&self, accounts: &mut Accounts, around: &Around<'_>) -> Result<User> {
        let defaults = around.allocation.defaults;
        let home = self.home(defaults);
        let shell = if self.shell.is_empty() { &defaults.shell } else { self.shell };
        if !home.starts_with('/') || home.split('/').any(|part| part == "..") {
            bail!("the home directory must be an absolute path without `..`");
        }
        let uid = match self.uid {
            Id::Number(uid) => uid,
            Id::Any => around.allocation.uid(accounts, &home, self.system)?,
        };
        let other = accounts.table(Kind::User).entries().find(|entry| entry.id(passwd::UID) == Some(uid));
        if let Some(other) = other {
            bail!("the number {uid} is that of user `{}`", other.text(NAME));
        }
        let gid = self.primary_gid(&home, accounts, around)?;
        let password = match self.password {
            Some(password) => password.store(None, around.host())?,
            None => LOCKED.to_owned(),
        };
        let (today, expires) = (around.today(), self.expires.map(|day| day.to_string()));
        let inactive = self.inactive.map(|days| days.to_string());
        let mut fields = vec![(NAME, self.name), (PASSWORD, &password), (shadow::LAST_CHANGED, &today)];
        fields.extend(inactive.as_deref().map(|days| (shadow::INACTIVE, days)));
        fields.extend(expires.as_deref().map(|day| (shadow::EXPIRE, day)));
        // An entry without a user is what is left of somebody else.
        accounts.table_mut(Kind::Shadow).put(self.name, &fields)?;
        accounts.table_mut(Kind::User).insert(&[
            (NAME, self.name),
            (PASSWORD, "x"),
            (passwd::UID, &uid.to_string()),
            (passwd::GID, &gid.to_string()),
            (passwd::GECOS, self.gecos),
            (passwd::HOME, &home),
            (passwd::SHELL, shell),
        ])?;
        Ok(User { name: self.name.to_owned(), owner: Owner { uid, gid }, home: home.into() })
    }

    fn primary_gid(&self, home: &str, accounts: &mut Accounts, around: &Around<'_>) -> Result<u32> {
        let by_name_or_number = |accounts: &Accounts, group: &str| {
            gid_of(accounts, group).or_else(|error| parse_id(group.as_bytes()).ok_or(error))
        };
        if !self.primary_group.is_empty() {
            let found = by_name_or_number(accounts, self.primary_group);
            if found.is_err() && self.missing_groups == MissingGroups::Made {
                return self.make_group(self.primary_group, accounts, around, &mut Vec::new());
            }
            return found;
        }
        if self.no_user_group {
            let group = &around.allocation.defaults.group;
            return by_name_or_number(accounts, group)
                .context("the group for users without one of their own");
        }
        if let Ok(gid) = gid_of(accounts, self.name) {
            return Ok(gid);
        }
        let gid = around.allocation.gid(accounts, Some(home), self.system)?;
        accounts.add_group(self.name, gid, self.name)?;
        Ok(gid)
    }

    /// Brings the password of a user who exists up to date.
    fn update(
        &self,
        user: &User,
        accounts: &mut Accounts,
        around: &Around<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<()> {
        let uid = user.owner.uid;
        if let Some(configured) = self.uid.number().filter(|configured| *configured != uid) {
            warnings.push(format!(
                "the number stays {uid}: numbers of users that exist are not changed to {configured}"
            ));
        }
        let entry = accounts.table(Kind::Shadow).find(&user.name);
        let current = entry.map(|entry| entry.text(PASSWORD).into_owned());
        let wanted = match (self.password, &current) {
            (Some(password), current) => password.store(current.as_deref(), around.host())?,
            (None, Some(current)) if self.lock && !current.starts_with(['!', '*']) => {
                format!("{LOCKED}{current}")
            }
            (None, Some(current)) => {
                if current.is_empty() {
                    warnings.push(
                        "no password is set: anybody can log in; `lock_passwd: true` locks the account"
                            .into(),
                    );
                }
                return Ok(());
            }
            (None, None) if self.lock => LOCKED.to_owned(),
            (None, None) => return Ok(()),
        };
        if current.as_ref() != Some(&wanted) {
            let today = around.today();
            let mut values = vec![(NAME, user.name.as_str()), (PASSWORD, wanted.as_str())];
            if !self.lock {
                values.push((shadow::LAST_CHANGED, &today));
            }
            accounts.table_mut(Kind::Shadow).put(&user.name, &values)?;
        }
        accounts.table_mut(Kind::User).set(&user.name, &[(PASSWORD, "x")])?;
        Ok(())
    }

    fn home(&self, defaults: &Defaults) -> String {
        if self.home.is_empty() { defaults.home_of(self.name) } else { self.home.to_owned() }
    }

    /// Makes the home directory; returns what is doubtful about the one that is there.
    fn make_home(&self, sys: &System, settled: &Settled, defaults: &Defaults) -> Result<Option<String>> {
        let Settled { user, is_new, .. } = settled;
        // That of a user who exists may be meant not to be there, unless it is the one that is configured.
        if !self.create_home || (!is_new && user.home != Path::new(&self.home(defaults))) {
            return Ok(None);
        }
        let home = user.home.display();
        match sys.metadata(&user.home)? {
            Some(found) if found.kind != system::Kind::Directory => bail!("{home} is not a directory"),
            Some(found) if *is_new && found.owner.uid != user.owner.uid => {
                Ok(Some(format!("the home directory {home} belongs to {} and is left as it is", found.owner)))
            }
            Some(_) => Ok(None),
            None => {
                // Directories above it belong to root, whoever the user is.
                if let Some(above) = user.home.parent().filter(|above| *above != Path::new("/"))
                    && !sys.exists(above)?
                {
                    sys.create_dir(above, None, None)?;
                }
                sys.create_dir(&user.home, Some(defaults.home_mode), Some(user.owner))?;
                if self.skeleton {
                    skeleton::copy(sys, user)?;
                }
                Ok(None)
            }
        }
    }
}
