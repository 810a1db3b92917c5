//! `cosette rollback`: the passive system becomes the active one, or another one is booted once.

use super::failure::{Class, Classify as _};
use super::operation::{Event, Name, Operation};
use super::outcome::{Outcome, Planned};
use super::session::Session;
use crate::boot::Booted;
use anyhow::{Result, anyhow};
use cosette_plugins::System;

/// What is asked for.
pub struct Request {
    /// Only for the next boot.
    pub once: bool,
    /// Which system, for one boot.
    pub to: Booted,
    /// Only show what would be done.
    pub dry_run: bool,
}

/// Does it.
pub fn rollback(sys: &System, request: &Request, tell: &mut dyn FnMut(Event<'_>)) -> Result<Outcome> {
    let mut session = if request.dry_run { Session::look(sys)? } else { Session::begin(sys)? };
    let slot = request.to;
    if !session.systems.is_there(slot)? {
        return Err(anyhow!("there is no {} system", slot.as_str())).class(Class::NotThere);
    }
    let mut outcome = Outcome::new(Name::Rollback, request.dry_run);
    outcome.slot = Some(slot);
    let operation = if request.once { once(slot) } else { exchange(session.booted) };
    outcome.steps = operation.steps().iter().map(|step| Planned::new(step.name, &step.detail)).collect();
    if request.dry_run {
        outcome.warnings = session.end();
        return Ok(outcome);
    }
    let ended = operation.run(sys, &mut session, tell);
    if ended.is_err()
        && let Err(error) = session.systems.converge()
    {
        tell(Event::Warning(&format!("not all could be cleaned up, the next run will: {error:#}")));
    }
    if !request.once {
        outcome.slot = Some(Booted::Active);
        outcome.record = session.systems.known.active.clone();
    }
    let warnings = session.end();
    outcome.after(ended, warnings, tell)
}

fn once<'s>(slot: Booted) -> Operation<'static, Session<'s>> {
    let detail = format!("the next boot, and only that, is of the {} system", slot.as_str());
    Operation::new(Name::Rollback).step("boot-loader", detail, move |session: &mut Session<'s>| {
        session.systems.tell(|environment| environment.set_next(slot))
    })
}

fn exchange<'s>(booted: Option<Booted>) -> Operation<'static, Session<'s>> {
    // What runs has proved itself; what does not has to.
    let is_proved = booted == Some(Booted::Passive);
    let intent = match is_proved {
        true => "state.yaml",
        false => "state.yaml, and 3 attempts for the new active system in the boot loader",
    };
    Operation::new(Name::Rollback)
        .step("intent", intent, move |session: &mut Session<'s>| session.systems.intend_exchange(is_proved))
        .step("switch", "active.img and passive.img change their names", |session: &mut Session<'s>| {
            session.systems.switch()
        })
}
