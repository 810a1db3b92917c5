//! `cosette install`: a system on a disk of this machine.

use super::boot_loader::{bios, efi_entry, esp};
use super::failure::{Class, Classify as _};
use super::new_system::{self, Directories, ESP, HookNames, Made, NewSystem, Parts, Spec, steps};
use super::operation::{self, Event, Name, Operation, failpoint};
use super::outcome::Outcome as Ended;
use super::system_disk::{Role, Sizes, table};
use crate::report::{Outcome, plain};
use crate::stage::Documents;
use anyhow::{Context as _, Result, anyhow, bail};
use cosette_plugins::System;
use cosette_plugins::disk::{self, Mountable, NewPartition, Partition, partition_at, partitions};
use cosette_plugins::system::{DiskAccess, File, NewMount};
use cosette_schema::Origin;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const HOOKS: HookNames = HookNames {
    before: "before-install",
    chroot: "after-install-chroot",
    after: "after-install",
    post: "post-install",
};

/// Where the partitions are mounted while it is installed.
const POINTS: &str = "/run/cosette/install";

/// Stands on the state partition from when that is made until GRUB is there. A disk that has it has no system yet, and what
/// is on it is nobody's: the next run begins anew. Should the machine start all the same, it is removed as anything that an
/// operation has left.
const UNFINISHED: &str = "cOS/.cosette-install";

/// The stage of the document that lays out the disk.
const STAGE: &str = "install";

/// What is wanted.
pub struct Request {
    /// The disk.
    pub device: PathBuf,
    /// The sizes of its partitions.
    pub sizes: Sizes,
    /// Use the partitions that are there.
    pub no_format: bool,
    /// Also where there is a system, or anything else.
    pub force: bool,
    /// Also where there is anything else than a system, as elemental does it.
    pub wipe_others: bool,
    /// Make an entry in the firmware.
    pub boot_entry: bool,
    /// What the system is made from.
    pub spec: Spec,
}

/// Installs a system, or tells how it would be.
pub fn install(
    sys: &System,
    request: &Request,
    dry_run: bool,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Ended> {
    let _lock = if dry_run { None } else { Some(operation::lock(sys)?) };
    let mut install = Install::new(sys, request)?;
    let operation = install.operation();
    let mut ended = new_system::ended(Name::Install, &request.spec, &operation, dry_run);
    if !dry_run {
        operation.run(sys, &mut install, tell)?;
        ended.warnings.append(&mut install.made.warnings);
    }
    Ok(ended)
}

/// The disk while a system is installed on it. What is mounted is unmounted when this is dropped.
pub struct Install<'a> {
    sys: &'a System,
    request: &'a Request,
    disk: PathBuf,
    partitions: Vec<(Role, NewPartition)>,
    /// Whether it was begun by a run that did not come to its end.
    is_begun: bool,
    at: Directories,
    made: Made,
    mounted: Vec<PathBuf>,
}

impl<'a> Install<'a> {
    /// Looks whether it can be installed; nothing is written.
    pub fn new(sys: &'a System, request: &'a Request) -> Result<Self> {
        let disk = disk::disk_at(sys, &request.device).class(Class::Device)?;
        let opened = sys.disk(&disk, DiskAccess::Exclusive).class(Class::Device)?;
        let bytes = opened.bytes();
        let found = partitions(&*opened).unwrap_or_default();
        let carried = disk::carried(sys, &disk, &*opened).class(Class::Device)?;
        drop(opened);
        // What cannot be looked into is not known to be nobody's.
        let is_begun = is_begun(sys, &disk, &found).unwrap_or(false);
        if !request.force && !is_begun && installed(sys, &disk, &found, request.no_format)? {
            return Err(anyhow!("{} has a system already: --force replaces it", disk.display()))
                .class(Class::Device);
        }
        let is_kept = !(request.force || request.wipe_others || is_begun || request.no_format);
        if let Some(carried) = carried.filter(|_| is_kept) {
            return Err(anyhow!("{} carries {carried}: --force destroys that", disk.display()))
                .class(Class::Device);
        }
        if request.no_format {
            let missing =
                Role::ALL[1..5].iter().find(|role| !found.iter().any(|part| part.name == role.name()));
            if let Some(missing) = missing {
                return Err(anyhow!("{} has no partition called {:?}", disk.display(), missing.name()))
                    .class(Class::NotThere);
            }
        }
        let partitions = if request.no_format { Vec::new() } else { request.sizes.partitions(bytes)? };
        let point = |role: Role| Path::new(POINTS).join(role.name());
        let at = Directories {
            oem: point(Role::Oem),
            recovery: point(Role::Recovery),
            state: point(Role::State),
            persistent: Some(point(Role::Persistent)),
            are_mounted: true,
        };
        Ok(Self { sys, request, disk, partitions, is_begun, at, made: Made::default(), mounted: Vec::new() })
    }

