//! What runs in the view: `view ROOT ACTION`.

use anyhow::{Result, bail};
use cosette::sandbox::{self, Entry, Options};
use cosette_plugins::system::Metadata;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, ExitCode};

pub(crate) fn main(arguments: &[String]) -> ExitCode {
    match run(&arguments[0], &arguments[1]) {
        Ok(status) => ExitCode::from(u8::try_from(status).unwrap()),
        Err(error) => {
            println!("error: {error:#}");
            ExitCode::from(99)
        }
    }
}

fn run(root: &str, action: &str) -> Result<i32> {
    let options = Options { network: !action.starts_with("offline:") };
    let inside = match sandbox::enter(options)? {
        Entry::Done(status) => return Ok(status),
        Entry::Inside(inside) => inside,
    };
    let view = inside.build(Path::new(root))?;
    let status = act(action)?;
    for note in view.notes() {
        println!("note: {note}");
    }
    let changes = view.changes(&|_, _, found| found)?;
    if let Some((before, after)) = changes.hostname {
        println!("hostname {before} -> {after}");
    }
    for change in changes.files {
        println!(
            "{:?} {} {} -> {} {:?}",
            change.kind,
            change.path.display(),
            attributes(change.before),
            attributes(change.after),
            change.diff
        );
    }
    Ok(status)
}

/// Runs a line of shell, or does what a tree without a shell cannot.
fn act(action: &str) -> Result<i32> {
    match action.split_once(':') {
        Some(("write", path)) => std::fs::write(path, "written\n")?,
        Some(("connect", path)) => {
            let Err(error) = UnixStream::connect(path) else { bail!("{path} can be reached") };
            println!("refused: {error}");
        }
        Some(("sh" | "offline", line)) => {
            let status = Command::new("/bin/sh").arg("-c").arg(line).status()?;
            return Ok(status.code().unwrap_or(98));
        }
        _ => bail!("no such action: {action}"),
    }
    Ok(0)
}

fn attributes(found: Option<Metadata>) -> String {
    match found {
        Some(found) => format!("{:?}:{:04o}:{}:{}", found.kind, found.mode, found.owner.uid, found.owner.gid),
        None => "nothing".to_owned(),
    }
}
