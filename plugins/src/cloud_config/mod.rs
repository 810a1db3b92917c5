//! The keys of a `#cloud-config`: one file for each module of cloud-init; the name of the file is the module.
//!
//! A module is a [`Plugin`](crate::Plugin) whose configuration is the map of the keys that it reads. Which keys
//! those are, and in which stage and how often it runs, says the table in [`cosette_schema::cloud_config`].

mod account;
#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make disks and look at them from outside")]
mod against_disks;
mod apart;
mod bootcmd;
mod ca_certs;
mod disk_setup;
mod distribution;
mod final_message;
mod growpart;
mod keyboard;
mod listed;
mod locale;
mod mounts;
mod ntp;
mod once;
mod package_update_upgrade_install;
mod phone_home;
mod power_state_change;
mod resizefs;
mod resolv_conf;
mod rules;
mod runcmd;
mod script;
mod set_hostname;
mod set_passwords;
mod ssh;
mod ssh_import_id;
mod sshd_config;
mod timezone;
mod update_etc_hosts;
mod users_groups;
mod write_files;
mod write_files_deferred;

use crate::Registered;
#[cfg(any(test, feature = "testing"))]
pub(crate) use once::RECORDS;
pub(crate) use once::{Once, Recorded};

/// All modules. When they run is decided by the table of the schema.
pub const PLUGINS: &[Registered] = &[
    Registered::of::<set_hostname::SetHostname>(),
    Registered::of::<bootcmd::Bootcmd>(),
    Registered::of::<write_files::WriteFiles>(),
    Registered::of::<growpart::Growpart>(),
    Registered::of::<resizefs::Resizefs>(),
    Registered::of::<disk_setup::DiskSetup>(),
    Registered::of::<mounts::Mounts>(),
    Registered::of::<update_etc_hosts::UpdateEtcHosts>(),
    Registered::of::<resolv_conf::ResolvConf>(),
    Registered::of::<ca_certs::CaCerts>(),
    Registered::of::<users_groups::UsersGroups>(),
    Registered::of::<ssh::Ssh>(),
    Registered::of::<set_passwords::SetPasswords>(),
    Registered::of::<ssh_import_id::SshImportId>(),
    Registered::of::<keyboard::Keyboard>(),
    Registered::of::<locale::Locale>(),
    Registered::of::<ntp::Ntp>(),
    Registered::of::<timezone::Timezone>(),
    Registered::of::<package_update_upgrade_install::PackageUpdateUpgradeInstall>(),
    Registered::of::<write_files_deferred::WriteFilesDeferred>(),
    Registered::of::<runcmd::Runcmd>(),
    Registered::of::<phone_home::PhoneHome>(),
    Registered::of::<final_message::FinalMessage>(),
    Registered::of::<power_state_change::PowerStateChange>(),
];

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test looks at the sources")]

    use super::PLUGINS;
    use crate::testing::check_example;
    use cosette_schema::cloud_config::MODULES;

    #[test]
    fn every_module_of_the_schema_has_its_plugin() {
        let names = |mut names: Vec<&'static str>| {
            names.sort_unstable();
            names
        };
        let plugins = names(PLUGINS.iter().map(|plugin| plugin.key).collect());
        assert_eq!(plugins, names(MODULES.iter().map(|module| module.name).collect()));
    }

    #[test]
    fn the_example_in_the_documentation_of_every_module_holds() {
        for plugin in PLUGINS {
            let path = format!("{}/src/cloud_config/{}.rs", env!("CARGO_MANIFEST_DIR"), plugin.key);
            let source = std::fs::read_to_string(path).expect("a module lives in the file of its name");
            check_example(plugin.key, &source);
        }
    }
}
