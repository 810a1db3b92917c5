//! The power goes at any moment of an operation: its block writes are recorded, and played back up to every flush, to
//! points between, and with any of the writes missing that no flush has confirmed.
//!
//! Each disk that comes of it is looked at as GRUB reads it (by the code of GRUB, which does not replay the journal), and as
//! the kernel does. `COSETTE_POWER_SEED` chooses other points, `COSETTE_POWER_MORE` that many times as many.

use crate::machine::Machine;
use crate::recording::{Random, Recorder, Recording};
use cosette::lifecycle::boot_loader::Environment;
use cosette::lifecycle::state::State;
use cosette_plugins::testing::{has_programs, run};
use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: [&str; 5] = ["qemu-storage-daemon", "grub-fstest", "e2fsck", "fusermount3", "cp"];

/// The partitions in MiB: documents, state, recovery, persistent.
const SIZES: [u64; 4] = [16, 64, 40, 16];
const STATE: usize = 2;
const RECOVERY: usize = 3;
const SLOTS: [(usize, &str); 3] = [(STATE, "active"), (STATE, "passive"), (RECOVERY, "recovery")];

/// Points between two flushes, and disks with some of the writes between them, unless more are wanted.
const BETWEEN: usize = 1;
const PARTS: usize = 2;
/// After so many power cuts the operation runs again.
const AGAIN: usize = 3;

/// Where a partition begins, in bytes.
fn start(partition: usize) -> u64 {
    (1 + SIZES[..partition - 1].iter().sum::<u64>()) << 20
}

/// Whether the second half of a superblock begins there. ext4 relies on a disk that writes one as a whole: it does not come
/// from the journal alone, and nothing mounts a file system of which it is torn.
fn ends_superblock(at: usize) -> bool {
    (1..=SIZES.len()).any(|partition| start(partition) + 1536 == at as u64)
}

/// All whole images that there are, by their names.
#[derive(Default)]
struct Catalogue(Vec<(String, Vec<u8>)>);

impl Catalogue {
    /// Its name; a new one for one that is new.
    fn learn(&mut self, name: &str, image: Vec<u8>) -> String {
        if self.0.iter().all(|(_, known)| *known != image) {
            self.0.push((name.to_owned(), image.clone()));
        }
        self.name(&image)
    }

    fn name(&self, image: &[u8]) -> String {
        let known = self.0.iter().find(|(_, known)| known == image);
        known.map_or_else(|| format!("no whole image ({} bytes)", image.len()), |(name, _)| name.clone())
    }
}

/// What somebody sees on a disk.
#[derive(Debug)]
struct Seen {
    /// Active, passive, recovery: the names in the catalogue.
    systems: [String; 3],
    environment: Environment,
}

impl Seen {
    fn is(&self, allowed: &[[&str; 3]]) -> Result<(), String> {
        let is_one = allowed.iter().any(|systems| *systems == self.systems);
        if is_one { Ok(()) } else { Err(format!("{:?}", self.systems)) }
    }

    /// Whether a system that has not proved itself is counted, or not chosen.
    fn is_counted(&self, tentative: &str) -> Result<(), String> {
        let is_so = self.systems[0] != tentative || self.environment.attempts() == Some(3);
        if is_so { Ok(()) } else { Err(format!("{tentative} is active and not counted")) }
    }
}

