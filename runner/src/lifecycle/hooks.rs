//! Hooks: stages that an operation runs at its turns, `before-upgrade` or `after-install-chroot`, each with its `.before`
//! and `.after`.
//!
//! They are stages like all others, of the same sources. In the tree of a new system they run chrooted into it, with
//! the devices and kernel of this machine and with its `/oem` and `/usr/local`.

use super::failure::{Class, Classify as _};
use crate::report::{Outcome, Report, plain, store};
use crate::source::{DEFAULT_DIRECTORIES, Source};
use crate::stage::Prepared;
use anyhow::{Context as _, Result, anyhow};
use cosette_plugins::System;
use cosette_plugins::system::{Kind, NewMount, stop_requested};
use cosette_schema::Severity;
use std::path::{Path, PathBuf};

/// What the kernel shows, and programs need, in a tree.
const KERNEL: [&str; 4] = ["/dev", "/dev/pts", "/proc", "/sys"];

/// How hooks are run.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    /// Further sources, after the default ones.
    pub also: Vec<Source>,
    /// A hook that fails is no failure of the operation, only a warning.
    pub lenient: bool,
}

impl Hooks {
    /// Runs a stage on the machine. Warnings are returned.
    pub fn run(&self, sys: &System, stage: &str) -> Result<Vec<String>> {
        self.judge(run(sys, stage, &self.also), sys)
    }

    /// Runs a stage on the machine, with the documents in the tree of the new system as further sources.
    pub fn run_with_tree(&self, sys: &System, stage: &str, tree: &Path) -> Result<Vec<String>> {
        let mut also = self.also.clone();
        for directory in DEFAULT_DIRECTORIES {
            let inside = tree.join(directory.trim_start_matches('/'));
            if sys.exists(&inside).unwrap_or(false) {
                also.push(Source::Path(inside));
            }
        }
        self.judge(run(sys, stage, &also), sys)
    }

    /// Runs a stage in a tree, chrooted into it. Further directories of the machine are shown there, each as what stands
    /// behind it. Nothing is mounted in the tree when this returns.
    pub fn run_in_tree(
        &self,
        sys: &System,
        stage: &str,
        tree: &Path,
        shown: &[(PathBuf, &str)],
    ) -> Result<Vec<String>> {
        let run = || -> Result<Report> {
            // It becomes an image, and that is on the disk before it counts.
            let _passing = sys.is_passing(tree)?;
            let _mounts = Shown::show(sys, tree, shown)?;
            run(&sys.reroot(tree)?, stage, &self.also)
        };
        self.judge(run(), sys)
    }

    fn judge(&self, result: Result<Report>, sys: &System) -> Result<Vec<String>> {
        let report = result.class(Class::Hook)?;
        let stage = &report.stage;
        if let Err(error) = store::save(&report, sys) {
            return Ok(vec![format!("the report of {stage} is not kept: {error:#}")]);
        }
        if stop_requested() {
            cosette_plugins::system::stop::check().map_err(anyhow::Error::from).class(Class::Interrupted)?;
        }
        let plain = |finding| plain(finding).trim_start_matches("error: ").to_owned();
        let mut problems: Vec<String> = report.diagnostics.iter().map(plain).collect();
        let failed = report.steps.iter().filter(|step| step.outcome == Outcome::Failed);
        problems.extend(failed.flat_map(|step| {
            let errors: Vec<String> = step.errors.iter().map(plain).collect();
            let name = step.name.clone().unwrap_or_else(|| "a step".to_owned());
            let reason = step.reason.clone().unwrap_or_else(|| "it failed".to_owned());
            if errors.is_empty() { vec![format!("{}: {name}: {reason}", step.document)] } else { errors }
        }));
        if !report.failed() || self.lenient {
            return Ok(problems.into_iter().map(|problem| format!("hook {stage}: {problem}")).collect());
        }
        Err(anyhow!("hook {stage} failed: {}", problems.join("; "))).class(Class::Hook)
    }
}

