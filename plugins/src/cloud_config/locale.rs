//! Sets the language of the system.
//!
//! ```yaml
//! #cloud-config
//! locale: de_DE.UTF-8
//! ```
//!
//! ```text before
//! -- /etc/locale.conf
//! LC_TIME=C
//! ```
//!
//! ```text after
//! -- /etc/locale.conf
//! LC_TIME=C
//! LANG=de_DE.UTF-8
//! ```
//!
//! ```text commands
//! locale -a
//! localedef -i de_DE -f UTF-8 de_DE.UTF-8
//! ```
//!
//! The variable `LANG` is set in `/etc/default/locale` on Debian, else in `/etc/locale.conf`, or in the file that
//! `locale_configfile` names. A locale that the C library does not have yet is made: by `locale-gen` where there is
//! a `/etc/locale.gen`, in which the locale is then listed, else by `localedef`. `locale: false` leaves all as it is.

use super::distribution::is_debian;
use crate::env_file::EnvFile;
use crate::path::AbsolutePath;
use crate::program::{ask, remedy, run};
use crate::system::{File, NoProgram};
use crate::{Context, Plugin, System};
use anyhow::{Result, bail};
use cosette_schema::{Findings, Spanned, excerpt, record};

/// What a locale is made of where nothing else is said.
const CHARSET: &str = "UTF-8";

record! {
    /// The language of the system.
    pub(crate) struct Locale {
        /// Its name: `en_US.UTF-8`; `false` for none.
        locale: Spanned<String>,
        /// The file in which the variable `LANG` is set.
        locale_configfile: Option<AbsolutePath>,
    }
}

impl Plugin for Locale {
    const KEY: &'static str = "locale";

    fn check(&self, findings: &mut Findings) {
        if let (Some(file), true) = (&self.locale_configfile, self.locale.is_empty()) {
            findings.warn(file.span(), "`locale_configfile` says nothing without `locale`");
        }
    }

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let (name, span) = (self.locale.trim(), self.locale.span);
        if name.is_empty() || name.eq_ignore_ascii_case("false") {
            return Ok(());
        }
        let locale = Parts::of(name)?;
        cx.attempt(span, locale.make(sys));
        let path = match &self.locale_configfile {
            Some(path) => path.as_str(),
            None if is_debian(sys)? => "/etc/default/locale",
            None => "/etc/locale.conf",
        };
        let (mut variables, _) = EnvFile::parse(&sys.read(path)?.unwrap_or_default());
        variables.set("LANG", name)?;
        sys.write(File::new(path, variables.into_bytes()))?;
        Ok(())
    }
}

/// The parts of the name of a locale: `ca_ES.UTF-8@valencia`.
struct Parts<'n> {
    name: &'n str,
    /// Language, territory and modifier.
    input: String,
    charset: &'n str,
}

impl<'n> Parts<'n> {
    fn of(name: &'n str) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_.@-".contains(&byte);
        if !name.bytes().all(allowed)
            || !name.starts_with(|c: char| c.is_ascii_alphabetic())
            || name.contains("..")
        {
            bail!("{:?} is not the name of a locale, such as `en_US.UTF-8`", excerpt(name));
        }
        let (rest, modifier) = name.split_once('@').unwrap_or((name, ""));
        let (language, charset) = rest.split_once('.').unwrap_or((rest, CHARSET));
        let at = if modifier.is_empty() { "" } else { "@" };
        Ok(Self { name, input: format!("{language}{at}{modifier}"), charset })
    }

    /// The form in which names are compared: `de_DE.UTF-8` is listed as `de_DE.utf8`.
    fn comparable(name: &str) -> String {
        name.chars().filter(|c| *c != '-').flat_map(char::to_lowercase).collect()
    }

