//! `cosette try` as it is called: on a tree and on an image, with what is kept of it, and the machine as it was.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "it is a test")]

use cosette_plugins::testing::{LayoutBuilder, TarBuilder, TarEntry};
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

const DOCUMENT: &str = r#"
stages:
  rootfs:
    - name: First
      files:
        - path: /oem/late.yaml
          content: |
            stages: {network: [{commands: [echo late]}]}
  boot:
    - name: Everything
      commands:
        - echo said
        - rm /etc/old
      users:
        admin: {}
      files:
        - path: /etc/new
          permissions: 0640
          content: new
        - path: /etc/systemd/system/x.service
          content: |
            [Service]
            ExecStart=/bin/true
            [Install]
            WantedBy=multi-user.target
      systemctl:
        enable: [x.service]
        start: [x.service]
      layout:
        device: {path: /dev/vda}
        add_partitions: [{fsLabel: DATA, size: 10}]
"#;

/// A tree with a shell, the document beside it, and a place for what is kept.
struct Scene(tempfile::TempDir);

impl Scene {
    /// Nothing, with a word about it, where no view can be made or there is no static shell.
    fn new() -> Option<Self> {
        let scene = Self(tempfile::tempdir().unwrap());
        let tree = scene.at("tree");
        for directory in ["bin", "etc", "oem", "dev", "proc", "sys", "run", "mnt", "tmp"] {
            std::fs::create_dir_all(tree.join(directory)).unwrap();
        }
        std::fs::write(scene.at("oem.yaml"), DOCUMENT).unwrap();
        for (path, content) in FILES {
            std::fs::write(tree.join(path), content).unwrap();
        }
        if std::fs::copy("/bin/busybox", tree.join("bin/busybox")).is_err() {
            return skipped("there is no static /bin/busybox");
        }
        for program in ["sh", "rm", "echo", "test", "wc", "sleep"] {
            std::os::unix::fs::symlink("busybox", tree.join("bin").join(program)).unwrap();
        }
        let output = scene.run(&["--root", "tree", "try", "-s", "nothing", "oem.yaml"]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        if !output.status.success() { skipped(&error) } else { Some(scene) }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cosette"));
        command.args(arguments).current_dir(self.0.path());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// All that there is, and what is in it.
    fn hash(&self) -> Vec<u8> {
        let script = "find tree oem.yaml -printf '%p %y %m %U %G %l %T@ %s\\n' | sort; find tree -type f | sort | xargs sha256sum";
        let output = Command::new("sh").args(["-c", script]).current_dir(self.0.path()).output().unwrap();
        assert!(output.status.success());
        output.stdout
    }
}

const FILES: [(&str, &str); 6] = [
    ("etc/old", "old"),
    ("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"),
    ("etc/group", "root:x:0:\n"),
    ("etc/shadow", "root:!:19000:0:99999:7:::\n"),
    ("etc/os-release", "ID=example\n"),
    ("etc/hostname", "example\n"),
];

fn skipped<T>(why: &str) -> Option<T> {
    let _ = writeln!(std::io::stderr(), "SKIPPED: `cosette try`: {why}");
    None
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[test]
fn a_whole_boot_is_tried_and_nothing_is_changed() {
    let Some(scene) = Scene::new() else { return };
    // Two lines of heading, and the loopback interface.
    let alone = "stages: {network: [{commands: [test $(wc -l < /proc/net/dev) = 3]}]}";
    std::fs::write(scene.at("tree/oem/alone.yaml"), alone).unwrap();
    let before = scene.hash();
    let arguments =
        ["--root", "tree", "try", "--boot", "--network", "none", "oem.yaml", "tree/oem", "--keep", "kept"];
    let said = stdout(&scene.run(&arguments));
    for line in [
        "said      commands[0]: echo\n            said\n",
        "user      admin added\n",
        "unit      x.service enabled, by multi-user.target\n",
        "would     start x.service\n",
        "would     partition /dev/vda\n",
        "files     + 9 new, ~ 3 changed, - 1 removed\n",
        "│  ├─ - old  (1 line)\n",
        "note: there is no network in the view\n",
        "what would change on this tree:\n",
        "the tree itself is as it was\n",
    ] {
        assert!(said.contains(line), "{line} is not in {said}");
    }
    assert_eq!(before, scene.hash());
    assert_eq!(std::fs::read_to_string(scene.at("kept/etc/new")).unwrap(), "new");
    assert!(scene.at("kept/etc/.wh.old").exists() && !scene.at("kept/etc/os-release").exists());
    let slip = scene.run(&["try", "oem.yaml"]);
    assert!(
        String::from_utf8_lossy(&slip.stderr)
            .contains("`oem.yaml` is no stage: name one, -s STAGE oem.yaml, or")
    );
    // What is there is not mixed with what comes.
    let again = scene.run(&arguments);
    assert!(String::from_utf8_lossy(&again.stderr).contains("kept is not empty: name a new directory"));
}

#[test]
fn a_later_stage_runs_what_an_earlier_one_has_put_there() {
    let Some(scene) = Scene::new() else { return };
    std::fs::copy(scene.at("oem.yaml"), scene.at("tree/oem/a.yaml")).unwrap();
    let output = scene.run(&["--root", "tree", "--json", "try", "--boot"]);
    let report: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let stages: Vec<_> = report["stages"].as_array().unwrap().iter().collect();
    assert_eq!(stages.len(), 5);
    assert_eq!(stages[4]["stage"], "network");
    assert_eq!(stages[4]["summary"]["applied"], 1, "{}", stages[4]);
    assert_eq!(report["users"][0], "admin added");
}

#[test]
fn an_image_is_tried_without_a_trace() {
    let Some(scene) = Scene::new() else { return };
    let shell = std::fs::read("/bin/busybox").unwrap();
    let mut layer = TarBuilder::new().dir("bin/", 0o755).dir("etc/", 0o755).entry(TarEntry {
        mode: 0o755,
        content: &shell,
        ..TarEntry::new("bin/sh", b'0')
    });
    for (path, content) in FILES {
        layer = layer.file(path, content);
    }
    LayoutBuilder::new(&scene.at("layout")).image("1", &[layer.finish()]);
    let document = "stages: {boot: [{commands: [echo $0 runs], files: [{path: /etc/new, content: new}]}]}";
    std::fs::write(scene.at("oem.yaml"), document).unwrap();
    let image = format!("oci-layout:{}", scene.at("layout").display());
    let said = stdout(&scene.run(&["try", "--image", &image, "-s", "boot", "oem.yaml"]));
    assert!(
        said.contains("/bin/sh runs\n") && said.contains("files     + 1 new\n+ /etc/new  0644\n    +new\n"),
        "{said}"
    );
    let gone = scene.run(&["try", "--image", "oci-layout:/nowhere", "-s", "boot", "oem.yaml"]);
    let error = "error: cannot fetch oci-layout:/nowhere: there is no file index.json: look at the name; ";
    assert!(String::from_utf8_lossy(&gone.stderr).starts_with(error), "{gone:?}");
    let mixed = scene.run(&["--root", "tree", "try", "--image", &image, "-s", "boot", "oem.yaml"]);
    assert_eq!(mixed.status.code(), Some(2));
}

#[test]
fn a_shell_sees_the_result() {
    let Some(scene) = Scene::new() else { return };
    let mut command = scene
        .command(&["-q", "--root", "tree", "try", "-s", "boot", "oem.yaml", "--shell", "--keep", "kept"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"echo in the shell; echo by hand > /etc/hand; test -e /etc/new\n")
        .unwrap();
    let said = stdout(&child.wait_with_output().unwrap());
    assert!(said.ends_with("in the shell\n"), "{said}");
    assert_eq!(std::fs::read_to_string(scene.at("kept/etc/hand")).unwrap(), "by hand\n");
    assert!(!Path::new("/etc/hand").exists() && !scene.at("tree/etc/hand").exists());
}

#[test]
fn what_the_machine_does_meanwhile_is_no_change() {
    let Some(scene) = Scene::new() else { return };
    let file = scene.at("tree/run/cosette/operation");
    std::fs::create_dir(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "one").unwrap();
    std::fs::write(scene.at("oem.yaml"), "stages: {boot: [{commands: [sleep 1]}]}").unwrap();
    let mut command = scene.command(&["--root", "tree", "try", "-s", "boot", "oem.yaml"]);
    let child = command.stdout(Stdio::piped()).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    std::fs::write(&file, "another").unwrap();
    let said = stdout(&child.wait_with_output().unwrap());
    assert!(said.contains("nothing would change on this tree\n"), "{said}");
}

/// What the tree of this test does not have. All else is no reason to fail.
const MISSING: [&str; 11] = [
    "in /etc/passwd",
    "in /etc/group",
    "the root has no",
    "the os-release of the root",
    "there is no unit",
    "no provider answers",
    "the home directory /root",
    "there is no /etc/ca-certificates.conf",
    "there is no file index.json",
    "ended with status 127",
    "runcmd ended with status",
];

/// They try again and again, where there is no network.
const NEED_NETWORK: [&str; 2] = ["downloads.md", "ssh_import_id.md"];

#[test]
fn no_key_of_the_reference_fails_because_it_is_tried() {
    let Some(scene) = Scene::new() else { return };
    let pages = ["../docs/reference", "../docs/reference/cloud-config"].into_iter().flat_map(|directory| {
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    });
    let (mut tried, mut failures) = (0, String::new());
    for page in pages.filter(|page| page.extension().is_some_and(|extension| extension == "md")) {
        let text = std::fs::read_to_string(&page).unwrap();
        if NEED_NETWORK.iter().any(|name| page.ends_with(name)) {
            continue;
        }
        let Some((_, rest)) = text.split_once("\n```yaml\n") else { continue };
        let (example, _) = rest.split_once("```").unwrap();
        let document = if example.starts_with("#cloud-config") {
            example.to_owned()
        } else {
            format!("stages:\n  boot:\n  - {}", example.trim_end().replace('\n', "\n    "))
        };
        std::fs::write(scene.at("oem.yaml"), document).unwrap();
        let before = scene.hash();
        let output =
            scene.run(&["--root", "tree", "--json", "try", "--boot", "--network", "none", "oem.yaml"]);
        assert_eq!(before, scene.hash(), "{}", page.display());
        let report: Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}: {}", page.display(), String::from_utf8_lossy(&output.stderr)));
        let stages = report["stages"].as_array().cloned().unwrap_or_else(|| vec![report.clone()]);
        let steps = stages.iter().flat_map(|stage| stage["steps"].as_array().unwrap());
        for error in steps.flat_map(|step| step["errors"].as_array().unwrap()) {
            let message = error["message"].as_str().unwrap();
            if !MISSING.iter().any(|missing| message.contains(missing)) {
                failures += &format!("{}: {message}\n", page.display());
            }
        }
        tried += 1;
    }
    assert_eq!(failures, "");
    assert!(tried > 40, "{tried}");
}
