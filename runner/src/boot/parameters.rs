//! The parameters of the boot on the kernel command line.
//!
//! Whole arguments are looked for, never parts of them; of several the last one counts. A value that cannot be
//! understood is a finding, and what it would have changed stays as it is by default.

use super::{Device, OverlayBase, Volume, mount_point};
use cosette_schema::{Argument, Arguments, Diagnostic, Findings, Origin, Span};
use std::time::Duration;

/// What findings of the kernel command line call it.
pub const ORIGIN: &str = "kernel command line";

/// The labels of recovery systems.
const RECOVERY_LABELS: [&str; 2] = ["COS_RECOVERY", "COS_SYSTEM"];

/// The names of one parameter: the one of cOS, and the one of elemental.
const IMAGE: [&str; 2] = ["cos-img/filename", "elemental.image"];
const OEM_LABEL: [&str; 2] = ["rd.cos.oemlabel", "elemental.oemlabel"];
const OEM_TIMEOUT: [&str; 2] = ["rd.cos.oemtimeout", "elemental.oemtimeout"];
const OVERLAY: [&str; 2] = ["rd.cos.overlay", "elemental.overlay"];
const MOUNT: [&str; 2] = ["rd.cos.mount", "elemental.mount"];
const DEBUG_RW: [&str; 2] = ["rd.cos.debugrw", "elemental.debugrw"];
const DISABLE: [&str; 2] = ["rd.cos.disable", "elemental.disable"];
const SETUP: [&str; 2] = ["cos.setup", "elemental.setup"];
const MODE: [&str; 2] = ["cos.mode", "elemental.mode"];

/// Which of the systems of this machine was booted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Booted {
    /// The one in use.
    Active,
    /// The one before.
    Passive,
    /// The one that mends the others.
    Recovery,
}

impl Booted {
    /// Its name: `active`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Passive => "passive",
            Self::Recovery => "recovery",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        [Self::Active, Self::Passive, Self::Recovery].into_iter().find(|booted| booted.as_str() == name)
    }

    fn of_image(image: &str) -> Option<Self> {
        match image.rsplit('/').next()? {
            "active" | "active.img" => Some(Self::Active),
            "passive" | "passive.img" => Some(Self::Passive),
            "recovery" | "recovery.img" | "recovery.squashfs" => Some(Self::Recovery),
            _ => None,
        }
    }

    fn of_label(label: &str) -> Option<Self> {
        match label {
            "COS_ACTIVE" => Some(Self::Active),
            "COS_PASSIVE" => Some(Self::Passive),
            label if RECOVERY_LABELS.contains(&label) => Some(Self::Recovery),
            _ => None,
        }
    }
}

/// When file systems are checked (systemd-fsck(8)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Check {
    /// When they say that they need it.
    #[default]
    Auto,
    /// Always.
    Force,
    /// Never.
    Skip,
}

/// What the kernel command line asks of the boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The image that is the root file system, inside of the file system of its partition: `/cOS/active.img`.
    pub image: Option<String>,
    /// The root file system, if it is named as one.
    pub root: Option<Device>,
    /// The file system that is mounted at `/oem`.
    pub oem: Device,
    /// Whether it is named on the command line.
    pub oem_is_named: bool,
    /// How long that file system is waited for.
    pub oem_timeout: Duration,
    /// Where changes go that do not outlive a boot, if it is said.
    pub overlay: Option<OverlayBase>,
    /// Further volumes.
    pub mounts: Vec<Volume>,
    /// Whether the root file system is mounted to be written to.
    pub debug_rw: bool,
    /// Whether all of the immutable root is switched off.
    pub disabled: bool,
    /// Whether the root is that of a live medium, which changes nothing on this machine.
    pub live: bool,
    /// Which of the systems of the machine was booted, if it is one.
    pub booted: Option<Booted>,
    /// Further sources of documents, in their order, and where they are named.
    pub setup: Vec<(String, Span)>,
    /// When file systems are checked before they are mounted.
    pub check: Check,
}

