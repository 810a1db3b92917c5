//! Why namespaces are refused, and what to do about it, in one sentence.

use anyhow::{Error, anyhow};
use nix::errno::Errno;
use std::path::Path;

/// What is known of the machine that refuses.
#[derive(Debug, Default)]
struct Machine {
    root: bool,
    /// `kernel.unprivileged_userns_clone`, of Debian's kernels.
    clone_allowed: Option<bool>,
    /// `user.max_user_namespaces` is 0.
    none_allowed: bool,
    /// `kernel.apparmor_restrict_unprivileged_userns`, of Ubuntu's.
    apparmor: bool,
    /// A seccomp filter is in force.
    filtered: bool,
    container: bool,
}

impl Machine {
    fn look() -> Self {
        let number = |file: &str| {
            let text = std::fs::read_to_string(Path::new("/proc/sys").join(file)).ok()?;
            text.trim().parse::<u64>().ok()
        };
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        Self {
            root: nix::unistd::geteuid().is_root(),
            clone_allowed: number("kernel/unprivileged_userns_clone").map(|value| value != 0),
            none_allowed: number("user/max_user_namespaces") == Some(0)
                || number("user/max_pid_namespaces") == Some(0)
                || number("user/max_mnt_namespaces") == Some(0),
            apparmor: number("kernel/apparmor_restrict_unprivileged_userns") == Some(1),
            filtered: status.lines().any(|line| line.split_ascii_whitespace().eq(["Seccomp:", "2"])),
            container: ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists()),
        }
    }

    fn remedy(&self, errno: Errno) -> &'static str {
        if self.none_allowed {
            "namespaces are switched off: allow some with `sysctl user.max_user_namespaces=1000` \
             (and max_pid_namespaces, max_mnt_namespaces)"
        } else if matches!(errno, Errno::ENOSPC | Errno::EUSERS) {
            "there are too many namespaces already, or they are nested too deeply: see namespaces(7)"
        } else if errno == Errno::EINVAL {
            "this kernel has no user namespaces, or this process has several threads"
        } else if !self.root && self.clone_allowed == Some(false) {
            "this kernel lets only root do so: try it as root, or with `sysctl kernel.unprivileged_userns_clone=1`"
        } else if !self.root && self.apparmor {
            "AppArmor lets only root do so: try it as root, \
             or with `sysctl kernel.apparmor_restrict_unprivileged_userns=0`"
        } else if self.container || self.filtered {
            "the container (or chroot) does not allow it: start the container with `--privileged`, \
             or with `--security-opt seccomp=unconfined --security-opt apparmor=unconfined`"
        } else {
            "the system does not allow it, as in a chroot: try it as root and outside of one"
        }
    }
}

/// An error that says what to do about a refusal to `attempt` something.
pub(super) fn explain(errno: Errno, attempt: &str) -> Error {
    let remedy = Machine::look().remedy(errno);
    anyhow!("cannot {attempt} for a view of this machine ({}): {remedy}", errno.desc())
}

/// An error that says why there is no overlay over the directory at `path`.
pub(super) fn explain_overlay(errno: Errno, path: &Path) -> Error {
    let remedy = match errno {
        Errno::ENODEV => "the kernel has no overlay file system: `modprobe overlay` as root",
        Errno::EPERM => "it needs Linux 5.11 or later",
        _ => "its file system is unfit, or consists of too many overlays already",
    };
    anyhow!("cannot lay an overlay over {} ({}): {remedy}", path.display(), errno.desc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_forbidding_namespaces_has_its_remedy() {
        let machine = Machine::default;
        let cases = [
            (Machine { none_allowed: true, ..machine() }, Errno::ENOSPC, "user.max_user_namespaces"),
            (
                Machine { clone_allowed: Some(false), ..machine() },
                Errno::EPERM,
                "unprivileged_userns_clone=1",
            ),
            (Machine { apparmor: true, ..machine() }, Errno::EACCES, "apparmor_restrict"),
            (
                Machine { root: true, apparmor: true, container: true, ..machine() },
                Errno::EPERM,
                "--privileged",
            ),
            (Machine { filtered: true, ..machine() }, Errno::EPERM, "--privileged"),
            (machine(), Errno::EPERM, "chroot"),
            (machine(), Errno::EUSERS, "namespaces(7)"),
            (machine(), Errno::EINVAL, "no user namespaces"),
        ];
        for (machine, errno, part) in cases {
            let remedy = machine.remedy(errno);
            assert!(remedy.contains(part), "{machine:?} {errno}: {remedy}");
        }
    }
}
