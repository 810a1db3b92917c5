//! The journal of systemd, by its own protocol (<https://systemd.io/JOURNAL_NATIVE_PROTOCOL>): entries with fields,
//! where a line of standard error is but a text.

use super::Host;
use anyhow::Result;
use nix::sys::stat::fstat;
use std::ffi::OsStr;
use std::fmt;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is longer is cut off, in bytes: an entry with all its fields is one datagram, and the kernel takes no more
/// than about 200 KiB.
const LONGEST: usize = 16 << 10;

/// Whoever takes no entry for so long is not waited for again.
const PATIENCE: Duration = Duration::from_secs(5);

/// The journal, and what all entries of this process have in common.
pub struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
    common: Vec<u8>,
    has_output: bool,
}

impl Journal {
    /// The journal behind a socket. `has_output` says whether the standard output of this process leads there, too.
    pub(crate) fn open(path: &Path, has_output: bool, host: &dyn Host) -> Result<Self> {
        let socket = UnixDatagram::unbound()?;
        socket.set_write_timeout(Some(PATIENCE))?;
        let mut common = Vec::new();
        encode("SYSLOG_IDENTIFIER", "cosette", &mut common);
        // journald looks up the unit of a sender when it reads the entry, and a stage may have ended by then.
        let groups = host.kernel_file(Path::new("/proc/self/cgroup")).ok().flatten().unwrap_or_default();
        if let Some(unit) = unit(&String::from_utf8_lossy(&groups)) {
            encode("OBJECT_SYSTEMD_UNIT", unit, &mut common);
            if let Some(id) = host.variable("INVOCATION_ID").as_deref().and_then(OsStr::to_str) {
                encode("OBJECT_SYSTEMD_INVOCATION_ID", id, &mut common);
            }
        }
        Ok(Self { socket, path: path.to_owned(), common, has_output })
    }

    /// Whether the standard output of this process leads to the journal, as its standard error does.
    pub fn has_output(&self) -> bool {
        self.has_output
    }

    /// Adds an entry with these fields, whose names are those of systemd.journal-fields(7). Long values are cut off.
    pub fn send(&self, fields: &[(&str, &str)]) -> Result<()> {
        let mut entry = self.common.clone();
        for (name, value) in fields {
            encode(name, value, &mut entry);
        }
        // By name, not connected: the journal may have been started again in between.
        self.socket.send_to(&entry, &self.path)?;
        Ok(())
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("path", &self.path).finish_non_exhaustive()
    }
}

