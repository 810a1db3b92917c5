//! `#cloud-config` texts, and the first lines that tell what a text is.

use crate::document::{RawStep, Stage};
use crate::scalar::boolean;
use crate::yaml::{Node, Scalar, Style, TEXT_LIMIT, Value};
use crate::{Findings, Rule, Span, Spanned, excerpt, suggest};

/// What the first comments of a text say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Nothing: stages.
    None,
    /// A cloud-config, which may have stages too.
    CloudConfig,
    /// The configuration of another program, with stages in it.
    Foreign,
    /// Something of cloud-init that is no document, which has been reported.
    Unsupported,
}

/// How many lines are looked at, as in yip.
const LINES: usize = 10;

impl Header {
    /// Looks for a header among the first lines, before anything that is neither blank nor a comment.
    pub(crate) fn of(text: &str, findings: &mut Findings) -> Self {
        if text.len() > TEXT_LIMIT {
            return Self::None;
        }
        let mut start = text.len() - text.trim_start_matches('\u{feff}').len();
        for (index, line) in text[start..].split_inclusive('\n').take(LINES).enumerate() {
            let content = line.trim_end();
            let span = Span {
                line: index as u32 + 1,
                column: 1,
                start: start as u32,
                end: (start + content.len()) as u32,
            };
            let words = content.trim_start_matches(['#', ' ', '\t']);
            match content {
                "#kairos-config" | "#node-config" => return Self::Foreign,
                _ if content.eq_ignore_ascii_case("#cloud-config") => return Self::CloudConfig,
                "#cloud-config-archive" | "#cloud-config-jsonp" => {
                    findings
                        .error(span, format!("`{content}` is not supported"))
                        .help("put each part into a file of its own, which begins with `#cloud-config`");
                    return Self::Unsupported;
                }
                "#include" | "#include-once" => {
                    findings
                        .error(span, format!("`{content}` is not supported"))
                        .help("give the addresses themselves as sources");
                    return Self::Unsupported;
                }
                "#cloud-boothook" | "#part-handler" | "#upstart-job" => {
                    findings
                        .error(span, format!("`{content}` is not supported"))
                        .help("write a cloud-config or stages: `commands` in a step run programs");
                    return Self::Unsupported;
                }
                _ if index == 0 && content.starts_with("#!") && !text.contains("stages") => {
                    findings
                        .error(span, "this is a script, not a document")
                        .help("have `commands` in a step of a document run it");
                    return Self::Unsupported;
                }
                _ if content.starts_with('#') && words == "cloud-config" => {
                    findings
                        .warn(span, "this line is only a comment")
                        .help("write `#cloud-config` without a space if the file is a cloud-config");
                }
                _ if content.starts_with("##") && is_jinja(words) && has_jinja(text) => {
                    findings.warn(span, "the text is not rendered as a template of Jinja").help(
                        "what stands in `{{ }}` and `{% %}` is kept as it is: write the values themselves",
                    );
                }
                _ if content.trim_start().is_empty() || content.trim_start().starts_with('#') => {}
                _ => return Self::None,
            }
            start += line.len();
        }
        Self::None
    }
}

/// Whether the words behind `##` say that the text is a template of Jinja.
fn is_jinja(words: &str) -> bool {
    words.strip_prefix("template:").is_some_and(|name| name.trim() == "jinja")
}

fn has_jinja(text: &str) -> bool {
    text.contains("{{") || text.contains("{%")
}

/// How often a module acts.
///
/// What acts once does so once for each instance of the machine, and again when what the document says has changed:
/// that is recorded. Where the record lies decides what happens when `/etc` is made anew at a boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frequency {
    /// At every boot.
    Always,
    /// Once; again when `/etc`, which holds what it does, was made anew. If it fails, again at the next boot.
    Instance,
    /// Once, also where `/etc` is made anew: what it does lies elsewhere. If it fails, again at the next boot.
    Lasting,
    /// As [`Self::Lasting`], but never a second time, even if it fails or the machine goes down while it acts.
    AtMostOnce,
}

