//! Scaleway.

use super::service::Service;
use super::{Metadata, Provider};
use crate::System;
use anyhow::Result;

const SERVER: &str = "http://169.254.42.42";

pub(super) const PROVIDER: Provider = Provider {
    name: "scaleway",
    server: Some(SERVER),
    is_disk: false,
    is_here: |dmi| dmi.vendor == "Scaleway",
    ask: |sys, _| ask(sys),
};

fn ask(sys: &System) -> Result<Option<Metadata>> {
    let service = Service::new(sys, SERVER);
    let Some(conf) = service.probe("/conf")? else { return Ok(None) };
    let mut metadata = Metadata::default();
    for (key, value) in conf.lines().filter_map(|line| line.split_once('=')) {
        let value = value.trim().trim_matches(['\'', '"']);
        match key.trim() {
            "HOSTNAME" => metadata.fact("hostname", Some(value.to_owned())),
            "ID" => metadata.fact("instance_id", Some(value.to_owned())),
            "PUBLIC_IP_ADDRESS" => metadata.fact("public_ip", Some(value.to_owned())),
            "PRIVATE_IP" => metadata.fact("private_ip", Some(value.to_owned())),
            "LOCATION_ZONE_ID" => metadata.fact("instance_location", Some(value.to_owned())),
            key if key.starts_with("SSH_PUBLIC_KEYS_") && key.ends_with("_KEY") => metadata.keys(value),
            _ => {}
        }
    }
    metadata.warnings.push(
        "Scaleway gives user-data only to connections from a port below 1024, which is not supported: it is left out"
            .to_owned(),
    );
    Ok(Some(metadata))
}
