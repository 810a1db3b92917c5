//! `cosette recover`: active and passive system made anew, from the recovery system or another source.
//!
//! The systems come first, and only when they are in their places is something wiped that was asked for.

use super::cloud_init;
use super::config::Config;
use super::deployment::{Deployment, hooks, image_spec, resolve};
use super::failure::{Class, Classify as _};
use super::operation::{Event, Fetching, Name, Operation, failpoint};
use super::outcome::{Outcome, Planned};
use super::partitions::{BOOTED, OEM, PERSISTENT};
use super::session::Session;
use crate::boot::Booted;
use crate::sentinels;
use crate::source::Loaded;
use anyhow::{Context as _, Result, anyhow};
use cosette_plugins::System;
use cosette_plugins::disk::{Labelled, make_file_system};
use cosette_plugins::image::Source;
use cosette_plugins::system::{Mode, PrivateMounts};
use std::path::PathBuf;

/// What is asked for.
pub struct Request {
    /// Where the system comes from; the recovery system if nothing is said.
    pub source: Option<String>,
    /// Wipe the persistent data.
    pub persistent: bool,
    /// Wipe the documents of the machine.
    pub oem: bool,
    /// New documents for the machine.
    pub documents: Vec<Loaded>,
    /// Only show what would be done.
    pub dry_run: bool,
    /// A hook that fails is only a warning, unless the configuration says otherwise.
    pub lenient: bool,
}

/// A recovery on its way.
struct Recovery<'s> {
    new: Deployment<'s>,
    mounts: Option<&'s PrivateMounts>,
    persistent: PathBuf,
}

/// Does it. `mounts` are those of this process, without which nothing is wiped that is mounted.
pub fn recover<'s>(
    sys: &'s System,
    request: &Request,
    config: &Config,
    mounts: Option<&'s PrivateMounts>,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    let said = request.source.as_ref().or(config.recover.system.as_ref());
    let source = said.map_or_else(|| own_image(sys), |said| Ok(said.clone()))?;
    let mut session = if request.dry_run { Session::look(sys)? } else { Session::begin(sys)? };
    let (resolved, warnings) = resolve(sys, &source, config)?;
    for warning in &warnings {
        tell(Event::Warning(warning));
    }
    let mut outcome = Outcome::new(Name::Recover, request.dry_run);
    outcome.slot = Some(Booted::Active);
    outcome.source = Some(resolved.source().to_string());
    outcome.digest = resolved.digest.as_ref().map(ToString::to_string);
    let mut wiped = Vec::new();
    for (is_asked, label) in [(request.persistent, PERSISTENT), (request.oem, OEM)] {
        if is_asked {
            wiped.push(session.partitions.require_to_wipe(sys, label)?);
        }
    }
    let oem = match &request.documents[..] {
        [] => None,
        _ => Some(session.partitions.require(OEM)?.clone()),
    };
    // Hooks find the data of the machine where they are in the active system.
    let mut persistent = PathBuf::from("/usr/local");
    if let Some(found) = session.partitions.get(PERSISTENT)?
        && !request.persistent
        && !request.dry_run
    {
        match session.mounts.write(&found.clone()) {
            Ok(point) => persistent = point,
            Err(error) => session.systems.warnings.push(format!("{error:#}")),
        }
    }
    let image = image_spec(Booted::Active, config)?;
    let hooks = hooks(config, request.lenient);
    let mut new = Deployment::new(session, Booted::Active, resolved, image, hooks, Name::Recover.as_str());
    new.unpacks_images = true;
    new.title.clone_from(&config.grub_entry_name);
    if said.is_none() {
        new.origin = new.session.systems.known.recovery.clone();
    }
    let mut recovery = Recovery { new, mounts, persistent };
    let operation = steps(&recovery, wiped, oem.map(|oem| (oem, &request.documents[..])))?;
    outcome.steps = operation.steps().iter().map(|step| Planned::new(step.name, &step.detail)).collect();
    if request.dry_run {
        outcome.warnings = recovery.new.end();
        return Ok(outcome);
    }
    let ended = operation.run(sys, &mut recovery, tell);
    if ended.is_err() {
        recovery.new.clean_up();
    }
    outcome.record = recovery.new.session.systems.known.active.clone();
    let warnings = recovery.new.end();
    outcome.after(ended, warnings, tell)
}

/// The image of the recovery system that runs.
fn own_image(sys: &System) -> Result<String> {
    if sentinels::booted(sys) != Some(Booted::Recovery) {
        return Err(anyhow!(
            "the recovery system does not run: boot it (`cosette rollback --to recovery --once`), or name a source with --from"
        ))
        .class(Class::NotThere);
    }
    for point in BOOTED {
        for name in ["recovery.img", "recovery.squashfs"] {
            let path = format!("{point}/cOS/{name}");
            if sys.exists(&path)? {
                return Ok(format!("file:{path}"));
            }
        }
    }
    Err(anyhow!(
        "the image of the recovery system is not where the initramfs mounts it: name a source with --from"
    ))
    .class(Class::Source)
}

