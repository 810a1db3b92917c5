//! `cosette mount`: what the layout lays over the root file system, in the initramfs.

use super::{exit_status, run, status_of};
use crate::command_line::{Mount, Options};
use crate::immutable_root::{self, Request, STAGE, shown};
use crate::report::{plain, store};
use anyhow::Result;
use cosette_plugins::system::Mode;
use std::io::{Write, stderr, stdout};

/// Mounts the layout, and keeps the report.
pub(super) fn mount(options: &Options, arguments: &Mount) -> Result<u8> {
    if arguments.dry_run {
        return dry_run(options, arguments);
    }
    let sys = options.system(Mode::Apply)?;
    let request = Request::read(&sys);
    let mut progress = options.progress(STAGE, &sys);
    progress.findings(request.findings());
    let report = immutable_root::mount(&sys, &arguments.sysroot, &request, &mut progress);
    progress.summary(&report);
    drop(progress);
    if let Err(error) = store::save(&report, &sys) {
        let _ = writeln!(stderr(), "warning: the report is not kept: {error:#}");
    }
    run::finish(options, &report)?;
    Ok(exit_status(&report, false))
}

/// Shows what would be mounted, and the lines of fstab for it.
fn dry_run(options: &Options, arguments: &Mount) -> Result<u8> {
    let sys = options.system(Mode::Plan)?;
    let request = Request::read(&sys);
    let (plan, lines) = immutable_root::dry_run(&sys, &arguments.sysroot, &request)?;
    for finding in request.findings() {
        let _ = writeln!(stderr(), "{}", plain(&finding.into()));
    }
    let mut out = stdout().lock();
    for mount in &plan.mounts {
        let _ = writeln!(out, "mount {}", shown(mount));
    }
    for refused in &plan.refused {
        let _ = writeln!(stderr(), "error: {refused}");
    }
    for line in &lines {
        let _ = writeln!(out, "fstab {line}");
    }
    if plan.mounts.is_empty() {
        let _ = writeln!(out, "nothing is mounted");
    }
    Ok(if plan.refused.is_empty() { status_of::DONE } else { status_of::FAILED })
}
