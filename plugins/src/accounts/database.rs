//! Reading, editing and writing the account databases of a root as one.
//!
//! **Invariant:** what is written was computed from what is on the disk while the lock was held. The lock is
//! that of lckpwdf(3), which shadow-utils takes as well; it is only taken when something changes, so that a
//! read-only root which is as it should be is no error.

use super::kind::{Kind, NAME, PASSWORD, group, gshadow};
use super::lookup::Group;
use super::password::LOCKED;
use super::table::Table;
use crate::System;
use crate::system::{File, Mode, Owner};
use anyhow::Result;
use std::path::{Path, PathBuf};

/// The lock of lckpwdf(3), for all four databases.
const LOCK: &str = "/etc/.pwd.lock";

/// How many line numbers a message lists.
const LISTED_LINES: usize = 5;

/// The four databases, as they are read and edited.
#[derive(Clone, PartialEq, Eq)]
pub struct Accounts {
    user: Database,
    shadow: Database,
    group: Database,
    gshadow: Database,
}

#[derive(Clone, PartialEq, Eq)]
struct Database {
    path: PathBuf,
    exists: bool,
    table: Table,
}

/// What came of an edit.
pub struct Updated<T> {
    /// What the edit returned.
    pub value: T,
    /// For each database that has blank or malformed lines, a sentence about them.
    pub malformed: Vec<String>,
}

/// Reads the databases, lets `edit` change them, and writes those of `kinds`. `elsewhere` names a database
/// that is not where it usually is.
///
/// `edit` depends on nothing but the databases: it is called a second time when they have changed before the
/// lock could be taken.
pub fn update<T>(
    sys: &System,
    elsewhere: Option<(Kind, &Path)>,
    kinds: &[Kind],
    edit: impl Fn(&mut Accounts) -> Result<T>,
) -> Result<Updated<T>> {
    let before = Accounts::read(sys, elsewhere, kinds)?;
    let mut after = before.clone();
    let mut value = edit(&mut after)?;
    let locked = if after != before && sys.mode() == Mode::Apply { Some(sys.lock(LOCK)?) } else { None };
    if locked.is_some() {
        let found = Accounts::read(sys, elsewhere, kinds)?;
        if found != before {
            after = found;
            value = edit(&mut after)?;
        }
    }
    let malformed = kinds.iter().filter_map(|kind| after.database(*kind).malformed()).collect();
    after.write(sys, kinds)?;
    Ok(Updated { value, malformed })
}

impl Accounts {
    fn read(sys: &System, elsewhere: Option<(Kind, &Path)>, kinds: &[Kind]) -> Result<Self> {
        let database = |kind: Kind| -> Result<Database> {
            let path = match elsewhere {
                Some((moved, path)) if moved == kind => path,
                _ => Path::new(kind.path()),
            };
            // One that only helps to choose numbers may be broken without stopping the others.
            let content = match sys.read(path) {
                Err(_) if !kinds.contains(&kind) => None,
                content => content?,
            };
            Ok(Database {
                path: path.to_owned(),
                exists: content.is_some(),
                table: Table::parse(kind, content.as_deref().unwrap_or_default()),
            })
        };
        Ok(Self {
            user: database(Kind::User)?,
            shadow: database(Kind::Shadow)?,
            group: database(Kind::Group)?,
            gshadow: database(Kind::Gshadow)?,
        })
    }

    /// One of the databases.
    pub fn table(&self, kind: Kind) -> &Table {
        &self.database(kind).table
    }

    /// One of the databases, to be edited.
    pub fn table_mut(&mut self, kind: Kind) -> &mut Table {
        match kind {
            Kind::User => &mut self.user.table,
            Kind::Shadow => &mut self.shadow.table,
            Kind::Group => &mut self.group.table,
            Kind::Gshadow => &mut self.gshadow.table,
        }
    }

    /// Adds a group that is not there; also to gshadow, which many roots do not have.
    pub fn add_group(&mut self, name: &str, gid: u32, members: &str) -> Result<()> {
        let gid = gid.to_string();
        let fields = [(NAME, name), (PASSWORD, "x"), (group::GID, &gid), (group::MEMBERS, members)];
        self.group.table.insert(&fields)?;
        if self.gshadow.exists {
            let fields = [(NAME, name), (PASSWORD, LOCKED), (gshadow::MEMBERS, members)];
            self.gshadow.table.put(name, &fields)?;
        }
        Ok(())
    }

    fn database(&self, kind: Kind) -> &Database {
        match kind {
            Kind::User => &self.user,
            Kind::Shadow => &self.shadow,
            Kind::Group => &self.group,
            Kind::Gshadow => &self.gshadow,
        }
    }