    /// Makes the locale, if the C library does not have it.
    fn make(&self, sys: &System) -> Result<()> {
        // Those that are always there.
        if ["c", "posix", "c.utf8"].contains(&&*Self::comparable(self.name)) {
            return Ok(());
        }
        let known = match ask(sys, &["locale", "-a"]) {
            // A C library whose locales are not made by anybody.
            Err(error) if error.is::<NoProgram>() => return Ok(()),
            known => {
                known?.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
            }
        };
        if known.lines().any(|line| Self::comparable(line) == Self::comparable(self.name)) {
            return Ok(());
        }
        if let Some(list) = sys.read("/etc/locale.gen")? {
            let line = format!("{} {}", self.name, self.charset);
            let listed = |found: &[u8]| found.trim_ascii() == line.as_bytes();
            if !list.split(|byte| *byte == b'\n').any(listed) {
                let end: &[u8] = if list.is_empty() || list.ends_with(b"\n") { b"" } else { b"\n" };
                sys.write(File::new("/etc/locale.gen", [&list[..], end, line.as_bytes(), b"\n"].concat()))?;
            }
            return run(sys, &["locale-gen"]).map(|_| ());
        }
        let made = run(sys, &["localedef", "-i", &self.input, "-f", self.charset, self.name]);
        remedy(made, "the locale cannot be made: install the language's locales").map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use crate::system::NoProgram;
    use crate::testing::Machine;

    #[test]
    fn debian_lists_its_locales() {
        let machine = Machine::new("-- /etc/debian_version\n-- /etc/locale.gen\n# en_US.UTF-8 UTF-8\n");
        machine.host.answer("locale -a", 0, "C\nC.utf8\nPOSIX\n");
        let outcome = machine.check(
            "#cloud-config\nlocale: en_US.UTF-8",
            "-- /etc/locale.gen\n# en_US.UTF-8 UTF-8\nen_US.UTF-8 UTF-8\n-- /etc/default/locale\nLANG=en_US.UTF-8\n",
        );
        assert_eq!(outcome.commands, ["locale -a", "locale-gen"]);
    }

    #[test]
    fn a_locale_that_is_there_is_not_made() {
        let machine = Machine::new("-- /etc/locale.gen\n");
        machine.host.answer("locale -a", 0, "C\nde_DE.utf8\nca_ES.utf8@valencia\n");
        for name in ["de_DE.UTF-8", "ca_ES.UTF-8@valencia"] {
            let outcome = machine.apply(&format!("#cloud-config\nlocale: {name}"));
            assert_eq!(outcome.commands, ["locale -a"], "{}", outcome.messages());
        }
        assert!(machine.apply("#cloud-config\nlocale: C.UTF-8").commands.is_empty());
    }

    #[test]
    fn without_a_program_to_make_it_the_variable_is_set() {
        let machine = Machine::new("");
        machine.host.refuse("locale", || NoProgram { program: "locale".into() }.into());
        machine.check("#cloud-config\nlocale: fr_FR.UTF-8", "-- /etc/locale.conf\nLANG=fr_FR.UTF-8\n");
    }

    #[test]
    fn the_variable_is_set_even_if_the_locale_cannot_be_made() {
        let machine = Machine::new("");
        machine.host.answer("localedef", 4, "cannot open locale definition file `xx_XX'\n");
        let outcome = machine.apply("#cloud-config\nlocale: xx_XX\nlocale_configfile: /etc/lang");
        assert_eq!(
            outcome.messages(),
            "Error: test.yaml:2:9: `localedef -i xx_XX -f UTF-8 xx_XX` ended with status 4; the end of its output:\n\
             cannot open locale definition file `xx_XX'\n"
        );
        machine.assert_tree("-- /etc/lang\nLANG=xx_XX\n");
    }

    #[test]
    fn what_is_no_locale_changes_nothing() {
        for name in ["../evil", "a b", "-x", "a..b", "a\\nb", "de/DE"] {
            let machine = Machine::new("");
            let outcome = machine.apply(&format!("#cloud-config\nlocale: \"{name}\""));
            assert_eq!(outcome.findings.len(), 1, "{name}: {}", outcome.messages());
            assert!(outcome.effects.is_empty());
        }
        assert!(Machine::new("").check("#cloud-config\nlocale: false", "").effects.is_empty());
    }
}
