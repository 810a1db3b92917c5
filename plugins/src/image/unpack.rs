//! Making the content of an image be in a directory.

use super::record::Records;
use super::{Image, Request};
use crate::System;
use crate::system::{Mode, stop};
use anyhow::{Context, Result};
use std::path::Path;

/// Makes the content of the image be in the directory, over what is there, and returns warnings. An image that
/// is there already, by its digest, stays untouched; if the source names a digest, the registry is not even
/// asked. What is interrupted is begun again the next time.
pub fn unpack(sys: &System, request: &Request, target: &Path) -> Result<Vec<String>> {
    try_unpack(sys, request, target).or_else(|error| {
        // Whatever went wrong then.
        stop::check()?;
        let (source, target) = (&request.source, target.display());
        Err(error.context(format!("cannot unpack {source} into {target}")))
    })
}

fn try_unpack(sys: &System, request: &Request, target: &Path) -> Result<Vec<String>> {
    let mut records = Records::parse(&sys.mark(target)?);
    let known = records.find(sys, request).cloned();
    if let (Some(known), Some(pinned)) = (&known, request.source.pinned())
        && known.top == pinned.as_str()
    {
        sys.record_unpacked(target, false);
        return Ok(Vec::new());
    }
    if sys.mode() == Mode::Plan {
        sys.create_dir(target, None, None)?;
        sys.record_unpacked(target, true);
        return Ok(Vec::new());
    }
    let image = Image::find(sys, request)?;
    if known.is_some_and(|known| known.is(&image.digest)) {
        sys.record_unpacked(target, false);
        return Ok(Vec::new());
    }
    let record = Records::record(sys, request, &image);
    sys.create_dir(target, None, None)?;
    let mut unpacking = sys.unpack(target)?;
    records.forget(request);
    unpacking.mark(&records.to_string())?;
    let layers = image.layers()?;
    let count = layers.len();
    for (index, layer) in layers.into_iter().enumerate() {
        let place = format!("layer {} of {count} ({})", index + 1, layer.blob.digest);
        let archive = layer.archive().with_context(|| place.clone())?;
        unpacking.layer(archive).context(place)?;
    }
    records.add(record);
    unpacking.finish(&records.to_string())
}
