//! The cosette binary: reads the command line, does what it says, ends with its exit status.

use cosette::command_line::CommandLine;
use cosette::commands::{dispatch, status_of};
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let line = match CommandLine::read(std::env::args_os()) {
        Ok(line) => line,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { status_of::USAGE } else { status_of::DONE });
        }
    };
    if let Err(error) = cosette_plugins::system::stop::install() {
        let _ = writeln!(std::io::stderr(), "warning: {error:#}");
    }
    match dispatch(line) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(status_of::FAILED)
        }
    }
}
