//! Reading: links are followed, within the root, whoever made them.

use super::cause::Cause;
use super::resolve::{Place, Route, open_in};
use super::tree::read_all;
use super::{Kind, Metadata, System};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, PosixFadviseAdvice, ResolveFlag, posix_fadvise, readlinkat};
use nix::sys::stat::fstat;
use std::ffi::OsString;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// A thing that is not there is `None`, not an error.
impl System {
    /// The content of a file (at most 64 MiB).
    pub fn read(&self, path: impl AsRef<Path>) -> Result<Option<Vec<u8>>> {
        let path = path.as_ref();
        self.try_read(path).with_context(|| format!("cannot read {}", path.display()))
    }

    /// The content of a file as text; bytes that are not UTF-8 are an error.
    pub fn read_text(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        let path = path.as_ref();
        let Some(bytes) = self.read(path)? else { return Ok(None) };
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let byte = error.utf8_error().valid_up_to();
                bail!("{} is not UTF-8 text (at byte {byte})", path.display())
            }
        }
    }

    /// What stands at the path, links followed.
    pub fn metadata(&self, path: impl AsRef<Path>) -> Result<Option<Metadata>> {
        let path = path.as_ref();
        self.look(path, true).with_context(|| format!("cannot look at {}", path.display()))
    }

    /// What stands at the path, a link itself.
    pub fn symlink_metadata(&self, path: impl AsRef<Path>) -> Result<Option<Metadata>> {
        let path = path.as_ref();
        self.look(path, false).with_context(|| format!("cannot look at {}", path.display()))
    }

    /// Whether something stands at the path, links followed.
    pub fn exists(&self, path: impl AsRef<Path>) -> Result<bool> {
        Ok(self.metadata(path)?.is_some())
    }

    /// The target of a link; `None` when there is nothing or no link.
    pub fn read_link(&self, path: impl AsRef<Path>) -> Result<Option<PathBuf>> {
        let path = path.as_ref();
        self.try_read_link(path).with_context(|| format!("cannot read the link {}", path.display()))
    }

    /// The names in a directory, in byte order.
    pub fn read_dir(&self, path: impl AsRef<Path>) -> Result<Option<Vec<OsString>>> {
        let path = path.as_ref();
        self.try_read_dir(path).with_context(|| format!("cannot list {}", path.display()))
    }

    /// A file of the disk, to be read piece by piece; what a plan has written is not seen.
    pub(crate) fn open_file(&self, path: &Path) -> Result<Option<std::fs::File>> {
        let open = || -> Result<Option<std::fs::File>> {
            let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
            let Some(file) = self.open(path, flags)? else { return Ok(None) };
            match Metadata::of(&fstat(&file).map_err(Cause)?).kind {
                Kind::File => Ok(Some(file.into())),
                kind => bail!("it is {kind}, not a file"),
            }
        };
        open().with_context(|| format!("cannot read {}", path.display()))
    }

    /// Has the kernel read a file of the disk that will be wanted soon, while this process goes on. It is advice: nothing is
    /// said of a file that is not there.
    pub fn read_ahead(&self, path: impl AsRef<Path>) {
        if let Ok(Some(file)) = self.open_file(path.as_ref()) {
            let _ = posix_fadvise(&file, 0, 0, PosixFadviseAdvice::POSIX_FADV_WILLNEED);
        }
    }

    fn try_read(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        if self.tree.is_disk() {
            let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
            let Some(file) = self.open(path, flags)? else { return Ok(None) };
            let stat = fstat(&file).map_err(Cause)?;
            return match Metadata::of(&stat).kind {
                Kind::File => Ok(Some(read_all(file.as_fd(), &stat)?)),
                kind => bail!("it is {kind}, not a file"),
            };
        }
        let Some(Place { dir, name, found: Some(found) }) = self.find(path, true)? else {
            return Ok(None);
        };
        match (name, found.kind()) {
            (Some(name), Kind::File) => Ok(Some(self.tree.content(&dir, &name)?)),
            (_, kind) => bail!("it is {kind}, not a file"),
        }
    }

    fn look(&self, path: &Path, follow: bool) -> Result<Option<Metadata>> {
        if self.tree.is_disk() {
            let flags = if follow { OFlag::O_PATH } else { OFlag::O_PATH | OFlag::O_NOFOLLOW };
            let Some(handle) = self.open(path, flags)? else { return Ok(None) };
            return Ok(Some(self.tree.found(&fstat(handle).map_err(Cause)?).metadata));
        }
        Ok(self.find(path, follow)?.and_then(|place| place.found).map(|found| found.metadata))
    }

    fn try_read_link(&self, path: &Path) -> Result<Option<PathBuf>> {
        if self.tree.is_disk() {
            let Some(handle) = self.open(path, OFlag::O_PATH | OFlag::O_NOFOLLOW)? else { return Ok(None) };
            return match readlinkat(handle, c"") {
                Ok(target) => Ok(Some(target.into())),
                // What the kernel says of a handle that is no link.
                Err(Errno::ENOENT | Errno::EINVAL) => Ok(None),
                Err(error) => Err(Cause(error).into()),
            };
        }
        match self.find(path, false)? {
            Some(Place { dir, name: Some(name), found: Some(found) }) if found.kind() == Kind::Symlink => {
                Ok(Some(self.tree.target(&dir, &name)?))
            }
            _ => Ok(None),
        }
    }

    fn try_read_dir(&self, path: &Path) -> Result<Option<Vec<OsString>>> {
        let Some(Place { dir, name, found: Some(found) }) = self.find(path, true)? else {
            return Ok(None);
        };
        if found.kind() != Kind::Directory {
            bail!("it is {}, not a directory", found.kind());
        }
        let dir = match name {
            Some(name) => self.tree.enter(&dir, &name)?,
            None => dir,
        };
        Ok(Some(self.tree.names(&dir)?))
    }

    /// Opens what the disk has, links followed within the root.
    pub(super) fn open(&self, path: &Path, flags: OFlag) -> Result<Option<OwnedFd>, Cause> {
        match open_in(self.base.handle()?, path, flags, ResolveFlag::empty()) {
            Ok(file) => Ok(Some(file)),
            Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    fn find(&self, path: &Path, follow_last: bool) -> Result<Option<Place>> {
        let route = Route { follow_last, any_link: true, parents: None };
        self.tree.resolve(&self.base, path, route, &mut Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::Scratch;
    use crate::system::{Command, File};

    #[test]
    fn what_is_there_is_read_and_what_is_not_is_none() {
        let scratch = Scratch::new();
        scratch.put("/etc/big", &"0123456789".repeat(100_000), 0o644);
        scratch.put("/etc/small", "text", 0o640);
        scratch.put("/etc/empty", "", 0o644);
        scratch.put("/etc/b", "", 0o644);
        scratch.link("small", "/etc/link");
        scratch.link("none", "/etc/dangling");
        std::fs::write(scratch.at("/etc/binary"), b"ab\xff").unwrap();
        for sys in [scratch.apply(), scratch.plan()] {
            assert_eq!(sys.read("/etc/big").unwrap().unwrap().len(), 1_000_000);
            assert_eq!(sys.read_text("etc/link").unwrap().as_deref(), Some("text"));
            assert_eq!(sys.read("/etc/empty").unwrap(), Some(Vec::new()));
            for missing in ["/etc/none", "/none/at/all", "/etc/small/below", "/etc/dangling"] {
                assert_eq!(sys.read(missing).unwrap(), None);
                assert!(!sys.exists(missing).unwrap());
                assert_eq!(sys.read_dir(missing).unwrap(), None);
            }
            let names = ["b", "big", "binary", "dangling", "empty", "link", "small"].map(OsString::from);
            assert_eq!(sys.read_dir("/etc/").unwrap().unwrap(), names);
            let (through, link) =
                (sys.metadata("/etc/link").unwrap(), sys.symlink_metadata("/etc/link").unwrap());
            let (through, link) = (through.unwrap(), link.unwrap());
            assert_eq!((through.kind, through.mode, through.size), (Kind::File, 0o640, 4));
            assert_eq!((link.kind, link.size), (Kind::Symlink, 5));
            assert_eq!(sys.read_link("/etc/link").unwrap().unwrap(), Path::new("small"));
            assert_eq!(sys.read_link("/etc/small").unwrap(), None);
            assert_eq!(sys.read_link("/etc/none").unwrap(), None);
            let binary = sys.read_text("/etc/binary").unwrap_err().to_string();
            assert_eq!(binary, "/etc/binary is not UTF-8 text (at byte 2)");
            let dir = format!("{:#}", sys.read("/etc").unwrap_err());
            assert_eq!(dir, "cannot read /etc: it is a directory, not a file");
            assert!(sys.read_dir("/etc/small").is_err());
        }
    }

    #[test]
    fn a_pipe_is_no_file_and_is_not_waited_for() {
        let scratch = Scratch::new();
        nix::unistd::mkfifo(&scratch.at("/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        for sys in [scratch.apply(), scratch.plan()] {
            assert!(sys.read("/pipe").is_err());
            assert_eq!(sys.metadata("/pipe").unwrap().unwrap().kind, Kind::Other);
        }
    }

    #[test]
    fn a_file_above_the_limit_is_an_error() {
        let scratch = Scratch::new();
        scratch.put("/big", "", 0o644);
        let file = std::fs::OpenOptions::new().write(true).open(scratch.at("/big")).unwrap();
        file.set_len((64 << 20) + 1).unwrap();
        let error = format!("{:#}", scratch.apply().read("/big").unwrap_err());
        assert_eq!(error, "cannot read /big: the file is larger than 64 MiB");
    }

    #[test]
    fn a_shell_is_found_once_it_is_there_and_a_plan_runs_nothing() {
        let scratch = Scratch::new();
        for sys in [scratch.plan(), scratch.apply()] {
            assert!(!sys.has_shell());
            sys.write(File::new("/usr/bin/dash", "").mode(0o755)).unwrap();
            sys.symlink("dash", "/usr/bin/sh", false).unwrap();
            sys.symlink("usr/bin", "/bin", false).unwrap();
            assert!(sys.has_shell());
        }
        let marker = scratch.at("/marker");
        let line = format!("touch {}", marker.display());
        assert_eq!(scratch.plan().run(&Command::shell("touch", line)).unwrap(), None);
        assert!(!marker.exists());
    }

    #[test]
    fn the_host_name_of_a_plan_is_remembered_and_another_root_has_none() {
        use crate::system::{Live, Mode, System};
        let machine = System::new(Path::new("/"), std::sync::Arc::new(Live), Mode::Plan).unwrap();
        let before = machine.hostname().unwrap();
        assert!(machine.set_hostname("a-name-of-tests").unwrap());
        assert!(!machine.set_hostname("a-name-of-tests").unwrap());
        assert_eq!(machine.hostname().unwrap(), "a-name-of-tests");
        assert_eq!(machine.host().hostname().unwrap(), before);
        let sys = Scratch::new().apply();
        assert!(!sys.set_hostname("a-name-of-tests").unwrap());
        assert!(sys.take_effects().is_empty());
        assert_eq!(machine.host().hostname().unwrap(), before);
    }
}
