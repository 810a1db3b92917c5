//! Reading a file whose content will be written back.

use super::cause::Cause;
use super::resolve::{Place, Route};
use super::tree::{Found, read_all};
use super::{Kind, Metadata, System};
use anyhow::{Context as _, Result, bail};
use nix::sys::stat::fstat;
use std::os::fd::AsFd;
use std::path::Path;

impl System {
    /// The content of a file that will be written back, and what it was read from. It is reached as
    /// [`System::write`] reaches it, so that nobody can have a file read with the rights of this process and
    /// its content put where they can see it: through no link of another user, and not if it has other names
    /// that another user may have made.
    pub fn read_to_write(&self, path: impl AsRef<Path>) -> Result<Option<(Metadata, Vec<u8>)>> {
        let path = path.as_ref();
        self.try_read_to_write(path).with_context(|| format!("cannot read {}", path.display()))
    }

    fn try_read_to_write(&self, path: &Path) -> Result<Option<(Metadata, Vec<u8>)>> {
        let route = Route { follow_last: true, any_link: false, parents: None };
        let place = self.tree.resolve(&self.base, path, route, &mut Vec::new())?;
        let Some(Place { dir, name, found: Some(found) }) = place else { return Ok(None) };
        let Some(name) = name else { bail!("it is {}, not a file", found.kind()) };
        let check = |found: &Found| -> Result<()> {
            if found.kind() != Kind::File {
                bail!("it is {}, not a file", found.kind());
            }
            if found.shared && self.tree.is_exposed(&dir)? {
                bail!(
                    "it has other names (hard links), and others may write to its directory: remove it first"
                );
            }
            Ok(())
        };
        check(&found)?;
        if !self.tree.is_disk() {
            return Ok(Some((found.metadata, self.tree.content(&dir, &name)?)));
        }
        // What was found may have been replaced meanwhile; what is open may not.
        let file = self.tree.open_file(&dir, &name)?;
        let stat = fstat(&file).map_err(Cause)?;
        let found = self.tree.found(&stat);
        check(&found)?;
        Ok(Some((found.metadata, read_all(file.as_fd(), &stat)?)))
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
        for sys in [scratch.apply(), scratch.plan()] {
            let (metadata, content) = sys.read_to_write("/home/u/own").unwrap().unwrap();
            assert_eq!((metadata.owner.uid, content.as_slice()), (1234, &b"own"[..]));
            for path in ["/home/u/link", "/home/u/dir/shadow", "/home/u/hard"] {
                let error = format!("{:#}", sys.read_to_write(path).unwrap_err());
                assert!(error.contains("cannot read /home/u/") && !error.contains("secret"), "{error}");
            }
        }
    }
}
