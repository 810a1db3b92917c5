//! `cosette upgrade`, `recover` and `rollback`, and what the commands of a system's life share.

use super::meter::Meter;
use super::{Machine, print_json, status_of};
use crate::boot::Booted;
use crate::command_line::{Options, Recover, Rollback, Then, To, Upgrade};
use crate::lifecycle::config::Config;
use crate::lifecycle::exit_status;
use crate::lifecycle::failure::{Class, Classify as _, class_of};
use crate::lifecycle::operation::{Event, Name};
use crate::lifecycle::outcome::Outcome;
use crate::lifecycle::upgrade::shown;
use crate::lifecycle::{cloud_init, recover, rollback, upgrade};
use crate::report::plain;
use anyhow::{Error, Result, anyhow};
use cosette_plugins::System;
use cosette_plugins::image::Progress as _;
use cosette_plugins::system::{Command, Mode, PrivateMounts, private_mounts};
use cosette_schema::Severity;
use serde_json::json;
use std::io::{Write, stderr, stdout};

/// Replaces a system.
pub(super) fn upgrade(options: &Options, arguments: &Upgrade) -> Result<u8> {
    let name = if arguments.recovery { Name::UpgradeRecovery } else { Name::Upgrade };
    run(options, name, &arguments.then, |sys, config, _| {
        let mut request = upgrade::Request {
            source: arguments.source.said().cloned(),
            recovery: arguments.recovery,
            force: arguments.force,
            dry_run: arguments.then.dry_run,
            lenient: options.elemental,
        };
        let mut outcomes = vec![upgrade::upgrade(sys, &request, config, &mut options.telling())?];
        let is_configured = !arguments.recovery && config.upgrade.recovery == Some(true);
        if arguments.also_recovery || is_configured {
            request.recovery = true;
            request.source = request.source.filter(|_| config.upgrade.recovery_system.uri.is_none());
            outcomes.push(upgrade::upgrade(sys, &request, config, &mut options.telling())?);
        }
        Ok(outcomes)
    })
}

/// Makes the systems anew.
pub(super) fn recover(options: &Options, arguments: &Recover) -> Result<u8> {
    run(options, Name::Recover, &arguments.then, |sys, config, mounts| {
        let documents = match &arguments.cloud_init[..] {
            [] => config.recover.cloud_init.as_deref().unwrap_or_default(),
            given => given,
        };
        let machine = Machine::new()?;
        let (documents, findings) = cloud_init::read(documents, &machine.place()).class(Class::Source)?;
        for finding in findings {
            let _ = writeln!(stderr(), "warning: {finding}");
        }
        let request = recover::Request {
            source: arguments.from.clone(),
            persistent: arguments.reset_persistent || config.recover.reset_persistent.unwrap_or(false),
            oem: arguments.reset_oem || config.recover.reset_oem.unwrap_or(false),
            documents,
            dry_run: arguments.then.dry_run,
            lenient: options.elemental,
        };
        Ok(vec![recover::recover(sys, &request, config, mounts, &mut options.telling())?])
    })
}

/// Has passive and active system change places.
pub(super) fn rollback(options: &Options, arguments: &Rollback) -> Result<u8> {
    run(options, Name::Rollback, &arguments.then, |sys, _, _| {
        let to = match arguments.to {
            Some(To::Active) => Booted::Active,
            Some(To::Recovery) => Booted::Recovery,
            Some(To::Passive) | None => Booted::Passive,
        };
        let request = rollback::Request { once: arguments.once, to, dry_run: arguments.then.dry_run };
        Ok(vec![rollback::rollback(sys, &request, &mut options.telling())?])
    })
}

/// Does it with mounts of its own, and tells what came of it.
fn run(
    options: &Options,
    name: Name,
    then: &Then,
    act: impl FnOnce(&System, &Config, Option<&PrivateMounts>) -> Result<Vec<Outcome>>,
) -> Result<u8> {
    let act = || -> Result<bool> {
        let (sys, mounts) = options.machine()?;
        let config = options.config(&sys)?;
        let outcomes: Vec<_> =
            act(&sys, &config, Some(&mounts))?.into_iter().map(Outcome::finished).collect();
        let is_done = outcomes.iter().any(Outcome::is_done);
        for outcome in &outcomes {
            options.tell_outcome(outcome)?;
        }
        let (reboot, poweroff) = (then.reboot, then.poweroff);
        let configured = !reboot && !poweroff;
        if is_done && (reboot || configured && config.reboot) {
            power(&sys, "reboot")?;
        } else if is_done && (poweroff || configured && config.poweroff) {
            power(&sys, "poweroff")?;
        }
        Ok(is_done)
    };
    match act() {
        Ok(_) => Ok(status_of::DONE),
        Err(error) => options.failed(name, &error),
    }
}

