//! What is mounted and where, as the kernel command line and the layout write it.

use std::fmt;

/// A label or path longer than this names nothing that exists.
const LONGEST: usize = 255;

/// A file system, as people name one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Device {
    link: String,
    written: String,
}

impl Device {
    /// Reads `LABEL=COS_OEM`, `UUID=…`, `PARTLABEL=…`, `PARTUUID=…` or `/dev/…`. The error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST || text.chars().any(char::is_control) {
            return Err("it is too long, or holds a control character".to_owned());
        }
        let link = match text.split_once('=') {
            Some(("LABEL" | "CDLABEL", name)) => by("label", name),
            Some(("PARTLABEL", name)) => by("partlabel", name),
            Some(("UUID", name)) => by("uuid", name),
            Some(("PARTUUID", name)) => by("partuuid", name),
            _ if text.starts_with("/dev/") => mount_point(text),
            _ => Err("a file system is named by LABEL=, UUID=, PARTLABEL=, PARTUUID= or /dev/".to_owned()),
        };
        Ok(Self { link: link?, written: text.to_owned() })
    }

    /// The file system of this label.
    pub fn labelled(label: &str) -> Result<Self, String> {
        Self::parse(&format!("LABEL={label}"))
    }

    /// The path at which udev shows it: `/dev/disk/by-label/COS_OEM`.
    pub fn path(&self) -> &str {
        &self.link
    }

    /// The label, if it is named by one in any way.
    pub fn label(&self) -> Option<String> {
        self.link.strip_prefix("/dev/disk/by-label/").map(decoded)
    }
}

impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn by(what: &str, name: &str) -> Result<String, String> {
    match name {
        "" => Err(format!("its {what} is empty")),
        "." | ".." => Err(format!("{name} is no {what}")),
        _ => Ok(format!("/dev/disk/by-{what}/{}", encoded(name))),
    }
}

/// As udev names its links: all but a few characters as `\x2f`.
fn encoded(name: &str) -> String {
    let mut link = String::with_capacity(name.len());
    for c in name.chars() {
        if c.is_ascii_alphanumeric() || !c.is_ascii() || "#+-.:=@_".contains(c) {
            link.push(c);
        } else {
            link.push_str(&format!("\\x{:02x}", u32::from(c)));
        }
    }
    link
}

fn decoded(link: &str) -> String {
    let mut parts = link.split("\\x");
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|code| u8::from_str_radix(code, 16).ok()).filter(u8::is_ascii);
        match code {
            Some(code) => name.extend([&*char::from(code).to_string(), &part[2..]]),
            None => name.extend(["\\x", part]),
        }
    }
    name
}

/// A directory to mount at or a path of a device, without slashes that say nothing. The error is a sentence.
pub fn mount_point(text: &str) -> Result<String, String> {
    if !text.starts_with('/') {
        return Err("the path is not absolute".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("the path holds a control character".to_owned());
    }
    let names: Vec<&str> = text.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
    match &names[..] {
        [] => Err("`/` itself cannot be mounted over".to_owned()),
        names if names.contains(&"..") => Err("`..` is not allowed in the path".to_owned()),
        // The limit of the kernel is 4096 for the whole path, and what is below it needs some, too.
        names if text.len() > 2048 || names.iter().any(|name| name.len() > LONGEST) => {
            Err("the path is too long".to_owned())
        }
        names => Ok(format!("/{}", names.join("/"))),
    }
}

/// A file system and where it belongs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The file system.
    pub device: Device,
    /// The directory, inside the root.
    pub point: String,
}

impl Volume {
    /// Reads `LABEL=COS_OEM:/oem`. The error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let parts = text.split_once(':').filter(|(_, point)| !point.contains(':'));
        let (device, point) = parts.ok_or("a volume is written as LABEL=COS_OEM:/oem")?;
        Ok(Self { device: Device::parse(device)?, point: mount_point(point)? })
    }
}

/// Where changes go that do not outlive a boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OverlayBase {
    /// Memory, at most this much of it: `25%`, `512m`.
    Tmpfs(String),
    /// A file system.
    Block(Device),
}

impl OverlayBase {
    /// The size of a `tmpfs` that has none.
    pub const SIZE: &str = "20%";