/// A module of cloud-init: the keys that it reads, and when cloud-init would run it.
#[derive(Debug)]
pub struct Module {
    /// Its name, as cloud-init documents it.
    pub name: &'static str,
    /// The stage whose steps it joins.
    pub stage: &'static str,
    /// How often it acts.
    pub frequency: Frequency,
    /// The keys that it reads. A key may belong to several modules.
    pub keys: &'static [&'static str],
    /// Those of its keys that call for it: without one of them, nothing is to be done.
    pub calls: &'static [&'static str],
    /// Whether a key that calls for it leaves something to be done with its value.
    pub when: fn(&str, &Node) -> bool,
    /// Whether it counts as done when single items have failed, because doing the others again would undo what
    /// people did since.
    pub done_in_part: bool,
}

const fn module(
    name: &'static str,
    stage: &'static str,
    frequency: Frequency,
    keys: &'static [&'static str],
) -> Module {
    Module { name, stage, frequency, keys, calls: keys, when: |_, _| true, done_in_part: false }
}

impl Module {
    /// The same, called for by some of its keys only.
    const fn called_by(self, calls: &'static [&'static str]) -> Self {
        Self { calls, ..self }
    }

    /// The same, done also when single items have failed.
    const fn done_in_part(self) -> Self {
        Self { done_in_part: true, ..self }
    }

    /// The same, if the value of a key that calls for it is such.
    const fn when(self, when: fn(&str, &Node) -> bool) -> Self {
        Self { when, ..self }
    }
}

/// All modules that are supported. Their order is the order in which they run within a stage, which is
/// cloud-init's: files are written before users are made, and the machine is restarted last.
///
/// cloud-init's stage `init` is `boot` here, and `final` is `network.after`. The host name is set in `initramfs`, as
/// yip does it, and modules of the stage `config` that do not need the network do not wait for it.
pub const MODULES: &[Module] = &[
    module(
        "set_hostname",
        "initramfs",
        Frequency::Instance,
        &[
            "hostname",
            "fqdn",
            "prefer_fqdn_over_hostname",
            "preserve_hostname",
            "create_hostname_file",
            "manage_etc_hosts",
        ],
    )
    .called_by(&["hostname", "fqdn"]),
    module("bootcmd", "boot", Frequency::Always, &["bootcmd"]),
    module("write_files", "boot", Frequency::Instance, &["write_files"])
        .when(|_, files| files.items().iter().any(|file| !is_deferred(file))),
    module("growpart", "boot", Frequency::Always, &["growpart"]),
    module("resizefs", "boot", Frequency::Always, &["resize_rootfs"]),
    module("disk_setup", "boot", Frequency::Lasting, &["device_aliases", "disk_setup", "fs_setup"])
        .called_by(&["disk_setup", "fs_setup"]),
    module("mounts", "boot", Frequency::Instance, &["mounts", "mount_default_fields", "swap"])
        .called_by(&["mounts", "swap"]),
    module("update_etc_hosts", "boot", Frequency::Always, &["manage_etc_hosts", "fqdn", "hostname"])
        .called_by(&["manage_etc_hosts"]),
    module("resolv_conf", "boot", Frequency::Instance, &["manage_resolv_conf", "resolv_conf"]),
    module("ca_certs", "boot", Frequency::Instance, &["ca_certs", "ca-certs"]),
    module("users_groups", "boot", Frequency::Instance, &["groups", "users", "user"]).done_in_part(),
    module(
        "ssh",
        "boot",
        Frequency::Instance,
        &["ssh_authorized_keys", "ssh_keys", "disable_root", "disable_root_opts", "users", "user"],
    )
    .called_by(&["ssh_authorized_keys", "ssh_keys"]),
    module(
        "set_passwords",
        "boot",
        Frequency::Instance,
        &["password", "chpasswd", "ssh_pwauth", "users", "user"],
    )
    .called_by(&["password", "chpasswd", "ssh_pwauth"])
    .done_in_part(),
    module(
        "ssh_import_id",
        "network",
        Frequency::Instance,
        &["ssh_import_id", "ssh_authorized_keys", "disable_root", "disable_root_opts", "users", "user"],
    )
    .called_by(&["ssh_import_id", "ssh_authorized_keys", "users", "user"])
    .when(|key, value| key == "ssh_import_id" || names_remote_keys(value)),
    module("keyboard", "boot", Frequency::Instance, &["keyboard"]),
    module("locale", "boot", Frequency::Instance, &["locale", "locale_configfile"]),
    module("ntp", "boot", Frequency::Instance, &["ntp"]),
    module("timezone", "boot", Frequency::Instance, &["timezone"]),
    module(
        "package_update_upgrade_install",
        "network.after",
        Frequency::Lasting,
        &[
            "packages",
            "package_update",
            "apt_update",
            "package_upgrade",
            "apt_upgrade",
            "package_reboot_if_required",
            "apt_reboot_if_required",
        ],
    ),
    module("write_files_deferred", "network.after", Frequency::Instance, &["write_files"])
        .when(|_, files| files.items().iter().any(is_deferred)),
    module("runcmd", "network.after", Frequency::AtMostOnce, &["runcmd"]),
    module("phone_home", "network.after", Frequency::Lasting, &["phone_home"]),
    module("final_message", "network.after", Frequency::Always, &["final_message"]),
    module("power_state_change", "network.after", Frequency::AtMostOnce, &["power_state"]),
];

