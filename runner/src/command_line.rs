//! The command line: what can be asked for, under the project's own name and under those of its peers.

use crate::init::Part;
use clap::{ArgAction, Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Applies the stages of an immutable Linux system.
#[derive(Debug, Parser)]
#[command(name = "cosette", version, max_term_width = 100, subcommand_required = true)]
pub struct CommandLine {
    /// Options of every command.
    #[command(flatten)]
    pub options: Options,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Global options")]
pub struct Options {
    /// The root of the system to act on: all paths lie below it, and commands run chrooted into it
    #[arg(long, global = true, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Print the report as JSON, and nothing else, on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// Say more: what was so already, too
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say only what failed
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Colour,
    /// Whether exit statuses are those of elemental
    #[arg(skip)]
    pub elemental: bool,
    /// What elemental has options for, and is otherwise configured
    #[arg(skip)]
    pub overrides: Overrides,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    /// When standard output is a terminal and NO_COLOR is not set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a stage of this system: STAGE.before, STAGE and STAGE.after of all its sources
    ///
    /// The sources are the directories /system/oem, /oem and /usr/local/cloud-config, what `cos.setup=` names
    /// on the kernel command line, and the `stages.…=` on the kernel command line itself. The report is kept
    /// for `cosette status`.
    Run(Run),
    /// Run a stage of the given sources
    Apply(Apply),
    /// Show what a stage would do, and do nothing
    Plan(Selection),
    /// Run a stage for real in a throw-away copy of this system, and show what it changed
    Try(Selection),
    /// Show everything that is wrong with the given sources
    Check(Sources),
    /// Print the JSON Schema of stage documents and cloud-configs, for editors
    Schema,
    /// Lay volumes, overlays and persistent directories over the root file system, in the initramfs
    ///
    /// What is mounted is said by the variables in /run/cos/cos-layout.env, which the stage `rootfs` writes, and by
    /// `rd.cos.…=` on the kernel command line. The report is kept for `cosette status`.
    Mount(Mount),
    /// Show how the stages of this boot went
    Status,
    /// Show what took the stages of this boot longest, and how much of that were programs
    Blame,
    /// Put the files of a container image into a directory
    ///
    /// An image that is there already, by its digest, is not fetched again. What is required of which images, such as a
    /// signature, says /etc/cosette/policy.yaml; each way to fail has an exit status of its own.
    Pull(Pull),
    /// Make the tree of an image boot with cosette: units, documents, initramfs
    ///
    /// Units and initramfs are brought up to date, documents and programs that are there stay, and a second run
    /// changes nothing. In a Dockerfile it is `RUN cosette init`, once kernel and dracut are installed.
    Init(Init),
    /// Install a system on a disk of this machine
    ///
    /// The disk is partitioned and gets the system twice, a recovery system, and GRUB for BIOS and EFI. A disk that is in
    /// use is refused, and so is one that holds anything, unless --force is given.
    Install(Install),
    /// Build images to be written to a medium
    #[command(subcommand)]
    Build(Build),
    /// Replace the active system by a new one, which becomes good when it has booted
    ///
    /// Everything is fetched, verified, built and read back before the first name changes. The system that was active
    /// becomes the passive one, to which the boot loader falls back. Whatever happens in between, one complete system
    /// boots. What is the same already is left alone.
    Upgrade(Upgrade),
    /// Make active and passive system anew, from the recovery system or another source
    #[command(alias = "reset")]
    Recover(Recover),
    /// Make the passive system the active one, and the other way round
    Rollback(Rollback),
    /// Show the systems of this machine: what was booted, what boots next, what runs now
    State(State),
    /// Write the units of this boot, called by systemd under another name.
    #[command(skip)]
    Generate(Generate),
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct Run {
    /// The stage: rootfs, initramfs, fs, boot, network, reconcile, or a name of your own
    pub stage: String,
    /// Further sources, after the default ones
    #[arg(skip)]
    pub also: Vec<String>,
}

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    /// The stage
    #[arg(short, long, default_value = "default")]
    pub stage: String,
    /// Files, directories, URLs (http, https, file), `-` for standard input, `builtin:` for the default set
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
    /// The sources hold dot notation, as on the kernel command line
    #[arg(skip)]
    pub dotted: bool,
}

/// Arguments of `plan` and `try`.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// The stage, when sources are given
    #[arg(short, long)]
    pub stage: Option<String>,
    /// The stage, which then runs from the default sources; or, with -s, the sources
    #[arg(required = true, value_name = "STAGE|SOURCE")]
    pub arguments: Vec<String>,
}

/// Arguments of `mount`.
#[derive(Debug, Args)]
pub struct Mount {
    /// Where the root file system is mounted
    #[arg(long, value_name = "DIR", default_value = "/sysroot")]
    pub sysroot: PathBuf,
    /// Show what would be mounted, and the lines of fstab for it; do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Sources {
    /// Files, directories, URLs (http, https, file), `-` for standard input, `builtin:` for the default set
    #[arg(required = true, value_name = "SOURCE")]
    pub sources: Vec<String>,
}

/// Arguments of `pull`.
#[derive(Debug, Args)]
pub struct Pull {
    /// The image: quay.io/org/name:tag, name@sha256:…, oci-layout:/path or oci-archive:/path
    pub image: String,
    /// The directory, made if it is missing; what is in it stays, unless the image has something else in its place
    pub directory: PathBuf,
    /// The platform the image must be for, such as linux/arm64; else that of this machine
    #[arg(long, value_name = "OS/ARCH")]
    pub platform: Option<String>,
    /// Speak plain HTTP to the registry
    #[arg(long)]
    pub insecure: bool,
    /// Look for the image and verify it, and show what would be pulled
    #[arg(long)]
    pub dry_run: bool,
    /// Whether to end with the exit status of elemental
    #[arg(skip)]
    pub as_elemental: bool,
}

/// Where a new system comes from.
#[derive(Debug, Default, Args)]
pub struct NewSystem {
    /// Where the system comes from: registry.example/os:tag, oci-layout:, oci-archive:, dir: or file:
    ///
    /// If it is left out, what is configured: `install: {system: …}` in /etc/cosette/config.yaml.
    #[arg(long, value_name = "SOURCE")]
    pub system: Option<String>,
    /// Where the recovery system comes from; the same system if it is left out
    #[arg(long, value_name = "SOURCE")]
    pub recovery_system: Option<String>,
    /// A document for /oem: a file or a URL. They are run in the order in which they are given
    #[arg(short, long, value_name = "SOURCE")]
    pub cloud_init: Vec<String>,
}

/// Arguments of `install`.
#[derive(Debug, Default, Args)]
pub struct Install {
    /// The disk: /dev/vda, /dev/disk/by-id/…; if it is left out, what is configured: `install: {target: …}`
    #[arg(value_name = "DEVICE")]
    pub device: Option<PathBuf>,
    #[command(flatten)]
    /// Where it comes from.
    pub from: NewSystem,
    /// Use the partitions that are there: efi, oem, recovery and state, and persistent if it is there
    #[arg(long)]
    pub no_format: bool,
    /// Also onto a disk that holds a system, or anything else: it is lost
    #[arg(long)]
    pub force: bool,
    /// Make no entry in the firmware
    #[arg(long)]
    pub disable_boot_entry: bool,
    #[command(flatten)]
    /// What follows.
    pub then: Then,
}

/// What can be built.
#[derive(Debug, Subcommand)]
pub enum Build {
    /// Build the image of a disk with a system: as `install` would leave it
    ///
    /// Nothing is mounted. The image is complete when it is there: until then it has another name.
    Disk(BuildDisk),
}

/// Arguments of `build disk`.
#[derive(Debug, Default, Args)]
pub struct BuildDisk {
    /// The file
    #[arg(value_name = "FILE")]
    pub to: PathBuf,
    /// The size of the disk, in MiB or with a unit: 8GiB
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub size: u64,
    #[command(flatten)]
    /// Where it comes from.
    pub from: NewSystem,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// A size in bytes.
fn size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u32); 7] =
        [("MiB", 20), ("GiB", 30), ("TiB", 40), ("M", 20), ("G", 30), ("T", 40), ("", 20)];
    let parsed = UNITS.iter().find_map(|(unit, shift)| Some((text.strip_suffix(unit)?, *shift)));
    let (number, shift) = parsed.unwrap_or((text, 20));
    let number = number.trim_end().parse::<u64>().ok().filter(|number| *number > 0);
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| "it is no size, such as 8GiB".to_owned())
}

