//! From documents and the name of a stage to an ordered list of steps.
//!
//! **Architecture invariant:** planning is a pure function. It reads no file, no clock and no fact.
//!
//! The order is: `STAGE.before`, `STAGE`, `STAGE.after`, each over all documents, in the order of the
//! documents and then of their steps. `after:` moves a step, and those behind it in its document, to just
//! behind the steps it names, and nothing else.

use cosette_plugins::step::Step;
use cosette_schema::{Diagnostic, Document, Findings, Origin, Rule, Spanned};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::rc::Rc;

/// A step in its place.
pub struct Planned {
    /// The stage it belongs to: `boot.before`, `boot` or `boot.after`.
    pub stage: Rc<str>,
    /// The document it comes from.
    pub origin: Origin,
    /// The `name:` of that document.
    pub document: Option<Rc<str>>,
    /// The place among all steps of this stage in its document, from 0: yip's name for a step without one.
    pub index: usize,
    /// The step.
    pub step: Step,
}

/// What will run, in order, and what is wrong with the order.
#[derive(Default)]
pub struct Plan {
    /// The steps in the order in which they run.
    pub steps: Vec<Planned>,
    /// `after:` targets that do not exist, and cycles.
    pub findings: Vec<Diagnostic>,
}

/// Orders the steps that a stage has in these documents.
pub fn plan(stage: &str, documents: Vec<Document>) -> Plan {
    let mut parts = ["before", "", "after"].map(|part| {
        let name = if part.is_empty() { stage.to_owned() } else { format!("{stage}.{part}") };
        (Rc::<str>::from(name), Vec::new())
    });
    for document in documents {
        let name: Option<Rc<str>> = document.name.map(Rc::from);
        for stage in document.stages {
            let Some((part, steps)) = parts.iter_mut().find(|(part, _)| **part == *stage.name.value) else {
                continue;
            };
            steps.extend(stage.steps.into_iter().enumerate().map(|(index, raw)| Planned {
                stage: part.clone(),
                origin: document.origin.clone(),
                document: name.clone(),
                index,
                step: Step::decode(raw, &document.origin),
            }));
        }
    }
    let mut plan = Plan::default();
    for (_, steps) in parts {
        plan.steps.extend(order(steps, &mut plan.findings));
    }
    plan
}

/// Moves steps behind those that their `after:` names.
fn order(steps: Vec<Planned>, findings: &mut Vec<Diagnostic>) -> Vec<Planned> {
    if steps.iter().all(|planned| planned.step.after.is_empty()) {
        return steps;
    }
    let graph = Graph::new(&steps, findings);
    let order = graph.sort(&steps, findings);
    let mut steps: Vec<Option<Planned>> = steps.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| steps[at].take()).collect()
}

/// Which step waits for which.
struct Graph {
    /// For each step, the steps that wait for it because of `after:`.
    waiting: Vec<Vec<usize>>,
    /// For each step, the steps that its `after:` names.
    targets: Vec<Vec<usize>>,
    /// For each step, how many steps its `after:` still waits for.
    open: Vec<usize>,
    /// For each step, the next one of its document that has no `after:` of its own, and so follows it.
    follower: Vec<Option<usize>>,
}

impl Graph {
    fn new(steps: &[Planned], findings: &mut Vec<Diagnostic>) -> Self {
        let names = Names::new(steps);
        let mut graph = Self {
            waiting: vec![Vec::new(); steps.len()],
            targets: vec![Vec::new(); steps.len()],
            open: vec![0; steps.len()],
            follower: vec![None; steps.len()],
        };
        for (at, planned) in steps.iter().enumerate() {
            if planned.step.after.is_empty() {
                let follows = at.checked_sub(1).filter(|before| steps[*before].origin == planned.origin);
                if let Some(before) = follows {
                    graph.follower[before] = Some(at);
                }
            }
            for target in &planned.step.after {
                let found: Vec<usize> = names.find(target).filter(|other| *other != at).collect();
                if found.is_empty() {
                    names.unknown(target, planned, findings);
                }
                graph.open[at] += found.len();
                for other in found {
                    graph.waiting[other].push(at);
                    graph.targets[at].push(other);
                }
            }
        }
        graph
    }

