//! Keeps what a provider has said where stages, scripts and cloud-init's modules look for it, and does what it asks.

use super::{Metadata, user_data};
use crate::accounts::{self, authorized_keys};
use crate::system::{Command, File};
use crate::{Context, System, keys::hostname};
use anyhow::{Context as _, Result, bail};
use cosette_schema::Span;
use std::collections::BTreeMap;
use std::path::Path;

/// What a provider has said, text by text.
pub(crate) const DIRECTORY: &str = "/run/config";

/// The name of the provider that has answered.
pub(crate) const ANSWERED: &str = "/run/config/datasource";

/// Where and under which names user-data is kept.
pub(crate) struct Place<'p> {
    /// The directory.
    pub(crate) directory: &'p str,
    /// The name of the first document in it.
    pub(crate) document: &'p str,
}

/// Keeps everything, sets the host name and lets the keys in. What fails is reported, the rest goes on.
pub(crate) fn keep(
    cx: &Context,
    sys: &System,
    span: Span,
    provider: &str,
    metadata: &Metadata,
    place: &Place,
) {
    for warning in &metadata.warnings {
        cx.warn(span, format!("{provider}: {warning}"));
    }
    cx.attempt(span, sys.create_dir(DIRECTORY, Some(0o755), None));
    for (name, text) in &metadata.facts {
        // What a hypervisor hands over may hold anything; the others are names and addresses.
        let mode = if matches!(name.as_str(), "metadata" | "vendordata") { 0o600 } else { 0o644 };
        cx.attempt(span, sys.write(File::new(format!("{DIRECTORY}/{name}"), text.as_str()).mode(mode)));
    }
    cx.attempt(span, sys.write(File::new(ANSWERED, format!("{provider}\n")).mode(0o644)));
    if let Some(name) = metadata.facts.get("hostname") {
        let set = hostname::set_name(cx, sys, span, fitting(name));
        cx.attempt(span, set.with_context(|| format!("the host name of {provider}")));
    }
    cx.attempt(span, let_in(cx, sys, span, &metadata.keys));
    if let Some(data) = &metadata.user_data {
        cx.attempt(span, keep_user_data(cx, sys, span, data, place));
    }
}

/// Clouds have names with long domains, which Linux does not take: then the machine's own name is enough.
fn fitting(name: &str) -> &str {
    if name.len() > 64 { name.split('.').next().unwrap_or(name) } else { name }
}

/// Lets the keys in: each for its user, or for root if there is none of that name.
fn let_in(cx: &Context, sys: &System, span: Span, keys: &[(Option<String>, String)]) -> Result<()> {
    if keys.is_empty() {
        return Ok(());
    }
    let all: String = keys.iter().map(|(_, key)| format!("{key}\n")).collect();
    let file = format!("{DIRECTORY}/ssh/authorized_keys");
    cx.attempt(span, sys.create_dir(format!("{DIRECTORY}/ssh"), Some(0o755), None));
    cx.attempt(span, sys.write(File::new(file, all).mode(0o600)));
    let mut lists = BTreeMap::<String, (accounts::User, String)>::new();
    for (name, key) in keys {
        let named = name.as_deref().map(|name| accounts::user(sys, name)).transpose()?.flatten();
        let user = match named {
            Some(user) => user,
            None => accounts::user(sys, "root")?.context("user `root` is not in /etc/passwd")?,
        };
        let (_, list) = lists.entry(user.name.clone()).or_insert_with(|| (user, String::new()));
        list.push_str(key);
        list.push('\n');
    }
    for (user, list) in lists.values() {
        cx.attempt(span, authorized_keys::install_list(cx, sys, span, user, list));
    }
    Ok(())
}

fn keep_user_data(cx: &Context, sys: &System, span: Span, data: &[u8], place: &Place) -> Result<()> {
    let Place { directory, document } = place;
    let data = user_data::unpacked(data)?;
    let contents = user_data::contents(&data);
    for other in contents.others {
        cx.warn(span, other);
    }
    let whole = format!("{directory}/userdata");
    let is_script = contents.scripts.len() == 1 && contents.scripts[0] == *data;
    sys.write(File::new(&whole, &*data).mode(if is_script { 0o700 } else { 0o600 }))?;
    for (number, content) in (1..).zip(&contents.documents) {
        let path = format!("{directory}/{}", numbered(document, number));
        cx.attempt(span, sys.write(File::new(path, content.as_slice()).mode(0o600)));
    }
    // Documents of user-data that had more of them.
    for number in contents.documents.len() + 1.. {
        let path = format!("{directory}/{}", numbered(document, number));
        if !sys.exists(&path)? {
            break;
        }
        cx.attempt(span, sys.remove(&path));
    }
    for (number, script) in (1..).zip(&contents.scripts) {
        let path = if is_script { whole.clone() } else { format!("{directory}/userdata_script_{number:02}") };
        let ran =
            sys.write(File::new(&path, script.as_slice()).mode(0o700)).and_then(|_| run(sys, &path, script));
        cx.attempt(span, ran);
    }
    Ok(())
}

/// The name of a document: further ones come behind the first in the order of names.
fn numbered(name: &str, number: usize) -> String {
    if number == 1 {
        return name.to_owned();
    }
    let (stem, extension) = name.rsplit_once('.').unwrap_or((name, "yaml"));
    format!("{stem}_{number:02}.{extension}")
}

/// Runs a script by its interpreter: `/run` may be mounted so that nothing in it can be executed.
fn run(sys: &System, path: &str, script: &[u8]) -> Result<()> {
    let line = script.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let line = line.trim_start_matches("#!").trim();
    let (program, argument) = line.split_once([' ', '\t']).unwrap_or((line, ""));
    if !Path::new(program).is_absolute() {
        bail!("the script {path} names no interpreter: its first line must be like `#!/bin/sh`");
    }
    let mut command = Command::new(path, program);
    if !argument.trim().is_empty() {
        command = command.argument(argument.trim());
    }
    match sys.run(&command.argument(path))? {
        Some(output) if !output.success() => bail!("the script {path} ended with status {}", output.status),
        _ => Ok(()),
    }
}
