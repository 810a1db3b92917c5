//! Keeping the reports of this boot for those that come.
//!
//! After each stage the file of this boot is replaced by one with all that `/run/cosette` holds: a stage that ran
//! before there was a place for it is brought along by the next, and one that runs again has one report. The file has
//! its name when it is complete, and nothing waits for the disk.
//!
//! **Architecture invariant:** nothing is kept of trees, of containers without systemd, and of the initramfs itself.

use super::boots::{DIRECTORY, Kept, LARGEST, is_there, kept, running};
use super::store;
use anyhow::{Result, bail};
use cosette_plugins::system::{File, Mode, is_read_only};
use cosette_plugins::{System, records};

/// Of so many boots reports are kept, this one among them.
const BOOTS: usize = 10;

/// How the name begins of what a power cut has left behind.
const LEFTOVER: &str = ".cosette-";

/// Keeps the reports of this boot where they outlive it, if there is such a place: the first that is not read-only.
pub fn keep(sys: &System) -> Result<()> {
    let booted = sys.mode() == Mode::Apply && sys.is_own_kernel() && sys.exists("/run/systemd/system")?;
    if !booted || sys.exists("/etc/initrd-release")? {
        return Ok(());
    }
    let Some(id) = running(sys) else { return Ok(()) };
    let (kept, _) = kept(sys);
    let (text, left_out) = reports(sys)?;
    if text.is_empty() {
        return Ok(());
    }
    for place in records::LASTING {
        if !records::may_take(place, sys)? {
            continue;
        }
        let done = replace(&format!("{place}/{DIRECTORY}"), &id, text.clone(), &kept, sys);
        sys.take_effects();
        match done {
            Err(error) if is_read_only(&error) => {}
            Err(error) => return Err(error),
            Ok(()) => break,
        }
    }
    if !left_out.is_empty() {
        bail!("{} would make it larger than 1 MiB", left_out.join(", "));
    }
    Ok(())
}

/// All reports of this boot, each on a line, and the names of those for which there is no room.
fn reports(sys: &System) -> Result<(Vec<u8>, Vec<String>)> {
    let (mut text, mut left_out) = (Vec::new(), Vec::new());
    for name in store::names(sys)? {
        let Some(mut report) = sys.read(format!("{}/{name}", store::DIRECTORY))? else { continue };
        // One that is not ours may have lines.
        report.retain(|byte| *byte != b'\n');
        report.push(b'\n');
        if text.len() + report.len() > LARGEST {
            left_out.push(name);
        } else {
            text.append(&mut report);
        }
    }
    Ok((text, left_out))
}

/// Writes the file of this boot. If it is a new one, there is room for it first.
fn replace(directory: &str, id: &str, text: Vec<u8>, kept: &[Kept], sys: &System) -> Result<()> {
    if !is_there(directory, sys)? {
        // Left to the file, it would be closed to others.
        sys.create_dir(directory, None, None)?;
    }
    let mut here = kept.iter().filter(|kept| kept.directory == directory);
    let path = match here.find(|kept| kept.id == id) {
        Some(own) => own.path(),
        None => {
            make_room(directory, kept, sys)?;
            let latest = kept.last().map_or(0, |kept| kept.number);
            format!("{directory}/{:06}-{id}.jsonl", latest.saturating_add(1))
        }
    };
    sys.write(File::new(path, text).mode(0o600))?;
    Ok(())
}

