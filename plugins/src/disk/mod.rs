//! Disks: what is mounted, which block devices there are, and what lies on them.

#[allow(dead_code, reason = "the key that uses it comes next")]
mod bytes;
pub(crate) mod devices;
#[allow(dead_code, reason = "the key that uses it comes next")]
pub(crate) mod gpt;
pub mod magic;
#[cfg(test)]
mod programs;
#[allow(dead_code, reason = "the key that uses it comes next")]
pub(crate) mod superblock;
#[allow(dead_code, reason = "the key that uses it comes next")]
pub(crate) mod types;
