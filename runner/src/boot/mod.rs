//! The boot: what the kernel command line asks for.
//!
//! **Architecture invariant:** nothing in this module performs I/O. Whoever reads `/proc/cmdline` does so elsewhere.

mod device;
mod parameters;

pub use device::{Device, OverlayBase, Volume, mount_point};
pub use parameters::{Booted, Check, ORIGIN, Parameters};
