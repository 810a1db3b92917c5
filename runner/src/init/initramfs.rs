//! Building the initramfs of each kernel with dracut, and the links by which boot loaders find kernel and
//! initramfs.
//!
//! An initramfs is built when what goes into it has changed since: a file beside the other files of cosette says
//! what the last one was made from. It gets its name when it is complete.

use super::Findings;
use super::files::{DRACUT, UNITS};
use super::kernels::{self, Kernel};
use super::parts::BINARY;
use anyhow::{Context, Result, bail};
use cosette_plugins::System;
use cosette_plugins::system::{Command, File};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where dracut is installed.
const DRACUT_PROGRAMS: [&str; 2] = ["/usr/bin/dracut", "/usr/sbin/dracut"];

/// It compresses a hundred megabytes, perhaps on an emulated processor.
const TIME: Duration = Duration::from_secs(60 * 60);

/// Brings the initramfs of every kernel up to date.
pub(super) fn build(sys: &System, findings: &mut Findings) -> Result<()> {
    let kernels = kernels::find(sys)?;
    if kernels.is_empty() {
        findings.warnings.push("there is no kernel, and so there is no initramfs".to_owned());
        return Ok(());
    }
    let mut has_dracut = false;
    for program in DRACUT_PROGRAMS {
        has_dracut |= sys.exists(program)?;
    }
    if !has_dracut {
        bail!(
            "the initramfs cannot be built, because dracut is not installed: install it, or use `--without initramfs`"
        );
    }
    let made_from = inputs(sys)?;
    for kernel in &kernels {
        let built = build_one(sys, kernel, &made_from);
        findings.attempt(built.with_context(|| format!("cannot build the initramfs of {}", kernel.version)));
    }
    link(sys, &kernels)
}

/// What stands for everything of cosette in an initramfs.
fn inputs(sys: &System) -> Result<String> {
    let paths = UNITS.iter().chain(DRACUT).map(|file| file.path).chain([BINARY]);
    let mut all = Sha256::new();
    for path in paths {
        let mut content = Sha256::new();
        let found = sys.read_pieces(path, |piece| content.update(piece))?;
        all.update(path);
        all.update([0, u8::from(found)]);
        all.update(content.finalize());
    }
    let mut text = String::new();
    for byte in all.finalize() {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(text + "\n")
}

fn build_one(sys: &System, kernel: &Kernel, made_from: &str) -> Result<()> {
    let record = format!("/usr/lib/cosette/initramfs/{}", kernel.version);
    if sys.exists(&kernel.initramfs)? && sys.read_text(&record)?.as_deref() == Some(made_from) {
        return Ok(());
    }
    let new = format!("{}.new", kernel.initramfs);
    let dracut = Command::new(format!("dracut: {}", kernel.initramfs), "dracut")
        .argument("--force")
        .argument("--quiet")
        .argument("--add")
        .argument("cosette")
        .argument("--kver")
        .argument(&kernel.version)
        .argument(&new)
        .at_most(TIME);
    if let Some(output) = sys.run(&dracut)? {
        if !output.success() {
            let said = String::from_utf8_lossy(&output.tail);
            bail!("dracut ended with status {}; the end of its output:\n{}", output.status, end_of(&said));
        }
        if sys.metadata(&new)?.is_none_or(|found| found.size == 0) {
            bail!("dracut says that it is done, but there is no {new}");
        }
        sys.take_place(&new, &kernel.initramfs)?;
    }
    sys.write(File::new(record, made_from).mode(0o644))?;
    Ok(())
}

/// `/boot/vmlinuz` and `/boot/initrd`, for the kernel that the first leads to already, or else the newest.
fn link(sys: &System, kernels: &[Kernel]) -> Result<()> {
    let (vmlinuz, initrd) = (Path::new("/boot/vmlinuz"), Path::new("/boot/initrd"));
    let linked = sys.read_link(vmlinuz)?.map(|target| absolute(&target));
    let kernel = kernels.iter().find(|kernel| linked.as_deref() == Some(Path::new(&kernel.image)));
    let Some(kernel) = kernel.or(kernels.first()) else { return Ok(()) };
    sys.symlink(relative(&kernel.image), vmlinuz, false)?;
    sys.symlink(relative(&kernel.initramfs), initrd, false)?;
    Ok(())
}

/// The path that a link in `/boot` leads to.
fn absolute(target: &Path) -> PathBuf {
    match target.strip_prefix("..") {
        Ok(inside) => Path::new("/").join(inside),
        Err(_) => Path::new("/boot").join(target),
    }
}

/// The target of a link in `/boot`; relative, so that it is right wherever the image is mounted.
fn relative(path: &str) -> String {
    path.strip_prefix("/boot/").map_or_else(|| format!("..{path}"), str::to_owned)
}

fn end_of(said: &str) -> String {
    let lines: Vec<&str> = said.trim_end().lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
