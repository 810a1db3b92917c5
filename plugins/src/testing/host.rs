//! A host whose kernel, processes, clock and randomness are pretended.

use super::FakeDisk;
use super::disk::FakePartition;
use crate::system::http::{Client, Settings};
use crate::system::{
    Command, Disk, DiskAccess, Door, Host, Image, Interrupted, Journal, Limits, Module, Mounted, NewMount,
    Output, Owner, Refused, ServiceManager, Systemd,
};
use anyhow::{Context as _, Error, Result, bail};
use nix::errno::Errno;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::net::SocketAddr;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, SystemTime};

/// A host on which it is always 2026-01-02 03:04:05 UTC, random bytes repeat from run to run, and commands
/// succeed without doing anything (but for `false` and `exit N`) unless an answer is set. Servers are asked for
/// real, but nobody waits between two tries.
#[derive(Debug, Default)]
pub struct FakeHost {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    hostname: String,
    lives_here: bool,
    only_says: bool,
    commands: Vec<String>,
    answers: Vec<(String, Output)>,
    refusals: Vec<(String, fn() -> Error)>,
    kernel: BTreeMap<PathBuf, Vec<u8>>,
    refused_parameters: BTreeSet<PathBuf>,
    modules: Vec<String>,
    /// What disks show when they are mounted.
    shown: BTreeMap<PathBuf, PathBuf>,
    block_devices: BTreeMap<PathBuf, FakeDisk>,
    grown: BTreeSet<PathBuf>,
    refused_modules: BTreeMap<String, Errno>,
    links: BTreeMap<PathBuf, PathBuf>,
    variables: HashMap<String, OsString>,
    owners: HashMap<(u64, u64), Owner>,
    random: u64,
    network: Settings,
    /// The client with these settings, once something was fetched.
    client: Option<Client>,
    pauses: Vec<Duration>,
    log: Vec<String>,
    journal: Option<PathBuf>,
    service_manager: Option<PathBuf>,
    mounts: HashMap<(u64, u64), Mounted>,
    refused_devices: BTreeSet<PathBuf>,
    systemd: Option<(PathBuf, Limits)>,
}

impl FakeHost {
    /// A machine called `machine`.
    pub fn new() -> Self {
        let host = Self::default();
        host.state().hostname = "machine".to_owned();
        host.state().network.names = Some(Vec::new());
        host
    }

    /// Commands whose shell-quoted line contains `part` end like this from now on.
    pub fn answer(&self, part: &str, status: i32, stdout: &str) {
        let output = Output { status, stdout: stdout.into(), tail: stdout.into() };
        self.state().answers.push((part.to_owned(), output));
    }

    /// Commands whose shell-quoted line contains `part` cannot be run from now on, for this reason.
    pub fn refuse(&self, part: &str, reason: fn() -> Error) {
        self.state().refusals.push((part.to_owned(), reason));
    }

    /// From now on this machine lives in whatever tree it is asked about.
    pub fn live_here(&self) {
        self.state().lives_here = true;
    }

    /// From now on this is a view of the machine that lives in whatever tree it is asked about.
    pub fn be_a_view(&self) {
        self.live_here();
        self.state().only_says = true;
    }

    /// From now on standard output and standard error lead to the journal that listens at this socket.
    pub fn journal_at(&self, socket: &Path) {
        self.state().journal = Some(socket.to_owned());
    }

    /// From now on a service manager listens at this socket.
    pub fn service_manager_at(&self, socket: &Path) {
        self.state().service_manager = Some(socket.to_owned());
    }

    /// Gives the kernel a file below `/proc` or `/sys`.
    pub fn kernel_file(&self, path: &str, content: &str) {
        self.state().kernel.insert(path.into(), content.into());
    }

    /// From now on the kernel takes no value for this parameter, a file below `/proc/sys`.
    pub fn refuse_parameter(&self, path: &str) {
        self.state().refused_parameters.insert(path.into());
    }

    /// From now on the kernel refuses this module.
    pub fn refuse_module(&self, name: &str, errno: Errno) {
        self.state().refused_modules.insert(name.to_owned(), errno);
    }

    /// The modules that were loaded since the last call, with their parameters.
    pub fn take_modules(&self) -> Vec<String> {
        std::mem::take(&mut self.state().modules)
    }

