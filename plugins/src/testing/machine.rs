//! A machine in a temporary directory, on which plugins are tried.

use super::{Answer, FakeHost, FakeSystemd, JobAnswer, LayoutBuilder, Server, Tree};
use crate::facts::Facts;
use crate::system::{Limits, Mode};
use crate::{Context, Effect, Registered, System, cloud_config, keys};
use anyhow::{Context as _, Result, bail};
use cosette_schema::yaml::{self, Value};
use cosette_schema::{Decode, Diagnostic, Findings, Origin, Spanned};
use std::path::Path;
use std::sync::Arc;

/// A tree in a temporary directory with a pretended host under it.
pub struct Machine {
    root: tempfile::TempDir,
    beginning: Tree,
    /// The pretended host.
    pub host: Arc<FakeHost>,
}

/// What came of applying the keys of a step.
#[derive(Debug)]
pub struct Outcome {
    /// Everything that was wrong, in the YAML or on the machine.
    pub findings: Vec<Diagnostic>,
    /// What was done or found to be so.
    pub effects: Vec<Effect>,
    /// The commands that were run.
    pub commands: Vec<String>,
}

impl Machine {
    /// A machine with the tree of this text (see [`Tree`]).
    pub fn new(tree: &str) -> Self {
        let host = Arc::new(FakeHost::new());
        let root = tempfile::tempdir().expect("a temporary directory can be made");
        let beginning = Tree::parse(tree).expect("the tree is well-formed");
        beginning.create(root.path(), &host).expect("the tree can be made");
        Self { root, beginning, host }
    }

    /// Adds an OCI layout with an image of one layer, which holds the tree of this text.
    pub fn put_image(&mut self, path: &str, tree: &str) {
        let archive = Tree::parse(tree).expect("the tree is well-formed").archive();
        LayoutBuilder::new(&self.root().join(path.trim_start_matches('/'))).image("", &[archive]);
        self.beginning = Tree::read(self.root(), &self.host).expect("the tree can be read");
    }

    /// The directory that holds the tree.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A handle on it.
    pub fn system(&self, mode: Mode) -> System {
        System::new(self.root(), self.host.clone(), mode).expect("the root can be opened")
    }

    /// Has the machine find pages at addresses as long as the server is there. Each line is an address and, behind
    /// a blank, a text; queries do not matter, and all else is missing.
    pub fn serve(&self, pages: &str) -> Server {
        let lines: Vec<_> = pages.lines().map(str::to_owned).collect();
        let hosts: Vec<_> =
            lines.iter().filter_map(|line| Some(line.split('/').nth(2)?.to_owned())).collect();
        let server = Server::new(move |received| {
            let path = received.path.split('?').next().unwrap_or_default();
            let url = format!("http://{}{path} ", received.header("host").unwrap_or_default());
            let page = lines.iter().find_map(|line| line.strip_prefix(&url));
            page.map_or_else(|| Answer::status(404), |page| Answer::ok(format!("{page}\n")))
        });
        for host in hosts {
            self.host.name(&host, server.address());
        }
        server
    }

