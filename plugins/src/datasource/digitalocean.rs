//! DigitalOcean.

use super::service::Service;
use super::{Metadata, Provider};
use crate::System;
use anyhow::Result;

const SERVER: &str = "http://169.254.169.254";
const BELOW: &str = "/metadata/v1/";

pub(super) const PROVIDER: Provider = Provider {
    name: "digitalocean",
    server: Some(SERVER),
    is_disk: false,
    is_here: |dmi| dmi.vendor == "DigitalOcean",
    ask: |sys, _| ask(sys),
};

fn ask(sys: &System) -> Result<Option<Metadata>> {
    let service = Service::new(sys, SERVER);
    let Some(id) = service.probe(&format!("{BELOW}id"))? else { return Ok(None) };
    let mut metadata = Metadata::default();
    metadata.fact("id", Some(id.clone()));
    metadata.fact("instance_id", Some(id));
    let names = [
        ("hostname", "hostname"),
        ("interfaces/public/0/ipv4/address", "public_ipv4"),
        ("interfaces/private/0/ipv4/address", "private_ipv4"),
        ("region", "region"),
    ];
    service.facts(&mut metadata, BELOW, &names)?;
    metadata.keys(&service.text(&format!("{BELOW}public-keys"))?.unwrap_or_default());
    metadata.user_data = service.bytes(&format!("{BELOW}user-data"))?;
    Ok(Some(metadata))
}
