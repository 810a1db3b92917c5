//! Which stages report in a boot: those whose units are enabled, and that are not those of the initramfs or of a timer.

use super::Report;
use super::store::DIRECTORY;
use anyhow::Result;
use cosette_plugins::System;
use std::path::Path;

/// Where units are enabled by links, and masked, by precedence.
const DIRECTORIES: [&str; 3] = ["/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system"];

/// The stages that have not ended yet, in their order, and whether any is enabled at all.
pub fn missing(sys: &System) -> Result<(Vec<&'static str>, bool)> {
    let enabled = enabled(sys)?;
    let mut missing = Vec::new();
    for stage in &enabled {
        if !sys.exists(format!("{DIRECTORY}/{stage}.json"))? {
            missing.push(*stage);
        }
    }
    Ok((missing, !enabled.is_empty()))
}

/// The stages of which an earlier boot has no report, as far as their units are enabled today: they had not ended.
pub fn without_report(reports: &[Report], sys: &System) -> Result<Vec<&'static str>> {
    let mut missing = enabled(sys)?;
    missing.retain(|stage| reports.iter().all(|report| report.stage != *stage));
    Ok(missing)
}

fn enabled(sys: &System) -> Result<Vec<&'static str>> {
    let mut enabled = Vec::new();
    for stage in ["fs", "boot", "network"] {
        if is_enabled(&format!("cos-setup-{stage}.service"), sys)? {
            enabled.push(stage);
        }
    }
    Ok(enabled)
}

fn is_enabled(unit: &str, sys: &System) -> Result<bool> {
    for directory in &DIRECTORIES[..2] {
        let masked = sys.read_link(format!("{directory}/{unit}")).ok().flatten();
        if masked.is_some_and(|target| target == Path::new("/dev/null")) {
            return Ok(false);
        }
    }
    for directory in DIRECTORIES {
        for name in sys.read_dir(directory)?.unwrap_or_default() {
            let name = name.to_string_lossy();
            if (name.ends_with(".wants") || name.ends_with(".requires"))
                && sys.symlink_metadata(format!("{directory}/{name}/{unit}"))?.is_some()
            {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    #[test]
    fn expected_are_the_stages_whose_units_are_enabled_and_not_masked() {
        let wanted = |target: &str, stage: &str| {
            let unit = format!("cos-setup-{stage}.service");
            format!("-- /etc/systemd/system/{target}.wants/{unit} -> /usr/lib/systemd/system/{unit}\n")
        };
        let missing_in = |tree: &str| missing(&Machine::new(tree).system(Mode::Plan)).unwrap();
        assert_eq!(missing_in(""), (vec![], false));
        let all = [
            ("initrd-root-fs.target", "rootfs"),
            ("sysinit.target", "fs"),
            ("multi-user.target", "boot"),
            ("a.target", "network"),
        ];
        let all: String = all.iter().map(|(target, stage)| wanted(target, stage)).collect();
        assert_eq!(missing_in(&all), (vec!["fs", "boot", "network"], true));
        let ended = format!("{all}-- /run/cosette/fs.json\n{{}}\n-- /run/cosette/boot.json\n{{}}\n");
        assert_eq!(missing_in(&ended), (vec!["network"], true));
        let masked = format!("{all}-- /etc/systemd/system/cos-setup-network.service -> /dev/null\n");
        assert_eq!(missing_in(&masked), (vec!["fs", "boot"], true));
    }
}