/// A field on a line; or, if the value has several, its length in front of it, so that no value is taken for a field.
fn encode(name: &str, value: &str, entry: &mut Vec<u8>) {
    let shown = &value[..value.floor_char_boundary(LONGEST)];
    let cut = if shown.len() < value.len() { " ..." } else { "" };
    entry.extend(name.bytes());
    if shown.contains('\n') {
        entry.push(b'\n');
        entry.extend((shown.len() as u64 + cut.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend(shown.bytes().chain(cut.bytes()));
    entry.push(b'\n');
}

/// Whether a file is the stream to the journal that `JOURNAL_STREAM` names by device and inode (systemd.exec(5)).
pub(super) fn is_stream(variable: Option<&OsStr>, file: impl AsFd) -> bool {
    let named = || {
        let (device, inode) = variable?.to_str()?.split_once(':')?;
        Some((device.parse::<u64>().ok()?, inode.parse::<u64>().ok()?))
    };
    let found = fstat(file).map(|found| (found.st_dev, found.st_ino));
    named().is_some_and(|named| found == Ok(named))
}

/// The unit of the system that a process belongs to, by its control groups (cgroups(7)).
fn unit(groups: &str) -> Option<&str> {
    let mut groups = groups.lines().filter_map(|line| line.splitn(3, ':').nth(2).map(|path| (line, path)));
    let (_, path) = groups.find(|(line, _)| line.starts_with("0::") || line.contains(":name=systemd:"))?;
    let (_, name) = path.rsplit_once('/')?;
    (name.ends_with(".service") && !path.starts_with("/user.slice/")).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeHost;

    /// A journal, and what arrives there.
    fn journal(host: &FakeHost) -> (tempfile::TempDir, UnixDatagram, Journal) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let journal = Journal::open(&path, true, host).unwrap();
        (directory, socket, journal)
    }

    fn received(socket: &UnixDatagram) -> Vec<u8> {
        let mut buffer = vec![0; 1 << 20];
        let length = socket.recv(&mut buffer).unwrap();
        buffer.truncate(length);
        buffer
    }

    #[test]
    fn an_entry_is_one_datagram_and_no_value_can_be_taken_for_a_field() {
        let host = FakeHost::new();
        host.kernel_file("/proc/self/cgroup", "0::/system.slice/cos-setup-boot.service\n");
        host.variable("INVOCATION_ID", "0123");
        let (_directory, socket, journal) = journal(&host);
        journal.send(&[("MESSAGE", "a=b"), ("COSETTE_STEP", "x\nPRIORITY=0"), ("EMPTY", "")]).unwrap();
        let expected = b"SYSLOG_IDENTIFIER=cosette\nOBJECT_SYSTEMD_UNIT=cos-setup-boot.service\n\
            OBJECT_SYSTEMD_INVOCATION_ID=0123\nMESSAGE=a=b\n\
            COSETTE_STEP\n\x0c\0\0\0\0\0\0\0x\nPRIORITY=0\nEMPTY=\n";
        assert_eq!(String::from_utf8_lossy(&received(&socket)), String::from_utf8_lossy(expected));
    }

    #[test]
    fn long_values_are_cut_off_between_characters_and_all_of_them_fit() {
        let (_directory, socket, journal) = journal(&FakeHost::new());
        let long = "a".to_owned() + &"\u{20ac}".repeat(1 << 20);
        let lines = "b\n".repeat(1 << 20);
        journal.send(&[("A", &long), ("B", &lines), ("C", &long), ("D", &lines), ("E", &long)]).unwrap();
        let entry = received(&socket);
        assert!(entry.len() < 6 * LONGEST);
        let (text, lengths) = (String::from_utf8_lossy(&entry), (LONGEST as u64 + 4).to_le_bytes());
        assert!(text.contains("\u{20ac} ...\nB\n") && entry.ends_with(b"\xac ...\n"));
        assert!(entry.windows(10).any(|window| window == [b"B\n", &lengths[..]].concat()));
    }

    #[test]
    fn who_is_not_there_or_does_not_listen_is_an_error_within_its_time() {
        let (directory, socket, journal) = journal(&FakeHost::new());
        journal.socket.set_write_timeout(Some(Duration::from_millis(50))).unwrap();
        let full = (0..100_000).find(|_| journal.send(&[("MESSAGE", "again")]).is_err());
        assert!(full.is_some_and(|sent| sent > 0));
        drop(socket);
        assert!(journal.send(&[("MESSAGE", "refused")]).is_err());
        drop(directory);
        assert!(journal.send(&[("MESSAGE", "gone")]).is_err());
    }

    #[test]
    fn a_stream_is_known_by_device_and_inode() {
        let (file, other) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let found = fstat(&file).unwrap();
        let variable = format!("{}:{}", found.st_dev, found.st_ino);
        assert!(is_stream(Some(variable.as_ref()), &file) && !is_stream(Some(variable.as_ref()), &other));
        for hostile in ["", ":", "1", "-1:2", "99999999999999999999:1", "x:y"] {
            assert!(!is_stream(Some(hostile.as_ref()), &file), "{hostile}");
        }
        assert!(!is_stream(None, &file));
    }

    #[test]
    fn the_unit_is_that_of_the_system() {
        assert_eq!(unit("0::/system.slice/cos-setup-fs.service\n"), Some("cos-setup-fs.service"));
        let old = "12:cpu:/other.service\n1:name=systemd:/system.slice/old.service\n";
        assert_eq!(unit(old), Some("old.service"));
        for none in ["", "0::/", "0", "0::/init.scope", "0::/user.slice/user@0.service/x.service", "::"] {
            assert_eq!(unit(none), None, "{none}");
        }
    }
}
