//! `cosette pull`: the files of an image of containers, verified, into a directory.

use super::meter::Meter;
use super::{Machine, print_json, status_of};
use crate::command_line::{Options, Pull};
use crate::lifecycle::{exit_status, failure};
use crate::report::{plural, size};
use anyhow::{Error, Result};
use cosette_plugins::System;
use cosette_plugins::image::{
    Failure, Platform, Policy, Progress, Reason, Request, Resolved, Source, Unpacked, Verified, resolve,
    unpack,
};
use cosette_plugins::system::{Live, Mode};
use serde_json::{Value, json};
use std::io::{Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What elemental ends with when it cannot unpack an image.
const ELEMENTAL: u8 = 66;

/// Pulls an image, or says what would be pulled.
pub(super) fn pull(options: &Options, arguments: &Pull) -> Result<u8> {
    let request = match request(arguments) {
        Ok(request) => request,
        Err(error) => return Ok(super::wrong_usage(&format!("{error:#}"))),
    };
    let sys = options.system(Mode::Apply)?;
    let directory = absolute(options, &arguments.directory)?;
    let pulled = match arguments.dry_run {
        true => dry_run(options, &sys, &request, &directory),
        false => pull_into(options, &sys, &request, &directory),
    };
    match pulled {
        Ok(()) => Ok(status_of::DONE),
        Err(failure) => failed(options, failure.into(), arguments.as_elemental),
    }
}

fn request(arguments: &Pull) -> Result<Request> {
    let source = Source::parse(&arguments.image)?;
    if let Source::Directory(_) | Source::File(_) = source {
        anyhow::bail!("{source} is no image of containers");
    }
    let platform = arguments.platform.as_deref().map(Platform::parse).transpose()?;
    Ok(Request { source, platform, insecure: arguments.insecure.then_some(true) })
}

/// The directory below the root; one that is not absolute is meant where the user is.
fn absolute(options: &Options, directory: &Path) -> Result<PathBuf> {
    if directory.is_absolute() || options.root != Path::new("/") {
        return Ok(directory.to_owned());
    }
    Ok(Machine::new()?.directory.join(directory))
}

fn dry_run(options: &Options, sys: &System, request: &Request, directory: &Path) -> Result<(), Failure> {
    let resolved = resolve(sys, request, &Policy::load(sys)?)?;
    warn(&resolved);
    if options.json {
        print(&merged(described(&resolved), json!({"result": "planned", "directory": directory})));
    } else {
        show(options, &resolved);
        say(options, &format!("would be unpacked into {}", directory.display()));
    }
    Ok(())
}

fn pull_into(options: &Options, sys: &System, request: &Request, directory: &Path) -> Result<(), Failure> {
    let Unpacked { resolved, changed, warnings } = fetch(options, sys, request, directory)?;
    if options.json {
        let described =
            resolved.as_ref().map_or_else(|| json!({"source": request.source.to_string()}), described);
        let rest =
            json!({"result": "done", "directory": directory, "changed": changed, "warnings": warnings});
        print(&merged(described, rest));
    } else {
        let what = if changed { "unpacked into" } else { "nothing to do: it is already in" };
        say(options, &format!("{what} {}", directory.display()));
    }
    Ok(())
}

/// Puts the files of an image into a directory of this machine, which has nothing in it.
pub(super) fn unpack_into(options: &Options, image: &str, directory: &Path) -> Result<()> {
    let request = Request { source: Source::parse(image)?, platform: None, insecure: None };
    let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply)?;
    fetch(options, &sys, &request, directory).map_err(|failure| cannot_try(&request.source, failure))?;
    Ok(())
}

/// Why an image cannot be tried, without the place where it would be, which is nobody's business.
fn cannot_try(source: &Source, failure: Failure) -> Error {
    let from = match source {
        Source::Registry(_) => " from its registry",
        _ => "",
    };
    let remedy = match failure.reason {
        Reason::Registry => {
            ": look at the name, the network and the login (`podman login`); an image in a file is tried as oci-archive:FILE"
        }
        Reason::Source => ": look at the name; a tree of files is tried with --root DIRECTORY",
        Reason::NoRoom => {
            ": it is put into memory, and gets a quarter of that; `cosette pull` puts it into a directory, which is tried \
             with --root DIRECTORY"
        }
        _ => "",
    };
    let error = Error::from(failure);
    let causes: Vec<String> = error.chain().skip(1).map(ToString::to_string).collect();
    let causes = if causes.is_empty() { error.to_string() } else { causes.join(": ") };
    anyhow::anyhow!("cannot fetch {source}{from}: {causes}{remedy}")
}

