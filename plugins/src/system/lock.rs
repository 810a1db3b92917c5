//! Locks on files below the root.
//!
//! Each is both a flock(2) lock, as `flock` takes it, and a lock on the open file description (fcntl(2)), which
//! excludes those whom lckpwdf(3) makes wait: `passwd`, `useradd`, systemd.

use super::cause::Cause;
use super::metadata::Attributes;
use super::resolve::{Place, Route};
use super::tree::absolute;
use super::{Host, Kind, Mode, System, stop};
use anyhow::{Context as _, Result, bail};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, Flock, FlockArg, OFlag, fcntl, openat};
use nix::libc;
use nix::sys::stat::{Mode as Bits, fstat};
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

/// How long to wait for a lock, and how often to ask.
const PATIENCE: Duration = Duration::from_secs(5);
const INTERVAL: Duration = Duration::from_millis(50);

/// A lock that is held until this is dropped.
#[derive(Debug)]
pub struct Lock {
    _held: Option<Flock<OwnedFd>>,
}

/// Somebody else holds a lock: who, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held(pub String);

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} holds it", self.0)
    }
}

impl std::error::Error for Held {}

impl System {
    /// Takes the lock on a file below the root (made if missing, never removed), waiting up to five seconds;
    /// it is released when the guard is dropped. Without effect in plan mode.
    pub fn lock(&self, path: impl AsRef<Path>) -> Result<Lock> {
        let path = absolute(path.as_ref());
        if self.mode() == Mode::Plan {
            return Ok(Lock { _held: None });
        }
        let held = self.take(&path, PATIENCE).with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Lock { _held: Some(held) })
    }

    /// Takes the lock at once, or fails: [`Held`] says by whom it is held. Without effect in plan mode.
    pub fn lock_at_once(&self, path: impl AsRef<Path>) -> Result<Lock> {
        let path = absolute(path.as_ref());
        if self.mode() == Mode::Plan {
            return Ok(Lock { _held: None });
        }
        let held =
            self.take(&path, Duration::ZERO).with_context(|| format!("cannot lock {}", path.display()))?;
        Ok(Lock { _held: Some(held) })
    }

    /// Who holds the lock on a file, if anybody does. It is not taken for that.
    pub fn lock_holder(&self, path: impl AsRef<Path>) -> Result<Option<String>> {
        let path = absolute(path.as_ref());
        let route = Route { follow_last: false, any_link: false, parents: None };
        let ask = || -> Result<Option<String>> {
            let place = self.tree.resolve(&self.base, &path, route, &mut Vec::new())?;
            let Some(place @ Place { found: Some(found), .. }) = place else { return Ok(None) };
            if found.kind() != Kind::File || found.is_planned() {
                return Ok(None);
            }
            let file = self.tree.open_file(&place.dir, place.name()?)?;
            let mut lock = whole(libc::F_WRLCK);
            fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock)).map_err(Cause)?;
            let is_held = lock.l_type != libc::F_UNLCK as libc::c_short;
            Ok(is_held.then(|| holder(self.host(), file.as_fd())))
        };
        ask().with_context(|| format!("cannot tell who holds {}", path.display()))
    }

    fn take(&self, path: &Path, patience: Duration) -> Result<Flock<OwnedFd>> {
        let parents = Attributes { mode: 0o755, owner: self.tree.effective };
        let route = Route { follow_last: false, any_link: false, parents: Some(parents) };
        let (place, _) = self.reach(path, route)?;
        if let Some(found) = &place.found
            && found.kind() != Kind::File
        {
            bail!("{} stands there", found.kind());
        }
        let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
        let private = Bits::S_IRUSR | Bits::S_IWUSR;
        let mut file = openat(place.dir.handle()?, place.name()?, flags, private).map_err(Cause)?;
        let mut waited = Duration::ZERO;
        loop {
            match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
                Ok(held) => match lock_description(held.as_fd()) {
                    Ok(()) => return Ok(held),
                    Err(Errno::EAGAIN | Errno::EACCES) => {
                        file = held.unlock().map_err(|(_, error)| Cause(error))?;
                    }
                    Err(error) => return Err(Cause(error).into()),
                },
                Err((unlocked, Errno::EAGAIN | Errno::EINTR)) => file = unlocked,
                Err((_, error)) => return Err(Cause(error).into()),
            }
            stop::check()?;
            if waited >= patience {
                let holder = holder(self.host(), file.as_fd());
                if patience.is_zero() {
                    return Err(Held(holder).into());
                }
                bail!("{holder} has held it for {} s", patience.as_secs());
            }
            std::thread::sleep(INTERVAL);
            waited += INTERVAL;
        }
    }
}