    /// Gives the machine a disk with this beginning. Mounted, it shows what is in the directory.
    pub fn disk(&self, name: &str, head: &[u8], directory: &Path) {
        let path = format!("/dev/{name}");
        self.block_device(&path, &FakeDisk::of(512, 0, head));
        self.state().shown.insert(path.into(), directory.to_owned());
    }

    /// From now on the file system of this device cannot be mounted.
    pub fn refuse_device(&self, path: &str) {
        self.state().refused_devices.insert(path.into());
    }

    /// Gives the machine a block device, whose partitions the kernel shows when it is told of them, and on which
    /// `mkfs.ext4` and its like do something.
    pub fn block_device(&self, path: &str, disk: &FakeDisk) {
        let mut state = self.state();
        state.block_devices.insert(path.into(), disk.clone());
        state.publish();
    }

    /// Gives the kernel a link below `/proc` or `/sys`.
    pub fn kernel_link(&self, path: &str, target: &str) {
        self.state().links.insert(path.into(), target.into());
    }

    /// Sets a variable of the environment.
    pub fn variable(&self, name: &str, value: &str) {
        let mut state = self.state();
        state.variables.insert(name.to_owned(), value.into());
        state.client = None;
    }

    /// From now on systemd answers at this socket, and is waited for so long.
    pub fn systemd_at(&self, socket: PathBuf, limits: Limits) {
        self.state().systemd = Some((socket, limits));
    }

    /// Trusts an authority, whose certificate this is in DER.
    pub fn trust(&self, certificate: Vec<u8>) {
        let mut state = self.state();
        state.network.roots.push(certificate);
        state.client = None;
    }

    /// Has a host name stand for an address, with the port for URLs that have none. No other names are known.
    pub fn name(&self, name: &str, address: SocketAddr) {
        let mut state = self.state();
        state.network.names.get_or_insert_default().push((name.to_owned(), address));
        state.client = None;
    }

    /// Sets how long an answer may stand still.
    pub fn stall(&self, stall: Duration) {
        let mut state = self.state();
        state.network.stall = stall;
        state.client = None;
    }

    /// The pauses between tries since the last call, none of which was waited.
    pub fn take_pauses(&self) -> Vec<Duration> {
        std::mem::take(&mut self.state().pauses)
    }

    /// What was said in the log of the kernel since the last call.
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.state().log)
    }

    /// The commands since the last call: the line of a shell command, the words of others.
    pub fn take_commands(&self) -> Vec<String> {
        std::mem::take(&mut self.state().commands)
    }

    /// Remembers an owner without asking the kernel to change it.
    pub(super) fn pretend_owner(&self, path: &Path, owner: Owner) -> Result<()> {
        let found = std::fs::symlink_metadata(path)?;
        self.state().owners.insert((found.dev(), found.ino()), owner);
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("a test has failed while it held the lock")
    }
}

impl State {
    /// Has the kernel show its block devices.
    fn publish(&mut self) {
        for (path, disk) in &self.block_devices {
            let name = path.strip_prefix("/dev").expect("a path below /dev").display();
            let at = format!("/sys/class/block/{name}");
            let is_shown = |path: &Path| {
                let path = path.to_string_lossy();
                path.starts_with(&at) && !path.contains("/slaves/")
            };
            self.kernel.retain(|path, _| !is_shown(path));
            self.links.retain(|path, _| !is_shown(path));
            let mut show = |at: &str, what: &str, value: &dyn std::fmt::Display| {
                self.kernel.insert(format!("{at}/{what}").into(), format!("{value}\n").into_bytes());
            };
            show(&at, "size", &(disk.bytes() / 512));
            self.links.insert(at.clone().into(), format!("../../devices/pci0/block/{name}").into());
            if let Some((name, uuid)) = disk.mapped() {
                show(&at, "dm/name", &name);
                show(&at, "dm/uuid", &uuid);
            }
            for (number, (start, length)) in disk.partitions() {
                let part = format!("{at}{number}");
                show(&part, "partition", &number);
                show(&part, "start", &(start / 512));
                show(&part, "size", &(length / 512));
                let target = format!("../../devices/pci0/block/{name}/{name}{number}");
                self.links.insert(part.into(), target.into());
            }
        }
    }

