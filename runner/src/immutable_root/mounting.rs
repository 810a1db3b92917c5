//! From a plan to mounts. What is mounted already stays, so that a second run changes nothing and one that was cut off
//! is completed.

use super::fstab;
use super::layout::Layout;
use super::plan::{BASE, Mount, Plan, Root, What, is_in};
use super::volume::{self, Volume};
use super::{lines, mounted, real, shown, skipped, step};
use crate::boot::{Check, Device, OverlayBase, Parameters};
use crate::executor::Observer;
use crate::report::milliseconds;
use anyhow::{Context as _, Result, anyhow, bail};
use cosette_plugins::system::{Directory, File, Interrupted, Mounted, NewMount};
use cosette_plugins::{Action, System};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

/// Has systemd unmount `/etc` at once when the machine stops: it is in use until the end.
const LAZY: (&str, &str) = ("/etc/systemd/system/etc.mount.d/override.conf", "[Mount]\nLazyUnmount=true\n");

pub(super) struct Mounting<'a> {
    /// The machine, in whose `/run` the base of the overlays is.
    sys: &'a System,
    /// The root file system.
    root: System,
    mounted: Mounted,
    check: Check,
    parameters: &'a Parameters,
    observer: &'a mut dyn Observer,
    /// What was tried, and whether it is there.
    tried: BTreeMap<String, (What, bool)>,
    /// What cannot be had in this boot.
    lost: BTreeSet<String>,
    /// How long programs were waited for, up to the last report.
    programs: Duration,
}

impl<'a> Mounting<'a> {
    pub(super) fn new(
        sys: &'a System,
        sysroot: &Path,
        check: Check,
        parameters: &'a Parameters,
        observer: &'a mut dyn Observer,
    ) -> Result<Self> {
        let root = sys.reroot(sysroot)?;
        let mounted = mounted(&root)?;
        if !mounted.is_point {
            bail!("no root file system is mounted at {}", sysroot.display());
        }
        let (tried, lost, programs) = (BTreeMap::new(), BTreeSet::new(), sys.time_of_programs());
        Ok(Self { sys, root, mounted, check, parameters, observer, tried, lost, programs })
    }

    /// Mounts the layout. Whenever a part of it turns out to be lost, what is left is planned anew.
    pub(super) fn lay(&mut self, layout: &Layout) -> Result<()> {
        self.wait(layout)?;
        let plan = loop {
            let root = &self.root;
            let real = |path: &str| real(root, path);
            let plan =
                Plan::new(layout, &Root { real: &real, is_overlay: self.is_overlay(), lost: &self.lost });
            if self.carry_out(&plan)? {
                break plan;
            }
        };
        for refused in &plan.refused {
            self.observer.ended(&step("the layout", Err(anyhow!("{refused}"))));
        }
        let is_there = |mount: &&Mount| matches!(self.tried.get(&mount.point), Some((_, true)));
        let there: Vec<Mount> = plan.mounts.iter().filter(is_there).cloned().collect();
        if !there.is_empty() {
            let begun = Instant::now();
            let result = self.write_fstab(&lines(layout, self.parameters, &self.mounted, &there), &there);
            match result {
                Ok(Some(why)) => self.observer.ended(&skipped("/etc/fstab", why)),
                result => self.report("/etc/fstab", result.map(drop), begun),
            }
        }
        Ok(())
    }

    /// Whether the root takes changes itself, as that of a live medium.
    fn is_overlay(&self) -> bool {
        self.mounted.kind == "overlay"
    }

    fn wait(&mut self, layout: &Layout) -> Result<(), Interrupted> {
        let base = match &layout.overlay {
            Some(OverlayBase::Block(device)) if !self.is_overlay() => Some((device, BASE.to_owned())),
            _ => None,
        };
        let volumes = layout.volumes.iter().map(|volume| (&volume.device, real(&self.root, &volume.point)));
        let wanted: Vec<(&Device, String)> = volumes.chain(base).collect();
        let begun = Instant::now();
        self.observer.begins(format_args!("waiting for the devices of the layout"));
        let missing = volume::wait(self.sys, wanted.iter().map(|(device, _)| *device), self.parameters)?;
        for (device, point) in &wanted {
            if let Some((_, limit)) = missing.iter().find(|(other, _)| other == device)
                && self.lost.insert(point.clone())
            {
                let why = match limit.as_secs() {
                    0 => anyhow!("there is no such device"),
                    seconds => anyhow!("there is no such device after {seconds} s"),
                };
                self.report(&format!("{device} at {point}"), Err(why), begun);
            }
        }
        Ok(())
    }

