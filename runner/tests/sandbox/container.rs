//! Surroundings in which views are made: `in-container USER TREE ROOT ACTION`, for root only, and
//! `forbidden ROOT ACTION`.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::ExitCode;

const NONE: Option<&str> = None;

/// Mounts in and below the directory TREE, hides a part of `/proc`, and then does what `view` does as the user with the
/// number USER.
pub(crate) fn main(arguments: &[String]) -> ExitCode {
    let user: u32 = arguments[0].parse().unwrap();
    let tree = Path::new(&arguments[1]);
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).unwrap();
    mount(Some("/dev/null"), "/proc/kallsyms", NONE, MsFlags::MS_BIND, NONE).unwrap();
    let data = tree.join("var/data");
    mount(Some("tmpfs"), &data, Some("tmpfs"), MsFlags::empty(), NONE).unwrap();
    std::fs::write(data.join("record"), "of the volume\n").unwrap();
    let hosts = tree.join("etc/hosts");
    mount(Some(&tree.join("hosts")), &hosts, NONE, MsFlags::MS_BIND, NONE).unwrap();
    let mut view = super::cases::program();
    let status = view.uid(user).gid(user).arg("view").args(&arguments[2..]).status().unwrap();
    let ok = std::fs::read_to_string(data.join("record")).unwrap() == "of the volume\n"
        && std::fs::read_to_string(hosts).unwrap() == "of the engine\n";
    println!("{}", if ok { "mounts unchanged" } else { "mounts changed" });
    ExitCode::from(u8::try_from(status.code().unwrap_or(97)).unwrap())
}

/// Allows no more namespaces, in a namespace of its own, and then does what `view` does.
pub(crate) fn forbidden(arguments: &[String]) -> ExitCode {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER).unwrap();
    std::fs::write("/proc/self/setgroups", "deny").unwrap();
    std::fs::write("/proc/self/uid_map", format!("0 {uid} 1")).unwrap();
    std::fs::write("/proc/self/gid_map", format!("0 {gid} 1")).unwrap();
    std::fs::write("/proc/sys/user/max_user_namespaces", "0").unwrap();
    super::view::main(arguments)
}
