//! Reading: links are followed, within the root, whoever made them.

use super::cause::Cause;
use super::resolve::{Place, Route, open_in};
use super::tree::read_all;
use super::{Kind, Metadata, System};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, ResolveFlag, readlinkat};
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

    /// The content of a file that will be written back, and what it was read from. It is reached as
    /// [`System::write`] reaches it, so that nobody can have a file read with the rights of this process and
    /// its content put where they can see it: through no link of another user, and not if it has other names
    /// that another user may have made.
    pub fn read_to_write(&self, path: impl AsRef<Path>) -> Result<Option<(Metadata, Vec<u8>)>> {
        let path = path.as_ref();
        self.try_read_to_write(path).with_context(|| format!("cannot read {}", path.display()))
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

    fn try_read_to_write(&self, path: &Path) -> Result<Option<(Metadata, Vec<u8>)>> {
        let route = Route { follow_last: true, any_link: false, parents: None };
        let place = self.tree.resolve(&self.base, path, route, &mut Vec::new())?;
        let Some(Place { dir, name: Some(name), found: Some(found) }) = place else { return Ok(None) };
        if found.kind() != Kind::File {
            bail!("it is {}, not a file", found.kind());
        }
        if !self.tree.is_disk() {
            return Ok(Some((found.metadata, self.tree.content(&dir, &name)?)));
        }
        let file = self.tree.open_file(&dir, &name)?;
        let stat = fstat(&file).map_err(Cause)?;
        let found = self.tree.found(&stat);
        if found.kind() != Kind::File {
            bail!("it is {}, not a file", found.kind());
        }
        if found.shared && self.tree.is_exposed(&dir)? {
            bail!("it has other names (hard links), and others may write to its directory: remove it first");
        }
        Ok(Some((found.metadata, read_all(file.as_fd(), &stat)?)))
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
    fn open(&self, path: &Path, flags: OFlag) -> Result<Option<OwnedFd>, Cause> {
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
    use crate::system::scratch::{Scratch, is_root};
    use nix::fcntl::{AT_FDCWD, AtFlags};

    #[test]
    fn what_will_be_written_back_is_read_through_no_link_that_a_user_made() {
        let scratch = Scratch::new();
        scratch.put("/etc/shadow", "secret", 0o600);
        scratch.put("/home/u/own", "own", 0o600);
        scratch.link("/etc/shadow", "/home/u/link");
        scratch.link("/etc", "/home/u/dir");
        let (shadow, hard) = (scratch.at("/etc/shadow"), scratch.at("/home/u/hard"));
        nix::unistd::linkat(AT_FDCWD, &shadow, AT_FDCWD, &hard, AtFlags::empty()).unwrap();
        for sys in [scratch.apply(), scratch.plan()] {
            assert_eq!(sys.read_to_write("/home/u/link").unwrap().unwrap().1, b"secret", "a link of root");
            assert!(sys.read_to_write("/home/u/none").unwrap().is_none());
            assert!(sys.read_to_write("/etc").is_err(), "a directory");
        }
        if !is_root("links of other users") {
            return;
        }
        for path in ["/home/u", "/home/u/own", "/home/u/link", "/home/u/dir"] {
            scratch.chown(path, 1234);
        }
        let sys = scratch.apply();
        let (metadata, content) = sys.read_to_write("/home/u/own").unwrap().unwrap();
        assert_eq!((metadata.owner.uid, content.as_slice()), (1234, &b"own"[..]));
        for path in ["/home/u/link", "/home/u/dir/shadow", "/home/u/hard"] {
            let error = format!("{:#}", sys.read_to_write(path).unwrap_err());
            assert!(error.contains("cannot read /home/u/") && !error.contains("secret"), "{error}");
        }
    }
}
