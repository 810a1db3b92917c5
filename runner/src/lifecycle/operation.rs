//! Operations: lists of named steps, computed before anything is done.
//!
//! A dry run prints the list. Between any two steps a signal ends the operation, and so does, in tests, a failpoint.
//! While one runs, `/run/cosette/operation` says how far it is, for `cosette state` and `cosette status`; its lock keeps
//! others out. An operation that concerns no machine, as the making of an image, is not told of there.

use super::failure::{Class, Classify as _};
use crate::report::store::DIRECTORY;
use anyhow::{Context as _, Result, anyhow};
use cosette_plugins::System;
use cosette_plugins::image::Progress;
use cosette_plugins::system::{File, Held, Lock, stop};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// Where the running operation is told of. It is no report of a stage.
const RUNNING: &str = "operation";

/// What the lock is held on.
const LOCK: &str = "/run/cosette/operation.lock";

/// The operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Name {
    /// Puts a system onto a disk.
    Install,
    /// Makes the image of a disk with a system.
    BuildDisk,
    /// Renews the active system.
    Upgrade,
    /// Renews the recovery system.
    UpgradeRecovery,
    /// Makes active and passive system anew.
    Recover,
    /// Makes the passive system the active one.
    Rollback,
    /// Tells of the systems.
    State,
}

impl Name {
    /// As a person types it, and as state.yaml has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::BuildDisk => "build-disk",
            Self::Upgrade => "upgrade",
            Self::UpgradeRecovery => "upgrade-recovery",
            Self::Recover => "recover",
            Self::Rollback => "rollback",
            Self::State => "state",
        }
    }

    /// Whether it is one of those of which a machine has one at a time.
    fn is_of_machine(self) -> bool {
        self != Self::BuildDisk
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What an operation tells of itself while it runs.
#[derive(Clone, Debug)]
pub enum Event<'a> {
    /// A step begins: its number from 1, of how many, its name and what it does.
    Step(usize, usize, &'a str, &'a str),
    /// A step fetches something: so many bytes of all are here.
    Fetched(u64, u64),
    /// Something is not as it should be, but that is no reason to fail.
    Warning(&'a str),
}

/// Whoever is told.
pub type Tell<'t> = dyn FnMut(Event<'_>) + 't;

/// The progress of a transfer within a step.
pub struct Fetching<'t, 'u>(pub &'t mut Tell<'u>);

impl Progress for Fetching<'_, '_> {
    fn advanced(&mut self, done: u64, all: u64) {
        (self.0)(Event::Fetched(done, all));
    }
}

/// What a step does.
type Act<'a, T> = Box<dyn FnOnce(&mut T, &mut Tell<'_>) -> Result<()> + 'a>;

/// One step.
pub struct Step<'a, T> {
    /// Its name, a word or two.
    pub name: &'static str,
    /// What it does, for a person.
    pub detail: String,
    run: Act<'a, T>,
}

/// The steps of an operation on a `T`, which holds what one step leaves to the next.
pub struct Operation<'a, T> {
    name: Name,
    steps: Vec<Step<'a, T>>,
}

impl<'a, T> Operation<'a, T> {
    /// An operation without steps.
    pub fn new(name: Name) -> Self {
        Self { name, steps: Vec::new() }
    }

    /// Adds a step.
    pub fn step(
        self,
        name: &'static str,
        detail: impl Into<String>,
        run: impl FnOnce(&mut T) -> Result<()> + 'a,
    ) -> Self {
        self.telling_step(name, detail, |on, _| run(on))
    }