/// Arguments of `upgrade`.
#[derive(Debug, Default, Args)]
pub struct Upgrade {
    /// Where the system comes from: registry.example/os:tag, oci-layout:, oci-archive:, dir: or file:
    ///
    /// If it is left out, what is configured: UPGRADE_IMAGE in /etc/cos-upgrade-image, or `upgrade: {system: …}` in
    /// /etc/cosette/config.yaml.
    #[arg(value_name = "SOURCE")]
    pub source: Option<String>,
    /// Replace the recovery system instead
    #[arg(long)]
    pub recovery: bool,
    /// Also replace the recovery system, from what is configured for it
    #[arg(skip)]
    pub also_recovery: bool,
    /// Also if the system is there already
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    /// What follows.
    pub then: Then,
}

/// Arguments of `recover`.
#[derive(Debug, Default, Args)]
pub struct Recover {
    /// Where the system comes from, as for `upgrade`; the recovery system if it is left out
    #[arg(long, value_name = "SOURCE")]
    pub from: Option<String>,
    /// Wipe the persistent data (COS_PERSISTENT)
    #[arg(long)]
    pub reset_persistent: bool,
    /// Wipe the documents of this machine (COS_OEM)
    #[arg(long)]
    pub reset_oem: bool,
    #[command(flatten)]
    /// What follows.
    pub then: Then,
}

