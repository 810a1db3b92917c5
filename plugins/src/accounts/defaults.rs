//! What a root says about new accounts: login.defs(5) and `/etc/default/useradd` of useradd(8).
//!
//! Both are read leniently: a line or a number that cannot be understood counts as left out, as it does for
//! shadow-utils.

use super::ids::{IdRange, Ranges};
use crate::System;
use anyhow::Result;

/// Settings for new accounts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Defaults {
    /// The directory below which home directories are made.
    pub home: String,
    /// The login shell.
    pub shell: String,
    /// The primary group of users that get no group of their own: a name or a number.
    pub group: String,
    /// The mode of new home directories.
    pub home_mode: u32,
    /// Where numbers are taken from.
    pub ranges: Ranges,
}

impl Defaults {
    /// Those of a root.
    pub fn read(sys: &System) -> Result<Self> {
        let login_defs = sys.read("/etc/login.defs")?.unwrap_or_default();
        let useradd = sys.read("/etc/default/useradd")?.unwrap_or_default();
        Ok(Self::parse(&String::from_utf8_lossy(&login_defs), &String::from_utf8_lossy(&useradd)))
    }

    /// Those that the texts of the two files say.
    pub fn parse(login_defs: &str, useradd: &str) -> Self {
        // The last line of a name counts, in both files.
        let setting = |name: &str| {
            login_defs.lines().rev().find_map(|line| {
                let (key, value) = line.trim().split_once(char::is_whitespace)?;
                (key == name).then(|| value.trim().trim_matches('"'))
            })
        };
        let number = |name: &str, default| setting(name).and_then(parse_number).unwrap_or(default);
        let range = |min: &str, max: &str, default: IdRange| {
            let range = IdRange { min: number(min, default.min), max: number(max, default.max) };
            if range.min <= range.max { range } else { default }
        };
        let users = range("UID_MIN", "UID_MAX", IdRange { min: 1000, max: 60000 });
        let groups = range("GID_MIN", "GID_MAX", IdRange { min: 1000, max: 60000 });
        let below = |range: IdRange| IdRange { min: 101, max: range.min.saturating_sub(1).max(101) };
        let variable = |name: &str| {
            useradd.lines().rev().find_map(|line| {
                let (key, value) = line.trim().split_once('=')?;
                let value = value.trim();
                let quoted = |quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
                let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
                (key.trim() == name && !value.is_empty()).then(|| value.to_owned())
            })
        };
        Self {
            home: variable("HOME").filter(|home| home.starts_with('/')).unwrap_or_else(|| "/home".into()),
            shell: variable("SHELL").unwrap_or_else(|| "/bin/sh".into()),
            group: variable("GROUP").unwrap_or_else(|| "100".into()),
            home_mode: setting("HOME_MODE")
                .and_then(|mode| u32::from_str_radix(mode, 8).ok())
                .filter(|mode| *mode <= 0o777)
                .unwrap_or(0o755),
            ranges: Ranges {
                users,
                groups,
                system_users: range("SYS_UID_MIN", "SYS_UID_MAX", below(users)),
                system_groups: range("SYS_GID_MIN", "SYS_GID_MAX", below(groups)),
            },
        }
    }

    /// The home directory of a user for whom none is configured.
    pub fn home_of(&self, name: &str) -> String {
        format!("{}/{name}", self.home.trim_end_matches('/'))
    }
}

/// A number as strtol(3) with base 0 reads it.
fn parse_number(text: &str) -> Option<u32> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        u32::from_str_radix(digits, 16).ok()
    } else if let Some(digits) = text.strip_prefix('0').filter(|digits| !digits.is_empty()) {
        u32::from_str_radix(digits, 8).ok()
    } else {
        text.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_files_the_defaults_are_those_of_yip() {
        let defaults = Defaults::parse("", "");
        assert_eq!((defaults.home.as_str(), defaults.shell.as_str()), ("/home", "/bin/sh"));
        assert_eq!(defaults.home_mode, 0o755);
        assert_eq!(defaults.ranges.users, IdRange { min: 1000, max: 60000 });
        assert_eq!(defaults.ranges.system_users, IdRange { min: 101, max: 999 });
    }

    #[test]
    fn the_files_are_followed_and_nonsense_in_them_is_not() {
        let defaults = Defaults::parse(
            "# UID_MIN 7\nUID_MIN\t\t 500\nUID_MAX 0x1000\nGID_MIN many\nGID_MAX 10\nHOME_MODE 0700\nSYS_UID_MAX\n",
            "# defaults\nHOME=/var/home/\nSHELL=\"/bin/bash\"\nGROUP=users\nnonsense\nHOME=\n",
        );
        assert_eq!(defaults.ranges.users, IdRange { min: 500, max: 4096 });
        assert_eq!(defaults.ranges.groups, IdRange { min: 1000, max: 60000 });
        assert_eq!(defaults.ranges.system_users, IdRange { min: 101, max: 499 });
        assert_eq!(defaults.home_of("alice"), "/var/home/alice");
        assert_eq!((defaults.shell.as_str(), defaults.group.as_str()), ("/bin/bash", "users"));
        assert_eq!(defaults.home_mode, 0o700);
    }
}