    fn partition(&self, path: &Path) -> Option<FakePartition> {
        self.block_devices.iter().find_map(|(disk_path, disk)| {
            let number = path.to_str()?.strip_prefix(disk_path.to_str()?)?.parse().ok()?;
            let (start, length) = *disk.partitions().get(&number)?;
            Some(FakePartition { disk: disk.clone(), start, length })
        })
    }

    /// Makes the file system that the words of a command ask for.
    fn make_file_system(&self, line: &str) -> Result<()> {
        let words: Vec<&str> = line.split(' ').collect();
        let (Some(program), Some(path)) = (words.first(), words.last()) else { return Ok(()) };
        let label = words.iter().position(|word| *word == "-L").map_or("", |at| words[at + 1]);
        match self.partition(Path::new(path)) {
            Some(partition) if program.starts_with("mkfs.ext") => partition.make_file_system(program, label),
            _ => Ok(()),
        }
    }
}

/// What a person would type to run the command; the script, if it reads one.
fn line(command: &Command) -> String {
    if !command.standard_input().is_empty() {
        return String::from_utf8_lossy(command.standard_input()).trim_end().to_owned();
    }
    let words: Vec<_> = command.argv().map(|word| word.to_string_lossy()).collect();
    words.join(" ")
}

impl Host for FakeHost {
    fn run(&self, _root: &Path, command: &Command) -> Result<Output> {
        let line = line(command);
        let mut state = self.state();
        if let Some((_, reason)) = state.refusals.iter().find(|(part, _)| line.contains(part.as_str())) {
            return Err(reason());
        }
        let answer = state.answers.iter().rev().find(|(part, _)| line.contains(part.as_str()));
        let output = match (answer, line.trim()) {
            (Some((_, output)), _) => output.clone(),
            (None, "false") => Output { status: 1, ..Output::default() },
            (None, line) => Output {
                status: line.strip_prefix("exit ").and_then(|status| status.parse().ok()).unwrap_or(0),
                ..Output::default()
            },
        };
        if output.status == 0 {
            state.make_file_system(&line)?;
        }
        state.commands.push(line);
        Ok(output)
    }

    fn hostname(&self) -> Result<String> {
        Ok(self.state().hostname.clone())
    }

    fn set_hostname(&self, name: &str) -> Result<()> {
        self.state().hostname = name.to_owned();
        Ok(())
    }

    fn journal(&self) -> Option<Journal> {
        let socket = self.state().journal.clone()?;
        Journal::open(&socket, true, self).ok()
    }

    fn service_manager(&self) -> Option<ServiceManager> {
        let socket = self.state().service_manager.clone()?;
        ServiceManager::open(socket.as_os_str()).ok()
    }

    fn log_to_kernel(&self, line: &str) {
        self.state().log.push(line.to_owned());
    }

    fn kernel_file(&self, path: &Path) -> Result<Option<Vec<u8>>> {
        let mut state = self.state();
        state.publish();
        Ok(state.kernel.get(path).cloned())
    }

    fn kernel_dir(&self, path: &Path) -> Result<Option<Vec<OsString>>> {
        let mut state = self.state();
        state.publish();
        let paths = state.kernel.keys().chain(state.links.keys());
        let mut names: Vec<_> = paths
            .filter_map(|at| at.strip_prefix(path).ok()?.components().next())
            .map(|name| name.as_os_str().to_owned())
            .collect();
        names.sort();
        names.dedup();
        Ok(if names.is_empty() { None } else { Some(names) })
    }

    fn kernel_link(&self, path: &Path) -> Result<Option<PathBuf>> {
        let mut state = self.state();
        state.publish();
        Ok(state.links.get(path).cloned())
    }

    fn set_kernel_parameter(&self, path: &Path, value: &str) -> Result<()> {
        let mut state = self.state();
        if state.refused_parameters.contains(path) {
            bail!("the kernel does not take this value");
        }
        state.kernel.insert(path.to_owned(), format!("{value}\n").into_bytes());
        Ok(())
    }

    fn client(&self) -> Result<Client> {
        let known = self.state().client.clone();
        let client = match known {
            Some(client) => client,
            None => {
                let settings = self.state().network.clone();
                Client::new(&settings, &|name| Host::variable(self, name))?
            }
        };
        self.state().client = Some(client.clone());
        Ok(client)
    }

