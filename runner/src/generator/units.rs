//! The units that a boot needs, as texts.
//!
//! **Architecture invariant:** nothing in this module performs I/O.

use super::unit_name;
use crate::boot::{Device, Parameters};
use std::fmt::Write as _;

/// Where the partition is mounted that holds the image, as in cOS: what upgrades the system looks there.
const STATE: &str = "/run/initramfs/cos-state";

/// How long that partition is waited for, in seconds: there are controllers that take minutes to find their disks,
/// and nothing can be done without it.
const STATE_TIMEOUT: u64 = 300;

/// How many seconds the stage `rootfs` has, by its unit. It waits for `/oem` itself.
const STAGE_TIMEOUT: u64 = 600;

/// The labels of images, and that of the partition that holds them.
const HOLDERS: [(&str, &str); 3] =
    [("COS_ACTIVE", "COS_STATE"), ("COS_PASSIVE", "COS_STATE"), ("COS_SYSTEM", "COS_RECOVERY")];

/// Something to write below the directory of the generator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A file of this path and content.
    File(String, String),
    /// A link at this path, and where it leads.
    Link(String, String),
}

/// What a boot needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Units {
    /// The files and links.
    pub entries: Vec<Entry>,
    /// What to say about them, in sentences.
    pub notes: Vec<String>,
}

impl Units {
    /// The units for these parameters.
    pub fn of(parameters: &Parameters) -> Self {
        let mut units = Self::default();
        if parameters.disabled {
            return units;
        }
        if !parameters.live
            && let Some(image) = &parameters.image
        {
            let done = units.root(image, parameters);
            units.note_failure(done);
        }
        if !parameters.live || parameters.oem_is_named {
            let done = units.oem(parameters);
            units.note_failure(done);
        }
        units
    }

    fn note_failure(&mut self, done: Result<(), String>) {
        self.notes.extend(done.err().map(|why| format!("error: {why}")));
    }

    /// The partition, and the image on it as the root.
    fn root(&mut self, image: &str, parameters: &Parameters) -> Result<(), String> {
        let holder = holder(image, parameters.root.as_ref())?;
        let what = value(&format!("{STATE}{image}"))?;
        let state = name(STATE, "mount")?;
        let (mode, device) = (if parameters.debug_rw { "rw" } else { "ro" }, device(&holder)?);
        let fsck = unit_name::instance("systemd-fsck", holder.path()).unwrap_or_default();
        let partition = value(holder.path())?;
        self.file(
            &state,
            format!(
                "[Unit]\nDescription=Partition of the system image ({})\nDefaultDependencies=no\nWants={fsck}\n\
                 After={fsck}\nBefore=initrd-root-device.target initrd-root-fs.target\n\n\
                 [Mount]\nWhat={partition}\nWhere={STATE}\nOptions={mode}\n",
                value(&holder.to_string())?
            ),
        );
        self.timeout(&device, STATE_TIMEOUT);
        self.file(
            "sysroot.mount",
            format!(
                "[Unit]\nDescription=Root file system ({})\nDefaultDependencies=no\nRequires={state}\n\
                 Wants=modprobe@loop.service\nAfter={state} modprobe@loop.service\nBefore=initrd-root-fs.target\n\n\
                 [Mount]\nWhat={what}\nWhere=/sysroot\nOptions=loop,{mode}\n",
                value(image)?
            ),
        );
        self.link("initrd-root-fs.target.requires/sysroot.mount", "../sysroot.mount");
        // In the place of the file of systemd, which waits for the device that `root=` names.
        self.file(
            "initrd-root-device.target.d/50-root-device.conf",
            format!("[Unit]\nRequires={state}\nAfter={state}\n"),
        );
        // That device appears when the image is mounted, if ever: what dracut wants of it is masked.
        if let Some(root) = &parameters.root
            && root.path() != holder.path()
            && let Some(root) = unit_name::for_path(root.path(), "device")
        {
            self.link(&format!("initrd.target.wants/{root}"), "/dev/null");
        }
        self.notes.push(format!("the root file system is {image} of {holder}, mounted {mode}"));
        Ok(())
    }

