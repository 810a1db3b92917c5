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
            let mut help = "write `stages.STAGE[0].KEY=VALUE`".to_owned();
            if let [Part::Key(stage), Part::Index(index), ..] = &parts[..] {
                help += "; the whole step is left out";
                spoilt.insert((stage.clone(), *index));
            }
            findings
                .error(argument.span, format!("`{}` is not understood: {problem}", excerpt(&argument.key)))
                .help(help);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::tests::lines;
    use crate::{Decode, Permissions};

    /// The stages as `name: {key: value} {key: value}`, and the findings.
    fn parsed(text: &str) -> (Vec<String>, Vec<String>) {
        let origin = Origin::new("kernel command line");
        let (document, diagnostics) = parse_dot_notation(text, &origin);
        let stages = document.stages.iter().map(|stage| {
            let steps = stage.steps.iter().map(|step| {
                let fields =
                    step.fields.iter().map(|(name, value)| format!("{}: {}", name.value, shown(value)));
                format!(" {{{}}}", fields.collect::<Vec<_>>().join(", "))
            });
            format!("{}:{}", stage.name.value, steps.collect::<String>())
        });
        (stages.collect(), lines(Findings::from_list(origin, diagnostics)))
    }

    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Scalar(scalar) => scalar.text.to_string(),
            Value::List(items) => format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", ")),
            Value::Map(entries) => {
                let entries = entries.iter().map(|(key, value)| format!("{}: {}", shown(key), shown(value)));
                format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[track_caller]
    fn stages(text: &str, expected: &[&str]) {
        let (stages, findings) = parsed(text);
        assert_eq!(findings, Vec::<String>::new());
        assert_eq!(stages, expected);
    }

    #[test]
    fn arguments_become_stages_with_steps() {
        stages(
            "BOOT_IMAGE=(hd0)/x stages.test[0].commands[0]=\"a b\" stages.test[0].commands[1]='c \"d\"' stages.test[0].name=x quiet\n",
            &["test: {commands: [a b, c \"d\"], name: x}"],
        );
        stages(
            "stages.boot[1].if=b stages.boot[0].if=a stages.fs[0].node=x",
            &["boot: {if: a} {if: b}", "fs: {node: x}"],
        );
    }

    #[test]
    fn a_stage_keeps_its_dots_and_other_keys_may_have_some_in_brackets() {
        stages("stages.rootfs.before[0].if=x", &["rootfs.before: {if: x}"]);
        stages("stages[rootfs.before][0].if=x", &["rootfs.before: {if: x}"]);
        stages(
            "stages.a[0].sysctl[vm.swappiness]=10 stages.a[0].sysctl[\"vm.x\"]=1",
            &["a: {sysctl: {vm.swappiness: 10, vm.x: 1}}"],
        );
        stages(
            "stages.a[0].dns.nameservers[0]=::1 stages.a[0].users.x-y.uid=5",
            &["a: {dns: {nameservers: [::1]}, users: {x-y: {uid: 5}}}"],
        );
    }

    #[test]
    fn gaps_between_indices_are_no_steps() {
        stages("stages.a[7].if=y stages.a[3].commands[9]=x", &["a: {commands: [x]} {if: y}"]);
    }

    #[test]
    fn values_are_scalars_of_any_type() {
        let origin = Origin::new("kernel command line");
        for (text, mode) in [("420", 0o644), ("0600", 0o600)] {
            let (document, diagnostics) =
                parse_dot_notation(&format!("x stages.t[0].permissions={text} stages.t[0].system"), &origin);
            assert_eq!(diagnostics, []);
            let mut findings = Findings::new(origin.clone());
            let [(_, permissions), (_, system)] = &document.stages[0].steps[0].fields[..] else { panic!() };
            assert_eq!(Permissions::decode(permissions, &mut findings), Some(Permissions(mode)));
            assert_eq!(bool::decode(system, &mut findings), Some(true));
            assert_eq!((permissions.span.line, permissions.span.column, permissions.span.start), (1, 3, 2));
            assert_eq!(findings.into_vec(), []);
        }
    }

    #[test]
    fn arguments_of_other_programs_are_ignored() {
        stages("", &[]);
        stages(
            "root=LABEL=X name=foo rd.cos.disable cos-img/filename=/x stagesx=1 stages_x.y=2 a[=] \"x",
            &[],
        );
    }

    #[test]
    fn a_path_given_twice_is_warned_of_and_the_last_value_counts() {
        let (stages, findings) = parsed("stages.a[0].if=x stages.a[0].if=y");
        assert_eq!(stages, ["a: {if: y}"]);
        assert_eq!(
            findings,
            ["warning 1:18 `stages.a[0].if` is given twice; the first is at column 1; this one is used"]
        );
    }

    #[test]
    fn contradictions_are_errors_and_leave_out_the_step() {
        for text in [
            "stages.a[0].x=1 stages.a[0].x.y=2 stages.a[1].if=z",
            "stages.a[0].x.y=1 stages.a[0].x=2 stages.a[1].if=z",
            "stages.a[0].x[0]=1 stages.a[0].x.y=2 stages.a[1].if=z",
            "stages.a[1].if=z stages.a[0]=x stages.a[0].if=y",
        ] {
            let (stages, findings) = parsed(text);
            assert_eq!(stages, ["a: {if: z}"], "{text}");
            assert_eq!(findings.len(), 1);
            assert!(findings[0].contains("is not understood: it contradicts the argument at column "));
        }
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_and_leaves_out_its_step() {
        for (argument, problem) in [
            ("stages.a[0].if[=x", "a bracket is not closed"),
            ("stages.a[0].if[]=x", "brackets are empty"),
            ("stages.a[0].=x", "a name is missing"),
            ("stages.a[0]..x=x", "a name is missing"),
            ("stages.a[0].x]=x", "a name is missing"),
            ("stages.a[0]x=x", "a dot is missing behind a bracket"),
            ("stages.a[0].x[1000]=x", "an index must be below 1000"),
            ("stages.a[0].x[99999999999999999999]=x", "an index must be below 1000"),
            ("stages.a[0].x=\"y", "a double quote is not closed"),
            ("stages=x", "the stage is missing"),
            ("stages", "the stage is missing"),
            ("stages.=x", "a name is missing"),
            ("stages.[0]=x", "a name is missing"),
        ] {
            let (stages, findings) =
                parsed(&format!("stages.a[0].commands[0]=x stages.b[0].if=y {argument}"));
            let spoils = argument.starts_with("stages.a[0]");
            assert_eq!(stages[0], if spoils { "a:" } else { "a: {commands: [x]}" }, "{argument}");
            assert_eq!(stages[1], "b: {if: y}");
            assert_eq!(findings.len(), 1, "{findings:?}");
            assert!(findings[0].starts_with("error 1:44 `stages"), "{findings:?}");
            assert!(
                findings[0].contains(&format!("is not understood: {problem}; write `stages.STAGE[0]")),
                "{findings:?}"
            );
        }
    }

    #[test]
    fn a_path_without_a_step_is_an_error() {
        let (stages, findings) = parsed("stages.a=x stages.b.commands[0]=y");
        assert_eq!(stages, ["b.commands:"]);
        assert_eq!(findings.len(), 2, "{findings:?}");
        assert!(findings[0].contains("the stage `a` must be a list of steps"));
        assert!(findings[1].contains("a step is a map, found a single value"));
    }

    #[test]
    fn long_and_deep_texts_run_into_limits() {
        assert!(parsed(&"stages.a[0].x ".repeat(10_000)).1[0].contains("the command line is too long"));
        let deep = format!("stages.a[0]{}=x", ".b".repeat(10_000));
        assert!(parsed(&deep).1[0].contains("it has more than 20 parts"));
        parsed(&"stages.a[0].x='".repeat(4000));
        parsed(&(0..999).map(|index| format!("stages.a[{index}].x ")).collect::<String>());
    }
}