impl Parameters {
    /// How long `/oem` is waited for by default. A machine without it must not wait long, and one that has found
    /// its root has found the disk that it is on.
    pub const OEM_TIMEOUT: Duration = Duration::from_secs(10);

    /// Reads the content of `/proc/cmdline`.
    pub fn parse(text: &str) -> (Self, Vec<Diagnostic>) {
        let arguments = Arguments::parse(text);
        let mut reader = Reader { arguments: &arguments, findings: Findings::new(Origin::new(ORIGIN)) };
        let parameters = reader.parameters();
        let mut findings = reader.findings.into_vec();
        findings.sort_by_key(|finding| finding.span);
        (parameters, findings)
    }

    /// The names of the sentinels of this boot, such as `recovery_mode`.
    ///
    /// What is switched off counts as live, as cOS has it: nothing is laid out then.
    pub fn sentinels(&self) -> impl Iterator<Item = String> {
        let live = (self.live || self.disabled).then_some("live");
        self.booted.map(Booted::as_str).into_iter().chain(live).map(|name| format!("{name}_mode"))
    }
}

struct Reader<'a> {
    arguments: &'a Arguments,
    findings: Findings,
}

impl<'a> Reader<'a> {
    fn parameters(&mut self) -> Parameters {
        for argument in self.arguments.iter().filter(|argument| argument.unclosed) {
            self.findings.warn(argument.span, "a double quote is never closed: it takes all that follows");
        }
        let image = self.last(IMAGE).and_then(|argument| self.value(argument, image_path));
        let root = self.last(["root", "root"]);
        let (root, live_medium) =
            root.and_then(|argument| argument.value.as_deref()).map_or((None, false), of_root);
        let oem = self.last(OEM_LABEL).and_then(|argument| self.value(argument, oem_label));
        let oem_timeout = self.last(OEM_TIMEOUT).and_then(|argument| self.value(argument, seconds));
        let overlay = self.last(OVERLAY).and_then(|argument| self.value(argument, OverlayBase::parse));
        let mounts = self.all(MOUNT).filter_map(|argument| self.value(argument, Volume::parse)).collect();
        let setup = self.all(SETUP).filter_map(|argument| {
            let value = argument.value.as_ref().filter(|value| !value.is_empty())?;
            Some((value.clone(), argument.span))
        });
        let setup = setup.collect();
        let label = root.as_ref().and_then(Device::label);
        let of_label = label.as_deref().and_then(Booted::of_label);
        let booted = self.booted(image.as_deref(), of_label);
        Parameters {
            live: live_medium && of_label != Some(Booted::Recovery),
            image,
            root,
            oem_is_named: oem.is_some(),
            oem: oem.unwrap_or_else(default_oem),
            oem_timeout: oem_timeout.unwrap_or(Parameters::OEM_TIMEOUT),
            overlay,
            mounts,
            debug_rw: self.switch(DEBUG_RW),
            disabled: self.switch(DISABLE),
            booted,
            setup,
            check: self.check(),
        }
    }

