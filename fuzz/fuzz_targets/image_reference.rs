//! Sources of images: what is understood means the same when it is read again.
#![no_main]

use cosette_plugins::image::{Digest, Platform, Source};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(source) = Source::parse(text) {
        let again = Source::parse(&source.to_string());
        assert_eq!(again.as_ref().ok(), Some(&source), "{text:?} {source}");
        assert!(!source.name().contains(['\n', '\t']), "{text:?}");
    }
    if let Ok(platform) = Platform::parse(text) {
        assert_eq!(Platform::parse(&platform.to_string()).unwrap(), platform);
        assert_eq!(platform.rank(&platform), Some(0));
    }
    if let Ok(digest) = Digest::parse(text) {
        assert_eq!(digest.as_str(), text);
    }
});
