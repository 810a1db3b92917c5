//! One file for each key of a step; the name of the file is the key.

mod dns;

use crate::Registered;

/// All plugins. Their order is the order of execution within a step, which is yip's: files exist before
/// commands run, and commands run before users are made.
pub const PLUGINS: &[Registered] = &[Registered::of::<dns::Dns>()];
