//! Where a machine in a cloud, or with a disk made for it, learns its name, its SSH keys and its user-data.
//!
//! **Invariants:** off cloud the search ends after about ten seconds: a server that does not answer is asked twice at
//! most, whatever the number of clouds that share its address. Which cloud it is never depends on who answers
//! first: what the firmware says counts, then the order in which the providers are named. Nothing here writes.

mod azure;
mod digitalocean;
mod disk;
mod dmi;
mod ec2;
mod file;
mod gcp;
mod hetzner;
pub(crate) mod keep;
mod metaldata;
mod mime;
mod packet;
mod scaleway;
mod service;
#[cfg(test)]
mod tests;
pub(crate) mod user_data;
mod vmware;
mod vultr;

use crate::System;
use crate::system::Interrupted;
use crate::system::http::Failure;
use anyhow::{Result, anyhow};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// No provider is asked after this time.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long servers that did not answer are left alone before they are asked again.
const PAUSE: Duration = Duration::from_secs(1);

/// Somebody who knows about this machine.
pub(crate) struct Provider {
    /// Its name in `providers`.
    pub(crate) name: &'static str,
    /// The server that it asks: others with the same one need not wait for it again.
    server: Option<&'static str>,
    /// Whether it is a disk, which is asked before everybody else.
    is_disk: bool,
    /// Whether the firmware says that the machine is one of its own.
    is_here: fn(&dmi::Dmi) -> bool,
    /// Asks it. Nothing: it does not know this machine.
    ask: fn(&System, &Question) -> Result<Option<Metadata>>,
}

/// What a provider may need to know.
pub(crate) struct Question<'q> {
    /// The `path` of the configuration.
    pub(crate) path: Option<&'q str>,
}

/// Everybody who can be asked.
pub(crate) const PROVIDERS: [&Provider; 14] = [
    &ec2::AWS,
    &ec2::OPENSTACK,
    &hetzner::PROVIDER,
    &gcp::PROVIDER,
    &azure::PROVIDER,
    &digitalocean::PROVIDER,
    &vultr::PROVIDER,
    &packet::PROVIDER,
    &scaleway::PROVIDER,
    &metaldata::PROVIDER,
    &vmware::PROVIDER,
    &disk::CDROM,
    &disk::CONFIG_DRIVE,
    &file::PROVIDER,
];

/// What a provider says about this machine. It may hold secrets, and so this has no `Debug`.
#[derive(Default)]
pub(crate) struct Metadata {
    /// Texts by the names of their files.
    pub(crate) facts: BTreeMap<String, String>,
    /// SSH keys, each with the user that it is for; without one it is for root.
    pub(crate) keys: Vec<(Option<String>, String)>,
    /// As it came.
    pub(crate) user_data: Option<Vec<u8>>,
    /// What is worth a warning.
    pub(crate) warnings: Vec<String>,
}

impl Metadata {
    /// Adds a text, if there is one.
    fn fact(&mut self, name: &str, text: Option<String>) {
        if let Some(text) = text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty()) {
            self.facts.insert(name.to_owned(), text);
        }
    }

    /// Adds the keys of a list, one on a line, for root.
    fn keys(&mut self, list: &str) {
        let lines = list.lines().map(str::trim).filter(|line| !line.is_empty());
        self.keys.extend(lines.map(|line| (None, line.to_owned())));
    }
}

/// Asks the providers until one knows this machine. The error says what each of them answers.
pub(crate) fn discover(
    sys: &System,
    providers: &[&'static Provider],
    question: &Question,
) -> Result<(&'static str, Metadata)> {
    let dmi = dmi::Dmi::of(sys);
    let mut order = providers.to_vec();
    order.sort_by_key(|provider| (!provider.is_disk, !(provider.is_here)(&dmi)));
    let until = Instant::now() + PATIENCE;
    let mut answers = BTreeMap::new();
    for round in 0..2 {
        let mut silent: BTreeMap<&str, String> = BTreeMap::new();
        for provider in &order {
            if let Some(answer) = provider.server.and_then(|server| silent.get(server)) {
                answers.insert(provider.name, answer.clone());
                continue;
            }
            if Instant::now() >= until {
                answers
                    .entry(provider.name)
                    .or_insert_with(|| "not asked: the others took too long".to_owned());
                continue;
            }
            let answer = match (provider.ask)(sys, question) {
                Ok(Some(metadata)) => return Ok((provider.name, metadata)),
                Ok(None) => "it does not know this machine".to_owned(),
                Err(error) if error.is::<Interrupted>() => return Err(error),
                Err(error) => {
                    let text = format!("{error:#}");
                    if let Some(Failure::Passing(_)) = error.downcast_ref() {
                        silent.insert(provider.server.unwrap_or(provider.name), text.clone());
                    }
                    text
                }
            };
            answers.insert(provider.name, answer);
        }
        order.retain(|provider| silent.contains_key(provider.server.unwrap_or(provider.name)));
        if round == 1 || order.is_empty() || Instant::now() >= until {
            break;
        }
        sys.host().pause(PAUSE)?;
    }
    let lines: Vec<String> = providers
        .iter()
        .filter_map(|provider| Some(format!("{}: {}", provider.name, answers.get(provider.name)?)))
        .collect();
    Err(anyhow!("no provider answers: {}", lines.join("; ")))
}

/// The provider of this name.
pub(crate) fn provider(name: &str) -> Option<&'static Provider> {
    PROVIDERS.into_iter().find(|provider| provider.name == name)
}
