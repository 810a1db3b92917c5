//! What a directory remembers of the images that were unpacked into it.

use super::Request;
use super::resolve::Resolved;
use crate::System;

/// The images, in the order in which they were unpacked: later ones lie over those before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Records(Vec<Record>);

/// One image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Record {
    /// The source without tag and digest, so that a newer image takes the place of an older one.
    name: String,
    /// The platform that was wanted.
    platform: String,
    /// What the source led to.
    pub(super) top: String,
    /// The manifest.
    pub(super) image: String,
}

impl Records {
    /// Reads what is remembered; what is not understood is forgotten.
    pub(super) fn parse(text: &str) -> Self {
        let record = |line: &str| match line.split('\t').collect::<Vec<_>>()[..] {
            [name, platform, top, image] => Some(Record {
                name: name.to_owned(),
                platform: platform.to_owned(),
                top: top.to_owned(),
                image: image.to_owned(),
            }),
            _ => None,
        };
        Self(text.lines().filter_map(record).collect())
    }

    /// What is remembered of the image.
    pub(super) fn find(&self, sys: &System, request: &Request) -> Option<&Record> {
        let (name, platform) = (request.source.name(), request.platform(sys).to_string());
        self.0.iter().find(|record| record.name == name && record.platform == platform)
    }

    /// Forgets every image of this name, and those that lie over it: they must be unpacked again after it.
    pub(super) fn forget(&mut self, request: &Request) {
        let name = request.source.name();
        if let Some(index) = self.0.iter().position(|record| record.name == name) {
            self.0.truncate(index);
        }
    }

    /// The record of an image; nothing of what is none.
    pub(super) fn record(sys: &System, request: &Request, found: &Resolved) -> Option<Record> {
        Some(Record {
            name: request.source.name(),
            platform: request.platform(sys).to_string(),
            top: found.top.as_ref()?.to_string(),
            image: found.digest.as_ref()?.to_string(),
        })
    }

    /// Remembers an image that now lies over all others.
    pub(super) fn add(&mut self, record: Record) {
        self.0.push(record);
    }
}

/// One line for each.
impl std::fmt::Display for Records {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for Record { name, platform, top, image } in &self.0 {
            writeln!(f, "{name}\t{platform}\t{top}\t{image}")?;
        }
        Ok(())
    }
}
