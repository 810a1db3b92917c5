//! From a source to an image in its place: what upgrade and recover have in common.
//!
//! Everything is fetched, built, read back and on the disk before the first name changes.

use super::acquire::acquire;
use super::boot_loader::Branding;
use super::config::Config;
use super::failure::{Class, Classify as _};
use super::hooks::Hooks;
use super::image_file::{self, Built, FileSystem, ImageSpec};
use super::operation::failpoint;
use super::session::Session;
use super::space::{self, Need};
use super::state::{Slot, now};
use crate::boot::Booted;
use crate::report::size;
use crate::source::Source as Documents;
use anyhow::{Context as _, Result, anyhow};
use cosette_plugins::System;
use cosette_plugins::disk::Mountable;
use cosette_plugins::image::{self, Policy, Resolved, Source, Verified};
use std::path::{Path, PathBuf};

const MIB: u64 = 1 << 20;

/// Labels of images: they name the slot that an image was made for, and nothing depends on them.
const LABEL_OF_SYSTEM: &str = "COS_ACTIVE";
const LABEL_OF_RECOVERY: &str = "COS_SYSTEM";

/// A system on its way to its place.
pub struct Deployment<'s> {
    /// The machine.
    pub session: Session<'s>,
    /// Which system it becomes.
    pub slot: Booted,
    /// What the source leads to.
    pub resolved: Resolved,
    /// What the image shall be like.
    pub image: ImageSpec,
    /// How hooks are run.
    pub hooks: Hooks,
    /// The operation, as `state.yaml` has it.
    pub operation: &'static str,
    /// Where a finished image is a source, whether it is unpacked and built anew, so that hooks see it.
    pub unpacks_images: bool,
    /// What is known of the system whose image is the source: where that came from, this does.
    pub origin: Option<Slot>,
    /// What the boot menu calls it, where its tree does not say that.
    pub title: Option<String>,
    /// What is not as it should be.
    pub warnings: Vec<String>,
    built: Option<Built>,
    branding: Option<Branding>,
}

/// Finds out what a source leads to. Nothing is changed and nothing is fetched but documents.
pub fn resolve(sys: &System, source: &str, config: &Config) -> Result<(Resolved, Vec<String>)> {
    let source = Source::parse(source).class(Class::Configuration)?;
    let platform = config.platform.as_deref().map(image::Platform::parse).transpose();
    let request = image::Request {
        source,
        platform: platform.class(Class::Configuration)?,
        insecure: (config.tls_verify == Some(false)).then_some(true),
    };
    let policy = Policy::load(sys).map_err(anyhow::Error::from).class(Class::Source)?;
    let resolved =
        image::resolve(sys, &request, &policy).map_err(anyhow::Error::from).class(Class::Source)?;
    let mut warnings = Vec::new();
    if resolved.verified == Verified::Unmentioned && resolved.top.is_some() {
        warnings.push(format!(
            "{} is not verified: the policy does not mention it (/etc/cosette/policy.yaml)",
            resolved.source()
        ));
    }
    Ok((resolved, warnings))
}

/// What an image shall be like, by the configuration.
pub fn image_spec(slot: Booted, config: &Config) -> Result<ImageSpec> {
    let of_recovery = config.upgrade.recovery_system.file_system.as_ref();
    let named = of_recovery.filter(|_| slot == Booted::Recovery).or(config.image.file_system.as_ref());
    let file_system = match named {
        None => FileSystem::default(),
        Some(name) => FileSystem::named(name)
            .with_context(|| format!("{name:?} is no file system for images: ext4, squashfs or erofs"))
            .class(Class::Configuration)?,
    };
    let label = if slot == Booted::Recovery { LABEL_OF_RECOVERY } else { LABEL_OF_SYSTEM };
    let mut spec = ImageSpec::new(file_system, label);
    if let Some(margin) = config.image.margin {
        spec.margin = margin.saturating_mul(MIB);
    }
    if let Some(size) = config.image.size {
        spec.at_least = size.saturating_mul(MIB);
    }
    spec.compression.clone_from(&config.image.compression);
    Ok(spec)
}