    /// `/oem`, which the stage `rootfs` starts when the root is there.
    fn oem(&mut self, parameters: &Parameters) -> Result<(), String> {
        let oem = &parameters.oem;
        let device = device(oem)?;
        let fsck = unit_name::instance("systemd-fsck", oem.path()).unwrap_or_default();
        self.file(
            "oem.mount",
            format!(
                "[Unit]\nDescription=OEM configuration ({})\nDefaultDependencies=no\nWants={fsck}\nAfter={fsck}\n\
                 Before=initrd-switch-root.target\nConflicts=initrd-switch-root.target umount.target\n\n\
                 [Mount]\nWhat={}\nWhere=/oem\nOptions=rw\n",
                value(&oem.to_string())?,
                value(oem.path())?
            ),
        );
        let seconds = parameters.oem_timeout.as_secs();
        self.timeout(&device, seconds);
        if seconds > STAGE_TIMEOUT / 2 {
            let stage = seconds + STAGE_TIMEOUT;
            self.file(
                "cos-setup-rootfs.service.d/50-oem.conf",
                format!("[Service]\nTimeoutStartSec={stage}s\n"),
            );
        }
        Ok(())
    }

    /// How long a device is waited for. In the place of the file of dracut, which waits for the root for ever.
    fn timeout(&mut self, device: &str, seconds: u64) {
        let path = format!("{device}.d/timeout.conf");
        // The partition may hold both the image and /oem: the root must not be given up too early.
        let known = |entry: &Entry| matches!(entry, Entry::File(known, _) if *known == path);
        if !self.entries.iter().any(known) {
            self.file(&path, format!("[Unit]\nJobRunningTimeoutSec={seconds}s\n"));
        }
    }

    fn file(&mut self, path: &str, content: String) {
        let content = format!("# Written by cosette-generator, from the kernel command line.\n{content}");
        self.entries.push(Entry::File(path.to_owned(), content));
    }

    fn link(&mut self, path: &str, target: &str) {
        self.entries.push(Entry::Link(path.to_owned(), target.to_owned()));
    }

    /// All of it as one text, in the form of trees in tests.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            let _ = match entry {
                Entry::File(path, content) => writeln!(text, "-- {path}\n{content}"),
                Entry::Link(path, target) => writeln!(text, "-- {path} -> {target}\n"),
            };
        }
        for note in &self.notes {
            let _ = writeln!(text, "log: {note}");
        }
        text
    }
}

/// The partition with the image: an image by a label of cOS is on the partition for it, and anything else that `root=`
/// names is the partition itself. Without `root=`, the name of the image tells.
fn holder(image: &str, root: Option<&Device>) -> Result<Device, String> {
    let Some(root) = root else {
        let is_recovery = image.rsplit('/').next().is_some_and(|name| name.starts_with("recovery"));
        return Device::labelled(if is_recovery { "COS_RECOVERY" } else { "COS_STATE" });
    };
    let label = root.label();
    let holder = HOLDERS.iter().find(|(of_image, _)| label.as_deref() == Some(of_image));
    holder.map_or_else(|| Ok(root.clone()), |(_, holder)| Device::labelled(holder))
}

fn device(device: &Device) -> Result<String, String> {
    name(device.path(), "device")
}

fn name(path: &str, kind: &str) -> Result<String, String> {
    unit_name::for_path(path, kind).ok_or_else(|| format!("{path}: the name of its unit would be too long"))
}

