//! Mounts file systems and makes a swap file, now and at every boot by `/etc/fstab`.
//!
//! ```yaml
//! #cloud-config
//! mounts:
//! - [vdb1, /srv/data, ext4]
//! - ["LABEL=cache", /var/cache/app, xfs, "defaults,noatime", "0", "0"]
//! - [vdc, null]
//! swap: {filename: /swap.img, size: 1G}
//! ```
//!
//! ```text before
//! -- /etc/fstab
//! LABEL=ROOT / auto ro 0 0
//! /dev/vdc /old auto defaults,comment=cloudconfig 0 2
//! ```
//!
//! ```text after
//! -- /etc/fstab
//! LABEL=ROOT / auto ro 0 0
//! /dev/vdb1 /srv/data ext4 defaults,nofail,comment=cloudconfig 0 2
//! LABEL=cache /var/cache/app xfs defaults,noatime,comment=cloudconfig 0 0
//! /swap.img none swap sw,comment=cloudconfig 0 0
//! -- /srv/data/
//! -- /var/cache/app/
//! ```
//!
//! An entry has the fields of fstab(5), and `mount_default_fields` those that it leaves out, which are otherwise
//! `[null, null, auto, "defaults,nofail", "0", "2"]`. Names of disks need no `/dev/`. An entry without a mount
//! point is none. Lines that were made here are known by `comment=cloudconfig` in their options, and go when the
//! document does not have them any more; all other lines stay, and are never repeated.
//!
//! The mount points are made. On the running machine, what is not mounted yet is mounted; that it cannot be is only
//! a warning if its options say `nofail`. There the swap file is made, too, and used: of `size` bytes (`512M`, `2G`), or,
//! with `auto`, of a size that fits the memory, up to `maxsize`. It takes no more than 9 tenths of the free space
//! (with `auto` one quarter), and a file that is there already stays as it is.

mod fstab;
pub(super) mod swap;

use crate::disk::devices::Mount;
use crate::path::AbsolutePath;
use crate::program::run;
use crate::system::{File, Kind};
use crate::{Context, Plugin, System, units};
use anyhow::{Result, anyhow};
use cosette_schema::yaml::{Node, Value};
use cosette_schema::{Decode, Findings, Shape, Span, Spanned, record};
use fstab::Line;

/// What an entry leaves out.
const DEFAULTS: [&str; 6] = ["", "", "auto", "defaults,nofail", "0", "2"];

/// What cloud-init fills in from the metadata of a cloud.
const OF_METADATA: [&str; 4] = ["ami", "root", "ephemeral", "swap"];

record! {
    /// What is mounted.
    pub(crate) struct Mounts {
        /// Entries with the fields of fstab(5).
        mounts: Vec<Entry>,
        /// The fields that entries leave out.
        mount_default_fields: Vec<Option<String>>,
        /// A swap file.
        swap: Option<Swap>,
    }
}

record! {
    /// A swap file.
    struct Swap {
        /// Where it is; `/swap.img` when it is left out.
        filename: Option<AbsolutePath>,
        /// Its size, `auto` for one that fits the memory; without it none is made.
        size: Spanned<swap::Size>,
        /// The most that `auto` takes.
        maxsize: Spanned<swap::Size>,
    }
}

/// An entry: a list of fields.
struct Entry {
    fields: Vec<Option<String>>,
    span: Span,
}

impl Decode for Entry {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        // Just the device, which says that it is not mounted.
        let fields = match &node.value {
            Value::Scalar(_) => vec![Some(String::decode(node, findings)?)],
            Value::List(items) => {
                let fields = Vec::decode(node, findings)?;
                if fields.len() != items.len() {
                    return None;
                }
                fields
            }
            Value::Map(_) => Vec::decode(node, findings)?,
        };
        if fields.len() > DEFAULTS.len() {
            findings.error(node.span, format!("an entry has at most {} fields (fstab(5))", DEFAULTS.len()));
            return None;
        }
        Some(Self { fields, span: node.span })
    }

    fn shape() -> Shape {
        Shape::TEXT.or_null().list().or(Shape::TEXT)
    }
}

impl Plugin for Mounts {
    const KEY: &'static str = "mounts";

