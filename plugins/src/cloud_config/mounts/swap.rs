//! A swap file: how large it is, and how it is made so that it is never there by half.

use super::Swap;
use crate::disk::devices::Mount;
use crate::path::AbsolutePath;
use crate::program::{answer, remedy, run};
use crate::{Action, System};
use anyhow::{Context as _, Result, bail};
use cosette_schema::yaml::Node;
use cosette_schema::{Decode, Findings, Shape, excerpt};
use std::path::Path;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// The size of the file, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Size {
    /// None is given.
    #[default]
    None,
    /// One that fits the memory.
    Auto,
    /// So many bytes.
    Bytes(u64),
}

impl Decode for Size {
    fn decode(node: &Node, findings: &mut Findings) -> Option<Self> {
        let text = String::decode(node, findings)?;
        let size = match text.trim() {
            "" | "0" => Some(Self::None),
            "auto" => Some(Self::Auto),
            text => bytes(text).map(Self::Bytes),
        };
        if size.is_none() {
            let message = format!("expected a size such as `512M` or `auto`, found `{}`", excerpt(&text));
            findings.error(node.span, message);
        }
        size
    }

    fn shape() -> Shape {
        Shape::text("size such as `512M`, or `auto`")
    }
}

/// A number of bytes with a unit, of which the letter may be followed by `B` or `iB`: all count in powers of 1024.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let unit = text[digits..].trim().to_ascii_uppercase();
    let shift = match unit.strip_suffix("IB").or(unit.strip_suffix('B')).unwrap_or(&unit) {
        "" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        _ => return None,
    };
    let number: f64 = text[..digits].parse().ok()?;
    let bytes = number * (1_u64 << shift) as f64;
    (bytes < (1_u64 << 60) as f64).then_some(bytes as u64)
}

/// What fits the memory, by the rules of cloud-init: twice as much where there is little, less where there is much,
/// and none where the most that is possible would help little.
fn suggested(memory: u64, most: u64) -> Option<u64> {
    let wanted = match memory {
        ..=GIB => memory * 2,
        m if m <= 2 * GIB => 2 * GIB,
        m if m <= 4 * GIB => m,
        m if m <= 16 * GIB => 4 * GIB,
        m if m <= 64 * GIB => m / 2,
        _ => most,
    };
    let size = wanted.min(most);
    (size >= memory / 2 || size >= 4 * GIB).then_some(size)
}

/// Makes the file, if there is none, on the running machine. Returns its path, unless there shall be none.
pub(super) fn make(sys: &System, swap: &Swap) -> Result<Option<String>> {
    let path = swap.filename.as_ref().map_or("/swap.img", AbsolutePath::as_str);
    if swap.size.value == Size::None {
        return Ok(None);
    }
    // Whether it is really one is found out when it is used.
    if !sys.host().lives_in(sys.root()) || sys.symlink_metadata(path)?.is_some_and(|found| found.size > 0) {
        return Ok(Some(path.to_owned()));
    }
    // A view is in memory, and has no room for it.
    if sys.host().only_says() {
        sys.done(Action::MakeFileSystem, path.to_owned(), true);
        return Ok(Some(path.to_owned()));
    }
    let directory = Path::new(path).parent().unwrap_or(Path::new("/"));
    sys.create_dir(directory, None, None)?;
    // A plan does not ask, and supposes that there is room.
    let free = free(sys, directory)?.unwrap_or(u64::MAX);
    let Some(size) = size(sys, swap, free)? else { return Ok(None) };
    remedy(write(sys, Path::new(path), size), "a swap file cannot be made: install util-linux")?;
    Ok(Some(path.to_owned()))
}

/// The size that the file gets; nothing when it is better to have none.
fn size(sys: &System, swap: &Swap, free: u64) -> Result<Option<u64>> {
    let most = free / 10 * 9;
    match swap.size.value {
        Size::None => Ok(None),
        Size::Bytes(size) if size > most => {
            bail!("a swap file of {} MiB does not fit: {} MiB are free", size / MIB, free / MIB)
        }
        Size::Bytes(size) => Ok(Some(size)),
        Size::Auto => {
            let meminfo = sys.host().kernel_file(Path::new("/proc/meminfo"))?.unwrap_or_default();
            let text = String::from_utf8_lossy(&meminfo);
            let total =
                text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB"));
            let kib: u64 = total
                .and_then(|kib| kib.parse().ok())
                .context("the kernel does not say how much memory there is")?;
            let most = match swap.maxsize.value {
                Size::Bytes(size) => size.min(most),
                Size::None | Size::Auto => free / 4,
            };
            Ok(suggested(kib * 1024, most))
        }
    }
}

