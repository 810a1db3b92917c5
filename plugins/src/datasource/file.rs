//! A file with user-data.

use super::{Metadata, Provider, Question, dmi};
use crate::System;
use anyhow::{Context as _, Result};

pub(super) const PROVIDER: Provider =
    Provider { name: "file", server: None, is_disk: false, is_here: dmi::unknown, ask };

fn ask(sys: &System, question: &Question) -> Result<Option<Metadata>> {
    let path = question.path.context("it needs `path`, the file with the user-data")?;
    let content = sys.read(path)?;
    Ok(content.map(|content| Metadata { user_data: Some(content), ..Metadata::default() }))
}
