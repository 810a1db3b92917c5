//! Facts about the machine, gathered when a template or a condition first asks for them.
//!
//! The names and the shape of the values are those of the sysinfo library that yip puts at `.Values`. What is not
//! known is left out. The operating system and its identity are those of the root; hardware and kernel those of
//! the running machine. Nothing is ever written: a machine without an id stays without one.

mod cpu;
mod devices;
mod firmware;
mod node;
mod os_release;

use crate::System;
use crate::template::{Map, Time, Value};
use sha2::Digest;
use std::cell::OnceCell;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::SystemTime;

/// Facts about one machine: its own hardware and kernel, the operating system in the root.
pub struct Facts<'s> {
    system: &'s System,
    hostname: OnceCell<String>,
    machine_id: OnceCell<Option<String>>,
    os_release: OnceCell<os_release::OsRelease>,
    uuid: OnceCell<String>,
    random_text: OnceCell<String>,
    local_zone: OnceCell<Option<Vec<u8>>>,
    firmware: OnceCell<firmware::Tables>,
    objects: [OnceCell<Option<Value>>; OBJECTS.len()],
}

/// An object of `.Values`.
pub(crate) struct Object {
    /// Its name.
    pub(crate) name: &'static str,
    index: usize,
    gather: fn(&Facts<'_>) -> Option<Value>,
}

const fn object(name: &'static str, index: usize, gather: fn(&Facts<'_>) -> Option<Value>) -> Object {
    Object { name, index, gather }
}

/// The objects of `.Values`.
pub(crate) const OBJECTS: [Object; 12] = [
    object("sysinfo", 0, sysinfo),
    object("node", 1, node::node),
    object("os", 2, node::os),
    object("kernel", 3, node::kernel),
    object("product", 4, firmware::product),
    object("board", 5, firmware::board),
    object("chassis", 6, firmware::chassis),
    object("bios", 7, firmware::bios),
    object("cpu", 8, cpu::cpu),
    object("memory", 9, firmware::memory),
    object("storage", 10, devices::storage),
    object("network", 11, devices::network),
];

impl<'s> Facts<'s> {
    /// The facts about `sys`; nothing is read yet.
    pub fn new(system: &'s System) -> Self {
        Self {
            system,
            hostname: OnceCell::new(),
            machine_id: OnceCell::new(),
            os_release: OnceCell::new(),
            uuid: OnceCell::new(),
            random_text: OnceCell::new(),
            local_zone: OnceCell::new(),
            firmware: OnceCell::new(),
            objects: [const { OnceCell::new() }; OBJECTS.len()],
        }
    }

    /// The name of the running machine when it was first asked for.
    pub fn hostname(&self) -> &str {
        self.hostname.get_or_init(|| self.system.host().hostname().unwrap_or_default())
    }

    /// The id of the machine in the root: `/var/lib/dbus/machine-id`, or else `/etc/machine-id`.
    pub fn machine_id(&self) -> Option<&str> {
        let read = || self.id("/var/lib/dbus/machine-id").or_else(|| self.id("/etc/machine-id"));
        self.machine_id.get_or_init(read).as_deref()
    }

    /// An id that says as much about the machine as its id and may be shown to others: HMAC-SHA256 of `yip` with
    /// the machine id as the key, in hexadecimal.
    pub fn protected_id(&self) -> Option<String> {
        Some(hexadecimal(&hmac_sha256(self.machine_id()?.as_bytes(), b"yip")))
    }

    /// `PRETTY_NAME` of os-release(5).
    pub fn os_pretty_name(&self) -> Option<&str> {
        self.os_release().get("PRETTY_NAME")
    }

    /// `ID` of os-release(5).
    pub fn os_id(&self) -> Option<&str> {
        self.os_release().get("ID")
    }

    /// `ID_LIKE` of os-release(5): the systems that this one is like, by their `ID`, the nearest first.
    pub fn os_id_like(&self) -> impl Iterator<Item = &str> {
        self.os_release().get("ID_LIKE").unwrap_or_default().split_ascii_whitespace()
    }