/// Arguments of `rollback`.
#[derive(Debug, Default, Args)]
pub struct Rollback {
    /// Only for the next boot
    #[arg(long)]
    pub once: bool,
    /// Which system, for the next boot
    #[arg(long, value_name = "SYSTEM", requires = "once")]
    pub to: Option<To>,
    #[command(flatten)]
    /// What follows.
    pub then: Then,
}

/// A system of this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum To {
    /// The one in use.
    Active,
    /// The one before.
    Passive,
    /// The one that mends the others.
    Recovery,
}

/// Arguments of `state`.
#[derive(Debug, Default, Args)]
pub struct State {
    /// Tell the boot loader that the system that was booted is good
    ///
    /// A new system has three attempts to boot. The service cosette-boot-complete calls this when boot-complete.target
    /// is reached.
    #[arg(long)]
    pub good: bool,
    /// The file itself
    #[arg(skip)]
    pub as_yaml: bool,
}

/// What is to be done when all is done.
#[derive(Debug, Default, Args)]
pub struct Then {
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Restart when all is done
    #[arg(long, conflicts_with = "poweroff")]
    pub reboot: bool,
    /// Switch off when all is done
    #[arg(long)]
    pub poweroff: bool,
}

/// Arguments of `init`.
#[derive(Debug, Args)]
pub struct Init {
    /// What to leave out
    #[arg(long, value_name = "PART", value_delimiter = ',')]
    pub without: Vec<Part>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
}

impl CommandLine {
    /// Reads arguments. The name of the program decides whose arguments they are: `yip`, `cos-setup` and
    /// `elemental` are understood beside our own, and systemd calls `cosette-generator`.
    pub fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let arguments: Vec<OsString> = arguments.into_iter().collect();
        let program =
            arguments.first().map(Path::new).and_then(Path::file_name).and_then(|name| name.to_str());
        match program {
            Some("cosette-generator") => Generate::try_parse_from(arguments).map(|generate| Self {
                options: options(false, false),
                command: Command::Generate(generate),
            }),
            Some("yip") => Yip::try_parse_from(arguments).map(Yip::translate),
            Some("cos-setup") => CosSetup::try_parse_from(arguments).map(CosSetup::translate),
            Some("elemental") => Elemental::try_parse_from(arguments).map(Elemental::translate),
            _ => {
                let usage = |name| {
                    format!(
                        "cosette {name} [OPTIONS] STAGE\n       cosette {name} [OPTIONS] -s STAGE SOURCE..."
                    )
                };
                let mut command = Self::command()
                    .mut_subcommand("plan", |command| command.override_usage(usage("plan")))
                    .mut_subcommand("try", |command| command.override_usage(usage("try")));
                let matches = command.try_get_matches_from_mut(arguments)?;
                Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
            }
        }
    }
}

