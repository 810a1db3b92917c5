//! What tests share: a host that is only pretended, trees written as text, and the run of documented examples.
//!
//! Files are always real, in a temporary directory, and so are servers, on the loopback device; only the
//! kernel, processes, clock, randomness and the ownership of files (which an ordinary user may not change) are
//! pretended.

#![allow(clippy::disallowed_methods, reason = "tests make and look at real files")]
#![allow(clippy::missing_panics_doc)]

mod archive;
mod certificates;
mod disk;
mod example;
mod host;
mod json;
mod loop_disk;
mod machine;
mod registry;
mod server;
mod signer;
mod systemd;
mod tree;
mod view;

pub use archive::{LayoutBuilder, TarBuilder, TarEntry, gzip, unpack_layers};
pub use certificates::{Authority, Identity};
pub use disk::{FakeDisk, Operation, PartitionCall, mend_gpt, probe_disk, reread_gpt};
pub use example::{check_example, documentation};
pub use host::FakeHost;
pub use json::json;
pub use loop_disk::{LoopDisk, Mounted, has_programs, own_mounts, run};
pub use machine::{Machine, Outcome, apply_to};
pub use registry::Registry;
pub use server::{Answer, Received, Server};
pub use signer::{Signer, put_at_tag, put_bundle};
pub use systemd::{FakeSystemd, JobAnswer};
pub use tree::Tree;
pub use view::View;