    /// Adds a step that tells how far it is.
    pub fn telling_step(
        mut self,
        name: &'static str,
        detail: impl Into<String>,
        run: impl FnOnce(&mut T, &mut Tell<'_>) -> Result<()> + 'a,
    ) -> Self {
        self.steps.push(Step { name, detail: detail.into(), run: Box::new(run) });
        self
    }

    /// The steps, for a dry run.
    pub fn steps(&self) -> &[Step<'a, T>] {
        &self.steps
    }

    /// Takes the steps one after another, up to the first that fails. To clean up is the business of whoever made the
    /// `T`: of its `Drop`, or of what follows.
    pub fn run(self, sys: &System, on: &mut T, tell: &mut Tell<'_>) -> Result<()> {
        let of = self.steps.len();
        let mut running =
            Running { operation: self.name, process: std::process::id(), step: String::new(), number: 0, of };
        let is_of_machine = self.name.is_of_machine();
        let ended = self.steps.into_iter().enumerate().try_for_each(|(index, step)| {
            stop::check().map_err(anyhow::Error::from).class(Class::Interrupted)?;
            failpoint(sys)?;
            running.number = index + 1;
            step.name.clone_into(&mut running.step);
            if is_of_machine {
                running.save(sys);
            }
            tell(Event::Step(index + 1, of, step.name, &step.detail));
            (step.run)(on, tell).with_context(|| format!("{}: {}", self.name, step.name))
        });
        let ended = ended.and_then(|()| failpoint(sys));
        if is_of_machine {
            Running::forget(sys);
        }
        ended
    }
}

/// The operation that runs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Running {
    /// Which one.
    pub operation: Name,
    /// The number of its process.
    pub process: u32,
    /// The step it is at.
    pub step: String,
    /// The number of that step, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
}

impl Running {
    /// The operation that runs now, if one does. What one has left that was killed does not count: the lock is asked, or,
    /// by those who may not do that, whether its process is there.
    pub fn find(sys: &System) -> Result<Option<Self>> {
        let holder = sys.lock_holder(LOCK);
        if let Ok(None) = holder {
            return Ok(None);
        }
        let told = sys.read(format!("{DIRECTORY}/{RUNNING}"))?;
        let told: Option<Self> = told.and_then(|told| serde_json::from_slice(&told).ok());
        if holder.is_ok() {
            return Ok(told);
        }
        let is_there = |process: u32| {
            let found = sys.host().kernel_file(&PathBuf::from(format!("/proc/{process}/stat")));
            matches!(found, Ok(Some(_)))
        };
        Ok(told.filter(|told| is_there(told.process)))
    }

    fn save(&self, sys: &System) {
        let told = serde_json::to_vec(self).unwrap_or_default();
        // Nothing depends on it but what is shown, to everybody.
        let _ = sys.write(File::new(format!("{DIRECTORY}/{RUNNING}"), told).mode(0o644));
    }

    fn forget(sys: &System) {
        let _ = sys.remove(format!("{DIRECTORY}/{RUNNING}"));
    }
}

impl fmt::Display for Running {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { operation, process, step, number, of } = self;
        write!(f, "{operation} is running (process {process}): step {number} of {of}, {step}")
    }
}

/// Keeps other operations out for as long as it lives. One that runs already is an error at once.
pub fn lock(sys: &System) -> Result<Lock> {
    let locked = sys.lock_at_once(LOCK);
    if locked.is_ok() {
        // What one that was killed said last.
        Running::forget(sys);
    }
    locked
        .map_err(|error| match (error.downcast_ref::<Held>(), Running::find(sys)) {
            (Some(_), Ok(Some(running))) => anyhow!("{running}; wait until it has ended"),
            (Some(Held(holder)), _) => anyhow!("another operation is running: {holder}"),
            _ => error,
        })
        .class(Class::Busy)
}

/// A place where a test may end this process, or fail or stop it: `COSETTE_FAILPOINT=N` kills it at the Nth one, counted
/// from 1, `N:fail` lets that fail, and `N:term` sends SIGTERM. Only in builds for debugging.
pub fn failpoint(sys: &System) -> Result<()> {
    if cfg!(debug_assertions) { failpoints::reach(sys) } else { Ok(()) }
}

mod failpoints {
    use super::*;
    use nix::sys::signal::{Signal, raise};
    use std::sync::atomic::{AtomicUsize, Ordering};

    static REACHED: AtomicUsize = AtomicUsize::new(0);

