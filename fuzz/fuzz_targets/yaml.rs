#![no_main]

mod walk;

use cosette_schema::{Origin, parse, text_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let origin = Origin::new("fuzz");
    if let Ok(text) = text_of(bytes, &origin) {
        let (document, diagnostics) = parse(text, &origin);
        walk::walk(text, document, &diagnostics);
    }
});
