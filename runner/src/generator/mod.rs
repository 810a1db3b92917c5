//! The generator of systemd, called as `cosette-generator` in the initramfs: mount units for the root file system, which
//! is an image on a partition, and for `/oem`, by the kernel command line.
//!
//! Everything goes to the early directory, whose units come before those that systemd and dracut generate from
//! `root=`.

mod unit_name;
mod units;

pub use units::{Entry, Units};

use crate::boot::Parameters;
use anyhow::{Context, Result};
use cosette_plugins::System;
use cosette_plugins::system::{File, Mode};
use std::path::Path;

/// Writes the units that the boot of this machine needs. What is wrong is said in the log of the kernel, the only one
/// that there is; the error is for the exit status.
pub fn generate(machine: &System, early: &Path) -> Result<()> {
    if !machine.exists("/etc/initrd-release")? {
        return Ok(());
    }
    let host = machine.host();
    let cmdline = host.kernel_file(Path::new("/proc/cmdline"))?.unwrap_or_default();
    let (parameters, findings) = Parameters::parse(&String::from_utf8_lossy(&cmdline));
    for finding in &findings {
        host.log_to_kernel(&format!("warning: {finding}"));
    }
    let Units { entries, notes } = Units::of(&parameters);
    for note in &notes {
        host.log_to_kernel(note);
    }
    let directory = System::new(early, machine.shared_host(), Mode::Apply)?;
    let mut failed = Ok(());
    for entry in entries {
        let written = match &entry {
            Entry::File(path, content) => directory.write(File::new(path, content.as_bytes()).mode(0o644)),
            Entry::Link(path, target) => directory.symlink(target, path, false),
        };
        let written = written.with_context(|| format!("a unit is missing below {}", early.display()));
        if let Err(error) = written {
            host.log_to_kernel(&format!("error: {error:#}"));
            failed = Err(error);
        }
    }
    failed
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::testing::Machine;

    const CMDLINE: &str = "root=LABEL=COS_ACTIVE cos-img/filename=/cOS/active.img rd.cos.oemtimeout=soon\n";

    #[test]
    #[allow(clippy::disallowed_methods, reason = "the test looks at files from outside")]
    fn units_are_written_in_the_initramfs_and_nowhere_else() {
        let early = tempfile::tempdir().unwrap();
        let names = || {
            let entries = std::fs::read_dir(early.path()).unwrap();
            let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            names.sort();
            names
        };
        let real = Machine::new("-- /etc/os-release\n");
        real.host.kernel_file("/proc/cmdline", CMDLINE);
        generate(&real.system(Mode::Plan), early.path()).unwrap();
        assert_eq!((names(), real.host.take_log()), (vec![], vec![]));

        let initramfs = Machine::new("-- /etc/initrd-release\n");
        initramfs.host.kernel_file("/proc/cmdline", CMDLINE);
        for _ in 0..2 {
            generate(&initramfs.system(Mode::Plan), early.path()).unwrap();
            assert_eq!(
                names(),
                [
                    "dev-disk-by\\x2dlabel-COS_OEM.device.d",
                    "dev-disk-by\\x2dlabel-COS_STATE.device.d",
                    "initrd-root-device.target.d",
                    "initrd-root-fs.target.requires",
                    "initrd.target.wants",
                    "oem.mount",
                    "run-initramfs-cos\\x2dstate.mount",
                    "sysroot.mount",
                ]
            );
            assert_eq!(
                initramfs.host.take_log(),
                [
                    "warning: kernel command line:1:56: `rd.cos.oemtimeout` is ignored: it is a number of seconds \
                     from 1 to 1800",
                    "the root file system is /cOS/active.img of LABEL=COS_STATE, mounted ro",
                ]
            );
        }
        let masked = early.path().join("initrd.target.wants/dev-disk-by\\x2dlabel-COS_ACTIVE.device");
        assert_eq!(std::fs::read_link(masked).unwrap(), Path::new("/dev/null"));
    }

    #[test]
    fn what_cannot_be_written_is_said_and_the_rest_is_written() {
        let machine = Machine::new("-- /etc/initrd-release\n-- /early/sysroot.mount/full/x\n");
        machine.host.kernel_file("/proc/cmdline", CMDLINE);
        let sys = machine.system(Mode::Plan);
        let early = machine.root().join("early");
        assert!(generate(&sys, &early).is_err());
        let log = machine.host.take_log();
        let errors: Vec<_> = log.iter().filter(|line| line.starts_with("error: a unit is missing")).collect();
        assert!(errors.len() == 1 && errors[0].contains("sysroot.mount"), "{log:?}");
        assert!(sys.exists("/early/oem.mount").unwrap());
        assert!(generate(&sys, &machine.root().join("none")).is_err());
    }
}
