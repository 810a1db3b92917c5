//! Microsoft Azure.

use super::service::Service;
use super::{Metadata, Provider};
use crate::System;
use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

const SERVER: &str = "http://169.254.169.254";
const FABRIC: &str = "http://168.63.129.16";

pub(super) const PROVIDER: Provider = Provider {
    name: "azure",
    server: Some(SERVER),
    is_disk: false,
    is_here: |dmi| dmi.chassis == "7783-7084-3265-9085-8269-3286-77",
    ask: |sys, _| ask(sys),
};

fn ask(sys: &System) -> Result<Option<Metadata>> {
    let service = Service::new(sys, SERVER).header("Metadata", "true");
    let Some(json) = service.probe("/metadata/instance?api-version=2021-01-01&format=json")? else {
        return Ok(None);
    };
    let Ok(json) = serde_json::from_str::<Value>(&json) else { return Ok(None) };
    let text = |pointer: &str| json.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let Some(id) = text("/compute/vmId") else { return Ok(None) };
    let mut metadata = Metadata::default();
    metadata.fact("instance_id", Some(id.clone()));
    metadata.fact("compute_vmId", Some(id));
    metadata.fact("hostname", text("/compute/name"));
    for path in [
        "compute/zone",
        "network/interface/0/ipv4/ipAddress/0/publicIpAddress",
        "network/interface/0/ipv4/ipAddress/0/privateIpAddress",
    ] {
        metadata.fact(&path.replace('/', "_"), text(&format!("/{path}")));
    }
    for key in json.pointer("/compute/publicKeys").and_then(Value::as_array).into_iter().flatten() {
        // Some keys come with line breaks in the middle.
        let key = key["keyData"].as_str().unwrap_or_default().replace(['\r', '\n'], "");
        metadata.keys(&key);
    }
    let data: String = text("/compute/userData").unwrap_or_default().split_whitespace().collect();
    if !data.is_empty() {
        metadata.user_data = Some(STANDARD.decode(data).context("the user-data of Azure is no base64")?);
    }
    if let Err(error) = report_ready(sys) {
        metadata.warnings.push(format!("cannot tell Azure that this machine is ready: {error:#}"));
    }
    Ok(Some(metadata))
}

/// Without this, Azure takes the machine for one that never came up.
fn report_ready(sys: &System) -> Result<()> {
    let fabric =
        Service::new(sys, FABRIC).header("x-ms-version", "2012-11-30").header("x-ms-agent-name", "cosette");
    let goal = fabric.text("/machine?comp=goalstate")?.context("it has no goal state")?;
    let element = |name: &str| -> Result<String> {
        let (_, rest) =
            goal.split_once(&format!("<{name}>")).with_context(|| format!("no {name} in its goal state"))?;
        let (text, _) = rest.split_once('<').unwrap_or((rest, ""));
        Ok(text.trim().to_owned())
    };
    let (incarnation, container) = (element("Incarnation")?, element("ContainerId")?);
    let instance = element("InstanceId")?;
    let health = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Health><GoalStateIncarnation>{incarnation}</GoalStateIncarnation>\
         <Container><ContainerId>{container}</ContainerId><RoleInstanceList><Role><InstanceId>{instance}</InstanceId>\
         <Health><State>Ready</State></Health></Role></RoleInstanceList></Container></Health>"
    );
    let fabric = fabric.header("Content-Type", "text/xml; charset=utf-8");
    fabric.post("/machine?comp=health", health)?.context("it refuses the report")?;
    Ok(())
}
