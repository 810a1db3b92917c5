//! Partitions a disk, makes file systems on new partitions, and has the last one grow.
//!
//! ```text disk
//! /dev/vda 16384
//! ```
//!
//! ```text before
//! -- /usr/sbin/mkfs.ext4 0755
//! ```
//!
//! ```yaml
//! layout:
//!   device:
//!     path: /dev/vda
//!     init_disk: true
//!   add_partitions:
//!   - pLabel: oem
//!     fsLabel: COS_OEM
//!     size: 64
//!   - pLabel: persistent
//!     fsLabel: COS_PERSISTENT
//!     size: 8GiB
//!     filesystem: ext4
//!   expand_partition:
//!     size: 0
//! ```
//!
//! ```text table
//! number  name            size  file system  label           type
//! 1       oem           64 MiB  ext4         COS_OEM         linux-generic
//! 2       persistent  15.9 GiB  ext4         COS_PERSISTENT  linux-generic
//! ```
//!
//! **The disk** is the one at `path`, or that a file system or a partition with this `label` is on; `label` wins where
//! both are given. The path may be that of a partition, which stands for its disk, and `script://command` is the path
//! that a command prints. A device that is not there is waited for, ten seconds where udev runs.
//!
//! **`add_partitions`** are made where they are not there yet: behind the last partition, or where there is room.
//! `size` is in MiB, or has a unit (`512MiB`, `8GiB`, `1TiB`); 0, or none, is all that is left. `filesystem` is `ext2`,
//! `ext3`, `ext4`, `xfs`, `btrfs`, `vfat`, `fat16`, `fat32`, `swap`, or `none`; ext4 if it is left out. `type` is the type of the
//! partition, by its name in the Discoverable Partitions Specification (`home`, `srv`, `swap`, `esp`) or a GUID. `bootable`
//! makes a FAT partition the EFI system partition, and marks others for firmware without UEFI.
//!
//! A partition is known by its `pLabel`, and where none is called so, by the `fsLabel`. What is there already stays as it
//! is, whatever its size and file system, with a warning if they are not as described. An empty partition, with only
//! zeros in its first and last MiB, gets its file system.
//!
//! **`expand_partition`** has the last partition grow to a `size`, or to the end of the disk if that is 0, and with it
//! its file system, if that is ext2, ext3, ext4, XFS or btrfs, mounted or not. With a size, the last partition before new
//! ones are added is meant; with 0 the last one when they are there. Partitions are never made smaller.
//!
//! **`init_disk`** makes a new table (GPT) first. It is refused where there is a table, a file system or anything that is
//! known, unless `wipe: true`, and always where the disk is in use. The disk gets a GUID made of its `disk_name`, by
//! which the next run knows that this was done. A disk with an MBR table is not touched.
//!
//! Everything is computed before anything is written: what does not fit changes nothing at all. A run that is cut off is
//! completed by the next one. The second copy of the table moves to the end of a disk that has grown, and a damaged
//! copy is mended by the other one. Partitions of mapped devices (several paths to a disk, LVM) take kpartx(8). This
//! happens to the disks of the running machine only.

use crate::disk::devices::Device;
use crate::disk::file_system::FileSystem;
use crate::disk::gpt::{self, Flaw, Found, Guid, Table};
use crate::disk::plan::{Addition, Content, Part, Plan, Step, Wish, plan};
use crate::disk::{layout, show, superblock, types, udev};
use crate::effect::Diff;
use crate::system::{Command, Disk, DiskAccess, Mode};
use crate::{Action, Context, Plugin, System};
use anyhow::{Context as _, Result, anyhow, bail};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Span, Spanned, excerpt, record, suggest};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const MIB: u64 = 1 << 20;

/// What the disk is called that yip gives a name without being told.
const DISK_NAME: &str = "YIP_DISK";

/// The UTF-16 units that a table has for the label of a partition.
const LONGEST_NAME: usize = 36;

/// How a disk is partitioned.
pub(crate) struct Layout(Settings);