/// A file on a partition, as GRUB reads it.
fn by_grub(disk: &Path, partition: usize, path: &str) -> Result<Vec<u8>, String> {
    let path = format!("(loop0,gpt{partition})/{path}");
    let output = Command::new("grub-fstest").arg(disk).args(["cat", &path]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() && said.is_empty() { Ok(output.stdout) } else { Err(said.trim().to_owned()) }
}

fn seen_by_grub(disk: &Path, catalogue: &Catalogue) -> Result<Seen, String> {
    let systems = SLOTS.map(|(partition, slot)| {
        by_grub(disk, partition, &format!("cOS/{slot}.img"))
            .map_or_else(|error| error, |image| catalogue.name(&image))
    });
    let environment = by_grub(disk, STATE, "grub_oem_env")?;
    let environment = Environment::parse(&environment).map_err(|error| error.to_string())?;
    Ok(Seen { systems, environment })
}

/// A partition, mounted as long as this lives.
struct Mounted(PathBuf);

impl Mounted {
    fn new(disk: &Path, partition: usize) -> Result<Self, String> {
        let point = disk.with_extension(format!("mounted{partition}"));
        std::fs::create_dir_all(&point).unwrap();
        let options = format!("loop,offset={},sizelimit={}", start(partition), SIZES[partition - 1] << 20);
        let output =
            Command::new("mount").args(["-t", "ext4", "-o", &options]).arg(disk).arg(&point).output();
        let output = output.unwrap();
        if output.status.success() {
            Ok(Self(point))
        } else {
            Err(format!("partition {partition}: {}", String::from_utf8_lossy(&output.stderr)))
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn seen_by_the_kernel(disk: &Path, catalogue: &Catalogue) -> Result<Seen, String> {
    let state = Mounted::new(disk, STATE)?;
    let recovery = Mounted::new(disk, RECOVERY)?;
    let read = |point: &Mounted, path: &str| {
        std::fs::read(point.0.join(path)).map_err(|error| format!("{path}: {error}"))
    };
    let systems = SLOTS.map(|(partition, slot)| {
        let point = if partition == STATE { &state } else { &recovery };
        read(point, &format!("cOS/{slot}.img")).map_or_else(|error| error, |image| catalogue.name(&image))
    });
    let environment = read(&state, "grub_oem_env")?;
    let environment = Environment::parse(&environment).map_err(|error| error.to_string())?;
    for point in [&state, &recovery] {
        let text = read(point, "state.yaml")?;
        let known = String::from_utf8(text).map_err(|error| error.to_string());
        known
            .and_then(|text| State::parse(&text).map(drop).map_err(|error| format!("state.yaml: {error}")))?;
    }
    drop((state, recovery));
    for partition in [STATE, RECOVERY] {
        let part = format!("{}?offset={}", disk.display(), start(partition));
        let output = Command::new("e2fsck").args(["-fn", &part]).output().unwrap();
        if output.status.code() != Some(0) {
            return Err(format!("partition {partition}: {}", String::from_utf8_lossy(&output.stdout)));
        }
    }
    Ok(Seen { systems, environment })
}

/// What may be seen: with the names of the systems before the operation and after it.
type Check = fn(&Seen, before: &[String; 3], after: &[String; 3]) -> Result<(), String>;

/// An operation, and what it may leave.
struct Operation<'a> {
    /// The system that runs.
    booted: &'a str,
    arguments: &'a [&'a str],
    check: Check,
    /// What is done when the power is back, and what it leads to is what the operation leads to.
    again: &'a [&'a str],
    /// Or to what there was before.
    may_be_undone: bool,
}

/// A number from the environment of the test.
fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |number| number.parse().unwrap())
}

/// Copies a disk to a new file: a loop device of the one that was there may not be gone yet, and remembers that.
fn copy(from: &Path, to: &Path) {
    let _ = std::fs::remove_file(to);
    run("cp", &["--sparse=always", &from.display().to_string(), &to.display().to_string()]);
}

/// Disks as power cuts leave them, and what was wrong with them.
struct Cuts<'a> {
    operation: &'a Operation<'a>,
    recording: Recording,
    catalogue: Catalogue,
    before: [String; 3],
    after: [String; 3],
    directory: &'a Path,
    /// How many there were: at a flush, between two, and with a part of the writes between two.
    counts: [usize; 3],
    failures: Vec<String>,
}