    /// All arguments of these names, in their order.
    fn all(&self, names: [&'static str; 2]) -> impl DoubleEndedIterator<Item = &'a Argument> + use<'a> {
        self.arguments.iter().filter(move |argument| names.contains(&&*argument.key))
    }

    fn last(&self, names: [&'static str; 2]) -> Option<&'a Argument> {
        self.all(names).next_back()
    }

    /// What stands behind the equals sign, understood.
    fn value<T>(&mut self, argument: &Argument, understand: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let understood = match argument.value.as_deref() {
            None | Some("") => Err("it has no value".to_owned()),
            Some(value) => understand(value),
        };
        understood.map_err(|why| self.ignored(argument, &why)).ok()
    }

    fn ignored(&mut self, argument: &Argument, why: &str) {
        let name: String = argument.key.chars().take(64).collect();
        self.findings.warn(argument.span, format!("`{name}` is ignored: {why}"));
    }

    /// Something that is on when it is there, unless it says otherwise.
    fn switch(&mut self, names: [&'static str; 2]) -> bool {
        let Some(argument) = self.last(names) else { return false };
        match argument.value.as_deref() {
            None | Some("1" | "yes" | "true" | "on" | "y") => true,
            Some("0" | "no" | "false" | "off" | "n") => false,
            Some(_) => {
                self.ignored(argument, "it is on or off: 1 or 0");
                false
            }
        }
    }

    fn check(&mut self) -> Check {
        let Some(argument) = self.last(["fsck.mode", "fsck.mode"]) else { return Check::Auto };
        match argument.value.as_deref() {
            Some("auto") => Check::Auto,
            Some("force") => Check::Force,
            Some("skip") => Check::Skip,
            _ => {
                self.ignored(argument, "it is auto, force or skip");
                Check::Auto
            }
        }
    }

    /// What says that it is the recovery system is believed first: its layout leaves the others alone. Else the mode
    /// counts more than the image, and the image more than the label.
    fn booted(&mut self, image: Option<&str>, of_label: Option<Booted>) -> Option<Booted> {
        let mode = self.last(MODE);
        let of_mode = mode.and_then(|argument| {
            let named =
                |name: &str| Booted::named(name).ok_or("it is active, passive or recovery".to_owned());
            self.value(argument, named)
        });
        let of_image = image.and_then(Booted::of_image);
        let said = [of_mode, of_image, of_label];
        let recovery = said.contains(&Some(Booted::Recovery)).then_some(Booted::Recovery);
        let booted = recovery.or(of_mode).or(of_image).or(of_label);
        let others = said.into_iter().flatten().any(|other| Some(other) != booted);
        if let Some(booted) = booted.filter(|_| others) {
            let message = format!("mode, image and root disagree: taken for the {} system", booted.as_str());
            self.findings.warn(None, message);
        }
        booted
    }
}

fn default_oem() -> Device {
    Device::labelled("COS_OEM").expect("the label is well-formed")
}

/// The root file system, and whether a live medium holds it. What is neither, such as `nfs:`, is somebody else's.
fn of_root(value: &str) -> (Option<Device>, bool) {
    let (name, live) = match value.strip_prefix("live:") {
        Some(name) => (name, true),
        None => (value, value.starts_with("CDLABEL=")),
    };
    (Device::parse(name).ok(), live)
}

/// A label, or a file system named in another way: `PARTLABEL=oem`, `/dev/vda1`.
fn oem_label(value: &str) -> Result<Device, String> {
    if value.contains('=') || value.starts_with('/') { Device::parse(value) } else { Device::labelled(value) }
}

fn image_path(value: &str) -> Result<String, String> {
    let absolute = if value.starts_with('/') { value.to_owned() } else { format!("/{value}") };
    mount_point(&absolute)
}

fn seconds(value: &str) -> Result<Duration, String> {
    let seconds = value.parse::<u64>().ok().filter(|seconds| (1..=1800).contains(seconds));
    seconds.map(Duration::from_secs).ok_or_else(|| "it is a number of seconds from 1 to 1800".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Parameters, String) {
        let (parameters, findings) = Parameters::parse(text);
        (parameters, findings.iter().map(|finding| format!("{finding}\n")).collect())
    }

    fn quiet(text: &str) -> Parameters {
        let (parameters, findings) = read(text);
        assert_eq!(findings, "", "{text}");
        parameters
    }

    fn sentinels(text: &str) -> Vec<String> {
        quiet(text).sentinels().collect()
    }

    #[test]
    fn an_empty_command_line_gives_the_defaults() {
        let found = quiet("\n");
        assert_eq!((found.image, found.root, found.overlay, found.booted), (None, None, None, None));
        assert_eq!((found.oem.path(), found.oem_is_named), ("/dev/disk/by-label/COS_OEM", false));
        assert_eq!((found.oem_timeout.as_secs(), found.check), (10, Check::Auto));
        assert!(found.mounts.is_empty() && found.setup.is_empty());
        assert!(!found.debug_rw && !found.disabled && !found.live);
    }

    #[test]
    fn the_command_line_of_an_installed_system_is_understood() {
        let found = quiet(
            "BOOT_IMAGE=(loop0)/boot/vmlinuz console=tty1 root=LABEL=COS_ACTIVE cos-img/filename=/cOS/active.img \
             panic=5 rd.cos.oemlabel=MY_OEM rd.cos.oemtimeout=30 rd.cos.mount=LABEL=DATA:/data \
             rd.cos.mount=\"UUID=1-2:/srv/a b\" rd.cos.overlay=tmpfs:40% rd.cos.debugrw fsck.mode=force \
             cos.setup=http://host/x?a=b elemental.setup=/oem/y\n",
        );
        assert_eq!(found.image.as_deref(), Some("/cOS/active.img"));
        assert_eq!(found.root.unwrap().label().as_deref(), Some("COS_ACTIVE"));
        assert_eq!((found.oem.label().as_deref(), found.oem_is_named), (Some("MY_OEM"), true));
        assert_eq!(found.oem_timeout, Duration::from_secs(30));
        let points: Vec<_> = found.mounts.iter().map(|volume| &*volume.point).collect();
        assert_eq!(points, ["/data", "/srv/a b"]);
        assert_eq!(found.overlay, Some(OverlayBase::Tmpfs("40%".to_owned())));
        assert_eq!((found.debug_rw, found.check), (true, Check::Force));
        let setup: Vec<_> = found.setup.iter().map(|(source, _)| &**source).collect();
        assert_eq!(setup, ["http://host/x?a=b", "/oem/y"]);
        assert_eq!((found.booted, found.live), (Some(Booted::Active), false));
    }

    #[test]
    fn the_last_of_both_names_counts() {
        let found = quiet(
            "cos-img/filename=/cOS/active.img elemental.image=cOS/passive.img elemental.oemlabel=A rd.cos.oemlabel=B \
             rd.cos.disable rd.cos.disable=0 elemental.overlay=tmpfs:5% rd.cos.overlay=LABEL=C root=LABEL=x root=UUID=y",
        );
        assert_eq!(found.image.as_deref(), Some("/cOS/passive.img"));
        assert_eq!(found.oem.label().as_deref(), Some("B"));
        assert!(matches!(found.overlay, Some(OverlayBase::Block(_))));
        assert_eq!((found.disabled, found.root.unwrap().path()), (false, "/dev/disk/by-uuid/y"));
        assert_eq!(quiet("rd.cos.oemlabel=PARTLABEL=oem").oem.path(), "/dev/disk/by-partlabel/oem");
    }

    #[test]
    fn parts_of_arguments_mean_nothing() {
        for text in [
            "xrd.cos.disable rd.cos.disablex rd.cos.debugrw.x my.elemental.mode=recovery",
            "comment=\"rd.cos.disable elemental.mode=recovery\" note=COS_RECOVERY cos-img/filename.x=/cOS/recovery.img",
            "quiet label=CDLABEL rootx=live:CDLABEL=COS_LIVE image=/cOS/recovery.img",
        ] {
            assert_eq!(quiet(text), quiet(""), "{text}");
        }
    }

    #[test]
    fn the_booted_system_is_told_by_mode_by_image_and_by_root() {
        for (text, expected) in [
            ("cos-img/filename=/cOS/active.img", &["active_mode"][..]),
            ("cos-img/filename=/cOS/passive.img root=LABEL=COS_PASSIVE", &["passive_mode"]),
            ("root=LABEL=COS_SYSTEM cos-img/filename=/cOS/recovery.img", &["recovery_mode"]),
            ("elemental.mode=passive elemental.image=.snapshots/7/img", &["passive_mode"]),
            ("root=/dev/disk/by-label/COS_RECOVERY", &["recovery_mode"]),
            ("\"root=LABEL=COS_ACTIVE\"", &["active_mode"]),
            ("root=live:LABEL=COS_RECOVERY rd.live.squashimg=recovery.squashfs", &["recovery_mode"]),
            ("root=live:CDLABEL=COS_LIVE rd.live.image", &["live_mode"]),
            ("root=live:http://host/rootfs.squashfs", &["live_mode"]),
            ("root=CDLABEL=COS_LIVE", &["live_mode"]),
            ("root=LABEL=COS_ACTIVE rd.cos.disable", &["active_mode", "live_mode"]),
            ("elemental.disable=1", &["live_mode"]),
            ("root=LABEL=OTHER", &[]),
            ("root=nfs:server:/path", &[]),
        ] {
            assert_eq!(sentinels(text), expected, "{text}");
        }
    }

    #[test]
    fn recovery_is_believed_when_names_disagree() {
        for text in [
            "elemental.mode=active cos-img/filename=/cOS/recovery.img",
            "elemental.mode=recovery root=LABEL=COS_ACTIVE",
            "cos-img/filename=/cOS/active.img root=LABEL=COS_SYSTEM",
        ] {
            let (found, findings) = read(text);
            assert_eq!(found.booted, Some(Booted::Recovery), "{text}");
            assert!(findings.contains("disagree: taken for the recovery system"), "{findings}");
        }
        assert_eq!(read("elemental.mode=passive root=LABEL=COS_ACTIVE").0.booted, Some(Booted::Passive));
    }

    #[test]
    fn what_cannot_be_understood_is_named_and_leaves_the_default() {
        let (found, findings) = read(
            "rd.cos.oemtimeout=0 elemental.mode=rescue rd.cos.mount=LABEL=x rd.cos.mount=LABEL=y:/../etc \
             rd.cos.overlay=tmpfs:1T rd.cos.oemlabel= rd.cos.disable=maybe fsck.mode=never cos-img/filename=/../x",
        );
        assert_eq!(found, quiet(""));
        assert_eq!(
            findings,
            "kernel command line:1:1: `rd.cos.oemtimeout` is ignored: it is a number of seconds from 1 to 1800\n\
             kernel command line:1:21: `elemental.mode` is ignored: it is active, passive or recovery\n\
             kernel command line:1:43: `rd.cos.mount` is ignored: a volume is written as LABEL=COS_OEM:/oem\n\
             kernel command line:1:64: `rd.cos.mount` is ignored: `..` is not allowed in the path\n\
             kernel command line:1:93: `rd.cos.overlay` is ignored: \"1T\" is no size of a tmpfs, such as 25% or 512m\n\
             kernel command line:1:117: `rd.cos.oemlabel` is ignored: it has no value\n\
             kernel command line:1:134: `rd.cos.disable` is ignored: it is on or off: 1 or 0\n\
             kernel command line:1:155: `fsck.mode` is ignored: it is auto, force or skip\n\
             kernel command line:1:171: `cos-img/filename` is ignored: `..` is not allowed in the path\n"
        );
        for text in ["1801", "-1", "1.5", "10s", "99999999999999999999999", ""] {
            assert_eq!(read(&format!("rd.cos.oemtimeout={text}")).0.oem_timeout.as_secs(), 10, "{text}");
        }
    }

    #[test]
    fn hostile_command_lines_are_read_in_no_time() {
        for text in [
            "rd.cos.mount=LABEL=x:/y ".repeat(50_000),
            "\"".repeat(100_001),
            "rd.cos.mount='".repeat(50_000),
            "=".repeat(100_000),
            format!("rd.cos.oemlabel={}", "\u{1F600}".repeat(50_000)),
            "root=\0\u{1b}[2J rd.cos.mount=\u{202e}:/\u{1b}".to_owned(),
        ] {
            let (found, _) = Parameters::parse(&text);
            assert_eq!(found.oem.label().as_deref(), Some("COS_OEM"));
        }
        let (_, findings) = Parameters::parse("cos.setup=/a rd.cos.mount=\"LABEL=x:/y rd.cos.disable");
        assert!(findings[0].message.contains("never closed"));
    }
}
