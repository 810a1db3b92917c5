//! From a path to a place: the directory that holds its last name.
//!
//! **Invariants:** no path leads out of the root: the kernel resolves it with `RESOLVE_IN_ROOT`, or it is
//! walked one name at a time along open directories, never through a link that the walk did not read itself.
//! What is about to be changed is never reached through a link that somebody else could have put there.

use super::cause::Cause;
use super::metadata::Attributes;
use super::tree::{Dir, Found, Tree, absolute};
use super::{Kind, Metadata, Owner};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, openat2};
use std::ffi::{OsStr, OsString};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// As many links as the kernel follows in one path.
const MAX_LINKS: usize = 40;

/// How to get from a path to a place.
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// Whether a link in the last place is followed.
    pub(super) follow_last: bool,
    /// Whether links are followed whoever made them: for reading only.
    pub(super) any_link: bool,
    /// What directories get that are missing on the way; when nothing is given, none is made.
    pub(super) parents: Option<Attributes>,
}

/// Where a path leads.
pub(super) struct Place {
    /// The directory.
    pub(super) dir: Dir,
    /// The name in it; nothing when the path leads to the directory itself, like `/` or `..`.
    pub(super) name: Option<OsString>,
    /// What stands there.
    pub(super) found: Option<Found>,
}

impl Place {
    /// Its path from the root, without links.
    pub(super) fn path(&self) -> PathBuf {
        self.name.as_ref().map_or_else(|| self.dir.path.clone(), |name| self.dir.path.join(name))
    }

    /// The name; the root itself has none.
    pub(super) fn name(&self) -> Result<&OsStr> {
        self.name.as_deref().context("the path does not end in a name")
    }
}

/// openat2(2) below a directory, with `..` and absolute links staying in it. Magic links such as
/// `/proc/self/fd/1` are refused: they lead anywhere.
pub(super) fn open_in(
    root: BorrowedFd<'_>,
    path: &Path,
    flags: OFlag,
    resolve: ResolveFlag,
) -> nix::Result<OwnedFd> {
    let inside = ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve | inside);
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let mut attempts = 0;
    loop {
        match openat2(root, path, how) {
            // A rename or a mount anywhere on the machine, while `..` was resolved.
            Err(Errno::EAGAIN) if attempts < 1000 => attempts += 1,
            Err(Errno::EINTR) => {}
            result => return result,
        }
    }
}

impl Tree {
    /// Finds the place. Nothing is returned when a directory on the way is missing and none is to be made.
    /// Directories that were made are added to `made`, also when an error follows.
    pub(super) fn resolve(
        &self,
        base: &Dir,
        path: &Path,
        route: Route,
        made: &mut Vec<PathBuf>,
    ) -> Result<Option<Place>> {
        if self.is_disk()
            && let Some(name) = path.file_name()
        {
            let parent = path.parent().unwrap_or(Path::new(""));
            let flags = OFlag::O_PATH | OFlag::O_DIRECTORY;
            match open_in(base.handle()?, parent, flags, ResolveFlag::RESOLVE_NO_SYMLINKS) {
                Ok(handle) => {
                    let dir = Dir::open(without_parents(&base.path, parent), handle);
                    let found = self.look(&dir, name)?;
                    if !(route.follow_last && found.is_some_and(|found| found.kind() == Kind::Symlink)) {
                        return Ok(Some(Place { dir, name: Some(name.to_owned()), found }));
                    }
                }
                Err(Errno::ENOENT) if route.parents.is_none() => return Ok(None),
                // A link, or something that the walk can name.
                Err(_) => {}
            }
        }
        self.walk(base, path, route, made)
    }

