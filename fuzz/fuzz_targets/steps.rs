//! Documents and cloud-configs down to the plugins: every key is decoded by its type. Begin with the documents of
//! the cases: `cargo +nightly fuzz run steps corpus/steps SEEDS`.

#![no_main]

use cosette_plugins::step::Step;
use cosette_schema::{Origin, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    check(text);
    check(&format!("#cloud-config\n{text}"));
});

fn check(text: &str) {
    let origin = Origin::new("fuzz");
    let (document, mut findings) = parse(text, &origin);
    for raw in document.stages.into_iter().flat_map(|stage| stage.steps) {
        let step = Step::decode(raw, &origin);
        for (span, _) in step.plugins() {
            let _ = &text[span.range(text)];
        }
        findings.extend(step.findings);
    }
    for finding in findings {
        let shown = finding.to_string();
        assert!(!shown.contains('\n'), "a finding has one line: {shown:?}");
        if let Some(span) = finding.span {
            let _ = &text[span.range(text)];
        }
    }
}
