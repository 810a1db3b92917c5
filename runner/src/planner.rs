//! From documents and the name of a stage to an ordered list of steps.
//!
//! **Architecture invariant:** planning is a pure function. It reads no file, no clock and no fact.
//!
//! The order is: `STAGE.before`, `STAGE`, `STAGE.after`, each over all documents, in the order of the
//! documents and then of their steps. `after:` moves a step, and those behind it in its document, to just
//! behind the steps it names, and nothing else.

use cosette_plugins::step::Step;
use cosette_schema::{Diagnostic, Document, Findings, Origin, Spanned};
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
                }
            }
        }
        graph
    }

    /// Takes, again and again, the first step that waits for nothing. That a step follows the one before it
    /// in its document gives way where `after:` contradicts it; what then still waits for itself is a cycle,
    /// which is reported, and runs behind all others.
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

    /// The step to go on with when each one waits.
    fn unblock(&self, steps: &[Planned], done: &[bool], findings: &mut Vec<Diagnostic>) -> usize {
        let mut left = (0..steps.len()).filter(|at| !done[*at]);
        if let Some(at) = left.clone().find(|at| self.open[*at] == 0) {
            return at;
        }
        let at = left.next().unwrap_or_default();
        let mut names = vec![describe(&steps[at])];
        let mut seen = vec![at];
        // Walk from a step to one that it waits for, until a step comes again.
        let mut here = at;
        while let Some(next) =
            (0..steps.len()).find(|next| !done[*next] && self.waiting[*next].contains(&here))
        {
            if let Some(from) = seen.iter().position(|step| *step == next) {
                names.drain(..from);
                break;
            }
            seen.push(next);
            names.push(describe(&steps[next]));
            here = next;
        }
        let planned = &steps[at];
        let mut finding = Findings::new(planned.origin.clone());
        finding
            .error(
                planned.step.after.first().map(|target| target.span),
                format!("these steps wait for each other: {}", names.join(", ")),
            )
            .help("remove one `after`; until then they run behind all others");
        findings.extend(finding.into_vec());
        at
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
        let found = finding.error(
            target.span,
            format!("`after` names `{}`, which no step of `{stage}` is called", target.value),
        );
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