pub(super) fn power(sys: &System, verb: &str) -> Result<()> {
    let command = Command::new(verb, "systemctl").argument(verb);
    match sys.run(&command)? {
        Some(output) if !output.success() => Err(anyhow!("`systemctl {verb}` failed: all else is done")),
        _ => Ok(()),
    }
}

impl Options {
    /// The machine, in which what is mounted from now on is seen by nobody else.
    pub(super) fn machine(&self) -> Result<(System, PrivateMounts)> {
        // Before the machine, which would not see them otherwise.
        let mounts = private_mounts().class(Class::Privileges)?;
        Ok((self.system(Mode::Apply)?, mounts))
    }

    /// The configuration. One that cannot be understood is no reason to guess.
    pub(super) fn config(&self, sys: &System) -> Result<Config> {
        let (mut config, findings) = Config::load(sys);
        for finding in &findings {
            let _ = writeln!(stderr(), "{}", plain(&finding.into()));
        }
        if findings.iter().any(|finding| finding.severity == Severity::Error) {
            return Err(anyhow!("the configuration cannot be used")).class(Class::Configuration);
        }
        let overrides = self.overrides.clone();
        config.strict = overrides.strict.or(config.strict);
        config.tls_verify = overrides.tls_verify.or(config.tls_verify);
        config.platform = overrides.platform.or(config.platform);
        if !overrides.cloud_init_paths.is_empty() {
            config.cloud_init_paths = overrides.cloud_init_paths;
        }
        Ok(config)
    }

    /// Tells of steps as they begin.
    pub(super) fn telling(&self) -> impl FnMut(Event<'_>) + use<> {
        let is_told = !self.quiet && !self.json;
        let mut meter = None;
        move |event| {
            if let Event::Fetched(done, all) = event {
                if is_told {
                    meter.get_or_insert_with(Meter::new).advanced(done, all);
                }
                return;
            }
            // Its line makes room for this one.
            meter = None;
            // A reader that has gone away must not stop an operation.
            let _ = match event {
                Event::Step(number, of, name, detail) if is_told => {
                    writeln!(stdout(), "[{number}/{of}] {name}: {detail}")
                }
                Event::Warning(text) => writeln!(stderr(), "warning: {text}"),
                _ => Ok(()),
            };
        }
    }

    pub(super) fn tell_outcome(&self, outcome: &Outcome) -> Result<()> {
        for warning in &outcome.warnings {
            let _ = writeln!(stderr(), "warning: {warning}");
        }
        if self.json {
            return print_json(outcome);
        }
        if self.quiet {
            return Ok(());
        }
        let mut out = stdout().lock();
        let slot = outcome.slot.map_or("", Booted::as_str);
        let record = outcome.record.as_ref().map(shown).unwrap_or_default();
        // A reader that has gone away is no failure.
        let _ = match (outcome.result, outcome.operation) {
            ("nothing-to-do", _) => writeln!(out, "nothing to do: the {slot} system is {record}"),
            ("planned", operation) => {
                let _ = writeln!(out, "{operation} would take these steps:");
                outcome.steps.iter().try_for_each(|step| writeln!(out, "  {}: {}", step.name, step.detail))
            }
            (_, Name::Install | Name::BuildDisk) => {
                writeln!(out, "done: {}", outcome.source.as_deref().unwrap_or_default())
            }
            (_, Name::Rollback) if outcome.record.is_none() => {
                writeln!(out, "done: the next boot is of the {slot} system")
            }
            _ => writeln!(out, "done: the {slot} system is {record}; restart to boot it"),
        };
        Ok(())
    }

    /// Tells of a failure; the exit status.
    pub(super) fn failed(&self, name: Name, error: &Error) -> Result<u8> {
        let class = class_of(error);
        let status = match class {
            Some(class) if self.elemental => exit_status::of_elemental(name, class),
            Some(class) => exit_status::of(class),
            None => status_of::FAILED,
        };
        let _ = writeln!(stderr(), "error: {error:#}");
        if self.json {
            print_json(&json!({
                "operation": name,
                "result": "failed",
                "class": class.map(exit_status::word),
                "status": status,
                "error": format!("{error:#}"),
            }))?;
        }
        Ok(status)
    }
}