/// Locks the open file description as a whole.
fn lock_description(file: BorrowedFd<'_>) -> nix::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK))).map(drop)
}

/// A lock on all of a file.
fn whole(kind: libc::c_int) -> libc::flock {
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

/// Who holds a lock on the file, as far as the kernel tells.
fn holder(host: &dyn Host, file: BorrowedFd<'_>) -> String {
    let text = |path: &Path| {
        let content = host.kernel_file(path).ok().flatten().unwrap_or_default();
        String::from_utf8_lossy(&content).into_owned()
    };
    let Ok(stat) = fstat(file) else { return "somebody".to_owned() };
    let locks = text(Path::new("/proc/locks"));
    let Some(process) = process_with_lock(&locks, stat.st_ino) else {
        return "somebody".to_owned();
    };
    let name = text(Path::new(&format!("/proc/{process}/comm")));
    format!("process {process} ({})", name.trim_end())
}

/// The process in a line of `/proc/locks`: `1: FLOCK  ADVISORY  WRITE 4242 08:01:1234 0 EOF`. The device is not
/// compared: what stat(2) says of it differs on btrfs and overlayfs.
fn process_with_lock(locks: &str, inode: u64) -> Option<u32> {
    // An arrow marks those who wait for it.
    locks.lines().filter(|line| !line.contains("->")).find_map(|line| {
        let mut fields = line.split_whitespace().skip_while(|field| *field != "WRITE").skip(1);
        let process = fields.next()?.parse::<u32>().ok()?;
        let found: u64 = fields.next()?.rsplit(':').next()?.parse().ok()?;
        (found == inode && process != 0).then_some(process)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::scratch::Scratch;

    #[test]
    fn a_lock_keeps_others_out_until_it_is_dropped_and_its_file_stays() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        let path = Path::new("/run/lock/it");
        let held = sys.lock(path).unwrap();
        let error = format!("{:#}", sys.take(path, INTERVAL).unwrap_err());
        let me = format!("process {}", std::process::id());
        assert!(error.contains(&me), "{error}");
        drop(held);
        // Patiently: a process that another test is just starting has the file open until it is another program.
        sys.lock(path).unwrap();
        assert_eq!(
            (scratch.names("/run/lock"), scratch.mode("/run/lock/it")),
            (vec!["it".to_owned()], 0o600)
        );
    }

    #[test]
    fn a_lock_excludes_those_who_use_fcntl_alone() {
        let scratch = Scratch::new();
        scratch.put("/etc/.pwd.lock", "", 0o600);
        let file = std::fs::OpenOptions::new().write(true).open(scratch.at("/etc/.pwd.lock")).unwrap();
        lock_description(file.as_fd()).unwrap();
        let sys = scratch.apply();
        assert!(sys.take(Path::new("/etc/.pwd.lock"), Duration::ZERO).is_err());
        drop(file);
        sys.lock("/etc/.pwd.lock").unwrap();
    }

    #[test]
    fn a_lock_that_is_held_is_refused_at_once_and_who_holds_it_can_be_asked() {
        let scratch = Scratch::new();
        let sys = scratch.apply();
        assert_eq!(sys.lock_holder("/run/it").unwrap(), None);
        let held = sys.lock_at_once("/run/it").unwrap();
        let me = format!("process {}", std::process::id());
        let error = sys.lock_at_once("/run/it").unwrap_err();
        assert!(error.downcast_ref::<Held>().unwrap().0.contains(&me), "{error:#}");
        assert!(scratch.plan().lock_holder("/run/it").unwrap().unwrap().contains(&me));
        drop(held);
        assert_eq!(sys.lock_holder("/run/it").unwrap(), None);
    }

    #[test]
    fn a_plan_takes_no_lock_and_makes_no_file() {
        let scratch = Scratch::new();
        scratch.plan().lock("/run/lock/it").unwrap();
        assert!(scratch.names("/").is_empty());
    }

    #[test]
    fn the_holder_is_read_from_the_list_of_locks() {
        let locks = "1: FLOCK  ADVISORY  WRITE 8 fd:00:5 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 7 fd:00:5 0 EOF\n\
                     2: OFDLCK ADVISORY  WRITE -1 fd:00:6 0 EOF\n3: FLOCK  ADVISORY  WRITE 9 fd:00:6 0 EOF\n";
        assert_eq!((process_with_lock(locks, 5), process_with_lock(locks, 6)), (Some(8), Some(9)));
        assert_eq!(process_with_lock(locks, 7), None);
    }
}
