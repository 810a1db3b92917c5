//! Jobs: what the running systemd is asked to do with units, and what comes of it.
//!
//! The jobs of all units of a verb are queued before any is waited for, so that those that wait for each other
//! can go on. A job that cannot begin before the unit that this process belongs to has started (or stopped, ...)
//! is never waited for: neither would ever end.

use super::UnitName;
use super::failure::failure;
use crate::System;
use crate::system::{Refusal, Systemd};
use anyhow::{Result, anyhow};
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

/// How often it is looked whether a job still can begin.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// What shall be done with a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Stop it.
    Stop,
    /// Start it.
    Start,
    /// Stop it, if it runs, and start it.
    Restart,
    /// The same, but only if it runs.
    TryRestart,
    /// Have it read its configuration again.
    Reload,
    /// The same, or else restart it, but only if it runs.
    TryReloadOrRestart,
}

impl Verb {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Start => "start",
            Self::Restart => "restart",
            Self::TryRestart => "try-restart",
            Self::Reload => "reload",
            Self::TryReloadOrRestart => "try-reload-or-restart",
        }
    }

    fn method(self) -> &'static str {
        match self {
            Self::Stop => "StopUnit",
            Self::Start => "StartUnit",
            Self::Restart => "RestartUnit",
            Self::TryRestart => "TryRestartUnit",
            Self::Reload => "ReloadUnit",
            Self::TryReloadOrRestart => "ReloadOrTryRestartUnit",
        }
    }

    /// Whether this changes a unit in this state.
    fn changes(self, state: &str) -> bool {
        match self {
            Self::Stop | Self::TryRestart | Self::TryReloadOrRestart => {
                !matches!(state, "inactive" | "failed")
            }
            Self::Start => !matches!(state, "active" | "reloading" | "refreshing"),
            Self::Restart | Self::Reload => true,
        }
    }
}

/// Has the running systemd read all units again.
pub fn reload(sys: &System) -> Result<()> {
    if let Some(mut systemd) = sys.systemd()? {
        systemd.reload()?;
    }
    sys.record_systemd("daemon-reload".to_owned(), true);
    Ok(())
}

/// Asks the running systemd for one job, and waits for its end.
pub fn control_one(sys: &System, verb: Verb, unit: &str) -> Result<()> {
    let Some(mut systemd) = sys.systemd()? else {
        sys.record_systemd(format!("{} {unit}", verb.as_str()), true);
        return Ok(());
    };
    let mut result = Ok(());
    control(sys, &mut systemd, verb, &[&UnitName::parse(unit)?], |_, outcome| {
        result = outcome.and_then(|warning| warning.map_or(Ok(()), |warning| Err(anyhow!(warning))));
    })?;
    result
}

/// What came of the job for one unit: nothing to say, a warning, or an error.
pub type Outcome = Result<Option<String>>;

/// Asks for one job for each unit, waits for their ends, and reports what came of each, by the place of the unit
/// in the list. An error is what keeps systemd from being asked for anything more.
pub fn control(
    sys: &System,
    systemd: &mut Systemd,
    verb: Verb,
    units: &[&UnitName],
    mut report: impl FnMut(usize, Outcome),
) -> Result<()> {
    if units.is_empty() {
        return Ok(());
    }
    // Whoever has no unit, which systemd says in several ways, keeps nobody from starting.
    let own = refused(systemd.own_unit())?.ok();
    let mut queued = Vec::new();
    for (place, unit) in units.iter().enumerate() {
        let job = systemd.state(unit.as_str()).and_then(|state| {
            let id = systemd.queue(verb.method(), unit.as_str())?;
            Ok(Queued { place, unit, verb, id, changes: verb.changes(&state) })
        });
        match refused(job)? {
            Ok(job) => queued.push(job),
            Err(refusal) => report(place, explain(verb, unit, &refusal)),
        }
    }
    let until = Instant::now() + systemd.patience();
    while !queued.is_empty() {
        for job in queued.extract_if(.., |job| systemd.result(job.id).is_some()).collect::<Vec<_>>() {
            report(job.place, job.ended(sys, systemd)?);
        }
        let stuck = Queue::look(systemd, own.as_deref())?.stuck(systemd, &queued)?;
        for job in queued.extract_if(.., |job| stuck.contains(&job.id)) {
            let own = own.as_deref().unwrap_or_default();
            job.record(sys, &format!(" (queued, to be done after {own})"));
            report(job.place, Ok(None));
        }
        if Instant::now() >= until {
            break;
        }
        let ids: Vec<u32> = queued.iter().map(|job| job.id).collect();
        if !ids.is_empty() {
            systemd.wait_for_end(&ids, until.min(Instant::now() + LOOK_AGAIN))?;
        }
    }
    for job in queued {
        job.record(sys, "");
        let (unit, verb, waited) = (job.unit, verb.as_str(), systemd.patience().as_secs_f32());
        let message = format!("{unit}: the {verb} has not ended within {waited} s; systemd goes on with it");
        report(job.place, Ok(Some(message)));
    }
    Ok(())
}

