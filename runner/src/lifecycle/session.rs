//! What operations on an installed machine begin with: the lock, the partitions, and what is known of the systems.

use super::failure::{Class, Classify as _};
use super::operation;
use super::partitions::{Mounts, Partitions, RECOVERY, STATE};
use super::systems::Systems;
use crate::boot::Booted;
use crate::sentinels;
use anyhow::{Context as _, Result, anyhow};
use cosette_plugins::System;
use cosette_plugins::system::Lock;

/// An operation on an installed machine. When it is dropped, all mounts are as they were.
pub struct Session<'s> {
    /// The machine.
    pub sys: &'s System,
    /// Its partitions.
    pub partitions: Partitions,
    /// What is mounted for the operation.
    pub mounts: Mounts<'s>,
    /// Its systems.
    pub systems: Systems<'s>,
    /// Which of them runs, if it is one of them.
    pub booted: Option<Booted>,
    _lock: Option<Lock>,
}

impl<'s> Session<'s> {
    /// Begins an operation that changes something; what an earlier one has left is brought to its end.
    pub fn begin(sys: &'s System) -> Result<Self> {
        let lock = operation::lock(sys)?;
        let mut session = Self::open(sys, Some(lock), |mounts, partition| mounts.write(partition))?;
        session.systems.converge()?;
        Ok(session)
    }

    /// Begins one that only looks. It may do so while another one runs.
    pub fn look(sys: &'s System) -> Result<Self> {
        Self::open(sys, None, |mounts, partition| mounts.read(partition))
    }

    fn open(
        sys: &'s System,
        lock: Option<Lock>,
        mount: impl Fn(&mut Mounts<'s>, &cosette_plugins::disk::Labelled) -> Result<std::path::PathBuf>,
    ) -> Result<Self> {
        let partitions = Partitions::find(sys)?;
        let mut mounts = Mounts::new(sys);
        let state = mount(&mut mounts, partitions.require(STATE)?)?;
        let mut warnings = Vec::new();
        // It is the second copy of what is known, and no reason to stop.
        let recovery = match partitions.get(RECOVERY)?.map(|found| mount(&mut mounts, found)) {
            None => None,
            Some(Ok(point)) => Some(point),
            Some(Err(error)) => {
                warnings.push(format!("{error:#}"));
                None
            }
        };
        let mut systems = Systems::load(sys, state, recovery);
        systems.warnings.extend(warnings);
        Ok(Self { sys, partitions, mounts, systems, booted: sentinels::booted(sys), _lock: lock })
    }
}

impl Session<'_> {
    /// Ends it; what was not as it should be, in sentences.
    pub fn end(mut self) -> Vec<String> {
        let mut warnings = std::mem::take(&mut self.systems.warnings);
        warnings.extend(self.mounts.end());
        warnings
    }
}

/// Which system runs; an operation that must know it cannot go on without.
pub fn require_booted(booted: Option<Booted>) -> Result<Booted> {
    booted.with_context(|| anyhow!("none of the systems of this machine was booted")).class(Class::NotThere)
}
