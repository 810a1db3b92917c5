//! Loading modules into the running kernel.

use super::tree::read_all;
use super::{Command, NoProgram, System};
use crate::Action;
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::fstat;
use std::fmt;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

/// A pipe in the place of a module is not waited for.
const READ: OFlag = OFlag::O_RDONLY.union(OFlag::O_NONBLOCK).union(OFlag::O_NOCTTY);

/// Larger modules are not unpacked.
const LARGEST: u64 = 256 << 20;

/// A module to load.
#[derive(Clone, Copy)]
pub struct Module<'a> {
    /// Its name.
    pub name: &'a str,
    /// Where it is.
    pub image: Image<'a>,
    /// As the kernel takes them. They may hold secrets.
    pub parameters: &'a str,
}

/// The content of a module.
#[derive(Clone, Copy)]
pub enum Image<'a> {
    /// A file.
    File(BorrowedFd<'a>),
    /// A file that the kernel unpacks.
    Packed(BorrowedFd<'a>),
    /// What was unpacked.
    Bytes(&'a [u8]),
}

impl System {
    /// Records that a module is loaded, or built in, already.
    pub fn confirm_module(&self, name: &str) {
        self.push(Action::LoadModule, name.to_owned(), false, None);
    }

    /// Loads the module in a file into the running kernel, which must be that of the root. Whether it was
    /// loaded already, by somebody else meanwhile, makes no difference but for the effect.
    ///
    /// A file that is packed is unpacked by the kernel if it can do that; else here, or, if it is packed by xz, by
    /// insmod(8) of the root.
    pub fn load_module(&self, name: &str, path: &Path, parameters: &str) -> Result<()> {
        let load = || -> Result<bool> {
            let file = self.open(path, READ)?.context("there is no such file: run `depmod`")?;
            if self.tree.overlay.is_some() || self.host().only_says() {
                return Ok(true);
            }
            let load = |image| self.host().load_module(&Module { name, image, parameters });
            let Some(packing) = packing(path) else { return load(Image::File(file.as_fd())) };
            let unpacks = self.host().kernel_file(Path::new("/sys/module/compression"))?.unwrap_or_default();
            if unpacks.trim_ascii() == packing.as_bytes() {
                return load(Image::Packed(file.as_fd()));
            }
            match self.module_image(path)? {
                Some(image) => load(Image::Bytes(&image)),
                None => self.insmod(name, path, parameters),
            }
        };
        let changed = load().with_context(|| format!("cannot load `{name}` from {}", path.display()))?;
        self.push(Action::LoadModule, name.to_owned(), changed, None);
        Ok(())
    }

    /// The content of a module, unpacked; nothing if there is no file, or one that is packed by xz.
    pub fn module_image(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open(path, READ)? else { return Ok(None) };
        let content = read_all(file.as_fd(), &fstat(&file)?)?;
        match packing(path) {
            None => Ok(Some(content)),
            Some("gzip") => unpack(flate2::read::MultiGzDecoder::new(&*content)).map(Some),
            Some("zstd") => unpack(zstd::stream::read::Decoder::new(&*content)?).map(Some),
            Some(_) => Ok(None),
        }
    }

    fn insmod(&self, name: &str, path: &Path, parameters: &str) -> Result<bool> {
        let command = Command::new(format!("insmod {name}"), "insmod").argument(path);
        let command = parameters.split_ascii_whitespace().fold(command, Command::argument);
        match self.host().run(&self.absolute, &command) {
            Ok(output) if output.success() => Ok(true),
            Ok(output) => bail!("insmod ended with status {}; see the kernel log", output.status),
            Err(error) if error.is::<NoProgram>() => {
                bail!("the kernel cannot unpack it, and the root has no insmod, which can unpack xz")
            }
            Err(error) => Err(error),
        }
    }
}

/// How a file is packed, as the kernel calls it.
fn packing(path: &Path) -> Option<&'static str> {
    match path.extension()?.to_str()? {
        "gz" => Some("gzip"),
        "xz" => Some("xz"),
        "zst" => Some("zstd"),
        _ => None,
    }
}

fn unpack(packed: impl Read) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    packed.take(LARGEST + 1).read_to_end(&mut content).context("it cannot be unpacked")?;
    if content.len() as u64 > LARGEST {
        bail!("unpacked it is larger than 256 MiB");
    }
    Ok(content)
}

/// Why the kernel does not take a module, in words that say what to do.
#[derive(Debug)]
pub(crate) struct Refused(pub(crate) Errno);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            Errno::EPERM => "loading modules is not permitted: it takes root, outside of containers",
            Errno::ENOKEY | Errno::EKEYREJECTED | Errno::EBADMSG | Errno::ENOPKG => {
                "the kernel accepts only modules that are signed with a key that it trusts (Secure Boot, or \
                 module.sig_enforce)"
            }
            Errno::ENOEXEC => {
                "it is no module for this kernel, but for another version or architecture; see the kernel log"
            }
            Errno::EINVAL => "the kernel refuses it, mostly for the value of a parameter; see the kernel log",
            Errno::ENOENT => "it uses something that this kernel does not have; see the kernel log",
            Errno::ENODEV | Errno::ENXIO => "the device that it is for is not there",
            Errno::ENOSYS => "this kernel loads no modules",
            Errno::ENOMEM => "there is not enough memory",
            other => return write!(f, "{}; see the kernel log", other.desc()),
        })
    }
}

impl std::error::Error for Refused {}
