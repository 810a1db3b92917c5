//! A new system: what lies on its partitions. They are directories here, mounted or only going to become file systems, so
//! that a disk and an image of one are filled by the same steps.

use super::acquire::acquire;
use super::boot_loader::{self, Branding, Environment, images::Images};
use super::cloud_init;
use super::config::Config;
use super::deployment::{self, shown_source};
use super::failure::{Class, Classify as _};
use super::hooks::Hooks;
use super::image_file::{self, Built, FileSystem, ImageSpec};
use super::operation::{Fetching, Name, Operation, failpoint};
use super::outcome::{Outcome, Planned};
use super::state::{self, Slot, State};
use crate::boot::Booted;
use crate::source::{Loaded, Place};
use anyhow::{Context as _, Result};
use cosette_plugins::System;
use cosette_plugins::image::{Progress, Resolved, Source};
use cosette_plugins::system::File;
use std::path::{Path, PathBuf};

/// Where the images of systems are, on the state partition and on that of recovery.
const IMAGES: &str = "cOS";

/// The tree of the system, until its image is built.
const TREE: &str = "cOS/.cosette/tree";
const WORK: &str = "cOS/.cosette";

/// An image until it takes its place, as in an upgrade.
const TRANSITION: &str = "transition.img";

/// The environment block of the operator, on the partition for documents.
const USER_ENVIRONMENT: &str = "grubenv";

/// The number of the EFI system partition on a disk that cosette has laid out.
pub const ESP: u32 = 2;

/// What a new system is made from.
pub struct Spec {
    /// Where it comes from.
    pub system: Resolved,
    /// Where the recovery system comes from, if that is another one.
    pub recovery: Option<Resolved>,
    /// How its image is made.
    pub image: ImageSpec,
    /// How the image of the recovery system is made.
    pub recovery_image: ImageSpec,
    /// The documents of the operator.
    pub documents: Vec<Loaded>,
    /// The title of the menu entries, where the system has none.
    pub title: Option<String>,
    /// How hooks are run.
    pub hooks: Hooks,
    /// What was not as it should be when this was found out.
    pub warnings: Vec<String>,
}

impl Spec {
    /// Finds out where these sources lead, and reads the documents; nothing is fetched but those.
    pub fn resolve(
        sys: &System,
        config: &Config,
        (system, recovery): (&str, Option<&str>),
        documents: (&[String], &Place<'_>),
        lenient: bool,
    ) -> Result<Self> {
        let (documents, findings) = cloud_init::read(documents.0, documents.1).class(Class::Source)?;
        let mut warnings: Vec<String> = findings.iter().map(ToString::to_string).collect();
        let (system, found) = deployment::resolve(sys, system, config)?;
        warnings.extend(found);
        let mut other = None;
        if let Some(recovery) = recovery {
            let (resolved, found) = deployment::resolve(sys, recovery, config)?;
            warnings.extend(found);
            other = Some(resolved);
        }
        let image = deployment::image_spec(Booted::Active, config)?;
        let mut recovery_image = ImageSpec { label: "COS_SYSTEM".to_owned(), ..image.clone() };
        if let Some(name) = &config.install.recovery_system.file_system {
            let named =
                FileSystem::named(name).with_context(|| format!("{name:?} is no file system for images"));
            recovery_image.file_system = named.class(Class::Configuration)?;
        }
        for image in [&image, &recovery_image] {
            if image.file_system == FileSystem::Erofs {
                warnings.push(
                    "the kernel is read from the image by GRUB, which must know erofs: version 2.14"
                        .to_owned(),
                );
            }
        }
        Ok(Self {
            system,
            recovery: other,
            image,
            recovery_image,
            documents,
            title: config.grub_entry_name.clone(),
            hooks: deployment::hooks(config, lenient),
            warnings,
        })
    }
}

/// The names of its hooks.
#[derive(Clone, Copy, Debug)]
pub struct HookNames {
    /// On the machine, before anything is there.
    pub before: &'static str,
    /// In the tree of the system.
    pub chroot: &'static str,
    /// On the machine, with the tree there.
    pub after: &'static str,
    /// On the machine, when all is there.
    pub post: &'static str,
}

/// The partitions as directories.
#[derive(Clone, Debug)]
pub struct Directories {
    /// The documents of the operator.
    pub oem: PathBuf,
    /// The recovery system.
    pub recovery: PathBuf,
    /// The active and the passive system.
    pub state: PathBuf,
    /// Persistent data, if hooks can see it.
    pub persistent: Option<PathBuf>,
    /// Whether these are partitions of a disk, from which a machine may be started at any time.
    pub are_mounted: bool,
}

/// A new system while it is made.
pub trait NewSystem {
    /// What it is made from, and where.
    fn parts(&mut self) -> Parts<'_>;
}

/// What the steps work on.
pub struct Parts<'a> {
    /// The machine.
    pub sys: &'a System,
    /// What it is made from.
    pub spec: &'a Spec,
    /// Where.
    pub at: &'a Directories,
    /// What one step leaves to the next.
    pub made: &'a mut Made,
}

