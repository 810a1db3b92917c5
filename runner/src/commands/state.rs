//! `cosette state`: the systems of this machine.

use super::{print_json, status_of};
use crate::boot::Booted;
use crate::command_line::{Options, State};
use crate::lifecycle::boot_loader::Environment;
use crate::lifecycle::failure::{Class, Classify as _};
use crate::lifecycle::operation::{Name, Running};
use crate::lifecycle::outcome::Shown;
use crate::lifecycle::partitions::BOOTED;
use crate::lifecycle::session::{Session, require_booted};
use crate::lifecycle::state::State as Known;
use crate::lifecycle::upgrade::shown;
use crate::report::size;
use crate::sentinels;
use anyhow::Result;
use cosette_plugins::System;
use cosette_plugins::system::Mode;
use serde::Serialize;
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};

/// What is shown.
#[derive(Serialize)]
struct Machine {
    booted: Option<&'static str>,
    next: Option<&'static str>,
    /// How many attempts the active system has left; nothing if it is good.
    attempts: Option<u8>,
    slots: Vec<Slot>,
    running: Option<Running>,
    /// What an interrupted operation has left to be done.
    pending: Option<String>,
    warnings: Vec<String>,
}

#[derive(Serialize)]
struct Slot {
    name: &'static str,
    present: bool,
    #[serde(flatten)]
    known: Option<Shown>,
    #[serde(skip)]
    line: String,
}

const SLOTS: [Booted; 3] = [Booted::Active, Booted::Passive, Booted::Recovery];

/// Shows the systems, or says that the one that was booted is good.
pub(super) fn state(options: &Options, arguments: &State) -> Result<u8> {
    let done = if arguments.good { good(options) } else { show(options, arguments) };
    match done {
        Ok(()) => Ok(status_of::DONE),
        Err(error) => options.failed(Name::State, &error),
    }
}

fn show(options: &Options, arguments: &State) -> Result<()> {
    let (machine, known) = match options.machine() {
        Ok((sys, _mounts)) => {
            let session = Session::look(&sys)?;
            let systems = &session.systems;
            let environment = systems.environment();
            let is_there = |slot| systems.is_there(slot).unwrap_or(false);
            let mut machine = Machine::of(&sys, &systems.known, environment, is_there)?;
            let known = systems.known.clone();
            machine.warnings.extend(session.end());
            (machine, known)
        }
        // Whoever is not root sees what is mounted.
        Err(_) => {
            let sys = options.system(Mode::Plan)?;
            let points = BOOTED.map(PathBuf::from);
            let (known, warnings) = Known::load(&sys, &points);
            let is_there = |slot: Booted| {
                let path = |point: &PathBuf| point.join(format!("cOS/{}.img", slot.as_str()));
                points.iter().any(|point| sys.exists(path(point)).unwrap_or(false))
            };
            let environment = crate::lifecycle::boot_loader::read(&sys, Path::new(BOOTED[0]));
            let mut machine = Machine::of(&sys, &known, environment, is_there)?;
            machine.warnings.extend(warnings);
            machine.warnings.push("only root sees partitions that are not mounted".to_owned());
            (machine, known)
        }
    };
    if arguments.as_yaml {
        let _ = write!(stdout(), "{}", known.to_text());
        return Ok(());
    }
    if options.json {
        return print_json(&machine);
    }
    for warning in &machine.warnings {
        let _ = writeln!(stderr(), "warning: {warning}");
    }
    // A reader that has gone away is no failure.
    let _ = machine.print(&mut stdout().lock());
    Ok(())
}

/// Tells the boot loader that the system that was booted is good, and brings to an end what was interrupted.
fn good(options: &Options) -> Result<()> {
    let (sys, _mounts) = options.machine()?;
    let booted = require_booted(sentinels::booted(&sys))?;
    let needed = {
        let session = Session::look(&sys)?;
        let mut environment = session.systems.environment().class(Class::BootLoader)?;
        let before = environment.clone();
        environment.set_good(booted);
        environment != before || session.systems.known.pending.is_some()
    };
    if !needed {
        return Ok(());
    }
    let mut session = Session::begin(&sys)?;
    session.systems.tell(|environment| environment.set_good(booted))?;
    for warning in session.end() {
        let _ = writeln!(stderr(), "warning: {warning}");
    }
    if !options.quiet && !options.json {
        let _ = writeln!(stdout(), "the {} system is good", booted.as_str());
    }
    Ok(())
}

impl Machine {
    fn of(
        sys: &System,
        known: &Known,
        environment: Result<Environment>,
        is_there: impl Fn(Booted) -> bool,
    ) -> Result<Self> {
        let mut warnings = Vec::new();
        let environment = environment.map_err(|error| warnings.push(format!("{error:#}"))).ok();
        let slot = |slot: Booted| {
            let known = known.slot(slot);
            let line = match known {
                None => "nothing is known of it".to_owned(),
                Some(known) => {
                    let size = known.bytes.map(|bytes| format!(", {}", size(bytes)));
                    let file_system = known.file_system.as_deref().map(|name| format!(", {name}"));
                    let date = known.date.as_deref().map(|date| format!(", {date}"));
                    [Some(shown(known)), date, file_system, size].into_iter().flatten().collect()
                }
            };
            Slot { name: slot.as_str(), present: is_there(slot), known: known.map(Shown::of), line }
        };
        Ok(Self {
            booted: sentinels::booted(sys).map(Booted::as_str),
            next: environment.as_ref().map(|environment| environment.boots_next().as_str()),
            attempts: environment.as_ref().and_then(Environment::attempts),
            slots: SLOTS.map(slot).into(),
            running: Running::find(sys)?,
            pending: known.pending.as_ref().map(|pending| pending.slot.clone()),
            warnings,
        })
    }

    fn print(&self, out: &mut impl Write) -> std::io::Result<()> {
        for slot in &self.slots {
            let mut notes = Vec::new();
            if self.booted == Some(slot.name) {
                notes.push("booted".to_owned());
            }
            if slot.name == "active" {
                notes.push(match self.attempts {
                    None => "good".to_owned(),
                    Some(0) => "given up after three attempts".to_owned(),
                    Some(left) => format!("tentative, {left} attempts left"),
                });
            }
            if !slot.present {
                notes = vec!["missing".to_owned()];
            }
            let notes = if notes.is_empty() { String::new() } else { format!(" [{}]", notes.join(", ")) };
            writeln!(out, "{:<9} {}{notes}", slot.name, slot.line)?;
        }
        if let Some(next) = self.next {
            writeln!(out, "next boot {next}")?;
        }
        if let Some(running) = &self.running {
            writeln!(out, "running   {running}")?;
        }
        if let Some(pending) = &self.pending
            && self.running.is_none()
        {
            writeln!(out, "pending   the switch of {pending} was interrupted: the next operation ends it")?;
        }
        Ok(())
    }
}
