//! The life of a system: how its images get to the disk, which of them is booted, and how it comes back when it breaks.

pub mod boot_loader;
