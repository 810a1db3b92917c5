//! The condition `if_files`: what must and must not stand in the root.

use crate::System;
use crate::path::AbsolutePath;
use anyhow::Result;
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Field, Findings, Shape, Span, Spanned, suggest};

/// Paths by what is asked of them; links are followed, and all lists that have something in them count.
#[derive(Debug, Default)]
pub(super) struct Paths {
    /// At least one of them exists.
    any: Vec<AbsolutePath>,
    /// Each of them exists.
    all: Vec<AbsolutePath>,
    /// None of them exists.
    none: Vec<AbsolutePath>,
}

/// The keys, as a record would have them.
const FIELDS: &[Field] = &[
    Field::optional::<Vec<AbsolutePath>>(&["any"], " At least one of them exists.\n"),
    Field::optional::<Vec<AbsolutePath>>(&["all"], " Each of them exists.\n"),
    Field::optional::<Vec<AbsolutePath>>(&["none"], " None of them exists.\n"),
];

/// Stricter than a record: with a list or a path left out, the condition would be another.
impl Decode for Paths {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let Value::Map(entries) = &node.value else {
            findings
                .error(node.span, format!("expected a map, found {}", node.kind()))
                .help("write `any:`, `all:` or `none:` with a list of paths");
            return None;
        };
        let mut paths = Self::default();
        let mut understood = true;
        for (key, value) in entries {
            let list = list(value, findings);
            understood &= list.is_some();
            let Some(kind) = Spanned::<String>::decode(key, findings) else {
                understood = false;
                continue;
            };
            let place = match kind.as_str() {
                "any" => &mut paths.any,
                "all" => &mut paths.all,
                "none" => &mut paths.none,
                other => {
                    let error = findings.error(kind.span, format!("`if_files` has no {other:?}"));
                    match suggest(other, ["any", "all", "none"]) {
                        Some(near) => error.help(format!("did you mean `{near}`?")),
                        None => error.help("write `any`, `all` or `none`"),
                    };
                    understood = false;
                    continue;
                }
            };
            *place = list.unwrap_or_default();
        }
        understood.then_some(paths)
    }

    fn shape() -> Shape {
        Shape::Record { docs: " Paths, of which links are followed.\n", fields: FIELDS }
    }
}

/// All paths of a list, or none when one of them cannot be understood.
fn list(node: &Node, findings: &mut Findings) -> Option<Vec<AbsolutePath>> {
    let items: &[Node] = match &node.value {
        Value::List(items) => items,
        _ if node.is_null() => &[],
        _ => {
            findings
                .error(node.span, format!("expected a list of paths, found {}", node.kind()))
                .help("write each path on its own line behind `- `");
            return None;
        }
    };
    let paths: Vec<_> = items.iter().map(|item| AbsolutePath::decode(item, findings)).collect();
    paths.into_iter().collect()
}

impl Paths {
    /// Why no root can be like that: what must be there must not be there. A path through a link may be another one, so
    /// only the same text counts.
    pub(super) fn contradiction(&self) -> Option<(Span, String)> {
        let excluded = |path: &&AbsolutePath| self.none.iter().any(|none| none.as_str() == path.as_str());
        let one_of_all = self.all.iter().find(excluded);
        let each_of_any = self.any.first().filter(|_| self.any.iter().all(|path| excluded(&path)));
        let path = one_of_all.or(each_of_any)?;
        Some((path.span(), format!("`if_files`: {} must exist and must not exist", path.as_str())))
    }

    /// Why the step must not run.
    pub(super) fn objection(&self, sys: &System) -> Result<Option<String>> {
        for path in &self.all {
            if !sys.exists(path)? {
                return Ok(Some(format!("`if_files`: {} does not exist", path.as_str())));
            }
        }
        for path in &self.none {
            if sys.exists(path)? {
                return Ok(Some(format!("`if_files`: {} exists", path.as_str())));
            }
        }
        for path in &self.any {
            if sys.exists(path)? {
                return Ok(None);
            }
        }
        let missing = self.any.iter().map(AbsolutePath::as_str).collect::<Vec<_>>();
        Ok(match missing[..] {
            [] => None,
            [path] => Some(format!("`if_files`: {path} does not exist")),
            _ => Some(format!("`if_files`: none of {} exists", missing.join(", "))),
        })
    }
}
