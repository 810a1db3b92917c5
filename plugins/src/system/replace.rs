//! How the content of a file is put in place.
//!
//! **Invariants:** the old file stays whole until the new one, complete with mode, owner and content, takes
//! its name in one step; on any failure the temporary file is gone. Three kinds of files cannot be replaced
//! and are written in place instead: those of the kernel (`/proc`, `/sys`), files that are mount points
//! themselves (as containers have `/etc/hosts`), and such files in a read-only directory.

use super::cause::Cause;
use super::metadata::Attributes;
use super::resolve::Place;
use super::temporary::Temporary;
use super::tree::{Dir, Found, Tree, read, read_all};
use super::{Kind, Owner, sys};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FallocateFlags, OFlag, fallocate, openat};
use nix::sys::stat::{Mode as Bits, fchmod, fstat};
use nix::sys::statfs;
use nix::unistd::{UnlinkatFlags, Whence, fsync, ftruncate, lseek, syncfs};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A file that takes the place of another, or of nothing.
pub(super) struct Replacement<'a> {
    pub(super) content: &'a [u8],
    pub(super) attributes: Attributes,
    /// Whether somebody asked for this owner; one that is only kept may be one that cannot be set here.
    pub(super) owner_asked: bool,
    /// Whether it must survive a power cut from the moment it has its name.
    pub(super) durable: bool,
    /// Whether directories were made for it, which then must survive as well.
    pub(super) parents_made: bool,
}

impl Tree {
    /// Puts the file into its place on the disk.
    pub(super) fn replace(&self, place: &Place, new: &Replacement<'_>) -> Result<()> {
        let Place { dir, found, .. } = place;
        if let Some(found) = found
            && self.is_kernel(dir, found.device)?
        {
            return self.write_in_place(place, found, new, true);
        }
        match (self.try_replace(place, new), found) {
            (Err(error), Some(found)) if error.downcast_ref() == Some(&Cause(Errno::EBUSY)) => {
                self.write_in_place(place, found, new, false)
            }
            (Err(error), Some(found)) if error.downcast_ref() == Some(&Cause(Errno::EROFS)) => {
                self.write_in_place(place, found, new, false).map_err(|_| error)
            }
            (Err(_), None) if self.is_kernel_now(dir)? => bail!("the kernel has no such file"),
            (result, _) => result,
        }
    }

    fn try_replace(&self, place: &Place, new: &Replacement<'_>) -> Result<()> {
        self.put(place, new, |file| Ok(write_all(file, new.content).map(|()| true)?)).map(drop)
    }