    /// Has a pretended systemd run the machine, which then lives in this tree.
    pub fn boot(&self, answers: &[(&'static str, JobAnswer)]) -> FakeSystemd {
        let systemd = FakeSystemd::new(answers);
        std::fs::create_dir_all(self.root().join("run/systemd/system")).expect("a directory can be made");
        self.host.live_here();
        self.host.systemd_at(systemd.socket(), Limits::default());
        systemd
    }

    /// Applies the keys of a step in the order of the table of plugins, or, if the text begins with
    /// `#cloud-config`, the modules that it calls for, as if none of them had acted before.
    pub fn apply(&self, step: &str) -> Outcome {
        self.run(step, Mode::Apply)
    }

    /// The same in plan mode.
    pub fn plan(&self, step: &str) -> Outcome {
        self.run(step, Mode::Plan)
    }

    /// Applies the keys of a step and asserts that nothing was wrong, that a second time changes nothing, and
    /// that the tree then differs from the beginning as `expected` says. Returns the first outcome.
    #[track_caller]
    pub fn check(&self, step: &str, expected: &str) -> Outcome {
        let first = self.apply(step);
        assert!(first.findings.is_empty(), "{}", first.messages());
        self.assert_tree(expected);
        let second = self.apply(step);
        assert!(second.findings.is_empty(), "{}", second.messages());
        let changed: Vec<_> = second
            .effects
            .iter()
            .filter(|effect| effect.changed && !effect.action.always_happens())
            .collect();
        assert!(changed.is_empty(), "the second time changed {changed:#?}");
        self.assert_tree(expected);
        first
    }

    /// Asserts how the tree differs from its beginning.
    #[track_caller]
    pub fn assert_tree(&self, expected: &str) {
        if let Err(difference) = self.compare(expected) {
            panic!("{difference:#}");
        }
    }

    /// Says how the tree differs from what is expected. Records of what was done once are not looked at.
    pub fn compare(&self, expected: &str) -> Result<()> {
        let differences = Tree::parse(expected).context("the expected tree")?;
        let expected = self.beginning.clone().with(&differences).to_string();
        let found = Tree::read(self.root(), &self.host)?.without(cloud_config::RECORDS);
        let found = found.with(&Tree::default()).to_string();
        if expected != found {
            bail!("the tree is not as expected\n=== expected\n{expected}=== found\n{found}");
        }
        Ok(())
    }

    fn run(&self, step: &str, mode: Mode) -> Outcome {
        let outcome = apply_to(&self.system(mode), step);
        Outcome { commands: self.host.take_commands(), ..outcome }
    }
}

/// Applies the keys of a step, as [`Machine::apply`] does, to any system. Its commands are not known.
pub fn apply_to(sys: &System, step: &str) -> Outcome {
    let facts = Facts::new(sys);
    let origin = Origin::new("test.yaml");
    let mut findings = Vec::new();
    for (plugins, fields) in steps(step, &origin, &mut findings) {
        let mut found = Findings::new(origin.clone());
        let cx = Context::new(&origin, &facts, &fields);
        for plugin in plugins {
            for (key, value) in fields.iter().filter(|(key, _)| key.value == plugin.key) {
                if let Some(instance) = (plugin.decode)(value, &mut found) {
                    cx.attempt(key.span, instance.apply(&cx, sys));
                }
            }
        }
        findings.extend(found.into_vec());
        findings.extend(cx.into_findings());
    }
    Outcome { findings, effects: sys.take_effects(), commands: Vec::new() }
}

type Fields = Vec<(Spanned<String>, yaml::Node)>;

/// The one step that the keys are, or all modules that a cloud-config calls for.
fn steps(
    text: &str,
    origin: &Origin,
    findings: &mut Vec<Diagnostic>,
) -> Vec<(&'static [Registered], Fields)> {
    if text.starts_with("#cloud-config") {
        let (document, found) = cosette_schema::parse(text, origin);
        findings.extend(found);
        let steps = document.stages.into_iter().flat_map(|stage| stage.steps);
        return steps.map(|step| (cloud_config::PLUGINS, step.fields)).collect();
    }
    let mut found = Findings::new(origin.clone());
    let node = yaml::parse(text, &mut found);
    let fields = match node.map(|node| node.value) {
        Some(Value::Map(fields)) => fields
            .into_iter()
            .filter_map(|(key, value)| Some((Spanned::decode(&key, &mut found)?, value)))
            .collect(),
        other => panic!("a step is a map, not {other:?}: {:?}", found.into_vec()),
    };
    findings.extend(found.into_vec());
    vec![(keys::PLUGINS, fields)]
}

impl Outcome {
    /// The findings, one on a line.
    pub fn messages(&self) -> String {
        self.findings.iter().map(|finding| format!("{:?}: {finding}\n", finding.severity)).collect()
    }
}