/// What was made so far.
#[derive(Debug, Default)]
pub struct Made {
    /// The boot loader, as images.
    pub images: Option<Images>,
    /// What the boot loader calls the system.
    pub branding: Option<Branding>,
    /// What was not as it should be, but is no failure.
    pub warnings: Vec<String>,
    state: State,
}

/// Adds the steps that make a new system, up to its state.
pub fn steps<'a, T: NewSystem>(
    operation: Operation<'a, T>,
    name: Name,
    spec: &'a Spec,
    hooks: HookNames,
) -> Operation<'a, T> {
    let of_recovery = match &spec.recovery {
        Some(other) => format!("the image of {}", shown_source(other)),
        None => "a copy of the system".to_owned(),
    };
    operation
        .step("before", format!("hook {}", hooks.before), move |on| {
            let Parts { sys, spec, made, .. } = on.parts();
            made.warnings.extend(spec.hooks.run(sys, hooks.before)?);
            Ok(())
        })
        .telling_step("system", shown_source(&spec.system), |on, tell| {
            on.parts().acquire(&mut Fetching(tell))
        })
        .step("documents", format!("{} for /oem", spec.documents.len()), |on| {
            let Parts { sys, spec, at, .. } = on.parts();
            cloud_init::place(sys, &at.oem, &spec.documents)
        })
        .step("boot loader", "the images of GRUB", |on| on.parts().boot_loader().class(Class::BootLoader))
        .step("chroot", format!("hook {}", hooks.chroot), move |on| on.parts().in_tree(hooks.chroot))
        .step("after", format!("hook {}", hooks.after), move |on| on.parts().after(hooks.after))
        .step("image", format!("active.img ({})", spec.image.file_system), move |on| on.parts().active(name))
        .step("passive", "passive.img, a copy of it", move |on| {
            let mut parts = on.parts();
            let to = parts.at.state.join(IMAGES).join("passive.img");
            parts.copy_of_active(&to)?;
            let slot = parts.made.state.slot(Booted::Active).cloned();
            parts.made.state.set(Booted::Passive, slot);
            Ok(())
        })
        .telling_step("recovery", of_recovery, move |on, tell| on.parts().recovery(name, &mut Fetching(tell)))
        .step("state", "what is where, and the environment of GRUB", |on| on.parts().finish())
}

/// What comes of it, with the steps where they are only shown.
pub fn ended<T>(name: Name, spec: &Spec, operation: &Operation<'_, T>, dry_run: bool) -> Outcome {
    let mut outcome = Outcome::new(name, dry_run);
    outcome.source = Some(spec.system.source().to_string());
    outcome.digest = spec.system.digest.as_ref().map(ToString::to_string);
    outcome.warnings.clone_from(&spec.warnings);
    outcome.steps = operation.steps().iter().map(|step| Planned::new(step.name, &step.detail)).collect();
    outcome
}

