//! Stage documents: YAML text to documents and findings.
//!
//! **Architecture invariant:** this crate performs no I/O at all. It takes text and gives values; whoever
//! reads files, URLs or the kernel command line does so elsewhere.
//!
//! **Architecture invariant:** parsing never fails. It returns what could be understood together with *all*
//! findings; a value that cannot be understood is left out, and the smallest complete item around it with it
//! (one file of `files`, one user of `users`), never more and never half of one.

mod decode;
mod diagnostic;
mod document;
mod span;
pub mod yaml;

pub use decode::{Decode, Fields, Named, Permissions, Spanned, Text};
pub use diagnostic::{Diagnostic, Findings, Origin, Severity};
pub use document::{Document, RawStep, Stage, parse};
pub use span::Span;
