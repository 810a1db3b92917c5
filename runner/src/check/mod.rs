//! What is wrong with documents: each by itself, the steps of every stage, and all of them together.

mod github;
mod idle;
mod overwritten;
mod sarif;
mod stage_names;

pub use github::annotations;
pub use sarif::log;

use crate::planner::{Plan, plan};
use crate::report::Texts;
use crate::stage::Documents;
use cosette_schema::{Diagnostic, Findings, Rule, Severity, distinct};

/// What came of it.
pub struct Checked {
    /// What was found, by document and place.
    pub findings: Vec<Diagnostic>,
    /// The texts that findings point into.
    pub texts: Texts,
    /// How many documents there are.
    pub documents: usize,
    /// How many steps they have.
    pub steps: usize,
}

impl Checked {
    /// Looks at everything that can be known without a machine.
    pub fn of(documents: Documents) -> Self {
        let stages = documents.stages();
        let Documents { documents, mut findings, texts, .. } = documents;
        let number = documents.len();
        findings.extend(stage_names::unknown(&documents));
        findings.extend(idle::stages(&documents));
        let mut plans: Vec<(String, Plan)> = Vec::new();
        for stage in stages {
            let plan = plan(&stage, documents.clone());
            plans.push((stage, plan));
        }
        findings.extend(overwritten::notes(&plans));
        let mut steps = 0;
        for (_, plan) in plans {
            findings.extend(idle::steps(&plan));
            findings.extend(plan.findings);
            steps += plan.steps.len();
            for planned in plan.steps {
                if let Some((span, why)) = planned.step.contradiction() {
                    let mut found = Findings::new(planned.origin.clone());
                    found.warn(span, format!("this step can never run: {why}")).rule(Rule::NeverRuns);
                    findings.extend(found.into_vec());
                }
                findings.extend(planned.step.findings);
            }
        }
        distinct(&mut findings);
        findings.sort_by(|one, other| place(one).cmp(&place(other)));
        Self { findings, texts, documents: number, steps }
    }

    /// How many findings are that bad.
    pub fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}

