//! The systems of a machine: their image files, and how one takes the place of another.
//!
//! **Invariant:** at every moment `active.img` is one complete image. A new one takes its place by exchange; the one
//! before becomes the passive one if it was good. What is intended is in `state.yaml` before the first name changes, so
//! that after a power cut the next run tells by digest how far it came, and goes on. What is left of an operation that did
//! not come so far is removed, never used.

use super::boot_loader;
use super::failure::{Class, Classify as _};
use super::operation::failpoint;
use super::state::{Pending, Slot, State};
use crate::boot::Booted;
use anyhow::{Context as _, Result};
use cosette_plugins::System;
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Where images are, on each partition.
const DIRECTORY: &str = "cOS";

/// The word for a rollback in `pending`.
const EXCHANGE: &str = "exchange";

/// The systems, while an operation may change them.
pub struct Systems<'s> {
    sys: &'s System,
    /// Where the state partition is mounted.
    state: PathBuf,
    /// Where the recovery partition is mounted, if there is one.
    recovery: Option<PathBuf>,
    /// What is known of them.
    pub known: State,
    /// What was not as it should be, in sentences.
    pub warnings: Vec<String>,
}

impl<'s> Systems<'s> {
    /// Reads what is known.
    pub fn load(sys: &'s System, state: PathBuf, recovery: Option<PathBuf>) -> Self {
        let mut systems = Self { sys, state, recovery, known: State::default(), warnings: Vec::new() };
        let (known, warnings) = State::load(sys, &systems.directories());
        systems.known = known;
        systems.warnings = warnings;
        systems
    }

    fn directories(&self) -> Vec<PathBuf> {
        std::iter::once(&self.state).chain(&self.recovery).cloned().collect()
    }

    /// Where the partition of a system is mounted.
    pub fn point(&self, slot: Booted) -> Result<&Path> {
        match slot {
            Booted::Active | Booted::Passive => Ok(&self.state),
            Booted::Recovery => {
                let missing = "there is no partition with the label COS_RECOVERY";
                self.recovery.as_deref().context(missing).class(Class::NotThere)
            }
        }
    }

    /// The image of a system.
    pub fn image(&self, slot: Booted) -> Result<PathBuf> {
        Ok(self.point(slot)?.join(DIRECTORY).join(format!("{}.img", slot.as_str())))
    }

    /// The image of a system that will be, before it takes its place.
    pub fn transition(&self, slot: Booted) -> Result<PathBuf> {
        Ok(self.point(slot)?.join(DIRECTORY).join("transition.img"))
    }

    /// The directory for what is made on the way to an image.
    pub fn work(&self, slot: Booted) -> Result<PathBuf> {
        Ok(self.point(slot)?.join(DIRECTORY).join(".cosette"))
    }

    /// Whether the image of a system is there.
    pub fn is_there(&self, slot: Booted) -> Result<bool> {
        self.sys.exists(self.image(slot)?)
    }

    /// What the boot loader is told.
    pub fn environment(&self) -> Result<boot_loader::Environment> {
        boot_loader::read(self.sys, &self.state).class(Class::BootLoader)
    }

    /// The digest of a file, as `state.yaml` has it.
    pub fn digest(&self, file: &Path) -> Result<String> {
        let mut hash = Sha256::new();
        self.sys.read_pieces(file, |piece| hash.update(piece))?;
        let mut digest = "sha256:".to_owned();
        for byte in hash.finalize() {
            let _ = write!(digest, "{byte:02x}");
        }
        Ok(digest)
    }

    /// Brings to an end what was interrupted, and removes what is left of it.
    pub fn converge(&mut self) -> Result<()> {
        if let Some(pending) = self.known.pending.clone() {
            self.settle(&pending).class(Class::Switch)?;
        }
        self.remove_leftovers()
    }

