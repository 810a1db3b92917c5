//! `cosette install` and `cosette build disk`: new systems.

use super::lifecycle::power;
use super::{Machine, status_of};
use crate::command_line::{BuildDisk, Install, NewSystem, Options};
use crate::lifecycle::config::Config;
use crate::lifecycle::failure::{Class, Classify as _};
use crate::lifecycle::new_system::Spec;
use crate::lifecycle::operation::Name;
use crate::lifecycle::system_disk::Sizes;
use crate::lifecycle::{build_disk as disk, install as lifecycle};
use anyhow::{Context as _, Result};
use cosette_plugins::System;

/// Where dracut shows the root file system of a live medium.
const LIVE: &str = "/run/rootfsbase";

/// Installs a system on a disk.
pub(super) fn install(options: &Options, arguments: &Install) -> Result<u8> {
    let install = || -> Result<()> {
        let (sys, _mounts) = options.machine()?;
        let config = options.config(&sys)?;
        let configured = &config.install;
        let device = arguments.device.clone().or(configured.target.as_ref().map(Into::into));
        let device = device.context("name the disk: cosette install DEVICE").class(Class::Configuration)?;
        let request = lifecycle::Request {
            device,
            sizes: Sizes::of(&configured.partitions),
            no_format: arguments.no_format || configured.no_format.unwrap_or(false),
            force: arguments.force || configured.force.unwrap_or(false),
            wipe_others: options.elemental,
            boot_entry: !(arguments.disable_boot_entry || configured.disable_boot_entry.unwrap_or(false)),
            spec: spec(options, &sys, &config, &arguments.from)?,
        };
        let then = &arguments.then;
        let outcome = lifecycle::install(&sys, &request, then.dry_run, &mut options.telling())?.finished();
        options.tell_outcome(&outcome)?;
        let asked = then.reboot || then.poweroff;
        match (outcome.is_done(), then.reboot || !asked && config.reboot) {
            (true, true) => power(&sys, "reboot"),
            (true, false) if then.poweroff || !asked && config.poweroff => power(&sys, "poweroff"),
            _ => Ok(()),
        }
    };
    install().map_or_else(|error| options.failed(Name::Install, &error), |()| Ok(status_of::DONE))
}

/// Builds the image of a disk.
pub(super) fn build_disk(options: &Options, arguments: &BuildDisk) -> Result<u8> {
    let build = || -> Result<()> {
        let (sys, _mounts) = options.machine()?;
        let config = options.config(&sys)?;
        let request = disk::Request {
            to: Machine::new()?.directory.join(&arguments.to),
            bytes: arguments.size,
            sizes: Sizes::of(&config.install.partitions),
            spec: spec(options, &sys, &config, &arguments.from)?,
        };
        let outcome = disk::build(&sys, &request, arguments.dry_run, &mut options.telling())?.finished();
        options.tell_outcome(&outcome)
    };
    build().map_or_else(|error| options.failed(Name::BuildDisk, &error), |()| Ok(status_of::DONE))
}

fn spec(options: &Options, sys: &System, config: &Config, from: &NewSystem) -> Result<Spec> {
    let live = || sys.exists(LIVE).unwrap_or(false).then(|| format!("dir:{LIVE}"));
    let system = from.system.said().cloned().or_else(|| config.install.system.clone()).or_else(live);
    let system =
        system.context("name the source of the system: --system SOURCE").class(Class::Configuration)?;
    let recovery = from.recovery_system.as_ref().or(config.install.recovery_system.uri.as_ref());
    let documents = match &from.cloud_init[..] {
        [] => config.install.cloud_init.as_deref().unwrap_or_default(),
        given => given,
    };
    let machine = Machine::new()?;
    let sources = (&*system, recovery.map(String::as_str));
    Spec::resolve(sys, config, sources, (documents, &machine.place()), options.elemental)
}
