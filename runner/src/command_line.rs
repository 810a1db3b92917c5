//! The command line: what can be asked for, under the project's own name and under those of its peers.

mod elemental;
mod lifecycle;
mod yip;

pub use lifecycle::{
    Build, BuildDisk, Install, NewSystem, Recover, Rollback, Source, State, Then, To, Upgrade,
};

use crate::init::Part;
use crate::report::boots::Which;
use crate::stage::OF_A_BOOT;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use elemental::Elemental;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;
use yip::{CosSetup, Yip};

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
    ///
    /// Commands run, files are written, units are enabled, all in memory. What cannot be tried, such as a module that would
    /// be loaded, is said to be so.
    Try(Try),
    /// Show everything that is wrong with the given sources
    ///
    /// Findings about several documents, such as a file that two of them write, are made of all sources together.
    Check(Check),
    /// Print the JSON Schema of stage documents and cloud-configs, for editors
    Schema,
    /// Lay volumes, overlays and persistent directories over the root file system, in the initramfs
    ///
    /// What is mounted is said by the variables in /run/cos/cos-layout.env, which the stage `rootfs` writes, and by
    /// `rd.cos.…=` on the kernel command line. The report is kept for `cosette status`.
    Mount(Mount),
    /// Show how the stages of a boot went, and first what failed and why
    Status(Status),
    /// Show what took the stages of a boot longest, and how much of that were programs
    Blame(Blame),
    /// Show which document, line and step made a file, a user or a unit what it is
    ///
    /// By the reports of this boot: what was done, what was there before, and which other steps are about it; then what
    /// was different in earlier boots. Where no stage has run, or with --from, by what the documents would do.
    Explain(Explain),
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
    /// See what is mounted at DIR as the root of this machine, which it is going to be
    ///
    /// /proc, /sys, /dev, /run and /tmp are those of now. What the stage mounts is gone when it ends.
    #[arg(long, value_name = "DIR")]
    pub inside: Option<PathBuf>,
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

/// Arguments of `plan`.
#[derive(Debug, Clone, Args)]
pub struct Selection {
    /// The stage, when sources are given
    #[arg(short, long)]
    pub stage: Option<String>,
    /// The stage, which then runs from the default sources; or, with -s, the sources
    #[arg(required = true, value_name = "STAGE|SOURCE")]
    pub arguments: Vec<String>,
}

/// Arguments of `try`.
#[derive(Debug, Args)]
pub struct Try {
    /// The stage, when sources are given; of several, one runs after the other
    #[arg(short, long)]
    pub stage: Vec<String>,
    /// Run rootfs, initramfs, fs, boot and network, as a machine does when it starts
    #[arg(long, conflicts_with = "stage")]
    pub boot: bool,
    /// Try it on this container image, not on this machine
    #[arg(long, value_name = "IMAGE")]
    pub image: Option<String>,
    /// Keep what was written in a new directory, as a layer of an image
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
    /// Open a shell in the result
    #[arg(long)]
    pub shell: bool,
    /// The network that steps see
    #[arg(long, value_name = "NETWORK", default_value = "host")]
    pub network: Network,
    /// The stage, which then runs from the default sources; or, with -s or --boot, the sources
    #[arg(required_unless_present = "boot", value_name = "STAGE|SOURCE")]
    pub arguments: Vec<String>,
}

/// The network of `try`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Network {
    /// That of this machine.
    Host,
    /// None at all.
    None,
}