record! {
    /// How a disk is partitioned.
    struct Settings {
        /// The disk.
        device: Spanned<DeviceName> = required,
        /// The size that the last partition grows to.
        expand_partition: Option<Expansion>,
        /// The partitions that shall be there.
        add_partitions: Vec<Spanned<Partition>>,
    }
}

record! {
    /// A disk.
    struct DeviceName {
        /// The label of a file system or a partition on it.
        label: Option<Spanned<String>>,
        /// Its path, that of one of its partitions, or `script://` with a command that prints one.
        path: Option<Spanned<String>>,
        /// Whether it gets a new table of partitions.
        init_disk: bool,
        /// What its GUID is made of; `YIP_DISK` when it is left out.
        disk_name: Option<String>,
        /// Whether a new table is made even where there is something already, which is lost.
        wipe: bool,
    }
}

record! {
    /// How the last partition grows.
    struct Expansion {
        /// Its size in MiB, or with a unit: `8GiB`; 0 for all that it can have.
        size: Spanned<Size>,
    }
}

record! {
    /// A partition.
    struct Partition {
        /// The label of the file system.
        label: Option<Spanned<String>> as "fsLabel",
        /// The label of the partition.
        name: Option<Spanned<String>> as "pLabel",
        /// Its size in MiB, or with a unit: `8GiB`; 0 for all that is left.
        size: Size,
        /// Its file system; `none` for none, and ext4 when it is left out.
        filesystem: Format,
        /// Its type, by name or GUID.
        kind: Option<Type> as "type",
        /// Whether the machine starts from it.
        bootable: bool,
    }
}

/// A size in bytes.
#[derive(Clone, Copy, Default)]
struct Size(u64);

impl Decode for Size {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        const UNITS: [(&str, u32); 6] =
            [("MiB", 0), ("GiB", 10), ("TiB", 20), ("M", 0), ("G", 10), ("T", 20)];
        let text = node.text().unwrap_or_default().trim();
        let unit = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
        let mib = match unit {
            Some((number, shift)) => {
                number.trim_end().parse().ok().and_then(|number: u64| number.checked_mul(1 << shift))
            }
            None if text.ends_with(|last: char| last.is_ascii_alphabetic()) && !text.starts_with("0x") => {
                None
            }
            None => return Decode::decode(node, findings).and_then(|mib: u64| in_bytes(mib, node, findings)),
        };
        match mib {
            Some(mib) => in_bytes(mib, node, findings),
            None => {
                let found = excerpt(text);
                findings
                    .error(node.span, format!("expected a size, found `{found}`"))
                    .help("write it in MiB (`8192`), or with one of the units MiB, GiB and TiB (`8GiB`)");
                None
            }
        }
    }

    fn shape() -> Shape {
        u64::shape().or(Shape::matching("size", r"^\s*[0-9]+\s*([MGT]i?B?)?\s*$"))
    }
}

fn in_bytes(mib: u64, node: &Node, findings: &mut Findings) -> Option<Size> {
    let bytes = mib.checked_mul(MIB);
    if bytes.is_none() {
        findings.error(node.span, "no disk is so large");
    }
    bytes.map(Size)
}

/// A file system, or none.
struct Format(Option<FileSystem>);

impl Default for Format {
    fn default() -> Self {
        Self(Some(FileSystem::Ext4))
    }
}

impl Decode for Format {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        match text.trim() {
            "" => Some(Self::default()),
            "none" | "noformat" | "-" => Some(Self(None)),
            name => {
                let file_system = FileSystem::named(name);
                if file_system.is_none() {
                    let names = FileSystem::NAMES.join("`, `");
                    let message = format!("expected `{names}` or `none`, found `{}`", excerpt(name));
                    let finding = findings.error(node.span, message);
                    if let Some(near) = suggest(name, FileSystem::NAMES) {
                        finding.help(format!("did you mean `{near}`?"));
                    }
                }
                file_system.map(|file_system| Self(Some(file_system)))
            }
        }
    }

    fn shape() -> Shape {
        Shape::Choice(&[
            "ext2",
            "ext3",
            "ext4",
            "xfs",
            "btrfs",
            "vfat",
            "fat",
            "fat16",
            "fat32",
            "swap",
            "linux-swap",
            "none",
            "noformat",
            "-",
        ])
    }
}

