//! `cosette try`: stages run for real in a throw-away copy of a machine, then their changes are listed.

use super::run::execute;
use super::{
    Machine, exit_status, plan_of, plan_of_defaults, print_json, pull, sources, status_of, wrong_usage,
};
use crate::command_line::{Network, Options, Try};
use crate::report::{EffectReport, Report, Terminal};
use crate::sandbox::{self, Change, ChangeKind, Changes, Entry, Inside, Said, View, ViewHost};
use crate::stage::Documents;
use anyhow::{Context, Result, bail};
use cosette_plugins::System;
use cosette_plugins::effect::Diff;
use cosette_plugins::system::{Kind, Live, Metadata, Mode};
use serde::Serialize;
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Runs stages in a throw-away copy of a machine and shows what they changed.
pub(super) fn try_stage(options: &Options, arguments: &Try) -> Result<u8> {
    let (stages, named) = match arguments.resolve() {
        Ok(selection) => selection,
        Err(message) => return Ok(wrong_usage(&message)),
    };
    if arguments.image.is_some() && options.root != Path::new("/") {
        return Ok(wrong_usage("--image is a root of its own: leave out --root"));
    }
    let named = match named.map(sources).transpose() {
        Ok(named) => named,
        Err(message) => return Ok(wrong_usage(&message)),
    };
    let shared = sandbox::Options { network: arguments.network == Network::Host };
    let inside = match sandbox::enter(shared)? {
        Entry::Done(status) => return Ok(u8::try_from(status).unwrap_or(u8::MAX)),
        Entry::Inside(inside) => inside,
    };
    // Nothing outside can be reached once the view is built: neither documents nor where to keep what is written.
    let machine = Machine::new()?;
    let mut named = named.map(|sources| Documents::read(&sources, &machine.place()));
    let kept = arguments.keep.as_deref().map(empty_directory).transpose()?;
    let root = root_of(options, arguments, &inside)?;
    let view = inside.build(&root)?;
    let host = Arc::new(ViewHost::new(Live, view.pretends_owners()));
    let sys =
        System::new(view.root(), host.clone(), Mode::Apply).context("cannot use the view as the root")?;

    let mut tried = Tried::default();
    let mut status = status_of::DONE;
    for stage in stages {
        // A boot has stages that these documents say nothing of.
        if arguments.boot && named.as_ref().is_some_and(|documents| !documents.has(stage)) {
            continue;
        }
        // What a stage puts into the default sources, the next one runs.
        let prepared = match &mut named {
            Some(documents) => {
                let again = documents.once_more();
                plan_of(options, std::mem::replace(documents, again), stage)
            }
            None => plan_of_defaults(options, stage, &[], &sys),
        };
        let nothing_is_valid = prepared.nothing_is_valid();
        options.print_excerpts(&prepared.findings, &prepared.texts);
        let report = execute(options.progress(&prepared.stage, &sys), prepared, &sys, |_| Ok(()))?;
        status = status.max(exit_status(&report, nothing_is_valid));
        tried.reports.push(report);
    }
    tried.said = host.take_said();
    tried.changes = view.changes(&|device, inode, found| sys.host().owner(device, inode, found))?;
    if options.json {
        print_json(&Shown::new(&tried, &view))?;
    } else {
        // A reader that has gone away has seen what it wanted to.
        let what = match (&arguments.image, options.root == Path::new("/")) {
            (Some(_), _) => "image",
            (None, true) => "machine",
            (None, false) => "tree",
        };
        let _ = print(&mut options.terminal(Mode::Apply), &tried, &view, what);
    }
    if arguments.shell {
        view.shell()?;
        tried.changes = view.changes(&|device, inode, found| sys.host().owner(device, inode, found))?;
    }
    if let Some(directory) = kept {
        view.keep(&tried.changes, &directory)?;
    }
    Ok(status)
}

/// The tree that is viewed; that of an image is put into memory.
fn root_of(options: &Options, arguments: &Try, inside: &Inside) -> Result<PathBuf> {
    let Some(image) = &arguments.image else { return Ok(options.root.clone()) };
    let directory = inside.scratch()?;
    pull::unpack_into(options, image, &directory)?;
    Ok(directory)
}

/// The directory, which must not have anything in it.
#[allow(clippy::disallowed_methods, reason = "it is the user's, wherever it is")]
fn empty_directory(directory: &Path) -> Result<System> {
    let context = || format!("cannot keep anything in {}", directory.display());
    std::fs::create_dir_all(directory).with_context(context)?;
    if std::fs::read_dir(directory).with_context(context)?.next().is_some() {
        bail!("{} is not empty: name a new directory", directory.display());
    }
    System::new(directory, Arc::new(Live), Mode::Apply).with_context(context)
}

/// What came of it.
#[derive(Default)]
struct Tried {
    reports: Vec<Report>,
    said: Vec<Said>,
    changes: Changes,
}

