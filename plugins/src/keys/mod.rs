//! One file for each key of a step; the name of the file is the key.

mod authorized_keys;
pub(crate) mod commands;
mod datasource;
mod delete_entities;
mod directories;
pub(crate) mod dns;
mod downloads;
mod ensure_entities;
mod environment;
mod environment_file;
pub(crate) mod files;
mod git;
pub(crate) mod hostname;
mod layout;
mod links;
mod modules;
mod package_pins;
mod packages;
mod sysctl;
mod sysctl_file;
mod systemctl;
mod systemd_firstboot;
mod timesyncd;
mod unpack_images;
mod users;

use crate::Registered;

/// All plugins. Their order is the order of execution within a step, which is yip's: files exist before
/// commands run, and commands run before users are made.
pub const PLUGINS: &[Registered] = &[
    Registered::of::<dns::Dns>(),
    Registered::of::<downloads::Downloads>(),
    Registered::of::<git::Git>(),
    Registered::of::<ensure_entities::EnsureEntities>(),
    Registered::of::<directories::Directories>(),
    Registered::of::<files::Files>(),
    Registered::of::<links::Links>(),
    Registered::of::<commands::Commands>(),
    Registered::of::<delete_entities::DeleteEntities>(),
    Registered::of::<hostname::Hostname>(),
    Registered::of::<sysctl::Sysctl>(),
    Registered::of::<sysctl_file::SysctlFile>(),
    Registered::of::<users::Users>(),
    Registered::of::<authorized_keys::AuthorizedKeys>(),
    Registered::of::<modules::Modules>(),
    Registered::of::<timesyncd::Timesyncd>(),
    Registered::of::<systemctl::Systemctl>(),
    Registered::of::<environment::Environment>(),
    Registered::of::<environment_file::EnvironmentFile>(),
    Registered::of::<systemd_firstboot::SystemdFirstboot>(),
    Registered::of::<datasource::Datasource>(),
    Registered::of::<layout::Layout>(),
    Registered::of::<package_pins::PackagePins>(),
    Registered::of::<packages::Packages>(),
    Registered::of::<unpack_images::UnpackImages>(),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test looks at the sources")]

    use super::PLUGINS;
    use crate::testing::check_example;
    use cosette_schema::{Origin, parse};

    fn source(key: &str) -> String {
        let path = format!("{}/src/keys/{key}.rs", env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(&path).expect("a plugin lives in the file named after its key")
    }

    #[test]
    fn the_example_in_the_documentation_of_every_plugin_holds() {
        for plugin in PLUGINS {
            check_example(plugin.key, &source(plugin.key));
        }
    }

    #[test]
    fn a_key_at_the_top_of_a_document_is_known_to_belong_into_a_step() {
        for plugin in PLUGINS {
            let (_, findings) = parse(&format!("{}: ~", plugin.key), &Origin::new("test"));
            let help = findings[0].help.clone().unwrap_or_default();
            assert!(help.contains("belongs into a step"), "{}: {help}", plugin.key);
        }
    }
}
