//! The configuration of the life-cycle commands.
//!
//! From low to high: `/etc/cos/config` and `/etc/cos-upgrade-image` (variables of a shell), `/etc/elemental/config.yaml`
//! and `config.d`, `/etc/cosette/config.yaml` and `config.d`, variables of the environment, options on the command line. Of
//! the files of others, those keys are read that are also ours.

mod document;
mod variables;

pub use document::{Image, Install, Partition, Partitions, Recover, Upgrade};

use cosette_plugins::System;
use cosette_schema::{Decode as _, Diagnostic, Findings, Origin, yaml};
use document::Document;
use std::path::{Path, PathBuf};

/// The directories of YAML, from low to high.
const DIRECTORIES: [&str; 2] = ["/etc/elemental", "/etc/cosette"];

/// What is configured. What is not has a default where it is used.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The platform of images: `linux/arm64`.
    pub platform: Option<String>,
    /// Restart when all is done.
    pub reboot: bool,
    /// Switch off when all is done.
    pub poweroff: bool,
    /// Whether a hook that fails is a failure, if it is said.
    pub strict: Option<bool>,
    /// Further sources of hooks.
    pub cloud_init_paths: Vec<String>,
    /// The title of the entries in the boot menu.
    pub grub_entry_name: Option<String>,
    /// Whether registries must have a certificate, if it is said.
    pub tls_verify: Option<bool>,
    /// How images are made.
    pub image: Image,
    /// For `install` and `build disk`.
    pub install: Install,
    /// For `upgrade`.
    pub upgrade: Upgrade,
    /// For `recover`.
    pub recover: Recover,
}

impl Config {
    /// Reads all files and the environment. What cannot be understood is a finding, and left out: whoever changes a system
    /// stops at an error.
    pub fn load(sys: &System) -> (Self, Vec<Diagnostic>) {
        let mut findings = Vec::new();
        let mut document = variables::of_files(sys, &mut findings);
        for directory in DIRECTORIES {
            let directory = Path::new(directory);
            for path in files(sys, directory, &mut findings) {
                document = read(sys, &path, &mut findings).over(document);
            }
        }
        let document = variables::of_environment(sys, &mut findings).over(document);
        (document.into(), findings)
    }
}

impl From<Document> for Config {
    fn from(document: Document) -> Self {
        Self {
            platform: document.platform,
            reboot: document.reboot.unwrap_or(false),
            poweroff: document.poweroff.unwrap_or(false),
            strict: document.strict,
            cloud_init_paths: document.cloud_init_paths.unwrap_or_default(),
            grub_entry_name: document.grub_entry_name,
            tls_verify: document.tls_verify,
            image: document.image,
            install: document.install,
            upgrade: document.upgrade,
            recover: document.recover,
        }
    }
}

/// `config.yaml`, then what is in `config.d`, in byte order.
fn files(sys: &System, directory: &Path, findings: &mut Vec<Diagnostic>) -> Vec<PathBuf> {
    let further = directory.join("config.d");
    let names = match sys.read_dir(&further) {
        Ok(names) => names.unwrap_or_default(),
        Err(error) => {
            findings.push(failure(&further, &error));
            Vec::new()
        }
    };
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "yaml" || ending == "yml");
    let further = names.into_iter().map(|name| further.join(name)).filter(is_yaml);
    std::iter::once(directory.join("config.yaml")).chain(further).collect()
}

fn read(sys: &System, path: &Path, findings: &mut Vec<Diagnostic>) -> Document {
    match sys.read_text(path) {
        Ok(Some(text)) => {
            let (document, found) = parse(&text, &Origin::new(path.display().to_string()));
            findings.extend(found);
            document
        }
        Ok(None) => Document::default(),
        Err(error) => {
            findings.push(failure(path, &error));
            Document::default()
        }
    }
}

fn parse(text: &str, origin: &Origin) -> (Document, Vec<Diagnostic>) {
    let mut findings = Findings::new(origin.clone());
    let document = yaml::parse(text, &mut findings).and_then(|node| Document::decode(&node, &mut findings));
    (document.unwrap_or_default(), findings.into_vec())
}

fn failure(path: &Path, error: &anyhow::Error) -> Diagnostic {
    let mut findings = Findings::new(Origin::new(path.display().to_string()));
    findings.error(None, format!("cannot be read: {error:#}"));
    findings.into_vec().remove(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    fn load(tree: &str) -> (Config, Vec<String>) {
        let (config, findings) = Config::load(&Machine::new(tree).system(Mode::Plan));
        (config, findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn later_files_win_key_by_key_and_lists_as_a_whole() {
        let (config, findings) = load(
            "-- /etc/cos-upgrade-image\nUPGRADE_IMAGE=\"registry.example/old:1\"\nRECOVERY_IMAGE=quay.io/rec:1\n\
             -- /etc/elemental/config.yaml\nupgrade: {system: 'oci:elemental:2', recovery: true}\n\
             cloud-init-paths: [/a]\n\
             -- /etc/cosette/config.yaml\nupgrade: {system: 'oci:ours:3'}\nimage: {file-system: squashfs}\n\
             -- /etc/cosette/config.d/20.yaml\nreboot: true\nimage: {margin: 100}\ncloud-init-paths: [/b, /c]\n\
             -- /etc/cosette/config.d/10.yaml\nreboot: false\n-- /etc/cosette/config.d/README\nx\n",
        );
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(config.upgrade.system.as_deref(), Some("oci:ours:3"));
        assert_eq!(config.upgrade.recovery_system.uri.as_deref(), Some("quay.io/rec:1"));
        assert_eq!(config.upgrade.recovery, Some(true));
        assert_eq!((config.image.file_system.as_deref(), config.image.margin), (Some("squashfs"), Some(100)));
        assert_eq!((config.reboot, config.cloud_init_paths), (true, vec!["/b".to_owned(), "/c".to_owned()]));
    }

    #[test]
    fn a_key_that_is_not_read_is_told_of_with_those_that_are() {
        let (_, findings) = load(
            "-- /etc/elemental/config.yaml\nsnapshotter: {type: btrfs}\nupgrade: {sytem: x}\n\
             -- /etc/cos/config\nCOSIGN=true\nUPGRADE_IMAGE=x\nACTIVE_LABEL=OTHER\n",
        );
        assert_eq!(findings.len(), 3, "{findings:?}");
        assert!(findings[0].contains("COSIGN, ACTIVE_LABEL: not read"), "{}", findings[0]);
        assert!(findings[0].contains("UPGRADE_IMAGE, RECOVERY_IMAGE"), "{}", findings[0]);
        assert!(findings[1].contains("unknown key `snapshotter`"), "{}", findings[1]);
        assert!(findings[2].contains("did you mean `system`?"), "{}", findings[2]);
    }

    #[test]
    fn the_environment_wins_and_what_is_no_yaml_is_an_error() {
        let machine = Machine::new("-- /etc/cosette/config.yaml\nreboot: [\n");
        machine.host.variable("COSETTE_UPGRADE_SYSTEM", "oci:env:1");
        machine.host.variable("ELEMENTAL_UPGRADE_SYSTEM", "oci:elemental:1");
        machine.host.variable("ELEMENTAL_REBOOT", "true");
        machine.host.variable("COSETTE_POWEROFF", "perhaps");
        let (config, findings) = Config::load(&machine.system(Mode::Plan));
        assert_eq!(config.upgrade.system.as_deref(), Some("oci:env:1"));
        assert!(config.reboot && !config.poweroff);
        assert_eq!(findings.len(), 2, "{findings:?}");
    }
}
