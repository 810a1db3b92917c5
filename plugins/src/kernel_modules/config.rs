//! modprobe.d(5): parameters for modules, other names, what is loaded with them, and what must not be loaded.

use super::{matches, normalised};
use crate::System;
use anyhow::Result;
use std::collections::BTreeMap;
use std::ffi::OsString;

/// Of files of one name in several of them, the first is read.
const DIRECTORIES: [&str; 5] = [
    "/etc/modprobe.d",
    "/run/modprobe.d",
    "/usr/local/lib/modprobe.d",
    "/usr/lib/modprobe.d",
    "/lib/modprobe.d",
];

/// What is configured about modules.
#[derive(Debug, Default)]
pub(super) struct Config {
    options: Vec<(String, String)>,
    aliases: Vec<(String, String)>,
    before: Vec<(String, String)>,
    after: Vec<(String, String)>,
    /// The file that has a command instead of a module.
    commands: BTreeMap<String, String>,
}

impl Config {
    /// Reads the files of the root, and the parameters on the kernel command line.
    pub(super) fn read(sys: &System, command_line: &str) -> Result<Self> {
        let mut files = BTreeMap::<OsString, String>::new();
        for directory in DIRECTORIES {
            for name in sys.read_dir(directory)?.unwrap_or_default() {
                let path = format!("{directory}/{}", name.to_string_lossy());
                if path.ends_with(".conf") {
                    files.entry(name).or_insert(path);
                }
            }
        }
        let mut config = Self::default();
        for path in files.into_values() {
            let content = sys.read(&path)?.unwrap_or_default();
            config.add(&path, &String::from_utf8_lossy(&content));
        }
        for word in command_line.split_ascii_whitespace() {
            if let Some((module, parameter)) = word.split_once('.')
                && parameter.contains('=')
                && !module.contains('=')
            {
                config.options.push((normalised(module), parameter.to_owned()));
            }
        }
        Ok(config)
    }

    /// Adds the lines of a file. Those that are not understood, and those about other things, are passed over.
    pub(super) fn add(&mut self, path: &str, text: &str) {
        for line in text.replace("\\\n", " ").lines() {
            let Some((keyword, rest)) = line.trim().split_once([' ', '\t']) else { continue };
            let Some((name, rest)) = rest.trim().split_once([' ', '\t']) else { continue };
            let rest = rest.trim();
            match keyword {
                "options" => self.options.push((normalised(name), rest.to_owned())),
                "alias" => self.aliases.push((name.to_owned(), normalised(rest))),
                "install" => _ = self.commands.insert(normalised(name), path.to_owned()),
                "softdep" => self.add_soft_dependencies(&normalised(name), rest),
                _ => {}
            }
        }
    }

    fn add_soft_dependencies(&mut self, name: &str, rest: &str) {
        let mut list = None;
        for word in rest.split_ascii_whitespace() {
            match word {
                "pre:" => list = Some(&mut self.before),
                "post:" => list = Some(&mut self.after),
                module => {
                    if let Some(list) = &mut list {
                        list.push((name.to_owned(), normalised(module)));
                    }
                }
            }
        }
    }

    /// The parameters of a module, from all files.
    pub(super) fn options(&self, name: &str) -> Vec<&str> {
        of(&self.options, name).collect()
    }

    /// The modules to load before another one, if they exist.
    pub(super) fn before(&self, name: &str) -> Vec<String> {
        of(&self.before, name).map(str::to_owned).collect()
    }

    /// The modules to load after another one, if they exist.
    pub(super) fn after(&self, name: &str) -> Vec<String> {
        of(&self.after, name).map(str::to_owned).collect()
    }

    /// The file that says to run a command instead of loading the module.
    pub(super) fn command(&self, name: &str) -> Option<&str> {
        self.commands.get(name).map(String::as_str)
    }

    /// The modules that this is another name for.
    pub(super) fn aliased(&self, alias: &str) -> Vec<String> {
        let aliases = self.aliases.iter().filter(|(pattern, _)| matches(pattern, alias));
        aliases.map(|(_, module)| module.clone()).collect()
    }
}

fn of<'c>(list: &'c [(String, String)], name: &str) -> impl Iterator<Item = &'c str> {
    list.iter().filter(move |(module, _)| module == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    #[test]
    fn what_concerns_loading_is_read_and_the_rest_is_passed_over() {
        let mut config = Config::default();
        config.add(
            "x.conf",
            "# options a no=1\noptions snd-hda a=1 \\\n b=2\nblacklist x\nalias eth* e1000-x\n\
             install usb-storage /bin/false\nsoftdep a pre: b c-d post: e\nsoftdep a lost\noptions\noptions z\n",
        );
        assert_eq!(config.options("snd_hda"), ["a=1   b=2"]);
        assert_eq!(config.aliased("eth0"), ["e1000_x"]);
        assert_eq!(config.command("usb_storage"), Some("x.conf"));
        assert_eq!(
            (config.before("a"), config.after("a")),
            (vec!["b".into(), "c_d".into()], vec!["e".into()])
        );
        assert!(config.options("a").is_empty() && config.options("z").is_empty());
    }

    #[test]
    fn a_file_in_etc_hides_the_one_of_the_vendor_and_the_command_line_has_the_last_word() {
        let machine = Machine::new(
            "-- /etc/modprobe.d/a.conf\noptions x from=etc\n-- /usr/lib/modprobe.d/a.conf\noptions x from=usr\n\
             -- /usr/lib/modprobe.d/0.conf\noptions x first=1\n-- /etc/modprobe.d/README\noptions x no=1\n",
        );
        let sys = machine.system(Mode::Apply);
        let config = Config::read(&sys, "root=LABEL=a.b=c quiet x.last=1 y.z=2").unwrap();
        assert_eq!(config.options("x"), ["first=1", "from=etc", "last=1"]);
    }
}
