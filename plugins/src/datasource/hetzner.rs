//! Hetzner Cloud.

use super::service::Service;
use super::{Metadata, Provider};
use crate::System;
use anyhow::Result;

const SERVER: &str = "http://169.254.169.254";
const BELOW: &str = "/hetzner/v1/metadata/";

pub(super) const PROVIDER: Provider = Provider {
    name: "hetzner",
    server: Some(SERVER),
    is_disk: false,
    is_here: |dmi| dmi.vendor == "Hetzner",
    ask: |sys, _| ask(sys),
};

fn ask(sys: &System) -> Result<Option<Metadata>> {
    let service = Service::new(sys, SERVER);
    let Some(instance) = service.probe(&format!("{BELOW}instance-id"))? else { return Ok(None) };
    let mut metadata = Metadata::default();
    metadata.fact("instance_id", Some(instance));
    let names = [
        ("hostname", "hostname"),
        ("public-ipv4", "public_ipv4"),
        ("local-ipv4", "local_ipv4"),
        ("availability-zone", "availability_zone"),
    ];
    service.facts(&mut metadata, BELOW, &names)?;
    let keys = service.text(&format!("{BELOW}public-keys"))?.unwrap_or_default();
    // A list in JSON; nothing or `null` where there are none.
    let keys: Vec<String> = serde_json::from_str(&keys).unwrap_or_default();
    keys.iter().for_each(|key| metadata.keys(key));
    metadata.user_data = service.bytes("/hetzner/v1/userdata")?;
    Ok(Some(metadata))
}
