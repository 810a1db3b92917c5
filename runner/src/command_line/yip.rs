//! The arguments of yip, and of the script cos-setup.

use super::{Apply, Command, CommandLine, Run, Selection, options};
use clap::Parser;

/// Applies stages, by the arguments of yip.
#[derive(Debug, Parser)]
#[command(name = "yip", version, max_term_width = 100)]
pub(super) struct Yip {
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
    pub(super) fn translate(self) -> CommandLine {
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
pub(super) struct CosSetup {
    /// The stage
    #[arg(default_value = "boot")]
    stage: String,
}

impl CosSetup {
    pub(super) fn translate(self) -> CommandLine {
        let command = Command::Run(Run { stage: self.stage, inside: None, also: Vec::new() });
        CommandLine { options: options(false, false), command }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::read;
    use super::*;

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
}
