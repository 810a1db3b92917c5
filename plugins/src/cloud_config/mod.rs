//! The keys of a `#cloud-config`: one file for each module of cloud-init; the name of the file is the module.
//!
//! A module is a [`Plugin`](crate::Plugin) whose configuration is the map of the keys that it reads. Which keys
//! those are, and in which stage and how often it runs, says the table in [`cosette_schema::cloud_config`].

use crate::Registered;

/// All modules. When they run is decided by the table of the schema.
pub const PLUGINS: &[Registered] = &[];

#[cfg(test)]
mod tests {
    use super::PLUGINS;
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
}
