//! The machine that this process runs on.
#![allow(
    clippy::disallowed_methods,
    reason = "this is where the kernel, the clock and the environment are asked"
)]

use super::block_device::BlockDevice;
use super::cause::Cause;
use super::http::{Client, Settings};
use super::{
    Command, Directory, Disk, DiskAccess, Door, Host, Image, InUse, Interrupted, Journal, Limits, Module,
    Mounted, NewMount, Output, Owner, ServiceManager, Systemd, journal, process, stop, sys,
};
use crate::disk::devices::Mount;
use anyhow::{Context as _, Result, anyhow, bail};
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::unistd::{Gid, Uid, fchownat};
use std::ffi::{CString, OsString};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// The client, once something was fetched: certificates are read only once.
static CLIENT: Mutex<Option<Client>> = Mutex::new(None);

/// The running machine, for real.
#[derive(Clone, Copy, Debug, Default)]
pub struct Live;

impl Host for Live {
    fn run(&self, root: &Path, command: &Command) -> Result<Output> {
        process::run(root, command, &stop::REQUEST, process::GRACE)
    }

    fn hostname(&self) -> Result<String> {
        let name = nix::unistd::gethostname().context("cannot ask for the host name")?;
        Ok(name.to_string_lossy().into_owned())
    }

    fn set_hostname(&self, name: &str) -> Result<()> {
        nix::unistd::sethostname(name).map_err(Cause).context("cannot set the host name")
    }

    fn kernel_file(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let read = |path: &Path| {
            let mut content = Vec::new();
            std::fs::File::open(path)?.take(super::tree::READ_LIMIT).read_to_end(&mut content)?;
            Ok(content)
        };
        of_kernel(path, read)
    }

    fn kernel_dir(&self, path: &Path) -> Result<Option<Vec<OsString>>> {
        of_kernel(path, |path| {
            let entries = std::fs::read_dir(path)?.map(|entry| Ok(entry?.file_name()));
            let mut names = entries.collect::<std::io::Result<Vec<_>>>()?;
            names.sort_unstable();
            Ok(names)
        })
    }

    fn kernel_link(&self, path: &Path) -> Result<Option<PathBuf>> {
        of_kernel(path, |path| std::fs::read_link(path))
    }

    fn set_kernel_parameter(&self, path: &Path, value: &str) -> Result<()> {
        if !path.starts_with("/proc/sys") || path.components().any(|part| part == Component::ParentDir) {
            bail!("{} is no parameter of the kernel", path.display());
        }
        let file = std::fs::OpenOptions::new().write(true).open(path);
        file.and_then(|mut file| file.write_all(format!("{value}\n").as_bytes())).map_err(|error| match error
            .raw_os_error()
            .map(Errno::from_raw)
        {
            Some(Errno::EINVAL | Errno::ERANGE) => anyhow!("the kernel does not take this value"),
            Some(Errno::EISDIR) => anyhow!("it is a group of parameters, not one"),
            Some(Errno::EROFS) => anyhow!("/proc/sys is read-only here, as it is in containers"),
            Some(Errno::EACCES | Errno::EPERM) => {
                anyhow!("the kernel does not let this process change it; root may be needed")
            }
            _ => error.into(),
        })
    }

    fn client(&self) -> Result<Client> {
        let mut set_up = CLIENT.lock().unwrap_or_else(PoisonError::into_inner);
        match &*set_up {
            Some(client) => Ok(client.clone()),
            None => {
                Ok(set_up.insert(Client::new(&Settings::default(), &|name| self.variable(name))?).clone())
            }
        }
    }

    fn pause(&self, duration: Duration) -> Result<(), Interrupted> {
        stop::pause(duration)
    }