fn fetch(options: &Options, sys: &System, request: &Request, directory: &Path) -> Result<Unpacked, Failure> {
    let is_told = !options.quiet && !options.json;
    let mut watch = Watch { options, meter: is_told.then(Meter::new) };
    let unpacked = unpack(sys, request, &Policy::load(sys)?, directory, &mut watch);
    drop(watch);
    let unpacked = unpacked?;
    for warning in &unpacked.warnings {
        let _ = writeln!(stderr(), "warning: {warning}");
    }
    Ok(unpacked)
}

/// Tells what is pulled, and of the progress.
struct Watch<'a> {
    options: &'a Options,
    meter: Option<Meter>,
}

impl Progress for Watch<'_> {
    fn resolved(&mut self, resolved: &Resolved) {
        warn(resolved);
        if !self.options.json {
            show(self.options, resolved);
        }
    }

    fn advanced(&mut self, done: u64, all: u64) {
        if let Some(meter) = &mut self.meter {
            meter.advanced(done, all);
        }
    }
}

/// Says loudly that nothing vouches for an image.
fn warn(resolved: &Resolved) {
    if resolved.verified == Verified::Unmentioned {
        let name = resolved.source().name();
        let _ = writeln!(
            stderr(),
            "warning: {name} is NOT VERIFIED: no entry of /etc/cosette/policy.yaml is about it, and it is not named by a \
             digest; an entry with `require: signature`, or `require: none`, ends this warning"
        );
    }
}

/// What is pulled, for people.
fn show(options: &Options, resolved: &Resolved) {
    if options.quiet {
        return;
    }
    let mut out = stdout().lock();
    let _ = writeln!(out, "{} for {}", resolved.source(), resolved.platform);
    if let Some(digest) = &resolved.top {
        let _ = writeln!(out, "digest    {digest}");
    }
    let _ = writeln!(out, "size      {} in {}", size(resolved.size), plural(resolved.layers(), "layer"));
    let verified = match &resolved.verified {
        Verified::Signature(key) => format!("signed by {key}"),
        Verified::Digest => "named by its digest".to_owned(),
        Verified::NotRequired => "no, as the policy says".to_owned(),
        Verified::Unmentioned | Verified::Unchecked => "no".to_owned(),
    };
    let _ = writeln!(out, "verified  {verified}");
}

fn say(options: &Options, line: &str) {
    if !options.quiet {
        let _ = writeln!(stdout(), "{line}");
    }
}

/// What is pulled, for programs.
fn described(resolved: &Resolved) -> Value {
    let (verified, key) = match &resolved.verified {
        Verified::Signature(key) => ("signature", Some(key)),
        Verified::Digest => ("digest", None),
        Verified::NotRequired => ("not-required", None),
        Verified::Unmentioned => ("no", None),
        Verified::Unchecked => ("unchecked", None),
    };
    json!({
        "source": resolved.source().to_string(),
        "platform": resolved.platform.to_string(),
        "digest": resolved.top.as_ref().map(ToString::to_string),
        "manifest": resolved.digest.as_ref().map(ToString::to_string),
        "size": resolved.size,
        "layers": resolved.layers(),
        "verified": verified,
        "key": key,
    })
}

fn merged(mut one: Value, other: Value) -> Value {
    if let (Value::Object(one), Value::Object(other)) = (&mut one, other) {
        one.extend(other);
    }
    one
}

fn print(value: &Value) {
    let _ = print_json(value);
}

/// Says why it failed; gives the exit status.
fn failed(options: &Options, error: Error, as_elemental: bool) -> Result<u8> {
    let Some(class) = failure::class_of(&error) else { return Err(error) };
    let status = if as_elemental { ELEMENTAL } else { exit_status::of(class) };
    if options.json {
        let error = format!("{error:#}");
        print(
            &json!({"result": "failed", "class": exit_status::word(class), "status": status, "error": error}),
        );
    }
    let _ = writeln!(stderr(), "error: {error:#}");
    Ok(status)
}
