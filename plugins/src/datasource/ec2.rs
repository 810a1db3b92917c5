//! Amazon's service, and OpenStack's, which has Amazon's paths beside its own.

use super::dmi::Dmi;
use super::service::Service;
use super::{Metadata, Provider};
use crate::System;
use crate::system::http::Failure;
use anyhow::Result;
use serde_json::Value;

const SERVER: &str = "http://169.254.169.254";

pub(super) const AWS: Provider = Provider {
    name: "aws",
    server: Some(SERVER),
    is_disk: false,
    is_here: |dmi| dmi.vendor == "Amazon EC2" || dmi.bios == "Amazon EC2",
    ask: |sys, _| aws(sys),
};

pub(super) const OPENSTACK: Provider = Provider {
    name: "openstack",
    server: Some(SERVER),
    is_disk: false,
    is_here: is_openstack,
    ask: |sys, _| openstack(sys),
};

/// Where Amazon's paths begin, and what is kept of them.
const BELOW: &str = "/latest/meta-data/";
const FACTS: [(&str, &str); 6] = [
    ("hostname", "hostname"),
    ("public-ipv4", "public_ipv4"),
    ("local-ipv4", "local_ipv4"),
    ("placement/availability-zone", "availability_zone"),
    ("instance-type", "instance_type"),
    ("local-hostname", "local_hostname"),
];

fn is_openstack(dmi: &Dmi) -> bool {
    let chassis = ["OpenTelekomCloud", "SAP CCloud VM", "OpenStack Nova", "HUAWEICLOUD"];
    matches!(dmi.product.as_str(), "OpenStack Nova" | "OpenStack Compute") || chassis.contains(&&*dmi.chassis)
}

/// With a token where the service gives one (IMDSv2), else without.
fn aws(sys: &System) -> Result<Option<Metadata>> {
    let ask = Service::new(sys, SERVER).header("X-aws-ec2-metadata-token-ttl-seconds", "300");
    // Answers with tokens may go no further than to the host of a container; others do.
    let (token, silence) = match ask.put("/latest/api/token") {
        Ok(token) => (token.filter(|token| is_token(token)), None),
        Err(error) if matches!(error.downcast_ref(), Some(Failure::Passing(_))) => (None, Some(error)),
        Err(error) => return Err(error),
    };
    let service = Service::new(sys, SERVER);
    let service = match token {
        Some(token) => service.header("X-aws-ec2-metadata-token", token.trim()),
        None => service,
    };
    match (ec2(&service)?, silence) {
        (None, Some(error)) => Err(error.context("it gives no token")),
        (found, _) => Ok(found),
    }
}

/// What else answers to such a request is a page of something else.
fn is_token(token: &str) -> bool {
    let token = token.trim();
    !token.is_empty()
        && token.len() < 512
        && token.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'<')
}

fn ec2(service: &Service) -> Result<Option<Metadata>> {
    let Some(instance) = service.probe(&format!("{BELOW}instance-id"))? else { return Ok(None) };
    let mut metadata = Metadata::default();
    metadata.fact("instance_id", Some(instance));
    service.facts(&mut metadata, BELOW, &FACTS)?;
    let list = service.text(&format!("{BELOW}public-keys/"))?.unwrap_or_default();
    for (number, _) in list.lines().filter_map(|line| line.split_once('=')) {
        if number.bytes().all(|byte| byte.is_ascii_digit()) {
            let key = service.text(&format!("{BELOW}public-keys/{number}/openssh-key"))?;
            metadata.keys(&key.unwrap_or_default());
        }
    }
    metadata.user_data = service.bytes("/latest/user-data")?;
    Ok(Some(metadata))
}

fn openstack(sys: &System) -> Result<Option<Metadata>> {
    let service = Service::new(sys, SERVER);
    let json = service.probe("/openstack/latest/meta_data.json")?;
    // What answers with a page to everything has neither way.
    let is_json = |json: &String| serde_json::from_str(json).is_ok_and(|json: Value| json.is_object());
    let Some(json) = json.filter(is_json) else { return ec2(&service) };
    let mut metadata = of_json(&json);
    service.facts(&mut metadata, BELOW, &FACTS[1..])?;
    metadata.user_data = service.bytes("/openstack/latest/user_data")?;
    Ok(Some(metadata))
}

/// What `meta_data.json` says.
pub(super) fn of_json(json: &str) -> Metadata {
    let json: Value = serde_json::from_str(json).unwrap_or_default();
    let text = |key: &str| json[key].as_str().map(str::to_owned);
    let mut metadata = Metadata::default();
    metadata.fact("hostname", text("hostname").or_else(|| text("name")));
    metadata.fact("instance_id", text("uuid"));
    metadata.fact("availability_zone", text("availability_zone"));
    for key in json["public_keys"].as_object().into_iter().flat_map(|keys| keys.values()) {
        metadata.keys(key.as_str().unwrap_or_default());
    }
    metadata
}