    /// Removes what operations leave that did not come to their end.
    pub fn remove_leftovers(&mut self) -> Result<()> {
        for slot in [Booted::Active, Booted::Recovery] {
            if self.point(slot).is_err() {
                continue;
            }
            let removed = self.sys.remove_tree(self.work(slot)?)?;
            if self.sys.remove(self.transition(slot)?)? || removed {
                self.warnings.push("what an interrupted operation had left was removed".to_owned());
            }
            // Where temporary files of images are made; what stands there under other names belongs to somebody else.
            let directory = self.point(slot)?.join(DIRECTORY);
            for name in self.sys.read_dir(&directory)?.unwrap_or_default() {
                let name = name.to_string_lossy();
                if name.starts_with(".cosette-") || name.starts_with("transition.img.") {
                    self.sys.remove_tree(directory.join(&*name))?;
                }
            }
        }
        Ok(())
    }

    /// A switch was intended. The digest of the image that has the name tells whether it was made.
    fn settle(&mut self, pending: &Pending) -> Result<()> {
        let slot = Booted::named(&pending.slot);
        let image = self.image(slot.unwrap_or(Booted::Active))?;
        let is_new = match &pending.new.image {
            Some(digest) if self.sys.exists(&image)? => self.digest(&image)? == *digest,
            _ => false,
        };
        if is_new {
            self.warnings.push(format!("the interrupted switch of {} was completed", pending.slot));
            return self.complete(pending);
        }
        self.warnings.push(format!("the interrupted switch of {} had not begun", pending.slot));
        if pending.was_good {
            self.tell(|environment| environment.set_good(Booted::Active))?;
        }
        self.known.pending = None;
        self.save()
    }

    /// Writes down what will be there, and tells the boot loader to count: an active system is never one that has not
    /// proved itself and is not counted.
    pub fn intend(&mut self, slot: Booted, new: Slot) -> Result<()> {
        let environment = self.environment().unwrap_or_default();
        let was_good = environment.attempts().is_none();
        let keep = slot == Booted::Active
            && self.is_there(Booted::Active)?
            && (was_good || !self.is_there(Booted::Passive)?);
        self.known.pending = Some(Pending { slot: slot.as_str().to_owned(), new, keep, was_good });
        self.save()?;
        failpoint(self.sys)?;
        if slot == Booted::Active {
            self.tell(boot_loader::Environment::set_tentative)?;
        }
        Ok(())
    }

    /// That the passive system becomes the active one.
    pub fn intend_exchange(&mut self, is_proved: bool) -> Result<()> {
        let passive = self.image(Booted::Passive)?;
        let mut new = self.known.passive.clone().unwrap_or_default();
        new.image = Some(self.digest(&passive)?);
        let was_good = self.environment().unwrap_or_default().attempts().is_none();
        self.known.pending = Some(Pending { slot: EXCHANGE.to_owned(), new, keep: is_proved, was_good });
        self.save()?;
        failpoint(self.sys)?;
        if !is_proved {
            self.tell(boot_loader::Environment::set_tentative)?;
        }
        Ok(())
    }

    /// Makes the switch that is intended. It is not interrupted by signals.
    pub fn switch(&mut self) -> Result<()> {
        let pending = self.known.pending.clone().context("no switch is intended")?;
        let switch = || -> Result<()> {
            let slot = Booted::named(&pending.slot);
            let image = self.image(slot.unwrap_or(Booted::Active))?;
            let new = match slot {
                Some(slot) => self.transition(slot)?,
                None => self.image(Booted::Passive)?,
            };
            let directory = image.parent().unwrap_or(&image).to_owned();
            // GRUB reads the disk without the journal: all of the new image must be in its place before it has a name.
            self.sys.checkpoint(&directory)?;
            failpoint(self.sys)?;
            if self.sys.exists(&image)? {
                self.sys.exchange(&new, &image)?;
            } else {
                self.sys.take_place(&new, &image)?;
            }
            failpoint(self.sys)?;
            self.sys.checkpoint(&directory)?;
            failpoint(self.sys)
        };
        switch().class(Class::Switch)?;
        self.complete(&pending)
    }

