//! Disks that somebody has made for this machine: NoCloud (`cidata`) and OpenStack's config drive (`config-2`).
//!
//! A disk is mounted read-only where nobody else can see it, and is gone as soon as it has been read.

use super::{Metadata, Provider, dmi, ec2};
use crate::System;
use crate::disk::Mountable;
use crate::system::Mode;
use anyhow::{Context as _, Result, bail};
use cosette_schema::yaml::{self, Node, Value};
use cosette_schema::{Findings, Origin};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

pub(super) const CDROM: Provider = Provider {
    name: "cdrom",
    server: None,
    is_disk: true,
    is_here: dmi::unknown,
    ask: |sys, _| ask(sys, "cidata", no_cloud),
};

pub(super) const CONFIG_DRIVE: Provider = Provider {
    name: "config-drive",
    server: None,
    is_disk: true,
    is_here: dmi::unknown,
    ask: |sys, _| ask(sys, "config-2", config_drive),
};

/// Block devices that are never such a disk.
const OTHERS: [&str; 4] = ["loop", "ram", "zram", "nbd"];

fn ask(sys: &System, label: &str, read: fn(&System) -> Result<Option<Metadata>>) -> Result<Option<Metadata>> {
    if !sys.is_own_kernel() {
        bail!("disks are those of a running machine, and this root is not its own");
    }
    let names = sys.host().kernel_dir(Path::new("/sys/class/block"))?.unwrap_or_default();
    let names = names.iter().filter_map(|name| name.to_str());
    for name in names.filter(|name| !OTHERS.iter().any(|other| name.starts_with(other))) {
        let device = PathBuf::from(format!("/dev/{name}"));
        // A drive without a disc, and one that is somebody else's.
        let Ok(Some(Mountable { kind, label: Some(found) })) = Mountable::on(&device, sys) else { continue };
        if !matches!(kind, "iso9660" | "vfat") || !found.eq_ignore_ascii_case(label) {
            continue;
        }
        let mounted = sys.host().mount_detached(&device, kind, true);
        let mounted =
            mounted.with_context(|| format!("cannot mount {} ({kind}, {found})", device.display()))?;
        let root = format!("/proc/self/fd/{}", mounted.as_raw_fd());
        let disk = System::new(Path::new(&root), sys.shared_host(), Mode::Plan)?;
        if let Some(metadata) = read(&disk)? {
            return Ok(Some(metadata));
        }
    }
    bail!("no disk has the label {label}")
}

fn no_cloud(disk: &System) -> Result<Option<Metadata>> {
    let user_data = match disk.read("user-data")? {
        Some(content) => Some(content),
        None => disk.read("config")?,
    };
    let mut metadata = Metadata::default();
    if let Some(text) = disk.read("meta-data")? {
        of_yaml(&String::from_utf8_lossy(&text), &mut metadata);
    } else if user_data.is_none() {
        return Ok(None);
    }
    metadata.user_data = user_data;
    Ok(Some(metadata))
}

/// What `meta-data` says: YAML, with keys as a list, a text, or a map of lists.
fn of_yaml(text: &str, metadata: &mut Metadata) {
    let Some(root) = yaml::parse(text, &mut Findings::new(Origin::new("meta-data"))) else { return };
    let get = |name: &str| {
        let Value::Map(entries) = &root.value else { return None };
        entries.iter().find(|(key, _)| key.text() == Some(name)).map(|(_, value)| value)
    };
    let text = |name: &str| get(name).and_then(Node::text).map(str::to_owned);
    metadata.fact("instance_id", text("instance-id"));
    metadata.fact("hostname", text("local-hostname").or_else(|| text("hostname")));
    let mut left: Vec<&Node> = get("public-keys").into_iter().chain(get("public_keys")).collect();
    while let Some(node) = left.pop() {
        match &node.value {
            Value::List(items) => left.extend(items.iter().rev()),
            Value::Map(entries) => left.extend(entries.iter().rev().map(|(_, value)| value)),
            Value::Scalar(_) => metadata.keys(node.text().unwrap_or_default()),
        }
    }
}

fn config_drive(disk: &System) -> Result<Option<Metadata>> {
    let user_data = disk.read("openstack/latest/user_data")?;
    let json = disk.read("openstack/latest/meta_data.json")?;
    if user_data.is_none() && json.is_none() {
        return Ok(None);
    }
    let json = json.unwrap_or_default();
    Ok(Some(Metadata { user_data, ..ec2::of_json(&String::from_utf8_lossy(&json)) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel of a test may know neither ISO 9660 nor FAT; the way is the same for all.
    #[test]
    #[allow(clippy::disallowed_methods, reason = "a test makes a real disk")]
    fn a_real_disk_is_mounted_where_nobody_sees_it_and_gone_afterwards() {
        use crate::system::{Host, Live};
        use std::process::Command;
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program)
                .args(arguments)
                .output()
                .ok()
                .filter(|output| output.status.success())?;
            Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
        };
        let directory = tempfile::tempdir().unwrap();
        let (files, image) = (directory.path().join("files"), directory.path().join("image"));
        std::fs::create_dir(&files).unwrap();
        std::fs::write(files.join("meta-data"), "instance-id: real\n").unwrap();
        std::fs::File::create(&image).unwrap().set_len(4 << 20).unwrap();
        let (files, image) = (files.to_str().unwrap(), image.to_str().unwrap());
        let made = run("mkfs.ext4", &["-q", "-L", "cidata", "-d", files, image]);
        let Some(device) = made.and_then(|_| run("losetup", &["--find", "--show", "--read-only", image]))
        else {
            eprintln!("SKIPPED: a real disk: needs root, mkfs.ext4, losetup and loop devices");
            return;
        };
        let seen = (|| {
            let device = Path::new(&device);
            let machine = System::new(Path::new("/"), std::sync::Arc::new(Live), Mode::Plan)?;
            let found = Mountable { kind: "ext4", label: Some("cidata".to_owned()) };
            assert_eq!(Mountable::on(device, &machine)?, Some(found));
            assert!(Mountable::on(Path::new("/dev/null"), &machine).is_err());
            assert!(
                Live.mount_detached(device, "no-such", true)
                    .unwrap_err()
                    .to_string()
                    .contains("no such file system")
            );
            let mounted = Live.mount_detached(device, "ext4", true)?;
            let root = format!("/proc/self/fd/{}", mounted.as_raw_fd());
            let disk = System::new(Path::new(&root), std::sync::Arc::new(Live), Mode::Plan)?;
            let mounts = std::fs::read_to_string("/proc/self/mounts")?;
            assert!(!mounts.contains(device.to_str().unwrap()), "{mounts}");
            let metadata = no_cloud(&disk)?;
            Ok::<_, anyhow::Error>(metadata.and_then(|metadata| metadata.facts.get("instance_id").cloned()))
        })();
        // Fails while it is mounted anywhere.
        assert!(run("losetup", &["--detach", &device]).is_some());
        assert_eq!(seen.unwrap().as_deref(), Some("real"));
    }

    #[test]
    fn keys_of_meta_data_come_in_several_forms() {
        for text in ["public-keys: [a, b]", "public-keys: \"a\\nb\"", "public-keys: {x: [a], y: b}"] {
            let mut metadata = Metadata::default();
            of_yaml(text, &mut metadata);
            let keys: Vec<_> = metadata.keys.iter().map(|(_, key)| key.as_str()).collect();
            assert_eq!(keys, ["a", "b"], "{text}");
        }
        of_yaml("[a", &mut Metadata::default());
    }
}