/// How many bytes are free below a directory; nothing in a plan.
fn free(sys: &System, directory: &Path) -> Result<Option<u64>> {
    let directory = directory.display().to_string();
    let Some(text) = answer(sys, &["df", "-Pk", &directory])? else { return Ok(None) };
    let kib = text.lines().nth(1).and_then(|line| line.split_ascii_whitespace().nth(3)?.parse::<u64>().ok());
    kib.map(|kib| kib.saturating_mul(1024)).map(Some).context("`df` does not say how much space is free")
}

/// Makes the file under another name first, so that under its own it is always a whole one.
pub(in super::super) fn write(sys: &System, path: &Path, size: u64) -> Result<()> {
    let kind = Mount::of(sys, path)?.map(|mount| mount.kind).unwrap_or_default();
    let path = path.display().to_string();
    let part = format!("{path}.part");
    sys.remove(&part)?;
    let make = || {
        run(sys, &["install", "-m", "0600", "/dev/null", &part])?;
        if kind == "btrfs" {
            // A file that is copied when it is written cannot be swapped to.
            run(sys, &["chattr", "+C", &part])?;
        }
        run(sys, &["fallocate", "-l", &size.to_string(), &part])?;
        run(sys, &["mkswap", &part])?;
        run(sys, &["mv", "-f", &part, &path])
    };
    if let Err(error) = make() {
        sys.remove(&part)?;
        return Err(error);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Machine;

    const LINE: &str = "-- /etc/fstab\n/swap.img none swap sw,comment=cloudconfig 0 0\n";

    fn machine(free_kib: u64) -> Machine {
        let machine = Machine::new("");
        machine.host.live_here();
        machine.host.kernel_file("/proc/meminfo", "MemTotal:        1000000 kB\n");
        let df = format!(
            "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda1 1 1 {free_kib} 1% /\n"
        );
        machine.host.answer("df -Pk", 0, &df);
        machine
    }

    #[test]
    fn a_file_is_made_under_another_name_first_and_then_used() {
        let machine = machine(4_000_000);
        let outcome = machine.check("#cloud-config\nswap: {size: 512M}", LINE);
        assert_eq!(
            outcome.commands,
            [
                "df -Pk /",
                "install -m 0600 /dev/null /swap.img.part",
                "fallocate -l 536870912 /swap.img.part",
                "mkswap /swap.img.part",
                "mv -f /swap.img.part /swap.img",
                "swapon -a",
            ]
        );
        let planned = Machine::new("");
        planned.host.live_here();
        let plan = planned.plan("#cloud-config\nswap: {size: 512M}");
        assert!(plan.commands.is_empty());
        assert!(plan.effects.iter().any(|effect| effect.target == "mkswap /swap.img.part"));
    }

    #[test]
    fn a_disk_is_never_filled() {
        let machine = machine(500_000);
        let outcome = machine.apply("#cloud-config\nswap: {size: 512M}");
        assert!(
            outcome.messages().contains("a swap file of 512 MiB does not fit: 488 MiB are free"),
            "{}",
            outcome.messages()
        );
        // A quarter of it would help little.
        assert_eq!(machine.apply("#cloud-config\nswap: {size: auto}").commands, ["df -Pk /"]);
        machine.assert_tree("");
    }

    #[test]
    fn a_file_that_is_there_stays_and_what_fails_leaves_nothing() {
        let machine = Machine::new("-- /swap.img\nx\n");
        machine.host.live_here();
        assert_eq!(machine.check("#cloud-config\nswap: {size: 1G}", LINE).commands, ["swapon -a"]);
        let machine = super::tests::machine(4_000_000);
        machine.host.answer("mkswap", 1, "mkswap: error\n");
        let outcome = machine.apply("#cloud-config\nswap: {size: 1G}");
        assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
        machine.assert_tree("");
    }

    #[test]
    fn sizes_are_read_in_the_ways_that_people_write_them() {
        assert_eq!(
            ["512", "1k", "1.5G", "2GiB", "10 MB"].map(bytes),
            [Some(512), Some(1024), Some(3 * GIB / 2), Some(2 * GIB), Some(10 * MIB)]
        );
        assert_eq!(["", "G", "1X", "-1", "1e9", "99999999999T"].map(bytes), [None; 6]);
        let outcome = machine(1).apply("#cloud-config\nswap: {size: much}");
        assert!(outcome.messages().contains("expected a size such as `512M` or `auto`, found `much`"));
    }

    #[test]
    fn the_size_fits_the_memory() {
        let gib = |memory: u64, most: u64| suggested(memory * GIB, most * GIB).map(|size| size / GIB);
        assert_eq!([gib(1, 8), gib(2, 8), gib(3, 8), gib(8, 8)], [Some(2), Some(2), Some(3), Some(4)]);
        assert_eq!([gib(32, 64), gib(32, 8), gib(128, 8), gib(4, 1)], [Some(16), Some(8), Some(8), None]);
    }
}
