//! udev, which makes the links below `/dev/disk` by which devices are found.

use crate::System;
use anyhow::Result;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// How often is looked, and for how long: ten seconds in all.
const PAUSE: Duration = Duration::from_millis(50);
const PAUSES: u32 = 200;

/// The link to the device with a label: `by-label` of its file system, `by-partlabel` of the partition.
pub(crate) fn link(kind: &str, label: &str) -> PathBuf {
    PathBuf::from(format!("/dev/disk/{kind}/{}", encode(label)))
}

/// A label as a file name, by the rules of udev: what is not a letter, a digit, one of `#+-.:=@_` or a character
/// beyond ASCII is written in hexadecimal.
fn encode(label: &str) -> String {
    let mut name = String::new();
    for character in label.chars() {
        if character.is_ascii_alphanumeric() || "#+-.:=@_".contains(character) || !character.is_ascii() {
            name.push(character);
        } else {
            let _ = write!(name, "\\x{:02x}", u32::from(character));
        }
    }
    name
}

/// Waits until something is so, at most ten seconds, and not at all where udev does not run. Whether it is so.
pub(crate) fn wait_until(sys: &System, mut is_so: impl FnMut() -> Result<bool>) -> Result<bool> {
    for _ in 0..PAUSES {
        if is_so()? {
            return Ok(true);
        }
        if !runs(sys)? {
            return Ok(false);
        }
        sys.wait_for_others(PAUSE)?;
    }
    is_so()
}

/// Whether udev runs.
pub(crate) fn runs(sys: &System) -> Result<bool> {
    sys.exists("/run/udev/control")
}

/// Gives udev the time to notice that a disk was written to.
pub(crate) fn wake(sys: &System) -> Result<()> {
    Ok(sys.wait_for_others(2 * PAUSE)?)
}

/// Whether udev has nothing left to do.
pub(crate) fn is_idle(sys: &System) -> Result<bool> {
    Ok(!sys.exists("/run/udev/queue")?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::Mode;
    use crate::testing::Machine;

    #[test]
    fn labels_become_file_names() {
        assert_eq!(link("by-label", "COS_STATE").to_str(), Some("/dev/disk/by-label/COS_STATE"));
        assert_eq!(
            link("by-partlabel", "EFI System/é\\").to_str(),
            Some("/dev/disk/by-partlabel/EFI\\x20System\\x2fé\\x5c")
        );
    }

    #[test]
    fn waiting_has_an_end_and_does_not_begin_without_udev() {
        let machine = Machine::new("");
        assert!(!wait_until(&machine.system(Mode::Apply), || Ok(false)).unwrap());
        assert!(machine.host.take_pauses().is_empty());
        let machine = Machine::new("-- /run/udev/control\n-- /run/udev/queue\n");
        let sys = machine.system(Mode::Apply);
        assert!(!is_idle(&sys).unwrap());
        assert!(!wait_until(&sys, || is_idle(&sys)).unwrap());
        assert_eq!(machine.host.take_pauses().iter().sum::<Duration>(), Duration::from_secs(10));
        let mut looks = 0;
        let third = || {
            looks += 1;
            Ok(looks == 3)
        };
        assert!(wait_until(&sys, third).unwrap());
        assert_eq!(machine.host.take_pauses().len(), 2);
    }
}