    /// Makes the mounts of a plan that were not tried yet; says whether the plan still stands.
    fn carry_out(&mut self, plan: &Plan) -> Result<bool> {
        for mount in &plan.mounts {
            if self.tried.get(&mount.point).is_some_and(|(what, _)| *what == mount.what) {
                continue;
            }
            let begun = Instant::now();
            self.observer.begins(format_args!("{}", shown(mount)));
            let result = self.mount(mount);
            let stopped =
                result.as_ref().err().and_then(|error| error.downcast_ref::<Interrupted>().copied());
            let is_there = result.is_ok();
            self.tried.insert(mount.point.clone(), (mount.what.clone(), is_there));
            let result = result.and_then(|read_only| match read_only {
                Some(why) => Err(why.context("mounted read-only")),
                None => Ok(()),
            });
            self.report(&shown(mount), result, begun);
            if let Some(stopped) = stopped {
                return Err(stopped.into());
            }
            let can_be_lost = match &mount.what {
                What::Device(_) | What::Bind(_) => true,
                What::Overlay(store) => !is_in(store, BASE),
                What::Tmpfs(_) => false,
            };
            if !is_there && can_be_lost && self.lost.insert(mount.point.clone()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn report(&mut self, name: &str, result: Result<()>, begun: Instant) {
        let mut step = step(name, result);
        step.duration_ms = milliseconds(begun.elapsed());
        let programs = self.sys.time_of_programs();
        step.programs_ms = milliseconds(programs - self.programs);
        self.programs = programs;
        for sys in [self.sys, &self.root] {
            step.add_effects("mount", sys.take_effects());
        }
        self.observer.ended(&step);
    }

    /// The system in which a path lies.
    fn holder(&self, path: &str) -> &System {
        if is_in(path, "/run") { self.sys } else { &self.root }
    }

    /// Makes a mount. If it can only be read, and was to be written to, that is why.
    fn mount(&self, mount: &Mount) -> Result<Option<anyhow::Error>> {
        let Mount { point, what } = mount;
        let holder = self.holder(point);
        let at = match holder.directory(point)? {
            Some(at) => at,
            None => {
                holder.create_dir(point, None, None).context("the root file system has no such directory")?;
                holder.directory(point)?.context("it is gone again")?
            }
        };
        if holder.mounted(&at)?.is_point {
            holder.done(Action::Mount, point.clone(), false);
            return Ok(None);
        }
        match what {
            What::Tmpfs(size) => holder.mount(&NewMount::Tmpfs { size }, &at)?,
            What::Device(device) => return self.device(device, holder, &at),
            What::Overlay(store) => self.overlay(store, holder, &at)?,
            What::Bind(store) => {
                let shown = self.holder(store);
                shown.copy_dir(&at, store)?;
                let directory = shown.directory(store)?.context("it is gone again")?;
                holder.mount(&NewMount::Bind { directory: &directory }, &at)?;
            }
        }
        Ok(None)
    }

    fn overlay(&self, store: &str, holder: &System, at: &Directory) -> Result<()> {
        let keeper = self.holder(store);
        let (upper, work) = (format!("{store}/upper"), format!("{store}/work"));
        keeper.create_dir_like(at, &upper)?;
        keeper.create_dir(&work, None, None)?;
        let open = |path: &str| keeper.directory(path)?.context("it is gone again");
        let (upper, work) = (open(&upper)?, open(&work)?);
        let kind = keeper.mounted(&upper)?.kind;
        let new = NewMount::Overlay { lower: at, upper: &upper, work: &work };
        holder.mount(&new, at).with_context(|| format!("changes cannot go to {store}, which is on {kind}"))
    }

    /// A file system that is damaged, or that cannot be written to, can still be read.
    fn device(&self, device: &Device, holder: &System, at: &Directory) -> Result<Option<anyhow::Error>> {
        let volume = Volume::find(self.sys, device)?;
        let mut read_only = volume.is_read_only();
        let why = volume.check(self.sys, device, self.check).err();
        if let Some(stopped) = why.as_ref().and_then(|error| error.downcast_ref::<Interrupted>()) {
            return Err((*stopped).into());
        }
        let mount = |read_only: bool| {
            holder.mount(&NewMount::Device { device: &volume.path, kind: volume.kind, read_only }, at)
        };
        read_only |= why.is_some();
        match mount(read_only) {
            Ok(()) => Ok(why),
            Err(error) if read_only => Err(error),
            // Of two errors the first tells more.
            Err(error) => match mount(true) {
                Ok(()) => Ok(Some(error)),
                Err(_) => Err(error),
            },
        }
    }

    /// Writes fstab, where it is forgotten or kept as all of `/etc` is: never into the image. If that is not possible,
    /// says why.
    fn write_fstab(&self, lines: &[String], mounts: &[Mount]) -> Result<Option<&'static str>> {
        let etc = real(&self.root, "/etc");
        let Some(directory) = self.root.directory(&etc)? else { return Ok(Some("there is no /etc")) };
        let covered = self.is_overlay() || mounts.iter().any(|mount| is_in(&etc, &mount.point));
        if !covered || self.root.mounted(&directory)?.read_only {
            return Ok(Some("/etc cannot be written to in this layout"));
        }
        let path = format!("{etc}/fstab");
        let content = self.root.read(&path)?.unwrap_or_default();
        self.root.write(File::new(path, fstab::edit(&content, lines)))?;
        let (path, content) = LAZY;
        if mounts.iter().any(|mount| mount.point == "/etc") && !self.root.exists(path)? {
            self.root.write(File::new(path, content))?;
        }
        Ok(None)
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "tests make what is pretended to be devices")]
mod tests {
    use crate::immutable_root::{Request, mount};
    use crate::report::{Outcome, Report};
    use cosette_plugins::system::{Mode, NewMount};
    use cosette_plugins::testing::Machine;
    use std::os::fd::AsFd;
    use std::path::Path;

    const COS: &str = "VOLUMES='LABEL=COS_OEM:/oem LABEL=COS_PERSISTENT:/usr/local'\nRW_PATHS='/etc /usr/local'\n\
                       PERSISTENT_STATE_PATHS=/home\n";

    /// A machine with these devices, of which each has a label and an ext4.
    fn machine(cmdline: &str, devices: &[(&str, &str)]) -> Machine {
        let machine = Machine::new("");
        let root = machine.root();
        for dir in [
            "run/cos",
            "dev/disk/by-label",
            "sysroot/etc",
            "sysroot/oem",
            "sysroot/usr/local",
            "sysroot/home",
        ] {
            std::fs::create_dir_all(root.join(dir)).unwrap();
        }
        std::fs::write(root.join("run/cos/cos-layout.env"), COS).unwrap();
        machine.host.kernel_file("/proc/cmdline", cmdline);
        let mut head = vec![0; 2048];
        head[1080..1082].copy_from_slice(&[0x53, 0xef]);
        for (name, label) in devices {
            machine.host.disk(name, &head, root);
            nix::unistd::mkfifo(&root.join("dev").join(name), nix::sys::stat::Mode::S_IRWXU).unwrap();
            let link = root.join("dev/disk/by-label").join(label);
            std::os::unix::fs::symlink(format!("../../{name}"), link).unwrap();
        }
        machine
    }

    fn run(machine: &Machine) -> Report {
        let sys = machine.system(Mode::Apply);
        let root = sys.directory("/sysroot").unwrap().unwrap();
        let image = NewMount::Device { device: Path::new("/dev/loop0"), kind: "ext2", read_only: true };
        cosette_plugins::Host::mount(&*machine.host, &image, root.as_fd()).unwrap();
        mount(&sys, Path::new("/sysroot"), &Request::read(&sys), &mut ())
    }

    fn failures(report: &Report) -> Vec<String> {
        let failed = report.steps.iter().filter(|step| step.outcome == Outcome::Failed);
        failed.flat_map(|step| &step.errors).map(|error| error.message.clone()).collect()
    }

    fn mounted(report: &Report) -> Vec<&str> {
        let effects = report.steps.iter().flat_map(|step| &step.effects);
        effects
            .filter(|effect| effect.action == "mount" && effect.changed)
            .map(|effect| &*effect.target)
            .collect()
    }

    const BOTH: [(&str, &str); 2] = [("vda1", "COS_OEM"), ("vda2", "COS_PERSISTENT")];

    #[test]
    fn all_is_mounted_once() {
        let machine = machine("root=LABEL=COS_ACTIVE\n", &BOTH);
        let first = run(&machine);
        assert_eq!(failures(&first), Vec::<String>::new());
        assert_eq!(mounted(&first), ["/oem", "/run/overlay", "/etc", "/usr/local", "/home"]);
        let second = run(&machine);
        assert_eq!((failures(&second), second.summary.changed), (Vec::new(), 0));
        assert!(machine.host.take_pauses().is_empty() && machine.host.take_commands().is_empty());
    }

    #[test]
    fn a_missing_volume_is_waited_for_within_its_limit() {
        let waited = |machine: &Machine| {
            machine.host.take_pauses().iter().map(std::time::Duration::as_millis).sum::<u128>()
        };
        let without_oem = machine("rd.cos.oemtimeout=3\n", &BOTH[1..]);
        assert_eq!(failures(&run(&without_oem)), ["there is no such device after 3 s"]);
        assert_eq!(waited(&without_oem), 3000);
        // The unit that mounts it for the first stages has waited already.
        std::fs::create_dir_all(without_oem.root().join("run/systemd/generator.early")).unwrap();
        std::fs::write(without_oem.root().join("run/systemd/generator.early/oem.mount"), "").unwrap();
        assert_eq!(failures(&run(&without_oem)), ["there is no such device"]);
        assert_eq!(waited(&without_oem), 0);
        let none = machine("", &[]);
        let report = run(&none);
        assert_eq!(failures(&report).len(), 2);
        assert_eq!(waited(&none), 60_000);
        assert_eq!(mounted(&report), ["/run/overlay", "/etc", "/home", "/usr/local"]);
    }

    #[test]
    fn a_volume_is_checked_first_and_a_damaged_one_is_only_read() {
        let machine = machine("fsck.mode=force\n", &BOTH);
        std::fs::create_dir_all(machine.root().join("usr/sbin")).unwrap();
        std::fs::write(machine.root().join("usr/sbin/fsck"), "").unwrap();
        machine.host.answer("fsck -a /dev/vda1", 4, "vda1: UNEXPECTED INCONSISTENCY\n\n");
        machine.host.answer("fsck -a /dev/vda2", 1, "");
        let report = run(&machine);
        assert_eq!(
            failures(&report),
            ["mounted read-only: its check ended with status 4: vda1: UNEXPECTED INCONSISTENCY"]
        );
        assert_eq!(
            machine.host.take_commands(),
            ["/usr/sbin/fsck -a /dev/vda1 -f", "/usr/sbin/fsck -a /dev/vda2 -f"]
        );
        machine.host.kernel_file("/proc/cmdline", "fsck.mode=skip\n");
        run(&machine);
        assert!(machine.host.take_commands().is_empty());
    }

    #[test]
    fn a_volume_that_cannot_be_mounted_is_lost_with_what_it_holds() {
        let machine = machine("", &BOTH);
        machine.host.refuse_device("/dev/vda2");
        let report = run(&machine);
        assert_eq!(failures(&report), ["cannot mount at /usr/local: the file system is damaged"]);
        assert_eq!(mounted(&report), ["/oem", "/run/overlay", "/etc", "/home", "/usr/local"]);
        let fstab = std::fs::read_to_string(machine.root().join("sysroot/etc/fstab")).unwrap();
        assert!(fstab.contains("\noverlay /home ") && !fstab.contains("COS_PERSISTENT"), "{fstab}");
    }

    #[test]
    fn nothing_is_laid_over_a_root_that_is_not_mounted() {
        let machine = machine("", &BOTH);
        let sys = machine.system(Mode::Apply);
        let report = mount(&sys, Path::new("/sysroot"), &Request::read(&sys), &mut ());
        assert_eq!(failures(&report), ["no root file system is mounted at /sysroot"]);
    }
}