    /// The steps.
    pub fn operation(&self) -> Operation<'a, Self> {
        let mut begin = Operation::new(Name::Install);
        if !self.request.no_format {
            let detail = format!("{}: {}", self.disk.display(), table(&self.partitions));
            begin = begin.step("partitions", detail, Self::lay_out);
        }
        let begin = begin.step("mount", "oem, recovery, state and persistent", Self::mount);
        let mut operation = steps(begin, Name::Install, &self.request.spec, HOOKS).step(
            "GRUB",
            "for BIOS and EFI",
            |install| {
                install.settle()?;
                install.boot_loader().class(Class::BootLoader)?;
                install.finish()
            },
        );
        if self.request.boot_entry {
            operation = operation.step("boot entry", "in the firmware, if it is EFI", |install| {
                install.boot_entry();
                Ok(())
            });
        }
        operation
            .step("post", format!("hook {}", HOOKS.post), |install| {
                install.made.warnings.extend(install.request.spec.hooks.run(install.sys, HOOKS.post)?);
                Ok(())
            })
            .step("unmount", "all of it", Self::unmount)
    }

    /// By the key `layout`, whose checks these are.
    fn lay_out(&mut self) -> Result<()> {
        let mut random = [0; 16];
        self.sys.host().random(&mut random);
        let text = self.layout(u128::from_le_bytes(random));
        let (documents, origin) = (Documents::of_text(&text, &Origin::new("install")), STAGE);
        let report = documents.plan(origin).execute(self.sys, &mut ());
        self.sys.take_effects();
        let failed = report.steps.iter().filter(|step| step.outcome == Outcome::Failed);
        let findings = report.diagnostics.iter().chain(failed.flat_map(|step| &step.errors));
        let words: Vec<_> = findings.map(plain).collect();
        if report.failed() {
            return Err(anyhow!("{}", words.join("; "))).class(Class::Partitioning);
        }
        self.made.warnings.extend(words);
        Ok(())
    }

    /// The document. The name of the disk is random, so that a disk is never taken for one that is laid out already.
    fn layout(&self, random: u128) -> String {
        let wipe = self.request.force || self.request.wipe_others || self.is_begun;
        let path = self.disk.display().to_string().replace('\'', "''");
        let mut text = format!(
            "stages:\n  {STAGE}:\n  - layout:\n      device: {{path: '{path}', init_disk: true, wipe: {wipe}, \
             disk_name: '{random:032x}'}}\n      add_partitions:\n"
        );
        for (role, partition) in &self.partitions {
            let file_system = match (role, role.label()) {
                (Role::Bios | Role::Efi, _) | (_, None) => "filesystem: none".to_owned(),
                (_, Some(label)) => format!("filesystem: ext4, fsLabel: {label}"),
            };
            let _ = writeln!(
                text,
                "      - {{pLabel: {}, type: {}, size: {}, {file_system}}}",
                role.name(),
                role.kind(),
                partition.bytes >> 20
            );
        }
        text
    }

    fn found(&self) -> Result<Vec<Partition>> {
        let disk = self.sys.disk(&self.disk, DiskAccess::Read)?;
        partitions(&*disk)
    }

    fn mount(&mut self) -> Result<()> {
        let found = self.found().class(Class::Partitioning)?;
        for role in [Role::Oem, Role::Recovery, Role::State, Role::Persistent] {
            let Some(partition) = found.iter().find(|partition| partition.name == role.name()) else {
                continue;
            };
            let mount = || -> Result<PathBuf> {
                let device = partition_at(self.sys, &self.disk, partition.number)?;
                let kind = Mountable::on(&device, self.sys)?.context("it has no file system")?.kind;
                let point = Path::new(POINTS).join(role.name());
                self.sys.create_dir(&point, Some(0o700), None)?;
                let at = self.sys.directory(&point)?.context("there is no place to mount it")?;
                self.sys.mount(&NewMount::Device { device: &device, kind, read_only: false }, &at)?;
                Ok(point)
            };
            let mounted = mount().with_context(|| {
                let remedy =
                    if self.request.no_format { " (without --no-format it is made anew)" } else { "" };
                format!("cannot mount {}{remedy}", role.name())
            });
            self.mounted.push(mounted.class(Class::Partitioning)?);
        }
        if self.request.no_format {
            return Ok(());
        }
        let mark = || -> Result<()> {
            let mark = self.at.state.join(UNFINISHED);
            self.sys.create_dir(mark.parent().unwrap_or(&mark), Some(0o755), None)?;
            self.sys.write(File::new(mark, "").mode(0o600).durable())?;
            Ok(())
        };
        mark().class(Class::Partitioning)
    }

    /// Has all of the system be on the disk, for a boot loader that reads that without the journals.
    fn settle(&self) -> Result<()> {
        self.mounted.iter().try_for_each(|point| self.sys.checkpoint(point))
    }

    /// The disk has a system now.
    fn finish(&self) -> Result<()> {
        failpoint(self.sys)?;
        if self.sys.remove(self.at.state.join(UNFINISHED))? {
            self.sys.checkpoint(&self.at.state)?;
        }
        Ok(())
    }

    fn boot_loader(&mut self) -> Result<()> {
        let found = self.found()?;
        let images = self.made.images.as_ref().context("there is no boot loader yet")?;
        let find = |role: Role| found.iter().find(|partition| partition.name == role.name());
        let efi = find(Role::Efi).context("there is no EFI system partition")?;
        if efi.number != ESP {
            bail!("the EFI system partition must be number {ESP}, and is number {}", efi.number);
        }
        match (&images.bios, find(Role::Bios)) {
            (Some(bios), Some(partition)) => {
                let disk = self.sys.disk(&self.disk, DiskAccess::Write)?;
                if disk.sector_size() == 512 {
                    bios::install(&*disk, partition, bios)?;
                    failpoint(self.sys)?;
                }
            }
            (Some(_), None) => {
                self.made
                    .warnings
                    .push("there is no partition called \"bios\": only EFI starts this disk".to_owned());
            }
            (None, _) => {}
        }
        let device = partition_at(self.sys, &self.disk, efi.number)?;
        let partition = self.sys.disk(&device, DiskAccess::Write)?;
        let mut id = [0; 4];
        self.sys.host().random(&mut id);
        let label = Role::Efi.label().unwrap_or_default();
        esp::make(&*partition, 0, partition.bytes(), label, u32::from_le_bytes(id), &images.esp)
    }

    /// A machine starts without an entry as well, from the path of removable media.
    fn boot_entry(&mut self) {
        let Made { images, branding, warnings, .. } = &mut self.made;
        let loader = images.as_ref().and_then(|images| images.loader.as_deref());
        let (Some(loader), Some(branding)) = (loader, branding) else { return };
        if let Err(error) = efi_entry::register(self.sys, &self.disk, ESP, &branding.title, loader) {
            warnings.push(format!("there is no entry in the firmware: {error:#}"));
        }
    }

    fn unmount(&mut self) -> Result<()> {
        while let Some(point) = self.mounted.last().cloned() {
            self.sys.checkpoint(&point)?;
            self.sys.unmount(&point)?;
            self.mounted.pop();
        }
        Ok(())
    }
}

