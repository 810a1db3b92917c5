//! Gives users who exist new passwords.

use super::database::{Accounts, update};
use super::entity_edit::days_since_1970;
use super::kind::{Kind, NAME, PASSWORD, shadow};
use super::password::Password;
use crate::{Context, System};
use anyhow::{Context as _, Result, bail};
use cosette_schema::Span;

/// A password for a user.
pub(crate) struct NewPassword {
    /// Whose it is.
    pub(crate) user: String,
    /// Where it stands in the document.
    pub(crate) span: Span,
    /// The password.
    pub(crate) password: Password,
    /// Whether the user must choose another one at the first login.
    pub(crate) expire: bool,
}

/// Sets passwords, each for itself.
pub(crate) fn set_passwords(cx: &Context, sys: &System, passwords: &[NewPassword]) -> Result<()> {
    let today = days_since_1970(sys.host().now()).to_string();
    let updated = update(sys, None, &[Kind::Shadow, Kind::User], |accounts| {
        Ok(passwords.iter().map(|new| new.set(accounts, sys, &today)).collect::<Vec<_>>())
    })?;
    for (new, result) in passwords.iter().zip(updated.value) {
        cx.attempt(new.span, result.with_context(|| format!("the password of user {:?}", new.user)));
    }
    Ok(())
}

impl NewPassword {
    fn set(&self, accounts: &mut Accounts, sys: &System, today: &str) -> Result<()> {
        let user = self.user.as_str();
        if accounts.table(Kind::User).find(user).is_none() {
            bail!("there is no such user in /etc/passwd");
        }
        let entry = accounts.table(Kind::Shadow).find(user);
        let current = entry.map(|entry| entry.text(PASSWORD).into_owned());
        let wanted = self.password.store(current.as_deref(), sys.host())?;
        let mut values = vec![(NAME, user), (PASSWORD, wanted.as_str())];
        match self.expire {
            true => values.push((shadow::LAST_CHANGED, "0")),
            false if current.as_ref() != Some(&wanted) => values.push((shadow::LAST_CHANGED, today)),
            false => {}
        }
        accounts.table_mut(Kind::Shadow).put(user, &values)?;
        accounts.table_mut(Kind::User).set(user, &[(PASSWORD, "x")])?;
        Ok(())
    }
}