    /// What follows a switch that was made.
    fn complete(&mut self, pending: &Pending) -> Result<()> {
        let complete = |systems: &mut Self| -> Result<()> {
            let Some(slot) = Booted::named(&pending.slot) else {
                systems.known.passive = systems.known.active.replace(pending.new.clone());
                // It runs, or it has its attempts.
                return match pending.keep {
                    true => systems.tell(|environment| environment.set_good(Booted::Active)),
                    false => Ok(()),
                };
            };
            let before = systems.transition(slot)?;
            let directory = before.parent().unwrap_or(&before).to_owned();
            // For GRUB they have their names until the change of names is on the disk.
            let passive = systems.image(Booted::Passive)?;
            let held = (systems.sys.hold(&before)?, systems.sys.hold(&passive)?);
            if pending.keep {
                if systems.sys.exists(&before)? {
                    systems.sys.take_place(&before, passive)?;
                }
                systems.known.passive = systems.known.active.take();
            } else {
                systems.sys.remove(&before)?;
            }
            if slot == Booted::Recovery {
                // The name that earlier recovery systems had: the boot loader takes it only where there is no image.
                systems.sys.remove(directory.join("recovery.squashfs"))?;
            }
            systems.known.set(slot, Some(pending.new.clone()));
            failpoint(systems.sys)?;
            systems.sys.checkpoint(&directory)?;
            drop(held);
            failpoint(systems.sys)
        };
        complete(self).class(Class::Switch)?;
        if Booted::named(&pending.slot) != Some(Booted::Recovery) {
            self.entitle(&pending.new)?;
        }
        self.known.pending = None;
        self.save()
    }

    /// Has the boot menu say what the active system is called.
    fn entitle(&mut self, active: &Slot) -> Result<()> {
        let Some(title) = &active.title else { return Ok(()) };
        let mut environment = self.environment().unwrap_or_default();
        let before = environment.clone();
        environment.set_title(title);
        if environment == before { Ok(()) } else { self.tell(|environment| environment.set_title(title)) }
    }

    /// Makes the passive system a copy of the active one.
    pub fn copy_to_passive(&mut self) -> Result<()> {
        let copy = |systems: &mut Self| -> Result<()> {
            let active = systems.image(Booted::Active)?;
            let (transition, passive) =
                (systems.transition(Booted::Active)?, systems.image(Booted::Passive)?);
            systems.sys.copy_file(&active, &transition, 0o644)?;
            systems.sys.settle(&transition)?;
            failpoint(systems.sys)?;
            let known = systems.known.active.clone().unwrap_or_default();
            if known.image.as_deref() != Some(&*systems.digest(&transition)?) {
                return Err(anyhow::anyhow!("the copy is not what it was made from")).class(Class::ReadBack);
            }
            let directory = active.parent().unwrap_or(&active).to_owned();
            systems.sys.checkpoint(&directory)?;
            // For GRUB it has its name until the change of names is on the disk.
            let held = systems.sys.hold(&passive)?;
            systems.sys.take_place(&transition, &passive)?;
            failpoint(systems.sys)?;
            systems.sys.checkpoint(&directory)?;
            drop(held);
            systems.known.passive = Some(known);
            Ok(())
        };
        copy(self).class(Class::Switch)?;
        self.save()
    }

    /// Changes what the boot loader is told.
    pub fn tell(&mut self, change: impl FnOnce(&mut boot_loader::Environment)) -> Result<()> {
        let told = boot_loader::change(self.sys, &self.state, change);
        told.and_then(|_| self.sys.checkpoint(&self.state)).class(Class::BootLoader)
    }

    /// Writes down what is known.
    pub fn save(&mut self) -> Result<()> {
        let directories = self.directories();
        let warnings = self.known.save(self.sys, &directories)?;
        self.warnings.extend(warnings);
        Ok(())
    }
}
