//! Names of stages that are nearly those of stages that run. A stage of one's own is nothing wrong.

use crate::stage::OF_A_BOOT;
use cosette_schema::{Diagnostic, Document, Findings, Rule, excerpt, suggest};

/// The operations that run hooks.
const OPERATIONS: [&str; 4] = ["install", "upgrade", "reset", "disk"];

/// A warning for each stage that nothing runs, and that has a name like one that runs.
pub(super) fn unknown(documents: &[Document]) -> Vec<Diagnostic> {
    let known = names();
    let mut findings = Vec::new();
    for document in documents {
        let mut found = Findings::new(document.origin.clone());
        for stage in &document.stages {
            let name = stage.name.as_str();
            if known.iter().any(|known| known == name) {
                continue;
            }
            // `reboot` is not a misspelt `boot`.
            let near = known.iter().map(String::as_str).filter(|known| known.len().abs_diff(name.len()) <= 1);
            if let Some(near) = suggest(name, near) {
                let name = excerpt(name);
                found.warn(stage.name.span, format!("nothing runs the stage `{name}`")).rule(Rule::UnknownStage).help(
                    format!("did you mean `{near}`? A stage of your own runs when it is called: cosette run {name}"),
                );
            }
        }
        findings.extend(found.into_vec());
    }
    findings
}

/// All that are run: by units, by operations, and by `apply` without a name.
fn names() -> Vec<String> {
    let hooks = OPERATIONS.iter().flat_map(|operation| {
        ["before-{}", "after-{}-chroot", "after-{}", "post-{}"].map(|hook| hook.replace("{}", operation))
    });
    let stages = OF_A_BOOT.into_iter().chain(["default"]).map(str::to_owned).chain(hooks);
    stages.flat_map(|stage| [format!("{stage}.before"), format!("{stage}.after"), stage]).collect()
}