    /// Takes, again and again, the first step that waits for nothing. That a step follows the one before it
    /// in its document gives way where `after:` contradicts it; what then still waits for itself is a cycle,
    /// which is reported, and runs all the same.
    fn sort(mut self, steps: &[Planned], findings: &mut Vec<Diagnostic>) -> Vec<usize> {
        let mut followed = vec![false; steps.len()];
        for follower in self.follower.iter().flatten() {
            followed[*follower] = true;
        }
        let mut done = vec![false; steps.len()];
        let mut order = Vec::with_capacity(steps.len());
        let is_ready = |at: &usize, open: &[usize], followed: &[bool]| open[*at] == 0 && !followed[*at];
        let mut ready: BinaryHeap<Reverse<usize>> =
            (0..steps.len()).filter(|at| is_ready(at, &self.open, &followed)).map(Reverse).collect();
        while order.len() < steps.len() {
            let at = match ready.pop() {
                Some(Reverse(at)) => at,
                None => self.unblock(steps, &done, findings),
            };
            if std::mem::replace(&mut done[at], true) {
                continue;
            }
            order.push(at);
            let mut released = std::mem::take(&mut self.waiting[at]);
            for waiting in &released {
                self.open[*waiting] = self.open[*waiting].saturating_sub(1);
            }
            if let Some(follower) = self.follower[at] {
                followed[follower] = false;
                released.push(follower);
            }
            ready.extend(
                released
                    .into_iter()
                    .filter(|at| !done[*at] && is_ready(at, &self.open, &followed))
                    .map(Reverse),
            );
        }
        order
    }

    /// The step to go on with when each one waits: walking from one to what it waits for leads in a circle.
    /// If a step is in it only because it follows another, it goes first; else the circle is reported.
    fn unblock(&self, steps: &[Planned], done: &[bool], findings: &mut Vec<Diagnostic>) -> usize {
        let mut here = done.iter().position(|done| !done).unwrap_or_default();
        let mut circle: Vec<usize> = Vec::new();
        let mut seen = vec![false; steps.len()];
        while !std::mem::replace(&mut seen[here], true) {
            circle.push(here);
            // A step without an open target waits for the one that it follows.
            let target = self.targets[here].iter().copied().find(|target| !done[*target]);
            here = target.unwrap_or_else(|| here.saturating_sub(1));
        }
        circle.drain(..circle.iter().position(|step| *step == here).unwrap_or_default());
        if let Some(follower) = circle.iter().copied().filter(|at| self.open[*at] == 0).min() {
            return follower;
        }
        let names: Vec<String> = circle.iter().map(|at| describe(&steps[*at])).collect();
        let first = circle.iter().copied().min().unwrap_or(here);
        let planned = &steps[first];
        let mut finding = Findings::new(planned.origin.clone());
        finding
            .error(
                planned.step.after.first().map(|target| target.span),
                format!("these steps wait for each other: {}", names.join(", ")),
            )
            .rule(Rule::Order)
            .help("remove one `after`; they run all the same");
        findings.extend(finding.into_vec());
        first
    }
}

/// The names by which `after:` can call a step.
struct Names {
    steps: HashMap<String, Vec<usize>>,
}

impl Names {
    fn new(steps: &[Planned]) -> Self {
        let mut names = Self { steps: HashMap::new() };
        for (at, planned) in steps.iter().enumerate() {
            let step = planned.step.name.clone().unwrap_or_else(|| planned.index.to_string());
            let path = planned.origin.as_str();
            let file = path.rsplit('/').next().unwrap_or(path);
            let stem = file.trim_end_matches(".yaml").trim_end_matches(".yml");
            let mut prefixes: Vec<&str> =
                planned.document.as_deref().into_iter().chain([path, file, stem]).collect();
            prefixes.sort_unstable();
            prefixes.dedup();
            for prefix in prefixes {
                names.add(format!("{prefix}.{step}"), at);
            }
            if planned.step.name.is_some() {
                names.add(step, at);
            }
        }
        names
    }

    fn add(&mut self, name: String, at: usize) {
        let steps = self.steps.entry(name).or_default();
        if steps.last() != Some(&at) {
            steps.push(at);
        }
    }

    fn find(&self, target: &Spanned<String>) -> impl Iterator<Item = usize> {
        self.steps.get(&target.value).into_iter().flatten().copied()
    }