/// The type of a partition.
struct Type(Guid);

impl Decode for Type {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        let text = text.trim();
        let found = types::named(text).or_else(|| text.parse().ok());
        if found.is_none() {
            let message = format!("`{}` is neither the name of a type nor a GUID", excerpt(text));
            let finding = findings.error(node.span, message);
            if let Some(near) = suggest(text, types::names()) {
                finding.help(format!("did you mean `{near}`?"));
            }
        }
        found.map(Self)
    }

    fn shape() -> Shape {
        Shape::text("name or GUID")
    }
}

/// What is wrong with any part of it is wrong with all: where a partition is left out, the others would be at other
/// places.
impl Decode for Layout {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let before = findings.errors();
        let settings = Settings::decode(node, findings)?;
        settings.validate(findings);
        (findings.errors() == before).then_some(Self(settings))
    }

    fn shape() -> Shape {
        Settings::shape()
    }
}

impl Settings {
    fn validate(&self, findings: &mut Findings) {
        let device = &self.device;
        match (&device.label, &device.path) {
            (None, None) => {
                findings.error(device.span, "the disk has neither a `path` nor a `label`");
            }
            (Some(_), Some(path)) => {
                findings.warn(path.span, "`path` does not count beside `label`");
            }
            _ => {}
        }
        if device.wipe && !device.init_disk {
            findings.warn(device.span, "`wipe` does nothing without `init_disk: true`");
        }
        let mut names = BTreeMap::new();
        for (partition, place) in self.add_partitions.iter().zip(1..) {
            partition.validate(partition.span, findings);
            if let Some(name) = text(&partition.name)
                && let Some(before) = names.insert(name, place)
            {
                let message = format!("partition {before} of the list is called {name:?}, too");
                findings.error(partition.span, message);
            }
        }
    }

    fn wish(&self) -> Wish {
        let addition = |partition: &Spanned<Partition>| Addition {
            name: text(&partition.name).map(str::to_owned),
            label: text(&partition.label).filter(|_| partition.filesystem.0.is_some()).map(str::to_owned),
            size: partition.size.0,
            file_system: partition.filesystem.0,
            kind: partition.kind.as_ref().map(|kind| kind.0),
            bootable: partition.bootable,
        };
        Wish {
            expand: self.expand_partition.as_ref().map(|expansion| expansion.size.0),
            add: self.add_partitions.iter().map(addition).collect(),
        }
    }

    /// The place in the document of a part of it.
    fn span(&self, part: Part) -> Span {
        let of_device = self.device.span;
        match part {
            Part::Expand => self.expand_partition.as_ref().map_or(of_device, |expansion| expansion.size.span),
            Part::Add(index) => self.add_partitions.get(index).map_or(of_device, |partition| partition.span),
        }
    }
}

/// A text that is given and not empty.
fn text(value: &Option<Spanned<String>>) -> Option<&str> {
    value.as_ref().map(|text| &*text.value).filter(|text| !text.is_empty())
}

impl Partition {
    fn validate(&self, span: Span, findings: &mut Findings) {
        let file_system = self.filesystem.0;
        if text(&self.name).is_none() && (text(&self.label).is_none() || file_system.is_none()) {
            findings
                .error(span, "the partition has no label, by which the next run would know it")
                .help("give it a `pLabel`, or its file system an `fsLabel`");
        }
        let of_control = |label: &Spanned<String>| label.chars().any(char::is_control);
        for label in self.name.iter().chain(&self.label).filter(|label| of_control(label)) {
            findings.error(label.span, "a label cannot hold control characters");
        }
        if let Some(name) = self.name.as_ref().filter(|name| name.encode_utf16().count() > LONGEST_NAME) {
            let message = format!("the label of a partition has {LONGEST_NAME} characters at most");
            findings.error(name.span, message);
        }
        let Some(label) = self.label.as_ref().filter(|label| !label.is_empty()) else { return };
        match file_system {
            None => {
                findings.warn(label.span, "`fsLabel` does nothing without a file system");
            }
            Some(file_system) if label.len() > file_system.longest_label() => {
                let (name, most) = (file_system.name(), file_system.longest_label());
                findings.error(label.span, format!("a label of {name} has {most} bytes at most"));
            }
            Some(_) => {}
        }
    }
}

