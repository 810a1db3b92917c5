//! `cosette build disk`: the image of a disk with a system, made without mounting anything.
//!
//! The partitions are directories first. When all is in them, they become file systems at their places in the image, which
//! has another name until it is complete.

use super::boot_loader::{bios, esp};
use super::failure::{Class, Classify as _};
use super::new_system::{self, Directories, HookNames, Made, NewSystem, Parts, Spec, steps};
use super::operation::{Event, Name, Operation, failpoint};
use super::outcome::Outcome;
use super::space::{self, Need};
use super::system_disk::{Role, Sizes, table};
use anyhow::{Context as _, Result, anyhow, bail};
use cosette_plugins::System;
use cosette_plugins::disk::{NewPartition, Partition, partition};
use cosette_plugins::image::Digest;
use cosette_plugins::program::{must_succeed, remedy};
use cosette_plugins::system::{Command, Disk, Kind, Lock};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

const HOOKS: HookNames =
    HookNames { before: "before-disk", chroot: "after-disk-chroot", after: "after-disk", post: "post-disk" };

/// So long a program may take for one file system.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What brings its programs.
const REMEDY: &str = "install e2fsprogs";

/// What is wanted.
pub struct Request {
    /// The file.
    pub to: PathBuf,
    /// The size of the disk in bytes.
    pub bytes: u64,
    /// The sizes of its partitions.
    pub sizes: Sizes,
    /// What the system is made from.
    pub spec: Spec,
}

/// Makes the image, or tells how it would be made.
pub fn build(
    sys: &System,
    request: &Request,
    dry_run: bool,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Outcome> {
    let mut build = Build::new(sys, request)?;
    let _lock = if dry_run { None } else { Some(build.lock()?) };
    let operation = build.operation();
    let mut outcome = new_system::ended(Name::BuildDisk, &request.spec, &operation, dry_run);
    if !dry_run {
        build.check_space()?;
        operation.run(sys, &mut build, tell)?;
        outcome.warnings.append(&mut build.made.warnings);
    }
    Ok(outcome)
}

/// The image while it is made. What is not complete is removed when this is dropped.
pub struct Build<'a> {
    sys: &'a System,
    request: &'a Request,
    /// Whether there may be something to remove.
    begun: bool,
    partitions: Vec<(Role, NewPartition)>,
    at: Directories,
    made: Made,
    work: PathBuf,
    partial: PathBuf,
    disk: Option<(Box<dyn Disk>, Vec<Partition>)>,
}

impl<'a> Build<'a> {
    /// Looks whether it can be made; nothing is written.
    pub fn new(sys: &'a System, request: &'a Request) -> Result<Self> {
        let partitions = request.sizes.partitions(request.bytes)?;
        let name = request.to.file_name().context("the image has no name").class(Class::Configuration)?;
        let name = name.to_string_lossy();
        let directory = request.to.parent().unwrap_or(Path::new("/"));
        match sys.metadata(&request.to)? {
            Some(found) if found.kind != Kind::File => {
                return Err(anyhow!("{} is {}", request.to.display(), found.kind)).class(Class::Device);
            }
            _ => {}
        }
        // One name, so that what a run has left that was killed is found by the next.
        let work = directory.join(format!(".{name}.cosette"));
        let at = Directories {
            oem: work.join("oem"),
            recovery: work.join("recovery"),
            state: work.join("state"),
            persistent: Some(work.join("persistent")),
            are_mounted: false,
        };
        let partial = directory.join(format!(".{name}.partial"));
        Ok(Self {
            sys,
            request,
            begun: false,
            partitions,
            at,
            made: Made::default(),
            work,
            partial,
            disk: None,
        })
    }

    /// Keeps others from building the same image.
    fn lock(&self) -> Result<Lock> {
        let name = Digest::of(self.request.to.as_os_str().as_bytes());
        let name = name.as_str().replace(':', "-");
        let locked = self.sys.lock_at_once(format!("/run/cosette/build-{name}.lock"));
        locked.with_context(|| format!("{} is being built", self.request.to.display())).class(Class::Busy)
    }