    /// Has a temporary file filled, and puts it into its place if `fill` says so.
    pub(super) fn put(
        &self,
        place: &Place,
        new: &Replacement<'_>,
        fill: impl FnOnce(BorrowedFd<'_>) -> Result<bool>,
    ) -> Result<bool> {
        let parent = place.dir.handle()?;
        let name = place.name()?;
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let private = Bits::S_IRUSR | Bits::S_IWUSR;
        let (temporary, file) = Temporary::make(&self.names, parent, UnlinkatFlags::NoRemoveDir, |name| {
            openat(parent, name, flags, private)
        })?;
        let file = file.as_fd();
        if let Some(found) = place.found
            && found.kind() == Kind::File
        {
            // The list of a previous owner could let others read what they should not.
            let with_acl = found.metadata.owner == new.attributes.owner;
            copy_xattrs(&self.open_file(&place.dir, name), file, with_acl)?;
        }
        self.give_kept(file, new.attributes.owner, new.owner_asked)?;
        if !fill(file)? {
            return Ok(false);
        }
        // After the owner and the content, which both may take the setuid bit away.
        fchmod(file, Bits::from_bits_truncate(new.attributes.mode)).map_err(Cause)?;
        if new.durable {
            fsync(file).map_err(Cause)?;
        }
        temporary.take_place(name)?;
        self.touch(&place.dir)?;
        if new.durable {
            let dir =
                openat(parent, c".", OFlag::O_RDONLY | OFlag::O_CLOEXEC, Bits::empty()).map_err(Cause)?;
            if new.parents_made { syncfs(dir) } else { fsync(dir) }.map_err(Cause)?;
        }
        Ok(true)
    }

    /// Sets the owner. One that was only to be kept, but does not exist in this user namespace, is let go.
    fn give_kept(&self, file: BorrowedFd<'_>, owner: Owner, asked: bool) -> Result<()> {
        match self.give(file, owner) {
            Err(error) if !asked && error.downcast_ref() == Some(&Cause(Errno::EINVAL)) => Ok(()),
            result => result,
        }
    }

    /// Overwrites the file. The space for more content is taken first, and the old content put back if
    /// writing fails all the same.
    pub(super) fn write_in_place(
        &self,
        place: &Place,
        found: &Found,
        new: &Replacement<'_>,
        kernel: bool,
    ) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_NOFOLLOW | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let parent = place.dir.handle()?;
        let opened = openat(parent, place.name()?, flags, Bits::empty()).map_err(Cause)?;
        let file = opened.as_fd();
        if kernel {
            self.set(place, found, new.attributes)?;
            return write_all(file, new.content).context("the kernel refuses the value");
        }
        let old = self.open_file(&place.dir, place.name()?)?;
        let old = read_all(old.as_fd(), &fstat(&old).map_err(Cause)?)?;
        match fallocate(file, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, new.content.len().max(1) as i64) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => {}
            Err(error) => return Err(Cause(error).into()),
        }
        self.set(place, found, new.attributes)?;
        let written = write_all(file, new.content).and_then(|()| cut(file, new.content.len()));
        if let Err(error) = written {
            // The first error is the one to report, whatever comes of this.
            let _ = lseek(file, 0, Whence::SeekSet);
            let _ = write_all(file, &old).and_then(|()| cut(file, old.len()));
            return Err(error.into());
        }
        if new.attributes.mode & 0o6000 != 0 {
            fchmod(file, Bits::from_bits_truncate(new.attributes.mode)).map_err(Cause)?;
        }
        self.touch(&place.dir)?;
        if new.durable {
            fsync(file).map_err(Cause)?;
        }
        Ok(())
    }

    /// Whether the files of the device, seen in the directory, are the kernel's own. Asked once a device.
    pub(super) fn is_kernel(&self, dir: &Dir, device: u64) -> Result<bool, Cause> {
        if device == 0 {
            return Ok(false);
        }
        let known = self.kernel.borrow().iter().find(|(known, _)| *known == device).map(|(_, is)| *is);
        if let Some(is) = known {
            return Ok(is);
        }
        let is = self.is_kernel_now(dir)?;
        self.kernel.borrow_mut().push((device, is));
        Ok(is)
    }

    fn is_kernel_now(&self, dir: &Dir) -> Result<bool, Cause> {
        /// From linux/magic.h, those that nix has no name for.
        const CONFIGFS: i64 = 0x6265_6570;
        const PSTORE: i64 = 0x6165_676c;
        const EFIVARFS: i64 = 0xde5e_81e4;
        const BINFMT_MISC: i64 = 0x4249_4e4d;
        let Some(handle) = dir.on_disk() else { return Ok(false) };
        let kind = statfs::fstatfs(handle)?.filesystem_type();
        Ok([
            statfs::PROC_SUPER_MAGIC,
            statfs::SYSFS_MAGIC,
            statfs::CGROUP_SUPER_MAGIC,
            statfs::CGROUP2_SUPER_MAGIC,
            statfs::DEBUGFS_MAGIC,
            statfs::TRACEFS_MAGIC,
            statfs::SECURITYFS_MAGIC,
            statfs::SELINUX_MAGIC,
        ]
        .contains(&kind)
            || [CONFIGFS, PSTORE, EFIVARFS, BINFMT_MISC].contains(&(kind.0 as i64)))
    }
}

/// Whether the file has this content.
pub(super) fn has_content(file: BorrowedFd<'_>, mut content: &[u8]) -> Result<bool, Cause> {
    let mut buffer = vec![0; content.len().min(64 << 10)];
    while !content.is_empty() {
        let count = read(file, &mut buffer)?;
        match content.split_at_checked(count) {
            Some((head, tail)) if count > 0 && head == &buffer[..count] => content = tail,
            _ => return Ok(false),
        }
    }
    Ok(true)
}