/// A value in a unit file: `%` begins a specifier there, and a backslash at the end would take in the next line.
fn value(text: &str) -> Result<String, String> {
    if text.ends_with(['\\', ' ']) || text.chars().any(char::is_control) {
        return Err(format!("{text:?} cannot stand in the file of a unit"));
    }
    Ok(text.replace('%', "%%"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(cmdline: &str) -> Units {
        Units::of(&Parameters::parse(cmdline).0)
    }

    fn content<'u>(units: &'u Units, name: &str) -> Option<&'u str> {
        units.entries.iter().find_map(|entry| match entry {
            Entry::File(path, content) if path == name => Some(content.as_str()),
            _ => None,
        })
    }

    #[test]
    fn the_partition_of_an_image_is_told_by_the_label_of_the_root_or_the_name_of_the_image() {
        for (cmdline, label) in [
            ("root=LABEL=COS_ACTIVE cos-img/filename=/cOS/active.img", "by-label/COS_STATE"),
            ("root=LABEL=COS_PASSIVE cos-img/filename=/cOS/passive.img", "by-label/COS_STATE"),
            ("root=LABEL=COS_SYSTEM cos-img/filename=/cOS/recovery.img", "by-label/COS_RECOVERY"),
            ("root=LABEL=COS_RECOVERY cos-img/filename=/cOS/recovery.img", "by-label/COS_RECOVERY"),
            ("root=LABEL=COS_STATE cos-img/filename=/cOS/active.img", "by-label/COS_STATE"),
            ("root=UUID=12-34 cos-img/filename=/cOS/active.img", "by-uuid/12-34"),
            ("cos-img/filename=/cOS/active.img", "by-label/COS_STATE"),
            ("cos-img/filename=/cOS/recovery.squashfs", "by-label/COS_RECOVERY"),
        ] {
            let units = of(cmdline);
            let mount = content(&units, "run-initramfs-cos\\x2dstate.mount").unwrap();
            assert!(mount.contains(&format!("\nWhat=/dev/disk/{label}\n")), "{cmdline}: {mount}");
        }
    }

    #[test]
    fn what_is_switched_off_or_somebody_elses_gets_nothing() {
        for cmdline in [
            "root=LABEL=COS_ACTIVE cos-img/filename=/cOS/active.img rd.cos.disable",
            "root=LABEL=COS_ACTIVE cos-img/filename=/cOS/active.img elemental.disable",
            "root=live:CDLABEL=COS_LIVE rd.live.image cos-img/filename=/cOS/active.img",
        ] {
            assert_eq!(of(cmdline), Units::default(), "{cmdline}");
        }
        let paths = |units: Units| {
            let entries = units.entries.into_iter();
            entries.map(|(Entry::File(path, _) | Entry::Link(path, _))| path).collect::<Vec<_>>()
        };
        let oem = ["oem.mount", "dev-disk-by\\x2dlabel-COS_OEM.device.d/timeout.conf"];
        assert_eq!(paths(of("root=/dev/vda1 quiet")), oem);
        assert_eq!(paths(of("root=live:CDLABEL=COS_LIVE rd.cos.oemlabel=COS_OEM")), oem);
    }

    #[test]
    fn hostile_command_lines_make_no_other_units_and_no_other_lines() {
        let long = format!("root=LABEL={0} cos-img/filename=/{0} rd.cos.oemlabel={0}", "é".repeat(127));
        for cmdline in [
            "root=\"LABEL=x y\" \"cos-img/filename=/a b\\\"\" rd.cos.oemlabel=\"../../etc/x\"",
            "root=LABEL=%i cos-img/filename=/%h/%i rd.cos.oemlabel=%n",
            "root=LABEL=x\\ cos-img/filename=/cOS/x\\ rd.cos.oemlabel=x\\",
            "root=LABEL=\u{1b}[31m cos-img/filename=/\u{7} rd.cos.oemlabel=\u{85}",
            "root=/dev/../../etc/passwd cos-img/filename=../../etc/shadow rd.cos.oemtimeout=99999999999999999999",
            "cos-img/filename=/cOS/$(reboot);`x` rd.cos.oemlabel=$(x)",
            &long,
        ] {
            for entry in of(cmdline).entries {
                let (Entry::File(path, text) | Entry::Link(path, text)) = entry;
                assert!(path.split('/').all(|name| name != ".." && name.len() <= 255), "{path}");
                assert!(path.is_ascii() && path.matches('/').count() <= 1, "{path}");
                assert!(!text.replace("%%", "").contains('%'), "{text}");
                for line in text.lines() {
                    assert!(!line.chars().any(char::is_control) && !line.ends_with('\\'), "{line:?}");
                    let known = ["#", "[", "../", "/dev/null"];
                    let keys = [
                        "Description=",
                        "DefaultDependencies=",
                        "Wants=",
                        "After=",
                        "Before=",
                        "Requires=",
                        "Conflicts=",
                        "TimeoutStartSec=",
                        "What=",
                        "Where=",
                        "Options=",
                        "JobRunningTimeoutSec=",
                    ];
                    let fine =
                        line.is_empty() || known.iter().chain(&keys).any(|part| line.starts_with(part));
                    assert!(fine, "{line:?}");
                }
            }
        }
    }
}