    fn load_module(&self, module: &Module) -> Result<bool> {
        let parameters = CString::new(module.parameters).context("a parameter holds a zero byte")?;
        let loaded = match module.image {
            Image::File(file) => sys::load_module(file, &parameters, false),
            Image::Packed(file) => sys::load_module(file, &parameters, true),
            Image::Bytes(bytes) => sys::load_module_image(bytes, &parameters),
        };
        match loaded {
            Ok(()) => Ok(true),
            Err(Errno::EEXIST) => Ok(false),
            Err(error) => {
                let says = |path: &str, what: &str| {
                    let content = self.kernel_file(Path::new(path)).ok().flatten().unwrap_or_default();
                    String::from_utf8_lossy(&content).contains(what)
                };
                if error == Errno::EPERM && says("/proc/sys/kernel/modules_disabled", "1") {
                    bail!("no module can be loaded until the next boot (kernel.modules_disabled)");
                }
                let locked = says("/sys/kernel/security/lockdown", "[integrity]")
                    || says("/sys/kernel/security/lockdown", "[confidentiality]");
                if error == Errno::EPERM && locked {
                    bail!("the kernel is locked down, and accepts only signed modules: kernel_lockdown(7)");
                }
                Err(super::module::Refused(error).into())
            }
        }
    }

    fn systemd(&self) -> Result<Systemd> {
        // As systemctl(1) does it: the bus may not be there yet, and asking for it may start it, which is a
        // job that waits for others.
        let private = Door::private("/run/systemd/private");
        let bus = Door::bus("/run/dbus/system_bus_socket");
        let doors = if nix::unistd::geteuid().is_root() { vec![private, bus] } else { vec![bus] };
        Systemd::connect(&doors, Limits::default())
    }

    fn journal(&self) -> Option<Journal> {
        let stream = self.variable("JOURNAL_STREAM");
        let is_stream = |file: BorrowedFd<'_>| journal::is_stream(stream.as_deref(), file);
        if !is_stream(std::io::stderr().as_fd()) {
            return None;
        }
        let has_output = is_stream(std::io::stdout().as_fd());
        Journal::open(Path::new("/run/systemd/journal/socket"), has_output, self).ok()
    }

    fn service_manager(&self) -> Option<ServiceManager> {
        ServiceManager::open(&self.variable("NOTIFY_SOCKET")?).ok()
    }

    fn log_to_kernel(&self, line: &str) {
        /// Of the facility of daemons, and a notice.
        const PRIORITY: u8 = 3 << 3 | 5;
        /// The kernel takes no more at once.
        const LONGEST: usize = 900;
        let line: String = line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let line = &line[..line.floor_char_boundary(LONGEST)];
        let record = format!("<{PRIORITY}>cosette: {line}\n");
        let log =
            std::fs::OpenOptions::new().write(true).custom_flags(OFlag::O_NOCTTY.bits()).open("/dev/kmsg");
        // There is nobody else to tell.
        let _ = log.and_then(|mut log| log.write_all(record.as_bytes()));
    }

    fn open_disk(&self, path: &Path, access: DiskAccess) -> Result<Box<dyn Disk>> {
        Ok(Box::new(BlockDevice::open(path, access)?))
    }

    fn grow_file_system(&self, device: &Path, kind: &str) -> Result<bool> {
        super::block_device::grow_file_system(self, device, kind)
    }

    fn mount_detached(&self, device: &Path, kind: &str, read_only: bool) -> Result<OwnedFd> {
        let kind = CString::new(kind)?;
        let device = CString::new(device.as_os_str().as_bytes())?;
        let options = [(c"source", Some(&*device)), (c"ro", None)];
        let (options, restrictions) = match read_only {
            true => (&options[..], sys::Restrictions::All),
            false => (&options[..1], sys::Restrictions::Inert),
        };
        sys::new_mount(&kind, options, restrictions).map_err(mount_failure)
    }

    fn mount_image(&self, file: BorrowedFd<'_>, kind: &str) -> Result<OwnedFd> {
        // The mount keeps the device, which is gone with it.
        let (_device, path) = super::loop_device::attach(file)?;
        self.mount_detached(&path, kind, true)
    }

