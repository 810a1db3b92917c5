//! Stages on the kernel command line: `stages.boot[0].commands[0]="echo hi"`.
//!
//! What stands between `stages.` and the first bracket is the name of the stage, with its dots. An index that is
//! left out leaves no gap. A key that holds dots is written in brackets: `sysctl[vm.swappiness]=10`. Values are
//! plain YAML scalars, so numbers and booleans are possible; without `=` the value is `true`.
//!
//! All other arguments belong to other programs and are ignored. One that cannot be understood is reported and
//! takes its step with it: a step without its `if` would be another step.

use crate::cloud_config::Header;
use crate::yaml::{Node, Scalar, Style, Value};
use crate::{Arguments, Diagnostic, Document, Findings, Origin, Span, document, excerpt};
use std::collections::{BTreeMap, BTreeSet};

/// The longest text that is read, in bytes; kernels take a few thousand.
const TEXT_LIMIT: usize = 64 << 10;
/// Indices are below this.
const INDEX_LIMIT: usize = 1000;
/// The largest number of names and indices in a path.
const PATH_LIMIT: usize = 20;

/// Reads the stages in a command line.
pub fn parse_dot_notation(text: &str, origin: &Origin) -> (Document, Vec<Diagnostic>) {
    let mut findings = Findings::new(origin.clone());
    let root = tree(text, &mut findings);
    let document = document::read(root, Header::None, &mut findings);
    (document, findings.into_vec())
}

/// A part of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Key(String),
    Index(usize),
}

/// What arguments have said so far.
enum Tree {
    Nothing,
    Value(String),
    Map(Vec<(String, Branch)>),
    List(BTreeMap<usize, Branch>),
}

/// A tree and the argument that named it first.
struct Branch {
    span: Span,
    tree: Tree,
}

/// What became of a value.
enum Placed {
    Anew,
    InPlaceOf(Span),
    /// The path goes through, or ends at, what the argument there says to be something else.
    Conflict(Span),
}

fn tree(text: &str, findings: &mut Findings) -> Option<Node> {
    if text.len() > TEXT_LIMIT {
        findings.error(None, format!("the command line is too long: more than {TEXT_LIMIT} bytes"));
        return None;
    }
    let mut root: Option<Branch> = None;
    let mut spoilt: BTreeSet<(String, usize)> = BTreeSet::new();
    for argument in Arguments::parse(text).iter() {
        let Some(rest) = argument.key.strip_prefix("stages") else { continue };
        if !rest.is_empty() && !rest.starts_with(['.', '[']) {
            continue;
        }
        let mut parts = Vec::new();
        let problem = match path(rest, &mut parts) {
            Err(problem) => Some(problem),
            Ok(()) if argument.unclosed => Some("a double quote is not closed".to_owned()),
            Ok(()) => {
                let value = argument.value.clone().unwrap_or_else(|| "true".to_owned());
                let root = root.get_or_insert(Branch { span: argument.span, tree: Tree::Nothing });
                match root.put(&parts, value, argument.span) {
                    Placed::Anew => None,
                    Placed::InPlaceOf(first) => {
                        findings
                            .warn(argument.span, format!("`{}` is given twice", excerpt(&argument.key)))
                            .help(format!("the first is at column {}; this one is used", first.column));
                        None
                    }
                    Placed::Conflict(other) => {
                        Some(format!("it contradicts the argument at column {}", other.column))
                    }
                }
            }
        };
        if let Some(problem) = problem {
            if let [Part::Key(stage), Part::Index(index), ..] = &parts[..] {
                spoilt.insert((stage.clone(), *index));
            }
            findings
                .error(argument.span, format!("`{}` is not understood: {problem}", excerpt(&argument.key)))
                .help("write `stages.STAGE[0].KEY=VALUE`; its step is left out");
        }
    }
    let mut root = root?;
    for (stage, index) in &spoilt {
        root.remove(stage, *index);
    }
    let stages = Node { span: root.span, value: scalar("stages".to_owned()) };
    Some(Node { span: root.span, value: Value::Map(vec![(stages, root.into_node())]) })
}

