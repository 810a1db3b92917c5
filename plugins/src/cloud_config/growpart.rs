//! Grows partitions into the free space behind them.
//!
//! ```yaml
//! #cloud-config
//! growpart:
//!   mode: auto
//!   devices: [/]
//! ```
//!
//! A device is a partition, or the mount point of what is on it. It grows up to the next partition or the end of the
//! disk, at every boot, if there is more than a mebibyte to gain; the file system on it is the business of
//! `resizefs`. It takes `sfdisk` and `partx` of util-linux, whatever `mode` says, unless that is `off`. What has
//! no partition under it (an overlay, a loop device, LVM) is left as it is, with a warning. While there is a
//! `/etc/growroot-disabled`, nothing grows, unless `ignore_growroot_disabled: true`.

use crate::disk::devices::{Device, Mount, Partition};
use crate::program::{must_succeed, remedy, run};
use crate::system::Command;
use crate::{Action, Context, Plugin, System};
use anyhow::{Result, bail};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Spanned, record};
use std::path::Path;

/// What is not worth the trouble, in sectors: partitions begin at full mebibytes, and behind the last one lies the
/// second copy of the table.
const SLACK: u64 = 2048 + 34;

/// Its absence on a machine, in words.
const REMEDY: &str = "partitions cannot be changed: install util-linux, with sfdisk and partx";

record! {
    /// The partitions that grow.
    pub(crate) struct Growpart {
        /// Which partitions.
        growpart: Spanned<Settings> = required,
    }
}

record! {
    /// Partitions that grow.
    struct Settings {
        /// `auto`, `growpart` or `gpart`; `off` for none.
        mode: Growing,
        /// Partitions, or mount points of what is on them; `/` when it is left out.
        devices: Option<Vec<Spanned<String>>>,
        /// Whether they grow even while there is a `/etc/growroot-disabled`.
        ignore_growroot_disabled: bool,
    }
}

/// Whether anything grows.
struct Growing(bool);

impl Default for Growing {
    fn default() -> Self {
        Self(true)
    }
}

impl Decode for Growing {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.text() {
            Some("auto" | "growpart" | "gpart") => Some(Self(true)),
            Some("off" | "false") => Some(Self(false)),
            _ => {
                findings.error(node.span, "expected `auto`, `growpart`, `gpart` or `off`");
                None
            }
        }
    }

    fn shape() -> Shape {
        Shape::Choice(&["auto", "growpart", "gpart", "off"]).or(Shape::Boolean)
    }
}

impl Plugin for Growpart {
    const KEY: &'static str = "growpart";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let Settings { mode, devices, ignore_growroot_disabled } = &self.growpart.value;
        let disabled = !ignore_growroot_disabled && sys.exists("/etc/growroot-disabled")?;
        if !mode.0 || disabled || !sys.host().lives_in(sys.root()) {
            return Ok(());
        }
        let root = [Spanned { value: "/".to_owned(), span: self.growpart.span }];
        for device in devices.as_deref().unwrap_or(&root) {
            if sys.host().only_says() {
                sys.done(Action::GrowPartition, device.value.clone(), true);
                continue;
            }
            match cx.attempt(device.span, partition(sys, &device.value)) {
                Some(Ok(device_of)) => {
                    cx.attempt(device.span, remedy(grow(sys, &device_of), REMEDY));
                }
                Some(Err(reason)) => {
                    cx.warn(device.span, format!("{} does not grow: {reason}", device.value))
                }
                None => {}
            }
        }
        Ok(())
    }
}

/// The partition that is meant, or why there is none.
fn partition(sys: &System, device: &str) -> Result<Result<Device, String>> {
    let found = match Mount::at(sys, device)? {
        Some(mount) => match mount.device(sys)? {
            Some(device) => device,
            None => return Ok(Err(format!("{} is on no block device", mount.kind))),
        },
        None if device.starts_with("/dev/") => match Device::at(sys, Path::new(device))? {
            Some(device) => device,
            None => bail!("there is no block device {device}"),
        },
        None => bail!("{device} is neither a mount point nor a device: write a path below /dev"),
    };
    Ok(match found.partition(sys)? {
        Some(_) => Ok(found),
        None if found.is_loop(sys)? => Err(format!("{} is a file", found.path())),
        None => Err(format!("{} is not a partition", found.path())),
    })
}

