//! The sentinels: files that say which system was booted, by which documents and units decide.
//!
//! They are there before any condition of the first stage is asked, also where an initramfs calls nothing but
//! `cosette run rootfs`.

use crate::boot::{Booted, ORIGIN, Parameters};
use crate::report::{Outcome, StepReport};
use anyhow::Result;
use cosette_plugins::System;
use cosette_plugins::system::File;
use cosette_schema::{Findings, Origin};
use std::path::Path;

/// The stages that are the first of a boot.
const STAGES: [&str; 2] = ["pre-rootfs", "rootfs"];

/// Where they are looked for: by documents of cOS, and by those of elemental.
const DIRECTORIES: [&str; 2] = ["/run/cos", "/run/elemental"];

const NAMES: [&str; 4] = ["active_mode", "passive_mode", "recovery_mode", "live_mode"];

/// Whether the stage begins a boot of this machine.
pub fn belong_to(stage: &str, sys: &System) -> bool {
    STAGES.contains(&stage) && sys.is_own_kernel()
}

/// Leaves the sentinels that the kernel command line asks for, and tells of it. Where there are any, somebody else has
/// decided, or an earlier stage, and they are respected.
pub fn leave(parameters: &Parameters, stage: &str, sys: &System) -> Option<StepReport> {
    let names: Vec<String> = parameters.sentinels().collect();
    if names.is_empty() {
        return None;
    }
    let mut step = StepReport::unplanned("Booted system", ORIGIN, stage);
    match there(sys) {
        Some(others) if !others.iter().all(|other| names.contains(other)) => {
            step.outcome = Outcome::Skipped;
            step.reason = Some(format!("{} is there already", others.join(", ")));
        }
        _ => {
            if let Err(error) = write(&names, sys) {
                let mut findings = Findings::new(Origin::new(ORIGIN));
                findings.error(None, format!("{error:#}"));
                step.add_findings(&findings.into_vec());
            }
            step.add_effects("sentinels", sys.take_effects());
        }
    }
    Some(step)
}

/// Which of the systems of the machine was booted, if it was one: by its sentinel, or else by the kernel command line.
pub fn booted(sys: &System) -> Option<Booted> {
    if let Some(names) = there(sys) {
        return names.iter().find_map(|name| Booted::named(name.strip_suffix("_mode")?));
    }
    let cmdline = sys.host().kernel_file(Path::new("/proc/cmdline")).ok().flatten()?;
    Parameters::parse(&String::from_utf8_lossy(&cmdline)).0.booted
}

/// The names of those that are there.
fn there(sys: &System) -> Option<Vec<String>> {
    let is_there =
        |name: &&str| DIRECTORIES.iter().any(|dir| matches!(sys.exists(format!("{dir}/{name}")), Ok(true)));
    let found: Vec<String> = NAMES.iter().copied().filter(is_there).map(str::to_owned).collect();
    (!found.is_empty()).then_some(found)
}

fn write(names: &[String], sys: &System) -> Result<()> {
    for directory in DIRECTORIES {
        for name in names {
            sys.write(File::new(format!("{directory}/{name}"), "1").default_mode(0o644))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    fn run(machine: &Machine, cmdline: &str) -> Option<StepReport> {
        leave(&Parameters::parse(cmdline).0, "rootfs", &machine.system(Mode::Apply))
    }

    #[test]
    fn the_booted_system_is_there_for_all_who_ask_and_stays() {
        let machine = Machine::new("");
        let step = run(&machine, "root=LABEL=COS_PASSIVE cos-img/filename=/cOS/passive.img").unwrap();
        assert_eq!((step.outcome, step.changed()), (Outcome::Applied, 5));
        let tree = "-- /run/cos/passive_mode no-newline\n1\n-- /run/elemental/passive_mode no-newline\n1\n";
        machine.assert_tree(tree);
        let again = run(&machine, "root=LABEL=COS_PASSIVE").unwrap();
        assert_eq!((again.outcome, again.changed()), (Outcome::Applied, 0));
    }

    #[test]
    fn what_somebody_else_has_decided_is_respected() {
        for path in ["/run/cos/recovery_mode", "/run/elemental/recovery_mode"] {
            let machine = Machine::new(&format!("-- {path}\n"));
            let step = run(&machine, "root=LABEL=COS_ACTIVE").unwrap();
            assert_eq!(
                (step.outcome, step.reason.as_deref()),
                (Outcome::Skipped, Some("recovery_mode is there already"))
            );
            machine.assert_tree("");
        }
    }

    #[test]
    fn a_boot_of_something_else_has_none_and_neither_has_another_stage_or_root() {
        let machine = Machine::new("");
        assert!(run(&machine, "root=UUID=1 ro quiet note=recovery_mode").is_none());
        let sys = machine.system(Mode::Apply);
        assert!(!belong_to("rootfs", &sys));
        machine.host.live_here();
        assert!(belong_to("rootfs", &sys) && belong_to("pre-rootfs", &sys) && !belong_to("boot", &sys));
        machine.assert_tree("");
    }

    #[test]
    fn one_that_cannot_be_written_is_an_error_and_not_the_end() {
        let machine = Machine::new("-- /run/cos\n");
        let step = run(&machine, "root=LABEL=COS_ACTIVE").unwrap();
        assert_eq!((step.outcome, step.errors.len()), (Outcome::Failed, 1));
    }
}
