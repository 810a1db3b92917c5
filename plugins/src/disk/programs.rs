//! Programs that others have written, to compare with.
#![allow(clippy::disallowed_methods, reason = "tests run other programs")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// What a program prints; nothing, said loudly, when it is missing or fails.
pub(super) fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Ok(output) => {
            eprintln!("{program} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            None
        }
        Err(_) => {
            skipped(program);
            None
        }
    }
}

/// Whether there are these programs, which is said loudly if not.
pub(super) fn has(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let found = Command::new(program).arg("--version").output().is_ok();
        if !found {
            skipped(program);
        }
        found
    })
}

/// A loop device with sectors of this size for an image, which is gone when it is dropped.
pub(super) struct Loop(String);

impl Loop {
    /// Nothing, said loudly, when there can be none.
    pub(super) fn attach(image: &Path, sector_size: u32) -> Option<Self> {
        let size = sector_size.to_string();
        let image = image.to_str()?;
        let device = output("losetup", &["--find", "--show", "--sector-size", &size, image]);
        if device.is_none() {
            let _ = writeln!(
                std::io::stderr(),
                "SKIPPED: disks of {size} byte sectors: needs root and loop devices"
            );
        }
        device.map(|device| Self(device.trim().to_owned()))
    }

    pub(super) fn path(&self) -> &str {
        &self.0
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.0]).status();
    }
}

fn skipped(program: &str) {
    // Past the capture of test output.
    let _ = writeln!(std::io::stderr(), "SKIPPED: what {program} says of disks: it is missing");
}