    /// `VERSION_ID` of os-release(5).
    pub fn os_version_id(&self) -> Option<&str> {
        self.os_release().get("VERSION_ID")
    }

    /// The processor architecture by Go's name: `amd64`, `arm64`, `riscv64`.
    pub fn architecture(&self) -> &'static str {
        self.system.host().architecture()
    }

    /// A random UUID, the same for the life of this value.
    pub fn uuid(&self) -> &str {
        self.uuid.get_or_init(|| {
            let mut bytes = [0; 16];
            self.random(&mut bytes);
            uuid(bytes)
        })
    }

    /// 32 random digits and small letters, the same for the life of this value.
    pub fn random_text(&self) -> &str {
        const ALPHABET: &[u8; 36] = b"1234567890abcdefghijklmnopqrstuvwxyz";
        self.random_text.get_or_init(|| {
            let mut text = String::with_capacity(32);
            while text.len() < 32 {
                let mut byte = [0];
                self.random(&mut byte);
                // 252 is the last multiple of 36: larger bytes would favour the first characters.
                if byte[0] < 252 {
                    text.push(char::from(ALPHABET[usize::from(byte[0] % 36)]));
                }
            }
            text
        })
    }

    /// The time.
    pub(crate) fn now(&self) -> SystemTime {
        self.system.host().now()
    }

    /// Fills a buffer with random bytes.
    pub(crate) fn random(&self, buffer: &mut [u8]) {
        self.system.host().random(buffer);
    }

    /// A time zone file of the root: `Local`, or a name below `/usr/share/zoneinfo`.
    pub(crate) fn zone_file(&self, name: &str) -> Option<Vec<u8>> {
        if name == "Local" {
            return self.local_zone.get_or_init(|| self.system.read("/etc/localtime").ok()?).clone();
        }
        let known = |c: char| c.is_ascii_alphanumeric() || "_+-/".contains(c);
        if name.is_empty() || name.starts_with('/') || !name.chars().all(known) {
            return None;
        }
        self.system.read(Path::new("/usr/share/zoneinfo").join(name)).ok()?
    }

    /// An object of `.Values`; `None` when nothing of it is known.
    pub(crate) fn object(&self, object: &Object) -> Option<Value> {
        self.objects[object.index].get_or_init(|| (object.gather)(self)).clone()
    }

    fn os_release(&self) -> &os_release::OsRelease {
        self.os_release.get_or_init(|| {
            // os-release(5): the second only if the first is not there.
            let text = self.root_file("/etc/os-release").or_else(|| self.root_file("/usr/lib/os-release"));
            os_release::OsRelease::parse(&text.unwrap_or_default())
        })
    }

    fn id(&self, path: &str) -> Option<String> {
        // systemd writes `uninitialized` before the first boot is complete.
        self.root_file(path)
            .map(|id| id.trim().to_owned())
            .filter(|id| !id.is_empty() && id != "uninitialized")
    }

    /// A file of the root as text; what is not UTF-8 is replaced.
    fn root_file(&self, path: &str) -> Option<String> {
        Some(String::from_utf8_lossy(&self.system.read(path).ok()??).into_owned())
    }

    /// A file of the kernel.
    fn kernel_bytes(&self, path: impl AsRef<Path>) -> Option<Vec<u8>> {
        self.system.host().kernel_file(path.as_ref()).ok()?
    }

    /// A file of the kernel as text without white space at its ends; `None` when it is empty.
    fn kernel_text(&self, path: impl AsRef<Path>) -> Option<String> {
        let text = String::from_utf8_lossy(&self.kernel_bytes(path)?).trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    fn kernel_names(&self, path: &str) -> Vec<OsString> {
        self.system.host().kernel_dir(Path::new(path)).ok().flatten().unwrap_or_default()
    }

    fn kernel_link(&self, path: impl AsRef<Path>) -> Option<PathBuf> {
        self.system.host().kernel_link(path.as_ref()).ok()?
    }

    fn tables(&self) -> &firmware::Tables {
        self.firmware.get_or_init(|| {
            firmware::Tables::parse(&self.kernel_bytes("/sys/firmware/dmi/tables/DMI").unwrap_or_default())
        })
    }
}

