//! What is known of the systems of a machine: `state.yaml`, once on the state partition and once on the recovery
//! partition.
//!
//! Each is replaced as a whole, and ends in a digest of itself: one that was cut off or edited is not believed, and the
//! other one counts. Of two that are good, the one counts that was written later. What elemental wrote is read, too.

use super::failure::{Class, Classify as _};
use crate::boot::Booted;
use anyhow::{Context as _, Result, bail};
use cosette_plugins::System;
use cosette_plugins::image::Digest;
use cosette_plugins::system::File;
use cosette_schema::{Decode as _, Findings, Named, Origin, record, yaml};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// Its name on each partition.
pub const FILE: &str = "state.yaml";

const HEAD: &str = "# Written by cosette, and believed only as it was written: do not edit.\n";
const TAIL: &str = "# digest: ";

/// What is known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    /// How often it was written.
    pub serial: u64,
    /// When it was written: RFC 3339.
    pub date: String,
    /// The active system.
    pub active: Option<Slot>,
    /// The passive system.
    pub passive: Option<Slot>,
    /// The recovery system.
    pub recovery: Option<Slot>,
    /// A switch that was about to be made when this was written.
    pub pending: Option<Pending>,
}

record! {
    /// What is known of one system.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Slot {
        /// Where it comes from, as it was asked for.
        pub source: Option<String>,
        /// The digest of the image of containers.
        pub digest: Option<String>,
        /// The digest of the file.
        pub image: Option<String>,
        /// Its file system.
        pub file_system: Option<String> as "file-system" | "fs",
        /// The bytes of the file.
        pub bytes: Option<u64>,
        /// When it was put there.
        pub date: Option<String>,
        /// By which operation.
        pub from: Option<String> as "from" | "fromAction",
        /// What the boot menu calls it.
        pub title: Option<String>,
        /// Elemental: whether it is the one in use.
        active: bool,
    }
}

record! {
    /// A switch that is about to be made.
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct Pending {
        /// Which system is replaced.
        pub slot: String,
        /// What will be there.
        pub new: Slot,
        /// Whether the one before becomes the passive one.
        pub keep: bool,
        /// Whether the one before was good.
        pub was_good: bool as "was-good",
    }
}

record! {
    /// The file.
    #[derive(Default)]
    struct Document {
        serial: u64,
        date: Option<String>,
        slots: Slots,
        pending: Option<Pending>,
        /// Of elemental.
        state: Elemental,
        /// Of elemental.
        recovery: Elemental,
    }
}

record! {
    #[derive(Default)]
    struct Slots {
        active: Option<Slot>,
        passive: Option<Slot>,
        recovery: Option<Slot>,
    }
}

record! {
    /// A partition as elemental tells of it.
    #[derive(Default)]
    struct Elemental {
        active: Option<Slot>,
        passive: Option<Slot>,
        recovery: Option<Slot>,
        snapshots: Named<Slot>,
    }
}

impl State {
    /// What is known of a system.
    pub fn slot(&self, slot: Booted) -> Option<&Slot> {
        match slot {
            Booted::Active => self.active.as_ref(),
            Booted::Passive => self.passive.as_ref(),
            Booted::Recovery => self.recovery.as_ref(),
        }
    }

    /// Sets what is known of a system.
    pub fn set(&mut self, slot: Booted, known: Option<Slot>) {
        match slot {
            Booted::Active => self.active = known,
            Booted::Passive => self.passive = known,
            Booted::Recovery => self.recovery = known,
        }
    }

