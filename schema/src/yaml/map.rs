//! The entries of a map: merge keys and duplicates, by the rules of yaml.v3.

use super::syntax::Problem;
use super::{Node, Style, Value};
use crate::{Findings, excerpt};
use std::collections::BTreeMap;

/// Up to this many entries, comparing each with each is faster than a search tree.
const FEW: usize = 16;

/// Makes entries of alternating keys and values.
///
/// Of a key that is given twice the first stays, with an error. What merge keys bring in comes last, and only
/// where no explicit key and no earlier merge has it.
pub(super) fn entries(
    children: impl ExactSizeIterator<Item = Node>,
    findings: &mut Findings,
) -> Result<Vec<(Node, Node)>, Problem> {
    let mut entries = Vec::with_capacity(children.len() / 2);
    let mut merge: Option<(Node, Node)> = None;
    let mut children = children;
    while let (Some(key), Some(value)) = (children.next(), children.next()) {
        if !is_merge(&key) {
            entries.push((key, value));
        } else if let Some((first, _)) = &merge {
            return Err(Problem::new(
                key.span,
                "the key `<<` is given twice",
                format!(
                    "the first is at {}:{}: write both as one list, `<<: [*a, *b]`",
                    first.span.line, first.span.column
                ),
            ));
        } else {
            merge = Some((key, value));
        }
    }
    let explicit = entries.len();
    if let Some((_, value)) = merge {
        merged(value, &mut entries)?;
    }
    remove_duplicates(&mut entries, explicit, findings);
    entries.shrink_to_fit();
    Ok(entries)
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.value, Value::Scalar(scalar) if scalar.style == Style::Plain && &*scalar.text == "<<")
}

fn merged(value: Node, entries: &mut Vec<(Node, Node)>) -> Result<(), Problem> {
    let span = value.span;
    let refuse = |found: &str| {
        Err(Problem::new(
            span,
            format!("`<<` merges a map or a list of maps, found {found}"),
            "name an anchored map, as in `<<: *defaults`",
        ))
    };
    match value.value {
        Value::Map(map) => entries.extend(map),
        Value::List(items) => {
            for item in items {
                match item.value {
                    Value::Map(map) => entries.extend(map),
                    _ => return refuse(&format!("a list with {}", item.kind())),
                }
            }
        }
        Value::Scalar(_) => return refuse(value.kind()),
    }
    Ok(())
}

/// Keeps the first of equal keys; a second one among the first `explicit` entries is an error.
fn remove_duplicates(entries: &mut Vec<(Node, Node)>, explicit: usize, findings: &mut Findings) {
    let duplicates = duplicates(entries);
    if duplicates.is_empty() {
        return;
    }
    for &(later, first) in duplicates.iter().filter(|(later, _)| *later < explicit) {
        let (key, first) = (&entries[later].0, &entries[first].0);
        findings
            .error(key.span, format!("the key `{}` is given twice", excerpt(key.text().unwrap_or_default())))
            .help(format!(
                "the first is at {}:{} and is used: remove one of them, or make them one",
                first.span.line, first.span.column
            ));
    }
    let mut index = 0;
    let mut doomed = duplicates.into_iter().map(|(later, _)| later).peekable();
    entries.retain(|_| {
        let dies = doomed.next_if_eq(&index).is_some();
        index += 1;
        !dies
    });
}

/// The indices of entries whose key an earlier one has, with the index of that one, in order.
fn duplicates(entries: &[(Node, Node)]) -> Vec<(usize, usize)> {
    let keys = entries.iter().enumerate().filter_map(|(index, (key, _))| Some((index, key.text()?)));
    if entries.len() <= FEW {
        return keys
            .filter_map(|(index, key)| {
                let first = entries[..index].iter().position(|(other, _)| other.text() == Some(key))?;
                Some((index, first))
            })
            .collect();
    }
    let mut seen = BTreeMap::new();
    keys.filter_map(|(index, key)| {
        let first = *seen.entry(key).or_insert(index);
        (first != index).then_some((index, first))
    })
    .collect()
}
