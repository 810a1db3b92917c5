//! Disks and network interfaces, from `/sys`. Those that exist only in software are left out.

use super::{Facts, fields, number, text};
use crate::template::Value;
use std::path::Path;

/// `.Values.storage`: a list of disks, sizes in GB.
pub(super) fn storage(facts: &Facts<'_>) -> Option<Value> {
    let disks = devices(facts, "/sys/block", |facts, name, at| {
        let optical = facts.kernel_text(format!("{at}/device/type")).is_some_and(|kind| kind == "5");
        if optical || name.starts_with("fd") {
            return None;
        }
        let vendor =
            facts.kernel_text(format!("{at}/device/vendor")).filter(|vendor| !vendor.starts_with("0x"));
        let sectors: u64 =
            facts.kernel_text(format!("{at}/size")).and_then(|size| size.parse().ok()).unwrap_or(0);
        fields([
            ("name", text(name)),
            ("driver", driver(facts, at)),
            ("vendor", text(vendor.unwrap_or_default())),
            ("model", text(facts.kernel_text(format!("{at}/device/model")).unwrap_or_default())),
            ("serial", text(serial(facts, at).unwrap_or_default())),
            // Sectors of 512 bytes.
            ("size", number(sectors / 1_953_125)),
        ])
    });
    (!disks.is_empty()).then(|| disks.into())
}

/// `.Values.network`: a list of interfaces, speeds in Mbit/s.
pub(super) fn network(facts: &Facts<'_>) -> Option<Value> {
    let interfaces = devices(facts, "/sys/class/net", |facts, name, at| {
        // An interface without a link has no speed, and says so by an error or -1.
        let speed = facts.kernel_text(format!("{at}/speed")).and_then(|speed| speed.parse::<u64>().ok());
        fields([
            ("name", text(name)),
            ("driver", driver(facts, at)),
            ("macaddress", text(facts.kernel_text(format!("{at}/address")).unwrap_or_default())),
            ("speed", number(speed.filter(|speed| *speed < u64::from(u32::MAX)).unwrap_or(0))),
        ])
    });
    (!interfaces.is_empty()).then(|| interfaces.into())
}

fn devices(
    facts: &Facts<'_>,
    directory: &str,
    describe: impl Fn(&Facts<'_>, &str, &str) -> Option<Value>,
) -> Vec<Value> {
    let names = facts.kernel_names(directory);
    let described = names.iter().filter_map(|name| {
        let name = name.to_str()?;
        let at = format!("{directory}/{name}");
        let target = facts.kernel_link(&at)?;
        let is_virtual = target.components().any(|component| component.as_os_str() == "virtual");
        if is_virtual { None } else { describe(facts, name, &at) }
    });
    described.collect()
}

fn driver(facts: &Facts<'_>, at: &str) -> Option<Value> {
    let target = facts.kernel_link(format!("{at}/device/driver"))?;
    text(Path::new(&target).file_name()?.to_str()?)
}

/// The serial number: what udev knows, or else what the kernel shows.
fn serial(facts: &Facts<'_>, at: &str) -> Option<String> {
    let number = facts.kernel_text(format!("{at}/dev"))?;
    let known = facts.root_file(&format!("/run/udev/data/b{number}")).and_then(|properties| {
        properties.lines().find_map(|line| line.strip_prefix("E:ID_SERIAL_SHORT=")).map(str::to_owned)
    });
    known
        .or_else(|| facts.kernel_text(format!("{at}/serial")))
        .or_else(|| facts.kernel_text(format!("{at}/device/serial")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    #[test]
    fn disks_are_listed_without_virtual_and_optical_ones() {
        let machine = Machine::new("-- /run/udev/data/b8:0\nE:ID_SERIAL=x_S1\nE:ID_SERIAL_SHORT=S1\n");
        let host = &machine.host;
        for (path, content) in [
            ("/sys/block/sda/size", "976773168\n"),
            ("/sys/block/sda/dev", "8:0\n"),
            ("/sys/block/sda/device/vendor", "ATA     \n"),
            ("/sys/block/sda/device/model", "Samsung SSD 860 \n"),
            ("/sys/block/sr0/device/type", "5\n"),
            ("/sys/block/vda/dev", "253:0\n"),
            ("/sys/block/vda/serial", "V1\n"),
            ("/sys/block/vda/device/vendor", "0x1af4\n"),
        ] {
            host.kernel_file(path, content);
        }
        for (path, target) in [
            ("/sys/block/sda", "../devices/pci0000:00/0000:00:17.0/block/sda"),
            ("/sys/block/sda/device/driver", "../../../bus/scsi/drivers/sd"),
            ("/sys/block/sr0", "../devices/pci0000:00/block/sr0"),
            ("/sys/block/vda", "../devices/pci0000:00/virtio0/block/vda"),
            ("/sys/block/loop0", "../devices/virtual/block/loop0"),
        ] {
            host.kernel_link(path, target);
        }
        let system = machine.system(Mode::Apply);
        assert_eq!(
            storage(&Facts::new(&system)).unwrap().to_string(),
            "[map[driver:sd model:Samsung SSD 860 name:sda serial:S1 size:500 vendor:ATA] map[name:vda serial:V1]]"
        );
    }

    #[test]
    fn interfaces_are_listed_without_virtual_ones() {
        let machine = Machine::new("");
        let host = &machine.host;
        host.kernel_link("/sys/class/net/lo", "../../devices/virtual/net/lo");
        host.kernel_link("/sys/class/net/eth0", "../../devices/pci0000:00/virtio1/net/eth0");
        host.kernel_link("/sys/class/net/eth0/device/driver", "../../bus/virtio/drivers/virtio_net");
        host.kernel_file("/sys/class/net/eth0/address", "52:54:00:12:34:56\n");
        host.kernel_file("/sys/class/net/eth0/speed", "-1\n");
        host.kernel_link("/sys/class/net/eth1", "../../devices/pci0000:00/net/eth1");
        host.kernel_file("/sys/class/net/eth1/speed", "1000\n");
        let system = machine.system(Mode::Apply);
        assert_eq!(
            network(&Facts::new(&system)).unwrap().to_string(),
            "[map[driver:virtio_net macaddress:52:54:00:12:34:56 name:eth0] map[name:eth1 speed:1000]]"
        );
    }
}
