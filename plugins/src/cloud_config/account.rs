//! Users as cloud-configs describe them.

use crate::accounts::Names;
use crate::accounts::field::check_name;
use crate::accounts::ids::Id;
use crate::accounts::make_users::{MissingGroups, WantedUser};
use crate::accounts::password::Password;
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Findings, Shape, Spanned, Text, excerpt, record};

record! {
    /// A user.
    pub(super) struct Account {
        /// The name.
        pub(super) name: Option<Spanned<String>>,
        /// The full name and other remarks.
        gecos: String,
        /// The home directory; below `/home` when it is left out.
        homedir: String,
        /// The home directory is not made.
        no_create_home: bool as "no_create_home" | "no-create-home",
        /// The primary group; a group with the name of the user when it is left out.
        primary_group: String as "primary_group" | "primary-group",
        /// Further groups, as a list or with commas between them.
        groups: Names,
        /// Whether groups that are missing are made; true when it is left out.
        create_groups: Option<bool> as "create_groups" | "create-groups",
        /// A user for programs: with a number from those, and without a home directory.
        system: bool,
        /// No group with the name of the user is made.
        no_user_group: bool as "no_user_group" | "no-user-group",
        /// Without effect: the records of logins are never touched.
        no_log_init: bool as "no_log_init" | "no-log-init",
        /// The login shell; that of useradd(8), or `/bin/sh`, when it is left out.
        shell: String,
        /// Whether nobody can log in with a password; true when it is left out, unless `passwd` is plain text.
        lock_passwd: Option<bool> as "lock_passwd" | "lock-passwd",
        /// The password: a hash, or plain text that is hashed.
        passwd: Password,
        /// The password as plain text.
        plain_text_passwd: Password as "plain_text_passwd" | "plain-text-passwd",
        /// The password as a hash.
        hashed_passwd: Password as "hashed_passwd" | "hashed-passwd",
        /// The number of a new user; a free one when it is left out.
        uid: Id,
        /// The day on which a new account expires: `2032-09-01`.
        expiredate: ExpiryDate,
        /// After how many days without a new password a new account is disabled.
        inactive: Option<u32>,
        /// Rules for sudo, without the name of the user; `false` for none.
        pub(super) sudo: Sudo,
        /// Rules for doas, whole lines.
        pub(super) doas: Vec<Spanned<String>>,
        /// Keys with which the user may log in by SSH.
        pub(super) ssh_authorized_keys: Keys as "ssh_authorized_keys" | "ssh-authorized-keys",
        /// The keys of the default user log in here, too, to be told to use that user.
        pub(super) ssh_redirect_user: bool as "ssh_redirect_user" | "ssh-redirect-user",
        /// Ids at GitHub, GitLab or Launchpad whose keys may log in; read by the module `ssh_import_id`.
        pub(super) ssh_import_id: Keys as "ssh_import_id" | "ssh-import-id",
        /// Not supported.
        selinux_user: Option<Spanned<String>> as "selinux_user" | "selinux-user",
        /// Not supported.
        snapuser: Option<Spanned<String>>,
    }
}

/// Keys, or ids that stand for keys: a list, or a single one.
#[derive(Default)]
pub(super) struct Keys(pub(super) Vec<Text>);

impl Decode for Keys {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match &node.value {
            Value::Scalar(_) if !node.is_null() => Text::decode(node, findings).map(|text| Self(vec![text])),
            _ => Vec::decode(node, findings).map(Self),
        }
    }

    fn shape() -> Shape {
        Vec::<Text>::shape().or(Text::shape())
    }
}

/// What a user may do with sudo.
#[derive(Default)]
pub(super) enum Sudo {
    /// Nothing is said of it.
    #[default]
    LeftOut,
    /// Nothing.
    Nothing,
    /// What these rules say.
    Rules(Vec<String>),
}

impl Decode for Sudo {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Value::Scalar(scalar) = &node.value else {
            return Vec::decode(node, findings).map(Self::Rules);
        };
        match &*scalar.text {
            "false" | "False" | "FALSE" => Some(Self::Nothing),
            "true" | "True" | "TRUE" => {
                findings
                    .error(node.span, "`true` is no rule for sudo")
                    .help("write `sudo: ALL=(ALL) ALL`, or with `NOPASSWD:ALL` at its end");
                None
            }
            "" => Some(Self::LeftOut),
            rule => Some(Self::Rules(vec![rule.to_owned()])),
        }
    }

    fn shape() -> Shape {
        Vec::<String>::shape().or(Shape::text("rule of sudoers(5)")).or(Shape::Choice(&["false"]))
    }
}

/// A day as shadow(5) counts.
#[derive(Default)]
struct ExpiryDate(Option<u32>);

impl Decode for ExpiryDate {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        if text.is_empty() {
            return Some(Self(None));
        }
        let day = text.parse().ok().or_else(|| days_since_1970(&text));
        if day.is_none() {
            findings.error(node.span, format!("`{}` is no day such as `2032-09-01`", excerpt(&text)));
        }
        day.map(|day| Self(Some(day)))
    }

    fn shape() -> Shape {
        Shape::text("date such as 2032-09-01")
    }
}