    fn unknown(&self, target: &Spanned<String>, planned: &Planned, findings: &mut Vec<Diagnostic>) {
        let mut finding = Findings::new(planned.origin.clone());
        let stage = &planned.stage;
        let message = format!("`after` names `{}`, which no step of `{stage}` is called", target.value);
        let found = finding.error(target.span, message).rule(Rule::Order);
        let mut known: Vec<&str> = self.steps.keys().map(String::as_str).collect();
        known.sort_unstable();
        found.help(match cosette_schema::suggest(&target.value, known) {
            Some(near) => format!("did you mean `{near}`? The step runs in the order of its document"),
            None => {
                "write `step`, `document.step` or `file.step`; the step runs in the order of its document"
                    .into()
            }
        });
        findings.extend(finding.into_vec());
    }
}

fn describe(planned: &Planned) -> String {
    let name = planned.step.name.clone().unwrap_or_else(|| planned.index.to_string());
    format!("`{name}` ({}:{})", planned.origin, planned.step.span.line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_schema::parse;

    /// The names of the steps in order, and the findings; documents are `name: step[<target ...] ...`.
    fn order_of(documents: &[&str]) -> (String, Vec<String>) {
        let documents = documents.iter().enumerate().map(|(at, line)| {
            let (name, steps) = line.split_once(": ").unwrap();
            let steps: String = steps
                .split(' ')
                .map(|step| {
                    let (step, targets) = step.split_once('<').unwrap_or((step, ""));
                    let after: Vec<String> = targets
                        .split(',')
                        .filter(|t| !t.is_empty())
                        .map(|t| format!("{{name: {t}}}"))
                        .collect();
                    format!("    - {{name: {step}, after: [{}]}}\n", after.join(", "))
                })
                .collect();
            let text = format!("name: {name}\nstages:\n  s:\n{steps}");
            parse(&text, &Origin::new(format!("/oem/{at}_{name}.yaml"))).0
        });
        let plan = plan("s", documents.collect());
        let names: Vec<String> =
            plan.steps.iter().map(|planned| planned.step.name.clone().unwrap_or_default()).collect();
        (names.join(" "), plan.findings.iter().map(|finding| finding.message.clone()).collect())
    }

    #[track_caller]
    fn check(documents: &[&str], expected: &str) {
        assert_eq!(order_of(documents), (expected.to_owned(), Vec::new()));
    }

    #[test]
    fn without_after_the_order_is_that_of_documents_and_their_steps() {
        check(&["one: a b", "two: c", "one: a b"], "a b c a b");
    }

    #[test]
    fn a_step_waits_with_those_behind_it_in_its_document() {
        check(&["one: a<x b", "two: c x d"], "c x a b d");
        check(&["one: a b<y c", "two: x y"], "a x y b c");
    }

    #[test]
    fn a_step_can_be_called_by_itself_its_document_or_its_file() {
        for target in ["x", "two.x", "1_two.x", "1_two.yaml.x", "/oem/1_two.yaml.x"] {
            check(&[&format!("one: a<{target}"), "two: x"], "x a");
        }
    }

    #[test]
    fn all_steps_of_the_name_are_waited_for_but_the_step_itself() {
        check(&["one: a<x", "two: x", "three: x"], "x x a");
        check(&["one: x<x b", "two: x"], "x x b");
    }

    #[test]
    fn the_order_within_a_document_gives_way_to_after() {
        check(&["one: a<c b c"], "b c a");
    }

    #[test]
    fn a_cycle_is_reported_once_and_its_steps_run_behind_the_others() {
        let (order, findings) = order_of(&["one: a<b", "two: b<a c", "three: d"]);
        assert_eq!(order, "d a b c");
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(
            findings[0].contains("wait for each other: `a` (/oem/0_one.yaml:4), `b` (/oem/1_two.yaml:4)")
        );
    }

    #[test]
    fn an_unknown_target_is_reported_and_moves_nothing() {
        let (order, findings) = order_of(&["one: a<nobody b"]);
        assert_eq!(order, "a b");
        assert_eq!(findings, ["`after` names `nobody`, which no step of `s` is called"]);
    }

    #[test]
    fn many_steps_that_wait_are_ordered_in_one_go() {
        let steps: Vec<String> = (0..20_000).map(|at| format!("s{at}<last")).collect();
        let (order, findings) = order_of(&[&format!("one: {}", steps.join(" ")), "two: last"]);
        assert!(order.starts_with("last s0 s1 ") && order.ends_with(" s19999"), "{findings:?}");
    }
}
