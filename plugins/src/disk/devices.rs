//! What is mounted and which block devices there are, as the kernel of the running machine shows it.

use crate::System;
use crate::system::Mode;
use anyhow::{Result, bail};
use std::path::{Component, Path, PathBuf};

/// So many links may lead to a device: `/dev/disk/by-label/ROOT` is one.
const MOST_LINKS: usize = 8;

/// A mounted file system, by proc_pid_mountinfo(5).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Mount {
    /// The number by which the kernel knows it.
    pub(crate) id: u64,
    /// Where it is mounted.
    pub(crate) point: String,
    /// Its type: `ext4`.
    pub(crate) kind: String,
    /// What is mounted, as it was said.
    pub(crate) source: String,
    /// Whether nothing can be written to it.
    pub(crate) read_only: bool,
    /// The numbers of its device: `8:1`.
    numbers: String,
    /// The directory of it that is shown.
    root: String,
}

impl Mount {
    /// All that this process sees, in the order in which they were mounted.
    pub(crate) fn all(sys: &System) -> Result<Vec<Self>> {
        let content = sys.host().kernel_file(Path::new("/proc/self/mountinfo"))?.unwrap_or_default();
        Ok(Self::table(&content))
    }

    /// What `/proc/self/mountinfo` says.
    pub(crate) fn table(content: &[u8]) -> Vec<Self> {
        String::from_utf8_lossy(content).lines().filter_map(Self::parse).collect()
    }

    /// The one on top at a mount point.
    pub(crate) fn at(sys: &System, point: &str) -> Result<Option<Self>> {
        Ok(Self::all(sys)?.into_iter().rfind(|mount| mount.is_at(point)))
    }

    /// Whether it shows all of its file system, and not one directory of it.
    pub(crate) fn shows_root(&self) -> bool {
        self.root == "/"
    }

    /// Whether this is its mount point: a slash at the end makes no other directory.
    pub(crate) fn is_at(&self, point: &str) -> bool {
        Path::new(&self.point) == Path::new(point)
    }

    /// The one that holds a path.
    pub(crate) fn of(sys: &System, path: &Path) -> Result<Option<Self>> {
        let mounts = Self::all(sys)?.into_iter().enumerate();
        let holding = mounts.filter(|(_, mount)| path.starts_with(&mount.point));
        Ok(holding.max_by_key(|(index, mount)| (mount.point.len(), *index)).map(|(_, mount)| mount))
    }

    fn parse(line: &str) -> Option<Self> {
        let (place, what) = line.split_once(" - ")?;
        let mut place = place.split(' ');
        let id = place.next()?.parse().ok()?;
        let numbers = place.nth(1)?.to_owned();
        let (root, point, options) = (place.next()?, place.next()?, place.next()?);
        let mut what = what.split(' ');
        let (kind, source, of_device) = (what.next()?, what.next()?, what.next().unwrap_or_default());
        let read_only = |options: &str| options.split(',').any(|option| option == "ro");
        Some(Self {
            id,
            point: unescaped(point),
            kind: kind.to_owned(),
            source: unescaped(source),
            read_only: read_only(options) || read_only(of_device),
            numbers,
            root: unescaped(root),
        })
    }

    /// The block device, if there is one.
    pub(crate) fn device(&self, sys: &System) -> Result<Option<Device>> {
        let link = format!("/sys/dev/block/{}", self.numbers);
        let name = match sys.host().kernel_link(Path::new(&link))? {
            Some(target) => target.file_name().map(|name| name.to_string_lossy().into_owned()),
            // btrfs has numbers of its own.
            None => self.source.strip_prefix("/dev/").map(|name| name.replace('/', "!")),
        };
        Device::named(sys, &name.unwrap_or_default())
    }
}

/// Blanks and the like are written in octal: `\040`.
fn unescaped(text: &str) -> String {
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let [first, behind @ ..] = rest {
        let digits = behind.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped =
            digits.and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(|_| *first == b'\\');
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &behind[3..] } else { behind };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// A block device that the kernel knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Device {
    /// Its name in `/sys/class/block`: `vda1`.
    name: String,
}

/// Which part of which disk a device is.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Partition {
    /// The disk.
    pub(crate) disk: Device,
    /// Its number on it.
    pub(crate) number: u32,
}

impl Device {
    fn named(sys: &System, name: &str) -> Result<Option<Self>> {
        if name.is_empty() || name.contains('/') || name.starts_with('.') {
            return Ok(None);
        }
        let device = Self { name: name.to_owned() };
        Ok(device.attribute(sys, "size")?.map(|_| device))
    }

    /// All that the kernel knows, by name, but for those that hold nothing.
    pub(crate) fn all(sys: &System) -> Result<Vec<Self>> {
        let mut devices = Vec::new();
        for name in sys.host().kernel_dir(Path::new("/sys/class/block"))?.unwrap_or_default() {
            if let Some(device) = Self::named(sys, &name.to_string_lossy())?
                && device.sectors(sys)? > 0
            {
                devices.push(device);
            }
        }
        Ok(devices)
    }