fn make_room(directory: &str, kept: &[Kept], sys: &System) -> Result<()> {
    let here: Vec<&Kept> = kept.iter().filter(|kept| kept.directory == directory).collect();
    for oldest in here.iter().take((here.len() + 1).saturating_sub(BOOTS)) {
        sys.remove(oldest.path())?;
    }
    for name in sys.read_dir(directory)?.unwrap_or_default() {
        if name.to_string_lossy().starts_with(LEFTOVER) {
            sys.remove(std::path::Path::new(directory).join(name))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests damage what is kept")]

    use super::*;
    use crate::report::boots::{self, Boot, Which};
    use crate::report::{Report, store::save};
    use cosette_plugins::testing::Machine;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    const HERE: &str = "/usr/local/.cosette/boots";

    fn machine(tree: &str) -> Machine {
        let machine = Machine::new(&format!("-- /run/systemd/system/\n{tree}"));
        machine.host.live_here();
        machine
    }

    fn id(number: usize) -> String {
        format!("{number:032x}")
    }

    /// What a machine does: it boots, and runs these stages.
    fn boot(machine: &Machine, number: usize, stages: &[&str]) -> Result<()> {
        let id = id(number);
        let dashed = [&id[..8], &id[8..12], &id[12..16], &id[16..20], &id[20..]].join("-");
        machine.host.kernel_file("/proc/sys/kernel/random/boot_id", &format!("{dashed}\n"));
        let _ = fs::remove_dir_all(machine.root().join("run/cosette"));
        let sys = machine.system(Mode::Apply);
        for (at, stage) in stages.iter().enumerate() {
            machine.host.kernel_file("/proc/uptime", &format!("{}.00 0.00\n", at + 2));
            save(&Report::new(stage, &sys, &[]), &sys)?;
            keep(&sys)?;
        }
        assert!(sys.take_effects().is_empty(), "it is no change of the machine");
        Ok(())
    }

    fn files(machine: &Machine, directory: &str) -> Vec<String> {
        let names = machine.system(Mode::Plan).read_dir(directory).unwrap().unwrap_or_default();
        names.into_iter().map(|name| name.into_string().unwrap()).collect()
    }

    fn stages(boot: &Boot) -> Vec<&str> {
        boot.reports.iter().map(|report| report.stage.as_str()).collect()
    }

    fn find(machine: &Machine, which: &str) -> Result<Boot> {
        boots::find(Some(&which.parse::<Which>().unwrap()), &machine.system(Mode::Plan))
    }

    #[test]
    fn the_reports_of_a_boot_are_there_in_the_next_whatever_ran_before_there_was_a_place() {
        let machine = machine("");
        boot(&machine, 1, &["rootfs", "mount"]).unwrap();
        assert!(!machine.root().join("usr/local").exists(), "nobody wants one");
        fs::remove_dir_all(machine.root().join("var")).unwrap();
        fs::create_dir_all(machine.root().join("usr/local")).unwrap();
        boot(&machine, 1, &["rootfs", "mount", "initramfs", "boot", "boot"]).unwrap();
        boot(&machine, 2, &["rootfs"]).unwrap();
        assert_eq!(
            files(&machine, HERE),
            [format!("000001-{}.jsonl", id(1)), format!("000002-{}.jsonl", id(2))]
        );
        let before = find(&machine, "-1").unwrap();
        assert_eq!(stages(&before), ["rootfs", "mount", "initramfs", "boot"]);
        assert!(before.errors.is_empty());
        assert_eq!((before.place.id.as_deref(), before.place.offset), (Some(&*id(1)), -1));
        assert_eq!(stages(&find(&machine, "0").unwrap()), ["rootfs"]);
        assert_eq!(find(&machine, &id(1)).unwrap().place, before.place);
        assert_eq!(find(&machine, "1").unwrap().place, before.place);
        assert_eq!(find(&machine, "2").unwrap().place.offset, 0);
        for missing in ["-2", "3", &id(3)] {
            let error = format!("{:#}", find(&machine, missing).err().unwrap());
            assert!(error.starts_with(&format!("of boot {missing} no reports are kept; ")), "{error}");
        }
        let mode = |path: &str| fs::metadata(machine.root().join(&path[1..])).unwrap().permissions().mode();
        assert_eq!(mode(HERE) & 0o7777, 0o755);
        assert_eq!(mode(&format!("{HERE}/000001-{}.jsonl", id(1))) & 0o7777, 0o600);
    }

    #[test]
    fn a_stage_that_runs_again_makes_nothing_grow() {
        let machine = machine("-- /usr/local/\n");
        boot(&machine, 1, &["boot", "reconcile"]).unwrap();
        let path = machine.root().join(&HERE[1..]).join(format!("000001-{}.jsonl", id(1)));
        let before = fs::read(&path).unwrap().len();
        let sys = machine.system(Mode::Apply);
        for _ in 0..20 {
            save(&Report::new("reconcile", &sys, &[]), &sys).unwrap();
            keep(&sys).unwrap();
        }
        assert_eq!((fs::read(&path).unwrap().len(), files(&machine, HERE).len()), (before, 1));
    }

    #[test]
    fn the_order_is_that_of_the_boots_whatever_the_clock_says_and_only_so_many_are_kept() {
        let machine = machine("-- /usr/local/\n");
        let sys = machine.system(Mode::Apply);
        for number in 1..=23 {
            boot(&machine, number, &[]).unwrap();
            // Each clock is before the one of the boot before.
            let started = format!("20{:02}-01-01T00:00:00.000Z", 50 - number);
            save(&Report { started, ..Report::new("fs", &sys, &[]) }, &sys).unwrap();
            keep(&sys).unwrap();
        }
        assert_eq!(files(&machine, HERE).len(), BOOTS);
        boot(&machine, 24, &["fs"]).unwrap();
        let (boots, _) = boots::earlier(&sys);
        let known: Vec<_> =
            boots.iter().map(|boot| (boot.place.id.clone().unwrap(), boot.place.offset)).collect();
        let expected: Vec<_> = (15..=23).map(|number| (id(number), number as i64 - 24)).collect();
        assert_eq!(known, expected);
    }

    #[test]
    fn trees_plans_containers_and_the_initramfs_keep_nothing() {
        let keeps = |machine: &Machine, mode: Mode| {
            machine.host.kernel_file("/proc/sys/kernel/random/boot_id", &id(1));
            let sys = machine.system(Mode::Apply);
            save(&Report::new("fs", &sys, &[]), &sys).unwrap();
            keep(&machine.system(mode)).unwrap();
            !files(machine, HERE).is_empty()
        };
        assert!(keeps(&machine("-- /usr/local/\n"), Mode::Apply));
        assert!(!keeps(&machine("-- /usr/local/\n"), Mode::Plan));
        assert!(!keeps(&machine("-- /usr/local/\n-- /etc/initrd-release\n"), Mode::Apply));
        assert!(!keeps(&Machine::new("-- /usr/local/\n-- /run/systemd/system/\n"), Mode::Apply));
        let container = Machine::new("-- /usr/local/\n");
        container.host.live_here();
        assert!(!keeps(&container, Mode::Apply));
        let nameless = machine("-- /usr/local/\n");
        save(&Report::new("fs", &nameless.system(Mode::Apply), &[]), &nameless.system(Mode::Apply)).unwrap();
        keep(&nameless.system(Mode::Apply)).unwrap();
        assert!(files(&nameless, HERE).is_empty());
    }

    #[test]
    fn what_is_damaged_or_foreign_hides_nothing_else() {
        let machine = machine("-- /usr/local/\n");
        for number in 1..=4 {
            boot(&machine, number, &["fs", "boot"]).unwrap();
        }
        let at = |name: &str| -> PathBuf { machine.root().join(&HERE[1..]).join(name) };
        let of = |number: usize| at(&format!("{number:06}-{}.jsonl", id(number)));
        let whole = fs::read(of(1)).unwrap();
        fs::write(of(1), &whole[..whole.len() - 20]).unwrap();
        fs::write(of(2), "").unwrap();
        fs::write(of(3), vec![b' '; LARGEST + 1]).unwrap();
        for name in ["notes", "x-1.jsonl", "+1-00000000000000000000000000000009.jsonl", "000009-short.jsonl"]
        {
            fs::write(at(name), "{").unwrap();
        }
        fs::create_dir(at(&format!("000005-{}.jsonl", id(5)))).unwrap();
        symlink("/etc/shadow", at(&format!("000006-{}.jsonl", id(6)))).unwrap();
        // The same boot once more.
        fs::write(at(&format!("000007-{}.jsonl", id(1))), &whole).unwrap();
        fs::write(at(".cosette-0123"), "half").unwrap();
        boot(&machine, 8, &["fs"]).unwrap();
        assert!(!at(".cosette-0123").exists(), "what a power cut has left behind is removed");
        let (boots, errors) = boots::earlier(&machine.system(Mode::Plan));
        assert!(errors.is_empty());
        let told: Vec<_> = boots
            .iter()
            .map(|boot| {
                let id = boot.place.id.as_deref().unwrap();
                (
                    &id[31..],
                    stages(boot),
                    boot.errors.iter().map(|error| format!("{error:#}")).collect::<String>(),
                )
            })
            .collect();
        let is = |at: usize, id: &str, stages: &[&str], error: &str| {
            assert_eq!((told[at].0, &*told[at].1), (id, stages));
            assert!(told[at].2.contains(error) && told[at].2.is_empty() == error.is_empty(), "{told:#?}");
        };
        is(0, "2", &[], "is empty");
        is(1, "3", &[], "is too large");
        is(2, "4", &["fs", "boot"], "");
        is(3, "5", &[], "is a directory, not a file");
        is(4, "6", &[], "is a symbolic link, not a file");
        is(5, "1", &["fs", "boot"], "");
        assert_eq!(told.len(), 6);
        fs::write(of(4), [&whole[..whole.len() - 20], b"\n\n{}\n", &whole].concat()).unwrap();
        let damaged = find(&machine, &id(4)).unwrap();
        assert_eq!((stages(&damaged), damaged.errors.len()), (vec!["fs", "boot", "boot"], 2));
        let error = format!("{:#}", damaged.errors[0]);
        assert!(error.contains("line 2 is not a report"), "{error}");
    }

    #[test]
    fn another_place_for_the_directory_and_one_that_others_may_write_to_are_refused() {
        let machine = machine("-- /usr/local/.cosette/\n-- /etc/\n");
        let directory = machine.root().join(&HERE[1..]);
        symlink("/etc", &directory).unwrap();
        let refused = |boot: Result<()>| format!("{:#}", boot.unwrap_err());
        assert_eq!(
            refused(boot(&machine, 1, &["fs"])),
            format!("{HERE} is a symbolic link, not a directory")
        );
        assert!(files(&machine, "/etc").is_empty());
        let error = find(&machine, "-1").err().unwrap().to_string();
        assert!(error.ends_with("boots is a symbolic link, not a directory"), "{error}");
        fs::remove_file(&directory).unwrap();
        fs::create_dir(&directory).unwrap();
        fs::set_permissions(&directory, PermissionsExt::from_mode(0o777)).unwrap();
        assert_eq!(refused(boot(&machine, 1, &["fs"])), format!("others may write to {HERE}"));
        assert!(files(&machine, HERE).is_empty());
        fs::remove_dir(&directory).unwrap();
        fs::write(&directory, "").unwrap();
        assert_eq!(refused(boot(&machine, 1, &["fs"])), format!("{HERE} is a file, not a directory"));
    }

    #[test]
    fn what_is_too_large_is_left_out_and_said_to_be() {
        let machine = machine("-- /usr/local/\n");
        boot(&machine, 1, &["boot"]).unwrap();
        let sys = machine.system(Mode::Apply);
        let large = Report { started: "x".repeat(LARGEST), ..Report::new("fs", &sys, &[]) };
        save(&large, &sys).unwrap();
        assert_eq!(keep(&sys).unwrap_err().to_string(), "fs.json would make it larger than 1 MiB");
        boot(&machine, 2, &["fs"]).unwrap();
        assert_eq!(stages(&find(&machine, "-1").unwrap()), ["boot"]);
    }

    #[test]
    fn the_other_place_goes_on_with_the_numbers() {
        let machine = machine("-- /usr/local/\n");
        boot(&machine, 1, &["fs"]).unwrap();
        fs::rename(machine.root().join("usr/local"), machine.root().join("usr/before")).unwrap();
        boot(&machine, 2, &["fs"]).unwrap();
        assert_eq!(files(&machine, "/var/lib/cosette/boots"), [format!("000001-{}.jsonl", id(2))]);
        fs::rename(machine.root().join("usr/before"), machine.root().join("usr/local")).unwrap();
        boot(&machine, 3, &["fs"]).unwrap();
        assert_eq!(files(&machine, HERE).len(), 2);
        assert_eq!(find(&machine, "-1").unwrap().place.id, Some(id(2)));
    }

    #[test]
    fn the_start_of_a_boot_is_told_by_the_clock_of_the_latest_stage() {
        let machine = machine("-- /usr/local/\n");
        boot(&machine, 1, &["rootfs", "boot"]).unwrap();
        let sys = machine.system(Mode::Apply);
        let started = |began: &str, uptime: Option<f64>| {
            let report =
                Report { started: began.to_owned(), uptime_ms: uptime, ..Report::new("boot", &sys, &[]) };
            save(&report, &sys).unwrap();
            boots::this(&sys).unwrap().place.started.unwrap()
        };
        assert_eq!(started("2026-03-01T00:01:00.500Z", Some(60_000.0)), "2026-03-01T00:00:00Z");
        // What cannot be is not taken.
        for (began, uptime) in [
            ("yesterday", Some(3e3)),
            ("1970-01-01T00:00:01Z", Some(9e3)),
            ("2026-03-01T00:01:00Z", Some(-1.0)),
        ] {
            assert_eq!(started(began, uptime), "2026-01-02T03:04:03Z", "{began}");
        }
    }

    /// What an earlier version has kept stays readable: a line is added here for each version, and none is changed.
    #[test]
    fn reports_of_earlier_versions_are_read() {
        let machine = machine("");
        let lines = [
            r#"{"stage":"boot","result":"failed","started":"2026-01-02T03:04:05.000Z","uptime_ms":9000.0,"duration_ms":12.5,"programs_ms":8.0,"processor_ms":2.5,"summary":{"steps":2,"applied":1,"skipped":0,"failed":1,"changed":1},"diagnostics":[{"severity":"warning","source":"/oem/a.yaml","line":4,"column":7,"message":"unknown key","help":"remove it"}],"steps":[{"name":"Greeting","document":"/oem/a.yaml","line":3,"stage":"boot.after","outcome":"applied","reason":null,"duration_ms":10.0,"programs_ms":8.0,"effects":[{"plugin":"files","action":"write","target":"/etc/motd","changed":true,"before":"nothing"}],"errors":[]}]}"#,
        ];
        fs::create_dir_all(machine.root().join(&HERE[1..])).unwrap();
        fs::set_permissions(machine.root().join(&HERE[1..]), PermissionsExt::from_mode(0o755)).unwrap();
        let path = machine.root().join(&HERE[1..]).join(format!("000001-{}.jsonl", id(1)));
        fs::write(path, lines.join("\n")).unwrap();
        let boot = find(&machine, "-1").unwrap();
        assert!(boot.errors.is_empty(), "{:#?}", boot.errors);
        assert_eq!(boot.reports.len(), lines.len());
    }
}
