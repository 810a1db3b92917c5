//! A throw-away view of this machine, for tests that need its programs in a root of their own.

use super::{Outcome, apply_to};
use crate::System;
use crate::system::{Live, Mode};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// This machine with an empty layer over it, for as long as this lives.
#[derive(Debug)]
pub struct View(tempfile::TempDir);

impl View {
    /// A view for a test that is about `what`, and needs these programs. Nothing, said loudly, where that is not
    /// possible.
    pub fn new(what: &str, programs: &[&str]) -> Option<Self> {
        let view = Self(tempfile::tempdir().ok()?);
        let at = |name: &str| view.0.path().join(name).display().to_string();
        let possible = nix::unistd::geteuid().is_root()
            && programs.iter().all(|program| Path::new(program).exists())
            && runs("mount", &["-t", "tmpfs", "none", &at("")])
            && ["upper", "work", "root"].iter().all(|name| std::fs::create_dir(at(name)).is_ok())
            && runs("mount", &["-t", "overlay", "-o", &view.layers(), "none", &at("root")])
            && runs("mount", &["--bind", "/dev", &at("root/dev")]);
        if !possible {
            let programs = programs.join(" and ");
            let _ = writeln!(std::io::stderr(), "SKIPPED: {what}: needs root, overlayfs and {programs}");
            return None;
        }
        Some(view)
    }

    fn layers(&self) -> String {
        let at = self.0.path().display();
        format!("lowerdir=/,upperdir={at}/upper,workdir={at}/work")
    }

    /// Where a path of the view lies outside.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join("root").join(path.trim_start_matches('/'))
    }

    /// Applies the keys of a step to it.
    pub fn apply(&self, step: &str) -> Outcome {
        let sys = System::new(&self.path("/"), Arc::new(Live), Mode::Apply).expect("the view can be opened");
        apply_to(&sys, step)
    }
}

impl Drop for View {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-R").arg("-l").arg(self.0.path()).output();
    }
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|output| output.status.success())
}
