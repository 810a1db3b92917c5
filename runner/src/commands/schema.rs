//! `cosette schema`: the JSON Schema of stage documents, for editors.

use super::status_of;
use anyhow::{Context, Result};
use std::io::{Write, stdout};

/// Written by a test of `cosette-plugins` from the types that are decoded.
const SCHEMA: &str = include_str!("../../../schema/cosette.schema.json");

/// Prints the schema.
pub(super) fn schema() -> Result<u8> {
    stdout().write_all(SCHEMA.as_bytes()).context("cannot print the schema")?;
    Ok(status_of::DONE)
}
