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

macro_rules! manual {
    ($($name:literal),* $(,)?) => {
        &[$(Embedded {
            path: concat!("/usr/share/man/man1/", $name),
            content: include_str!(concat!("../../../packaging/man/", $name)),
            mode: 0o644,
        }),*]
    };
}

/// The pages of the manual. A test writes them from the definition of the command line.
pub(super) const MANUAL: &[Embedded] = manual![
    "cosette-apply.1",
    "cosette-blame.1",
    "cosette-build-disk.1",
    "cosette-build.1",
    "cosette-check.1",
    "cosette-explain.1",
    "cosette-init.1",
    "cosette-install.1",
    "cosette-mount.1",
    "cosette-plan.1",
    "cosette-pull.1",
    "cosette-recover.1",
    "cosette-rollback.1",
    "cosette-run.1",
    "cosette-schema.1",
    "cosette-state.1",
    "cosette-status.1",
    "cosette-try.1",
    "cosette-upgrade.1",
    "cosette.1",
];

/// What lets shells complete the command line, written likewise.
pub(super) const COMPLETIONS: &[Embedded] = embedded! {
    "../packaging/completions/_cosette", "/usr/share/zsh/vendor-completions/_cosette", 0o644;
    "../packaging/completions/cosette.bash", "/usr/share/bash-completion/completions/cosette", 0o644;
    "../packaging/completions/cosette.fish", "/usr/share/fish/vendor_completions.d/cosette.fish", 0o644;
};

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
        assert_eq!(embedded(MANUAL), names("../packaging/man"));
        assert_eq!(COMPLETIONS.len(), names("../packaging/completions").len());
        assert_eq!(embedded(&DRACUT[1..]), names("dracut/90cosette"));
        assert_eq!(names("dracut"), ["50-cosette.conf", "90cosette"]);
    }
}