/// Grows a partition, if there is room behind it.
pub(super) fn grow(sys: &System, device: &Device) -> Result<()> {
    let Some(Partition { disk, number }) = device.partition(sys)? else { return Ok(()) };
    let (start, size) = (device.start(sys)?, device.sectors(sys)?);
    let mut end = disk.sectors(sys)?;
    for (_, other) in disk.partitions(sys)? {
        let begins = other.start(sys)?;
        if begins > start {
            end = end.min(begins);
        }
    }
    if end.saturating_sub(start + size) <= SLACK {
        return Ok(());
    }
    let (disk, number) = (disk.path(), number.to_string());
    let label = format!("sfdisk -N {number} {disk}");
    let command = Command::new(&label, "sfdisk")
        .argument("--no-reread")
        .argument("--no-tell-kernel")
        .argument("-N")
        .argument(&number)
        .argument(&disk)
        .input(", +\n");
    must_succeed(sys, &label, command)?;
    run(sys, &["partx", "--update", "--nr", &number, &disk])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::disk::devices::tests::{disk, root};
    use crate::system::NoProgram;
    use crate::testing::Machine;

    fn machine() -> Machine {
        let machine = Machine::new("");
        machine.host.live_here();
        root(&machine.host, "ext4", "/dev/root", "8:2");
        machine
    }

    const ROOT: &str = "#cloud-config\ngrowpart: {mode: auto}";

    #[test]
    fn the_partition_under_the_root_grows_to_the_end_of_the_disk() {
        let machine = machine();
        disk(&machine.host, "vda", 1 << 20, &[(1, 2048, 2048), (2, 4096, 8192)]);
        let outcome = machine.check(ROOT, "");
        assert_eq!(outcome.commands, [", +", "partx --update --nr 2 /dev/vda"]);
        assert_eq!(outcome.effects[0].target, "sfdisk -N 2 /dev/vda");
        assert!(machine.plan(ROOT).commands.is_empty());
    }

    #[test]
    fn without_room_nothing_runs() {
        for partitions in [&[(2, 4096, 8192), (1, 12288, 2048)][..], &[(2, 2048, (1 << 20) - 3000)]] {
            let machine = machine();
            disk(&machine.host, "vda", 1 << 20, partitions);
            assert!(machine.check(ROOT, "").effects.is_empty());
        }
    }

    #[test]
    fn what_is_on_no_partition_is_left_with_a_warning() {
        let machine = machine();
        root(&machine.host, "overlay", "overlay", "0:30");
        let outcome = machine.apply(ROOT);
        assert_eq!(
            outcome.messages(),
            "Warning: test.yaml:2:11: / does not grow: overlay is on no block device\n"
        );
        disk(&machine.host, "loop0", 9000, &[]);
        machine.host.kernel_file("/sys/class/block/loop0/loop/backing_file", "/cOS/active.img\n");
        let outcome = machine.apply("#cloud-config\ngrowpart: {devices: [/dev/loop0, /dev/none, /srv]}");
        assert!(
            outcome
                .messages()
                .contains("Warning: test.yaml:2:22: /dev/loop0 does not grow: /dev/loop0 is a file")
        );
        assert!(outcome.messages().contains("Error: test.yaml:2:34: there is no block device /dev/none"));
        assert!(outcome.messages().contains("/srv is neither a mount point nor a device"));
        assert!(outcome.effects.is_empty());
    }

    #[test]
    fn it_can_be_switched_off() {
        let machine = Machine::new("-- /etc/growroot-disabled\n");
        machine.host.live_here();
        root(&machine.host, "ext4", "/dev/root", "8:1");
        disk(&machine.host, "vda", 1 << 20, &[(1, 2048, 2048)]);
        for text in ["{}", "{mode: off}", "{mode: false, ignore_growroot_disabled: true}"] {
            assert!(machine.check(&format!("#cloud-config\ngrowpart: {text}"), "").effects.is_empty());
        }
        let outcome = machine.apply("#cloud-config\ngrowpart: {ignore_growroot_disabled: true}");
        assert_eq!(outcome.commands.len(), 2, "{}", outcome.messages());
        // A tree that the machine does not live in has no disk.
        let image = Machine::new("");
        assert!(image.check(ROOT, "").effects.is_empty());
    }

    #[test]
    fn a_missing_program_is_named_with_what_brings_it() {
        let machine = machine();
        disk(&machine.host, "vda", 1 << 20, &[(2, 4096, 8192)]);
        machine.host.refuse(", +", || NoProgram { program: "sfdisk".into() }.into());
        let messages = machine.apply(ROOT).messages();
        assert!(
            messages.contains("install util-linux, with sfdisk and partx: the root has no program sfdisk")
        );
    }
}
