//! The arguments of elemental.

use super::lifecycle::size;
use super::{
    Apply, Build, BuildDisk, Command, CommandLine, Install, Mount, NewSystem, Options, Overrides, Pull,
    Recover, Run, State, Then, Upgrade, options,
};
use clap::error::ErrorKind;
use clap::{ArgAction, Args, CommandFactory as _, Parser, Subcommand};
use std::path::PathBuf;

/// Runs stages, by the arguments of elemental.
#[derive(Debug, Parser)]
#[command(name = "elemental", version, max_term_width = 100, subcommand_required = true)]
pub(super) struct Elemental {
    /// Say more
    #[arg(long, global = true)]
    debug: bool,
    /// Say only what failed
    #[arg(long, global = true)]
    quiet: bool,
    /// Accepted for the units of elemental: its configuration is not read
    #[arg(long, global = true, value_name = "DIR")]
    config_dir: Option<PathBuf>,
    #[command(subcommand)]
    command: ElementalCommand,
}

#[derive(Debug, Subcommand)]
enum ElementalCommand {
    /// Run a stage of this system
    RunStage {
        /// The stage
        stage: String,
        /// Accepted for the units of elemental: errors always show in the exit status
        #[arg(long)]
        strict: bool,
        /// Further sources, after the default ones
        #[arg(long, value_delimiter = ',', value_name = "SOURCE")]
        cloud_init_paths: Vec<String>,
    },
    /// Lay volumes, overlays and persistent directories over the root file system, in the initramfs
    Mount {
        /// Where the root file system is mounted
        #[arg(long, value_name = "DIR", default_value = "/sysroot")]
        sysroot: PathBuf,
        /// Accepted for the units of elemental: /etc/fstab is written where /etc can be
        #[arg(long, value_name = "BOOL", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
        write_fstab: Option<bool>,
    },
    /// Put the files of a container image into a directory
    PullImage {
        /// The image
        image: String,
        /// The directory
        destination: PathBuf,
        /// The platform the image must be for, such as linux/arm64
        #[arg(long, value_name = "OS/ARCH")]
        platform: Option<String>,
        /// The architecture the image must be for
        #[arg(long, conflicts_with = "platform")]
        arch: Option<String>,
        /// Whether the registry is spoken to over TLS
        #[arg(long, value_name = "BOOL", default_value_t = true, default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set)]
        tls_verify: bool,
    },
    /// Install a system on a disk
    Install {
        /// The disk
        #[arg(value_name = "DEVICE")]
        device: Option<PathBuf>,
        /// Documents for /oem
        #[arg(short, long, value_delimiter = ',', value_name = "SOURCE")]
        cloud_init: Vec<String>,
        /// Use the partitions that are there
        #[arg(long)]
        no_format: bool,
        /// Also onto a disk that has a system
        #[arg(long)]
        force: bool,
        /// Make no entry in the firmware
        #[arg(long)]
        disable_boot_entry: bool,
        /// Accepted: there is GRUB for all firmware
        #[arg(long, value_name = "FIRMWARE")]
        firmware: Option<String>,
        /// Accepted: the table is a GPT
        #[arg(long, value_name = "TABLE")]
        part_table: Option<String>,
        /// Where the recovery system comes from
        #[arg(long = "recovery-system.uri", value_name = "URI")]
        recovery_system: Option<String>,
        #[command(flatten)]
        shared: ElementalShared,
    },
    /// Replace the active system by a new one
    Upgrade {
        #[command(flatten)]
        shared: ElementalShared,
        /// Replace the recovery system as well
        #[arg(long)]
        recovery: bool,
        /// Accepted: the boot loader is only installed by an installation
        #[arg(long)]
        bootloader: bool,
        /// Where the recovery system comes from
        #[arg(long = "recovery-system.uri", value_name = "URI")]
        recovery_system: Option<String>,
    },
    /// Replace the recovery system by a new one
    UpgradeRecovery {
        /// Where it comes from
        #[arg(long = "recovery-system.uri", value_name = "URI")]
        recovery_system: Option<String>,
        #[command(flatten)]
        shared: ElementalShared,
    },
    /// Make the systems anew
    Reset {
        #[command(flatten)]
        shared: ElementalShared,
        /// Wipe the persistent data
        #[arg(long)]
        reset_persistent: bool,
        /// Wipe the documents of this machine
        #[arg(long)]
        reset_oem: bool,
        /// Documents for /oem
        #[arg(short, long, value_delimiter = ',', value_name = "SOURCE")]
        cloud_init: Vec<String>,
        /// Accepted: no entry of the firmware is changed
        #[arg(long)]
        disable_boot_entry: bool,
    },
    /// Build the image of a disk: NAME.raw in the directory
    BuildDisk {
        /// Where the system comes from, as with --system
        #[arg(value_name = "IMAGE", conflicts_with_all = ["system", "docker_image", "directory"])]
        image: Option<String>,
        /// The name of the image, without its ending
        #[arg(short, long, default_value = "elemental")]
        name: String,
        /// The directory
        #[arg(short, long, value_name = "DIR", default_value = ".")]
        output: PathBuf,
        /// The size of the disk, in MiB or with a unit. What is not written to takes no room
        #[arg(long, value_name = "SIZE", value_parser = size, default_value = "16GiB")]
        size: u64,
        /// Documents for /oem
        #[arg(short, long, value_delimiter = ',', value_name = "SOURCE")]
        cloud_init: Vec<String>,
        /// The form of the image
        #[arg(short = 't', long = "type", value_parser = ["raw"], default_value = "raw")]
        _form: String,
        /// Where the recovery system comes from
        #[arg(long = "recovery-system.uri", value_name = "URI")]
        recovery_system: Option<String>,
        #[command(flatten)]
        shared: ElementalShared,
    },
    /// Not done here: see `build-disk`
    BuildIso {
        #[arg(hide = true, num_args = 0.., allow_hyphen_values = true, trailing_var_arg = true)]
        _arguments: Vec<String>,
    },
    /// Show the systems of this machine
    State,
    /// Run a stage of the given sources
    CloudInit {
        /// The stage
        #[arg(short, long, default_value = "default")]
        stage: String,
        /// The sources hold dot notation, as on the kernel command line
        #[arg(short, long)]
        dotnotation: bool,
        /// Files, directories, URLs, or `-` for standard input
        #[arg(required = true, value_name = "SOURCE")]
        sources: Vec<String>,
    },
}