    /// The device at a path such as `/dev/vda1` or `/dev/disk/by-label/ROOT`; nothing if there is none.
    pub(crate) fn at(sys: &System, path: &Path) -> Result<Option<Self>> {
        let mut path = path.to_owned();
        for _ in 0..MOST_LINKS {
            let Some(target) = sys.read_link(&path)? else {
                let Ok(name) = path.strip_prefix("/dev") else { return Ok(None) };
                return Self::named(sys, &name.to_string_lossy().replace('/', "!"));
            };
            path = normal(&path.parent().unwrap_or(&path).join(target));
        }
        bail!("too many links lead to {}", path.display())
    }

    /// Its path: `/dev/vda1`.
    pub(crate) fn path(&self) -> String {
        format!("/dev/{}", self.name.replace('!', "/"))
    }

    /// Its size, in sectors of 512 bytes.
    pub(crate) fn sectors(&self, sys: &System) -> Result<u64> {
        Ok(self.number(sys, "size")?.unwrap_or(0))
    }

    /// Where it begins on its disk, in sectors of 512 bytes.
    pub(crate) fn start(&self, sys: &System) -> Result<u64> {
        Ok(self.number(sys, "start")?.unwrap_or(0))
    }

    /// Whether it is one of the device mapper: a volume of LVM, an encrypted one, several paths to a disk.
    pub(crate) fn is_mapped(&self, sys: &System) -> Result<bool> {
        Ok(self.attribute(sys, "dm/name")?.is_some())
    }

    /// Whether another device is made of it: by LVM, RAID, encryption or several paths to a disk.
    pub(crate) fn is_part_of_another(&self, sys: &System) -> Result<bool> {
        let holders = format!("/sys/class/block/{}/holders", self.name);
        Ok(sys.host().kernel_dir(Path::new(&holders))?.is_some_and(|holders| !holders.is_empty()))
    }

    /// Which part of which disk it is, if it is one.
    pub(crate) fn partition(&self, sys: &System) -> Result<Option<Partition>> {
        if let Some(uuid) = self.attribute(sys, "dm/uuid")? {
            return self.mapped_partition(sys, &uuid);
        }
        let Some(number) = self.number(sys, "partition")? else { return Ok(None) };
        let Some(disk) = self.parent(sys)? else { return Ok(None) };
        Ok(Some(Partition { disk, number: u32::try_from(number)? }))
    }

    /// Its partitions.
    pub(crate) fn partitions(&self, sys: &System) -> Result<Vec<(u32, Self)>> {
        let mut found = Vec::new();
        for name in sys.host().kernel_dir(Path::new("/sys/class/block"))?.unwrap_or_default() {
            let Some(device) = Self::named(sys, &name.to_string_lossy())? else { continue };
            match device.partition(sys)? {
                Some(Partition { disk, number }) if disk == *self => found.push((number, device)),
                _ => {}
            }
        }
        found.sort_by_key(|(number, _)| *number);
        Ok(found)
    }

    /// The partition with this number. In a plan it may not be there yet.
    pub(crate) fn part(&self, sys: &System, number: u32) -> Result<Self> {
        let found = self.partitions(sys)?.into_iter().find(|(other, _)| *other == number);
        match found {
            Some((_, partition)) => Ok(partition),
            None if sys.mode() == Mode::Plan => {
                let between = if self.name.ends_with(|last: char| last.is_ascii_digit()) { "p" } else { "" };
                Ok(Self { name: format!("{}{between}{number}", self.name) })
            }
            None => bail!("the kernel knows no partition {number} of {}", self.path()),
        }
    }

    /// The disk that it is a part of, or it itself.
    pub(crate) fn disk(self, sys: &System) -> Result<Self> {
        Ok(self.partition(sys)?.map_or(self, |partition| partition.disk))
    }

    /// Whether it is a file that pretends to be a disk.
    pub(crate) fn is_loop(&self, sys: &System) -> Result<bool> {
        Ok(self.attribute(sys, "loop/backing_file")?.is_some())
    }

    /// kpartx(8) makes partitions of mapped devices, which are mapped devices in turn: `part3-` and the UUID of
    /// the disk.
    fn mapped_partition(&self, sys: &System, uuid: &str) -> Result<Option<Partition>> {
        let number = uuid.strip_prefix("part").and_then(|rest| rest.split_once('-')?.0.parse().ok());
        let Some(number) = number else { return Ok(None) };
        let below = format!("/sys/class/block/{}/slaves", self.name);
        let below = sys.host().kernel_dir(Path::new(&below))?.unwrap_or_default();
        let [disk] = &below[..] else { return Ok(None) };
        let disk = Self::named(sys, &disk.to_string_lossy())?;
        Ok(disk.map(|disk| Partition { disk, number }))
    }

