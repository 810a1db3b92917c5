//! The machine as such, its operating system and its kernel.

use super::{Facts, fields, text};
use crate::template::Value;

/// `.Values.node`
pub(super) fn node(facts: &Facts<'_>) -> Option<Value> {
    let id = facts.id("/etc/machine-id").or_else(|| facts.id("/var/lib/dbus/machine-id"));
    fields([
        ("hostname", text(facts.hostname())),
        ("machineid", text(id.unwrap_or_default())),
        ("hypervisor", text(hypervisor(facts).unwrap_or_default())),
        ("timezone", text(timezone(facts).unwrap_or_default())),
    ])
}

/// `.Values.os`
pub(super) fn os(facts: &Facts<'_>) -> Option<Value> {
    let release = match facts.os_id() {
        Some("debian") => facts.root_file("/etc/debian_version"),
        Some("ubuntu") => facts.os_pretty_name().and_then(release_number),
        Some("centos") => facts.root_file("/etc/centos-release").as_deref().and_then(release_number),
        Some("rhel") => {
            let file = facts.root_file("/etc/redhat-release");
            file.as_deref()
                .and_then(release_number)
                .or_else(|| facts.os_pretty_name().and_then(release_number))
        }
        _ => None,
    };
    fields([
        ("name", text(facts.os_pretty_name().unwrap_or_default())),
        ("vendor", text(facts.os_id().unwrap_or_default())),
        ("version", text(facts.os_version_id().unwrap_or_default())),
        ("release", text(release.unwrap_or_default().trim())),
        ("architecture", text(facts.architecture())),
    ])
}

/// `.Values.kernel`
pub(super) fn kernel(facts: &Facts<'_>) -> Option<Value> {
    let architecture = facts.kernel_text("/proc/sys/kernel/arch").unwrap_or_else(|| {
        // Kernels before 6.1 do not say it in a file.
        match facts.architecture() {
            "amd64" => "x86_64",
            "386" => "i686",
            "arm64" => "aarch64",
            "ppc64le" => "ppc64le",
            other => other,
        }
        .to_owned()
    });
    fields([
        ("release", text(facts.kernel_text("/proc/sys/kernel/osrelease").unwrap_or_default())),
        ("version", text(facts.kernel_text("/proc/sys/kernel/version").unwrap_or_default())),
        ("architecture", text(architecture)),
    ])
}

/// The first number with dots behind a space or an opening parenthesis.
fn release_number(text: &str) -> Option<String> {
    let words = text.split([' ', '(']).skip(1);
    let numbers = words.map(|word| {
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        &word[..end]
    });
    numbers.into_iter().find(|number| !number.is_empty()).map(str::to_owned)
}