impl Plugin for Layout {
    const KEY: &'static str = "layout";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let Self(settings) = self;
        if !sys.is_own_kernel() {
            cx.warn(
                settings.device.span,
                "left out: disks are those of a running machine, and this root is not its own",
            );
            return Ok(());
        }
        let Some(found) = cx.attempt(settings.device.span, settings.device.find(cx, sys)) else {
            return Ok(());
        };
        let Some(device) = found else { return Ok(()) };
        settings.apply(cx, sys, &device)
    }
}

impl DeviceName {
    /// The disk. Nothing in a plan that would take a command.
    fn find(&self, cx: &Context, sys: &System) -> Result<Option<Device>> {
        if let Some(label) = text(&self.label) {
            let device = self.by_label(sys, label)?;
            return match device {
                Some(device) => device.disk(sys).map(Some),
                None => bail!("no file system and no partition has the label {label:?}"),
            };
        }
        let Some(path) = &self.path else { return Ok(None) };
        let path = match path.strip_prefix("script://") {
            None => path.value.clone(),
            Some(script) => match ask_script(sys, script)? {
                Some(path) => path,
                None => {
                    cx.leave_to_a_run(path.span, "which disk it is, only a run can tell");
                    return Ok(None);
                }
            },
        };
        let mut device = None;
        udev::wait_until(sys, || {
            device = Device::at(sys, Path::new(&path))?;
            Ok(device.is_some())
        })?;
        match device {
            Some(device) => device.disk(sys).map(Some),
            None => bail!("there is no block device {path}"),
        }
    }

    /// The device with a label: that of its file system, or else that of the partition. Where udev does not run,
    /// all disks are looked at.
    fn by_label(&self, sys: &System, label: &str) -> Result<Option<Device>> {
        if !udev::runs(sys)? {
            return layout::labelled(sys, label);
        }
        let mut device = None;
        udev::wait_until(sys, || {
            for kind in ["by-label", "by-partlabel"] {
                if device.is_none() {
                    device = Device::at(sys, &udev::link(kind, label))?;
                }
            }
            Ok(device.is_some())
        })?;
        Ok(device)
    }
}

/// The path that a command prints.
fn ask_script(sys: &System, script: &str) -> Result<Option<String>> {
    let mut words = script.split_whitespace();
    let program = words.next().context("`script://` names no command")?;
    let command =
        words.fold(Command::new("script of the device", program), |command, word| command.argument(word));
    let Some(output) = sys.run(&command)? else { return Ok(None) };
    let path = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match (output.status, &*path) {
        (0, "") => bail!("`{program}` has printed no device"),
        (0, _) => Ok(Some(path)),
        (status, _) => bail!("`{program}` ended with status {status}"),
    }
}

/// A disk, and what is to be done to it.
struct Look {
    disk: Box<dyn Disk>,
    /// The table that was there; nothing where a new one is made.
    before: Option<Table>,
    contents: BTreeMap<u32, Content>,
    flaws: Vec<Flaw>,
    plan: Plan,
}

impl Look {
    /// The table before and after, for people.
    fn shown(&self) -> Diff {
        let planned = show::planned(&self.contents, &self.plan);
        let after = (&self.plan.after, &planned);
        let found = show::found(&self.contents);
        Diff::Table(Box::new(match &self.before {
            Some(before) => show::tables([(before, &found), after]),
            None => {
                let [after] = show::tables([after]);
                [String::new(), after]
            }
        }))
    }

    /// Whether the table is another one than this.
    fn differs(&self, table: &Table) -> bool {
        !self.flaws.is_empty() || self.before.as_ref().is_none_or(|before| before.entries != table.entries)
    }
}

