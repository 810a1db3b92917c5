//! Which users and groups exist in the view.
//!
//! For root they are all that exist outside, each mapped to itself. Only a process outside the new namespace
//! may write such a map, so a second process is started for it beforehand. For anybody else it is one id: the
//! caller's own, which is root in the view.

use super::{MARKER, refusal, this_program};
use anyhow::{Context as _, Result};
use nix::errno::Errno;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Stdio};

/// What [`MARKER`] holds in the process that writes the maps.
pub(super) const WRITER: &str = "identities";

/// Ids of the machine's side, ready to be mapped.
pub(super) struct Identities {
    writer: Option<Child>,
    uid: u32,
    gid: u32,
}

impl Identities {
    /// To be called before the user namespace is made.
    pub(super) fn prepare() -> Result<Self> {
        let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
        let writer = if uid.is_root() {
            let mut command = this_program();
            // Its complaint would only repeat what the parent finds out and explains.
            command.env(MARKER, WRITER).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
            command.args(std::env::args_os().skip(1));
            Some(command.spawn().context("cannot start this program again")?)
        } else {
            None
        };
        Ok(Self { writer, uid: uid.as_raw(), gid: gid.as_raw() })
    }

    /// Maps the ids into the user namespace that this process has made.
    pub(super) fn write(self) -> Result<()> {
        if let Some(mut writer) = self.writer {
            if let Some(mut input) = writer.stdin.take() {
                // It may have ended already; its status tells.
                let _ = input.write_all(b"\n");
            }
            if writer.wait().context("cannot wait for the id maps")?.success() {
                return Ok(());
            }
        }
        // Root without the capability to map others ends here too.
        let maps = [
            ("setgroups", "deny".to_owned()),
            ("uid_map", format!("0 {} 1", self.uid)),
            ("gid_map", format!("0 {} 1", self.gid)),
        ];
        for (file, content) in maps {
            std::fs::write(Path::new("/proc/self").join(file), content).map_err(|error| {
                let errno = Errno::from_raw(error.raw_os_error().unwrap_or_default());
                refusal::explain(errno, "map your user id")
            })?;
        }
        Ok(())
    }
}

/// The other process: once told to, maps every id of this namespace to itself in that of the parent.
pub(super) fn write_for_parent() -> Result<()> {
    let mut told = [0];
    std::io::stdin().read_exact(&mut told).context("the parent has ended")?;
    let parent = Path::new("/proc").join(nix::unistd::getppid().to_string());
    for file in ["uid_map", "gid_map"] {
        let map = identity(&std::fs::read_to_string(Path::new("/proc/self").join(file))?);
        std::fs::write(parent.join(file), map).with_context(|| format!("cannot write {file}"))?;
    }
    Ok(())
}

/// A map of every id that a map like that of `/proc/self/uid_map` makes exist: each to itself.
fn identity(map: &str) -> String {
    let mut lines = String::new();
    for line in map.lines() {
        if let [inside, _, count] = line.split_ascii_whitespace().collect::<Vec<_>>()[..] {
            lines.push_str(&format!("{inside} {inside} {count}\n"));
        }
    }
    lines
}

/// Whether every id that can exist does exist in this namespace.
pub(super) fn complete() -> bool {
    ["/proc/self/uid_map", "/proc/self/gid_map"].iter().all(|file| {
        let map = std::fs::read_to_string(file).unwrap_or_default();
        map.lines().any(|line| line.split_ascii_whitespace().eq(["0", "0", "4294967295"]))
    })
}

#[cfg(test)]
mod tests {
    use super::identity;

    #[test]
    fn the_map_of_a_nested_namespace_becomes_its_identity() {
        assert_eq!(identity("         0          0 4294967295\n"), "0 0 4294967295\n");
        assert_eq!(identity("0 1000 1\n1 100000 65536\n"), "0 0 1\n1 1 65536\n");
        assert_eq!(identity(""), "");
    }
}