    pub(super) fn reach(sys: &System) -> Result<()> {
        let Some(wanted) = sys.host().variable("COSETTE_FAILPOINT") else { return Ok(()) };
        let wanted = wanted.to_string_lossy().into_owned();
        let (number, what) = wanted.split_once(':').unwrap_or((&wanted, "kill"));
        if number.parse() != Ok(REACHED.fetch_add(1, Ordering::Relaxed) + 1) {
            return Ok(());
        }
        match what {
            "fail" => Err(anyhow!("failpoint {number}")),
            "term" => Ok(raise(Signal::SIGTERM)?),
            _ => Ok(raise(Signal::SIGKILL)?),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    #[test]
    fn steps_run_in_their_order_up_to_the_first_that_fails_and_are_told_of() {
        let machine = Machine::new("");
        let sys = machine.system(Mode::Apply);
        let operation = Operation::new(Name::Upgrade)
            .step("one", "the first", |done: &mut Vec<&str>| {
                done.push("one");
                assert!(sys.exists("/run/cosette/operation")?);
                Ok(())
            })
            .step("two", "the second", |_| Err(anyhow!("no")))
            .step("three", "the third", |done| {
                done.push("three");
                Ok(())
            });
        let names: Vec<_> = operation.steps().iter().map(|step| step.name).collect();
        assert_eq!(names, ["one", "two", "three"]);
        let (mut done, mut told) = (Vec::new(), Vec::new());
        let error = operation.run(&sys, &mut done, &mut |event| {
            if let Event::Step(number, of, name, _) = event {
                told.push(format!("{number}/{of} {name}"));
            }
        });
        assert_eq!(format!("{:#}", error.unwrap_err()), "upgrade: two: no");
        assert_eq!((done, told), (vec!["one"], vec!["1/3 one".to_owned(), "2/3 two".to_owned()]));
        assert!(!sys.exists("/run/cosette/operation").unwrap());
    }

    #[test]
    fn a_step_that_fetches_tells_how_far_it_is() {
        let machine = Machine::new("");
        let operation = Operation::new(Name::Upgrade).telling_step("fetch", "all", |(), tell| {
            (1..=3).for_each(|done| Fetching(tell).advanced(done, 3));
            Ok(())
        });
        let mut told = Vec::new();
        let mut tell = |event: Event<'_>| {
            if let Event::Fetched(done, all) = event {
                told.push((done, all));
            }
        };
        operation.run(&machine.system(Mode::Apply), &mut (), &mut tell).unwrap();
        assert_eq!(told, [(1, 3), (2, 3), (3, 3)]);
    }

    #[test]
    fn the_making_of_an_image_says_nothing_of_the_machine() {
        let machine = Machine::new("-- /run/cosette/operation\nof another one\n");
        let sys = machine.system(Mode::Apply);
        let told = || sys.read_text("/run/cosette/operation").unwrap().unwrap();
        let operation = Operation::new(Name::BuildDisk).step("one", "the first", |_| {
            assert_eq!(told(), "of another one\n");
            Ok(())
        });
        operation.run(&sys, &mut (), &mut |_| ()).unwrap();
        assert_eq!(told(), "of another one\n");
    }

    #[test]
    fn a_second_operation_is_refused_at_once_and_told_what_runs() {
        let machine = Machine::new("");
        let sys = machine.system(Mode::Apply);
        assert!(Running::find(&sys).unwrap().is_none());
        let lock_of_first = lock(&sys).unwrap();
        let running =
            Running { operation: Name::Upgrade, process: 7, step: "image".to_owned(), number: 4, of: 9 };
        running.save(&sys);
        let error = lock(&sys).unwrap_err();
        assert_eq!(crate::lifecycle::failure::class_of(&error), Some(Class::Busy));
        assert_eq!(
            format!("{error:#}"),
            "upgrade is running (process 7): step 4 of 9, image; wait until it has ended"
        );
        drop(lock_of_first);
        // What a killed operation has left tells nothing.
        assert!(Running::find(&sys).unwrap().is_none());
        lock(&sys).unwrap();
    }
}