impl Cuts<'_> {
    fn disk(&self) -> PathBuf {
        self.directory.join("disk")
    }

    fn cut(&self) -> PathBuf {
        self.directory.join("cut")
    }

    /// Looks at the disk after this has happened since the last flush.
    fn look(&mut self, what: &str, happen: impl FnOnce(&Recording, &File)) {
        copy(&self.disk(), &self.cut());
        happen(&self.recording, &File::options().write(true).open(self.cut()).unwrap());
        for (who, look) in
            [("GRUB", seen_by_grub as fn(&Path, &Catalogue) -> _), ("the kernel", seen_by_the_kernel)]
        {
            let seen = look(&self.cut(), &self.catalogue);
            let is_right = seen.and_then(|seen| (self.operation.check)(&seen, &self.before, &self.after));
            if let Err(error) = is_right {
                self.failures.push(format!("{what}, {who}: {error}"));
            }
        }
    }

    /// Plays the record back. `again` does the operation again on a disk that is left, after a few of them.
    fn play(&mut self, random: &mut Random, more: usize, again: &mut dyn FnMut(&Path)) {
        let windows = std::mem::take(&mut self.recording.windows);
        let every = (windows.len() / (AGAIN * more)).max(1);
        let disk = File::options().write(true).open(self.disk()).unwrap();
        for (index, window) in windows.iter().enumerate() {
            let is_alone = window.len() == 1;
            for _ in 0..PARTS * more {
                // All that can become of one write is that it is torn, and there are many such.
                let is_torn = is_alone || random.below(2) == 0;
                if is_alone && random.below(4) != 0 {
                    continue;
                }
                let (upto, percent) = (1 + random.below(window.len()), random.below(100));
                let torn = if is_torn { ", torn" } else { "" };
                self.look(
                    &format!("flush {index}, {percent} % of {upto} writes{torn}"),
                    |recording, disk| {
                        let mut choose = || random.below(100) < percent;
                        for write in &window[..upto] {
                            if is_torn {
                                recording.replay(write, disk, ends_superblock, &mut choose);
                            } else if choose() {
                                recording.replay_all([write], disk);
                            }
                        }
                    },
                );
                self.counts[2] += 1;
            }
            for _ in 0..if is_alone { 0 } else { BETWEEN * more } {
                let upto = 1 + random.below(window.len() - 1);
                let what = format!("flush {index} and {upto} writes");
                self.look(&what, |recording, disk| recording.replay_all(&window[..upto], disk));
                self.counts[1] += 1;
            }
            self.recording.replay_all(window, &disk);
            self.look(&format!("flush {}", index + 1), |_, _| ());
            self.counts[0] += 1;
            if (index + 1) % every == 0 {
                again(&self.disk());
            }
        }
    }
}

/// A machine of which the record is made.
struct Recorded {
    machine: Machine,
    directory: tempfile::TempDir,
    moves: usize,
}

impl Recorded {
    fn new() -> Option<Self> {
        if !has_programs("the record of block writes", &PROGRAMS) {
            return None;
        }
        let machine = Machine::with_partitions(SIZES)?;
        let mut recorded = Self { machine, directory: tempfile::tempdir().unwrap(), moves: 0 };
        recorded.boot("active");
        Some(recorded)
    }

    /// With small images, so that there is more of all the rest.
    fn boot(&mut self, system: &str) {
        self.machine.boot(system);
        self.machine
            .shell("mkdir -p $ROOT/etc/cosette; echo 'image: {margin: 1}' > $ROOT/etc/cosette/config.yaml");
    }

    fn run(&self, arguments: &[&str]) {
        self.machine.run(0, arguments);
    }

    /// Goes on with a copy of a disk.
    fn go_on_with(&mut self, disk: &Path) {
        self.moves += 1;
        let own = self.directory.path().join(format!("machine-{}", self.moves));
        copy(disk, &own);
        self.machine.move_to(&own);
    }

