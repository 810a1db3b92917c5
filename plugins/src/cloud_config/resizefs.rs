//! Grows the file system at `/` to the size of its device, at every boot.
//!
//! ```yaml
//! #cloud-config
//! resize_rootfs: true
//! ```
//!
//! ext2, ext3, ext4 (by `resize2fs`), XFS and btrfs (by the kernel) grow while they are mounted, and nothing is done
//! where nothing is to be gained. A root that cannot grow (an overlay, a loop device, one that is
//! read-only) is left with a warning. `noblock` is the same as `true`: it takes no time that a boot would notice.

use crate::disk::devices::Mount;
use crate::{Action, Context, Plugin, System, disk};
use anyhow::Result;
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, Spanned, record};

record! {
    /// Whether the root grows.
    pub(crate) struct Resizefs {
        /// `true`, `false` or `noblock`.
        resize_rootfs: Spanned<Growing> = required,
    }
}

/// Whether it grows.
struct Growing(bool);

impl Decode for Growing {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        match node.text() {
            Some("noblock") => Some(Self(true)),
            _ => bool::decode(node, findings).map(Self),
        }
    }

    fn shape() -> Shape {
        Shape::Boolean.or(Shape::Choice(&["noblock"]))
    }
}

impl Plugin for Resizefs {
    const KEY: &'static str = "resizefs";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let Spanned { value: Growing(grows), span } = self.resize_rootfs;
        if !grows || !sys.host().lives_in(sys.root()) {
            return Ok(());
        }
        if sys.host().only_says() {
            sys.done(Action::GrowFileSystem, "/".to_owned(), true);
            return Ok(());
        }
        let Some(mount) = Mount::at(sys, "/")? else { return Ok(()) };
        if let Err(reason) = grow(sys, &mount)? {
            cx.warn(span, format!("the root does not grow: {reason}"));
        }
        Ok(())
    }
}

/// Grows a mounted file system, or says why it does not.
pub(super) fn grow(sys: &System, mount: &Mount) -> Result<Result<(), String>> {
    let Some(device) = mount.device(sys)? else {
        return Ok(Err(format!("{} is on no block device", mount.kind)));
    };
    if device.is_loop(sys)? {
        return Ok(Err(format!("{} is a file", device.path())));
    }
    if mount.read_only {
        return Ok(Err("it is mounted read-only".to_owned()));
    }
    match &*mount.kind {
        "ext2" | "ext3" | "ext4" | "xfs" | "btrfs" => disk::grow::grow(sys, &device, &mount.kind).map(Ok),
        other => Ok(Err(format!("{other} cannot grow"))),
    }
}

#[cfg(test)]
mod tests {
    use crate::disk::devices::tests::{disk, root};
    use crate::testing::Machine;

    const TRUE: &str = "#cloud-config\nresize_rootfs: true";

    fn machine(kind: &str) -> Machine {
        let machine = Machine::new("");
        machine.host.live_here();
        disk(&machine.host, "vda", 1 << 20, &[(1, 2048, 2048)]);
        root(&machine.host, kind, "/dev/vda1", "8:1");
        machine
    }

    #[test]
    fn each_file_system_has_its_program() {
        for (kind, command) in [
            ("ext4", "resize2fs /dev/vda1"),
            ("xfs", "(the kernel grows xfs on /dev/vda1)"),
            ("btrfs", "(the kernel grows btrfs on /dev/vda1)"),
        ] {
            assert_eq!(machine(kind).check(TRUE, "").commands, [command]);
        }
        assert_eq!(machine("ext4").apply("#cloud-config\nresize_rootfs: noblock").commands.len(), 1);
        assert!(machine("ext4").apply("#cloud-config\nresize_rootfs: false").effects.is_empty());
    }

    #[test]
    fn a_root_that_cannot_grow_is_left_with_the_reason() {
        let assert = |machine: Machine, reason: &str| {
            let outcome = machine.apply(TRUE);
            let expected = format!("Warning: test.yaml:2:16: the root does not grow: {reason}\n");
            assert_eq!(outcome.messages(), expected);
            assert!(outcome.effects.is_empty());
        };
        assert(machine("squashfs"), "squashfs cannot grow");
        let overlay = machine("overlay");
        root(&overlay.host, "overlay", "overlay", "0:30");
        assert(overlay, "overlay is on no block device");
        let read_only = machine("ext4");
        read_only.host.kernel_file("/proc/self/mountinfo", "22 1 8:1 / / ro - ext4 /dev/vda1 rw\n");
        assert(read_only, "it is mounted read-only");
        let image = machine("ext2");
        disk(&image.host, "loop0", 9000, &[]);
        image.host.kernel_file("/sys/class/block/loop0/loop/backing_file", "/cOS/active.img\n");
        root(&image.host, "ext2", "/dev/loop0", "7:0");
        assert(image, "/dev/loop0 is a file");
    }

    #[test]
    fn a_failure_is_an_error_with_the_last_words() {
        let machine = machine("ext4");
        machine.host.answer(
            "resize2fs",
            1,
            "resize2fs 1.47\nresize2fs: Permission denied to resize filesystem\n",
        );
        assert!(machine.apply(TRUE).messages().ends_with(
            "`resize2fs /dev/vda1` ended with status 1; the end of its output:\nresize2fs 1.47\nresize2fs: Permission denied to resize filesystem\n"
        ));
    }
}
