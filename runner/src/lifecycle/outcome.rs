//! What came of an operation, for people and as JSON.

use super::operation::{Event, Name};
use super::state::Slot;
use crate::boot::Booted;
use anyhow::Result;
use serde::Serialize;

/// What came of an operation.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Which one.
    pub operation: Name,
    /// `done`, `nothing-to-do` or `planned`.
    pub result: &'static str,
    /// The system that it was about.
    #[serde(serialize_with = "name_of", skip_serializing_if = "Option::is_none")]
    pub slot: Option<Booted>,
    /// Where it comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What that leads to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What is there now.
    #[serde(serialize_with = "record", skip_serializing_if = "Option::is_none")]
    pub record: Option<Slot>,
    /// The steps, those that would be taken in a dry run.
    pub steps: Vec<Planned>,
    /// What is not as it should be.
    pub warnings: Vec<String>,
    #[serde(skip)]
    pub(super) nothing_to_do: bool,
    #[serde(skip)]
    dry_run: bool,
}

/// A step.
#[derive(Debug, Serialize)]
pub struct Planned {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub detail: String,
}

impl Planned {
    pub(super) fn new(name: &'static str, detail: &str) -> Self {
        Self { name, detail: detail.to_owned() }
    }
}

impl Outcome {
    pub(super) fn new(operation: Name, dry_run: bool) -> Self {
        Self {
            operation,
            result: "done",
            slot: None,
            source: None,
            digest: None,
            record: None,
            steps: Vec::new(),
            warnings: Vec::new(),
            nothing_to_do: false,
            dry_run,
        }
    }

    /// The outcome of steps that ended so, with warnings. Of an operation that failed they are told at once.
    pub(super) fn after(
        self,
        ended: Result<()>,
        warnings: Vec<String>,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Result<Self> {
        match ended {
            Ok(()) => Ok(Self { warnings, ..self }),
            Err(error) => {
                warnings.iter().for_each(|warning| tell(Event::Warning(warning)));
                Err(error)
            }
        }
    }

    /// With its last word.
    pub fn finished(mut self) -> Self {
        self.result = match (self.nothing_to_do, self.dry_run) {
            (true, _) => "nothing-to-do",
            (false, true) => "planned",
            (false, false) => "done",
        };
        self
    }

    /// Whether something was changed.
    pub fn is_done(&self) -> bool {
        !self.nothing_to_do && !self.dry_run
    }

    /// Whether only steps were shown.
    pub fn is_plan(&self) -> bool {
        self.dry_run && !self.nothing_to_do
    }
}

fn name_of<S: serde::Serializer>(slot: &Option<Booted>, serializer: S) -> Result<S::Ok, S::Error> {
    slot.map(Booted::as_str).serialize(serializer)
}

fn record<S: serde::Serializer>(slot: &Option<Slot>, serializer: S) -> Result<S::Ok, S::Error> {
    slot.as_ref().map(Shown::of).serialize(serializer)
}

/// What is known of a system, as JSON.
#[derive(Debug, Serialize)]
pub struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    image: Option<String>,
    #[serde(rename = "file-system", skip_serializing_if = "Option::is_none")]
    file_system: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<String>,
}

impl Shown {
    /// Of what is known.
    pub fn of(slot: &Slot) -> Self {
        let Slot { source, digest, image, file_system, bytes, date, from, title, .. } = slot.clone();
        Self { source, digest, image, file_system, bytes, date, from, title }
    }
}
