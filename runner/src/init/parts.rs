//! The parts of `cosette init`.

use super::files::{COMPLETIONS, DRACUT, Embedded, MANUAL, UNITS};
use super::{Findings, initramfs, names};
use crate::builtin;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use cosette_plugins::System;
use cosette_plugins::system::{File, Host, Live, Mode};
use cosette_plugins::units::{self, UnitName};
use std::path::Path;
use std::sync::Arc;

/// Where the binary belongs: the units start it there.
pub const BINARY: &str = "/usr/bin/cosette";

/// Where the default documents are written to.
const OEM: &str = "/system/oem";

/// The identity of a machine, which systemd fills in.
const MACHINE_ID: &str = "/etc/machine-id";

/// Something that can be installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// This program, as /usr/bin/cosette, if there is none
    Binary,
    /// The units of systemd for the stages, enabled, /oem to mount at, and an empty /etc/machine-id
    Units,
    /// The default set of documents, in /system/oem; what is there stays
    Oem,
    /// The names of the peers, as links to the binary: cos-setup, elemental, yip
    Names,
    /// The pages of the manual, and what lets bash, zsh and fish complete the command line
    Manual,
    /// The module for dracut
    Dracut,
    /// The initramfs of each kernel, built anew with dracut, and /boot/vmlinuz and /boot/initrd
    Initramfs,
}

impl Part {
    /// All of them, in the order in which they are done.
    pub const ALL: [Self; 7] =
        [Self::Binary, Self::Units, Self::Oem, Self::Names, Self::Manual, Self::Dracut, Self::Initramfs];

    /// Its name on the command line and in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Binary => "binary",
            Self::Units => "units",
            Self::Oem => "oem",
            Self::Names => "names",
            Self::Manual => "manual",
            Self::Dracut => "dracut",
            Self::Initramfs => "initramfs",
        }
    }

    pub(super) fn install(self, sys: &System, findings: &mut Findings) -> Result<()> {
        match self {
            Self::Binary => binary(sys),
            Self::Units => {
                write_all(sys, UNITS, findings);
                enable(sys, findings);
                // The root is read-only when something shall be mounted there.
                findings.attempt(sys.create_dir("/oem", None, None));
                machine_id(sys)
            }
            Self::Oem => {
                oem(sys, findings);
                Ok(())
            }
            Self::Names => {
                names::link(sys, findings);
                Ok(())
            }
            Self::Manual => {
                for page in MANUAL {
                    // A package of a distribution brings it compressed.
                    let compressed = findings.attempt(sys.exists(format!("{}.gz", page.path)));
                    if compressed == Some(false) {
                        write_all(sys, std::slice::from_ref(page), findings);
                    }
                }
                write_all(sys, COMPLETIONS, findings);
                Ok(())
            }
            Self::Dracut => {
                write_all(sys, DRACUT, findings);
                Ok(())
            }
            Self::Initramfs => initramfs::build(sys, findings),
        }
    }
}

fn write_all(sys: &System, files: &[Embedded], findings: &mut Findings) {
    for file in files {
        let new = File::new(file.path, file.content).mode(file.mode);
        findings.attempt(sys.write(new));
    }
}

/// An image has no machine id, but a file for it: without the file each boot would be the first one to systemd, which
/// then asks at the console for what is not set, and waits.
fn machine_id(sys: &System) -> Result<()> {
    if sys.metadata(MACHINE_ID)?.is_none() {
        sys.write(File::new(MACHINE_ID, "").mode(0o444))?;
    }
    Ok(())
}

/// Copies this program into the root, unless there is one: it may be of another processor, or of another version.
fn binary(sys: &System) -> Result<()> {
    if sys.exists(BINARY)? {
        return Ok(());
    }
    let own =
        Live.kernel_link(Path::new("/proc/self/exe"))?.context("this program does not know its own file")?;
    let machine = System::new(Path::new("/"), Arc::new(Live), Mode::Apply)?;
    sys.write_stream(&File::new(BINARY, "").mode(0o755), |sink| {
        let mut copied = Ok(());
        let found = machine.read_pieces(&own, |piece| {
            if copied.is_ok() {
                copied = sink.add(piece);
            }
        })?;
        if !found {
            bail!("this program is not at {} any more", own.display());
        }
        copied
    })?;
    Ok(())
}

/// By links, as `systemctl enable` makes them. A unit that is masked stays so.
fn enable(sys: &System, findings: &mut Findings) {
    let names = UNITS.iter().filter(|file| file.content.contains("\n[Install]\n")).map(Embedded::name);
    for name in names {
        let enabled = UnitName::parse(name).and_then(|name| units::enable(sys, &name));
        let Some(report) = findings.attempt(enabled.with_context(|| format!("cannot enable {name}"))) else {
            continue;
        };
        findings.warnings.extend(report.warnings);
        findings.errors.extend(report.errors.iter().map(|error| format!("cannot enable {name}: {error:#}")));
    }
}

/// The documents are meant to be changed, and so those that are there are left alone.
fn oem(sys: &System, findings: &mut Findings) {
    for (name, text) in builtin::DOCUMENTS {
        let path = format!("{OEM}/{name}");
        match findings.attempt(sys.read(&path)) {
            Some(Some(content)) if content != text.as_bytes() => {
                findings.warnings.push(format!("{path} is kept: it is not the one of this version"));
            }
            Some(_) => {
                findings.attempt(sys.write(File::new(path, *text).default_mode(0o644)));
            }
            None => {}
        }
    }
}