impl Selection {
    /// The stage and, unless it runs from the default sources, the sources.
    pub fn resolve(&self) -> Result<(&str, Option<&[String]>), String> {
        match (&self.stage, &self.arguments[..]) {
            (Some(stage), sources) => Ok((stage, Some(sources))),
            (None, [stage]) => Ok((stage, None)),
            (None, [stage, ..]) => {
                Err(format!("to use sources, name the stage with -s: -s {stage} SOURCE..."))
            }
            (None, []) => Err("name a stage".to_owned()),
        }
    }
}

/// Writes units for this boot. systemd calls it, by the rules of systemd.generator(7).
#[derive(Debug, Parser)]
#[command(name = "cosette-generator", version, max_term_width = 100)]
pub struct Generate {
    /// The directory for units that come after those of the administrator
    #[arg(value_name = "NORMAL")]
    pub normal: PathBuf,
    /// The directory for units that come before all others: the one that is used
    #[arg(value_name = "EARLY")]
    pub early: PathBuf,
    /// The directory for units that come after all others
    #[arg(value_name = "LATE")]
    pub late: PathBuf,
}

/// The options of a peer have no equal here; these are ours.
fn options(verbose: bool, quiet: bool) -> Options {
    Options {
        root: "/".into(),
        json: false,
        verbose,
        quiet,
        color: Colour::Auto,
        elemental: false,
        overrides: Overrides::default(),
    }
}

/// Applies stages, by the arguments of yip.
#[derive(Debug, Parser)]
#[command(name = "yip", version, max_term_width = 100)]
struct Yip {
    /// The stage
    #[arg(short, long, default_value = "default")]
    stage: String,
    /// Show what would be done, and do nothing
    #[arg(short, long)]
    analyze: bool,
    /// The sources hold dot notation, as on the kernel command line
    #[arg(short, long)]
    dotnotation: bool,
    /// Files, directories, URLs, or `-` for standard input
    #[arg(required = true, value_name = "SOURCE")]
    sources: Vec<String>,
}

impl Yip {
    fn translate(self) -> CommandLine {
        let command = if self.analyze {
            Command::Plan(Selection { stage: Some(self.stage), arguments: self.sources })
        } else {
            Command::Apply(Apply { stage: self.stage, sources: self.sources, dotted: self.dotnotation })
        };
        CommandLine { options: options(false, false), command }
    }
}

/// Runs a stage of this system, by the arguments of cos-setup.
#[derive(Debug, Parser)]
#[command(name = "cos-setup", version, max_term_width = 100)]
struct CosSetup {
    /// The stage
    #[arg(default_value = "boot")]
    stage: String,
}

impl CosSetup {
    fn translate(self) -> CommandLine {
        let command = Command::Run(Run { stage: self.stage, also: Vec::new() });
        CommandLine { options: options(false, false), command }
    }
}

/// Runs stages, by the arguments of elemental.
#[derive(Debug, Parser)]
#[command(name = "elemental", version, max_term_width = 100, subcommand_required = true)]
struct Elemental {
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
        /// Accepted: no entry of the firmware is changed
        #[arg(long)]
        disable_boot_entry: bool,
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

/// What elemental has options for, and is otherwise said by the configuration.
#[derive(Debug, Clone, Default)]
pub struct Overrides {
    /// A hook that fails is a failure.
    pub strict: Option<bool>,
    /// Registries must have a certificate.
    pub tls_verify: Option<bool>,
    /// The platform of images.
    pub platform: Option<String>,
    /// Further sources of hooks.
    pub cloud_init_paths: Vec<String>,
}

impl Elemental {
    fn translate(self) -> CommandLine {
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
                let from = NewSystem { system: shared.source(), recovery_system, cloud_init };
                let then = shared.then();
                Command::Install(Install { device, from, no_format, force, disable_boot_entry, then })
            }
            ElementalCommand::Upgrade { shared, recovery, .. } => {
                overrides = shared.over();
                Command::Upgrade(Upgrade {
                    source: shared.source(),
                    also_recovery: recovery,
                    then: shared.then(),
                    ..Upgrade::default()
                })
            }
            ElementalCommand::UpgradeRecovery { recovery_system, shared } => {
                overrides = shared.over();
                Command::Upgrade(Upgrade {
                    source: recovery_system.or_else(|| shared.source()),
                    recovery: true,
                    then: shared.then(),
                    ..Upgrade::default()
                })
            }
            ElementalCommand::Reset { shared, reset_persistent, reset_oem, .. } => {
                overrides = shared.over();
                Command::Recover(Recover {
                    from: shared.source(),
                    reset_persistent,
                    reset_oem,
                    then: shared.then(),
                })
            }
            ElementalCommand::State => Command::State(State { as_yaml: true, ..State::default() }),
            ElementalCommand::RunStage { stage, cloud_init_paths, .. } => {
                Command::Run(Run { stage, also: cloud_init_paths })
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
        CommandLine { options, command }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::read(line.split(' ').map(OsString::from))
    }

