//! The reports of other boots: a file for each boot where things outlive it, one report on a line.
//!
//! Boots are in the order of the numbers in their names: clocks are set back between them.

use super::{Report, store};
use anyhow::{Context, Error, Result, bail};
use cosette_plugins::system::Kind;
use cosette_plugins::{System, records};
use serde::Serialize;
use std::path::Path;
use std::str::FromStr;
use std::time::{Duration, UNIX_EPOCH};

/// Where they are, below each directory of what outlives a boot.
pub(super) const DIRECTORY: &str = "boots";

/// No file of a boot is larger.
pub(super) const LARGEST: usize = 1 << 20;

/// A boot with its reports.
pub struct Boot {
    /// Which it is.
    pub place: Place,
    /// The earliest first.
    pub reports: Vec<Report>,
    /// What could not be read.
    pub errors: Vec<Error>,
}

/// Which boot it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// Its id, as the kernel and the journal have it; nothing where the kernel does not tell.
    pub id: Option<String>,
    /// 0 is this boot, -1 the one before it.
    pub offset: i64,
    /// When the kernel started: RFC 3339, in UTC.
    pub started: Option<String>,
}

/// Which boot is asked for, as journalctl(1) has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// So many before this one.
    Back(usize),
    /// From the oldest one on, which is 1.
    Nth(usize),
    /// The one with this id.
    Id(String),
}

/// The file of a boot.
pub(super) struct Kept {
    pub(super) directory: String,
    pub(super) name: String,
    pub(super) number: u64,
    pub(super) id: String,
}

impl FromStr for Which {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |text: &str| -> Option<usize> { text.parse().ok() };
        let parsed = match text.strip_prefix('-') {
            _ if let Some(id) = id(text) => Some(Self::Id(id)),
            Some(back) => number(back).map(Self::Back),
            None => number(text).map(|number| if number == 0 { Self::Back(0) } else { Self::Nth(number) }),
        };
        parsed.ok_or_else(|| "it is no boot, such as -1, and no id of one".to_owned())
    }
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Back(0) => f.write_str("0"),
            Self::Back(number) => write!(f, "-{number}"),
            Self::Nth(number) => write!(f, "{number}"),
            Self::Id(id) => f.write_str(id),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "boot {}", self.offset)?;
        self.started.as_ref().map_or(Ok(()), |started| write!(f, " ({started})"))
    }
}

impl Kept {
    /// Reads the name of a file; others are not of a boot.
    fn parse(directory: &str, name: &str) -> Option<Self> {
        let (number, rest) = name.strip_suffix(".jsonl")?.split_once('-')?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_digit());
        let (number, id) = (number.parse().ok().filter(|_| is_number)?, id(rest)?);
        Some(Self { directory: directory.to_owned(), name: name.to_owned(), number, id })
    }

    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.directory, self.name)
    }

    /// Its reports, as far as they can be read: what a power cut has left of it may end anywhere.
    fn reports(&self, sys: &System) -> (Vec<Report>, Vec<Error>) {
        let path = self.path();
        let read = || -> Result<Vec<u8>> {
            match sys.symlink_metadata(&path)? {
                None => return Ok(Vec::new()),
                Some(found) if found.kind != Kind::File => bail!("{path} is {}, not a file", found.kind),
                Some(found) if found.size > LARGEST as u64 => {
                    bail!("{path} is too large for the reports of a boot")
                }
                Some(_) => {}
            }
            Ok(sys.read(&path)?.unwrap_or_default())
        };
        let (mut reports, mut errors) = (Vec::new(), Vec::new());
        match read() {
            Ok(text) if text.is_empty() => errors.push(Error::msg(format!("{path} is empty"))),
            Ok(text) => {
                for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
                    let report = || format!("{path}: line {} is not a report", at + 1);
                    match serde_json::from_slice(line).with_context(report) {
                        _ if line.is_empty() => {}
                        Ok(report) => reports.push(report),
                        Err(error) => errors.push(error),
                    }
                }
            }
            Err(error) => errors.push(error),
        }
        store::put_in_order(&mut reports);
        (reports, errors)
    }
}

