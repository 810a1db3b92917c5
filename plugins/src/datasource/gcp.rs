//! Google Compute Engine.

use super::service::Service;
use super::{Metadata, Provider};
use crate::System;
use anyhow::Result;

const SERVER: &str = "http://metadata.google.internal";
const BELOW: &str = "/computeMetadata/v1/";

pub(super) const PROVIDER: Provider = Provider {
    name: "gcp",
    server: Some(SERVER),
    is_disk: false,
    is_here: |dmi| dmi.product == "Google Compute Engine",
    ask: |sys, _| ask(sys),
};

fn ask(sys: &System) -> Result<Option<Metadata>> {
    let service = Service::new(sys, SERVER).header("Metadata-Flavor", "Google");
    let Some(id) = service.probe(&format!("{BELOW}instance/id"))? else { return Ok(None) };
    let mut metadata = Metadata::default();
    metadata.fact("instance_id", Some(id));
    service.facts(&mut metadata, BELOW, &[("instance/hostname", "hostname")])?;
    // `projects/1/zones/europe-west1-b`
    let zone = service.text(&format!("{BELOW}instance/zone"))?.unwrap_or_default();
    metadata.fact("availability_zone", zone.rsplit('/').next().map(str::to_owned));
    let text =
        |path: &str| Ok::<_, anyhow::Error>(service.text(&format!("{BELOW}{path}"))?.unwrap_or_default());
    let own = text("instance/attributes/ssh-keys")?;
    let blocked = text("instance/attributes/block-project-ssh-keys")?;
    let of_all = if blocked.trim().eq_ignore_ascii_case("true") {
        String::new()
    } else {
        text("project/attributes/ssh-keys")?
    };
    metadata.keys.extend(own.lines().chain(of_all.lines()).filter_map(key));
    metadata.user_data = service.bytes(&format!("{BELOW}instance/attributes/user-data"))?;
    Ok(Some(metadata))
}

/// Reads `user:key`. A key that expires is left out: nobody would take it away again.
fn key(line: &str) -> Option<(Option<String>, String)> {
    let (user, key) = line.trim().split_once(':')?;
    let expires = key.contains("google-ssh") && key.contains("expireOn");
    (!expires).then(|| (Some(user.trim().to_owned()).filter(|user| !user.is_empty()), key.trim().to_owned()))
}
