//! The name of a file that comes from a server is one name, whatever the server and the address say.
//!
//! Run it with `cargo +nightly fuzz run -s none file_name`.

#![no_main]

use cosette_plugins::system::http::{name_of, proposed_name};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    for name in [proposed_name(input.0), name_of(input.1)].into_iter().flatten() {
        assert!(!name.is_empty() && name.len() <= 255 && name != "." && name != "..");
        assert!(!name.contains(['/', '\\', '\0', '\n']));
    }
});
