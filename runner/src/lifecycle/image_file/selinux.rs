//! SELinux labels, as the policy of the tree has them.

use super::Phase;
use anyhow::Result;
use cosette_plugins::System;
use cosette_plugins::program::failure;
use cosette_plugins::system::{Command, Interrupted};
use std::path::Path;
use std::time::Duration;

/// It may take so long; the labels that are missing then are set by the system itself, if it does that.
const LIMIT: Duration = Duration::from_secs(600);

/// Sets the labels in a tree that has a policy. What keeps it from that is a warning: such a system boots, and says so.
pub(super) fn label(sys: &System, tree: &Path, tell: &mut dyn FnMut(Phase)) -> Result<Option<String>> {
    let inside = sys.reroot(tree)?;
    let Some(contexts) = contexts(&inside)? else { return Ok(None) };
    tell(Phase::Label);
    // The tree's own program knows its policy best.
    let setfiles = Command::new("setfiles", "setfiles").argument("-F").at_most(LIMIT);
    let result = if has(&inside)? {
        inside.run(&setfiles.argument(&*contexts).argument("/"))
    } else if has(sys)? {
        let contexts = tree.join(contexts.trim_start_matches('/'));
        sys.run(&setfiles.argument("-r").argument(tree).argument(contexts).argument(tree))
    } else {
        let missing = "neither the image nor this machine has the program setfiles (policycoreutils)";
        return Ok(Some(format!("the image has an SELinux policy, but its files get no labels: {missing}")));
    };
    let why = match result {
        Ok(Some(output)) if !output.success() => failure(&output),
        Ok(_) => return Ok(None),
        Err(error) if error.is::<Interrupted>() => return Err(error),
        Err(error) => format!("{error:#}"),
    };
    Ok(Some(format!(
        "the image has an SELinux policy, but its files have not got all labels: setfiles: {why}"
    )))
}

/// The list of labels of the tree's policy, if it has one that is in use.
fn contexts(inside: &System) -> Result<Option<String>> {
    let Some(config) = inside.read_text("/etc/selinux/config")? else { return Ok(None) };
    let value = |name: &str| {
        let of = |line: &str| {
            Some(line.trim().strip_prefix(name)?.trim_start().strip_prefix('=')?.trim().to_owned())
        };
        config.lines().rev().find_map(of)
    };
    let policy = value("SELINUXTYPE").unwrap_or_default();
    if value("SELINUX").as_deref() == Some("disabled") || policy.is_empty() || policy.contains('/') {
        return Ok(None);
    }
    let contexts = format!("/etc/selinux/{policy}/contexts/files/file_contexts");
    Ok(inside.exists(&contexts)?.then_some(contexts))
}

fn has(sys: &System) -> Result<bool> {
    for directory in ["/usr/sbin", "/sbin", "/usr/bin", "/bin"] {
        if sys.exists(format!("{directory}/setfiles"))? {
            return Ok(true);
        }
    }
    Ok(false)
}
