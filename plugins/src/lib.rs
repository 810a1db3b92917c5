//! The plugins of cosette: one file for each key of a stage step, the [`System`] through which they act, and
//! what they decide and write with (conditions, templates, facts, accounts).
//!
//! **Architecture invariant:** [`system`] is the only door to the machine. Nothing else in this crate opens a
//! file, starts a program, reads the clock or the environment; `clippy.toml` enforces it.

pub mod accounts;
pub mod cloud_config;
mod command_output;
pub mod conditions;
pub mod context;
mod datasource;
pub mod disk;
pub mod effect;
pub mod env_file;
pub mod facts;
mod git;
pub mod image;
pub mod kernel_modules;
pub mod keys;
mod packages;
mod path;
pub mod pattern;
pub mod plugin;
pub mod program;
pub mod records;
#[cfg(test)]
mod reference;
pub mod step;
pub mod system;
pub mod template;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod time_sync;
pub mod units;

pub use context::Context;
pub use effect::{Action, Effect};
pub use plugin::{Plugin, Registered};
pub use system::{Host, System};