    fn apply(&self, cx: &Context, sys: &System) -> Result<()> {
        let before = sys.read(fstab::PATH)?;
        let mut lines = Vec::new();
        for entry in &self.mounts {
            match cx.attempt(entry.span, self.line(entry)) {
                Some(Ok(line)) => lines.push((entry.span, line)),
                Some(Err(Some(reason))) => cx.warn(entry.span, reason),
                _ => {}
            }
        }
        if let Some(swap) = &self.swap {
            let span = swap.size.span;
            if let Some(Some(path)) = cx.attempt(span, swap::make(sys, swap)) {
                let fields = [&path, "none", "swap", "sw", "0", "0"].map(str::to_owned);
                lines.extend(cx.attempt(span, Line::new(fields)).map(|line| (span, line)));
            }
        }
        for (span, line) in lines.iter().filter(|(_, line)| !line.is_swap()) {
            if sys.metadata(line.point())?.is_none_or(|found| found.kind != Kind::Directory) {
                cx.attempt(*span, sys.create_dir(line.point(), None, None));
            }
        }
        let wanted: Vec<&Line> = lines.iter().map(|(_, line)| line).collect();
        let changed = (before.is_some() || !wanted.is_empty())
            && sys.write(File::new(fstab::PATH, fstab::edit(&before.unwrap_or_default(), &wanted)))?;
        self.mount(cx, sys, &lines, changed)
    }
}

impl Mounts {
    /// The line that an entry is; or that it is none, perhaps with the reason.
    fn line(&self, entry: &Entry) -> Result<Result<Line, Option<String>>> {
        let given = |fields: &[Option<String>], index: usize| -> Option<String> {
            fields.get(index)?.clone().filter(|field| !field.is_empty())
        };
        let field =
            |index: usize| given(&entry.fields, index).or_else(|| given(&self.mount_default_fields, index));
        let Some(device) = given(&entry.fields, 0) else { return Err(anyhow!("the entry names no device")) };
        let Some(point) = field(1) else { return Ok(Err(None)) };
        if let Some(name) = OF_METADATA.into_iter().find(|name| {
            device.strip_prefix(name).is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()))
        }) {
            let reason = format!("{device} is not mounted: no metadata says which disk `{name}` is");
            return Ok(Err(Some(reason)));
        }
        let device = if is_disk(&device) { format!("/dev/{device}") } else { device };
        let or_default = |index: usize| field(index).unwrap_or_else(|| DEFAULTS[index].to_owned());
        let [kind, options, dump, pass] = [2, 3, 4, 5].map(or_default);
        Line::new([device, point, kind, options, dump, pass]).map(Ok)
    }

    /// Mounts what is not mounted yet, on the running machine.
    fn mount(&self, cx: &Context, sys: &System, lines: &[(Span, Line)], changed: bool) -> Result<()> {
        if !sys.host().lives_in(sys.root()) {
            return Ok(());
        }
        if changed && units::systemd_is_running(sys)? {
            units::reload(sys)?;
        }
        let mounted = Mount::all(sys)?;
        for (span, line) in lines.iter().filter(|(_, line)| !line.is_swap() && !line.has_option("noauto")) {
            if mounted.iter().any(|mount| mount.is_at(line.point())) {
                continue;
            }
            match run(sys, &["mount", line.point()]) {
                Err(error) if line.has_option("nofail") => cx.warn(*span, format!("{error:#}")),
                result => {
                    cx.attempt(*span, result);
                }
            }
        }
        if let Some((span, _)) = lines.iter().find(|(_, line)| line.is_swap()) {
            cx.attempt(*span, run(sys, &["swapon", "-a"]));
        }
        Ok(())
    }
}