    /// Writes databases; one that is as it was is recorded as such and not touched.
    fn write(&self, sys: &System, kinds: &[Kind]) -> Result<()> {
        for kind in Kind::ALL.into_iter().filter(|kind| kinds.contains(kind)) {
            let database = self.database(kind);
            let content = database.table.to_bytes();
            if !database.exists && content.is_empty() {
                continue;
            }
            let mut file = File::new(&database.path, content).durable();
            if !database.exists && kind.is_secret() {
                let readers = self.group.table.find("shadow").and_then(Group::of);
                file = match readers {
                    Some(group) => file.default_mode(0o640).owner(Owner { uid: 0, gid: group.gid }),
                    None => file.default_mode(0o600),
                };
            }
            sys.write(file)?;
        }
        Ok(())
    }
}

impl Database {
    fn malformed(&self) -> Option<String> {
        let lines: Vec<String> = self.table.malformed_lines().map(|line| line.to_string()).collect();
        let path = self.path.display();
        match lines.as_slice() {
            [] => None,
            [line] => Some(format!("line {line} of {path} is blank or malformed and is left as it is")),
            lines => {
                let listed = lines[..lines.len().min(LISTED_LINES)].join(", ");
                let more = if lines.len() > LISTED_LINES { " and others" } else { "" };
                Some(format!(
                    "lines {listed}{more} of {path} are blank or malformed and are left as they are"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kind::shadow;
    use super::*;
    use crate::testing::Machine;

    fn lock_alice(sys: &System) -> Result<Updated<()>> {
        update(sys, None, &[Kind::Shadow], |accounts| {
            let shadow = accounts.table_mut(Kind::Shadow);
            if !shadow.set("alice", &[(PASSWORD, "!")])? {
                shadow.insert(&[(NAME, "alice"), (PASSWORD, "!"), (shadow::LAST_CHANGED, "1")])?;
            }
            Ok(())
        })
    }

    #[test]
    fn a_new_shadow_database_is_for_its_group_only() {
        let machine = Machine::new("-- /etc/group\nshadow:x:42:\n");
        lock_alice(&machine.system(Mode::Apply)).unwrap();
        machine.assert_tree("-- /etc/shadow 0640 0:42\nalice:!:1::::::\n-- /etc/.pwd.lock 0600\n");
    }

    #[test]
    fn a_new_shadow_database_without_that_group_is_for_root_only() {
        let machine = Machine::new("-- /etc/group\nroot:x:0:\n");
        lock_alice(&machine.system(Mode::Apply)).unwrap();
        machine.assert_tree("-- /etc/shadow 0600\nalice:!:1::::::\n-- /etc/.pwd.lock 0600\n");
    }

    #[test]
    fn mode_and_owner_of_an_existing_database_stay_and_nothing_is_locked_when_nothing_changes() {
        let machine = Machine::new("-- /etc/shadow 0600 0:7\nalice:!:1::::::");
        let updated = lock_alice(&machine.system(Mode::Apply)).unwrap();
        assert!(updated.malformed.is_empty());
        machine.assert_tree("");
    }

    #[test]
    fn malformed_lines_are_reported_by_their_numbers() {
        let machine = Machine::new("-- /etc/shadow 0640\n\nalice:!:1::::::\nCANARY\n");
        let updated = lock_alice(&machine.system(Mode::Apply)).unwrap();
        assert_eq!(
            updated.malformed,
            ["lines 1, 3 of /etc/shadow are blank or malformed and are left as they are"]
        );
        let machine = Machine::new(&format!("-- /etc/shadow\n{}", "x\n".repeat(9)));
        let malformed = lock_alice(&machine.system(Mode::Plan)).unwrap().malformed;
        assert_eq!(
            malformed,
            ["lines 1, 2, 3, 4, 5 and others of /etc/shadow are blank or malformed and are left as they are"]
        );
    }

    #[test]
    fn an_edit_starts_again_when_the_databases_change_before_they_are_locked() {
        let machine = Machine::new("-- /etc/shadow 0640\nroot:*:1::::::\n");
        let sys = machine.system(Mode::Apply);
        let calls = std::cell::Cell::new(0);
        update(&sys, None, &[Kind::Shadow], |accounts| {
            calls.set(calls.get() + 1);
            if calls.get() == 1 {
                sys.write(File::new("/etc/shadow", "root:*:1::::::\nother:!:1::::::\n"))?;
            }
            accounts.table_mut(Kind::Shadow).put("alice", &[(NAME, "alice"), (PASSWORD, "!")])
        })
        .unwrap();
        assert_eq!(calls.get(), 2);
        machine.assert_tree(
            "-- /etc/.pwd.lock 0600\n-- /etc/shadow 0640\nroot:*:1::::::\nother:!:1::::::\nalice:!:::::::\n",
        );
    }

    #[test]
    fn an_edit_that_fails_writes_nothing() {
        let machine = Machine::new("-- /etc/shadow 0640\nroot:*:1::::::\n");
        let failed = update(&machine.system(Mode::Apply), None, &Kind::ALL, |accounts| {
            accounts.table_mut(Kind::Shadow).remove("root");
            anyhow::bail!("no")
        });
        assert!(failed.map(|updated: Updated<()>| updated.value).is_err());
        machine.assert_tree("");
    }
}