/// Whether a file of `write_files` is to wait: for its owner and packages to be there, or for the network that its
/// content comes from.
pub fn is_deferred(file: &Node) -> bool {
    let Value::Map(keys) = &file.value else { return false };
    keys.iter().any(|(key, value)| match (key.text(), &value.value) {
        (Some("defer"), Value::Scalar(scalar)) => boolean(scalar) == Some(true),
        (Some("source"), _) => !value.is_null(),
        _ => false,
    })
}

/// Whether users, or keys for them, are described with keys that must be fetched. Once too often does no harm.
fn names_remote_keys(value: &Node) -> bool {
    match &value.value {
        Value::List(items) => items.iter().any(names_remote_keys),
        Value::Map(entries) => entries.iter().any(|(key, value)| {
            matches!(key.text(), Some("ssh_import_id" | "ssh-import-id")) || names_remote_keys(value)
        }),
        Value::Scalar(scalar) => scalar.text.lines().any(|line| {
            ["github:", "gitlab:", "http://", "https://"].iter().any(|start| line.trim().starts_with(start))
        }),
    }
}

/// All top-level keys of cloud-init, so that those that no module here reads are told from slips.
const KEYS_OF_CLOUD_INIT: &[&str] = &[
    "allow_public_ssh_keys",
    "ansible",
    "apk_repos",
    "apt",
    "apt_pipelining",
    "apt_reboot_if_required",
    "apt_update",
    "apt_upgrade",
    "authkey_hash",
    "autoinstall",
    "bootcmd",
    "byobu_by_default",
    "ca-certs",
    "ca_certs",
    "chef",
    "chpasswd",
    "cloud_config_modules",
    "cloud_final_modules",
    "cloud_init_modules",
    "create_hostname_file",
    "datasource",
    "datasource_list",
    "debconf_selections",
    "def_log_dir",
    "def_log_file",
    "device_aliases",
    "disable_ec2_metadata",
    "disable_root",
    "disable_root_opts",
    "disk_setup",
    "drivers",
    "fan",
    "final_message",
    "fqdn",
    "fs_setup",
    "groups",
    "growpart",
    "grub-dpkg",
    "grub_dpkg",
    "hostname",
    "keyboard",
    "landscape",
    "launch-index",
    "locale",
    "locale_configfile",
    "log_cfgs",
    "lxd",
    "manage_etc_hosts",
    "manage_resolv_conf",
    "manual_cache_clean",
    "mcollective",
    "merge_how",
    "merge_type",
    "migrate",
    "mount_default_fields",
    "mounts",
    "network",
    "no_ssh_fingerprints",
    "ntp",
    "output",
    "package_reboot_if_required",
    "package_update",
    "package_upgrade",
    "packages",
    "password",
    "phone_home",
    "power_state",
    "prefer_fqdn_over_hostname",
    "preserve_hostname",
    "puppet",
    "random_seed",
    "reporting",
    "resize_rootfs",
    "resolv_conf",
    "rh_subscription",
    "rpi",
    "rsyslog",
    "runcmd",
    "salt_minion",
    "snap",
    "spacewalk",
    "ssh",
    "ssh_authorized_keys",
    "ssh_deletekeys",
    "ssh_fp_console_blacklist",
    "ssh_genkeytypes",
    "ssh_import_id",
    "ssh_key_console_blacklist",
    "ssh_keys",
    "ssh_publish_hostkeys",
    "ssh_pwauth",
    "ssh_quiet_keygen",
    "swap",
    "syslog_fix_perms",
    "system_info",
    "timezone",
    "ubuntu_advantage",
    "ubuntu_pro",
    "updates",
    "user",
    "users",
    "vendor_data",
    "wireguard",
    "write_files",
    "yum_repo_dir",
    "yum_repos",
    "zypper",
];