/// Splits what follows `stages` into its parts; those before a problem are there in any case.
fn path(text: &str, parts: &mut Vec<Part>) -> Result<(), String> {
    if text.is_empty() {
        return Err("the stage is missing".to_owned());
    }
    let mut rest = text;
    while !rest.is_empty() {
        if parts.len() == PATH_LIMIT {
            return Err(format!("it has more than {PATH_LIMIT} parts"));
        }
        let part;
        if let Some(bracketed) = rest.strip_prefix('[') {
            let Some((within, behind)) = bracketed.split_once(']') else {
                return Err("a bracket is not closed".to_owned());
            };
            rest = behind;
            part = bracket(within, parts.is_empty())?;
        } else if let Some(named) = rest.strip_prefix('.') {
            // A stage keeps its dots: `rootfs.before`.
            let ends: &[char] = if parts.is_empty() { &['['] } else { &['.', '['] };
            let end = named.find(ends).unwrap_or(named.len());
            let (name, behind) = named.split_at(end);
            if name.is_empty() || name.contains(']') {
                return Err("a name is missing".to_owned());
            }
            rest = behind;
            part = Part::Key(name.to_owned());
        } else {
            return Err("a dot is missing behind a bracket".to_owned());
        }
        parts.push(part);
    }
    Ok(())
}

fn bracket(within: &str, is_stage: bool) -> Result<Part, String> {
    if within.is_empty() {
        return Err("brackets are empty".to_owned());
    }
    if is_stage || !within.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Part::Key(within.to_owned()));
    }
    match within.parse() {
        Ok(index) if index < INDEX_LIMIT => Ok(Part::Index(index)),
        _ => Err(format!("an index must be below {INDEX_LIMIT}")),
    }
}

fn scalar(text: String) -> Value {
    Value::Scalar(Scalar { text: text.into(), style: Style::Plain })
}

impl Branch {
    fn put(&mut self, path: &[Part], value: String, span: Span) -> Placed {
        let new = || Branch { span, tree: Tree::Nothing };
        let Some((part, rest)) = path.split_first() else {
            return match self.tree {
                Tree::Nothing => {
                    self.tree = Tree::Value(value);
                    Placed::Anew
                }
                Tree::Value(_) => {
                    let first = std::mem::replace(self, Branch { span, tree: Tree::Value(value) });
                    Placed::InPlaceOf(first.span)
                }
                _ => Placed::Conflict(self.span),
            };
        };
        if let Tree::Nothing = self.tree {
            self.tree = match part {
                Part::Key(_) => Tree::Map(Vec::new()),
                Part::Index(_) => Tree::List(BTreeMap::new()),
            };
        }
        match (&mut self.tree, part) {
            (Tree::Map(entries), Part::Key(key)) => {
                let at = entries.iter().position(|(name, _)| name == key).unwrap_or_else(|| {
                    entries.push((key.clone(), new()));
                    entries.len() - 1
                });
                entries[at].1.put(rest, value, span)
            }
            (Tree::List(items), Part::Index(index)) => {
                items.entry(*index).or_insert_with(new).put(rest, value, span)
            }
            _ => Placed::Conflict(self.span),
        }
    }

    /// Leaves out a step.
    fn remove(&mut self, stage: &str, index: usize) {
        if let Tree::Map(stages) = &mut self.tree
            && let Some((_, Branch { tree: Tree::List(steps), .. })) =
                stages.iter_mut().find(|(name, _)| name == stage)
        {
            steps.remove(&index);
        }
    }

    fn into_node(self) -> Node {
        let span = self.span;
        let value = match self.tree {
            Tree::Nothing => scalar(String::new()),
            Tree::Value(text) => scalar(text),
            Tree::List(items) => Value::List(items.into_values().map(Branch::into_node).collect()),
            Tree::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(name, branch)| {
                        let key = Node { span: branch.span, value: scalar(name) };
                        (key, branch.into_node())
                    })
                    .collect(),
            ),
        };
        Node { span, value }
    }
}
