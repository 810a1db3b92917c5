//! `cosette upgrade`: a new active system, or a new recovery system.

use super::config::Config;
use super::deployment::{Deployment, hooks, image_spec, refuse_running_recovery, resolve};
use super::failure::{Class, Classify as _};
use super::operation::{Event, Fetching, Name, Operation};
use super::outcome::{Outcome, Planned};
use super::session::Session;
use super::state::Slot;
use crate::boot::Booted;
use anyhow::{Context as _, Result};
use cosette_plugins::System;
use std::path::Path;

/// What is asked for.
pub struct Request {
    /// Where the system comes from; what is configured, if nothing is said.
    pub source: Option<String>,
    /// Renew the recovery system.
    pub recovery: bool,
    /// Also if it is there already.
    pub force: bool,
    /// Only show what would be done.
    pub dry_run: bool,
    /// A hook that fails is only a warning, unless the configuration says otherwise.
    pub lenient: bool,
}

impl Request {
    fn slot(&self) -> Booted {
        if self.recovery { Booted::Recovery } else { Booted::Active }
    }

    /// What `state.yaml` and messages call it.
    pub fn name(&self) -> Name {
        if self.recovery { Name::UpgradeRecovery } else { Name::Upgrade }
    }

    fn source<'a>(&'a self, config: &'a Config) -> Result<&'a str> {
        let upgrade = &config.upgrade;
        let configured = match self.recovery {
            true => upgrade.recovery_system.uri.as_ref().or(upgrade.system.as_ref()),
            false => upgrade.system.as_ref(),
        };
        self.source
            .as_ref()
            .or(configured)
            .map(String::as_str)
            .context(
                "no source is said: name one, or set UPGRADE_IMAGE in /etc/cos-upgrade-image or \
                 `upgrade: {system: …}` in /etc/cosette/config.yaml",
            )
            .class(Class::Configuration)
    }
}

/// Does it.
pub fn upgrade(
    sys: &System,
    request: &Request,
    config: &Config,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    let slot = request.slot();
    let session = if request.dry_run { Session::look(sys)? } else { Session::begin(sys)? };
    refuse_running_recovery(slot, session.booted)?;
    let (resolved, warnings) = resolve(sys, request.source(config)?, config)?;
    for warning in &warnings {
        tell(Event::Warning(warning));
    }
    let known = session.systems.known.slot(slot).cloned();
    let digest = resolved.digest.as_ref().map(ToString::to_string);
    let mut outcome = Outcome::new(request.name(), request.dry_run);
    outcome.slot = Some(slot);
    outcome.source = Some(resolved.source().to_string());
    outcome.digest.clone_from(&digest);
    let is_same = digest.is_some() && known.as_ref().and_then(|known| known.digest.clone()) == digest;
    if is_same && !request.force && is_sound(&session, slot)? {
        outcome.nothing_to_do = true;
        outcome.record = known;
        outcome.warnings = session.end();
        return Ok(outcome);
    }
    let image = image_spec(slot, config)?;
    let hooks = hooks(config, request.lenient);
    let mut deployment = Deployment::new(session, slot, resolved, image, hooks, request.name().as_str());
    deployment.title.clone_from(&config.grub_entry_name);
    let operation = steps(&deployment, request.name())?;
    outcome.steps = operation.steps().iter().map(|step| Planned::new(step.name, &step.detail)).collect();
    if request.dry_run {
        outcome.warnings = deployment.end();
        return Ok(outcome);
    }
    let ended = operation.run(sys, &mut deployment, tell);
    if ended.is_err() {
        deployment.clean_up();
    }
    outcome.record = deployment.session.systems.known.slot(slot).cloned();
    let warnings = deployment.end();
    outcome.after(ended, warnings, tell)
}

/// Whether the system that is there may stay: it is there, and has not been given up.
fn is_sound(session: &Session<'_>, slot: Booted) -> Result<bool> {
    let systems = &session.systems;
    let is_given_up = slot == Booted::Active
        && (session.booted == Some(Booted::Passive)
            || systems.environment().unwrap_or_default().attempts() == Some(0));
    Ok(systems.is_there(slot)? && !is_given_up)
}

fn steps<'s>(deployment: &Deployment<'s>, name: Name) -> Result<Operation<'static, Deployment<'s>>> {
    let source = deployment.shown_source();
    let file_system = deployment.image.file_system;
    let slot = deployment.slot;
    let image = format!("{file_system}, read back and compared");
    let has_hooks = slot != Booted::Recovery;
    let mut operation = Operation::new(name);
    if has_hooks {
        operation = operation.step("before-upgrade", "hooks on the machine", |new: &mut Deployment<'_>| {
            new.hook("before-upgrade")
        });
    }
    operation = operation.step("space", deployment.shown_space()?, Deployment::check_space).telling_step(
        "fetch",
        source,
        |new: &mut Deployment<'_>, tell| new.fetch(&mut Fetching(tell)),
    );
    if has_hooks {
        operation = operation
            .step("after-upgrade-chroot", "hooks in the new system", |new: &mut Deployment<'_>| {
                new.hook_in_tree("after-upgrade-chroot", Path::new("/usr/local"))
            })
            .step("after-upgrade", "hooks on the machine", |new: &mut Deployment<'_>| {
                new.hook_with_tree("after-upgrade")
            });
    }
    operation = operation
        .step("image", image, Deployment::build)
        .step("intent", intent(slot), Deployment::intend)
        .step("switch", switch(deployment), Deployment::switch);
    if has_hooks {
        operation = operation.step("post-upgrade", "hooks on the machine", |new: &mut Deployment<'_>| {
            new.hook("post-upgrade").context("the new system is in its place, but")
        });
    }
    Ok(operation)
}

fn intent(slot: Booted) -> &'static str {
    match slot {
        Booted::Recovery => "state.yaml",
        _ => "state.yaml, and 3 attempts for the new system in the boot loader",
    }
}

fn switch(deployment: &Deployment<'_>) -> String {
    let systems = &deployment.session.systems;
    match deployment.slot {
        Booted::Recovery => "the new image becomes recovery.img".to_owned(),
        _ if systems.environment().unwrap_or_default().attempts().is_none() => {
            "the new image becomes active.img, and that passive.img".to_owned()
        }
        _ => "the new image becomes active.img; passive.img stays, as active.img has not proved itself"
            .to_owned(),
    }
}

/// What is known of a system, in a line.
pub fn shown(slot: &Slot) -> String {
    let source = slot.source.as_deref().unwrap_or("an unknown source");
    match &slot.digest {
        Some(digest) => format!("{source} ({digest})"),
        None => source.to_owned(),
    }
}