/// What follows from every change of a unit.
const RELOAD: &str = "daemon-reload";

/// `what` was tried on: `machine`, `tree` or `image`.
fn print(terminal: &mut Terminal<impl Write>, tried: &Tried, view: &View, what: &str) -> io::Result<()> {
    let effects = tried.reports.iter().flat_map(|report| &report.steps).flat_map(|step| &step.effects);
    let is_told =
        |effect: &&EffectReport| effect.changed && effect.is_beyond_files() && effect.target != RELOAD;
    let pretended = || effects.clone().filter(is_told);
    let changes = &tried.changes;
    if !tried.said.is_empty() {
        terminal.line("")?;
        terminal.line("what programs printed:")?;
    }
    for said in &tried.said {
        terminal.said(&said.label, &said.text)?;
    }
    terminal.line("")?;
    if changes.files.is_empty() && changes.hostname.is_none() && pretended().next().is_none() {
        terminal.line(&format!("nothing would change on this {what}"))?;
    } else {
        terminal.line(&format!("what would change on this {what}:"))?;
    }
    if let Some((before, after)) = &changes.hostname {
        terminal.change("host name", &format!("{before} -> {after}"), None)?;
    }
    for effect in pretended() {
        terminal.change("would", &format!("{} {}", effect.action, effect.target), None)?;
    }
    for user in users(changes) {
        terminal.change("user", &user, None)?;
    }
    for unit in units(changes) {
        terminal.change("unit", &unit, None)?;
    }
    for change in &changes.files {
        let target = format!("{}{}", change.path.display(), attributes(change));
        terminal.change(change.kind.as_str(), &target, change.diff.as_ref())?;
    }
    for note in view.notes() {
        terminal.line(&format!("note: {note}"))?;
    }
    terminal.line(&format!("the {what} itself is as it was"))
}

/// The users that came and went: `admin added`.
fn users(changes: &Changes) -> Vec<String> {
    let change = changes.files.iter().find(|change| change.path == Path::new("/etc/passwd"));
    let Some(Diff::Text { before, after }) = change.and_then(|change| change.diff.as_ref()) else {
        return Vec::new();
    };
    let names = |text: &str| -> BTreeSet<String> {
        text.lines().filter_map(|line| Some(line.split_once(':')?.0.to_owned())).collect()
    };
    let (before, after) = (names(before.as_deref().unwrap_or_default()), names(after));
    let added = after.difference(&before).map(|name| format!("{name} added"));
    added.chain(before.difference(&after).map(|name| format!("{name} removed"))).collect()
}

/// The units that are started at boot, or are not any more, by the links that say so: `web.service enabled`.
fn units(changes: &Changes) -> Vec<String> {
    let of = |change: &Change| {
        let below = change.path.strip_prefix("/etc/systemd/system").ok()?;
        let unit = below.file_name()?.to_str()?;
        let target = below.parent()?.to_str()?.strip_suffix(".wants");
        let masked = matches!(&change.diff, Some(Diff::Text { after, .. }) if after == "/dev/null");
        match (target, change.kind) {
            (Some(target), ChangeKind::Created) => Some(format!("{unit} enabled, by {target}")),
            (Some(target), ChangeKind::Removed) => Some(format!("{unit} disabled, in {target}")),
            (None, ChangeKind::Created | ChangeKind::Modified) if masked => Some(format!("{unit} masked")),
            _ => None,
        }
    };
    changes.files.iter().filter_map(of).collect()
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

/// What came of it, as JSON: the report of the stage and what changed; of several stages, the reports.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: Option<&'a Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<&'a [Report]>,
    /// Host name before and after, if it was changed.
    hostname: Option<&'a (String, String)>,
    users: Vec<String>,
    units: Vec<String>,
    changes: Vec<ShownChange>,
    notes: &'a [String],
}

#[derive(Serialize)]
struct ShownChange {
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

impl<'a> Shown<'a> {
    fn new(tried: &'a Tried, view: &'a View) -> Self {
        let files = tried.changes.files.iter().map(|change| ShownChange {
            path: change.path.display().to_string(),
            kind: change.kind.as_str(),
            before: change.before.as_ref().map(Attributes::from),
            after: change.after.as_ref().map(Attributes::from),
        });
        let (report, stages) = match &tried.reports[..] {
            [report] => (Some(report), None),
            reports => (None, Some(reports)),
        };
        Self {
            report,
            stages,
            hostname: tried.changes.hostname.as_ref(),
            users: users(&tried.changes),
            units: units(&tried.changes),
            changes: files.collect(),
            notes: view.notes(),
        }
    }
}

impl From<&Metadata> for Attributes {
    fn from(found: &Metadata) -> Self {
        let (uid, gid) = (found.owner.uid, found.owner.gid);
        Self { mode: format!("{:04o}", found.mode), uid, gid, size: found.size }
    }
}