impl Settings {
    fn apply(&self, cx: &Context, sys: &System, device: &Device) -> Result<()> {
        if sys.mode() == Mode::Plan
            && let Err(error) = sys.disk(Path::new(&device.path()), DiskAccess::Read)
        {
            cx.leave_to_a_run(
                self.device.span,
                format!("what is on the disk, only a run can tell: {error:#}"),
            );
            return Ok(());
        }
        let Some(mut look) = self.look(cx, sys, device, DiskAccess::Read)? else { return Ok(()) };
        if sys.mode() == Mode::Apply && (look.differs(&look.plan.after) || !look.plan.steps.is_empty()) {
            for step in &look.plan.steps {
                if let Some(format) = step.work.format() {
                    format.file_system.require(sys)?;
                }
            }
            if look.before.is_none() {
                sys.disk(Path::new(&device.path()), DiskAccess::Exclusive)?;
            }
            // It may have changed until nobody else could write to it.
            drop(look);
            let Some(locked) = self.look(cx, sys, device, DiskAccess::Write)? else { return Ok(()) };
            look = locked;
        }
        let changes = look.differs(&look.plan.after);
        let changes_first = look.differs(&look.plan.interim(&BTreeSet::new()));
        let Look { disk, before, flaws, plan, .. } = &look;
        for flaw in flaws.iter().filter(|flaw| flaw.is_damage()) {
            cx.warn(self.device.span, format!("{}: {flaw}; it is mended", device.path()));
        }
        for (part, message) in &plan.warnings {
            cx.warn(self.span(*part), message.clone());
        }
        let shown = (sys.mode() == Mode::Plan && changes).then(|| look.shown());
        let writable = (sys.mode() == Mode::Apply).then_some(&**disk);
        if let Some(disk) = writable {
            let written = match changes_first {
                true => Self::write(sys, disk, device, before.is_none(), plan),
                false => layout::tell_kernel(sys, disk, device, &plan.after),
            };
            written.with_context(|| device.path())?;
        }
        sys.done_as_shown(Action::Partition, device.path(), changes, shown);
        layout::finish(sys, writable, device, plan, &mut |step, error| {
            cx.attempt::<()>(self.span(step.part), Err(error));
        })?;
        let made: Vec<_> =
            plan.steps.iter().filter(|step| matches!(step.part, Part::Add(_))).cloned().collect();
        // udev looks at the disk once nobody writes to it.
        drop(look);
        if sys.mode() == Mode::Apply && !cx.has_failed() {
            for step in made {
                self.await_links(cx, sys, device, &step)?;
            }
        }
        Ok(())
    }

    /// Writes the table, over whatever is on the disk if it is a new one.
    fn write(sys: &System, disk: &dyn Disk, device: &Device, is_new: bool, plan: &Plan) -> Result<()> {
        if is_new {
            if !device.is_mapped(sys)? {
                for (number, _) in device.partitions(sys)? {
                    disk.delete_partition(number)?;
                }
            }
            layout::wipe(disk, 0, disk.bytes())?;
        }
        layout::write_table(sys, disk, device, plan)
    }

    /// Waits for the links by which the next steps find a new partition.
    fn await_links(&self, cx: &Context, sys: &System, device: &Device, step: &Step) -> Result<()> {
        let Part::Add(index) = step.part else { return Ok(()) };
        let Some(partition) = self.add_partitions.get(index) else { return Ok(()) };
        let label = text(&partition.label).filter(|_| partition.filesystem.0.is_some());
        let labels = [("by-partlabel", text(&partition.name)), ("by-label", label)];
        let links: Vec<_> =
            labels.iter().filter_map(|(kind, label)| Some(udev::link(kind, (*label)?))).collect();
        let node = device.part(sys, step.number)?;
        let are_there = || {
            let mut there = udev::is_idle(sys)?;
            for link in &links {
                there = there && Device::at(sys, link)?.as_ref() == Some(&node);
            }
            Ok(there)
        };
        if !udev::wait_until(sys, are_there)? && udev::runs(sys)? {
            let links: Vec<_> = links.iter().map(|link| link.display().to_string()).collect();
            let message = format!("udev has not made {} yet, after ten seconds", links.join(" and "));
            cx.warn(partition.span, message);
        }
        Ok(())
    }

