//! Stage documents: YAML text to documents and findings.
//!
//! **Architecture invariant:** this crate performs no I/O at all. It takes text and gives values; whoever
//! reads files, URLs or the kernel command line does so elsewhere.
//!
//! **Architecture invariant:** parsing never fails. It returns what could be understood together with *all*
//! findings; a value that cannot be understood is left out, and the smallest complete item around it with it
//! (one file of `files`, one user of `users`), never more and never half of one.

pub mod cloud_config;
mod decode;
mod diagnostic;
mod document;
mod dot_notation;
mod encoding;
mod excerpt;
mod fields;
mod kernel_cmdline;
mod permissions;
mod scalar;
mod shape;
mod span;
mod suggest;
mod text;
pub mod yaml;

pub use decode::{Decode, Named, Spanned};
pub use diagnostic::{Diagnostic, Findings, Origin, Rule, Severity, distinct};
pub use document::{Document, RawStep, Stage, parse};
pub use dot_notation::parse_dot_notation;
pub use encoding::text_of;
pub use excerpt::excerpt;
pub use fields::{Field, Fields, Record};
pub use kernel_cmdline::{Argument, Arguments};
pub use permissions::Permissions;
pub use shape::Shape;
pub use span::Span;
pub use suggest::suggest;
pub use text::Text;
