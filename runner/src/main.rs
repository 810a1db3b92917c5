//! The command line of cosette.
fn main() {}
