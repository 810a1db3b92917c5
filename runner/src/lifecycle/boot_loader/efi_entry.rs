//! The entry of the firmware by which it starts the boot loader: efibootmgr(8) makes it. Without one it is started from
//! the path of removable media.

use anyhow::{Result, bail};
use cosette_plugins::System;
use cosette_plugins::program::{must_succeed, remedy};
use cosette_plugins::system::Command;
use std::path::Path;
use std::time::Duration;

/// Firmware can be slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// What there is to do about a program that is missing.
const REMEDY: &str = "install efibootmgr, or set the entry in the firmware";

/// Has the firmware start `loader`, a path on this partition of this disk, before all else. Entries with the same title
/// are replaced. Nothing happens on a machine whose firmware is not EFI; whether it is.
pub fn register(sys: &System, disk: &Path, partition: u32, title: &str, loader: &str) -> Result<bool> {
    let variables = sys.host().kernel_dir(Path::new("/sys/firmware/efi/efivars"))?;
    if variables.is_none_or(|names| names.is_empty()) {
        return Ok(false);
    }
    let run = |words: &[&str]| {
        let command = words
            .iter()
            .fold(Command::new("efibootmgr", "efibootmgr"), |command, word| command.argument(*word));
        remedy(must_succeed(sys, "efibootmgr", command.at_most(PATIENCE)), REMEDY)
    };
    let Some(listed) = run(&[])? else { return Ok(true) };
    for number in entries(&String::from_utf8_lossy(&listed.stdout), title) {
        run(&["--quiet", "--bootnum", &number, "--delete-bootnum"])?;
    }
    let Some(disk) = disk.to_str() else { bail!("the path of the disk is no text") };
    let (partition, loader) = (partition.to_string(), format!("\\{}", loader.replace('/', "\\")));
    run(&[
        "--quiet", "--create", "--disk", disk, "--part", &partition, "--label", title, "--loader", &loader,
    ])?;
    Ok(true)
}

/// The numbers of the entries with a title, as in `Boot0003* Fleet OS`, a tab, and what it starts.
fn entries(listed: &str, title: &str) -> Vec<String> {
    let number = |line: &str| {
        let (number, rest) = line.strip_prefix("Boot")?.split_at_checked(4)?;
        let name = rest.strip_prefix("* ").or_else(|| rest.strip_prefix("  "))?;
        let name = name.split('\t').next()?;
        let is_number = number.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_number && name == title).then(|| number.to_owned())
    };
    listed.lines().filter_map(number).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    const LISTED: &str = "BootCurrent: 0001\nBootOrder: 0001,0003\nBoot0001* UEFI Disk\tPciRoot(0x0)\n\
        Boot0003* Fleet OS\tHD(2,GPT,1)/File(\\EFI\\x\\shimx64.efi)\nBoot000A  Fleet OS\nBoot0004* Fleet OS 2\tHD(2)\n";

    #[test]
    fn the_entry_replaces_those_of_the_same_title() {
        let machine = Machine::new("");
        machine.host.kernel_file("/sys/firmware/efi/efivars/BootOrder-1", "");
        machine.host.answer("efibootmgr", 0, LISTED);
        let sys = machine.system(Mode::Apply);
        let loader = "EFI/fleet/shimx64.efi";
        assert!(register(&sys, Path::new("/dev/vda"), 2, "Fleet OS", loader).unwrap());
        assert_eq!(
            machine.host.take_commands(),
            [
                "efibootmgr",
                "efibootmgr --quiet --bootnum 0003 --delete-bootnum",
                "efibootmgr --quiet --bootnum 000A --delete-bootnum",
                "efibootmgr --quiet --create --disk /dev/vda --part 2 --label Fleet OS --loader \\EFI\\fleet\\shimx64.efi",
            ]
        );
    }

    #[test]
    fn other_firmware_has_no_entries_and_a_failure_is_one() {
        let machine = Machine::new("");
        let sys = machine.system(Mode::Apply);
        let register = || register(&sys, Path::new("/dev/vda"), 2, "x", "EFI/x.efi");
        assert!(!register().unwrap());
        assert!(machine.host.take_commands().is_empty());
        machine.host.kernel_file("/sys/firmware/efi/efivars/BootOrder-1", "");
        machine.host.answer("efibootmgr", 5, "No space left on device\n");
        let error = format!("{:#}", register().unwrap_err());
        assert!(error.starts_with("`efibootmgr` ended with status 5"), "{error}");
    }
}