    /// The steps.
    pub fn operation(&self) -> Operation<'a, Self> {
        let begin = Operation::new(Name::BuildDisk).step(
            "prepare",
            format!("a place for the parts next to {}", self.request.to.display()),
            Self::prepare,
        );
        steps(begin, Name::BuildDisk, &self.request.spec, HOOKS)
            .step("partitions", table(&self.partitions), Self::partition)
            .step("file systems", "on oem, recovery, state and persistent", Self::file_systems)
            .step("GRUB", "for BIOS and EFI", |build| build.boot_loader().class(Class::BootLoader))
            .step("post", format!("hook {}", HOOKS.post), |build| {
                build.made.warnings.extend(build.request.spec.hooks.run(build.sys, HOOKS.post)?);
                Ok(())
            })
            .step("complete", self.request.to.display().to_string(), Self::complete)
    }

    /// Whether the directory has room for the parts, which are there twice while they become file systems.
    fn check_space(&self) -> Result<()> {
        let Spec { system, image, .. } = &self.request.spec;
        let estimate = space::estimate(self.sys, system, image.file_system)?;
        let image = estimate.image.bytes;
        let bytes = (estimate.tree.bytes + 3 * image).max(5 * image);
        let directory = self.request.to.parent().unwrap_or(Path::new("/"));
        space::check(self.sys, directory, Need { bytes, files: estimate.tree.files })
    }

    fn prepare(&mut self) -> Result<()> {
        self.begun = true;
        self.clean_up()?;
        self.sys.create_dir(&self.work, Some(0o700), None)?;
        let Directories { oem, recovery, state, persistent, .. } = &self.at;
        for directory in [oem, recovery, state].into_iter().chain(persistent) {
            self.sys.create_dir(directory, Some(0o755), None)?;
        }
        Ok(())
    }

    fn clean_up(&self) -> Result<()> {
        self.sys.remove_tree(&self.work)?;
        self.sys.remove(&self.partial).map(drop)
    }

    fn partition(&mut self) -> Result<()> {
        let disk = self.sys.create_disk_file(&self.partial, self.request.bytes)?;
        let new: Vec<_> = self.partitions.iter().map(|(_, partition)| partition.clone()).collect();
        let random = |bytes: &mut [u8]| self.sys.host().random(bytes);
        let made = partition(&*disk, &new, &random).class(Class::Partitioning)?;
        self.disk = Some((disk, made));
        Ok(())
    }

    fn disk(&self) -> Result<&(Box<dyn Disk>, Vec<Partition>)> {
        self.disk.as_ref().context("there is no disk yet")
    }

    fn file_systems(&mut self) -> Result<()> {
        let (_, partitions) = self.disk()?;
        let Directories { oem, recovery, state, persistent, .. } = &self.at;
        let empty = self.work.join("persistent");
        let trees = [
            (Role::Oem, oem),
            (Role::Recovery, recovery),
            (Role::State, state),
            (Role::Persistent, persistent.as_ref().unwrap_or(&empty)),
        ];
        for (role, tree) in trees {
            let partition = partitions.iter().find(|partition| partition.name == role.name());
            let partition = partition.context("a partition is missing")?;
            self.file_system(role, partition, tree)
                .with_context(|| format!("the file system of {}", role.name()))
                .class(Class::Partitioning)?;
            failpoint(self.sys)?;
            self.sys.remove_tree(tree)?;
        }
        Ok(())
    }

    /// Makes an ext4 with what is in a directory. Its blocks have 4096 bytes: GRUB cannot read the beginning of a sparse
    /// file from smaller ones.
    fn file_system(&self, role: Role, partition: &Partition, tree: &Path) -> Result<()> {
        let (Some(tree), Some(file)) = (tree.to_str(), self.partial.to_str()) else {
            bail!("the path of the image is no text");
        };
        let offset = format!("offset={},root_owner=0:0", partition.start);
        let size = format!("{}k", partition.bytes / 1024);
        let label = role.label().unwrap_or_default();
        let make =
            ["mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-m", "0", "-L", label, "-d", tree, "-E"];
        run(self.sys, &[&make[..], &[&*offset, file, &*size]].concat()).with_context(|| {
            format!("{} may be too small with {} MiB", role.name(), partition.bytes >> 20)
        })?;
        run(self.sys, &["e2fsck", "-f", "-n", &format!("{file}?offset={}", partition.start)])
    }

    fn boot_loader(&mut self) -> Result<()> {
        let (disk, partitions) = self.disk()?;
        let images = self.made.images.as_ref().context("there is no boot loader yet")?;
        let find = |role: Role| partitions.iter().find(|partition| partition.name == role.name());
        if let Some(bios) = &images.bios {
            bios::install(&**disk, find(Role::Bios).context("a partition is missing")?, bios)?;
            failpoint(self.sys)?;
        }
        let efi = find(Role::Efi).context("a partition is missing")?;
        let mut id = [0; 4];
        self.sys.host().random(&mut id);
        let label = Role::Efi.label().unwrap_or_default();
        esp::make(&**disk, efi.start, efi.bytes, label, u32::from_le_bytes(id), &images.esp)
    }

    fn complete(&mut self) -> Result<()> {
        self.disk()?.0.sync()?;
        self.disk = None;
        failpoint(self.sys)?;
        self.sys.take_place(&self.partial, &self.request.to)?;
        failpoint(self.sys)?;
        self.sys.checkpoint(self.request.to.parent().unwrap_or(Path::new("/")))
    }
}

impl NewSystem for Build<'_> {
    fn parts(&mut self) -> Parts<'_> {
        Parts { sys: self.sys, spec: &self.request.spec, at: &self.at, made: &mut self.made }
    }
}

impl Drop for Build<'_> {
    fn drop(&mut self) {
        // The error that ends it is the one to report.
        if self.begun {
            let _ = self.clean_up();
        }
        self.sys.take_effects();
    }
}

fn run(sys: &System, words: &[&str]) -> Result<()> {
    let (program, arguments) = words.split_first().context("no program")?;
    let command =
        arguments.iter().fold(Command::new(*program, *program), |command, word| command.argument(*word));
    remedy(must_succeed(sys, program, command.at_most(PATIENCE)), REMEDY).map(drop)
}

#[cfg(test)]
mod tests;
