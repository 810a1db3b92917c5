//! Variables: those of the files of cOS, which a shell read, and those of the environment.

use super::document::Document;
use super::{failure, parse};
use cosette_plugins::System;
use cosette_plugins::env_file::EnvFile;
use cosette_schema::{Diagnostic, Findings, Origin};
use std::path::Path;

/// The files of cOS, from low to high.
const FILES: [&str; 2] = ["/etc/cos/config", "/etc/cos-upgrade-image"];

/// What is read of them.
const READ: &str = "UPGRADE_IMAGE, RECOVERY_IMAGE, GRUB_ENTRY_NAME and DEFAULT_IMAGE_SIZE";

/// What cOS read of them, too.
const NOT_READ: [&str; 12] = [
    "CHANNEL_UPGRADES",
    "VERIFY",
    "COSIGN",
    "COSIGN_REPOSITORY",
    "COSIGN_PUBLIC_KEY_LOCATION",
    "ACTIVE_LABEL",
    "PASSIVE_LABEL",
    "RECOVERY_LABEL",
    "STATE_LABEL",
    "OEM_LABEL",
    "PERSISTENT_LABEL",
    "DISABLE_BOOT_ENTRY",
];

/// The variables of the environment, without `COSETTE_` or `ELEMENTAL_`, and the keys that they stand for.
const VARIABLES: [(&str, &str); 18] = [
    ("PLATFORM", "platform"),
    ("REBOOT", "reboot"),
    ("POWEROFF", "poweroff"),
    ("STRICT", "strict"),
    ("CLOUD_INIT_PATHS", "cloud-init-paths"),
    ("GRUB_ENTRY_NAME", "grub-entry-name"),
    ("INSTALL_TARGET", "install.target"),
    ("INSTALL_SYSTEM", "install.system"),
    ("INSTALL_RECOVERY_SYSTEM", "install.recovery-system.uri"),
    ("INSTALL_NO_FORMAT", "install.no-format"),
    ("INSTALL_CLOUD_INIT", "install.cloud-init"),
    ("UPGRADE_SYSTEM", "upgrade.system"),
    ("UPGRADE_RECOVERY", "upgrade.recovery"),
    ("UPGRADE_RECOVERY_SYSTEM", "upgrade.recovery-system.uri"),
    ("RESET_SYSTEM", "recover.system"),
    ("RESET_PERSISTENT", "recover.reset-persistent"),
    ("RESET_OEM", "recover.reset-oem"),
    ("RESET_CLOUD_INIT", "recover.cloud-init"),
];

/// Those of the files of cOS.
pub(super) fn of_files(sys: &System, findings: &mut Vec<Diagnostic>) -> Document {
    let mut document = Document::default();
    for path in FILES.map(Path::new) {
        let content = match sys.read(path) {
            Ok(content) => content.unwrap_or_default(),
            Err(error) => {
                findings.push(failure(path, &error));
                continue;
            }
        };
        let (file, _) = EnvFile::parse(&content);
        let value = |name: &str| {
            let value = String::from_utf8_lossy(file.get(name)?).trim().to_owned();
            (!value.is_empty()).then_some(value)
        };
        // As 02_upgrades.yaml writes it, this says what is so anyway.
        let is_said = |name: &&str| value(name).is_some_and(|value| value != "false");
        let others: Vec<&str> = NOT_READ.into_iter().filter(is_said).collect();
        if !others.is_empty() {
            let mut found = Findings::new(Origin::new(path.display().to_string()));
            found
                .warn(None, format!("{}: not read", others.join(", ")))
                .help(format!("of this file, {READ} are read; what else is set in /etc/cosette/config.yaml"));
            findings.extend(found.into_vec());
        }
        let mut upper = Document { grub_entry_name: value("GRUB_ENTRY_NAME"), ..Document::default() };
        upper.upgrade.system = value("UPGRADE_IMAGE");
        upper.upgrade.recovery_system.uri = value("RECOVERY_IMAGE");
        upper.image.size = value("DEFAULT_IMAGE_SIZE").and_then(|size| size.parse().ok());
        document = upper.over(document);
    }
    document
}

/// Those of the environment.
pub(super) fn of_environment(sys: &System, findings: &mut Vec<Diagnostic>) -> Document {
    let mut document = Document::default();
    for prefix in ["ELEMENTAL_", "COSETTE_"] {
        for (name, key) in VARIABLES {
            let name = format!("{prefix}{name}");
            let Some(value) = sys.host().variable(&name).filter(|value| !value.is_empty()) else { continue };
            let value = value.to_string_lossy();
            let value = match key {
                "cloud-init-paths" | "install.cloud-init" | "recover.cloud-init" => {
                    let items: Vec<String> = value.split([',', ' ']).map(quoted).collect();
                    format!("[{}]", items.join(", "))
                }
                _ => quoted(&value),
            };
            let depth = key.split('.').count() - 1;
            let text = format!("{}{value}{}", key.replace('.', ": {") + ": ", "}".repeat(depth));
            let (upper, found) = parse(&text, &Origin::new(name));
            findings.extend(found);
            document = upper.over(document);
        }
    }
    document
}

/// A text as YAML.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
