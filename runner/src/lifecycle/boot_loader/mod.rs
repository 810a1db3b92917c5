//! The boot loader, GRUB: what it is told, and what it tells.
//!
//! `grub.cfg` (in `units/grub`) is the same on every machine and is never changed after the installation. What changes is
//! an environment block on the state partition, which GRUB itself also writes: it counts the attempts to boot a
//! system that has not proved itself yet.

pub mod bios;
mod branding;
pub mod efi_entry;
mod environment;
pub mod esp;
pub mod images;

pub use branding::Branding;
pub use environment::Environment;

use crate::boot::Booted;
use anyhow::{Context as _, Result};
use cosette_plugins::System;
use cosette_plugins::system::File;
use std::path::Path;

/// The environment block, on the state partition.
pub const FILE: &str = "grub_oem_env";

/// So often a new system may be tried.
const ATTEMPTS: &str = "3";

/// How often the active system may still be tried; it is good if this is not set.
const OF_ACTIVE: &str = "boot_attempts";

/// The same of the passive system, which counts once the active one has no attempts left.
const OF_PASSIVE: &str = "passive_boot_attempts";

/// The entry for the next boot only.
const NEXT: &str = "next_entry";

/// The entry for every boot.
const SAVED: &str = "saved_entry";

/// The title of the menu entries.
const TITLE: &str = "default_menu_entry";

/// Transitions. They change the value only: see [`change`].
impl Environment {
    /// The active system is new: it has a few attempts to prove itself, then the passive one has them.
    pub fn set_tentative(&mut self) {
        self.set(OF_ACTIVE, ATTEMPTS);
        self.set(OF_PASSIVE, ATTEMPTS);
    }

    /// The system that was booted is good. A passive one that is good does not make the active one so.
    pub fn set_good(&mut self, booted: Booted) {
        if booted == Booted::Active {
            self.unset(OF_ACTIVE);
        }
        if booted != Booted::Recovery {
            self.unset(OF_PASSIVE);
        }
    }

    /// How many attempts the active system has left; nothing if it is good.
    pub fn attempts(&self) -> Option<u8> {
        // What GRUB cannot read it takes for the most there are.
        self.get(OF_ACTIVE).map(|left| left.parse().ok().filter(|left| *left < 3).unwrap_or(3))
    }

    /// Has the next boot, and only that, be of this system.
    pub fn set_next(&mut self, slot: Booted) {
        self.set(NEXT, slot.as_str());
    }

    /// The title of the entries in the menu.
    pub fn set_title(&mut self, title: &str) {
        self.set(TITLE, title);
    }

    /// The system that GRUB will choose at the next boot, as far as this block tells.
    pub fn boots_next(&self) -> Booted {
        let failed = |name| self.get(name) == Some("0");
        let entry = |name| self.get(name).and_then(Booted::named);
        match entry(NEXT) {
            Some(next) => next,
            None => match entry(SAVED).unwrap_or(Booted::Active) {
                Booted::Active if failed(OF_ACTIVE) && failed(OF_PASSIVE) => Booted::Recovery,
                Booted::Active if failed(OF_ACTIVE) => Booted::Passive,
                saved => saved,
            },
        }
    }
}

/// The environment block of a state partition that is mounted at `state`; an empty one if there is none.
pub fn read(sys: &System, state: &Path) -> Result<Environment> {
    let path = state.join(FILE);
    match sys.read(&path)? {
        Some(content) => {
            Environment::parse(&content).with_context(|| format!("cannot read {}", path.display()))
        }
        None => Ok(Environment::default()),
    }
}

/// Changes the environment block; whether it was different. One that is damaged is made anew.
///
/// GRUB does not replay the journal of a file system, and it writes to the block where it is. So the file is overwritten in
/// place, by one write of two sectors that lie in one block of the file system. All that cosette sets stands in the
/// first sector, which a disk writes as a whole or not at all.
pub fn change(sys: &System, state: &Path, change: impl FnOnce(&mut Environment)) -> Result<bool> {
    let mut environment = read(sys, state).unwrap_or_default();
    change(&mut environment);
    sys.write(File::new(state.join(FILE), environment.to_bytes()?).mode(0o644).durable().in_place())
}

#[cfg(test)]
mod against_qemu;
#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    #[test]
    fn a_new_system_has_three_attempts_and_is_good_once_it_says_so() {
        let mut environment = Environment::default();
        assert_eq!((environment.attempts(), environment.boots_next()), (None, Booted::Active));
        environment.set_tentative();
        assert_eq!((environment.attempts(), environment.boots_next()), (Some(3), Booted::Active));
        environment.set(OF_ACTIVE, "0");
        assert_eq!((environment.attempts(), environment.boots_next()), (Some(0), Booted::Passive));
        environment.set(OF_PASSIVE, "0");
        assert_eq!(environment.boots_next(), Booted::Recovery);
        environment.set_good(Booted::Recovery);
        assert_eq!(environment.boots_next(), Booted::Recovery);
        environment.set_good(Booted::Passive);
        assert_eq!((environment.attempts(), environment.boots_next()), (Some(0), Booted::Passive));
        environment.set_good(Booted::Active);
        assert_eq!(environment, Environment::default());
    }

    #[test]
    fn all_that_is_ever_set_stands_in_the_first_sector() {
        let title = Branding::of(format!("NAME='{}'", "\\".repeat(300)).as_bytes(), None).title;
        let mut environment = Environment::default();
        environment.set_title(&title);
        environment.set_tentative();
        environment.set_next(Booted::Recovery);
        let bytes = environment.to_bytes().unwrap();
        assert!(bytes[512..].iter().all(|byte| *byte == b'#') && title.len() == 100);
    }

    #[test]
    fn an_entry_for_the_next_boot_comes_before_one_for_every_boot() {
        let mut environment = Environment::default();
        environment.set(SAVED, "recovery");
        assert_eq!(environment.boots_next(), Booted::Recovery);
        environment.set_next(Booted::Passive);
        assert_eq!(environment.boots_next(), Booted::Passive);
        environment.set(NEXT, "");
        environment.set(SAVED, "active");
        environment.set(OF_ACTIVE, "0");
        assert_eq!(environment.boots_next(), Booted::Passive);
        environment.set_next(Booted::Active);
        assert_eq!(environment.boots_next(), Booted::Active);
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the test looks at the file from outside")]
    fn the_block_stays_where_it_is() {
        use std::os::unix::fs::MetadataExt;
        let machine = Machine::new("-- /state/cOS/active.img\n");
        let sys = machine.system(Mode::Apply);
        let state = Path::new("/state");
        assert_eq!(read(&sys, state).unwrap(), Environment::default());
        assert!(change(&sys, state, |environment| environment.set_title("Fleet")).unwrap());
        let inode = || std::fs::metadata(machine.root().join("state").join(FILE)).unwrap().ino();
        let first = inode();
        assert!(change(&sys, state, Environment::set_tentative).unwrap());
        assert!(!change(&sys, state, Environment::set_tentative).unwrap());
        assert_eq!((inode(), read(&sys, state).unwrap().attempts()), (first, Some(3)));
        assert_eq!(read(&sys, state).unwrap().get(TITLE), Some("Fleet"));
        sys.checkpoint(state).unwrap();
        std::fs::write(machine.root().join("state").join(FILE), "damaged").unwrap();
        let error = format!("{:#}", read(&sys, state).unwrap_err());
        assert_eq!(error, "cannot read /state/grub_oem_env: it is no environment block of GRUB");
        assert!(change(&sys, state, Environment::set_tentative).unwrap());
        assert_eq!(read(&sys, state).unwrap().attempts(), Some(3));
    }
}
