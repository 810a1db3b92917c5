//! The life of a system: how its images get to the disk, which of them is booted, and how it comes back when it breaks.

pub mod acquire;
pub mod boot_loader;
pub mod build_disk;
pub mod cloud_init;
pub mod config;
pub mod deployment;
pub mod exit_status;
pub mod failure;
pub mod hooks;
pub mod image_file;
pub mod install;
pub mod new_system;
pub mod operation;
pub mod outcome;
pub mod partitions;
pub mod recover;
pub mod rollback;
pub mod session;
pub mod space;
pub mod state;
pub mod system_disk;
pub mod systems;
pub mod upgrade;
