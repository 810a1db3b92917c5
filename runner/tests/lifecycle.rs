//! The life of a machine, by the binary: a real disk with the partitions of cOS, upgraded, killed at every failpoint,
//! interrupted at random, with full partitions, rolled back and made anew.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests look at the machine from outside"
)]

#[path = "lifecycle/machine.rs"]
mod machine;
#[path = "lifecycle/recording.rs"]
mod recording;

#[path = "lifecycle/failpoints.rs"]
mod failpoints;
#[path = "lifecycle/faults.rs"]
mod faults;
#[path = "lifecycle/power.rs"]
mod power;
#[path = "lifecycle/recover.rs"]
mod recover;
#[path = "lifecycle/registry.rs"]
mod registry;
#[path = "lifecycle/upgrade.rs"]
mod upgrade;