/// The day that `YYYY-MM-DD` is.
fn days_since_1970(date: &str) -> Option<u32> {
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<u32>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let months = [31, if leap { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let before = months.get(..month.checked_sub(1)? as usize)?;
    if !(1970..=9999).contains(&year) || day == 0 || day > *months.get(before.len())? {
        return None;
    }
    let leap_days = |years: u32| years / 4 - years / 100 + years / 400;
    let years = (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969);
    Some(years + before.iter().sum::<u32>() + day - 1)
}

impl Account {
    /// A user of whom only the name is given.
    pub(super) fn named(name: &Node, findings: &mut Findings) -> Option<Self> {
        let nothing = Node { span: name.span, value: Value::Map(Vec::new()) };
        let mut account = Self::decode(&nothing, findings)?;
        account.name = Some(Spanned::decode(name, findings)?);
        Some(account)
    }

    /// The name, if there is one.
    pub(super) fn known_as(&self) -> Option<&str> {
        self.name.as_ref().map(|name| name.value.as_str())
    }

    /// Looks for mistakes that decoding cannot see.
    pub(super) fn check(&self, findings: &mut Findings) {
        let Some(name) = &self.name else { return };
        match check_name(name) {
            Err(error) => drop(findings.error(name.span, error.to_string())),
            Ok(Some(warning)) => drop(findings.warn(name.span, warning)),
            Ok(None) => {}
        }
        if let Some(warning) = self.password().and_then(|password| password.warning()) {
            findings.warn(name.span, format!("user `{}`: {warning}", name.value));
        }
        if self.lock_passwd.is_none() && self.given_password().is_some() && self.password().is_none() {
            findings
                .warn(name.span, format!("the password of user `{}` does not count", name.value))
                .help("write `lock_passwd: false` beside it: left out, that is true, as with cloud-init");
        }
        if !self.shell.is_empty() && !self.shell.starts_with('/') {
            findings.warn(name.span, format!("the shell of user `{}` is no absolute path", name.value));
        }
        self.warn_of_unsupported(findings);
    }

    /// Whether there is anything that is not supported, of which it warns.
    pub(super) fn warn_of_unsupported(&self, findings: &mut Findings) -> bool {
        let keys = [("selinux_user", &self.selinux_user), ("snapuser", &self.snapuser)];
        for (key, value) in keys {
            if let Some(value) = value {
                findings.warn(value.span, format!("`{key}` is not supported, and ignored"));
            }
        }
        keys.iter().any(|(_, value)| value.is_some())
    }

    /// The password, if there is one that counts. cloud-init knows no plain text in `passwd`: who writes that
    /// writes for yip, where a password that is given counts.
    pub(super) fn password(&self) -> Option<Password> {
        let given = self.given_password()?;
        let is_of_yip = given == self.passwd && given.is_plain_text();
        (!self.lock_passwd.unwrap_or(!is_of_yip)).then_some(given)
    }

    /// The password that cloud-init sets last.
    fn given_password(&self) -> Option<Password> {
        let all = [self.hashed_passwd.as_hash(), self.plain_text_passwd.as_plain_text(), self.passwd.clone()];
        all.into_iter().find(|password| !password.is_empty())
    }

    /// The user with that password, as the databases shall have it. Nothing without a name that a user may have.
    pub(super) fn wanted<'a>(&'a self, password: Option<&'a Password>) -> Option<WantedUser<'a>> {
        let name = self.name.as_ref().filter(|name| check_name(name).is_ok())?;
        Some(WantedUser {
            name: &name.value,
            span: name.span,
            password,
            lock: self.lock_passwd == Some(true),
            gecos: &self.gecos,
            home: &self.homedir,
            create_home: !self.no_create_home && !self.system,
            skeleton: true,
            shell: &self.shell,
            uid: self.uid,
            system: self.system,
            primary_group: &self.primary_group,
            no_user_group: self.no_user_group,
            groups: &self.groups,
            missing_groups: match self.create_groups {
                Some(false) => MissingGroups::Refused,
                _ => MissingGroups::Made,
            },
            expires: self.expiredate.0,
            inactive: self.inactive,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::days_since_1970;

    #[test]
    fn days_are_counted_as_shadow_does() {
        let days = ["1970-01-01", "2000-03-01", "2024-02-29", "2032-09-01", "2100-03-01"];
        let counted = [0, 11_017, 19_782, 22_889, 47_541];
        assert_eq!(days.map(days_since_1970), counted.map(Some));
        for wrong in
            ["", "2032", "2032-9", "2023-02-29", "2032-13-01", "2032-00-01", "1969-12-31", "a-b-c", "1-1-0"]
        {
            assert_eq!(days_since_1970(wrong), None, "{wrong}");
        }
    }
}