    fn mount(&self, new: &NewMount, at: BorrowedFd<'_>) -> Result<()> {
        let mount = match new {
            NewMount::Tmpfs { size } => {
                let size = CString::new(*size)?;
                let options =
                    [(c"source", Some(c"tmpfs")), (c"size", Some(&*size)), (c"mode", Some(c"0755"))];
                sys::new_mount(c"tmpfs", &options, sys::Restrictions::None)
            }
            NewMount::Device { device, kind, read_only } => {
                let (kind, device) = (CString::new(*kind)?, CString::new(device.as_os_str().as_bytes())?);
                let options = [(c"source", Some(&*device)), (c"ro", None)];
                let restrictions =
                    if *read_only { sys::Restrictions::ReadOnly } else { sys::Restrictions::None };
                match sys::new_mount(&kind, &options[..1 + usize::from(*read_only)], restrictions) {
                    // Somebody writes to it. So nothing is written from this place only.
                    Err(Errno::EBUSY) if *read_only => sys::new_mount(&kind, &options[..1], restrictions),
                    mounted => mounted,
                }
            }
            // Layers by descriptor: nobody can turn them elsewhere, and paths would need escapes that kernels
            // disagree on.
            NewMount::Overlay { lower, upper, work } => {
                let path =
                    |dir: &Directory| CString::new(format!("/proc/self/fd/{}", dir.as_fd().as_raw_fd()));
                let (lower, upper, work) = (path(lower)?, path(upper)?, path(work)?);
                let options = [
                    (c"source", Some(c"overlay")),
                    (c"lowerdir", Some(&*lower)),
                    (c"upperdir", Some(&*upper)),
                    (c"workdir", Some(&*work)),
                    // Changes are kept while the image below them becomes another one.
                    (c"index", Some(c"off")),
                ];
                sys::new_mount(c"overlay", &options, sys::Restrictions::None)
            }
            NewMount::Bind { directory } => sys::clone_mount(directory.as_fd()),
        };
        let mount = mount.map_err(mount_failure)?;
        sys::place_mount(mount.as_fd(), at).map_err(mount_failure)
    }

    fn mounted(&self, directory: BorrowedFd<'_>) -> Result<Mounted> {
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
        let above =
            nix::fcntl::openat(directory, c"..", flags, nix::sys::stat::Mode::empty()).map_err(Cause)?;
        let id = |directory: BorrowedFd<'_>| -> Result<u64> {
            let info = format!("/proc/self/fdinfo/{}", directory.as_raw_fd());
            let info = self.kernel_file(Path::new(&info))?.unwrap_or_default();
            let info = String::from_utf8_lossy(&info);
            let id = info.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
            id.context("the kernel does not tell what is mounted")
        };
        let number = id(directory)?;
        let is_point = number != id(above.as_fd())?;
        let table = self.kernel_file(Path::new("/proc/self/mountinfo"))?.unwrap_or_default();
        let mount = Mount::table(&table).into_iter().find(|mount| mount.id == number);
        let mount = mount.context("the kernel does not show what is mounted")?;
        Ok(Mounted { kind: mount.kind, source: mount.source, read_only: mount.read_only, is_point })
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        std::env::var_os(name)
    }

    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    /// # Panics
    /// When the kernel has no randomness to give, which it has since before openat2(2).
    fn random(&self, buffer: &mut [u8]) {
        if let Err(error) = sys::random(buffer) {
            panic!("the kernel gives no random bytes: {}", error.desc());
        }
    }

    fn set_owner(&self, file: BorrowedFd<'_>, owner: Owner) -> Result<()> {
        let (uid, gid) = (Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)));
        let result = fchownat(file, c"", uid, gid, AtFlags::AT_EMPTY_PATH);
        let context = match result {
            Err(Errno::EINVAL) => "this user namespace has no such user or group",
            _ => "the owner cannot be set",
        };
        result.map_err(Cause).context(context)
    }

    fn owner(&self, _device: u64, _inode: u64, found: Owner) -> Owner {
        found
    }

    fn architecture(&self) -> &'static str {
        let little = cfg!(target_endian = "little");
        match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "x86" => "386",
            "aarch64" => "arm64",
            "loongarch64" => "loong64",
            "powerpc64" if little => "ppc64le",
            "powerpc64" => "ppc64",
            "mips64" if little => "mips64le",
            other => other,
        }
    }
}

/// Why something cannot be mounted.
fn mount_failure(error: Errno) -> anyhow::Error {
    match error {
        Errno::EPERM => anyhow!("mounting is not permitted: it takes root, outside of containers"),
        Errno::ENODEV => {
            anyhow!("the kernel has no such file system: name its module in `modules` of an earlier step")
        }
        Errno::EBUSY => InUse.into(),
        Errno::EUCLEAN => anyhow!("the file system is damaged: check it with fsck"),
        other => Cause(other).into(),
    }
}