    /// Reads a file.
    pub fn parse(text: &str) -> Result<Self> {
        if text.starts_with(HEAD) {
            let (body, digest) = text.rsplit_once(TAIL).context("it was cut off")?;
            if Digest::of(body.as_bytes()).as_str() != digest.trim_end() {
                bail!("it is damaged, or was edited");
            }
        }
        let mut findings = Findings::new(Origin::new(FILE));
        let document = yaml::parse(text, &mut findings)
            .and_then(|node| Document::decode(&node, &mut findings))
            .filter(|_| !findings.has_errors());
        let Some(document) = document else {
            let findings: Vec<_> = findings.into_vec().iter().map(ToString::to_string).collect();
            bail!("it cannot be understood: {}", findings.join("; "));
        };
        let Document { serial, date, slots, pending, state, recovery } = document;
        let mut snapshots = state.snapshots.0.into_iter().map(|(_, slot)| slot);
        let active = slots.active.or(state.active).or_else(|| snapshots.find(|slot| slot.active));
        Ok(Self {
            serial,
            date: date.unwrap_or_default(),
            active,
            passive: slots.passive.or(state.passive),
            recovery: slots.recovery.or(recovery.recovery),
            pending: pending.filter(|pending| !pending.slot.is_empty()),
        })
    }

    /// The file.
    pub fn to_text(&self) -> String {
        let mut text = HEAD.to_owned();
        let _ = writeln!(text, "serial: {}\ndate: {}\nslots:", self.serial, quoted(&self.date));
        for slot in [Booted::Active, Booted::Passive, Booted::Recovery] {
            if let Some(known) = self.slot(slot) {
                let _ = writeln!(text, "  {}:", slot.as_str());
                known.write(&mut text, "    ");
            }
        }
        if let Some(Pending { slot, new, keep, was_good }) = &self.pending {
            let _ =
                writeln!(text, "pending:\n  slot: {slot}\n  keep: {keep}\n  was-good: {was_good}\n  new:");
            new.write(&mut text, "    ");
        }
        let digest = Digest::of(text.as_bytes());
        let _ = writeln!(text, "{TAIL}{digest}");
        text
    }

    /// Reads the copies in these directories. What cannot be read is a warning; without any, nothing is known.
    pub fn load(sys: &System, directories: &[PathBuf]) -> (Self, Vec<String>) {
        let (mut best, mut warnings) = (None::<Self>, Vec::new());
        for directory in directories {
            let path = directory.join(FILE);
            let read = || -> Result<Option<Self>> {
                sys.read_text(&path)?.map(|text| Self::parse(&text)).transpose()
            };
            match read() {
                Ok(Some(state)) if best.as_ref().is_none_or(|best| best.serial < state.serial) => {
                    best = Some(state);
                }
                Ok(_) => {}
                Err(error) => warnings.push(format!("{}: {error:#}", path.display())),
            }
        }
        (best.unwrap_or_default(), warnings)
    }

    /// Writes it to these directories, the first of which must take it. Returns warnings.
    pub fn save(&mut self, sys: &System, directories: &[PathBuf]) -> Result<Vec<String>> {
        self.serial += 1;
        self.date = now(sys);
        let (text, mut warnings) = (self.to_text(), Vec::new());
        let write = |directory: &Path| {
            sys.write(File::new(directory.join(FILE), text.clone()).mode(0o644).durable().replace_link())
        };
        for (index, directory) in directories.iter().enumerate() {
            match write(directory) {
                Err(error) if index > 0 => warnings.push(format!("{error:#}")),
                written => _ = written.class(Class::State)?,
            }
        }
        Ok(warnings)
    }
}

impl Slot {
    fn write(&self, text: &mut String, indent: &str) {
        let words = [
            ("source", &self.source),
            ("digest", &self.digest),
            ("image", &self.image),
            ("file-system", &self.file_system),
            ("date", &self.date),
            ("from", &self.from),
            ("title", &self.title),
        ];
        for (key, value) in words {
            if let Some(value) = value {
                let _ = writeln!(text, "{indent}{key}: {}", quoted(value));
            }
        }
        if let Some(bytes) = self.bytes {
            let _ = writeln!(text, "{indent}bytes: {bytes}");
        }
    }
}

/// The time in RFC 3339.
pub fn now(sys: &System) -> String {
    humantime::format_rfc3339_seconds(sys.host().now()).to_string()
}

