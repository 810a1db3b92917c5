//! The parts of a stage, timed on their own: `cargo bench`.

#![allow(clippy::unwrap_used, missing_docs)]

use cosette::planner::plan;
use cosette_schema::{Document, Origin, parse};
use divan::{Bencher, black_box};
use std::fmt::Write;

fn main() {
    divan::main();
}

/// A document with `steps` steps that write one templated file each.
fn text(steps: usize) -> String {
    let mut text = String::from("stages:\n  boot:\n");
    for step in 0..steps {
        write!(
            text,
            "    - name: step {step}\n      files:\n        - path: /out/{step}\n          permissions: 0644\n          \
             content: |\n            {{{{ .Values.node.hostname }}}} {step}\n"
        )
        .unwrap();
    }
    text
}

fn documents(number: usize) -> Vec<Document> {
    let text = text(10);
    (0..number).map(|at| parse(&text, &Origin::new(format!("{at}.yaml"))).0).collect()
}

#[divan::bench(args = [10, 100, 1000])]
fn parse_a_document_of_steps(bencher: Bencher, steps: usize) {
    let (text, origin) = (text(steps), Origin::new("a.yaml"));
    bencher.bench(|| parse(black_box(&text), &origin));
}

#[divan::bench(args = [10, 100, 1000])]
fn plan_documents_of_ten_steps(bencher: Bencher, number: usize) {
    bencher.with_inputs(|| documents(number)).bench_values(|documents| plan("boot", documents));
}
