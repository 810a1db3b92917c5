//! Units of systemd: their names, files and enablement in a root where no systemd need be running, and what the
//! systemd that runs is asked to do with them.
//!
//! What systemctl(1) does with `--root=` is done here without it: the links that `[Install]` sections ask
//! for, masks, and finding the unit files with their aliases and drop-ins.

#[cfg(test)]
mod against_systemctl;
mod disable;
mod enable;
mod failure;
mod install;
mod jobs;
mod links;
mod lookup;
mod mask;
mod name;
mod running;

pub use disable::disable;
pub use enable::{enable, enable_file};
pub use jobs::{Outcome, Verb, control, control_one, reload};
pub use mask::{mask, unmask};
pub use name::UnitName;
pub use running::systemd_is_running;

/// What came of one operation. What could be done has been done even if there are errors.
#[derive(Debug, Default)]
pub struct Report {
    /// Whether any link was made or removed.
    pub changed: bool,
    /// What is probably not as it was meant.
    pub warnings: Vec<String>,
    /// What could not be done.
    pub errors: Vec<anyhow::Error>,
}