/// Whether it is the name of a disk or of a part of one: `sdb`, `vda1`, `nvme0n1p2`.
fn is_disk(name: &str) -> bool {
    let known =
        ["sd", "hd", "vd", "xvd", "nvme", "mmcblk"].into_iter().find_map(|kind| name.strip_prefix(kind));
    known.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use crate::disk::devices::tests::root;
    use crate::testing::Machine;

    const ENTRY: &str = "#cloud-config\nmounts: [[vdb, /srv]]";
    const SRV: &str = "/dev/vdb /srv auto defaults,nofail,comment=cloudconfig 0 2\n";

    fn live(tree: &str) -> Machine {
        let machine = Machine::new(tree);
        machine.host.live_here();
        root(&machine.host, "ext4", "/dev/vda1", "8:1");
        machine
    }

    #[test]
    fn what_is_not_mounted_is_mounted_and_systemd_is_told() {
        let machine = live("-- /run/systemd/system/\n");
        let systemd = machine.boot(&[]);
        let outcome = machine.check(ENTRY, &format!("-- /etc/fstab\n{SRV}-- /srv/\n"));
        assert_eq!(
            (systemd.take_requests(), outcome.commands),
            (vec!["Reload".into()], vec!["mount /srv".into()])
        );
        machine.host.kernel_file("/proc/self/mountinfo", "30 1 8:16 / /srv rw - ext4 /dev/vdb rw\n");
        assert!(machine.check(ENTRY, &format!("-- /etc/fstab\n{SRV}-- /srv/\n")).commands.is_empty());
        let with_slash = "#cloud-config\nmounts: [[vdb, /srv/]]";
        let outcome =
            machine.check(with_slash, &format!("-- /etc/fstab\n{}-- /srv/\n", SRV.replace("/srv", "/srv/")));
        assert!(outcome.commands.is_empty(), "{:?}", outcome.commands);
    }

    #[test]
    fn what_may_fail_is_a_warning_and_the_others_are_mounted() {
        let machine = live("");
        machine.host.answer("mount /a", 32, "mount: /a: can't find /dev/vdb.\n");
        machine.host.answer("mount /b", 32, "mount: /b: can't find /dev/vdc.\n");
        let outcome = machine
            .apply("#cloud-config\nmounts: [[vdb, /a], [vdc, /b, auto, defaults], [vdd, /c], [sde, /d, auto, noauto]]");
        assert_eq!(
            outcome.messages(),
            "Warning: test.yaml:2:10: `mount /a` ended with status 32; the end of its output:\nmount: /a: can't find /dev/vdb.\n\
             Error: test.yaml:2:21: `mount /b` ended with status 32; the end of its output:\nmount: /b: can't find /dev/vdc.\n"
        );
        assert_eq!(outcome.commands, ["mount /a", "mount /b", "mount /c"]);
    }

    #[test]
    fn defaults_can_be_given_and_numbers_are_texts() {
        let machine = Machine::new("");
        machine.check(
            "#cloud-config\nmount_default_fields: [~, ~, btrfs, ro, 1, 0]\nmounts: [[UUID=1-2, /a+b], [h:/x, /nfs, nfs, ~, 0]]",
            "-- /etc/fstab\nUUID=1-2 /a+b btrfs ro,comment=cloudconfig 1 0\n\
             h:/x /nfs nfs ro,comment=cloudconfig 0 0\n-- /a+b/\n-- /nfs/\n",
        );
    }

    #[test]
    fn disks_that_only_metadata_knows_are_named() {
        let machine = Machine::new("");
        let outcome = machine
            .apply("#cloud-config\nmounts: [[ephemeral0, /mnt], [swap, none, swap], [ephemeral1, ~], sdb]");
        assert_eq!(outcome.findings.len(), 2, "{}", outcome.messages());
        assert!(outcome.messages().contains("ephemeral0 is not mounted: no metadata says"));
        machine.assert_tree("");
    }

    #[test]
    fn entries_that_cannot_be_are_named_and_the_others_written() {
        let machine = Machine::new("");
        let outcome = machine.apply(
            "#cloud-config\nmounts: [[vdb, \"/a\\nb\"], [vdc, relative], [~, /x], {a: b}, [1, 2, 3, 4, 5, 6, 7], [vdb, /srv], \
             [vdd, /d, auto, defaults, x]]",
        );
        assert_eq!(outcome.findings.len(), 6, "{}", outcome.messages());
        machine.assert_tree(&format!("-- /etc/fstab\n{SRV}-- /srv/\n"));
    }

    #[test]
    fn a_mount_point_that_is_a_file_does_not_stop_the_others() {
        let machine = Machine::new("-- /srv\n-- /etc/fstab\n# mine\n");
        let outcome = machine.apply("#cloud-config\nmounts: [[vdb, /srv], [LABEL=c, /c, auto, ro, 0, 0]]");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        machine.assert_tree(&format!(
            "-- /etc/fstab\n# mine\n{SRV}LABEL=c /c auto ro,comment=cloudconfig 0 0\n-- /c/\n"
        ));
    }
}
