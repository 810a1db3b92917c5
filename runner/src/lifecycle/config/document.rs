//! One document of the configuration, and how one lies over another.

use cosette_schema::record;

/// Keeps what is said, and takes the rest from the document below.
macro_rules! over {
    ($upper:ident, $lower:ident: $($field:ident)* $(; $($inner:ident)*)?) => {
        Self {
            $($field: $upper.$field.or($lower.$field),)*
            $($($inner: $upper.$inner.over($lower.$inner),)*)?
        }
    };
}

record! {
    /// The configuration of the life-cycle commands.
    #[derive(Clone, Debug, Default)]
    pub(super) struct Document {
        /// The platform of images.
        pub(super) platform: Option<String>,
        /// Restart when all is done.
        pub(super) reboot: Option<bool>,
        /// Switch off when all is done.
        pub(super) poweroff: Option<bool>,
        /// A hook that fails is a failure.
        pub(super) strict: Option<bool>,
        /// Further sources of hooks.
        pub(super) cloud_init_paths: Option<Vec<String>> as "cloud-init-paths",
        /// The title of the entries in the boot menu.
        pub(super) grub_entry_name: Option<String> as "grub-entry-name",
        /// Registries must have a certificate.
        pub(super) tls_verify: Option<bool> as "tls-verify",
        /// How images are made.
        pub(super) image: Image,
        /// For `install` and `build disk`.
        pub(super) install: Install,
        /// For `upgrade`.
        pub(super) upgrade: Upgrade,
        /// For `recover`.
        pub(super) recover: Recover as "recover" | "reset",
    }
}

impl Document {
    pub(super) fn over(self, lower: Self) -> Self {
        over!(self, lower: platform reboot poweroff strict cloud_init_paths grub_entry_name tls_verify;
            image install upgrade recover)
    }
}

record! {
    /// How images are made.
    #[derive(Clone, Debug, Default)]
    pub struct Image {
        /// `ext4`, `squashfs` or `erofs`.
        pub file_system: Option<String> as "file-system" | "fs",
        /// How many MiB are free in an ext4.
        pub margin: Option<u64>,
        /// How many MiB an ext4 has at least.
        pub size: Option<u64>,
        /// How squashfs and erofs are compressed: `gzip`, `xz`.
        pub compression: Option<String>,
    }
}

impl Image {
    fn over(self, lower: Self) -> Self {
        over!(self, lower: file_system margin size compression)
    }
}

record! {
    /// Where a recovery system comes from.
    #[derive(Clone, Debug, Default)]
    pub struct RecoverySystem {
        /// Its source.
        pub uri: Option<String>,
        /// Its file system.
        pub file_system: Option<String> as "file-system" | "fs",
    }
}

impl RecoverySystem {
    fn over(self, lower: Self) -> Self {
        over!(self, lower: uri file_system)
    }
}

record! {
    /// For `upgrade`.
    #[derive(Clone, Debug, Default)]
    pub struct Upgrade {
        /// The source of the system.
        pub system: Option<String>,
        /// Renew the recovery system as well.
        pub recovery: Option<bool>,
        /// The source of the recovery system.
        pub recovery_system: RecoverySystem as "recovery-system",
    }
}

impl Upgrade {
    fn over(self, lower: Self) -> Self {
        over!(self, lower: system recovery; recovery_system)
    }
}

record! {
    /// For `recover`.
    #[derive(Clone, Debug, Default)]
    pub struct Recover {
        /// The source of the system; the recovery system itself if it is not said.
        pub system: Option<String>,
        /// Wipe the persistent data.
        pub reset_persistent: Option<bool> as "reset-persistent",
        /// Wipe the documents of the machine.
        pub reset_oem: Option<bool> as "reset-oem",
        /// Documents for `/oem`.
        pub cloud_init: Option<Vec<String>> as "cloud-init",
    }
}

impl Recover {
    fn over(self, lower: Self) -> Self {
        over!(self, lower: system reset_persistent reset_oem cloud_init)
    }
}

record! {
    /// A partition.
    #[derive(Clone, Debug, Default)]
    pub struct Partition {
        /// Its size in MiB; 0 for all that is left.
        pub size: Option<u64>,
        /// Its file system.
        pub file_system: Option<String> as "file-system" | "fs",
    }
}

impl Partition {
    fn over(self, lower: Self) -> Self {
        over!(self, lower: size file_system)
    }
}

record! {
    /// The partitions of a new system.
    #[derive(Clone, Debug, Default)]
    pub struct Partitions {
        /// `COS_GRUB`.
        pub bootloader: Partition,
        /// `COS_OEM`.
        pub oem: Partition,
        /// `COS_RECOVERY`.
        pub recovery: Partition,
        /// `COS_STATE`.
        pub state: Partition,
        /// `COS_PERSISTENT`.
        pub persistent: Partition,
    }
}

impl Partitions {
    fn over(self, lower: Self) -> Self {
        over!(self, lower: ; bootloader oem recovery state persistent)
    }
}

record! {
    /// For `install` and `build disk`.
    #[derive(Clone, Debug, Default)]
    pub struct Install {
        /// The disk.
        pub target: Option<String>,
        /// The source of the system.
        pub system: Option<String>,
        /// The source of the recovery system.
        pub recovery_system: RecoverySystem as "recovery-system",
        /// Documents for `/oem`.
        pub cloud_init: Option<Vec<String>> as "cloud-init",
        /// Use the partitions that are there.
        pub no_format: Option<bool> as "no-format",
        /// Also onto a disk that has a system.
        pub force: Option<bool>,
        /// Make no entry in the firmware.
        pub disable_boot_entry: Option<bool> as "disable-boot-entry",
        /// The partitions.
        pub partitions: Partitions,
    }
}

impl Install {
    fn over(self, lower: Self) -> Self {
        over!(self, lower: target system cloud_init no_format force disable_boot_entry;
            recovery_system partitions)
    }
}