/// What `upgrade` and `reset` share. What is of no use here is accepted all the same.
#[derive(Debug, Args)]
struct ElementalShared {
    /// Where the system comes from
    #[arg(long, value_name = "URI", conflicts_with_all = ["docker_image", "directory"])]
    system: Option<String>,
    /// An image of containers
    #[arg(short, long, value_name = "IMAGE", conflicts_with = "directory")]
    docker_image: Option<String>,
    /// A directory
    #[arg(long, value_name = "DIR")]
    directory: Option<String>,
    /// Further sources of hooks
    #[arg(long, value_delimiter = ',', value_name = "SOURCE")]
    cloud_init_paths: Vec<String>,
    /// A hook that fails is a failure
    #[arg(long)]
    strict: bool,
    /// Restart when all is done
    #[arg(long, conflicts_with = "poweroff")]
    reboot: bool,
    /// Switch off when all is done
    #[arg(long)]
    poweroff: bool,
    /// Accepted: what is required is said by the policy
    #[arg(long)]
    verify: bool,
    /// Whether registries must have a certificate
    #[arg(long, value_name = "BOOL", default_missing_value = "true", num_args = 0..=1, require_equals = true)]
    tls_verify: Option<bool>,
    /// Accepted: nothing is ever taken from a cache of another program
    #[arg(long)]
    local: bool,
    /// The platform of the image
    #[arg(long)]
    platform: Option<String>,
    /// Accepted: labels of snapshots are not kept
    #[arg(long, value_name = "LABELS")]
    snapshot_labels: Vec<String>,
    /// Accepted: compression is configured
    #[arg(short = 'x', long, value_name = "OPTION")]
    squash_compression: Vec<String>,
    /// Accepted: compression is configured
    #[arg(long)]
    squash_no_compression: bool,
}