/// A job that is to be waited for.
struct Queued<'u> {
    place: usize,
    unit: &'u UnitName,
    verb: Verb,
    id: u32,
    changes: bool,
}

impl Queued<'_> {
    fn record(&self, sys: &System, note: &str) {
        sys.record_systemd(format!("{} {}{note}", self.verb.as_str(), self.unit), self.changes);
    }

    fn ended(&self, sys: &System, systemd: &mut Systemd) -> Result<Outcome> {
        self.record(sys, "");
        match systemd.result(self.id).unwrap_or_default().to_owned().as_str() {
            // A start of what is active already, or a condition that does not hold.
            "done" | "skipped" => Ok(Ok(None)),
            result => Ok(Err(failure(sys, systemd, self.verb, self.unit, result)?)),
        }
    }
}

/// The jobs of systemd at some moment.
struct Queue {
    /// Those that have not begun.
    waiting: BTreeSet<u32>,
    /// The one of the unit that this process belongs to.
    own: Option<u32>,
}

impl Queue {
    fn look(systemd: &mut Systemd, own: Option<&str>) -> Result<Self> {
        let Some(own) = own else { return Ok(Self { waiting: BTreeSet::new(), own: None }) };
        let jobs = systemd.jobs()?;
        Ok(Self {
            own: jobs.iter().find(|job| job.unit == own).map(|job| job.id),
            waiting: jobs.iter().filter(|job| job.is_waiting).map(|job| job.id).collect(),
        })
    }

    /// Those of the jobs that are, or in however many steps wait for, the job of the own unit.
    fn stuck(&self, systemd: &mut Systemd, queued: &[Queued<'_>]) -> Result<BTreeSet<u32>> {
        let mut stuck = BTreeSet::new();
        let Some(own) = self.own else { return Ok(stuck) };
        let mut known: HashMap<u32, Vec<u32>> = HashMap::new();
        for job in queued {
            let (mut seen, mut to_see) = (BTreeSet::from([job.id]), vec![job.id]);
            while let Some(id) = to_see.pop() {
                if id == own {
                    stuck.insert(job.id);
                    break;
                }
                if !self.waiting.contains(&id) {
                    continue;
                }
                let before = match known.entry(id) {
                    Entry::Occupied(known) => known.into_mut(),
                    Entry::Vacant(unknown) => {
                        // A job that has just ended, or a systemd before version 240, has no answer.
                        let before = refused(systemd.before(id))?.unwrap_or_default();
                        unknown.insert(before.into_iter().map(|job| job.id).collect())
                    }
                };
                to_see.extend(before.iter().filter(|id| seen.insert(**id)));
            }
        }
        Ok(stuck)
    }
}

/// Tells what systemd refuses, which concerns one unit, from what keeps it from being asked at all.
fn refused<T>(result: Result<T>) -> Result<Result<T, Refusal>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) => error.downcast::<Refusal>().map(Err),
    }
}

fn explain(verb: Verb, unit: &UnitName, refusal: &Refusal) -> Outcome {
    let name = refusal.name.rsplit('.').next().unwrap_or_default();
    if name == "NoSuchUnit" && verb == Verb::Stop {
        return Ok(Some(format!("there is no unit {unit} to stop")));
    }
    let remedy = match name {
        "NoSuchUnit" => "; is its name right, and is its package installed?",
        "UnitMasked" => "; `unmask` it first",
        "AccessDenied" | "InteractiveAuthorizationRequired" => "; run as root",
        "BadUnitSetting" | "LoadFailed" => "; `systemd-analyze verify` says more",
        _ => "",
    };
    Err(anyhow!("cannot {} {unit}: {}{remedy}", verb.as_str(), refusal.to_string().trim_end_matches('.')))
}