fn place(finding: &Diagnostic) -> (&str, Option<u32>) {
    (finding.origin.as_str(), finding.span.map(|span| span.start))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_schema::Origin;

    /// What is found in documents called `a.yaml`, `b.yaml` and so on, without the help.
    fn found(texts: &[&str]) -> Vec<String> {
        let mut all = Documents::default();
        for (name, text) in ('a'..).zip(texts) {
            let read = Documents::of_text(text, &Origin::new(format!("{name}.yaml")));
            all.documents.extend(read.documents);
            all.findings.extend(read.findings);
        }
        let place = |finding: &Diagnostic| finding.span.map_or(0, |span| span.line);
        let shown = |finding: &Diagnostic| {
            format!("{}:{} [{}] {}", finding.origin, place(finding), finding.rule.id(), finding.message)
        };
        Checked::of(all).findings.iter().map(shown).collect()
    }

    #[test]
    fn what_does_nothing_is_noted_and_a_template_that_cannot_be_read_is_told() {
        let text = "stages:\n  boot: []\n  network:\n  - name: idle\n  - name: slip\n    comands: [x]\n  - commands: ['echo {{ .Values.x }']\n";
        let found = found(&[text]);
        assert_eq!(
            found,
            [
                "a.yaml:2 [doubtful] the stage `boot` has no steps",
                "a.yaml:4 [doubtful] this step does nothing",
                "a.yaml:6 [unknown-key] unknown key `comands`",
                "a.yaml:7 [doubtful] the template is kept as it is: unexpected `}` in an action",
            ]
        );
    }

    /// A document with one step that writes /f.
    fn writes(stage: &str, condition: &str) -> String {
        format!("stages:\n  {stage}:\n  - name: One\n{condition}    files:\n    - {{path: /f, content: x}}\n")
    }

    #[test]
    fn of_two_documents_that_write_a_file_the_later_stage_and_then_the_later_document_wins() {
        let note = |place: &str, winner: &str| {
            vec![format!(
                "{place} [overwritten] /f is written by {winner} as well, which comes later and wins"
            )]
        };
        let (boot, network) = (writes("boot", ""), writes("network", ""));
        assert_eq!(found(&[&boot, &boot]), note("a.yaml:5", "b.yaml:5 (stage `boot`)"));
        assert_eq!(found(&[&network, &boot]), note("b.yaml:5", "a.yaml:5 (stage `network`)"));
        let after = writes("boot.after", "");
        assert_eq!(found(&[&after, &boot]), note("b.yaml:5", "a.yaml:5 (stage `boot.after`)"));
        let download = "stages:\n  boot:\n  - downloads: [{path: /f, url: 'http://a/b'}]\n";
        assert_eq!(found(&[&boot, download]), note("a.yaml:5", "b.yaml:3 (stage `boot`)"));
    }

    #[test]
    fn a_default_with_an_exception_and_alternatives_are_not_told() {
        let alternatives =
            ["    only_arch: amd64\n", "    only_arch: arm64\n", "    if_files: {all: [/x]}\n"];
        let step = |condition| writes("boot", condition);
        for (one, other) in
            [("", alternatives[0]), (alternatives[0], alternatives[1]), (alternatives[0], alternatives[2])]
        {
            assert_eq!(found(&[&step(one), &step(other)]), [""; 0]);
        }
        // The same circumstances, and more of them.
        for (one, other) in [(alternatives[0], alternatives[0]), (alternatives[1], "")] {
            assert_eq!(found(&[&step(one), &step(other)]).len(), 1);
        }
        // The initramfs is another root, a stage of one's own may never run, and lines are added.
        assert_eq!(found(&[&writes("rootfs", ""), &step("")]), [""; 0]);
        assert_eq!(found(&[&writes("mine", ""), &step("")]), [""; 0]);
        let append = "stages:\n  boot:\n  - files: [{path: /f, content: x, append: true}]\n";
        assert_eq!(found(&[&step(""), append]), [""; 0]);
    }

    #[test]
    fn a_step_whose_conditions_hold_nowhere_is_told_and_no_other() {
        let step = |condition: &str| format!("stages:\n  boot:\n  - {condition}\n    hostname: x\n");
        for (condition, why) in [
            (
                "only_arch: x86_64",
                "`only_arch`: no architecture matches \"x86_64\"; x86_64 is called amd64 here, as in Go",
            ),
            ("if_files: {all: [/a], none: [/b, /a]}", "`if_files`: /a must exist and must not exist"),
            ("if_files: {any: [/a, /b], none: [/b, /a]}", "`if_files`: /a must exist and must not exist"),
            ("if: 'false'", "`if` never ends with status 0"),
            ("if: exit 1", "`if` never ends with status 0"),
        ] {
            let messages = found(&[&step(condition)]);
            assert_eq!(messages, [format!("a.yaml:3 [never-runs] this step can never run: {why}")]);
        }
        for condition in [
            "only_arch: amd64|x86_64",
            "only_arch: '^(arm|riscv)'",
            "if_files: {any: [/a, /b], none: [/b]}",
            "if_files: {all: [/a/b], none: [/a]}",
            "if: exit 0",
            "if: exit $(test -e /x)",
            "if: 'false || true'",
            "only_os: '^$'",
        ] {
            assert_eq!(found(&[&step(condition)]), [""; 0], "{condition}");
        }
    }

    #[test]
    fn a_stage_is_doubted_only_if_it_is_nearly_one_that_runs() {
        let stage = |name: &str| found(&[&format!("stages:\n  {name}:\n  - hostname: x\n")]);
        for name in
            ["netwrok", "initramf", "boot.befor", "after-instal", "before_upgrade", "post-instal", "Boot"]
        {
            let messages = stage(name);
            assert_eq!(messages, [format!("a.yaml:2 [unknown-stage] nothing runs the stage `{name}`")]);
        }
        for name in [
            "boot",
            "boot.after",
            "after-upgrade-chroot",
            "before-reset.before",
            "post-install",
            "default",
            "mine",
            "reboot",
            "test",
        ] {
            assert_eq!(stage(name), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_thousand_documents_that_write_the_same_file_are_compared_in_no_time() {
        let documents: Vec<String> =
            (0..1000).map(|at| writes("boot", &format!("    if_files: {{all: [/{at}]}}\n"))).collect();
        let texts: Vec<&str> = documents.iter().map(String::as_str).collect();
        assert_eq!(found(&texts), [""; 0]);
    }
}
