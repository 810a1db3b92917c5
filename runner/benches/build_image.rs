//! From a source to the image of a system, as an upgrade does it, for `build-image.sh`: build_image SOURCE DIRECTORY FILE_SYSTEM
//!
//! Without arguments, as `cargo bench` runs it, it does nothing.
#![allow(clippy::print_stdout, reason = "it is what this is for")]

use anyhow::{Context as _, Result};
use cosette::lifecycle::acquire::acquire;
use cosette::lifecycle::image_file::{self, FileSystem, ImageSpec};
use cosette_plugins::System;
use cosette_plugins::image::{Policy, Request, Source, resolve};
use cosette_plugins::system::{Live, Mode};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [source, directory, file_system] = &arguments[..] else { return Ok(()) };
    let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply)?;
    let request = Request { source: Source::parse(source)?, platform: None, insecure: None };
    let resolved = resolve(&sys, &request, &Policy::default())?;
    let (tree, image) = (Path::new(directory).join("tree"), Path::new(directory).join("image"));
    let mut begun = Instant::now();
    let mut lap = |what: &str| {
        println!("{:.2} s {what}", begun.elapsed().as_secs_f64());
        begun = Instant::now();
    };
    acquire(&sys, &resolved, &tree, &mut ())?;
    lap("acquiring");
    let file_system = FileSystem::named(file_system).context("no such file system")?;
    let mut phase = None;
    let spec = ImageSpec::new(file_system, "COS_ACTIVE");
    let built = image_file::build(&sys, &tree, &spec, &image, &mut |next| {
        if let Some(phase) = phase.replace(next) {
            lap(&format!("{phase}"));
        }
    })?;
    lap(&phase.map_or(String::new(), |phase| phase.to_string()));
    println!("{} bytes, {}", built.bytes, built.digest);
    Ok(())
}