    fn systemd(&self) -> Result<Systemd> {
        let (socket, limits) = self.state().systemd.clone().context("there is no systemd on this machine")?;
        Systemd::connect(&[Door::private(socket)], limits)
    }

    fn pause(&self, duration: Duration) -> Result<(), Interrupted> {
        self.state().pauses.push(duration);
        Ok(())
    }

    /// The module is listed in `/proc/modules` afterwards.
    fn load_module(&self, module: &Module) -> Result<bool> {
        let mut state = self.state();
        if let Some(errno) = state.refused_modules.get(module.name) {
            return Err(Refused(*errno).into());
        }
        let kind = match module.image {
            Image::File(_) => "",
            Image::Packed(_) => " (packed)",
            Image::Bytes(_) => " (bytes)",
        };
        let loaded = format!("{} {}", module.name, module.parameters);
        state.modules.push(loaded.trim_end().to_owned() + kind);
        let list = state.kernel.entry("/proc/modules".into()).or_default();
        list.extend(format!("{} 16384 0 - Live 0x0000000000000000\n", module.name).bytes());
        Ok(true)
    }

    fn open_disk(&self, path: &Path, _access: DiskAccess) -> Result<Box<dyn Disk>> {
        let state = self.state();
        match state.block_devices.get(path) {
            Some(disk) => Ok(Box::new(disk.clone())),
            None => Ok(Box::new(state.partition(path).context("there is no such device")?)),
        }
    }

    fn grow_file_system(&self, device: &Path, kind: &str) -> Result<bool> {
        let mut state = self.state();
        state.commands.push(format!("(the kernel grows {kind} on {})", device.display()));
        Ok(state.grown.insert(device.to_owned()))
    }

    fn mount_detached(&self, device: &Path, _kind: &str, _read_only: bool) -> Result<OwnedFd> {
        let state = self.state();
        let directory = state.shown.get(device).context("there is no such disk")?;
        Ok(std::fs::File::open(directory)?.into())
    }

    fn mount(&self, new: &NewMount, at: BorrowedFd<'_>) -> Result<()> {
        let found = nix::sys::stat::fstat(at)?;
        let mut state = self.state();
        if let NewMount::Device { device, .. } = new
            && state.refused_devices.contains(*device)
        {
            bail!("the file system is damaged");
        }
        let source = match new {
            NewMount::Device { device, .. } => device.display().to_string(),
            other => other.kind().to_owned(),
        };
        let read_only = matches!(new, NewMount::Device { read_only: true, .. });
        let mounted = Mounted { kind: new.kind().to_owned(), source, read_only, is_point: true };
        state.mounts.insert((found.st_dev, found.st_ino), mounted);
        Ok(())
    }

    /// What was never mounted lies on a file system that is read-only, as an image is.
    fn mounted(&self, directory: BorrowedFd<'_>) -> Result<Mounted> {
        let found = nix::sys::stat::fstat(directory)?;
        let known = self.state().mounts.get(&(found.st_dev, found.st_ino)).cloned();
        let source = "/dev/loop0".to_owned();
        Ok(known.unwrap_or(Mounted { kind: "ext2".to_owned(), source, read_only: true, is_point: false }))
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        self.state().variables.get(name).cloned()
    }

    fn now(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_767_323_045)
    }

    /// SplitMix64, from a fixed seed.
    fn random(&self, buffer: &mut [u8]) {
        let mut state = self.state();
        for byte in buffer {
            state.random = state.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = state.random;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = (z >> 56) as u8;
        }
    }

    fn set_owner(&self, file: BorrowedFd<'_>, owner: Owner) -> Result<()> {
        let found = nix::sys::stat::fstat(file)?;
        self.state().owners.insert((found.st_dev, found.st_ino), owner);
        Ok(())
    }

    /// What was never given away belongs to root.
    fn owner(&self, device: u64, inode: u64, _found: Owner) -> Owner {
        self.state().owners.get(&(device, inode)).copied().unwrap_or(Owner { uid: 0, gid: 0 })
    }

    fn lives_in(&self, _root: &Path) -> bool {
        self.state().lives_here
    }

    fn only_says(&self) -> bool {
        self.state().only_says
    }

    fn architecture(&self) -> &'static str {
        "amd64"
    }
}
