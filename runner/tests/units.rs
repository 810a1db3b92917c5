//! The units that are shipped, and those that the generator makes: each folder of `units/` is a kernel command line and
//! what comes of it. `UPDATE_CASES=1` writes that anew. systemd-analyze(1) is asked what it thinks of them.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "it is a test")]

use cosette::boot::Parameters;
use cosette::generator::{Entry, Units};
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folders, with their command lines.
fn cases() -> Vec<(PathBuf, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/units");
    let mut cases: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    let with_text = |case: PathBuf| (case.clone(), std::fs::read_to_string(case.join("cmdline")).unwrap());
    cases.into_iter().map(with_text).collect()
}

#[test]
fn the_generator_makes_of_each_command_line_what_its_folder_says() {
    for (case, cmdline) in cases() {
        let (parameters, findings) = Parameters::parse(&cmdline);
        let findings: String = findings.iter().map(|finding| format!("log: warning: {finding}\n")).collect();
        let made = findings + &Units::of(&parameters).to_text();
        let path = case.join("units.txt");
        if std::env::var_os("UPDATE_CASES").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap_or_default(), made, "{}", case.display());
    }
}

/// A root with the units of the systemd of this machine and those of this project; nothing where that is not possible.
struct Root(tempfile::TempDir);

impl Root {
    fn new() -> Option<Self> {
        let found = Command::new("systemd-analyze").arg("--version").output().is_ok();
        if !found || !Path::new("/usr/lib/systemd/system").exists() {
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: what systemd says of the units: it is not installed");
            return None;
        }
        let root = Self(tempfile::tempdir().unwrap());
        for directory in ["usr/bin", "usr/lib/systemd/system", "etc/systemd/system", "run"] {
            std::fs::create_dir_all(root.at(directory)).unwrap();
        }
        symlink("usr/bin", root.at("bin")).unwrap();
        symlink("usr/lib", root.at("lib")).unwrap();
        let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("../units/systemd/.");
        for (from, to) in [
            (Path::new("/usr/lib/systemd/system/."), "usr/lib/systemd/system"),
            (&ours, "etc/systemd/system"),
        ] {
            assert!(Command::new("cp").arg("-R").arg(from).arg(root.at(to)).status().unwrap().success());
        }
        for program in ["usr/bin/cosette", "usr/bin/systemctl"] {
            std::fs::write(root.at(program), "").unwrap();
            std::fs::set_permissions(root.at(program), PermissionsExt::from_mode(0o755)).unwrap();
        }
        Some(root)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// What systemd finds wrong with these units and all that they need.
    fn verify(&self, units: &[String]) -> String {
        let mut command = Command::new("systemd-analyze");
        command.args(["verify", "--man=no"]).arg(format!("--root={}", self.0.path().display())).args(units);
        let output = command.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        if output.status.success() && said.is_empty() { String::new() } else { format!("{units:?}: {said}") }
    }
}

#[test]
fn shellcheck_has_nothing_against_the_module_for_dracut() {
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../units/dracut/90cosette");
    for script in ["module-setup.sh", "image-is-root.sh"] {
        let Ok(output) = Command::new("shellcheck").arg(module.join(script)).output() else {
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: shellcheck of the module for dracut: it is missing");
            return;
        };
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// What dracut defines for its hooks, as far as ours uses it; the arguments are words of `$CMDLINE`.
const DRACUT: &str = r#"
getarg() { case " $CMDLINE " in *" ${1%=}="*) echo value ;; *) return 1 ;; esac; }
getargbool() { case " $CMDLINE " in *" $2 "* | *" $2=1 "*) return 0 ;; *) return 1 ;; esac; }
label_uuid_to_dev() { echo "/dev/disk/by-label/${1#LABEL=}"; }
str_replace() { printf %s "$1" | sed 's,/,\\x2f,g'; }
"#;

#[test]
fn dracut_does_not_wait_for_a_device_that_only_the_image_brings() {
    let hook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../units/dracut/90cosette/image-is-root.sh");
    for (cmdline, waits) in [
        ("cos-img/filename=/cOS/active.img", false),
        ("elemental.image=/cOS/active.img", false),
        ("cos-img/filename=/cOS/active.img rd.cos.disable=0", false),
        ("cos-img/filename=/cOS/active.img rd.cos.disable", true),
        ("cos-img/filename=/cOS/active.img elemental.disable=1", true),
        ("quiet", true),
    ] {
        let hooks = tempfile::tempdir().unwrap();
        let wait = |label: &str| {
            hooks
                .path()
                .join(format!("initqueue/finished/devexists-\\x2fdev\\x2fdisk\\x2fby-label\\x2f{label}.sh"))
        };
        std::fs::create_dir_all(hooks.path().join("initqueue/finished")).unwrap();
        for label in ["COS_ACTIVE", "OTHER"] {
            std::fs::write(wait(label), "").unwrap();
        }
        let script = format!("{DRACUT}\n. {}\n[ \"${{rootok-}}\" != 1 ]", hook.display());
        let mut shell = Command::new("sh");
        shell.args(["-euc", &script]).env("CMDLINE", cmdline).env("hookdir", hooks.path());
        let status = shell.env("root", "LABEL=COS_ACTIVE").status().unwrap();
        assert_eq!((wait("COS_ACTIVE").exists(), status.success()), (waits, waits), "{cmdline}");
        assert!(wait("OTHER").exists(), "{cmdline}");
    }
}

#[test]
fn systemd_has_nothing_against_the_units_of_the_system() {
    let Some(root) = Root::new() else { return };
    let names = [
        "cos-setup-fs.service",
        "cos-setup-boot.service",
        "cos-setup-network.service",
        "cos-setup-reconcile.service",
        "cos-setup-reconcile.timer",
        "cos-setup.target",
    ];
    assert_eq!(root.verify(&names.map(str::to_owned)), "");
}

#[test]
fn systemd_has_nothing_against_the_units_of_the_initramfs() {
    for (case, cmdline) in cases() {
        let Some(root) = Root::new() else { return };
        let mut units = Vec::new();
        for entry in Units::of(&Parameters::parse(&cmdline).0).entries {
            let (Entry::File(name, _) | Entry::Link(name, _)) = &entry;
            let path = root.at("etc/systemd/system").join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            if name.ends_with(".mount") && !name.contains('/') {
                units.push(name.clone());
            }
            match entry {
                Entry::File(_, content) => std::fs::write(path, content).unwrap(),
                Entry::Link(_, target) => symlink(target, path).unwrap(),
            }
        }
        // Without an image, the root is what systemd itself generates.
        if !root.at("etc/systemd/system/sysroot.mount").exists() {
            std::fs::write(
                root.at("etc/systemd/system/sysroot.mount"),
                "[Mount]\nWhat=/dev/vda1\nWhere=/sysroot\n",
            )
            .unwrap();
        }
        units.extend(
            ["cos-setup-rootfs.service", "cos-immutable-rootfs.service", "cos-setup-initramfs.service"]
                .map(str::to_owned),
        );
        assert_eq!(root.verify(&units), "", "{}", case.display());
    }
}
