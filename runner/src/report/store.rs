//! Where reports are kept: `/run/cosette/STAGE.json`, which survives the switch of root.

use super::Report;
use anyhow::{Context, Result};
use cosette_plugins::System;
use cosette_plugins::system::File;

/// The directory of the reports. It is made anew at each boot, as all of `/run`; what is kept longer is in `boots`.
pub const DIRECTORY: &str = "/run/cosette";

/// What is said when there is no report to be read.
pub const NONE: &str = "no stage has run since boot, or its report is not readable by you";

/// Keeps a report, in the place of an earlier one of the same stage. Only root may read it: paths and errors
/// tell more about a machine than everybody needs to know.
pub fn save(report: &Report, sys: &System) -> Result<()> {
    let json = serde_json::to_vec(report).context("cannot write the report as JSON")?;
    let name = report.stage.replace('/', "_");
    sys.create_dir(DIRECTORY, Some(0o755), None)?;
    sys.write(File::new(format!("{DIRECTORY}/{name}.json"), json).mode(0o600))?;
    sys.take_effects();
    Ok(())
}

/// The reports of this boot, the earliest first, and what could not be read.
pub fn load(sys: &System) -> Result<(Vec<Report>, Vec<anyhow::Error>)> {
    let (mut reports, mut errors) = (Vec::new(), Vec::new());
    for name in names(sys)? {
        match read(&format!("{DIRECTORY}/{name}"), sys) {
            Ok(report) => reports.extend(report),
            Err(error) => errors.push(error),
        }
    }
    put_in_order(&mut reports);
    Ok((reports, errors))
}

/// The names of the files that hold reports.
pub(super) fn names(sys: &System) -> Result<Vec<String>> {
    let names = sys.read_dir(DIRECTORY)?.unwrap_or_default().into_iter();
    Ok(names.filter_map(|name| name.into_string().ok()).filter(|name| name.ends_with(".json")).collect())
}

/// Puts the reports of a boot in the order in which their stages began.
pub(super) fn put_in_order(reports: &mut [Report]) {
    // The clock may have been set in between.
    let uptime = |report: &Report| report.uptime_ms.unwrap_or_default();
    reports.sort_by(|one, other| {
        uptime(one).total_cmp(&uptime(other)).then_with(|| one.started.cmp(&other.started))
    });
}

fn read(path: &str, sys: &System) -> Result<Option<Report>> {
    let Some(json) = sys.read(path)? else { return Ok(None) };
    serde_json::from_slice(&json).map(Some).with_context(|| format!("{path} is not a report"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    #[test]
    fn the_earliest_is_the_first_whatever_the_clock_was_set_to() {
        let machine = Machine::new("");
        let sys = machine.system(Mode::Apply);
        for (stage, uptime, started) in [
            ("boot", "12.50 3.00\n", "2026-03-01T00:00:00.000Z"),
            ("rootfs", "2.31 3.00\n", "2027-01-01T00:00:00.000Z"),
            ("mount", "2.31 3.00\n", "2027-01-01T00:00:00.002Z"),
            ("initramfs", "9.00 3.00\n", "1970-01-01T00:00:00.000Z"),
            ("hostile", "never\n", "2026-01-01T00:00:00.000Z"),
        ] {
            machine.host.kernel_file("/proc/uptime", uptime);
            let report = Report { started: started.to_owned(), ..Report::new(stage, &sys, &[]) };
            save(&report, &sys).unwrap();
        }
        let (reports, errors) = load(&sys).unwrap();
        assert!(errors.is_empty());
        let order: Vec<_> = reports.iter().map(|report| (report.stage.as_str(), report.uptime_ms)).collect();
        assert_eq!(
            order,
            [
                ("hostile", None),
                ("rootfs", Some(2310.0)),
                ("mount", Some(2310.0)),
                ("initramfs", Some(9000.0)),
                ("boot", Some(12500.0)),
            ]
        );
    }
}