/// How hooks are run, by the configuration.
pub fn hooks(config: &Config, lenient: bool) -> Hooks {
    let also = config.cloud_init_paths.iter().map(|path| Documents::parse(path)).collect();
    Hooks { also, lenient: config.strict.map_or(lenient, |strict| !strict) }
}

/// What a person is told of a source.
pub fn shown_source(resolved: &Resolved) -> String {
    let source = resolved.source();
    match (&resolved.digest, resolved.size) {
        (Some(digest), bytes) => format!("{source} ({digest}, {})", size(bytes)),
        (None, 0) => source.to_string(),
        (None, bytes) => format!("{source} ({})", size(bytes)),
    }
}

impl<'s> Deployment<'s> {
    /// A system that becomes one of the machine.
    pub fn new(
        session: Session<'s>,
        slot: Booted,
        resolved: Resolved,
        image: ImageSpec,
        hooks: Hooks,
        operation: &'static str,
    ) -> Self {
        Self {
            session,
            slot,
            resolved,
            image,
            hooks,
            operation,
            unpacks_images: false,
            origin: None,
            title: None,
            warnings: Vec::new(),
            built: None,
            branding: None,
        }
    }

    fn sys(&self) -> &'s System {
        self.session.sys
    }

    /// Where its tree is.
    pub fn tree(&self) -> Result<PathBuf> {
        Ok(self.session.systems.work(self.slot)?.join("tree"))
    }

    /// Whether there is a tree, in which hooks can run.
    pub fn has_tree(&self) -> bool {
        self.unpacks_images || !matches!(self.resolved.source(), Source::File(_))
    }

    /// The digest that the image which is the source must have, where that is known.
    pub fn known_image(&self) -> Option<&str> {
        self.origin.as_ref()?.image.as_deref()
    }

    /// What a person is told of the source.
    pub fn shown_source(&self) -> String {
        shown_source(&self.resolved)
    }

    /// Fails if a partition has not the room.
    pub fn check_space(&mut self) -> Result<()> {
        let directory = self.directory()?;
        space::check(self.sys(), &directory, self.need()?)
    }

    fn need(&self) -> Result<Need> {
        let estimate = space::estimate(self.sys(), &self.resolved, self.image.file_system)?;
        Ok(estimate.tree + estimate.image)
    }

    /// What a person is told of the room.
    pub fn shown_space(&self) -> Result<String> {
        let free = self.sys().free_space(self.session.systems.point(self.slot)?)?;
        Ok(format!(
            "at least {} for files and image, {} are free",
            size(self.need()?.bytes),
            size(free.bytes)
        ))
    }

    fn directory(&self) -> Result<PathBuf> {
        let image = self.session.systems.image(self.slot)?;
        let directory = image.parent().unwrap_or(&image).to_owned();
        self.sys().create_dir(&directory, None, None)?;
        Ok(directory)
    }

    /// Has the tree of the source be there.
    pub fn fetch(&mut self, progress: &mut dyn image::Progress) -> Result<()> {
        if !self.has_tree() {
            return Ok(());
        }
        let (sys, tree) = (self.sys(), self.tree()?);
        let directory = self.directory()?;
        sys.create_dir(self.session.systems.work(self.slot)?, Some(0o700), None)?;
        let warnings = match self.resolved.source() {
            Source::File(path) => {
                let unpack = || -> Result<()> {
                    let found = Mountable::in_file(path, sys)?.context("it holds no file system")?;
                    let image = sys.image(path, found.0.kind)?;
                    sys.copy_dir(&image, &tree)
                };
                unpack().with_context(|| path.display().to_string()).class(Class::Source)?;
                Vec::new()
            }
            _ => {
                let mut watch = space::Watch::new(sys, &directory, self.image.file_system, progress)?;
                acquire(sys, &self.resolved, &tree, &mut watch)?
            }
        };
        self.warnings.extend(warnings);
        failpoint(sys)
    }

    /// Runs a hook on the machine.
    pub fn hook(&mut self, stage: &str) -> Result<()> {
        let warnings = self.hooks.run(self.sys(), stage)?;
        self.warnings.extend(warnings);
        Ok(())
    }

    /// Runs a hook on the machine, with the documents of the new system.
    pub fn hook_with_tree(&mut self, stage: &str) -> Result<()> {
        if !self.has_tree() {
            return self.hook(stage);
        }
        let warnings = self.hooks.run_with_tree(self.sys(), stage, &self.tree()?)?;
        self.warnings.extend(warnings);
        Ok(())
    }

    /// Runs a hook in the new system.
    pub fn hook_in_tree(&mut self, stage: &str, persistent: &Path) -> Result<()> {
        if !self.has_tree() {
            self.warnings.push(format!("{stage} does not run: the source is a finished image"));
            return Ok(());
        }
        let sys = self.sys();
        let mut shown = Vec::new();
        for (from, at) in [(Path::new("/oem"), "/oem"), (persistent, "/usr/local")] {
            if sys.exists(from)? {
                shown.push((from.to_owned(), at));
            }
        }
        let warnings = self.hooks.run_in_tree(sys, stage, &self.tree()?, &shown)?;
        self.warnings.extend(warnings);
        Ok(())
    }

    /// Makes the image, which is then on the disk, and read back.
    pub fn build(&mut self) -> Result<()> {
        let (sys, to) = (self.sys(), self.session.systems.transition(self.slot)?);
        let mut tell = |_| ();
        let built = match (self.resolved.source(), self.has_tree()) {
            (Source::File(path), false) => image_file::adopt(sys, path, &to, &mut tell)?,
            _ => {
                let tree = self.tree()?;
                self.branding = Branding::read(&sys.reroot(&tree)?, self.title.as_deref())?;
                image_file::build(sys, &tree, &self.image, &to, &mut tell)?
            }
        };
        self.warnings.extend(built.warnings.iter().cloned());
        self.built = Some(built);
        failpoint(sys)?;
        sys.remove_tree(self.session.systems.work(self.slot)?)?;
        Ok(())
    }

    /// What `state.yaml` will have of it.
    pub fn record(&self) -> Result<Slot> {
        let built = self.built.as_ref().context("there is no image")?;
        let mut slot = Slot::default();
        if let Some(origin) = self.origin.as_ref().filter(|origin| origin.source.is_some()) {
            slot.source.clone_from(&origin.source);
            slot.digest.clone_from(&origin.digest);
        } else {
            slot.source = Some(self.resolved.source().to_string());
            slot.digest = self.resolved.digest.as_ref().map(ToString::to_string);
        }
        slot.image = Some(built.digest.to_string());
        slot.file_system = Some(built.file_system.to_string());
        slot.bytes = Some(built.bytes);
        slot.date = Some(now(self.sys()));
        slot.from = Some(self.operation.to_owned());
        slot.title = self.branding.as_ref().map(|branding| branding.title.clone());
        Ok(slot)
    }

    /// Writes down what will be there.
    pub fn intend(&mut self) -> Result<()> {
        let record = self.record()?;
        self.session.systems.intend(self.slot, record)
    }

    /// Puts the image in its place.
    pub fn switch(&mut self) -> Result<()> {
        self.session.systems.switch()
    }

    /// After steps that went wrong: nothing is left of them but what is complete.
    pub fn clean_up(&mut self) {
        if let Err(error) = self.session.systems.converge() {
            self.warnings.push(format!("not all could be cleaned up, the next run will: {error:#}"));
        }
    }

    /// All warnings, also those of unmounting.
    pub fn end(mut self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.session.systems.warnings);
        warnings.append(&mut self.warnings);
        warnings.extend(self.session.mounts.end());
        warnings
    }
}

/// The systems other than the one that is renewed must not be what it is made from.
pub fn refuse_running_recovery(slot: Booted, booted: Option<Booted>) -> Result<()> {
    if slot == Booted::Recovery && booted == Some(Booted::Recovery) {
        return Err(anyhow!("the recovery system is running: boot the active system to renew it"))
            .class(Class::Device);
    }
    Ok(())
}
