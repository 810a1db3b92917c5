//! The immutable root: volumes, overlays and persistent directories over a root file system that is read-only.
//!
//! `cosette mount` does it in the initramfs, after the stage `rootfs` has written the layout. The layout
//! ([`layout`]) becomes a plan ([`plan`]), the plan mounts (`mounting`), and what was mounted lines of fstab
//! ([`fstab`]). What cannot be had costs as little as possible: a volume that is missing is left out, and
//! directories whose state was to be kept on it forget it at the next boot; but they can be written to, and the machine
//! boots.

pub mod fstab;
pub mod layout;
mod mounting;
pub mod plan;
mod volume;

use crate::boot::{Check, ORIGIN, Parameters};
use crate::executor::Observer;
use crate::report::{Begun, Outcome, Report, StepReport};
use anyhow::{Context as _, Result};
use cosette_plugins::System;
use cosette_plugins::system::Mounted;
use cosette_schema::{Diagnostic, Findings, Origin};
use layout::Layout;
use mounting::Mounting;
use plan::{Mount, Plan, Root, What};
use std::collections::BTreeSet;
use std::fmt;
use std::path::Path;

/// The name under which the report is kept beside those of the stages.
pub const STAGE: &str = "mount";

/// What is asked for.
pub struct Request {
    /// When file systems are checked.
    pub check: Check,
    /// What is laid over the root; nothing when it is switched off.
    pub layout: Option<Layout>,
    parameters: Parameters,
    findings: Vec<Diagnostic>,
}

impl Request {
    /// Reads the layout and the kernel command line of the machine.
    pub fn read(sys: &System) -> Self {
        let cmdline = sys.host().kernel_file(Path::new("/proc/cmdline")).map(Option::unwrap_or_default);
        let (cmdline, unreadable) = match cmdline {
            Ok(cmdline) => (String::from_utf8_lossy(&cmdline).trim_end().to_owned(), None),
            Err(error) => (String::new(), Some(finding(ORIGIN, &format!("cannot be read: {error:#}")))),
        };
        let (parameters, mut findings) = Parameters::parse(&cmdline);
        findings.extend(unreadable);
        if parameters.disabled {
            return Self { check: parameters.check, layout: None, parameters, findings };
        }
        let mut files = Vec::new();
        for path in layout::FILES {
            match sys.read(path) {
                Ok(content) => files.extend(content.map(|content| (path, content))),
                Err(error) => findings.push(finding(path, &format!("{error:#}"))),
            }
        }
        let (layout, found) = Layout::read(&files, &parameters);
        findings.extend(found);
        Self { check: parameters.check, layout: Some(layout), parameters, findings }
    }

    /// What was wrong with the layout and with the kernel command line.
    pub fn findings(&self) -> &[Diagnostic] {
        &self.findings
    }
}

/// Whoever watches the mounts, and the report in which they stand.
struct Kept<'a> {
    observer: &'a mut dyn Observer,
    report: &'a mut Report,
}

impl Observer for Kept<'_> {
    fn begins(&mut self, what: fmt::Arguments) {
        self.observer.begins(what);
    }

    fn ended(&mut self, step: &StepReport) {
        self.observer.ended(step);
        self.report.push(step.clone());
    }
}

/// Mounts what the layout asks for over the root file system at `sysroot`, and tells of each mount as it is made.
pub fn mount(sys: &System, sysroot: &Path, request: &Request, observer: &mut dyn Observer) -> Report {
    let begun = Begun::with_process();
    let mut report = Report::new(STAGE, sys, &request.findings);
    let mut kept = Kept { observer, report: &mut report };
    match &request.layout {
        None => {
            kept.ended(&skipped(
                "the layout",
                "the immutable root is switched off on the kernel command line",
            ));
        }
        Some(layout) if layout.overlay.is_none() => {
            kept.ended(&skipped("the layout", "the layout has an empty OVERLAY"));
        }
        Some(layout) => {
            let mounting = Mounting::new(sys, sysroot, request.check, &request.parameters, &mut kept);
            if let Err(error) = mounting.and_then(|mut mounting| mounting.lay(layout)) {
                kept.ended(&step("the root file system", Err(error)));
            }
        }
    }
    let synced = sys.sync();
    if synced.is_err() {
        kept.ended(&step("changes reach the disk", synced));
    }
    report.ended(begun, sys.time_of_programs());
    report
}

