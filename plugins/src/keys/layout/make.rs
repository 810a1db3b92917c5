//! What is done to a disk: it is looked at, a plan is made, and the plan is carried out.

use super::{Settings, text};
use crate::disk::devices::Device;
use crate::disk::gpt::{self, Flaw, Guid, Table};
use crate::disk::plan::{Content, Part, Plan, Step, plan};
use crate::disk::{layout, show, udev};
use crate::effect::Diff;
use crate::system::{Disk, DiskAccess, Mode};
use crate::{Action, Context, System};
use anyhow::{Context as _, Result, anyhow};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

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
    /// Has a disk be as it is described.
    pub(super) fn make(&self, cx: &Context, sys: &System, device: &Device) -> Result<()> {
        let path = device.path();
        let disk = match sys.disk(path.as_ref(), DiskAccess::Read) {
            Err(error) if sys.mode() == Mode::Plan => {
                let message = format!("what is on the disk, only a run can tell: {error:#}");
                cx.leave_to_a_run(self.device.span, message);
                return Ok(());
            }
            disk => disk?,
        };
        let Some(mut look) = self.look(cx, sys, device, disk)? else { return Ok(()) };
        if sys.mode() == Mode::Apply && (look.differs(&look.plan.after) || !look.plan.steps.is_empty()) {
            for step in &look.plan.steps {
                if let Some(format) = step.work.format() {
                    format.file_system.require(sys)?;
                }
            }
            if look.before.is_none() {
                sys.disk(path.as_ref(), DiskAccess::Exclusive)?;
            }
            // It may have changed until nobody else could write to it.
            drop(look);
            let disk = sys.disk(path.as_ref(), DiskAccess::Write)?;
            let Some(locked) = self.look(cx, sys, device, disk)? else { return Ok(()) };
            look = locked;
        }
        let changes = look.differs(&look.plan.after);
        let changes_first = look.differs(&look.plan.interim(&BTreeSet::new()));
        let Look { disk, before, flaws, plan, .. } = &look;
        for flaw in flaws.iter().filter(|flaw| flaw.is_damage()) {
            cx.warn(self.device.span, format!("{path}: {flaw}; it is mended"));
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
        sys.done_as_shown(Action::Partition, path.clone(), changes, shown);
        layout::finish(sys, writable, device, plan, &mut |step, error| {
            cx.attempt::<()>(self.span(step.part), Err(error));
        })?;
        let wrote = sys.mode() == Mode::Apply && (changes_first || !plan.steps.is_empty());
        if wrote && udev::runs(sys)? {
            let steps = plan.steps.clone();
            self.await_udev(cx, sys, device, look, &steps)?;
        }
        Ok(())
    }

    /// Lets go of a disk, and waits until udev knows what is on it: the next steps find it by that.
    fn await_udev(
        &self,
        cx: &Context,
        sys: &System,
        device: &Device,
        look: Look,
        steps: &[Step],
    ) -> Result<()> {
        // Once nobody writes to the disk, udev has the kernel read its table again. Partitions go away for a moment
        // then, unless one of them is open.
        let partition = device.partitions(sys)?.into_iter().next();
        let held = partition.and_then(|(_, part)| sys.disk(Path::new(&part.path()), DiskAccess::Read).ok());
        drop(look);
        udev::wake(sys)?;
        for step in steps.iter().filter(|_| !cx.has_failed()) {
            self.await_links(cx, sys, device, step)?;
        }
        udev::wait_until(sys, || udev::is_idle(sys))?;
        drop(held);
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
        let are_there = || {
            let Ok(node) = device.part(sys, step.number) else { return Ok(false) };
            let mut there = udev::is_idle(sys)?;
            for link in &links {
                there = there && Device::at(sys, link)?.as_ref() == Some(&node);
            }
            Ok(there)
        };
        if !udev::wait_until(sys, are_there)? {
            let links: Vec<_> = links.iter().map(|link| link.display().to_string()).collect();
            let message = format!("udev has not made {} yet, after ten seconds", links.join(" and "));
            cx.warn(partition.span, message);
        }
        Ok(())
    }

    /// What there is and what is to be done. Nothing if that is impossible, which is reported.
    fn look(&self, cx: &Context, sys: &System, device: &Device, disk: Box<dyn Disk>) -> Result<Option<Look>> {
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
