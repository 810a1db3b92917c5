//! The kernels of a root, by the conventions of distributions.

use anyhow::Result;
use cosette_plugins::System;
use std::cmp::Ordering;

/// Where kernels have their modules; the second where `/usr` is not merged.
const MODULES: [&str; 2] = ["/usr/lib/modules", "/lib/modules"];

/// A kernel that can boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kernel {
    /// Its version, as `uname -r` says it.
    pub(super) version: String,
    /// Its file.
    pub(super) image: String,
    /// Its initramfs, whether it exists or not.
    pub(super) initramfs: String,
}

/// The kernels that have modules and a file to boot, the newest first.
pub(super) fn find(sys: &System) -> Result<Vec<Kernel>> {
    let mut kernels: Vec<Kernel> = Vec::new();
    for directory in MODULES {
        for version in sys.read_dir(directory)?.unwrap_or_default() {
            let Some(version) =
                version.to_str().filter(|version| kernels.iter().all(|k| k.version != *version))
            else {
                continue;
            };
            // What is left of one that was removed has no list of dependencies.
            if !sys.exists(format!("{directory}/{version}/modules.dep"))? {
                continue;
            }
            let images = [
                format!("/boot/vmlinuz-{version}"),
                format!("/boot/Image-{version}"),
                format!("/boot/vmlinux-{version}"),
                format!("{directory}/{version}/vmlinuz"),
                format!("{directory}/{version}/Image"),
            ];
            if let Some(image) = first(sys, &images)? {
                let initramfs = initramfs(sys, version)?;
                kernels.push(Kernel { version: version.to_owned(), image, initramfs });
            }
        }
    }
    kernels.sort_by(|one, other| by_version(&other.version, &one.version));
    Ok(kernels)
}

/// The one that is there, by which the boot loader and the hooks of packages know it; else the usual name.
fn initramfs(sys: &System, version: &str) -> Result<String> {
    let names = [
        format!("/boot/initrd.img-{version}"),
        format!("/boot/initramfs-{version}.img"),
        format!("/boot/initrd-{version}"),
    ];
    let found = first(sys, &names)?;
    let [debian, _, other] = names;
    let usual = if sys.exists("/etc/debian_version")? { debian } else { other };
    Ok(found.unwrap_or(usual))
}

fn first(sys: &System, paths: &[String]) -> Result<Option<String>> {
    for path in paths {
        if sys.exists(path)? {
            return Ok(Some(path.clone()));
        }
    }
    Ok(None)
}

/// Numbers as numbers, the rest byte by byte: 6.9 comes before 6.10.
fn by_version(one: &str, other: &str) -> Ordering {
    pieces(one).cmp(pieces(other)).then_with(|| one.cmp(other))
}

/// Runs of digits with their value, and what is between them.
fn pieces(version: &str) -> impl Iterator<Item = (&str, u64)> {
    let mut rest = version;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (text, behind) = rest.split_at(digits);
        let end = behind.find(|c: char| !c.is_ascii_digit()).unwrap_or(behind.len());
        rest = &behind[end..];
        Some((text, behind[..end].parse().unwrap_or(u64::MAX)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cosette_plugins::system::Mode;
    use cosette_plugins::testing::Machine;

    #[test]
    fn versions_are_compared_number_by_number() {
        let sorted = ["5.10.0", "6.1.0-9-amd64", "6.1.0-28-amd64", "6.9.1", "6.10.0", "6.10.0-rc1"];
        for pair in sorted.windows(2) {
            assert_eq!(by_version(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(by_version("x", "x"), Ordering::Equal);
    }

    #[test]
    fn kernels_are_found_by_the_conventions_of_distributions() {
        let machine = Machine::new(
            "-- /usr/lib/modules/6.1.0/modules.dep\n-- /boot/vmlinuz-6.1.0\n-- /boot/initramfs-6.1.0.img\n\
             -- /usr/lib/modules/6.12.0/modules.dep\n-- /usr/lib/modules/6.12.0/vmlinuz\n\
             -- /usr/lib/modules/5.0.0/modules.dep\n-- /usr/lib/modules/6.0.0/left\n-- /boot/vmlinuz-6.0.0\n\
             -- /lib -> usr/lib\n",
        );
        let sys = machine.system(Mode::Plan);
        let kernels = find(&sys).unwrap();
        let found: Vec<_> = kernels.iter().map(|k| [&*k.version, &*k.image, &*k.initramfs]).collect();
        assert_eq!(
            found,
            [
                ["6.12.0", "/usr/lib/modules/6.12.0/vmlinuz", "/boot/initrd-6.12.0"],
                ["6.1.0", "/boot/vmlinuz-6.1.0", "/boot/initramfs-6.1.0.img"],
            ]
        );
        sys.write(cosette_plugins::system::File::new("/etc/debian_version", "12")).unwrap();
        assert_eq!(find(&sys).unwrap()[0].initramfs, "/boot/initrd.img-6.12.0");
    }
}