fn steps<'a, 's: 'a>(
    recovery: &Recovery<'s>,
    wiped: Vec<Labelled>,
    documents: Option<(Labelled, &'a [Loaded])>,
) -> Result<Operation<'a, Recovery<'s>>> {
    let new = &recovery.new;
    let image = format!("{}, read back and compared", new.image.file_system);
    let mut operation = Operation::new(Name::Recover).step(
        "before-reset",
        "hooks on the machine",
        |on: &mut Recovery<'s>| on.new.hook("before-reset"),
    );
    if new.known_image().is_some() {
        let detail = "the image of the recovery system is the one that was put there";
        operation = operation.step("verify", detail, |on: &mut Recovery<'s>| on.verify());
    }
    operation = operation
        .step("space", new.shown_space()?, |on: &mut Recovery<'s>| on.new.check_space())
        .telling_step("fetch", new.shown_source(), |on: &mut Recovery<'s>, tell| {
            on.new.fetch(&mut Fetching(tell))
        })
        .step("after-reset-chroot", "hooks in the new system", |on: &mut Recovery<'s>| {
            let persistent = on.persistent.clone();
            on.new.hook_in_tree("after-reset-chroot", &persistent)
        })
        .step("after-reset", "hooks on the machine", |on: &mut Recovery<'s>| {
            on.new.hook_with_tree("after-reset")
        })
        .step("image", image, |on: &mut Recovery<'s>| on.new.build())
        .step(
            "intent",
            "state.yaml, and 3 attempts for the new system in the boot loader",
            |on: &mut Recovery<'s>| on.new.intend(),
        )
        .step("switch", "the new image becomes active.img", |on: &mut Recovery<'s>| on.new.switch())
        .step("passive", "a copy of it becomes passive.img", |on: &mut Recovery<'s>| {
            on.new.session.systems.copy_to_passive()
        });
    for partition in wiped {
        let name = if partition.label == OEM { "wipe-oem" } else { "wipe-persistent" };
        let detail = format!("a new file system on {} ({})", partition.device.display(), partition.label);
        operation = operation.step(name, detail, move |on: &mut Recovery<'s>| on.wipe(&partition));
    }
    if let Some((oem, documents)) = documents {
        let detail = format!("{} for /oem", documents.len());
        operation =
            operation.step("documents", detail, move |on: &mut Recovery<'s>| on.place(&oem, documents));
    }
    Ok(operation.step("post-reset", "hooks on the machine", |on: &mut Recovery<'s>| {
        on.new.hook("post-reset").context("the systems are made anew, but")
    }))
}

impl Recovery<'_> {
    /// Fails if the image of the recovery system is not the one that was put there.
    fn verify(&self) -> Result<()> {
        let (Source::File(path), Some(known)) = (self.new.resolved.source(), self.new.known_image()) else {
            return Ok(());
        };
        if self.new.session.systems.digest(path)? != known {
            return Err(anyhow!(
                "{} is damaged, or somebody replaced it: its digest is not that of state.yaml; name a source with --from",
                path.display()
            ))
            .class(Class::Digest);
        }
        Ok(())
    }

    /// Gives a partition a new, empty file system, and looks whether it has.
    fn wipe(&self, partition: &Labelled) -> Result<()> {
        let sys = self.new.session.sys;
        let wipe = || -> Result<()> {
            let mut mounted = partition.mounted.clone();
            // The one on top first.
            mounted.reverse();
            for point in &mounted {
                let mounts = self.mounts.with_context(|| format!("it is mounted at {}", point.display()))?;
                mounts.unmount_for_all(point)?;
            }
            if sys.is_mounted(&partition.device)? {
                return Err(anyhow!("it is mounted"));
            }
            let made = self.make_anew(sys, partition);
            for point in mounted.iter().rev() {
                if let Some(mounts) = self.mounts {
                    mounts.mount_for_all(&partition.device, partition.kind, point)?;
                }
            }
            made
        };
        wipe()
            .with_context(|| format!("cannot wipe {} ({})", partition.label, partition.device.display()))
            .class(Class::Wipe)
    }

    /// Has the machine have new documents, each as a whole.
    fn place(&mut self, oem: &Labelled, documents: &[Loaded]) -> Result<()> {
        let session = &mut self.new.session;
        let point = session.mounts.write(oem)?;
        cloud_init::place(session.sys, &point, documents)?;
        failpoint(session.sys)
    }

    fn make_anew(&self, sys: &System, partition: &Labelled) -> Result<()> {
        failpoint(sys)?;
        make_file_system(sys, &partition.device, partition.kind, &partition.label)?;
        failpoint(sys)?;
        if sys.mode() == Mode::Plan {
            return Ok(());
        }
        let left: Vec<_> = sys
            .names_on(&partition.device, partition.kind)?
            .into_iter()
            .map(|name| name.to_string_lossy().into_owned())
            .filter(|name| name != "lost+found")
            .collect();
        if !left.is_empty() {
            return Err(anyhow!("there is still something on it: {}", left.join(", ")));
        }
        Ok(())
    }
}