/// Reads something below `/proc` or `/sys`; nothing when there is none.
fn of_kernel<T>(path: &Path, read: impl Fn(&Path) -> std::io::Result<T>) -> Result<Option<T>> {
    if !path.starts_with("/proc") && !path.starts_with("/sys") {
        bail!("{} is no file of the kernel", path.display());
    }
    match read(path) {
        Ok(value) => Ok(Some(value)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        // A link that is none, and a process that has ended meanwhile.
        Err(error) if error.raw_os_error() == Some(Errno::ESRCH as i32) => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_asked_below_proc_and_sys_only_and_what_is_missing_is_nothing() {
        let text = |path: &str| Live.kernel_file(Path::new(path)).unwrap();
        assert!(text("/proc/self/status").unwrap().starts_with(b"Name:"));
        assert_eq!((text("/proc/none"), text("/proc/version/none")), (None, None));
        assert!(Live.kernel_file(Path::new("/etc/passwd")).is_err());
        let names = Live.kernel_dir(Path::new("/proc/self/ns")).unwrap().unwrap();
        assert!(names.is_sorted() && names.contains(&"uts".into()));
        assert_eq!(Live.kernel_dir(Path::new("/sys/none")).unwrap(), None);
        let link = Live.kernel_link(Path::new("/proc/self")).unwrap().unwrap();
        assert_eq!(link.to_str().unwrap(), std::process::id().to_string());
        assert_eq!(Live.kernel_link(Path::new("/proc/none")).unwrap(), None);
    }

    #[test]
    fn parameters_of_the_kernel_are_written_below_proc_sys_only_and_refusals_say_what_to_do() {
        let set = |path: &str, value: &str| {
            Live.set_kernel_parameter(Path::new(path), value).map_err(|error| format!("{error:#}"))
        };
        for outside in ["/proc/self/comm", "/etc/passwd", "/proc/sys/../self/comm"] {
            assert!(set(outside, "x").unwrap_err().ends_with("is no parameter of the kernel"));
        }
        let path = "/proc/sys/kernel/panic";
        let value = String::from_utf8(Live.kernel_file(Path::new(path)).unwrap().unwrap()).unwrap();
        match set(path, value.trim()) {
            Ok(()) => {
                assert_eq!(set(path, "x").unwrap_err(), "the kernel does not take this value");
                assert_eq!(set("/proc/sys/kernel", "x").unwrap_err(), "it is a group of parameters, not one");
            }
            Err(refusal) => {
                eprintln!("SKIPPED: parameters of the kernel cannot be set here: {refusal}");
                assert!(refusal.contains("root may be needed") || refusal.contains("read-only here"));
            }
        }
    }

    #[test]
    fn what_is_no_module_is_refused_in_a_sentence() {
        let file = tempfile::tempfile().unwrap();
        for image in [Image::Bytes(b"no module"), Image::File(file.as_fd()), Image::Packed(file.as_fd())] {
            let module = Module { name: "none", image, parameters: "" };
            let refusal = Live.load_module(&module).unwrap_err().to_string();
            let sentences = [
                "no modul",
                "not permitted",
                "locked down",
                "no module can be loaded",
                "refuses it",
                "see the",
            ];
            assert!(sentences.iter().any(|part| refusal.contains(part)), "{refusal}");
        }
    }

    #[test]
    fn the_process_is_what_it_is() {
        let mut bytes = [0; 64];
        Live.random(&mut bytes);
        assert_ne!(bytes, [0; 64]);
        assert!(!Live.hostname().unwrap().is_empty());
        assert!(Live.variable("PATH").is_some() && Live.variable("COSETTE_NO_SUCH_VARIABLE").is_none());
        assert!(Live.now() > SystemTime::UNIX_EPOCH);
        assert!(!Live.architecture().contains("x86_"));
        assert!(Live.lives_in(Path::new("/")) && !Live.lives_in(Path::new("/mnt")));
    }
}
