//! The processors, from `/proc/cpuinfo` and the firmware.

use super::{Facts, fields, number, text};
use crate::template::Value;
use std::collections::BTreeSet;

/// `.Values.cpu`: speed in MHz, cache in KiB.
pub(super) fn cpu(facts: &Facts<'_>) -> Option<Value> {
    let info = CpuInfo::parse(&facts.kernel_text("/proc/cpuinfo").unwrap_or_default());
    fields([
        ("vendor", text(info.vendor)),
        ("model", text(info.model)),
        ("speed", number(facts.tables().cpu_speed)),
        ("cache", number(info.cache)),
        ("cpus", number(info.cpus)),
        ("cores", number(info.cores)),
        ("threads", number(info.threads)),
    ])
}

#[derive(Debug, Default, PartialEq)]
struct CpuInfo {
    vendor: String,
    model: String,
    cache: u64,
    cpus: u64,
    cores: u64,
    threads: u64,
}

impl CpuInfo {
    fn parse(text: &str) -> Self {
        let mut info = Self::default();
        let (mut cpus, mut cores) = (BTreeSet::new(), BTreeSet::new());
        let mut cpu = "";
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else { continue };
            let value = value.trim();
            match name.trim() {
                "processor" => info.threads += 1,
                "physical id" => {
                    cpu = value;
                    cpus.insert(cpu);
                }
                "core id" => {
                    cores.insert((cpu, value));
                }
                "vendor_id" if info.vendor.is_empty() => info.vendor = value.to_owned(),
                "model name" if info.model.is_empty() => {
                    info.model =
                        value.split_whitespace().collect::<Vec<_>>().join(" ").replacen("- ", "-", 1);
                }
                "cache size" if info.cache == 0 => {
                    info.cache = value.strip_suffix(" KB").and_then(|size| size.parse().ok()).unwrap_or(0);
                }
                _ => {}
            }
        }
        (info.cpus, info.cores) = (cpus.len() as u64, cores.len() as u64);
        info
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_and_threads_are_told_apart() {
        let thread = |processor: u32, core: u32| {
            format!(
                "processor\t: {processor}\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R)  Xeon(R) CPU\n\
                 cache size\t: 30720 KB\nphysical id\t: 0\ncore id\t\t: {core}\n\n"
            )
        };
        let text: String = [(0, 0), (1, 0), (2, 1), (3, 1)].map(|(p, c)| thread(p, c)).concat();
        let expected = CpuInfo {
            vendor: "GenuineIntel".into(),
            model: "Intel(R) Xeon(R) CPU".into(),
            cache: 30_720,
            cpus: 1,
            cores: 2,
            threads: 4,
        };
        assert_eq!(CpuInfo::parse(&text), expected);
        assert_eq!(CpuInfo::parse("processor\t: 0\nprocessor\t: 1\n").threads, 2);
        assert_eq!(CpuInfo::parse("rubbish"), CpuInfo::default());
    }
}
