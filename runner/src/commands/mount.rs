//! `cosette mount`: what the layout lays over the root file system, in the initramfs.

use super::{exit_status, run, status_of};
use crate::command_line::{Mount, Options};
use crate::immutable_root::{self, Request, shown};
use crate::report::store;
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
    let mut terminal = options.terminal(Mode::Apply);
    let report = immutable_root::mount(&sys, &arguments.sysroot, &request, |step| {
        if !options.json {
            // A reader that has gone away must not stop the boot.
            let _ = terminal.step(step);
        }
    });
    if !options.json {
        let _ = terminal.summary(&report);
    }
    drop(terminal);
    options.print_findings(request.findings());
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
    options.print_findings(request.findings());
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