    /// The same one name at a time, for paths with links or missing directories, and for plans.
    fn walk(&self, base: &Dir, path: &Path, route: Route, made: &mut Vec<PathBuf>) -> Result<Option<Place>> {
        let mut above: Vec<Dir> = Vec::new();
        let mut dir = base.clone();
        let mut rest: Vec<OsString> = Vec::new();
        push(&mut rest, path);
        let mut links = 0;
        while let Some(name) = rest.pop() {
            if name == "/" {
                dir = above.drain(..).next().unwrap_or(dir);
                continue;
            }
            if name == ".." {
                dir = above.pop().unwrap_or(dir);
                continue;
            }
            let shown = || dir.path.join(&name).display().to_string();
            let found = self.look(&dir, &name).with_context(shown)?;
            let last = rest.is_empty();
            match found.map(|found| (found, found.kind())) {
                Some((link, Kind::Symlink)) if !last || route.follow_last => {
                    links += 1;
                    if links > MAX_LINKS {
                        return Err(Cause(Errno::ELOOP).into());
                    }
                    if !route.any_link {
                        self.check_link(&dir, &name, &link)?;
                    }
                    push(&mut rest, &self.target(&dir, &name).with_context(shown)?);
                }
                found if last => {
                    return Ok(Some(Place { dir, name: Some(name), found: found.map(|(found, _)| found) }));
                }
                Some((_, Kind::Directory)) => {
                    let next = self.enter(&dir, &name).with_context(shown)?;
                    above.push(std::mem::replace(&mut dir, next));
                }
                Some((_, kind)) => match route.parents {
                    Some(_) => bail!("{} is {kind}, not a directory", shown()),
                    None => return Ok(None),
                },
                None => {
                    let Some(attributes) = route.parents else { return Ok(None) };
                    let next = self.make_dir(&dir, &name, attributes).with_context(shown)?;
                    made.push(next.path.clone());
                    above.push(std::mem::replace(&mut dir, next));
                }
            }
        }
        let found = Some(self.look_at(&dir)?);
        Ok(Some(Place { dir, name: None, found }))
    }

    /// Refuses a link that somebody else could have put there, and could turn elsewhere at any time: one that
    /// does not belong to root or to the user of this process, or in a directory where others may replace it.
    fn check_link(&self, dir: &Dir, name: &OsStr, link: &Found) -> Result<()> {
        let holder = self.look_at(dir)?.metadata;
        let path = dir.path.join(name);
        let path = path.display();
        for (owner, what) in [(link.metadata.owner, "it"), (holder.owner, "its directory")] {
            if !self.trusts(owner) {
                let uid = owner.uid;
                bail!(
                    "the link {path} is not followed, because {what} belongs to user {uid}: name its target"
                );
            }
        }
        // In a sticky directory others cannot replace the link, but may have added it as another name of one
        // of root's.
        let sticky = holder.mode & 0o1000 != 0;
        if self.others_may_write(&holder) && (!sticky || link.shared) {
            bail!(
                "the link {path} is not followed, because others may write to its directory: name its target"
            );
        }
        Ok(())
    }

    /// Whether the mode lets others write than the owner, root's group and the group of this process.
    pub(super) fn others_may_write(&self, holder: &Metadata) -> bool {
        let trusted_group = holder.owner.gid == 0 || holder.owner.gid == self.effective.gid;
        holder.mode & 0o002 != 0 || (holder.mode & 0o020 != 0 && !trusted_group)
    }

    /// Whether the owner could only do what this process can do as well. In a user namespace, the files of
    /// users from outside belong to nobody, and this process has no more power over them than anybody else.
    pub(super) fn trusts(&self, owner: Owner) -> bool {
        let Owner { uid, .. } = owner;
        uid == 0
            || uid == self.effective.uid
            || uid == self.process.uid
            || (uid == 65534 && self.is_namespaced())
    }

    /// Whether not every user exists here, so that some appear as the overflow user.
    fn is_namespaced(&self) -> bool {
        let map = self.host.kernel_file(Path::new("/proc/self/uid_map")).ok().flatten().unwrap_or_default();
        let map = String::from_utf8_lossy(&map);
        let users: u64 =
            map.lines().filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok()).sum();
        users != 0 && users < u64::from(u32::MAX)
    }
}

/// Puts the names of a path on the stack, the first on top.
fn push(rest: &mut Vec<OsString>, path: &Path) {
    rest.extend(path.components().rev().filter_map(|component| match component {
        Component::CurDir | Component::Prefix(_) => None,
        other => Some(other.as_os_str().to_owned()),
    }));
}