/// Arguments of `mount`.
#[derive(Debug, Args)]
pub struct Mount {
    /// Where the root file system is mounted
    #[arg(long, value_name = "DIR", default_value = SYSROOT)]
    pub sysroot: PathBuf,
    /// Show what would be mounted, and the lines of fstab for it; do nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// Arguments of `blame`.
#[derive(Debug, Args)]
pub struct Blame {
    /// Another boot than this: -1 is the one before it, 1 the oldest that is known; or its id
    #[arg(short, long, value_name = "OFFSET|ID", allow_negative_numbers = true)]
    pub boot: Option<Which>,
}

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct Status {
    /// Another boot than this: -1 is the one before it, 1 the oldest that is known; or its id
    #[arg(short, long, value_name = "OFFSET|ID", allow_negative_numbers = true, conflicts_with = "wait")]
    pub boot: Option<Which>,
    /// List the boots that are known, with the time that their stages took and what failed
    #[arg(long, conflicts_with_all = ["wait", "boot"])]
    pub list_boots: bool,
    /// Wait until the stages of this boot have ended: fs, boot and network, as far as their units are enabled
    ///
    /// Then it ends with 0 if all went well, and with 1 if something failed or a stage did not end in time.
    #[arg(long)]
    pub wait: bool,
    /// How long: seconds, or a number with a unit, such as 5min; 10min if it is left out
    #[arg(long, value_name = "TIME", requires = "wait", value_parser = duration)]
    pub timeout: Option<Duration>,
}

/// `90`, `90s`, `5min`.
fn duration(text: &str) -> Result<Duration, String> {
    let seconds = text.parse().ok().map(Duration::from_secs);
    let parsed = seconds.or_else(|| humantime::parse_duration(text).ok());
    parsed.ok_or_else(|| "it is no time, such as 90 or 5min".to_owned())
}

/// Arguments of `explain`.
#[derive(Debug, Args)]
pub struct Explain {
    /// Another boot than this: -1 is the one before it, 1 the oldest that is known; or its id
    #[arg(short, long, value_name = "OFFSET|ID", allow_negative_numbers = true, conflicts_with = "from")]
    pub boot: Option<Which>,
    /// A path of the root; or the word `user` and a name; or the word `unit` and a name
    #[arg(required = true, num_args = 1..=2, value_name = "PATH|user NAME|unit NAME")]
    pub what: Vec<String>,
    /// Say what these documents would do, instead: a file, a directory, a URL, `-` or `builtin:`
    #[arg(long, value_name = "SOURCE")]
    pub from: Vec<String>,
}

/// How findings are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// With the lines they are about, for people.
    Human,
    /// As one JSON object; the same as --json.
    Json,
    /// As a log in SARIF 2.1.0, for code hosts.
    Sarif,
    /// As workflow commands of GitHub Actions.
    Github,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct Check {
    /// How findings are printed
    #[arg(long, value_name = "FORMAT", conflicts_with = "json")]
    pub format: Option<Format>,
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
    /// All that can be asked for under the project's own name.
    pub fn definition() -> clap::Command {
        let usage = |name| {
            format!("cosette {name} [OPTIONS] STAGE\n       cosette {name} [OPTIONS] -s STAGE SOURCE...")
        };
        Self::command()
            .mut_subcommand("plan", |command| command.override_usage(usage("plan")))
            .mut_subcommand("try", |command| {
                command.override_usage(usage("try") + "\n       cosette try [OPTIONS] --boot [SOURCE]...")
            })
    }

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
            Some("elemental") => Elemental::try_parse_from(arguments).and_then(Elemental::translate),
            _ if let Some(line) = Self::of_unit(&arguments) => Ok(line),
            _ => {
                let mut command = Self::definition();
                let matches = command.try_get_matches_from_mut(arguments)?;
                Self::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
            }
        }
    }

    /// What the units of a boot call. To define all that can be asked for takes longer than the rest of a start.
    fn of_unit(arguments: &[OsString]) -> Option<Self> {
        let run = |stage: &OsString, inside: Option<&OsString>| {
            let stage = stage.to_str().filter(|stage| !stage.starts_with('-'))?;
            let inside = inside.map(PathBuf::from);
            Some(Command::Run(Run { stage: stage.to_owned(), inside, also: Vec::new() }))
        };
        let command = match arguments.get(1..)? {
            [name, stage] if name == "run" => run(stage, None)?,
            [name, option, directory, stage] if name == "run" && option == "--inside" => {
                run(stage, Some(directory))?
            }
            [name] if name == "mount" => Command::Mount(Mount { sysroot: SYSROOT.into(), dry_run: false }),
            _ => return None,
        };
        Some(Self { options: options(false, false), command })
    }
}

