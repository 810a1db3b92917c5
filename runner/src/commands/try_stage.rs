//! `cosette try`: stages run for real in a throw-away copy of a machine, then their changes are listed.

use super::run::execute;
use super::{
    Machine, exit_status, plan_of, plan_of_defaults, print_json, pull, sources, status_of, wrong_usage,
};
use crate::command_line::{Network, Options, Try};
use crate::report::{EffectReport, Progress, Report, Terminal, Tree};
use crate::sandbox::{self, Change, ChangeKind, Changes, Entry, Inside, Said, View, ViewHost};
use crate::stage::Documents;
use anyhow::{Context, Result, bail};
use cosette_plugins::effect::Diff;
use cosette_plugins::system::{Live, Metadata, Mode, Owner};
use cosette_plugins::{System, accounts};
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
        let terminal = (!options.json).then(|| options.terminal(Mode::Apply).only_steps());
        let progress = Progress::new(&prepared.stage, options.detail(), terminal, None, None);
        let report = execute(progress, prepared, &sys, |_| Ok(()))?;
        status = status.max(exit_status(&report, nothing_is_valid));
        tried.reports.push(report);
    }
    tried.said = host.take_said();
    tried.not_run = host.take_not_run();
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
        let name_of = |owner| name_of(&sys, owner);
        let tree = Tree::new(&tried.changes.files, &name_of, options.verbose);
        let _ = print(&mut options.terminal(Mode::Apply), &tried, &tree, &view, what);
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
    not_run: Vec<String>,
    changes: Changes,
}

impl Tried {
    /// What a view cannot have and was only said, each once: `set kernel parameter /proc/sys/vm/swappiness`.
    fn pretended(&self) -> Vec<String> {
        let effects = self.reports.iter().flat_map(|report| &report.steps).flat_map(|step| &step.effects);
        let is_told =
            |effect: &&EffectReport| effect.changed && effect.is_beyond_files() && effect.target != RELOAD;
        let line = |effect: &EffectReport| match effect.action.as_str() {
            // What systemd is asked for says what is done.
            "systemd" => effect.target.clone(),
            action => format!("{} {}{}", action.replace('-', " "), effect.target, value(effect)),
        };
        let mut told = Vec::new();
        for line in effects.filter(is_told).map(line).chain(self.not_run.iter().cloned()) {
            if !told.contains(&line) {
                told.push(line);
            }
        }
        told
    }
}

/// What follows from every change of a unit.
const RELOAD: &str = "daemon-reload";

/// `what` was tried on: `machine`, `tree` or `image`.
fn print(
    terminal: &mut Terminal<impl Write>,
    tried: &Tried,
    tree: &Tree,
    view: &View,
    what: &str,
) -> io::Result<()> {
    let changes = &tried.changes;
    if !tried.said.is_empty() {
        terminal.line("\nwhat programs printed:")?;
    }
    for said in &tried.said {
        terminal.said(&said.label, &said.text)?;
    }
    let pretended = tried.pretended();
    if changes.files.is_empty() && changes.hostname.is_none() && pretended.is_empty() {
        terminal.line(&format!("\nnothing would change on this {what}"))?;
    } else {
        terminal.line(&format!("\nwhat would change on this {what}:"))?;
    }
    if let Some((before, after)) = &changes.hostname {
        terminal.change("host name", &format!("{before} -> {after}"))?;
    }
    for effect in &pretended {
        terminal.change("would", effect)?;
    }
    for user in users(changes) {
        terminal.change("user", &user)?;
    }
    for unit in units(changes) {
        terminal.change("unit", &unit)?;
    }
    if !changes.files.is_empty() {
        terminal.change("files", &tree.numbers())?;
        tree.print(terminal)?;
    }
    for note in view.notes() {
        terminal.line(&format!("note: {note}"))?;
    }
    terminal.line(&format!("the {what} itself is as it was"))
}

/// The value of a parameter of the kernel before and after: `: 60 -> 10`.
fn value(effect: &EffectReport) -> String {
    let Some(Diff::Text { before, after }) = &effect.diff else { return String::new() };
    match before {
        Some(before) => format!(": {} -> {}", before.trim_end(), after.trim_end()),
        None => format!(": {}", after.trim_end()),
    }
}

/// An owner as the accounts of the tree call it: by numbers, if they do not.
fn name_of(sys: &System, owner: Owner) -> String {
    let user = accounts::user_by_id(sys, owner.uid).ok().flatten();
    let group = accounts::group_by_id(sys, owner.gid).ok().flatten();
    let user = user.map_or_else(|| owner.uid.to_string(), |user| user.name);
    format!("{user}:{}", group.map_or_else(|| owner.gid.to_string(), |group| group.name))
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
        let directory = below.parent()?.to_str()?;
        let target = directory.strip_suffix(".wants").or_else(|| directory.strip_suffix(".requires"));
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

/// What came of it, as JSON: the report of the stage and what changed; of several stages, the reports.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    report: Option<&'a Report>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stages: Option<&'a [Report]>,
    /// Host name before and after, if it was changed.
    hostname: Option<&'a (String, String)>,
    /// What a view cannot have and was only said.
    would: Vec<String>,
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
            would: tried.pretended(),
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
