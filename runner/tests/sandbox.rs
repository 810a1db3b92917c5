//! Runs small scripts in views of the machine, as root and as an ordinary user, and looks at what became of
//! them and of the machine.
//!
//! The program has a main of its own because a view starts its program again: `sandbox view SCRIPT` does
//! what `cosette try` does, with a shell script in the place of a stage.

#![allow(clippy::disallowed_methods, clippy::print_stdout, clippy::print_stderr, reason = "it is a test")]
#![allow(clippy::unwrap_used, reason = "it is a test")]

#[path = "sandbox/cases.rs"]
mod cases;
#[path = "sandbox/container.rs"]
mod container;
#[path = "sandbox/view.rs"]
mod view;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.get(1).map(String::as_str) {
        Some("view") => view::main(&arguments[2..]),
        Some("in-container") => container::main(&arguments[2..]),
        Some("forbidden") => container::forbidden(&arguments[2..]),
        filter => cases::main(filter.filter(|filter| !filter.starts_with('-')).unwrap_or_default()),
    }
}
