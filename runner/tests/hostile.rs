//! The real binary against bad documents, bad machines, bad servers and signals: each cause gives one clear
//! finding, everything else still runs, and the exit status tells what happened.

#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "tests look at real files and processes")]
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "hostile/canaries.rs"]
mod canaries;
#[path = "hostile/commands.rs"]
mod commands;
#[path = "hostile/documents.rs"]
mod documents;
#[path = "hostile/images.rs"]
mod images;
#[path = "hostile/machine.rs"]
mod machine;
#[path = "hostile/peers.rs"]
mod peers;
#[path = "hostile/reports.rs"]
mod reports;
#[path = "hostile/roots.rs"]
mod roots;
#[path = "hostile/secrets.rs"]
mod secrets;
#[path = "hostile/servers.rs"]
mod servers;
#[path = "hostile/templates.rs"]
mod templates;
