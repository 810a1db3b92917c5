//! No regular expression panics, hangs or takes the memory, whatever its text and the text that it searches.
//!
//! Run it with `cargo +nightly fuzz run -s none pattern -- -rss_limit_mb=2048 -timeout=10`.

#![no_main]

use cosette_plugins::pattern::Pattern;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (expression, text) = input;
    match Pattern::new(expression) {
        // A search takes time in proportion to both, and all searches to the square of the text.
        Ok(pattern) if pattern.weight() * text.len() * text.len() < 10_000_000 => {
            assert_eq!(pattern.is_match(text), pattern.find(text).is_some());
            pattern.split(text, None);
            pattern.replace_all(text, expression);
        }
        Ok(_) => {}
        Err(error) => assert!(expression.is_char_boundary(error.offset) && !error.message.is_empty()),
    }
});