impl ElementalShared {
    fn source(&self) -> Option<String> {
        let image = |image: &String| format!("oci:{image}");
        let directory = |directory: &String| format!("dir:{directory}");
        let docker = self.docker_image.as_ref().map(image);
        self.system.clone().or(docker).or(self.directory.as_ref().map(directory))
    }

    fn then(&self) -> Then {
        Then { dry_run: false, reboot: self.reboot, poweroff: self.poweroff }
    }

    fn over(&self) -> Overrides {
        Overrides {
            strict: self.strict.then_some(true),
            tls_verify: self.tls_verify,
            platform: self.platform.clone(),
            cloud_init_paths: self.cloud_init_paths.clone(),
        }
    }
}

impl Elemental {
    pub(super) fn translate(self) -> Result<CommandLine, clap::Error> {
        let mut overrides = Overrides::default();
        let command = match self.command {
            ElementalCommand::Install {
                device,
                cloud_init,
                no_format,
                force,
                disable_boot_entry,
                recovery_system,
                shared,
                ..
            } => {
                overrides = shared.over();
                let from = NewSystem { system: shared.source().into(), recovery_system, cloud_init };
                let then = shared.then();
                Command::Install(Install { device, from, no_format, force, disable_boot_entry, then })
            }
            ElementalCommand::Upgrade { shared, recovery, .. } => {
                overrides = shared.over();
                Command::Upgrade(Upgrade {
                    source: shared.source().into(),
                    also_recovery: recovery,
                    then: shared.then(),
                    ..Upgrade::default()
                })
            }
            ElementalCommand::UpgradeRecovery { recovery_system, shared } => {
                overrides = shared.over();
                Command::Upgrade(Upgrade {
                    source: recovery_system.or_else(|| shared.source()).into(),
                    recovery: true,
                    then: shared.then(),
                    ..Upgrade::default()
                })
            }
            ElementalCommand::Reset { shared, reset_persistent, reset_oem, cloud_init, .. } => {
                overrides = shared.over();
                Command::Recover(Recover {
                    from: shared.source(),
                    reset_persistent,
                    reset_oem,
                    cloud_init,
                    then: shared.then(),
                })
            }
            ElementalCommand::BuildDisk {
                image,
                name,
                output,
                size,
                cloud_init,
                recovery_system,
                shared,
                ..
            } => {
                overrides = shared.over();
                let system = image.or_else(|| shared.source()).into();
                let from = NewSystem { system, recovery_system, cloud_init };
                let to = output.join(format!("{name}.raw"));
                Command::Build(Build::Disk(BuildDisk { to, size, from, dry_run: false }))
            }
            ElementalCommand::BuildIso { .. } => {
                return Err(Elemental::command().error(
                    ErrorKind::InvalidSubcommand,
                    "there are no ISO images here: `cosette build disk` makes the image of a disk, which starts from a medium \
                     that it is written to; there, `cosette install` puts the system on another disk",
                ));
            }
            ElementalCommand::State => Command::State(State { as_yaml: true, ..State::default() }),
            ElementalCommand::RunStage { stage, cloud_init_paths, .. } => {
                Command::Run(Run { stage, inside: None, also: cloud_init_paths })
            }
            ElementalCommand::Mount { sysroot, .. } => Command::Mount(Mount { sysroot, dry_run: false }),
            ElementalCommand::PullImage { image, destination, platform, arch, tls_verify } => {
                Command::Pull(Pull {
                    image,
                    directory: destination,
                    platform: platform.or_else(|| arch.map(|arch| format!("linux/{arch}"))),
                    insecure: !tls_verify,
                    dry_run: false,
                    as_elemental: true,
                })
            }
            ElementalCommand::CloudInit { stage, dotnotation, sources } => {
                Command::Apply(Apply { stage, sources, dotted: dotnotation })
            }
        };
        let options = Options { elemental: true, overrides, ..options(self.debug, self.quiet) };
        Ok(CommandLine { options, command })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;
    use std::path::Path;

    #[test]
    fn elemental_installs_by_its_own_arguments() {
        let line = "elemental install --system oci:x/y:1 -c a.yaml,b.yaml --force --firmware efi /dev/vda";
        let CommandLine { options, command } = read(line).unwrap();
        let Command::Install(install) = command else { panic!() };
        assert!(options.elemental && install.force && !install.no_format);
        assert_eq!(install.device.as_deref(), Some(Path::new("/dev/vda")));
        assert_eq!(install.from.cloud_init, ["a.yaml", "b.yaml"]);
        assert_eq!(install.from.system.said().map(String::as_str), Some("oci:x/y:1"));
    }

    #[test]
    fn elemental_runs_a_stage_with_further_paths() {
        let line = "elemental --debug run-stage --strict --cloud-init-paths /a,/b initramfs";
        let Command::Run(run) = read(line).unwrap().command else { panic!() };
        assert_eq!((run.stage.as_str(), run.also), ("initramfs", vec!["/a".to_owned(), "/b".to_owned()]));
        let Command::Apply(apply) = read("elemental cloud-init -s x a.yaml").unwrap().command else {
            panic!()
        };
        assert_eq!(apply.stage, "x");
        let line = "elemental --config-dir /run/elemental mount --debug";
        let Command::Mount(mount) = read(line).unwrap().command else { panic!() };
        assert_eq!((mount.sysroot.as_path(), mount.dry_run), (Path::new("/sysroot"), false));
    }

    #[test]
    fn elemental_pulls_an_image() {
        let line = "elemental pull-image --arch aarch64 --tls-verify=false quay.io/x /d";
        let Command::Pull(pull) = read(line).unwrap().command else { panic!() };
        assert_eq!((pull.image.as_str(), &*pull.directory), ("quay.io/x", Path::new("/d")));
        assert_eq!((pull.platform.as_deref(), pull.insecure), (Some("linux/aarch64"), true));
        let Command::Pull(pull) = read("elemental pull-image x /d").unwrap().command else { panic!() };
        assert!(pull.as_elemental && !pull.insecure && pull.platform.is_none());
        assert!(read("elemental pull-image --local x /d").is_err());
    }

    #[test]
    fn elemental_builds_disks_and_no_iso_images() {
        let line = "elemental build-disk -n fleet -o /out -c a.yaml,b.yaml --type raw oci:x:1";
        let CommandLine { options, command } = read(line).unwrap();
        let Command::Build(Build::Disk(build)) = command else { panic!() };
        assert!(options.elemental);
        assert_eq!((&*build.to, build.size), (Path::new("/out/fleet.raw"), 16 << 30));
        assert_eq!(build.from.system.said().map(String::as_str), Some("oci:x:1"));
        assert_eq!(build.from.cloud_init, ["a.yaml", "b.yaml"]);
        for wrong in
            ["-t azure oci:x:1", "--expandable oci:x:1", "--system oci:y:1 oci:x:1", "--date oci:x:1"]
        {
            assert_eq!(read(&format!("elemental build-disk {wrong}")).unwrap_err().exit_code(), 2, "{wrong}");
        }
        let error = read("elemental build-iso --label X -o /out dir:/x").unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("cosette build disk"), "{error}");
    }

    #[test]
    fn elemental_resets_with_new_documents() {
        let Command::Recover(recover) = read("elemental reset --reset-oem -c a,b -c d").unwrap().command
        else {
            panic!()
        };
        assert!(recover.reset_oem && !recover.reset_persistent);
        assert_eq!(recover.cloud_init, ["a", "b", "d"]);
    }
}