/// Whether there is a system on a disk already.
fn installed(sys: &System, disk: &Path, found: &[Partition], is_kept: bool) -> Result<bool> {
    let is_there = |role: Role| found.iter().any(|partition| partition.name == role.name());
    if ![Role::State, Role::Recovery, Role::Oem].into_iter().all(is_there) {
        return Ok(false);
    }
    // Partitions that somebody has made for it are no system yet.
    Ok(!is_kept || look(sys, disk, found, Role::State)?.is_some_and(|state| state.has_system))
}

/// Whether an installation was begun on a disk that had nothing, and did not come to its end: only its own partitions are
/// there, and either it says so, or there is nothing on them yet.
fn is_begun(sys: &System, disk: &Path, found: &[Partition]) -> Result<bool> {
    if !found.iter().map(|partition| &*partition.name).eq(Role::ALL.map(Role::name)) {
        return Ok(false);
    }
    if look(sys, disk, found, Role::State)?.is_some_and(|state| state.is_unfinished) {
        return Ok(true);
    }
    for role in [Role::Oem, Role::Recovery, Role::State, Role::Persistent] {
        if look(sys, disk, found, role)?.is_some_and(|found| !found.is_empty) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// What is on a partition.
struct Found {
    is_empty: bool,
    has_system: bool,
    is_unfinished: bool,
}

/// Looks at a partition; nothing where there is no file system.
fn look(sys: &System, disk: &Path, found: &[Partition], role: Role) -> Result<Option<Found>> {
    let Some(partition) = found.iter().find(|partition| partition.name == role.name()) else {
        return Ok(None);
    };
    let device = partition_at(sys, disk, partition.number)?;
    let Some(Mountable { kind, .. }) = Mountable::on(&device, sys)? else { return Ok(None) };
    let root = sys
        .host()
        .mount_detached(&device, kind, true)
        .with_context(|| {
            let (disk, device) = (disk.display(), device.display());
            format!(
                "cannot look whether {disk} has a system (with --force nobody looks): cannot mount {device}"
            )
        })
        .class(Class::Device)?;
    let inside = System::new(
        &PathBuf::from(format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&root))),
        sys.shared_host(),
        sys.mode(),
    )?;
    let names = inside.read_dir("/")?.unwrap_or_default();
    let is_unfinished = inside.exists(UNFINISHED)?;
    Ok(Some(Found {
        is_empty: names.iter().all(|name| name == "lost+found"),
        has_system: !is_unfinished && (inside.exists("/cOS/active.img")? || inside.exists("/.snapshots")?),
        is_unfinished,
    }))
}

impl NewSystem for Install<'_> {
    fn parts(&mut self) -> Parts<'_> {
        Parts { sys: self.sys, spec: &self.request.spec, at: &self.at, made: &mut self.made }
    }
}

impl Drop for Install<'_> {
    fn drop(&mut self) {
        for point in self.mounted.drain(..).rev() {
            // The error that ends it is the one to report; and the mounts end with this process.
            let _ = self.sys.unmount(&point);
        }
        self.sys.take_effects();
    }
}