    /// What there is and what is to be done. Nothing if that is impossible, which is reported.
    fn look(&self, cx: &Context, sys: &System, device: &Device, access: DiskAccess) -> Result<Option<Look>> {
        let disk = sys.disk(Path::new(&device.path()), access)?;
        let sector = disk.sector_size();
        let sectors = disk.bytes() / u64::from(sector);
        let read = gpt::read(&*disk, sector, sectors);
        let (before, flaws) =
            match self.device.decide(sys, device, &*disk, read).with_context(|| device.path())? {
                Some((table, flaws)) => (Some(table), flaws),
                None => (None, Vec::new()),
            };
        let table = match &before {
            Some(table) => table.clone(),
            None => Table::new(sector, sectors, self.device.guid())?,
        };
        let contents = match &before {
            Some(table) => layout::contents(sys, &*disk, device, table)?,
            None => BTreeMap::new(),
        };
        let mut new_id = || {
            let mut random = [0; 16];
            sys.host().random(&mut random);
            Guid::v4(random)
        };
        match plan(&table, &contents, &self.wish(), &mut new_id) {
            Ok(plan) => Ok(Some(Look { disk, before, contents, flaws, plan })),
            Err(problems) => {
                for (part, problem) in problems {
                    cx.attempt::<()>(self.span(part), Err(anyhow!("{}: {problem}", device.path())));
                }
                Ok(None)
            }
        }
    }
}

impl DeviceName {
    /// The GUID of a disk that was initialised. By RFC 9562 it depends on the name only.
    fn guid(&self) -> Guid {
        let name = self.disk_name.as_deref().filter(|name| !name.is_empty()).unwrap_or(DISK_NAME);
        Guid::v5(Guid::NAMESPACE_URL, name)
    }

    /// The table that counts; nothing where a new one is to be made.
    fn decide(
        &self,
        sys: &System,
        device: &Device,
        disk: &dyn Disk,
        read: Result<Found>,
    ) -> Result<Option<(Table, Vec<Flaw>)>> {
        const MBR: &str = "a DOS table of partitions (MBR)";
        let carried = match read {
            Ok(Found::Table { table, flaws }) if !self.init_disk || table.guid == self.guid() => {
                return Ok(Some((table, flaws)));
            }
            Ok(Found::Table { table, .. }) if table.entries.is_empty() => None,
            Ok(Found::Table { table, .. }) => Some(format!("{} partitions", table.entries.len())),
            Ok(Found::Mbr) if !self.init_disk => {
                bail!("it has {MBR}, and only GPT is known here: `sgdisk --mbrtogpt` makes one of it")
            }
            Ok(Found::Mbr) => Some(MBR.to_owned()),
            Err(error) if !self.init_disk => return Err(error),
            Err(error) => Some(format!("a table of partitions that is damaged ({error:#})")),
            Ok(Found::Nothing) => match superblock::probe(disk, 0, disk.bytes()) {
                Ok(Some(found)) => Some(found.kind.name().to_owned()),
                Ok(None) if device.partitions(sys)?.is_empty() => None,
                Ok(None) => Some("partitions that only the kernel knows".to_owned()),
                Err(error) => Some(format!("something that is not clear ({error:#})")),
            },
        };
        match carried {
            Some(carried) if !self.init_disk => {
                bail!("it carries {carried} and no table of partitions")
            }
            None if !self.init_disk => bail!("it has no table of partitions: `init_disk: true` makes one"),
            Some(carried) if !self.wipe => {
                bail!("it carries {carried}, which a new table would destroy: `wipe: true` allows that")
            }
            _ => Ok(None),
        }
    }
}

#[cfg(test)]
mod against_disks;
#[cfg(test)]
mod tests;
