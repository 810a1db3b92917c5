#![no_main]

mod walk;

use cosette_schema::{Arguments, Origin, parse_dot_notation, text_of};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let origin = Origin::new("fuzz");
    if let Ok(text) = text_of(bytes, &origin) {
        for argument in Arguments::parse(text).iter() {
            assert!(!text[argument.span.range(text)].is_empty());
        }
        let (document, diagnostics) = parse_dot_notation(text, &origin);
        walk::walk(text, document, &diagnostics);
    }
});
