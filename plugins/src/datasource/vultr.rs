//! Vultr.

use super::service::Service;
use super::{Metadata, Provider};
use crate::System;
use anyhow::Result;

const SERVER: &str = "http://169.254.169.254";
const BELOW: &str = "/v1/";

pub(super) const PROVIDER: Provider = Provider {
    name: "vultr",
    server: Some(SERVER),
    is_disk: false,
    is_here: |dmi| dmi.vendor == "Vultr",
    ask: |sys, _| ask(sys),
};

fn ask(sys: &System) -> Result<Option<Metadata>> {
    let service = Service::new(sys, SERVER);
    let Some(instance) = service.probe(&format!("{BELOW}instanceid"))? else { return Ok(None) };
    let mut metadata = Metadata::default();
    metadata.fact("instance_id", Some(instance));
    let names = [
        ("hostname", "hostname"),
        ("interfaces/0/ipv4/address", "public_ipv4"),
        ("interfaces/1/ipv4/address", "private_ipv4"),
        ("interfaces/1/ipv4/netmask", "private_netmask"),
        ("region/regioncode", "region_code"),
    ];
    service.facts(&mut metadata, BELOW, &names)?;
    metadata.keys(&service.text(&format!("{BELOW}public-keys"))?.unwrap_or_default());
    metadata.user_data = service.bytes("/latest/user-data")?;
    Ok(Some(metadata))
}
