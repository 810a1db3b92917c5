//! Disks: what is mounted, which block devices there are, what lies on them, and how they are partitioned.

mod bytes;
pub(crate) mod devices;
pub(crate) mod file_system;
pub(crate) mod gpt;
pub(crate) mod grow;
pub(crate) mod layout;
pub mod magic;
pub(crate) mod plan;
#[cfg(test)]
mod programs;
pub(crate) mod show;
pub(crate) mod superblock;
pub(crate) mod types;
pub(crate) mod udev;