fn run(sys: &System, stage: &str, also: &[Source]) -> Result<Report> {
    let mut prepared = Prepared::defaults(stage, also, sys);
    // Documents of other stages are the business of those.
    if prepared.plan.steps.is_empty() {
        prepared.findings.retain(|finding| finding.severity == Severity::Error);
    }
    let report = prepared.execute(sys, &mut ());
    sys.take_effects();
    Ok(report)
}

/// Directories of the machine that are shown in a tree, until this is dropped.
struct Shown<'s> {
    sys: &'s System,
    mounted: Vec<PathBuf>,
    made: Vec<PathBuf>,
}

impl<'s> Shown<'s> {
    fn show(sys: &'s System, tree: &Path, shown: &[(PathBuf, &str)]) -> Result<Self> {
        let mut all = Self { sys, mounted: Vec::new(), made: Vec::new() };
        for directory in KERNEL {
            if sys.metadata(directory)?.is_some_and(|found| found.kind == Kind::Directory) {
                all.bind(Path::new(directory), &tree.join(directory.trim_start_matches('/')))?;
            }
        }
        for (from, at) in shown {
            all.bind(from, &tree.join(at.trim_start_matches('/')))?;
        }
        Ok(all)
    }

    fn bind(&mut self, from: &Path, at: &Path) -> Result<()> {
        let bind = |all: &mut Self| -> Result<()> {
            let from = all.sys.directory(all.sys.real_path(from)?)?.context("it is not there")?;
            if all.sys.symlink_metadata(at)?.is_none() {
                all.sys.create_dir(at, None, None)?;
                all.made.push(at.to_owned());
            }
            let at = all.sys.directory(at)?.context("it is no directory")?;
            all.sys.mount(&NewMount::Bind { directory: &from }, &at)?;
            all.mounted.push(at.path().to_owned());
            Ok(())
        };
        bind(self).with_context(|| format!("cannot show {} at {}", from.display(), at.display()))
    }
}

impl Drop for Shown<'_> {
    fn drop(&mut self) {
        for at in self.mounted.drain(..).rev() {
            // What cannot be unmounted is seen when the image is compared with the tree, and gone with this process.
            let _ = self.sys.unmount(&at);
        }
        for at in self.made.drain(..).rev() {
            let _ = self.sys.remove(&at);
        }
        self.sys.take_effects();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lifecycle::failure::class_of;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    const DOCUMENTS: &str = "\
-- /oem/90.yaml
stages:
  before-upgrade:
    - files: [{path: /marked, content: x}]
  before-upgrade.after:
    - files: [{path: /after, content: x}]
  after-upgrade:
    - name: Broken
      commands: [exit 3]
";

    #[test]
    fn a_hook_is_a_stage_and_one_that_fails_is_a_failure_of_its_class_unless_that_does_not_matter() {
        let machine = Machine::new(DOCUMENTS);
        let sys = machine.system(Mode::Apply);
        let hooks = Hooks::default();
        assert_eq!(hooks.run(&sys, "before-upgrade").unwrap(), Vec::<String>::new());
        assert!(sys.exists("/marked").unwrap() && sys.exists("/after").unwrap());
        assert!(sys.exists("/run/cosette/before-upgrade.json").unwrap());
        assert!(hooks.run(&sys, "none-of-that-name").unwrap().is_empty());
        let error = hooks.run(&sys, "after-upgrade").unwrap_err();
        assert_eq!(class_of(&error), Some(Class::Hook));
        assert!(format!("{error:#}").starts_with("hook after-upgrade failed: /oem/90.yaml:"), "{error:#}");
        let lenient = Hooks { lenient: true, ..Hooks::default() };
        assert_eq!(lenient.run(&sys, "after-upgrade").unwrap().len(), 1);
    }

    #[test]
    fn documents_of_the_new_system_are_further_sources() {
        let machine = Machine::new(
            "-- /tree/system/oem/1.yaml\nstages: {after-upgrade: [{files: [{path: /of-machine, content: x}]}]}\n",
        );
        let sys = machine.system(Mode::Apply);
        Hooks::default().run_with_tree(&sys, "after-upgrade", Path::new("/tree")).unwrap();
        assert!(sys.exists("/of-machine").unwrap());
    }
}