/// The name of the hypervisor, by what the kernel and the firmware say; the processor is not asked.
fn hypervisor(facts: &Facts<'_>) -> Option<&'static str> {
    let flags = facts.kernel_text("/proc/cpuinfo").unwrap_or_default();
    let is_guest = flags
        .lines()
        .find_map(|line| {
            line.strip_prefix("flags").map(|flags| flags.split_whitespace().any(|f| f == "hypervisor"))
        })
        .unwrap_or(false);
    if !is_guest {
        let xen = facts.kernel_text("/sys/hypervisor/type").is_some_and(|kind| kind == "xen");
        return xen.then_some("xenpv");
    }
    let firmware = |name: &str| facts.kernel_text(format!("/sys/class/dmi/id/{name}")).unwrap_or_default();
    let makers = [firmware("sys_vendor"), firmware("bios_vendor"), firmware("product_name")].join("\n");
    const KNOWN: [(&str, &str); 10] = [
        ("VMware", "vmware"),
        ("Microsoft Corporation", "hyperv"),
        ("Xen", "xenhvm"),
        ("BHYVE", "bhyve"),
        ("Parallels", "parallels"),
        ("QEMU", "kvm"),
        ("KVM", "kvm"),
        ("Amazon EC2", "kvm"),
        ("Google", "kvm"),
        ("Bochs", "bochs"),
    ];
    Some(KNOWN.iter().find(|(maker, _)| makers.contains(maker)).map_or("unknown", |(_, name)| name))
}

/// The name of the time zone: where `/etc/localtime` leads, or what the files of older distributions say.
fn timezone(facts: &Facts<'_>) -> Option<String> {
    let link = facts.system.read_link("/etc/localtime").ok().flatten();
    let linked = link.as_ref().and_then(|target| target.to_str()).and_then(|target| {
        let (_, name) = target.split_once("/usr/share/zoneinfo/")?;
        Some(name.to_owned())
    });
    linked
        .or_else(|| {
            facts.root_file("/etc/timezone").map(|name| name.trim().to_owned()).filter(|n| !n.is_empty())
        })
        .or_else(|| {
            let clock = facts.root_file("/etc/sysconfig/clock")?;
            let zone = clock.lines().find_map(|line| line.trim().strip_prefix("ZONE="))?;
            Some(zone.trim_matches('"').to_owned())
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "a test makes a link")]

    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    fn shown(machine: &Machine, gather: fn(&Facts<'_>) -> Option<Value>) -> String {
        let system = machine.system(Mode::Apply);
        gather(&Facts::new(&system)).map_or_else(String::new, |value| value.to_string())
    }

    #[test]
    fn the_operating_system_is_that_of_the_root() {
        let machine = Machine::new(
            "-- /etc/os-release\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nID=debian\nVERSION_ID=\"12\"\n\
             -- /etc/debian_version\n12.5\n",
        );
        assert_eq!(
            shown(&machine, os),
            "map[architecture:amd64 name:Debian GNU/Linux 12 (bookworm) release:12.5 vendor:debian version:12]"
        );
        let machine = Machine::new("-- /usr/lib/os-release\nPRETTY_NAME='Ubuntu 24.04.1 LTS'\nID=ubuntu\n");
        assert_eq!(
            shown(&machine, os),
            "map[architecture:amd64 name:Ubuntu 24.04.1 LTS release:24.04.1 vendor:ubuntu]"
        );
    }

    #[test]
    fn the_node_has_its_id_and_zone_from_the_root() {
        let machine = Machine::new("-- /etc/machine-id\nabc\n-- /etc/timezone\nEurope/Berlin\n");
        assert_eq!(shown(&machine, node), "map[hostname:machine machineid:abc timezone:Europe/Berlin]");
        let machine = Machine::new("-- /var/lib/dbus/machine-id\ndef\n");
        std::os::unix::fs::symlink("../usr/share/zoneinfo/Asia/Tokyo", machine.root().join("localtime"))
            .unwrap();
        std::fs::create_dir_all(machine.root().join("etc")).unwrap();
        std::fs::rename(machine.root().join("localtime"), machine.root().join("etc/localtime")).unwrap();
        assert_eq!(shown(&machine, node), "map[hostname:machine machineid:def timezone:Asia/Tokyo]");
    }

    #[test]
    fn the_hypervisor_is_known_by_its_firmware() {
        let machine = Machine::new("");
        machine.host.kernel_file("/proc/cpuinfo", "processor\t: 0\nflags\t\t: fpu hypervisor sse\n");
        assert!(shown(&machine, node).contains("hypervisor:unknown"));
        machine.host.kernel_file("/sys/class/dmi/id/sys_vendor", "QEMU\n");
        assert!(shown(&machine, node).contains("hypervisor:kvm"));
    }

    #[test]
    fn the_kernel_is_the_running_one() {
        let machine = Machine::new("");
        machine.host.kernel_file("/proc/sys/kernel/osrelease", "6.1.0-13-amd64\n");
        assert_eq!(shown(&machine, kernel), "map[architecture:x86_64 release:6.1.0-13-amd64]");
    }
}
