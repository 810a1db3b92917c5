//! `cosette try`: a stage runs for real in a throw-away copy of the then its changes are listed.

use super::run::execute;
use super::{Machine, exit_status, plan_of, plan_of_defaults, print_json, sources, wrong_usage};
use crate::command_line::{Options, Selection};
use crate::report::{Report, Terminal};
use crate::sandbox::{self, Change, Changes, Entry, View, ViewHost};
use crate::stage::Documents;
use anyhow::{Context, Result};
use cosette_plugins::System;
use cosette_plugins::system::{Kind, Live, Metadata, Mode};
use serde::Serialize;
use std::io::{self, Write};
use std::sync::Arc;

/// Runs a stage in a throw-away copy of the machine and shows what it changed.
pub(super) fn try_stage(options: &Options, arguments: &Selection) -> Result<u8> {
    let (stage, named) = match arguments.resolve() {
        Ok(selection) => selection,
        Err(message) => return Ok(wrong_usage(&message)),
    };
    let named = match named.map(sources).transpose() {
        Ok(named) => named,
        Err(message) => return Ok(wrong_usage(&message)),
    };
    let inside = match sandbox::enter(sandbox::Options::default())? {
        Entry::Done(status) => return Ok(u8::try_from(status).unwrap_or(u8::MAX)),
        Entry::Inside(inside) => inside,
    };
    // Documents may lie outside the root, and nothing outside can be reached once the view is built.
    let prepared = match named {
        Some(sources) => plan_of(options, Documents::read(&sources, &Machine::new()?.place()), stage),
        None => plan_of_defaults(options, stage, &[], &options.system(Mode::Plan)?),
    };
    let nothing_is_valid = prepared.nothing_is_valid();
    let view = inside.build(&options.root)?;
    let host = Arc::new(ViewHost::new(Live, view.pretends_owners()));
    let sys = System::new(view.root(), host, Mode::Apply).context("cannot use the view as the root")?;
    options.print_excerpts(&prepared.findings, &prepared.texts);
    let report = execute(options.progress(&prepared.stage, &sys), prepared, &sys, |report| {
        let changes = view.changes(&|device, inode, found| sys.host().owner(device, inode, found))?;
        if options.json {
            return print_json(&Tried::new(report, &changes, &view));
        }
        // A reader that has gone away has seen what it wanted to.
        let _ = print(&mut options.terminal(Mode::Apply), report, &changes, &view);
        Ok(())
    })?;
    Ok(exit_status(&report, nothing_is_valid))
}

fn print(
    terminal: &mut Terminal<impl Write>,
    report: &Report,
    changes: &Changes,
    view: &View,
) -> io::Result<()> {
    let effects = report.steps.iter().flat_map(|step| &step.effects);
    let pretended = || effects.clone().filter(|effect| effect.changed && effect.is_of_kernel());
    terminal.line("")?;
    if changes.files.is_empty() && changes.hostname.is_none() && pretended().next().is_none() {
        terminal.line("nothing would change on this machine")?;
    } else {
        terminal.line("what would change on this machine:")?;
    }
    if let Some((before, after)) = &changes.hostname {
        terminal.change("host name", &format!("{before} -> {after}"), None)?;
    }
    for effect in pretended() {
        terminal.change("kernel", &effect.target, None)?;
    }
    for change in &changes.files {
        let target = format!("{}{}", change.path.display(), attributes(change));
        terminal.change(change.kind.as_str(), &target, change.diff.as_ref())?;
    }
    for note in view.notes() {
        terminal.line(&format!("note: {note}"))?;
    }
    terminal.line("the machine itself is as it was")
}

/// What is remarkable about mode and owner: all of it when something is new, else what is different.
fn attributes(change: &Change) -> String {
    let mode = |found: &Metadata| match found.kind {
        Kind::Symlink => found.kind.to_string(),
        _ => format!("{:04o}", found.mode),
    };
    let owner = |found: &Metadata| format!("{}:{}", found.owner.uid, found.owner.gid);
    match (&change.before, &change.after) {
        (None, Some(after)) => format!("  {} {}", mode(after), owner(after)),
        (Some(before), Some(after)) => [(mode(before), mode(after)), (owner(before), owner(after))]
            .into_iter()
            .filter(|(before, after)| before != after)
            .map(|(before, after)| format!("  {before} -> {after}"))
            .collect(),
        _ => String::new(),
    }
}

/// The report of a stage that was tried, as JSON.
#[derive(Serialize)]
struct Tried<'a> {
    #[serde(flatten)]
    report: &'a Report,
    /// Host name before and after, if it was changed.
    hostname: Option<&'a (String, String)>,
    changes: Vec<TriedChange>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct TriedChange {
    path: String,
    kind: &'static str,
    before: Option<Attributes>,
    after: Option<Attributes>,
}

#[derive(Serialize)]
struct Attributes {
    mode: String,
    uid: u32,
    gid: u32,
    size: u64,
}

impl<'a> Tried<'a> {
    fn new(report: &'a Report, changes: &'a Changes, view: &'a View) -> Self {
        let files = changes.files.iter().map(|change| TriedChange {
            path: change.path.display().to_string(),
            kind: change.kind.as_str(),
            before: change.before.as_ref().map(Attributes::from),
            after: change.after.as_ref().map(Attributes::from),
        });
        Self { report, hostname: changes.hostname.as_ref(), changes: files.collect(), notes: view.notes() }
    }
}

impl From<&Metadata> for Attributes {
    fn from(found: &Metadata) -> Self {
        let (uid, gid) = (found.owner.uid, found.owner.gid);
        Self { mode: format!("{:04o}", found.mode), uid, gid, size: found.size }
    }
}