    /// Reads `tmpfs:25%`, or the name of a file system. The error is a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("tmpfs") {
            Some("") => Ok(Self::default()),
            Some(size) if size.starts_with(':') => tmpfs_size(&size[1..]).map(Self::Tmpfs),
            _ => Device::parse(text).map(Self::Block),
        }
    }
}

impl Default for OverlayBase {
    fn default() -> Self {
        Self::Tmpfs(Self::SIZE.to_owned())
    }
}

/// A size as tmpfs(5) takes it. More than all memory, and nothing at all, are mistakes.
fn tmpfs_size(text: &str) -> Result<String, String> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let number = digits.parse::<u64>().ok().filter(|number| *number > 0);
    match (number, &text[digits.len()..]) {
        (Some(number), "%") if number <= 100 => Ok(text.to_owned()),
        (Some(_), "" | "k" | "K" | "m" | "M" | "g" | "G") => Ok(text.to_owned()),
        _ => Err(format!("{text:?} is no size of a tmpfs, such as 25% or 512m")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_found_where_udev_shows_them() {
        for (text, path, label) in [
            ("LABEL=COS_OEM", "/dev/disk/by-label/COS_OEM", Some("COS_OEM")),
            ("CDLABEL=COS_LIVE", "/dev/disk/by-label/COS_LIVE", Some("COS_LIVE")),
            ("LABEL=a b/../c", "/dev/disk/by-label/a\\x20b\\x2f..\\x2fc", Some("a b/../c")),
            ("LABEL=grün\\x", "/dev/disk/by-label/grün\\x5cx", Some("grün\\x")),
            ("UUID=12-AB", "/dev/disk/by-uuid/12-AB", None),
            ("PARTLABEL=oem", "/dev/disk/by-partlabel/oem", None),
            ("PARTUUID=12", "/dev/disk/by-partuuid/12", None),
            ("/dev//vda1", "/dev/vda1", None),
            ("/dev/disk/by-label/COS_OEM", "/dev/disk/by-label/COS_OEM", Some("COS_OEM")),
        ] {
            let device = Device::parse(text).unwrap();
            assert_eq!((device.path(), device.label().as_deref()), (path, label), "{text}");
            assert_eq!(device.to_string(), text);
        }
        let long = format!("LABEL={}", "x".repeat(300));
        for text in
            ["", "LABEL=", "LABEL=..", "label=x", "vda1", "/etc/passwd", "/dev/../etc", "/dev/", &long]
        {
            // A directory is no device either, but that is not for this module to find out.
            assert!(Device::parse(text).is_err() || text == "/dev/", "{text}");
        }
        assert!(Device::parse("LABEL=a\nb").is_err());
    }

    #[test]
    fn mount_points_lie_below_the_root() {
        for (text, point) in [("/oem", "/oem"), ("//usr/./local/", "/usr/local"), ("/a b", "/a b")] {
            assert_eq!(mount_point(text).as_deref(), Ok(point));
        }
        let long = "/x".repeat(2000);
        for text in ["", "oem", "/", "//./", "/..", "/oem/../etc", "/a\nb", "/a\0", &long] {
            assert!(mount_point(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_volume_is_a_file_system_and_a_mount_point() {
        let volume = Volume::parse("LABEL=COS_OEM:/oem/").unwrap();
        assert_eq!((volume.device.path(), &*volume.point), ("/dev/disk/by-label/COS_OEM", "/oem"));
        for text in
            ["LABEL=COS_OEM", "LABEL=COS_OEM:", ":/oem", "LABEL=x:/:/y", "LABEL=x:oem", "/oem:/dev/vda"]
        {
            assert!(Volume::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn changes_go_to_memory_of_a_size_or_to_a_file_system() {
        let tmpfs = |size: &str| Ok(OverlayBase::Tmpfs(size.to_owned()));
        assert_eq!(OverlayBase::parse("tmpfs"), tmpfs("20%"));
        for size in ["25%", "100%", "512m", "1G", "1073741824"] {
            assert_eq!(OverlayBase::parse(&format!("tmpfs:{size}")), tmpfs(size));
        }
        assert!(matches!(OverlayBase::parse("LABEL=COS_OVERLAY"), Ok(OverlayBase::Block(_))));
        for text in
            ["", "tmpfs:", "tmpfs:0", "tmpfs:101%", "tmpfs:10,mode=777", "tmpfs:x", "tmpfsx", "tmpfs:-1"]
        {
            assert!(OverlayBase::parse(text).is_err(), "{text}");
        }
    }
}