/// A text as YAML, on one line.
fn quoted(text: &str) -> String {
    let text: String = text.chars().filter(|character| !character.is_control()).collect();
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    fn slot(source: &str) -> Slot {
        Slot {
            source: Some(source.to_owned()),
            digest: Some("sha256:1".to_owned()),
            image: Some("sha256:2".to_owned()),
            file_system: Some("ext4".to_owned()),
            bytes: Some(7),
            date: Some("2026-01-02T03:04:05Z".to_owned()),
            from: Some("upgrade".to_owned()),
            title: Some("Fleet 'OS'".to_owned()),
            active: false,
        }
    }

    fn state() -> State {
        State {
            serial: 3,
            date: "2026-01-02T03:04:05Z".to_owned(),
            active: Some(slot("oci:it's: #odd")),
            passive: None,
            recovery: Some(slot("dir:/x")),
            pending: Some(Pending {
                slot: "active".to_owned(),
                new: slot("new"),
                keep: true,
                was_good: false,
            }),
        }
    }

    #[test]
    fn what_is_written_is_read_and_what_was_cut_off_or_changed_anywhere_is_not_believed() {
        let text = state().to_text();
        assert_eq!(State::parse(&text).unwrap(), state());
        for end in HEAD.len()..text.len() - 1 {
            assert!(State::parse(&text[..end]).is_err(), "{end}");
        }
        assert!(State::parse(&text.replace("keep: true", "keep: false")).is_err());
    }

    #[test]
    fn one_copy_is_a_fallback_of_the_other_and_the_later_one_counts() {
        let machine = Machine::new("-- /state/x\n-- /recovery/x\n");
        let sys = machine.system(Mode::Apply);
        let directories = [PathBuf::from("/state"), PathBuf::from("/recovery")];
        assert_eq!(State::load(&sys, &directories), (State::default(), Vec::new()));
        let mut first = state();
        assert!(first.save(&sys, &directories).unwrap().is_empty());
        let mut second = State { pending: None, ..first.clone() };
        second.save(&sys, &directories[..1]).unwrap();
        assert_eq!(State::load(&sys, &directories).0, second);
        sys.write(File::new("/state/state.yaml", &second.to_text()[..200])).unwrap();
        let (found, warnings) = State::load(&sys, &directories);
        assert_eq!((found, warnings), (first, vec!["/state/state.yaml: it was cut off".to_owned()]));
        let missing = [PathBuf::from("/state"), PathBuf::from("/state/x/none")];
        assert_eq!(second.save(&sys, &missing).unwrap().len(), 1);
        assert!(second.save(&sys, &missing[1..]).is_err());
    }

    #[test]
    fn both_forms_of_elemental_are_read() {
        let first = "state:\n  label: COS_STATE\n  active: {source: 'oci://a:1', label: COS_ACTIVE, fs: ext2}\n  \
                     passive: {source: 'oci://b:1'}\nrecovery: {recovery: {source: 'oci://c:1'}}\n";
        let found = State::parse(first).unwrap();
        let source = |slot: Option<Slot>| slot.and_then(|slot| slot.source).unwrap();
        assert_eq!(source(found.active), "oci://a:1");
        assert_eq!((source(found.passive), source(found.recovery)), ("oci://b:1".into(), "oci://c:1".into()));
        let second = "date: \"2026-01-02T03:04:05Z\"\nsnapshotter: {type: loopdevice, max-snaps: 2}\nstate:\n  \
                      snapshots:\n    1: {source: 'oci://a:1', digest: 'sha256:1'}\n    \
                      2: {source: 'oci://a:2', digest: 'sha256:2', active: true, labels: {k: v}}\n\
                      oem: {label: COS_OEM}\n";
        let found = State::parse(second).unwrap();
        assert_eq!(found.active.unwrap().digest.as_deref(), Some("sha256:2"));
        assert!(State::parse("[1").is_err());
    }
}
