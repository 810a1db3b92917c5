//! Equinix Metal, once Packet.

use super::service::Service;
use super::{Metadata, Provider, dmi};
use crate::System;
use anyhow::Result;
use serde_json::Value;

const SERVER: &str = "https://metadata.platformequinix.com";

pub(super) const PROVIDER: Provider = Provider {
    name: "packet",
    server: Some(SERVER),
    is_disk: false,
    is_here: dmi::unknown,
    ask: |sys, _| ask(sys),
};

fn ask(sys: &System) -> Result<Option<Metadata>> {
    let service = Service::new(sys, SERVER);
    let Some(json) = service.probe("/metadata")? else { return Ok(None) };
    let Ok(json) = serde_json::from_str::<Value>(&json) else { return Ok(None) };
    let mut metadata = Metadata::default();
    metadata.fact("hostname", json["hostname"].as_str().map(str::to_owned));
    metadata.fact("instance_id", json["id"].as_str().map(str::to_owned));
    for key in json["ssh_keys"].as_array().into_iter().flatten() {
        metadata.keys(key.as_str().unwrap_or_default());
    }
    // That is for the boot loader.
    metadata.user_data = service.bytes("/userdata")?.filter(|data| !data.starts_with(b"#!ipxe"));
    Ok(Some(metadata))
}
