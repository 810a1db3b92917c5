//! Sets the layout of the keyboard.
//!
//! ```yaml
//! #cloud-config
//! keyboard:
//!   layout: de
//!   model: pc105
//!   variant: nodeadkeys
//!   options: compose:rwin
//! ```
//!
//! ```text before
//! -- /usr/share/systemd/kbd-model-map
//! # console layout model variant options
//! us us pc105+inet - terminate:ctrl_alt_bksp
//! de de pc105 - terminate:ctrl_alt_bksp
//! de-latin1-nodeadkeys de pc105 nodeadkeys terminate:ctrl_alt_bksp
//! -- /etc/vconsole.conf
//! FONT=eurlatgr
//! ```
//!
//! ```text after
//! -- /etc/vconsole.conf
//! FONT=eurlatgr
//! KEYMAP=de-latin1-nodeadkeys
//! XKBLAYOUT=de
//! XKBMODEL=pc105
//! XKBVARIANT=nodeadkeys
//! XKBOPTIONS=compose:rwin
//! ```
//!
//! On Debian the file is `/etc/default/keyboard`, and has no `KEYMAP`. Elsewhere the map of the console is that of
//! the same name, or the one that `/usr/share/systemd/kbd-model-map` names, and the X server gets its
//! `/etc/X11/xorg.conf.d/00-keyboard.conf` if there is an `/etc/X11`. Where systemd runs, the console changes at once.

use super::distribution::is_debian;
use crate::env_file::EnvFile;
use crate::system::File;
use crate::units::{self, Verb};
use crate::{Context, Plugin, System};
use anyhow::{Result, bail};
use cosette_schema::{Spanned, excerpt, record};

/// Where the maps lie that were made from the layouts of X.
const CONVERTED: [&str; 2] = ["/usr/share/kbd/keymaps/xkb", "/usr/lib/kbd/keymaps/xkb"];

/// Which older maps of the console stand for which layouts of X.
const LEGACY: &str = "/usr/share/systemd/kbd-model-map";

record! {
    /// The keyboard.
    pub(crate) struct Keyboard {
        /// What it is like.
        keyboard: Spanned<Layout> = required,
    }
}

record! {
    /// A keyboard, in the words of X.
    struct Layout {
        /// The layout: `us`.
        layout: String = required,
        /// The model; `pc105` when it is left out.
        model: Option<String>,
        /// The variant of the layout: `nodeadkeys`.
        variant: String,
        /// Options: `compose:rwin`.
        options: String,
    }
}

impl Plugin for Keyboard {
    const KEY: &'static str = "keyboard";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let Spanned { value: layout, span } = &self.keyboard;
        layout.validate()?;
        let debian = is_debian(sys)?;
        let (path, service) = if debian {
            ("/etc/default/keyboard", "keyboard-setup.service")
        } else {
            ("/etc/vconsole.conf", "systemd-vconsole-setup.service")
        };
        let (mut variables, _) = EnvFile::parse(&sys.read(path)?.unwrap_or_default());
        if !debian {
            match layout.keymap(sys)? {
                Some(keymap) => variables.set("KEYMAP", &keymap)?,
                None => {
                    cx.warn(*span, format!("the root has no map for the console that is {:?}", layout.layout))
                }
            }
        }
        for (name, value) in layout.variables() {
            // One that is not there is empty.
            if !value.is_empty() || variables.get(name).is_some() {
                variables.set(name, value)?;
            }
        }
        let mut changed = sys.write(File::new(path, variables.into_bytes()))?;
        if !debian && sys.exists("/etc/X11")? {
            let file = File::new("/etc/X11/xorg.conf.d/00-keyboard.conf", layout.xorg());
            changed |= cx.attempt(*span, sys.write(file)).unwrap_or(false);
        }
        if changed
            && units::systemd_is_running(sys)?
            && sys.exists(format!("/usr/lib/systemd/system/{service}"))?
        {
            units::control_one(sys, Verb::Restart, service)?;
        }
        Ok(())
    }
}

impl Layout {
    fn variables(&self) -> [(&'static str, &str); 4] {
        let model = self.model.as_deref().unwrap_or("pc105");
        [
            ("XKBLAYOUT", &self.layout),
            ("XKBMODEL", model),
            ("XKBVARIANT", &self.variant),
            ("XKBOPTIONS", &self.options),
        ]
    }

    /// The words of X are put into files that quote in different ways, and are of few characters.
    fn validate(&self) -> Result<()> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+-.,:()".contains(&byte);
        for (name, value) in self.variables() {
            if !value.bytes().all(allowed) {
                bail!("{:?} cannot be the value of {name}", excerpt(value));
            }
        }
        if self.layout.is_empty() || self.layout.starts_with('.') {
            bail!("{:?} is not the name of a layout, such as `us`", excerpt(&self.layout));
        }
        Ok(())
    }