impl Parts<'_> {
    fn tree(&self) -> PathBuf {
        self.at.state.join(TREE)
    }

    /// The tree, if the source has one.
    fn tree_system(&self) -> Result<Option<System>> {
        match self.spec.system.source() {
            Source::File(_) => Ok(None),
            _ => Ok(Some(self.sys.reroot(&self.tree())?)),
        }
    }

    fn acquire(&mut self, progress: &mut dyn Progress) -> Result<()> {
        let work = self.at.state.join(WORK);
        self.sys.remove_tree(&work)?;
        self.sys.create_dir(self.at.state.join(IMAGES), Some(0o755), None)?;
        self.sys.create_dir(&work, Some(0o700), None)?;
        if !matches!(self.spec.system.source(), Source::File(_)) {
            self.made.warnings.extend(acquire(self.sys, &self.spec.system, &self.tree(), progress)?);
        }
        Ok(())
    }

    fn boot_loader(&mut self) -> Result<()> {
        let tree = self.tree_system()?;
        let title = self.spec.title.as_deref();
        // A finished image is not looked into.
        let branding = tree.as_ref().map(|tree| Branding::read(tree, title)).transpose()?.flatten();
        let branding = branding.unwrap_or_else(|| Branding::of(b"", title));
        self.made.images = Some(Images::make(tree.as_ref(), self.sys, ESP, &branding.vendor)?);
        self.made.branding = Some(branding);
        Ok(())
    }

    fn in_tree(&mut self, hook: &str) -> Result<()> {
        if matches!(self.spec.system.source(), Source::File(_)) {
            self.made.warnings.push(format!("{hook} is not run: a finished image is not changed"));
            return Ok(());
        }
        let mut shown = vec![(self.at.oem.clone(), "/oem")];
        shown.extend(self.at.persistent.clone().map(|persistent| (persistent, "/usr/local")));
        let warnings = self.spec.hooks.run_in_tree(self.sys, hook, &self.tree(), &shown)?;
        self.made.warnings.extend(warnings);
        Ok(())
    }

    fn after(&mut self, hook: &str) -> Result<()> {
        let warnings = match self.spec.system.source() {
            Source::File(_) => self.spec.hooks.run(self.sys, hook)?,
            _ => self.spec.hooks.run_with_tree(self.sys, hook, &self.tree())?,
        };
        self.made.warnings.extend(warnings);
        Ok(())
    }

    fn active(&mut self, name: Name) -> Result<()> {
        let to = self.at.state.join(IMAGES).join("active.img");
        let built = self.in_place(&to, |to| match self.spec.system.source() {
            Source::File(path) => image_file::adopt(self.sys, path, to, &mut |_| ()),
            _ => image_file::build(self.sys, &self.tree(), &self.spec.image, to, &mut |_| ()),
        })?;
        let slot = self.slot(&self.spec.system, &built, name);
        self.made.warnings.extend(built.warnings);
        self.made.state.set(Booted::Active, Some(slot));
        Ok(())
    }

    /// Makes an image, which gets its name when it is complete: on a disk that had a system, the boot loader finds the one
    /// or the other at any time.
    fn in_place(&self, to: &Path, make: impl FnOnce(&Path) -> Result<Built>) -> Result<Built> {
        let (transition, directory) = (to.with_file_name(TRANSITION), to.parent().unwrap_or(to));
        let built = make(&transition)?;
        failpoint(self.sys)?;
        self.sys.take_place(&transition, to)?;
        failpoint(self.sys)?;
        if self.at.are_mounted {
            // GRUB reads the disk without the journal, and the blocks of the image before are free now.
            self.sys.checkpoint(directory)?;
        }
        Ok(built)
    }

    fn slot(&self, resolved: &Resolved, built: &Built, name: Name) -> Slot {
        let mut slot = Slot::default();
        slot.source = Some(resolved.source().to_string());
        slot.digest = resolved.digest.as_ref().map(ToString::to_string);
        slot.image = Some(built.digest.to_string());
        slot.file_system = Some(built.file_system.to_string());
        slot.bytes = Some(built.bytes);
        slot.date = Some(state::now(self.sys));
        slot.from = Some(name.to_string());
        slot.title = self.made.branding.as_ref().map(|branding| branding.title.clone());
        slot
    }

    fn copy_of_active(&mut self, to: &Path) -> Result<()> {
        let active = self.at.state.join(IMAGES).join("active.img");
        let built = self.in_place(to, |to| image_file::adopt(self.sys, &active, to, &mut |_| ()))?;
        self.made.warnings.extend(built.warnings);
        Ok(())
    }

    fn recovery(&mut self, name: Name, progress: &mut dyn Progress) -> Result<()> {
        let directory = self.at.recovery.join(IMAGES);
        self.sys.create_dir(&directory, Some(0o755), None)?;
        let to = directory.join("recovery.img");
        let Spec { system, recovery, recovery_image: image, .. } = self.spec;
        let resolved = recovery.as_ref().unwrap_or(system);
        let is_same = recovery.is_none() && image.file_system == self.spec.image.file_system;
        let built = match resolved.source() {
            _ if is_same => {
                self.copy_of_active(&to)?;
                let slot = self.made.state.slot(Booted::Active).cloned();
                self.made.state.set(Booted::Recovery, slot);
                return Ok(());
            }
            Source::File(path) => {
                self.in_place(&to, |to| image_file::adopt(self.sys, path, to, &mut |_| ()))?
            }
            _ if recovery.is_none() => {
                self.in_place(&to, |to| image_file::build(self.sys, &self.tree(), image, to, &mut |_| ()))?
            }
            _ => {
                let work = self.at.recovery.join(WORK);
                self.sys.remove_tree(&work)?;
                self.sys.create_dir(&work, Some(0o700), None)?;
                let tree = self.at.recovery.join(TREE);
                self.made.warnings.extend(acquire(self.sys, resolved, &tree, progress)?);
                let built =
                    self.in_place(&to, |to| image_file::build(self.sys, &tree, image, to, &mut |_| ()))?;
                self.sys.remove_tree(&work)?;
                built
            }
        };
        let slot = self.slot(resolved, &built, name);
        self.made.warnings.extend(built.warnings);
        self.made.state.set(Booted::Recovery, Some(slot));
        Ok(())
    }

    fn finish(&mut self) -> Result<()> {
        self.sys.remove_tree(self.at.state.join(WORK))?;
        let title = self.made.branding.as_ref().map(|branding| branding.title.clone()).unwrap_or_default();
        boot_loader::change(self.sys, &self.at.state, |environment| {
            environment.set_title(&title);
            // Of a system that was there before, it may say that it has failed.
            environment.set_good(Booted::Active);
        })
        .class(Class::BootLoader)?;
        failpoint(self.sys)?;
        // GRUB can only write to one that is there.
        let own = self.at.oem.join(USER_ENVIRONMENT);
        if !self.sys.exists(&own)? {
            let block = Environment::default().to_bytes()?;
            self.sys.write(File::new(own, block).mode(0o600).durable()).class(Class::BootLoader)?;
        }
        let directories = [self.at.state.clone(), self.at.recovery.clone()];
        let warnings = self.made.state.save(self.sys, &directories).context("state.yaml")?;
        self.made.warnings.extend(warnings);
        Ok(())
    }
}
