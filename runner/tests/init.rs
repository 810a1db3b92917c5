//! `cosette init` on the tree of an image.

#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "it is a test")]

use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A tree with the binary in it, so that none is copied: that of a test is large.
struct Image(tempfile::TempDir);

impl Image {
    fn new() -> Self {
        let image = Self(tempfile::tempdir().unwrap());
        image.put("usr/bin/cosette", "the binary");
        image
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn put(&self, path: &str, content: &str) {
        let path = self.at(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap()
    }

    /// Exit status and report.
    fn init(&self, arguments: &[&str]) -> (i32, serde_json::Value) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cosette"));
        command.arg("--root").arg(self.0.path()).args(["--json", "init"]).args(arguments);
        let output = command.output().unwrap();
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("no report: {}", String::from_utf8_lossy(&output.stderr)));
        (output.status.code().unwrap(), report)
    }

    /// A kernel, and a dracut that writes its arguments into the initramfs.
    fn with_kernel(self) -> Self {
        self.put("usr/lib/modules/6.1.0-9-amd64/modules.dep", "");
        self.put("usr/lib/modules/6.1.0-28-amd64/modules.dep", "");
        self.put("boot/vmlinuz-6.1.0-9-amd64", "older");
        self.put("boot/vmlinuz-6.1.0-28-amd64", "newer");
        self.put("etc/debian_version", "12.12");
        self.put("usr/bin/dracut", "#!/bin/sh\neval \"last=\\${$#}\"\n[ ! -e /fail ] || { echo no room; exit 1; }\necho \"$@\" > \"$last\"\n");
        self
    }

    /// A shell, so that commands run in it; false where that is not possible.
    fn can_run(&self) -> bool {
        if !nix::unistd::geteuid().is_root() || !Path::new("/bin/busybox").exists() {
            let _ =
                writeln!(std::io::stderr(), "SKIPPED: dracut in an image: it needs root and /bin/busybox");
            return false;
        }
        std::fs::create_dir_all(self.at("bin")).unwrap();
        std::fs::copy("/bin/busybox", self.at("bin/busybox")).unwrap();
        symlink("busybox", self.at("bin/sh")).unwrap();
        true
    }
}

/// The targets of what was changed, and all errors and warnings.
fn changes(report: &serde_json::Value) -> Vec<String> {
    let parts = report["parts"].as_array().unwrap();
    let effects = parts.iter().flat_map(|part| part["effects"].as_array().unwrap());
    let changed = effects.filter(|effect| effect["changed"] == true);
    changed.map(|effect| effect["target"].as_str().unwrap().to_owned()).collect()
}