impl Try {
    /// The stages and, unless they run from the default sources, the sources.
    pub fn resolve(&self) -> Result<(Vec<&str>, Option<&[String]>), String> {
        if self.boot {
            // The last one is for later, by a timer.
            let sources = (!self.arguments.is_empty()).then_some(&self.arguments[..]);
            return Ok((OF_A_BOOT[..5].to_vec(), sources));
        }
        if self.stage.is_empty() {
            let (stage, sources) = resolve(None, &self.arguments)?;
            if [".yaml", ".yml", "/"].iter().any(|end| stage.ends_with(end)) {
                return Err(format!(
                    "`{stage}` is no stage: name one, -s STAGE {stage}, or try all, --boot {stage}"
                ));
            }
            return Ok((vec![stage], sources));
        }
        Ok((self.stage.iter().map(String::as_str).collect(), Some(&self.arguments)))
    }
}

/// Where the root file system is mounted in an initramfs.
const SYSROOT: &str = "/sysroot";

impl Selection {
    /// The stage and, unless it runs from the default sources, the sources.
    pub fn resolve(&self) -> Result<(&str, Option<&[String]>), String> {
        resolve(self.stage.as_deref(), &self.arguments)
    }
}

fn resolve<'a>(
    stage: Option<&'a str>,
    arguments: &'a [String],
) -> Result<(&'a str, Option<&'a [String]>), String> {
    match (stage, arguments) {
        (Some(stage), sources) => Ok((stage, Some(sources))),
        (None, [stage]) => Ok((stage, None)),
        (None, [stage, ..]) => Err(format!("to use sources, name the stage with -s: -s {stage} SOURCE...")),
        (None, []) => Err("name a stage".to_owned()),
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

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn read(line: &str) -> Result<CommandLine, clap::Error> {
        CommandLine::read(line.split(' ').map(OsString::from))
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
    fn what_units_call_means_the_same_as_it_does_with_an_option() {
        for (short, long) in [
            ("cosette run fs", "cosette --color auto run fs"),
            (
                "cosette run --inside /sysroot initramfs",
                "cosette --color auto run --inside /sysroot initramfs",
            ),
            ("cosette mount", "cosette --color auto mount"),
        ] {
            assert_eq!(format!("{:?}", read(short).unwrap()), format!("{:?}", read(long).unwrap()));
            assert!(
                CommandLine::of_unit(&short.split(' ').map(OsString::from).collect::<Vec<_>>()).is_some()
            );
        }
        for line in ["cosette run --help", "cosette run --inside", "cosette run --inside / -v", "cosette run"]
        {
            assert!(read(line).is_err(), "{line}");
        }
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
    fn a_boot_is_told_as_journalctl_has_it() {
        let boot = |line: &str| match read(line).unwrap().command {
            Command::Status(Status { boot, .. }) | Command::Blame(Blame { boot }) => boot,
            Command::Explain(Explain { boot, .. }) => boot,
            _ => panic!(),
        };
        for line in
            ["status -b -1", "blame --boot -1", "blame -b-1", "explain -b -1 /etc/motd", "status --boot=-1"]
        {
            assert_eq!(boot(&format!("cosette {line}")), Some(Which::Back(1)), "{line}");
        }
        let id = "0123456789abcdef0123456789abcdef";
        for (text, which) in [
            ("0", Which::Back(0)),
            ("-0", Which::Back(0)),
            ("2", Which::Nth(2)),
            ("+2", Which::Nth(2)),
            (id, Which::Id(id.to_owned())),
            ("01234567-89AB-CDEF-0123-456789abcdef", Which::Id(id.to_owned())),
        ] {
            assert_eq!(boot(&format!("cosette status --boot={text}")), Some(which), "{text}");
        }
        for line in ["-b", "-b x", "-b 1.5", "--boot=--1", "-b -1 --wait", "-b -1 --list-boots", "-b 0123"] {
            let line = format!("cosette status {line}");
            assert!(read(&line).is_err() || line.ends_with("0123"), "{line}");
        }
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