    /// Records an operation, and looks at all that power cuts leave of it.
    #[track_caller]
    fn cut_everywhere(&mut self, name: &str, operation: &Operation<'_>) {
        let directory = tempfile::tempdir().unwrap();
        let (base, full) = (directory.path().join("disk"), directory.path().join("recorded"));
        self.machine.stop();
        copy(&self.machine.disk.file(), &base);
        copy(&base, &full);
        let Some(recorder) = Recorder::start(&full) else { return };
        self.machine.move_to(&full);
        self.boot(operation.booted);
        let before = self.machine.versions();
        self.run(operation.arguments);
        let after = self.machine.versions();
        self.go_on_with(&base);
        let recording = recorder.finish();

        let mut catalogue = Catalogue::default();
        let cut = directory.path().join("cut");
        let mut learn = |disk: &Path, when: &str| {
            copy(disk, &cut);
            let mounted = [STATE, RECOVERY].map(|partition| Mounted::new(&cut, partition).unwrap());
            SLOTS.map(|(partition, slot)| {
                let point = &mounted[usize::from(partition == RECOVERY)].0;
                let image = std::fs::read(point.join(format!("cOS/{slot}.img"))).unwrap();
                catalogue.learn(&format!("{when} {slot}"), image)
            })
        };
        let (old, new) = (learn(&base, "old"), learn(&full, "new"));
        let (writes, flushes) = (recording.writes(), recording.windows.len());
        let mut cuts = Cuts {
            operation,
            recording,
            catalogue,
            before: old,
            after: new,
            directory: directory.path(),
            counts: [0; 3],
            failures: Vec::new(),
        };
        let seed = number("COSETTE_POWER_SEED", 6);
        let more = usize::try_from(number("COSETTE_POWER_MORE", 1)).unwrap();
        let mut repeated = 0;
        cuts.play(&mut Random(seed), more, &mut |disk| {
            self.go_on_with(disk);
            self.boot(operation.booted);
            self.run(operation.again);
            let found = self.machine.versions();
            assert!(found == after || (operation.may_be_undone && found == before), "{found:?}");
            let (image, known) = self.machine.digests("active");
            assert_eq!(image, known);
            repeated += 1;
        });
        let [at, between, parts] = cuts.counts;
        let failures = &cuts.failures;
        let figures = format!(
            "{name}: {writes} writes; power cuts: {at} at flushes, {between} between, {parts} with a part of the writes \
             (seed {seed}); repeated after {repeated}; {} failures",
            failures.len()
        );
        let _ = writeln!(std::io::stderr(), "{figures}");
        assert_eq!(flushes, at);
        assert!(failures.is_empty(), "{figures}\n{}", failures[..failures.len().min(20)].join("\n"));
        let is_same = Command::new("cmp").arg(&base).arg(&full).status().unwrap().success();
        assert!(is_same, "what was recorded is not all that was written");
        self.go_on_with(&full);
        self.boot("active");
    }
}

#[test]
fn a_power_cut_at_any_write_leaves_whole_systems_that_are_the_old_or_the_new_ones() {
    let Some(mut recorded) = Recorded::new() else { return };
    let [zero, one, two, recovery] =
        ["zero", "one", "two", "recovery"].map(|version| recorded.machine.source(version));
    recorded.run(&["upgrade", "--recovery", &zero]);
    recorded.run(&["upgrade", &zero]);
    recorded.run(&["state", "--good"]);
    recorded.run(&["upgrade", &one]);
    recorded.run(&["state", "--good"]);

    let upgrade: &[&str] = &["upgrade", &two];
    recorded.cut_everywhere(
        "upgrade",
        &Operation {
            booted: "active",
            arguments: upgrade,
            check: |seen, [active, passive, recovery], [new, ..]| {
                seen.is_counted(new)?;
                seen.is(&[[active, passive, recovery], [new, passive, recovery], [new, active, recovery]])
            },
            again: upgrade,
            may_be_undone: false,
        },
    );
    let good: &[&str] = &["state", "--good"];
    recorded.cut_everywhere(
        "state --good",
        &Operation {
            booted: "active",
            arguments: good,
            check: |seen, [active, passive, recovery], _| seen.is(&[[active, passive, recovery]]),
            again: good,
            may_be_undone: false,
        },
    );
    recorded.cut_everywhere(
        "rollback",
        &Operation {
            booted: "active",
            arguments: &["rollback"],
            check: |seen, [active, passive, recovery], _| {
                seen.is_counted(passive)?;
                seen.is(&[[active, passive, recovery], [passive, active, recovery]])
            },
            again: good,
            may_be_undone: true,
        },
    );
    let renew: &[&str] = &["upgrade", "--recovery", &recovery];
    recorded.cut_everywhere(
        "upgrade --recovery",
        &Operation {
            booted: "active",
            arguments: renew,
            check: |seen, [active, passive, old], [_, _, new]| {
                seen.is(&[[active, passive, old], [active, passive, new]])
            },
            again: renew,
            may_be_undone: false,
        },
    );
    recorded.run(good);
    let recover: &[&str] = &["recover"];
    recorded.cut_everywhere(
        "recover",
        &Operation {
            booted: "recovery",
            arguments: recover,
            check: |seen, [active, passive, recovery], [new, ..]| {
                seen.is_counted(new)?;
                seen.is(&[
                    [active, passive, recovery],
                    [new, passive, recovery],
                    [new, active, recovery],
                    [new, new, recovery],
                ])
            },
            again: recover,
            may_be_undone: false,
        },
    );
}
