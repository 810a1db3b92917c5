//! The table of mounts, and the few ways in which the view is mounted.

use anyhow::{Context as _, Result};
use nix::mount::{MsFlags, mount};
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// Absent arguments of mount(2).
const NONE: Option<&str> = None;

/// A line of `/proc/self/mountinfo`, as far as it matters here; see proc_pid_mountinfo(5).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where it is mounted.
    pub(super) at: PathBuf,
    /// The type of the file system.
    pub(super) kind: String,
    /// Restrictions that a remount must keep.
    flags: MsFlags,
}

/// The mounts of this namespace, parents before children, each place once.
pub(super) fn table() -> Result<Vec<Mount>> {
    let table = std::fs::read("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    let mut mounts: Vec<_> = table.split(|byte| *byte == b'\n').filter_map(parse).collect();
    mounts.sort_by(|a, b| a.at.cmp(&b.at));
    // Of those mounted over each other, only the last can be seen.
    mounts.reverse();
    mounts.dedup_by(|a, b| a.at == b.at);
    mounts.reverse();
    Ok(mounts)
}

fn parse(line: &[u8]) -> Option<Mount> {
    let mut fields = line.split(|byte| *byte == b' ');
    let at = PathBuf::from(OsString::from_vec(unescape(fields.nth(4)?)));
    let options = fields.next()?;
    let kind = fields.skip_while(|field| *field != b"-").nth(1)?;
    let flags = options.split(|byte| *byte == b',').map(|option| match option {
        b"ro" => MsFlags::MS_RDONLY,
        b"nosuid" => MsFlags::MS_NOSUID,
        b"nodev" => MsFlags::MS_NODEV,
        b"noexec" => MsFlags::MS_NOEXEC,
        b"noatime" => MsFlags::MS_NOATIME,
        b"nodiratime" => MsFlags::MS_NODIRATIME,
        b"relatime" => MsFlags::MS_RELATIME,
        _ => MsFlags::empty(),
    });
    Some(Mount { at, kind: String::from_utf8_lossy(kind).into_owned(), flags: flags.collect() })
}

/// Undoes the octal escapes of blanks, tabs, line ends and backslashes.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, after)) = rest.split_first() {
        match after {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', after @ ..] if first == b'\\' => {
                bytes.push((a - b'0') << 6 | (b - b'0') << 3 | (c - b'0'));
                rest = after;
            }
            _ => {
                bytes.push(first);
                rest = after;
            }
        }
    }
    bytes
}

/// Makes every mount of this namespace private: nothing mounted here shows elsewhere, nor the reverse.
pub(super) fn make_private() -> Result<()> {
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE)
        .context("cannot make the mounts of the view private")
}

/// Mounts a new file system.
pub(super) fn new(kind: &str, at: &Path, flags: MsFlags, options: &str) -> nix::Result<()> {
    mount(Some(kind), at, Some(kind), flags, Some(options))
}

/// Shows a file or directory at another place, with what is mounted below it.
pub(super) fn bind(from: &Path, at: &Path) -> Result<()> {
    mount(Some(from), at, NONE, MsFlags::MS_BIND | MsFlags::MS_REC, NONE)
        .with_context(|| format!("cannot show {} in the view", from.display()))
}

/// Makes what is mounted at a place, and everything below it, read-only.
pub(super) fn make_read_only(at: &Path) -> Result<()> {
    for found in table()?.iter().filter(|found| found.at.starts_with(at)) {
        change(&found.at, found.flags | MsFlags::MS_RDONLY)?;
    }
    Ok(())
}

/// Sets the restrictions of one mount.
pub(super) fn change(at: &Path, flags: MsFlags) -> Result<()> {
    mount(NONE, at, NONE, flags | MsFlags::MS_REMOUNT | MsFlags::MS_BIND, NONE)
        .with_context(|| format!("cannot protect {} in the view", at.display()))
}

/// Mounts an overlay. The layers are given by descriptor: paths would need escapes that kernels disagree on.
pub(super) fn overlay(lower: &Path, upper: &Path, work: &Path, at: &Path) -> Result<nix::Result<()>> {
    let open = |path: &Path| File::open(path).with_context(|| format!("cannot open {}", path.display()));
    let (lower, upper, work) = (directory(lower)?, open(upper)?, open(work)?);
    let options = format!(
        "userxattr,lowerdir=/proc/self/fd/{},upperdir=/proc/self/fd/{},workdir=/proc/self/fd/{}",
        lower.as_raw_fd(),
        upper.as_raw_fd(),
        work.as_raw_fd()
    );
    Ok(new("overlay", at, MsFlags::empty(), &options))
}

/// A directory that need not be readable.
pub(super) fn directory(path: &Path) -> Result<std::os::fd::OwnedFd> {
    use nix::fcntl::{OFlag, open};
    open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
        .with_context(|| format!("cannot open {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_escapes_and_optional_fields_is_understood() {
        let line =
            br"36 35 98:0 /mnt1 /mnt/a\040b\134c ro,nosuid,noatime master:1 shared:7 - ext3 /dev/root rw";
        let expected = Mount {
            at: r"/mnt/a b\c".into(),
            kind: "ext3".to_owned(),
            flags: MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NOATIME,
        };
        assert_eq!(parse(line), Some(expected));
        assert_eq!(parse(b""), None);
    }

    #[test]
    fn the_table_of_this_machine_has_its_process_directory_once() {
        let table = table().unwrap();
        let found: Vec<_> = table.iter().filter(|found| found.at == Path::new("/proc")).collect();
        assert!(matches!(found[..], [found] if found.kind == "proc"), "{found:?}");
    }
}
