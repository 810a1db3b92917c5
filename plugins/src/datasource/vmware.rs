//! VMware: what the hypervisor has for its guest. A program of the guest tools asks it.

use super::{Metadata, Provider, dmi::Dmi};
use crate::System;
use crate::system::{Command, NoProgram};
use anyhow::{Context as _, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::time::Duration;

pub(super) const PROVIDER: Provider =
    Provider { name: "vmware", server: None, is_disk: false, is_here: is_vmware, ask: |sys, _| ask(sys) };

/// How long the hypervisor may take for an answer.
const LONGEST: Duration = Duration::from_secs(10);

/// More than a command can hand over.
const TOO_MUCH: usize = 64 << 10;

fn is_vmware(dmi: &Dmi) -> bool {
    dmi.vendor.starts_with("VMware")
}

fn ask(sys: &System) -> Result<Option<Metadata>> {
    if !is_vmware(&Dmi::of(sys)) {
        return Ok(None);
    }
    let mut metadata = Metadata { user_data: value(sys, "userdata")?, ..Metadata::default() };
    for name in ["metadata", "vendordata"] {
        metadata.fact(name, value(sys, name)?.map(|value| String::from_utf8_lossy(&value).into_owned()));
    }
    Ok((metadata.user_data.is_some() || !metadata.facts.is_empty()).then_some(metadata))
}

/// A value, decoded as its `.encoding` says.
fn value(sys: &System, name: &str) -> Result<Option<Vec<u8>>> {
    let value = info(sys, &format!("guestinfo.{name}"))?;
    // That is how one says that it is not set.
    let Some(value) = value.filter(|value| !matches!(value.trim_ascii(), b"" | b"---")) else {
        return Ok(None);
    };
    let encoding = info(sys, &format!("guestinfo.{name}.encoding"))?.unwrap_or_default();
    match encoding.trim_ascii() {
        b"" => Ok(Some(value)),
        // What is packed is recognised by itself.
        b"base64" | b"b64" | b"gzip+base64" | b"gz+b64" => {
            let text: Vec<u8> = value.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
            Ok(Some(STANDARD.decode(text).with_context(|| format!("guestinfo.{name} is no base64"))?))
        }
        other => bail!(
            "guestinfo.{name} has the encoding {:?}, which is not known",
            String::from_utf8_lossy(other)
        ),
    }
}

fn info(sys: &System, key: &str) -> Result<Option<Vec<u8>>> {
    let question = format!("info-get {key}");
    for (program, arguments) in
        [("vmware-rpctool", vec![&*question]), ("vmtoolsd", vec!["--cmd", &*question])]
    {
        let command = Command::new(format!("{program} {question}"), program);
        let command = arguments.into_iter().fold(command, Command::argument);
        match sys.ask(&command.at_most(LONGEST)) {
            Ok(None) => return Ok(None),
            Ok(Some(output)) if output.stdout.len() >= TOO_MUCH => bail!("{key} is larger than 64 KiB"),
            Ok(Some(output)) => return Ok(output.success().then_some(output.stdout)),
            Err(error) if error.is::<NoProgram>() => {}
            Err(error) => return Err(error),
        }
    }
    bail!(
        "the root has neither vmware-rpctool nor vmtoolsd, which ask the hypervisor: install the guest tools"
    )
}