/// The id of a boot, which the kernel writes with dashes and the journal without.
fn id(text: &str) -> Option<String> {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    (digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .then(|| digits.to_ascii_lowercase())
}

/// The id of this boot; nothing for a tree that is not booted.
pub(super) fn running(sys: &System) -> Option<String> {
    if !sys.is_own_kernel() {
        return None;
    }
    let text = sys.host().kernel_file(Path::new("/proc/sys/kernel/random/boot_id")).ok()??;
    id(String::from_utf8(text).ok()?.trim())
}

/// Whether the directory is there. One that others may write to says what they like.
pub(super) fn is_there(directory: &str, sys: &System) -> Result<bool> {
    let Some(found) = sys.symlink_metadata(directory)? else { return Ok(false) };
    if found.kind != Kind::Directory {
        bail!("{directory} is {}, not a directory", found.kind);
    }
    let owners = [0, nix::unistd::geteuid().as_raw()];
    if found.mode & 0o022 != 0 || !owners.contains(&found.owner.uid) {
        bail!("others may write to {directory}");
    }
    Ok(true)
}

/// The files of all boots, the oldest first, and the directories that are not as they should be.
pub(super) fn kept(sys: &System) -> (Vec<Kept>, Vec<Error>) {
    let (mut kept, mut errors) = (Vec::new(), Vec::new());
    for place in records::LASTING {
        let directory = format!("{place}/{DIRECTORY}");
        let names = is_there(&directory, sys).and_then(|there| {
            if there { sys.read_dir(&directory).map(Option::unwrap_or_default) } else { Ok(Vec::new()) }
        });
        match names {
            Ok(names) => {
                kept.extend(names.iter().filter_map(|name| Kept::parse(&directory, name.to_str()?)));
            }
            Err(error) => errors.push(error),
        }
    }
    kept.sort_by_key(|kept| kept.number);
    (kept, errors)
}

/// The boots before this one, the oldest first, and what is wrong with where they are kept.
pub fn earlier(sys: &System) -> (Vec<Boot>, Vec<Error>) {
    let (kept, errors) = kept(sys);
    let running = running(sys);
    let mut boots: Vec<Boot> = Vec::new();
    let mut files: Vec<Kept> = Vec::new();
    for file in kept {
        // A later file of the same boot counts.
        files.retain(|known| known.id != file.id);
        if running.as_ref() != Some(&file.id) {
            files.push(file);
        }
    }
    let count = files.len() as i64;
    for (at, file) in files.into_iter().enumerate() {
        let (reports, errors) = file.reports(sys);
        let place = Place { id: Some(file.id), offset: at as i64 - count, started: started(&reports) };
        boots.push(Boot { place, reports, errors });
    }
    (boots, errors)
}

/// This boot.
pub fn this(sys: &System) -> Result<Boot> {
    let (reports, errors) = store::load(sys)?;
    let place = Place { id: running(sys), offset: 0, started: started(&reports) };
    Ok(Boot { place, reports, errors })
}

/// The boot that is asked for.
pub fn find(which: Option<&Which>, sys: &System) -> Result<Boot> {
    let this = this(sys)?;
    let Some(which) = which else { return Ok(this) };
    if *which == Which::Back(0) {
        return Ok(this);
    }
    let (mut boots, errors) = earlier(sys);
    let count = boots.len();
    boots.push(this);
    let at = match which {
        Which::Back(number) => count.checked_sub(*number),
        Which::Nth(number) => number.checked_sub(1).filter(|at| *at <= count),
        Which::Id(id) => boots.iter().position(|boot| boot.place.id.as_ref() == Some(id)),
    };
    match at {
        Some(at) => {
            let mut boot = boots.swap_remove(at);
            boot.errors.extend(errors);
            Ok(boot)
        }
        None => {
            let why = "`cosette status --list-boots` shows of which they are";
            let why = errors.first().map_or_else(|| why.to_owned(), |error| format!("{error:#}"));
            bail!("of boot {which} no reports are kept; {why}")
        }
    }
}

impl Boot {
    /// What is said when none of its reports can be read.
    pub fn nothing(&self) -> String {
        let place = &self.place;
        if place.offset == 0 { store::NONE.to_owned() } else { format!("no report of {place} can be read") }
    }
}

/// When the kernel started, by the clock of the latest stage: at an earlier one it may not have been set.
fn started(reports: &[Report]) -> Option<String> {
    let by = |report: &Report| {
        let began = humantime::parse_rfc3339(&report.started).ok()?;
        let uptime = Duration::try_from_secs_f64(report.uptime_ms? / 1e3).ok()?;
        began.checked_sub(uptime).filter(|started| *started >= UNIX_EPOCH)
    };
    let started = reports.iter().rev().find_map(by);
    let started = started.map(|started| humantime::format_rfc3339_seconds(started).to_string());
    started.or_else(|| Some(reports.first()?.started.clone()))
}
