//! Where reports are kept: `/run/cosette/STAGE.json`, which survives the switch of root.

use super::Report;
use anyhow::{Context, Result};
use cosette_plugins::System;
use cosette_plugins::system::File;

/// The directory of the reports. It is made anew at each boot, as all of `/run`.
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
    for name in sys.read_dir(DIRECTORY)?.unwrap_or_default() {
        let path = format!("{DIRECTORY}/{}", name.to_string_lossy());
        if !path.ends_with(".json") {
            continue;
        }
        match read(&path, sys) {
            Ok(report) => reports.extend(report),
            Err(error) => errors.push(error),
        }
    }
    reports.sort_by(|one, other| one.started.cmp(&other.started));
    Ok((reports, errors))
}

fn read(path: &str, sys: &System) -> Result<Option<Report>> {
    let Some(json) = sys.read(path)? else { return Ok(None) };
    serde_json::from_slice(&json).map(Some).with_context(|| format!("{path} is not a report"))
}
