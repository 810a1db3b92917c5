//! With the real git: repositories on the disk and behind real servers on the loopback device.
#![allow(clippy::disallowed_methods, reason = "tests make and look at real files and processes")]

mod hostile;
mod http;
mod local;
mod ssh;

use crate::System;
use crate::system::{Live, Mode};
use crate::testing::{Outcome, apply_to};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

/// A directory with a repository, `origin`, that is changed in `work`.
struct Place(tempfile::TempDir);

impl Place {
    /// A repository with one commit on `main`. Nothing, said loudly, where there is no git.
    fn new() -> Option<Self> {
        if !Command::new("git").arg("--version").output().is_ok_and(|output| output.status.success()) {
            skipped("there is no git");
            return None;
        }
        let place = Self(tempfile::tempdir().unwrap());
        place.git("", &["init", "-q", "--bare", "-b", "main", "origin"]);
        place.git("", &["clone", "-q", "origin", "work"]);
        place.git("work", &["checkout", "-q", "-b", "main"]);
        place.commit("file", "one\n");
        Some(place)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn show(&self, path: &str) -> String {
        self.at(path).display().to_string()
    }

    fn text(&self, path: &str) -> Option<String> {
        std::fs::read_to_string(self.at(path)).ok()
    }

    fn put(&self, path: &str, text: &str) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::fs::write(self.at(path), text).unwrap();
    }

    /// Runs git for the test itself; returns what it says.
    fn git(&self, directory: &str, arguments: &[&str]) -> String {
        let mut command = Command::new("git");
        command.arg("-C").arg(self.at(directory)).args(arguments);
        command.env("GIT_CONFIG_GLOBAL", "/dev/null");
        for (name, value) in [("NAME", "x"), ("EMAIL", "x@example.org")] {
            command.env(format!("GIT_AUTHOR_{name}"), value).env(format!("GIT_COMMITTER_{name}"), value);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }

    /// Commits a file on the branch of `work` and pushes it. Returns the commit.
    fn commit(&self, name: &str, text: &str) -> String {
        self.put(&format!("work/{name}"), text);
        self.git("work", &["add", "--", name]);
        self.git("work", &["commit", "-q", "-m", "x"]);
        self.git("work", &["push", "-q", "--tags", "origin", "HEAD"]);
        self.git("work", &["rev-parse", "HEAD"])
    }

    /// Applies the key to `clone`.
    fn apply(&self, url: &str, keys: &str) -> Outcome {
        let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
        apply_to(&sys, &format!("git:\n  url: {url}\n  path: {}\n{keys}", self.show("clone")))
    }

    /// The same, which must go well; says whether anything was changed.
    #[track_caller]
    fn brings(&self, url: &str, keys: &str) -> bool {
        let outcome = self.apply(url, keys);
        assert!(outcome.findings.is_empty(), "{}", outcome.messages());
        outcome.effects.iter().any(|effect| effect.changed)
    }

    /// Applies twice: the first time changes something, the second time nothing.
    #[track_caller]
    fn brings_once(&self, url: &str, keys: &str) {
        assert!(self.brings(url, keys), "nothing was changed");
        assert!(!self.brings(url, keys), "the second time changed something");
    }

    /// What the key says is wrong. It leaves nothing behind.
    #[track_caller]
    fn fails(&self, url: &str, keys: &str) -> String {
        let outcome = self.apply(url, keys);
        assert!(outcome.messages().contains("Error:"), "{outcome:?}");
        assert!(!self.at(".cosette-git-clone").exists());
        outcome.messages()
    }
}

/// Says loudly what is not tested.
fn skipped(why: &str) {
    writeln!(std::io::stderr(), "SKIPPED: git: {why}").unwrap();
}

/// Whether secrets can be kept in /run; if not, says so.
fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skipped("secrets lie in /run, where only root can write");
    }
    root
}

/// The names in /run that tell of a session that has not ended.
fn leftovers(place: &Place) -> bool {
    let hash = <sha2::Sha256 as sha2::Digest>::digest(place.show("clone"));
    Path::new(&format!("/run/cosette-git-{}", crate::facts::hexadecimal(&hash[..8]))).exists()
}
