//! `cosette pull` against a real registry.
#![allow(clippy::disallowed_methods, clippy::unwrap_used, reason = "it is a test")]

use cosette_plugins::image::Digest;
use cosette_plugins::testing::{LayoutBuilder, Registry, Signer, TarBuilder, put_at_tag};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A registry with the image `org/x:1`, and a root.
struct Scene {
    registry: Registry,
    digest: Digest,
    root: tempfile::TempDir,
}

impl Scene {
    fn new() -> Option<Self> {
        let registry = Registry::start("")?;
        let layout = tempfile::tempdir().unwrap();
        LayoutBuilder::new(layout.path()).image("1", &[TarBuilder::new().file("a", "1").finish()]);
        registry.push(layout.path(), "1", "org/x:1", &["--format=oci"]);
        let digest = registry.digest("org/x", "1");
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("etc/cosette")).unwrap();
        Some(Self { registry, digest, root })
    }

    fn image(&self) -> String {
        format!("{}/org/x:1", self.registry.address())
    }

    fn require(&self, signer: &Signer) {
        std::fs::write(self.root.path().join("etc/cosette/key.pub"), signer.public()).unwrap();
        let policy = "default: signature\nkeys: [/etc/cosette/key.pub]\n";
        std::fs::write(self.root.path().join("etc/cosette/policy.yaml"), policy).unwrap();
    }

    fn pull(&self, image: &str, more: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cosette"));
        command.arg("--root").arg(self.root.path()).args(["pull", image, "/t"]).args(more);
        command.env_remove("HOME").output().unwrap()
    }

    fn target(&self) -> PathBuf {
        self.root.path().join("t")
    }

    /// The exit status and the class, and that nothing was changed.
    fn refused(&self, image: &str) -> (i32, String) {
        let output = self.pull(image, &["--json"]);
        assert!(!self.target().exists());
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((&report["result"], &report["status"]), (&"failed".into(), &output.status.code().into()));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cannot unpack "));
        (output.status.code().unwrap(), report["class"].as_str().unwrap().to_owned())
    }
}

fn texts(output: &Output) -> (String, String) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

fn is_root(root: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata(root).unwrap().uid() == 0
}

#[test]
fn an_image_is_pulled_once_and_without_a_policy_that_is_said_loudly() {
    let Some(scene) = Scene::new() else { return };
    let (out, err) = texts(&scene.pull(&scene.image(), &["--dry-run"]));
    assert!(out.contains(&format!("digest    {}", scene.digest)), "{out}");
    assert!(out.ends_with("verified  no\nwould be unpacked into /t\n"), "{out}");
    assert!(err.contains("is NOT VERIFIED"), "{err}");
    assert!(!scene.target().exists());
    let (out, err) = texts(&scene.pull(&scene.image(), &[]));
    assert!(out.ends_with("unpacked into /t\n") && err.contains("is NOT VERIFIED"), "{out}{err}");
    assert_eq!(std::fs::read_to_string(scene.target().join("a")).unwrap(), "1");
    let again = scene.pull(&scene.image(), &["--json"]);
    let report: Value = serde_json::from_slice(&again.stdout).unwrap();
    // Where the directory can remember.
    if is_root(scene.root.path()) {
        assert_eq!(report["changed"], false);
    }
    assert_eq!(report["digest"], scene.digest.as_str());
    assert_eq!(report["verified"], if report["changed"] == false { "unchecked" } else { "no" });
}

#[test]
fn each_way_to_fail_has_its_exit_status_and_changes_nothing() {
    let Some(scene) = Scene::new() else { return };
    let (signer, image) = (Signer::ecdsa(), scene.image());
    assert_eq!(scene.refused(&format!("{}/org/none:1", scene.registry.address())), (14, "source".into()));
    assert_eq!(scene.refused("127.0.0.1:1/org/x:1"), (15, "network".into()));
    std::fs::write(scene.root.path().join("etc/cosette/policy.yaml"), "default: digest\n").unwrap();
    assert_eq!(scene.refused(&image), (16, "policy".into()));
    scene.require(&signer);
    assert_eq!(scene.refused(&image), (29, "unsigned".into()));
    Signer::ecdsa().sign_by_tag(&scene.registry, "org/x", &scene.digest);
    assert_eq!(scene.refused(&image), (30, "wrong-key".into()));
    let other = Signer::payload(&Digest::of(b"another"));
    put_at_tag(&scene.registry, "org/x", &scene.digest, &other, &signer.sign(other.as_bytes()));
    assert_eq!(scene.refused(&image), (31, "tampered".into()));
    signer.sign_by_tag(&scene.registry, "org/x", &scene.digest);
    let (out, err) = texts(&scene.pull(&image, &[]));
    assert!(out.contains("verified  signed by /etc/cosette/key.pub\n"), "{out}");
    // Nothing is said of the policy; owners are only root's to give.
    let owners = "warning: files do not get their owners: this user may not give them away\n";
    assert_eq!(err, if is_root(scene.root.path()) { "" } else { owners });
}

#[test]
fn a_content_that_is_not_what_its_digest_says_has_an_exit_status_of_its_own() {
    let Some(scene) = Scene::new() else { return };
    let (out, _) = texts(&scene.pull(&scene.image(), &["--dry-run", "--json"]));
    let manifest: Value = serde_json::from_str(&out).unwrap();
    let manifest = Digest::parse(manifest["manifest"].as_str().unwrap()).unwrap();
    let manifest: Value =
        serde_json::from_slice(&std::fs::read(scene.registry.stored(&manifest)).unwrap()).unwrap();
    let layer = Digest::parse(manifest["layers"][0]["digest"].as_str().unwrap()).unwrap();
    let content = std::fs::read(scene.registry.stored(&layer)).unwrap();
    std::fs::write(scene.registry.stored(&layer), &content[..content.len() - 1]).unwrap();
    let output = scene.pull(&scene.image(), &["--json"]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &report["class"]), (Some(17), &"digest".into()), "{report}");
}

#[test]
fn what_is_no_image_is_wrong_usage() {
    let root = tempfile::tempdir().unwrap();
    for arguments in [["dir:/x", "/t"], ["Debian", "/t"]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cosette"));
        command.arg("--root").arg(root.path()).arg("pull").args(arguments);
        assert_eq!(command.output().unwrap().status.code(), Some(2));
    }
}