    /// The map of the console that comes nearest.
    fn keymap(&self, sys: &System) -> Result<Option<String>> {
        let first = |list: &str| list.split(',').next().unwrap_or_default().to_owned();
        let (layout, variant) = (first(&self.layout), first(&self.variant));
        let name = if variant.is_empty() { layout.clone() } else { format!("{layout}-{variant}") };
        for directory in CONVERTED {
            if sys.exists(format!("{directory}/{name}.map.gz"))?
                || sys.exists(format!("{directory}/{name}.map"))?
            {
                return Ok(Some(name));
            }
        }
        let legacy = sys.read(LEGACY)?.unwrap_or_default();
        let legacy = String::from_utf8_lossy(&legacy);
        let rows: Vec<Vec<&str>> = legacy
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split_ascii_whitespace().collect())
            .collect();
        let find = |layout: &str, variant: &str| {
            let row =
                rows.iter().find(|row| matches!(row[..], [_, l, _, v, ..] if l == layout && v == variant))?;
            Some(row[0].to_owned())
        };
        let or_dash = |word: &str| if word.is_empty() { "-".to_owned() } else { word.to_owned() };
        Ok(find(&self.layout, &or_dash(&self.variant))
            .or_else(|| find(&layout, &or_dash(&variant)))
            .or_else(|| find(&layout, "-")))
    }

    fn xorg(&self) -> String {
        let option = |(name, value): (&str, &str)| {
            let name = match name {
                "XKBLAYOUT" => "XkbLayout",
                "XKBMODEL" => "XkbModel",
                "XKBVARIANT" => "XkbVariant",
                _ => "XkbOptions",
            };
            if value.is_empty() { String::new() } else { format!("        Option \"{name}\" \"{value}\"\n") }
        };
        format!(
            "Section \"InputClass\"\n        Identifier \"system-keyboard\"\n        MatchIsKeyboard \"on\"\n{}EndSection\n",
            self.variables().into_iter().map(option).collect::<String>()
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::Machine;

    #[test]
    fn debian_has_its_own_file_and_the_console_changes_at_once() {
        let machine = Machine::new(
            "-- /etc/debian_version\n-- /etc/default/keyboard\n# a\nXKBVARIANT=\"old\"\nBACKSPACE=guess\n\
             -- /run/systemd/system/\n-- /usr/lib/systemd/system/keyboard-setup.service\n",
        );
        let systemd = machine.boot(&[]);
        machine.check(
            "#cloud-config\nkeyboard: {layout: us}",
            "-- /etc/default/keyboard\n# a\nXKBVARIANT=\"\"\nBACKSPACE=guess\nXKBLAYOUT=us\nXKBMODEL=pc105\n",
        );
        assert_eq!(systemd.take_requests(), ["RestartUnit keyboard-setup.service"]);
    }

    #[test]
    fn a_converted_map_comes_first_and_x_is_told() {
        let machine = Machine::new("-- /usr/share/kbd/keymaps/xkb/ch-fr.map.gz\n-- /etc/X11/\n");
        machine.check(
            "#cloud-config\nkeyboard: {layout: \"ch,us\", variant: \"fr,\"}",
            "-- /etc/vconsole.conf\nKEYMAP=ch-fr\nXKBLAYOUT=ch,us\nXKBMODEL=pc105\nXKBVARIANT=fr,\n\
             -- /etc/X11/xorg.conf.d/00-keyboard.conf\nSection \"InputClass\"\n        Identifier \"system-keyboard\"\n\
             \x20       MatchIsKeyboard \"on\"\n        Option \"XkbLayout\" \"ch,us\"\n\
             \x20       Option \"XkbModel\" \"pc105\"\n        Option \"XkbVariant\" \"fr,\"\nEndSection\n",
        );
    }

    #[test]
    fn a_console_without_such_a_map_is_a_warning() {
        let machine = Machine::new("");
        let outcome = machine.apply("#cloud-config\nkeyboard: {layout: zz}");
        assert!(outcome.messages().contains("no map for the console"), "{}", outcome.messages());
        machine.assert_tree("-- /etc/vconsole.conf\nXKBLAYOUT=zz\nXKBMODEL=pc105\n");
    }

    #[test]
    fn hostile_values_change_nothing() {
        for text in
            ["layout: ../../etc/passwd", "layout: \"us\\nx\"", "{layout: us, options: 'a\"b'}", "layout: ''"]
        {
            let machine = Machine::new("");
            let text = text.trim_start_matches('{').trim_end_matches('}');
            let outcome = machine.apply(&format!("#cloud-config\nkeyboard: {{{text}}}"));
            assert_eq!(outcome.findings.len(), 1, "{text}: {}", outcome.messages());
            machine.assert_tree("");
        }
    }
}