    fn parent(&self, sys: &System) -> Result<Option<Self>> {
        let link = sys.host().kernel_link(Path::new(&format!("/sys/class/block/{}", self.name)))?;
        let name = link.as_deref().and_then(Path::parent).and_then(Path::file_name);
        Self::named(sys, &name.unwrap_or_default().to_string_lossy())
    }

    fn number(&self, sys: &System, attribute: &str) -> Result<Option<u64>> {
        Ok(self.attribute(sys, attribute)?.and_then(|text| text.trim().parse().ok()))
    }

    fn attribute(&self, sys: &System, attribute: &str) -> Result<Option<String>> {
        let path = format!("/sys/class/block/{}/{attribute}", self.name);
        let content = sys.host().kernel_file(Path::new(&path))?;
        Ok(content.map(|content| String::from_utf8_lossy(&content).into_owned()))
    }
}

/// The path without `.` and `..`, of which those in `/dev` never lead through another link.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir => {}
            part => parts.push(part),
        }
    }
    parts
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::testing::{FakeHost, Machine};

    /// A disk of so many sectors with partitions: number, first sector, sectors.
    pub(crate) fn disk(host: &FakeHost, name: &str, sectors: u64, partitions: &[(u32, u64, u64)]) {
        host.kernel_file(&format!("/sys/class/block/{name}/size"), &format!("{sectors}\n"));
        host.kernel_link(&format!("/sys/class/block/{name}"), &format!("../../devices/pci0/block/{name}"));
        // The first disk has the minor numbers from 0 on, the second those from 16 on.
        let minor = if name.ends_with('b') { 16 } else { 0 };
        for (number, start, size) in partitions {
            let part = format!("/sys/class/block/{name}{number}");
            host.kernel_file(&format!("{part}/partition"), &format!("{number}\n"));
            host.kernel_file(&format!("{part}/start"), &format!("{start}\n"));
            host.kernel_file(&format!("{part}/size"), &format!("{size}\n"));
            host.kernel_link(&part, &format!("../../devices/pci0/block/{name}/{name}{number}"));
            host.kernel_link(
                &format!("/sys/dev/block/8:{}", minor + number),
                &format!("../../block/{name}/{name}{number}"),
            );
        }
    }

    /// What is mounted at `/` of a machine.
    pub(crate) fn root(host: &FakeHost, kind: &str, source: &str, numbers: &str) {
        host.kernel_file("/proc/self/mountinfo", &format!("22 1 {numbers} / / rw - {kind} {source} rw\n"));
    }

    #[test]
    fn mounts_are_read_with_their_escapes_and_the_one_on_top_counts() {
        let machine = Machine::new("");
        machine.host.kernel_file(
            "/proc/self/mountinfo",
            "1 0 0:2 / / rw - rootfs rootfs rw\n30 1 8:1 /sub / rw shared:1 - ext4 /dev/vda1 ro,x\nnonsense\n\
             31 30 0:30 / /a\\040b ro,nosuid - tmpfs tmp\\134fs rw\n",
        );
        let sys = machine.system(Mode::Apply);
        let root = Mount::at(&sys, "/").unwrap().unwrap();
        assert_eq!((&*root.kind, &*root.source, root.read_only), ("ext4", "/dev/vda1", true));
        let other = Mount::at(&sys, "/a b").unwrap().unwrap();
        assert_eq!(Mount::at(&sys, "/a b/").unwrap().as_ref(), Some(&other));
        assert_eq!((&*other.source, other.read_only), ("tmp\\fs", true));
        assert_eq!(Mount::of(&sys, Path::new("/a b/c")).unwrap().unwrap(), other);
        assert_eq!(Mount::of(&sys, Path::new("/a")).unwrap().unwrap(), root);
    }

    #[test]
    fn a_device_is_found_by_path_by_link_and_by_what_is_mounted() {
        let machine = Machine::new("-- /dev/disk/by-label/ROOT -> ../../vda2\n-- /dev/loop -> loop\n");
        disk(&machine.host, "vda", 9000, &[(1, 2048, 100), (2, 4096, 1000)]);
        root(&machine.host, "ext4", "/dev/root", "8:2");
        let sys = machine.system(Mode::Apply);
        let second = Device::at(&sys, Path::new("/dev/disk/by-label/ROOT")).unwrap().unwrap();
        assert_eq!(second.path(), "/dev/vda2");
        assert_eq!(Mount::at(&sys, "/").unwrap().unwrap().device(&sys).unwrap(), Some(second.clone()));
        let Partition { disk, number } = second.partition(&sys).unwrap().unwrap();
        assert_eq!((disk.path(), number, disk.sectors(&sys).unwrap()), ("/dev/vda".into(), 2, 9000));
        assert_eq!(disk.partitions(&sys).unwrap()[1], (2, second));
        assert!(Device::at(&sys, Path::new("/dev/loop")).is_err());
        for path in ["/dev/none", "/etc/passwd", "/dev", "/dev/../vda"] {
            assert_eq!(Device::at(&sys, Path::new(path)).unwrap(), None, "{path}");
        }
    }
}
