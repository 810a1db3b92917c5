//! `#cloud-config` texts, and the first lines that tell what a text is.

use crate::document::{RawStep, Stage};
use crate::yaml::{Node, Scalar, Style, TEXT_LIMIT, Value};
use crate::{Findings, Span, Spanned, excerpt, suggest};

/// What the first comments of a text say that it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Header {
    /// Nothing: stages.
    None,
    /// A cloud-config, which may have stages too.
    CloudConfig,
    /// The configuration of another program, with stages in it.
    Foreign,
}

/// How many lines are looked at, as in yip.
const LINES: usize = 10;

impl Header {
    /// Looks for a header among the first lines, before anything that is neither blank nor a comment.
    pub(crate) fn of(text: &str, findings: &mut Findings) -> Self {
        if text.len() > TEXT_LIMIT {
            return Self::None;
        }
        let mut start = text.len() - text.trim_start_matches('\u{feff}').len();
        for (index, line) in text[start..].split_inclusive('\n').take(LINES).enumerate() {
            let content = line.trim_end();
            match content {
                "#cloud-config" => return Self::CloudConfig,
                "#kairos-config" | "#node-config" => return Self::Foreign,
                _ if content.starts_with('#')
                    && content.trim_start_matches(['#', ' ', '\t']) == "cloud-config" =>
                {
                    let span = Span {
                        line: index as u32 + 1,
                        column: 1,
                        start: start as u32,
                        end: (start + content.len()) as u32,
                    };
                    findings
                        .warn(span, "this line is only a comment")
                        .help("write `#cloud-config` without a space if the file is a cloud-config");
                }
                _ if content.trim_start().is_empty() || content.trim_start().starts_with('#') => {}
                _ => return Self::None,
            }
            start += line.len();
        }
        Self::None
    }
}

/// How often a module acts, by the words of cloud-init.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frequency {
    /// At every boot.
    Always,
    /// Once for each instance of the machine, and again when what it is told has changed.
    Instance,
}

/// A module of cloud-init: the keys that it reads, and when cloud-init would run it.
#[derive(Debug, PartialEq, Eq)]
pub struct Module {
    /// Its name, as cloud-init documents it.
    pub name: &'static str,
    /// The stage whose steps it joins.
    pub stage: &'static str,
    /// How often it acts.
    pub frequency: Frequency,
    /// The keys that it reads. A key may belong to several modules.
    pub keys: &'static [&'static str],
    /// Those of its keys that call for it: without one of them, nothing is to be done.
    pub calls: &'static [&'static str],
}

#[expect(dead_code, reason = "the modules follow")]
const fn module(
    name: &'static str,
    stage: &'static str,
    frequency: Frequency,
    keys: &'static [&'static str],
) -> Module {
    Module { name, stage, frequency, keys, calls: keys }
}

/// All modules that are supported. Their order is the order in which they run within a stage, which is
/// cloud-init's: files are written before users are made, and the machine is restarted last.
///
/// cloud-init's stage `init` is `boot` here, and `final` is `network.after`. The host name is set in `initramfs`, as
/// yip does it, and modules of the stage `config` that do not need the network do not wait for it.
pub const MODULES: &[Module] = &[];

/// The names of the modules that read a key.
fn readers(key: &str) -> impl Iterator<Item = &'static Module> {
    MODULES.iter().filter(move |module| module.keys.contains(&key))
}

/// Makes steps of the keys of a cloud-config other than `stages` and `name`: one for each module that they call,
/// whose only key is the name of the module and whose value is a map of the keys that it reads. Keys that no
/// module reads are named in a warning.
pub(crate) fn read(keys: &[(Spanned<String>, Node)], findings: &mut Findings) -> Vec<Stage> {
    warn_of_unsupported(keys, findings);
    let mut stages: Vec<Stage> = Vec::new();
    for module in MODULES {
        let given = || keys.iter().filter(|(key, _)| module.keys.contains(&&*key.value));
        let Some((first, _)) = given().find(|(key, _)| module.calls.contains(&&*key.value)) else { continue };
        let entries = given().map(|(key, value)| (key_node(key), value.clone())).collect();
        let name = |name: &str| Spanned { value: name.to_owned(), span: first.span };
        let fields = vec![(name(module.name), Node { value: Value::Map(entries), span: first.span })];
        let step = RawStep { span: first.span, module: Some(module), fields };
        match stages.iter_mut().find(|stage| stage.name.value == module.stage) {
            Some(stage) => stage.steps.push(step),
            None => stages.push(Stage { name: name(module.stage), steps: vec![step] }),
        }
    }
    stages
}

fn key_node(key: &Spanned<String>) -> Node {
    let scalar = Scalar { text: key.value.as_str().into(), style: Style::Plain };
    Node { span: key.span, value: Value::Scalar(scalar) }
}

fn warn_of_unsupported(keys: &[(Spanned<String>, Node)], findings: &mut Findings) {
    for (key, _) in keys.iter().filter(|(key, _)| readers(key).next().is_none()) {
        let known = MODULES.iter().flat_map(|module| module.keys).copied().chain(["stages", "name"]);
        let finding = findings.warn(
            key.span,
            format!("the key `{}` of the cloud-config is not supported, and ignored", excerpt(key)),
        );
        if let Some(near) = suggest(key, known) {
            finding.help(format!("did you mean `{near}`?"));
        }
    }
}
