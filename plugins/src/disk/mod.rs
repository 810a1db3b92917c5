//! Disks: what is mounted, which block devices there are, and what lies on them.

pub(crate) mod devices;