/// What would be mounted, and the lines of fstab for it. Volumes that are not there now are left out.
pub fn dry_run(sys: &System, sysroot: &Path, request: &Request) -> Result<(Plan, Vec<String>)> {
    let Some(layout) = &request.layout else { return Ok((Plan::default(), Vec::new())) };
    let root = sys.reroot(sysroot).context("there is no root file system")?;
    let mounted = mounted(&root)?;
    let is_overlay = mounted.kind == "overlay";
    let is_there = |path: &str| matches!(sys.exists(path), Ok(true));
    let mut lost: BTreeSet<String> = BTreeSet::new();
    for volume in layout.volumes.iter().filter(|volume| !is_there(volume.device.path())) {
        lost.insert(real(&root, &volume.point));
    }
    let plan = Plan::new(layout, &Root { real: &|path| real(&root, path), is_overlay, lost: &lost });
    let lines = match plan.mounts.is_empty() {
        true => Vec::new(),
        false => lines(layout, &request.parameters, &mounted, &plan.mounts),
    };
    Ok((plan, lines))
}

/// The lines of fstab for mounts.
fn lines(layout: &Layout, parameters: &Parameters, root: &Mounted, mounts: &[Mount]) -> Vec<String> {
    let device = match &parameters.image {
        // A live root is no file system that could be mounted.
        _ if root.kind == "overlay" || parameters.live => None,
        // `root=` then names the partition that holds the image, or a label that nobody may see.
        Some(_) => Some(root.source.clone()).filter(|source| source.starts_with("/dev/")),
        None => parameters.root.as_ref().map(ToString::to_string),
    };
    let mounts: Vec<Mount> = mounts.iter().filter(|mount| fstab::can_be_written(mount)).cloned().collect();
    fstab::lines(device.as_deref(), layout.debug_rw, &mounts)
}

/// Where a path of the root leads. What cannot be told is told when it is mounted.
fn real(root: &System, path: &str) -> String {
    root.real_path(path).map_or_else(|_| path.to_owned(), |real| real.to_string_lossy().into_owned())
}

/// What is mounted as the root.
fn mounted(root: &System) -> Result<Mounted> {
    root.mounted(&root.directory("/")?.context("it is no directory")?)
}

/// What came of one mount, as a step of the report.
fn step(name: &str, result: Result<()>) -> StepReport {
    let mut step = StepReport::unplanned(name, layout::FILES[0], STAGE);
    if let Err(error) = result {
        step.add_findings(&[finding(name, &format!("{error:#}"))]);
    }
    step
}

fn skipped(name: &str, reason: &str) -> StepReport {
    StepReport { outcome: Outcome::Skipped, reason: Some(reason.to_owned()), ..step(name, Ok(())) }
}

fn finding(origin: &str, message: &str) -> Diagnostic {
    let mut findings = Findings::new(Origin::new(origin));
    findings.error(None, message);
    findings.into_vec().remove(0)
}

/// What a person calls a mount: `LABEL=COS_OEM at /oem`.
pub fn shown(mount: &Mount) -> String {
    let point = &mount.point;
    match &mount.what {
        What::Tmpfs(size) => format!("tmpfs of {size} at {point}"),
        What::Device(device) => format!("{device} at {point}"),
        What::Overlay(store) => format!("overlay at {point}, changes in {store}"),
        What::Bind(store) => format!("bind at {point}, from {store}"),
    }
}