/// Makes steps of the keys of a cloud-config other than `stages` and `name`: one for each module that they call,
/// whose only key is the name of the module and whose value is a map of the keys that it reads. Keys that no
/// module reads are named in a warning.
pub(crate) fn read(keys: &[(Spanned<String>, Node)], findings: &mut Findings) -> Vec<Stage> {
    warn_of_unsupported(keys, findings);
    let mut stages: Vec<Stage> = Vec::new();
    for module in MODULES {
        let given = || keys.iter().filter(|(key, _)| module.keys.contains(&&*key.value));
        let calls = |key: &str, value: &Node| {
            module.calls.contains(&key) && !value.is_null() && (module.when)(key, value)
        };
        let Some((first, _)) = given().find(|(key, value)| calls(key, value)) else { continue };
        let entries = given().map(|(key, value)| (key_node(key), value.clone())).collect();
        let name = |name: &str| Spanned { value: name.to_owned(), span: first.span };
        let fields = vec![(name(module.name), Node { value: Value::Map(entries), span: first.span })];
        let step = RawStep { span: first.span, module: Some(module), fields };
        match stages.iter_mut().find(|stage| stage.name.value == module.stage) {
            Some(stage) => stage.steps.push(step),
            None => stages.push(Stage { name: name(module.stage), steps: vec![step] }),
        }
    }
    stages
}

fn key_node(key: &Spanned<String>) -> Node {
    let scalar = Scalar { text: key.value.as_str().into(), style: Style::Plain };
    Node { span: key.span, value: Value::Scalar(scalar) }
}

fn warn_of_unsupported(keys: &[(Spanned<String>, Node)], findings: &mut Findings) {
    let supported = || MODULES.iter().flat_map(|module| module.keys).copied();
    for (key, _) in keys.iter().filter(|(key, _)| supported().all(|known| known != key.value)) {
        if KEYS_OF_CLOUD_INIT.contains(&&*key.value) {
            let message = format!("`{}` is a key of cloud-init that is not supported", key.value);
            findings.warn(key.span, message).help("it is ignored; a step below `stages:` may do instead");
            continue;
        }
        let finding =
            findings.warn(key.span, format!("unknown key `{}`", excerpt(key))).rule(Rule::UnknownKey);
        if let Some(near) = suggest(key, supported().chain(["stages", "name"])) {
            finding.help(format!("did you mean `{near}`?"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{KEYS_OF_CLOUD_INIT, MODULES};

    #[test]
    fn every_key_of_a_module_is_one_of_cloud_init_and_calls_are_among_the_keys() {
        assert!(KEYS_OF_CLOUD_INIT.is_sorted());
        for module in MODULES {
            assert!(module.keys.iter().all(|key| KEYS_OF_CLOUD_INIT.contains(key)), "{module:?}");
            assert!(module.calls.iter().all(|key| module.keys.contains(key)), "{module:?}");
        }
    }
}