/// A path below a directory with each `..` taken away along with the name before it, which is right where no
/// link is involved.
fn without_parents(base: &Path, path: &Path) -> PathBuf {
    let mut result = base.to_owned();
    let mut depth = 0;
    for component in absolute(path).components() {
        match component {
            Component::Normal(name) => {
                result.push(name);
                depth += 1;
            }
            Component::ParentDir if depth > 0 => {
                result.pop();
                depth -= 1;
            }
            _ => {}
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use crate::system::scratch::{Scratch, is_root, skipped};
    use crate::system::{File, System};

    fn refused<T: std::fmt::Debug>(result: anyhow::Result<T>, parts: &[&str]) {
        let error = format!("{:#}", result.unwrap_err());
        assert!(parts.iter().all(|part| error.contains(part)) && !error.contains('\n'), "{error}");
    }

    /// Applies and plans the same, and returns the tree to which it was applied.
    fn both(prepare: impl Fn(&Scratch), act: impl Fn(&System)) -> Scratch {
        let (real, planned) = (Scratch::new(), Scratch::new());
        prepare(&real);
        prepare(&planned);
        act(&real.apply());
        act(&planned.plan());
        real
    }

    #[test]
    fn no_path_leads_out_of_the_root() {
        let real = both(
            |scratch| {
                scratch.dir("/etc", 0o755);
                scratch.link("/etc", "/absolute");
                scratch.link("../../../../../../etc", "/etc/up");
            },
            |sys| {
                sys.write(File::new("../../etc/passwd", "1")).unwrap();
                sys.write(File::new("/../../../etc/group", "2")).unwrap();
                sys.write(File::new("/absolute/shadow", "3")).unwrap();
                sys.write(File::new("/etc/up/hosts", "4")).unwrap();
                assert_eq!(sys.read_text("/etc/up/../../../etc/hosts").unwrap().as_deref(), Some("4"));
                assert_eq!(sys.read_dir("/absolute").unwrap().unwrap().len(), 5);
            },
        );
        assert_eq!(real.names("/etc"), ["group", "hosts", "passwd", "shadow", "up"]);
        assert_eq!(real.names("/"), ["absolute", "etc"]);
    }

    #[test]
    fn a_loop_of_links_is_one_clear_error_for_reading_and_writing() {
        both(
            |scratch| {
                scratch.link("b", "/a");
                scratch.link("a", "/b");
            },
            |sys| {
                refused(sys.write(File::new("/a", "")), &["cannot write /a", "loop"]);
                refused(sys.write(File::new("/a/c", "")), &["cannot write /a/c", "loop"]);
                refused(sys.read("/a"), &["cannot read /a", "loop"]);
                assert_eq!(sys.read_link("/a").unwrap().unwrap().to_str(), Some("b"));
            },
        );
    }

    #[test]
    fn a_file_in_the_place_of_a_directory_is_named() {
        both(
            |scratch| scratch.put("/etc/conf", "", 0o644),
            |sys| {
                refused(sys.write(File::new("/etc/conf/d/x", "")), &["/etc/conf is a file, not a directory"]);
                refused(sys.create_dir("/etc/conf/d", None, None), &["/etc/conf is a file"]);
                assert_eq!(sys.read("/etc/conf/d").unwrap(), None);
                assert!(!sys.remove("/etc/conf/d").unwrap());
            },
        );
    }

    #[test]
    fn a_link_in_a_directory_that_others_may_write_to_is_read_but_not_written_through() {
        both(
            |scratch| {
                scratch.put("/real/file", "text", 0o644);
                scratch.dir("/open", 0o777);
                scratch.dir("/tmp", 0o1777);
                for dir in ["open", "tmp"] {
                    scratch.link("/real", &format!("/{dir}/link"));
                    scratch.link("/real/file", &format!("/{dir}/file"));
                }
                scratch.link("/real/file", "/own");
                std::fs::hard_link(scratch.at("/own"), scratch.at("/tmp/another-name")).unwrap();
            },
            |sys| {
                let why = ["the link /open/link is not followed", "others may write"];
                refused(sys.write(File::new("/open/link/file", "x")), &why);
                refused(sys.create_dir("/open/link/sub", None, None), &why);
                refused(sys.symlink("x", "/open/link/sub", false), &why);
                refused(sys.remove("/open/link/file"), &why);
                refused(sys.set_attributes("/open/link/file", Some(0o600), None), &why);
                refused(sys.write(File::new("/open/file", "x")), &["the link /open/file"]);
                assert_eq!(sys.read_text("/open/link/file").unwrap().as_deref(), Some("text"));
                refused(sys.write(File::new("/tmp/another-name", "x")), &["the link /tmp/another-name"]);
                assert!(sys.write(File::new("/tmp/link/file", "y")).unwrap());
                assert!(sys.write(File::new("/tmp/file", "z")).unwrap());
            },
        );
    }

    #[test]
    fn root_follows_no_link_of_a_user_nor_one_in_a_directory_of_a_user() {
        if !is_root("links that belong to users") {
            return;
        }
        let real = both(
            |scratch| {
                scratch.put("/etc/shadow", "secret", 0o600);
                scratch.dir("/home/user", 0o755);
                scratch.link("/etc", "/home/user/.ssh");
                scratch.chown("/home/user/.ssh", 1000);
                scratch.link("/etc/shadow", "/home/user/by-root");
                scratch.chown("/home/user", 1000);
                scratch.link("/etc", "/of-user");
                scratch.chown("/of-user", 1000);
            },
            |sys| {
                let write = |path: &str| sys.write(File::new(path, "evil"));
                refused(
                    write("/home/user/.ssh/shadow"),
                    &["link /home/user/.ssh ", "it belongs to user 1000"],
                );
                refused(write("/home/user/by-root"), &["its directory belongs to user 1000"]);
                refused(write("/of-user/shadow"), &["the link /of-user is not followed"]);
                assert!(sys.write(File::new("/home/user/by-root", "mine").replace_link()).unwrap());
            },
        );
        assert_eq!(real.text("/etc/shadow"), "secret");
        assert_eq!(real.text("/home/user/by-root"), "mine");
    }

    #[test]
    fn in_a_user_namespace_the_links_of_the_root_outside_are_followed() {
        use crate::system::{Live, Mode};
        // `/bin` is such a link on most machines; nobody owns it in there.
        let name = "system::resolve::tests::in_a_user_namespace_the_links_of_the_root_outside_are_followed";
        if std::env::var_os("COSETTE_TEST_NAMESPACE").is_none() {
            let unshare = || {
                let mut command = std::process::Command::new("unshare");
                command.arg("-Ur");
                command
            };
            if !unshare().arg("true").output().is_ok_and(|output| output.status.success()) {
                return skipped("links in a user namespace", "unshare -Ur fails");
            }
            let mut again = unshare();
            again.arg(std::env::current_exe().unwrap()).args(["--exact", name]);
            assert!(again.env("COSETTE_TEST_NAMESPACE", "").status().unwrap().success());
            return;
        }
        let sys = System::new("/".as_ref(), std::sync::Arc::new(Live), Mode::Plan).unwrap();
        assert!(sys.write(File::new("/bin/cosette-test", "")).unwrap());
        assert!(sys.exists("/bin/cosette-test").unwrap());
    }

    #[test]
    fn a_directory_that_is_swapped_for_a_link_meanwhile_does_not_lead_out() {
        use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};
        let (scratch, outside) = (Scratch::new(), Scratch::new());
        scratch.dir("/a/dir", 0o777);
        scratch.dir("/a", 0o777);
        std::os::unix::fs::symlink(outside.root(), scratch.at("/a/link")).unwrap();
        let (dir, link) = (scratch.at("/a/dir"), scratch.at("/a/link"));
        std::thread::scope(|scope| {
            let swap = || renameat2(AT_FDCWD, &dir, AT_FDCWD, &link, RenameFlags::RENAME_EXCHANGE);
            let swapper = scope.spawn(move || (0..20_000).try_for_each(|_| swap()).unwrap());
            let sys = scratch.apply();
            let mut written = 0;
            for count in 0.. {
                // Refused or written into the directory, wherever that is now.
                written += usize::from(sys.write(File::new("/a/dir/file", format!("{count}"))).is_ok());
                if swapper.is_finished() {
                    break;
                }
            }
            assert!(written > 0);
        });
        assert!(outside.names("/").is_empty());
    }

    #[test]
    fn strange_paths_are_errors_that_name_them() {
        let long = "x".repeat(300);
        both(
            |_| {},
            |sys| {
                refused(sys.write(File::new(&long, "")), &["the path is too long"]);
                refused(sys.write(File::new("/", "")), &["cannot write /"]);
                refused(sys.write(File::new("/a\0b", "")), &["cannot write /a"]);
                refused(sys.remove("/"), &["a root cannot be removed"]);
                assert!(!sys.create_dir("/", None, None).unwrap());
                assert!(sys.metadata("/").unwrap().is_some());
            },
        );
    }
}
