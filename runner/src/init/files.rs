//! The files that the binary carries, as they stand in `units/`.

/// A file and where it is written to.
pub(super) struct Embedded {
    pub(super) path: &'static str,
    pub(super) content: &'static str,
    pub(super) mode: u32,
}

impl Embedded {
    /// The last part of its path.
    pub(super) fn name(&self) -> &'static str {
        self.path.rsplit('/').next().unwrap_or_default()
    }
}

macro_rules! embedded {
    ($($from:literal, $to:literal, $mode:literal;)*) => {
        &[$(Embedded { path: $to, content: include_str!(concat!("../../../units/", $from)), mode: $mode }),*]
    };
}

macro_rules! units {
    ($($name:literal),* $(,)?) => {
        &[$(Embedded {
            path: concat!("/usr/lib/systemd/system/", $name),
            content: include_str!(concat!("../../../units/systemd/", $name)),
            mode: 0o644,
        }),*]
    };
}

/// The units of systemd.
pub(super) const UNITS: &[Embedded] = units![
    "cos-immutable-rootfs.service",
    "cos-setup-boot.service",
    "cos-setup-fs.service",
    "cos-setup-initramfs.service",
    "cos-setup-network.service",
    "cos-setup-reconcile.service",
    "cos-setup-reconcile.timer",
    "cos-setup-rootfs.service",
    "cos-setup.target",
    "cosette-boot-complete.service",
];

/// The module for dracut, and its configuration.
pub(super) const DRACUT: &[Embedded] = embedded! {
    "dracut/50-cosette.conf", "/usr/lib/dracut/dracut.conf.d/50-cosette.conf", 0o644;
    "dracut/90cosette/image-is-root.sh", "/usr/lib/dracut/modules.d/90cosette/image-is-root.sh", 0o755;
    "dracut/90cosette/module-setup.sh", "/usr/lib/dracut/modules.d/90cosette/module-setup.sh", 0o755;
};

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "the tests look at the source tree")]
mod tests {
    use super::*;
    use std::path::Path;

    fn names(directory: &str) -> Vec<String> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../units").join(directory);
        let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap());
        let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn every_file_of_the_directories_is_embedded_in_byte_order() {
        let embedded = |files: &[Embedded]| files.iter().map(Embedded::name).collect::<Vec<_>>();
        assert_eq!(embedded(UNITS), names("systemd"));
        assert_eq!(embedded(&DRACUT[1..]), names("dracut/90cosette"));
        assert_eq!(names("dracut"), ["50-cosette.conf", "90cosette"]);
    }
}
