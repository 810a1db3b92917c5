//! Metaldata: a service that the name server of the network knows by this name.

use super::service::Service;
use super::{Metadata, Provider, dmi};
use crate::System;
use anyhow::Result;

const SERVER: &str = "http://metaldata";
const BELOW: &str = "/get/meta/";

pub(super) const PROVIDER: Provider = Provider {
    name: "metaldata",
    server: Some(SERVER),
    is_disk: false,
    is_here: dmi::unknown,
    ask: |sys, _| ask(sys),
};

fn ask(sys: &System) -> Result<Option<Metadata>> {
    let service = Service::new(sys, SERVER);
    let Some(hostname) = service.probe(&format!("{BELOW}hostname"))? else { return Ok(None) };
    let mut metadata = Metadata::default();
    metadata.fact("hostname", Some(hostname));
    let names = [
        ("public-ipv4", "public_ipv4"),
        ("private-ipv4", "private_ipv4"),
        ("failure-domain", "failure_domain"),
        ("machine-id", "machine_id"),
        ("machine-id", "instance_id"),
        ("machine-type", "machine_type"),
    ];
    service.facts(&mut metadata, BELOW, &names)?;
    metadata.keys(&service.text(&format!("{BELOW}public-keys"))?.unwrap_or_default());
    metadata.user_data = service.bytes("/get/user")?;
    Ok(Some(metadata))
}
