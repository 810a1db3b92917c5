//! Sets the time zone.
//!
//! ```yaml
//! #cloud-config
//! timezone: Europe/Berlin
//! ```
//!
//! ```text before
//! -- /etc/timezone
//! Etc/UTC
//! -- /usr/share/zoneinfo/Europe/Berlin
//! TZif
//! ```
//!
//! ```text after
//! -- /etc/localtime -> ../usr/share/zoneinfo/Europe/Berlin
//! -- /etc/timezone
//! Europe/Berlin
//! ```
//!
//! A zone that the root does not know is an error. `/etc/timezone` is written where there is one, and on Debian.

use super::distribution::is_debian;
use crate::system::{File, Kind};
use crate::{Context, Plugin, System};
use anyhow::{Result, bail};
use cosette_schema::{Spanned, excerpt, record};

/// Where the zones are.
const ZONES: &str = "/usr/share/zoneinfo";

record! {
    /// The time zone.
    pub(crate) struct Timezone {
        /// Its name: `Europe/Berlin`.
        timezone: Spanned<String> = required,
    }
}

impl Plugin for Timezone {
    const KEY: &'static str = "timezone";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let (name, span) = (self.timezone.trim(), self.timezone.span);
        validate(name)?;
        if sys.metadata(format!("{ZONES}/{name}"))?.is_none_or(|found| found.kind != Kind::File) {
            bail!("the root has no time zone {name:?} in {ZONES}: look for a slip, or install tzdata");
        }
        cx.attempt(span, sys.symlink(format!("..{ZONES}/{name}"), "/etc/localtime", true));
        if is_debian(sys)? || sys.exists("/etc/timezone")? {
            cx.attempt(span, sys.write(File::new("/etc/timezone", format!("{name}\n"))));
        }
        Ok(())
    }
}

/// Whether it can be the name of a zone, which is a path that does not lead out of their directory.
fn validate(name: &str) -> Result<()> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.".contains(&byte);
    let part = |part: &str| !part.is_empty() && !part.starts_with('.') && part.bytes().all(allowed);
    if !name.split('/').all(part) {
        bail!("{:?} is not the name of a time zone, such as `Europe/Berlin` or `UTC`", excerpt(name));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    const ZONES: &str = "-- /usr/share/zoneinfo/UTC\nTZif\n-- /usr/share/zoneinfo/Europe/Berlin\nTZif\n";

    #[test]
    fn a_copy_of_a_zone_becomes_a_link() {
        let machine = Machine::new(&format!("{ZONES}-- /etc/localtime\nTZif\n"));
        machine.check("#cloud-config\ntimezone: UTC", "-- /etc/localtime -> ../usr/share/zoneinfo/UTC\n");
    }

    #[test]
    fn debian_has_the_name_in_a_file_too() {
        let machine = Machine::new(&format!("{ZONES}-- /etc/debian_version\n13.1\n"));
        machine.check(
            "#cloud-config\ntimezone: UTC",
            "-- /etc/localtime -> ../usr/share/zoneinfo/UTC\n-- /etc/timezone\nUTC\n",
        );
    }

    #[test]
    fn what_is_no_zone_changes_nothing() {
        let names =
            ["Europe/Nowhere", "Europe", "../../../etc/shadow", "/etc/shadow", "Europe/../UTC", "a\\nb", ""];
        for name in names {
            let machine = Machine::new(&format!("{ZONES}-- /etc/shadow\n"));
            let outcome = machine.apply(&format!("#cloud-config\ntimezone: \"{name}\""));
            assert_eq!(outcome.findings.len(), 1, "{name}: {}", outcome.messages());
            assert!(outcome.effects.is_empty(), "{name}");
            machine.assert_tree("");
        }
    }

    #[test]
    fn the_name_is_written_even_if_the_link_cannot_be_made() {
        let machine = Machine::new(&format!("{ZONES}-- /etc/localtime/x\n-- /etc/timezone\nold\n"));
        let outcome = machine.apply("#cloud-config\ntimezone: UTC");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        machine.assert_tree("-- /etc/timezone\nUTC\n");
    }
}