impl std::fmt::Debug for Facts<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Facts").finish_non_exhaustive()
    }
}

fn sysinfo(facts: &Facts<'_>) -> Option<Value> {
    let timestamp = Time::of_clock(facts.now()).format("2006-01-02T15:04:05.999999999Z07:00");
    fields([("version", text(env!("CARGO_PKG_VERSION"))), ("timestamp", text(timestamp))])
}

/// An object of the fields that are known; `None` when there is none.
fn fields<const N: usize>(fields: [(&str, Option<Value>); N]) -> Option<Value> {
    let known = fields.into_iter().filter_map(|(name, value)| Some((Rc::from(name), value?)));
    let known: std::collections::BTreeMap<Rc<str>, Value> = known.collect();
    (!known.is_empty()).then(|| Value::Map(Rc::new(Map::frozen(known))))
}

/// Text, if there is any.
fn text(text: impl Into<String>) -> Option<Value> {
    let text = text.into();
    (!text.is_empty()).then(|| text.into())
}

/// A number, if it is not 0. As after a journey through JSON in Go, it is fractional.
fn number(number: u64) -> Option<Value> {
    (number != 0).then_some(Value::Float(number as f64))
}

/// The notation of random bytes as a UUID of version 4.
pub(crate) fn uuid(mut bytes: [u8; 16]) -> String {
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let digits = hexadecimal(&bytes);
    [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]].join("-")
}

/// Bytes in hexadecimal digits.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// RFC 2104.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut block = [0; 64];
    match block.get_mut(..key.len()) {
        Some(start) => start.copy_from_slice(key),
        None => block[..32].copy_from_slice(&sha2::Sha256::digest(key)),
    }
    let pad = |mask: u8| block.map(|byte| byte ^ mask);
    let inner = sha2::Sha256::new().chain_update(pad(0x36)).chain_update(message).finalize();
    sha2::Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let hmac = |key: &[u8], message: &[u8]| hexadecimal(&hmac_sha256(key, message));
        assert_eq!(
            hmac(b"Jefe", b"what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hmac(&[0xaa; 131], b"Test Using Larger Than Block-Size Key - Hash Key First"),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn a_machine_without_an_id_stays_without_one() {
        let machine = Machine::new("-- /etc/machine-id\nuninitialized\n");
        let system = machine.system(Mode::Apply);
        let facts = Facts::new(&system);
        assert_eq!((facts.machine_id(), facts.protected_id()), (None, None));
        assert!(system.take_effects().is_empty());
        assert!(system.read("/var/lib/dbus/machine-id").unwrap().is_none());
    }

    #[test]
    fn what_is_only_planned_counts() {
        let machine = Machine::new("-- /etc/os-release\nPRETTY_NAME=Old\n");
        let system = machine.system(Mode::Plan);
        system.write(crate::system::File::new("/etc/os-release", "PRETTY_NAME=New\nVERSION_ID=2\n")).unwrap();
        let facts = Facts::new(&system);
        assert_eq!((facts.os_pretty_name(), facts.os_version_id()), (Some("New"), Some("2")));
    }

    #[test]
    fn random_facts_are_the_same_throughout_a_run() {
        let machine = Machine::new("");
        let system = machine.system(Mode::Apply);
        let facts = Facts::new(&system);
        assert_eq!((facts.uuid(), facts.random_text()), (facts.uuid(), facts.random_text()));
        assert_eq!((facts.uuid().len(), facts.random_text().len()), (36, 32));
        assert_ne!(Facts::new(&system).uuid(), facts.uuid());
    }

    #[test]
    fn objects_of_which_nothing_is_known_are_not_there() {
        let machine = Machine::new("");
        let system = machine.system(Mode::Apply);
        let facts = Facts::new(&system);
        let known = OBJECTS.iter().filter(|object| facts.object(object).is_some()).map(|object| object.name);
        assert_eq!(known.collect::<Vec<_>>(), ["sysinfo", "node", "os", "kernel"]);
    }

    #[test]
    fn each_object_has_its_own_place() {
        for (index, object) in OBJECTS.iter().enumerate() {
            assert_eq!(object.index, index);
        }
    }
}