fn said(report: &serde_json::Value, what: &str) -> Vec<String> {
    let parts = report["parts"].as_array().unwrap();
    let texts = parts.iter().flat_map(|part| part[what].as_array().unwrap());
    texts.map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_tree_gets_everything_once() {
    let image = Image::new();
    let (status, planned) = image.init(&["--dry-run"]);
    assert_eq!(status, 0);
    assert!(!image.at("usr/lib/systemd").exists());
    let (status, report) = image.init(&[]);
    assert_eq!((status, changes(&report)), (0, changes(&planned)));
    for path in [
        "usr/lib/systemd/system/cos-setup-rootfs.service",
        "usr/lib/dracut/modules.d/90cosette/module-setup.sh",
        "system/oem/00_rootfs.yaml",
        "oem",
    ] {
        assert!(image.at(path).exists(), "{path}");
    }
    assert_eq!(image.text("etc/machine-id"), "");
    let wants = |target: &str, unit: &str| {
        let link = image.at(&format!("etc/systemd/system/{target}.wants/{unit}"));
        assert_eq!(std::fs::read_link(link).unwrap(), Path::new("/usr/lib/systemd/system").join(unit));
    };
    wants("initrd-root-fs.target", "cos-setup-rootfs.service");
    wants("initrd-fs.target", "cos-immutable-rootfs.service");
    wants("initrd.target", "cos-setup-initramfs.service");
    wants("sysinit.target", "cos-setup-fs.service");
    wants("multi-user.target", "cos-setup-boot.service");
    wants("multi-user.target", "cos-setup-network.service");
    wants("multi-user.target", "cos-setup.target");
    wants("timers.target", "cos-setup-reconcile.timer");
    for name in ["cos-setup", "elemental", "yip"] {
        assert_eq!(std::fs::read_link(image.at("usr/bin").join(name)).unwrap(), Path::new("cosette"));
    }
    assert_eq!(image.text("usr/bin/cosette"), "the binary");
    let (status, again) = image.init(&[]);
    assert_eq!((status, changes(&again)), (0, vec![]));
}

#[test]
fn what_others_put_there_stays_and_is_named() {
    let image = Image::new();
    image.put("system/oem/03_branding.yaml", "name: mine\n");
    image.put("usr/bin/yip", "the real one");
    std::fs::create_dir_all(image.at("etc/systemd/system")).unwrap();
    symlink("/dev/null", image.at("etc/systemd/system/cos-setup-network.service")).unwrap();
    image.put("usr/share/man/man1/cosette-run.1.gz", "that of the package");
    let (status, report) = image.init(&["--without", "dracut,initramfs"]);
    assert_eq!(status, 1, "a masked unit cannot be enabled");
    assert_eq!(image.text("system/oem/03_branding.yaml"), "name: mine\n");
    let pages = ["cosette-run.1", "cosette.1"].map(|page| image.at("usr/share/man/man1").join(page).exists());
    assert_eq!(pages, [false, true]);
    assert_eq!(image.text("usr/bin/yip"), "the real one");
    assert!(!image.at("usr/lib/dracut").exists());
    let warnings = said(&report, "warnings");
    for warning in [
        "/system/oem/03_branding.yaml is kept: it is not the one of this version",
        "/usr/bin/yip is kept: it is another program",
    ] {
        assert!(warnings.iter().any(|said| said == warning), "{warnings:?}");
    }
    let errors = said(&report, "errors");
    assert!(errors.len() == 1 && errors[0].contains("is masked by"), "{errors:?}");
    // All else was done.
    assert!(image.at("etc/systemd/system/multi-user.target.wants/cos-setup-boot.service").is_symlink());
}

#[test]
fn links_of_the_tree_do_not_lead_out_of_it() {
    let (image, outside) = (Image::new(), tempfile::tempdir().unwrap());
    for name in ["system", "usr/lib"] {
        symlink(outside.path(), image.at(name)).unwrap();
    }
    image.init(&[]);
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

#[test]
fn the_binary_is_copied_where_there_is_none() {
    let image = Image::new();
    std::fs::remove_file(image.at("usr/bin/cosette")).unwrap();
    let only_binary = ["--without", "units", "--without", "oem,names,manual,dracut,initramfs"];
    let (status, report) = image.init(&only_binary);
    assert_eq!((status, changes(&report)), (0, vec!["/usr/bin/cosette".to_owned()]));
    let copied = std::fs::read(image.at("usr/bin/cosette")).unwrap();
    assert!(copied == std::fs::read(env!("CARGO_BIN_EXE_cosette")).unwrap());
    assert_eq!(changes(&image.init(&only_binary).1), Vec::<String>::new());
}

#[test]
fn a_kernel_without_dracut_is_an_error_that_says_what_to_do() {
    let image = Image::new().with_kernel();
    std::fs::remove_file(image.at("usr/bin/dracut")).unwrap();
    let (status, report) = image.init(&[]);
    assert_eq!(status, 1);
    let errors = said(&report, "errors");
    assert!(errors.len() == 1 && errors[0].contains("use `--without initramfs`"), "{errors:?}");
}

#[test]
fn each_kernel_gets_an_initramfs_which_is_built_anew_when_what_it_is_made_of_changes() {
    let image = Image::new().with_kernel();
    if !image.can_run() {
        return;
    }
    image.put("boot/initrd.img-6.1.0-9-amd64", "of the package");
    let (status, report) = image.init(&[]);
    assert_eq!(status, 0, "{report}");
    for kernel in ["6.1.0-9-amd64", "6.1.0-28-amd64"] {
        let expected =
            format!("--force --quiet --add cosette --kver {kernel} /boot/initrd.img-{kernel}.new\n");
        assert_eq!(image.text(&format!("boot/initrd.img-{kernel}")), expected);
    }
    assert_eq!(image.text("boot/vmlinuz"), "newer");
    assert!(image.text("boot/initrd").contains("6.1.0-28-amd64"));
    assert_eq!(changes(&image.init(&[]).1), Vec::<String>::new());

    // Whoever prefers another kernel, keeps it.
    std::fs::remove_file(image.at("boot/vmlinuz")).unwrap();
    symlink("vmlinuz-6.1.0-9-amd64", image.at("boot/vmlinuz")).unwrap();
    assert_eq!(changes(&image.init(&[]).1), ["/boot/initrd"]);
    assert!(image.text("boot/initrd").contains("6.1.0-9-amd64"));

    // A failure half-way leaves the old one, and the next run goes on.
    image.put("usr/bin/cosette", "another binary");
    image.put("fail", "");
    let (status, report) = image.init(&[]);
    let errors = said(&report, "errors");
    assert_eq!((status, errors.len()), (1, 2));
    assert!(errors[0].ends_with("dracut ended with status 1; the end of its output:\nno room"), "{errors:?}");
    assert!(image.text("boot/initrd").contains("--force"));
    std::fs::remove_file(image.at("fail")).unwrap();
    let (status, report) = image.init(&[]);
    let rebuilt = changes(&report).iter().filter(|target| target.starts_with("dracut: ")).count();
    assert_eq!((status, rebuilt), (0, 2));
}
