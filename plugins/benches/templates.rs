//! What a template costs, when its facts are known: `cargo bench -p cosette-plugins --bench templates`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark")]

use cosette_plugins::System;
use cosette_plugins::facts::Facts;
use cosette_plugins::system::{Live, Mode};
use cosette_plugins::template::render;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const COUNT: u32 = 20_000;

fn main() {
    let system = System::new(Path::new("/"), Arc::new(Live), Mode::Plan).unwrap();
    for (name, template) in [
        ("plain text", "no template at all"),
        ("a fact", "{{ .Values.node.hostname }}"),
        ("all facts", "{{ .Values }}"),
        ("functions", "node-{{ .Values.os.vendor | default \"linux\" | upper | trunc 4 }}"),
        ("a loop", "{{ range until 10 }}{{ if eq . 5 }}{{ continue }}{{ end }}{{ . }},{{ end }}"),
        ("a pattern", "{{ regexMatch \"^a.*c$\" \"abc\" }}"),
    ] {
        let facts = Facts::new(&system);
        let started = Instant::now();
        render(template, &facts).unwrap();
        let first = started.elapsed().as_secs_f64() * 1e6;
        let started = Instant::now();
        for _ in 0..COUNT {
            render(template, &facts).unwrap();
        }
        let micros = started.elapsed().as_secs_f64() * 1e6 / f64::from(COUNT);
        println!("{name}: {micros:.2} µs a template, {first:.0} µs for the first with its facts");
    }
}
