//! What is said of a job that has failed.

use super::{UnitName, jobs::Verb};
use crate::System;
use crate::command_output::excerpt;
use crate::system::{Command, Interrupted, Systemd};
use anyhow::{Result, anyhow};

/// Says why the job for a unit failed: its result, how the processes of the unit ended, and the last lines of
/// its journal.
pub(super) fn failure(
    sys: &System,
    systemd: &mut Systemd,
    verb: Verb,
    unit: &UnitName,
    result: &str,
) -> Result<anyhow::Error> {
    let reason = match result {
        "failed" => "it has failed",
        "timeout" => "it has taken too long",
        "dependency" => "a unit that it needs has not started",
        "canceled" => "another request has taken the place of this one",
        "invalid" => "it is not running",
        "assert" => "an assertion of the unit (AssertPathExists= or the like) does not hold",
        "unsupported" => "this machine does not support it",
        "once" => "it runs only once, and already has",
        other => other,
    };
    let mut message = format!("cannot {} {unit}: {reason}", verb.as_str());
    if matches!(result, "failed" | "timeout")
        && let Some(ending) = ending(systemd, unit)
    {
        message += &format!(" ({ending})");
    }
    if result != "invalid"
        && let Some(said) = journal(sys, systemd, unit)?
    {
        message += &format!("; the end of its journal:\n{said}");
    }
    Ok(anyhow!(message))
}

/// How the unit ended, in the words of systemd: `exit-code, status 3`.
fn ending(systemd: &mut Systemd, unit: &UnitName) -> Option<String> {
    let kind = unit.kind();
    let kind = kind.get(..1)?.to_uppercase() + &kind[1..];
    let result: String = systemd.unit_property(unit.as_str(), &kind, "Result").ok()?;
    if kind != "Service" {
        return Some(result);
    }
    let status: i32 = systemd.unit_property(unit.as_str(), &kind, "ExecMainStatus").ok()?;
    Some(match result.as_str() {
        "exit-code" => format!("{result}, status {status}"),
        "signal" | "core-dump" => format!("{result}, signal {status}"),
        _ => result,
    })
}

/// The last lines of the journal of a unit, since it was last started, if there are any to be had.
fn journal(sys: &System, systemd: &mut Systemd, unit: &UnitName) -> Result<Option<String>> {
    let invocation: Vec<u8> =
        systemd.unit_property(unit.as_str(), "Unit", "InvocationID").unwrap_or_default();
    let invocation: String = invocation.iter().map(|byte| format!("{byte:02x}")).collect();
    let which = match invocation.as_str() {
        // It was never started: a unit that it needs has failed.
        "" => vec![format!("--unit={unit}")],
        // What it says, and what systemd says of it.
        id => vec![format!("_SYSTEMD_INVOCATION_ID={id}"), "+".to_owned(), format!("INVOCATION_ID={id}")],
    };
    let how = ["-b", "-n", "10", "-o", "cat", "--no-pager", "-q"].map(str::to_owned);
    let command = Command::new(format!("journalctl -u {unit}"), "journalctl");
    let command = how.into_iter().chain(which).fold(command, Command::argument);
    match sys.ask(&command) {
        Ok(Some(output)) if output.success() => {
            let said = excerpt(&String::from_utf8_lossy(&output.stdout));
            Ok(Some(said).filter(|said| !said.is_empty()))
        }
        Err(error) if error.is::<Interrupted>() => Err(error),
        // There may be no journal.
        _ => Ok(None),
    }
}