pub(super) fn write_all(file: BorrowedFd<'_>, mut content: &[u8]) -> Result<(), Cause> {
    while !content.is_empty() {
        match nix::unistd::write(file, content) {
            Ok(0) => return Err(Cause(Errno::EIO)),
            Ok(count) => content = &content[count..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

pub(super) fn cut(file: BorrowedFd<'_>, length: usize) -> Result<(), Cause> {
    Ok(ftruncate(file, length as i64)?)
}

/// Takes over the labels of security modules, the access control list and the user's own attributes; not the
/// capabilities, which the kernel takes away as well when the content of a file changes.
fn copy_xattrs(old: &Result<OwnedFd, Cause>, new: BorrowedFd<'_>, with_acl: bool) -> Result<(), Cause> {
    // One that may not be read has nothing that could be copied.
    let Ok(old) = old else { return Ok(()) };
    let names = match sys::xattr_names(old.as_fd()) {
        Ok(names) => names,
        Err(Errno::EOPNOTSUPP) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for name in names {
        let wanted = match name.to_bytes() {
            b"security.selinux" | b"security.SMACK64" => true,
            b"system.posix_acl_access" => with_acl,
            other => other.starts_with(b"user."),
        };
        if !wanted {
            continue;
        }
        match sys::xattr(old.as_fd(), &name).and_then(|value| sys::set_xattr(new, &name, &value)) {
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENODATA) => {}
            // Labels may be set only as the policy has it.
            Err(Errno::EPERM | Errno::EACCES) if name.to_bytes().starts_with(b"security.") => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::Action;
    use crate::system::scratch::{Mounted, Scratch, is_root, skipped};
    use crate::system::{File, Live, Mode, Owner, System, sys};
    use std::os::fd::AsFd;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;
    use std::sync::Arc;

    fn error(result: anyhow::Result<bool>) -> String {
        format!("{:#}", result.unwrap_err())
    }

    #[test]
    fn a_full_disk_leaves_the_old_file_whole_and_nothing_else() {
        if !is_root("a full disk") {
            return;
        }
        let scratch = Scratch::new();
        let Some(_mounted) = Mounted::tmpfs(scratch.root(), "64k") else { return };
        scratch.put("/etc/file", "old", 0o644);
        let text = error(scratch.apply().write(File::new("/etc/file", vec![b'x'; 1 << 20])));
        assert_eq!(text, "cannot write /etc/file: no space is left on the file system; free some");
        assert_eq!((scratch.text("/etc/file").as_str(), scratch.names("/etc").len()), ("old", 1));
        assert!(scratch.apply().write(File::new("/etc/file", "new")).unwrap());
    }

    #[test]
    fn a_read_only_root_is_one_clear_error_and_what_is_so_already_is_none() {
        if !is_root("a read-only root") {
            return;
        }
        let scratch = Scratch::new();
        let Some(mounted) = Mounted::tmpfs(scratch.root(), "64k") else { return };
        scratch.put("/etc/file", "old", 0o644);
        mounted.read_only();
        let sys = scratch.apply();
        let why = "the file system is read-only; mount it writable first";
        assert_eq!(error(sys.write(File::new("/etc/file", "new"))), format!("cannot write /etc/file: {why}"));
        assert!(error(sys.write(File::new("/new/file", "new"))).ends_with(why));
        assert!(error(sys.create_dir("/new", None, None)).ends_with(why));
        assert!(error(sys.remove("/etc/file")).ends_with(why));
        assert!(error(sys.set_attributes("/etc/file", Some(0o600), None)).ends_with(why));
        assert!(!sys.write(File::new("/etc/file", "old")).unwrap());
        assert_eq!(scratch.text("/etc/file"), "old");
    }

    #[test]
    fn a_file_that_is_a_mount_point_is_written_in_place() {
        if !is_root("a file that is a mount point") {
            return;
        }
        let scratch = Scratch::new();
        scratch.put("/real", "a longer old text", 0o644);
        scratch.put("/etc/hosts", "", 0o644);
        let Some(_mounted) = Mounted::bind(&scratch.at("/real"), &scratch.at("/etc/hosts")) else { return };
        let sys = scratch.apply();
        assert!(sys.write(File::new("/etc/hosts", "new").mode(0o640).durable()).unwrap());
        assert!(!sys.write(File::new("/etc/hosts", "new")).unwrap());
        assert_eq!((scratch.text("/real").as_str(), scratch.mode("/real")), ("new", 0o640));
        assert_eq!(scratch.names("/etc"), ["hosts"]);
    }

    #[test]
    fn a_mount_point_in_a_read_only_directory_or_on_a_full_disk_keeps_its_content_or_gets_the_new_one() {
        if !is_root("a file that is a mount point") {
            return;
        }
        let scratch = Scratch::new();
        scratch.dir("/small", 0o755);
        scratch.dir("/etc", 0o755);
        let Some(_small) = Mounted::tmpfs(&scratch.at("/small"), "64k") else { return };
        let Some(etc) = Mounted::tmpfs(&scratch.at("/etc"), "4m") else { return };
        scratch.put("/small/hosts", "old", 0o644);
        std::fs::write(scratch.at("/etc/hosts"), "").unwrap();
        let Some(_bound) = Mounted::bind(&scratch.at("/small/hosts"), &scratch.at("/etc/hosts")) else {
            return;
        };
        let sys = scratch.apply();
        let text = error(sys.write(File::new("/etc/hosts", vec![b'x'; 1 << 20])));
        assert!(text.contains("no space is left"), "{text}");
        assert_eq!((scratch.text("/etc/hosts").as_str(), scratch.names("/etc").len()), ("old", 1));
        etc.read_only();
        assert!(sys.write(File::new("/etc/hosts", "new")).unwrap());
        assert_eq!(scratch.text("/small/hosts"), "new");
    }

    #[test]
    fn a_file_of_the_kernel_is_written_in_place_and_compared_without_its_newline() {
        let sys = System::new(Path::new("/"), Arc::new(Live), Mode::Apply).unwrap();
        let file = || File::new("/proc/self/comm", "a-name");
        let before = sys.read("/proc/self/comm").unwrap().unwrap();
        sys.write(file()).unwrap();
        assert_eq!(sys.read("/proc/self/comm").unwrap().unwrap(), b"a-name\n");
        sys.take_effects();
        assert!(!sys.write(file()).unwrap());
        assert_eq!(sys.take_effects()[0].action, Action::Write);
        sys.write(File::new("/proc/self/comm", before)).unwrap();
        let text = error(sys.write(File::new("/proc/self/nothing", "x")));
        assert_eq!(text, "cannot write /proc/self/nothing: the kernel has no such file");
    }

    #[test]
    fn extended_attributes_are_kept() {
        let scratch = Scratch::new();
        scratch.put("/f", "old", 0o644);
        let open = || std::fs::File::open(scratch.at("/f")).unwrap();
        if let Err(error) = sys::set_xattr(open().as_fd(), c"user.test", b"kept") {
            skipped("extended attributes", &format!("the temporary directory has none: {error}"));
            return;
        }
        scratch.apply().write(File::new("/f", "new")).unwrap();
        assert_eq!(scratch.text("/f"), "new");
        assert_eq!(sys::xattr(open().as_fd(), c"user.test").unwrap(), b"kept");
    }

    #[test]
    fn another_name_of_a_file_in_a_directory_of_a_user_is_not_given_away() {
        if !is_root("hard links of users") {
            return;
        }
        let scratch = Scratch::new();
        scratch.put("/shadow", "secret", 0o600);
        scratch.dir("/home", 0o755);
        std::fs::hard_link(scratch.at("/shadow"), scratch.at("/home/keys")).unwrap();
        scratch.chown("/home", 1000);
        let sys = scratch.apply();
        let user = Owner { uid: 1000, gid: 1000 };
        let text = error(sys.set_attributes("/home/keys", None, Some(user)));
        assert!(text.contains("hard links"), "{text}");
        // A file that is written gets a new inode instead, even though its content is the same.
        assert!(sys.write(File::new("/home/keys", "secret").owner(user)).unwrap());
        let owner = |path: &str| std::fs::metadata(scratch.at(path)).unwrap().uid();
        assert_eq!((owner("/shadow"), owner("/home/keys")), (0, 1000));
    }

    #[test]
    fn a_durable_file_and_a_sync_succeed_and_leave_nothing_open_or_behind() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        sys.write(File::new("/var/lib/state", "1").durable()).unwrap();
        sys.write(File::new("/var/lib/state", "2").durable()).unwrap();
        sys.remove("/var/lib/state").unwrap();
        std::fs::remove_dir_all(scratch.at("/var")).unwrap();
        sys.sync().unwrap();
        sys.sync().unwrap();
    }
}