    #[test]
    fn sizes_are_in_mebibytes_or_have_a_unit() {
        let cases = [
            ("8GiB", 8 << 30),
            ("512", 512 << 20),
            ("1TiB", 1 << 40),
            ("4G", 4 << 30),
            ("300MiB", 300 << 20),
        ];
        for (text, bytes) in cases {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "0", "GiB", "8GB", "-1GiB", "1.5GiB", "99999999TiB", "8 KiB"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn elemental_installs_by_its_own_arguments() {
        let line = "elemental install --system oci:x/y:1 -c a.yaml,b.yaml --force --firmware efi /dev/vda";
        let CommandLine { options, command } = read(line).unwrap();
        let Command::Install(install) = command else { panic!() };
        assert!(options.elemental && install.force && !install.no_format);
        assert_eq!(install.device.as_deref(), Some(Path::new("/dev/vda")));
        assert_eq!(install.from.cloud_init, ["a.yaml", "b.yaml"]);
        assert_eq!(install.from.system.as_deref(), Some("oci:x/y:1"));
    }

    #[test]
    fn the_definition_of_the_command_line_is_sound() {
        CommandLine::command().debug_assert();
        Yip::command().debug_assert();
        CosSetup::command().debug_assert();
        Generate::command().debug_assert();
        Elemental::command().debug_assert();
    }

    #[test]
    fn yip_applies_the_stage_called_default_unless_told_otherwise() {
        let Command::Apply(apply) = read("/usr/bin/yip a.yaml").unwrap().command else { panic!() };
        assert_eq!((apply.stage.as_str(), apply.dotted), ("default", false));
        let Command::Apply(apply) = read("yip -d -s boot /proc/cmdline").unwrap().command else { panic!() };
        assert_eq!((apply.stage.as_str(), apply.dotted), ("boot", true));
        assert!(matches!(read("yip -a -s boot a.yaml").unwrap().command, Command::Plan(_)));
    }

    #[test]
    fn cos_setup_runs_the_boot_stage_unless_told_otherwise() {
        let Command::Run(run) = read("cos-setup").unwrap().command else { panic!() };
        assert_eq!(run.stage, "boot");
        let Command::Run(run) = read("cos-setup network").unwrap().command else { panic!() };
        assert_eq!(run.stage, "network");
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
    fn systemd_gives_the_generator_three_directories() {
        let line = read("/usr/lib/systemd/system-generators/cosette-generator /n /e /l").unwrap();
        let Command::Generate(generate) = line.command else { panic!() };
        assert_eq!((&*generate.early, &*generate.late), (Path::new("/e"), Path::new("/l")));
        assert!(read("cosette-generator /n").is_err());
        assert!(read("cosette generate /n /e /l").is_err());
    }

    #[test]
    fn plan_takes_a_stage_or_a_stage_and_sources() {
        let Command::Plan(plan) = read("cosette plan boot").unwrap().command else { panic!() };
        assert_eq!(plan.resolve(), Ok(("boot", None)));
        let Command::Plan(plan) = read("cosette plan -s boot a b").unwrap().command else { panic!() };
        assert_eq!(plan.resolve(), Ok(("boot", Some(&["a".to_owned(), "b".to_owned()][..]))));
        let Command::Plan(plan) = read("cosette plan boot a").unwrap().command else { panic!() };
        assert!(plan.resolve().is_err());
    }
}
