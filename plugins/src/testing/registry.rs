//! A real registry, the `docker-registry` of the distribution, on the loopback device.

use crate::image::Digest;
use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// A registry, which ends with this.
pub struct Registry {
    process: Child,
    address: SocketAddr,
    storage: tempfile::TempDir,
}

impl Registry {
    /// Starts it; `more` is added to its configuration. Says so and returns nothing where there is none.
    pub fn start(more: &str) -> Option<Self> {
        if Command::new("skopeo").arg("--version").output().is_err() {
            writeln!(std::io::stderr(), "SKIPPED: a real registry: skopeo is not installed")
                .expect("a test can do that");
            return None;
        }
        let storage = tempfile::tempdir().expect("a test can do that");
        let root = storage.path().display();
        let port = TcpListener::bind("127.0.0.1:0")
            .expect("a test can do that")
            .local_addr()
            .expect("a test can do that");
        let config = format!(
            "version: 0.1\nlog: {{level: warn}}\nstorage: {{filesystem: {{rootdirectory: {root}}}}}\n\
             http:\n  addr: {port}\n{more}"
        );
        std::fs::write(storage.path().join("config.yml"), config).expect("a test can do that");
        let Ok(process) = serve(storage.path()) else {
            writeln!(std::io::stderr(), "SKIPPED: a real registry: docker-registry is not installed")
                .expect("a test can do that");
            return None;
        };
        let registry = Self { process, address: port, storage };
        registry.wait();
        Some(registry)
    }

    fn wait(&self) {
        for _ in 0..500 {
            if TcpStream::connect(self.address).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        panic!("the registry does not start");
    }

    /// Kills it. What was put there stays.
    pub fn kill(&mut self) {
        self.process.kill().expect("it can be killed");
        self.process.wait().expect("it can be waited for");
    }

    /// Starts it again at the same address.
    pub fn restart(&mut self) {
        self.process = serve(self.storage.path()).expect("it was started before");
        self.wait();
    }

    /// Puts an image of a layout there, by skopeo.
    pub fn push(&self, layout: &Path, tag: &str, name: &str, options: &[&str]) {
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "--quiet", "--insecure-policy", "--dest-tls-verify=false"]).args(options);
        skopeo.arg(format!("oci:{}:{tag}", layout.display()));
        let output =
            skopeo.arg(format!("docker://{}/{name}", self.address)).output().expect("a test can do that");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Registry {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Puts a blob there, and says what describes it.
    pub fn put_blob(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Value {
        let digest = Digest::of(bytes);
        let begun = self.request("POST", &format!("/v2/{repository}/blobs/uploads/"), "", b"");
        let location =
            begun.lines().find_map(|line| line.strip_prefix("Location: ")).expect("an upload begins");
        let path = location.trim().trim_start_matches(&format!("http://{}", self.address));
        let separator = if path.contains('?') { '&' } else { '?' };
        self.request("PUT", &format!("{path}{separator}digest={digest}"), "application/octet-stream", bytes);
        json!({"mediaType": media_type, "digest": digest.as_str(), "size": bytes.len()})
    }

    /// Puts an index or a manifest there under a tag or its digest, and says what describes it.
    pub fn put_manifest(&self, repository: &str, name: &str, manifest: &Value) -> Value {
        let (text, media_type) = (manifest.to_string(), manifest["mediaType"].as_str().unwrap_or_default());
        let path = format!("/v2/{repository}/manifests/{name}");
        self.request("PUT", &path, media_type, text.as_bytes());
        json!({"mediaType": media_type, "digest": Digest::of(text.as_bytes()).as_str(), "size": text.len()})
    }

    /// The file in which a blob is stored.
    pub fn stored(&self, digest: &Digest) -> PathBuf {
        let digits = digest.as_str().trim_start_matches("sha256:");
        let blobs = self.storage.path().join("docker/registry/v2/blobs/sha256");
        blobs.join(&digits[..2]).join(digits).join("data")
    }

    /// The digest that a tag leads to.
    pub fn digest(&self, repository: &str, tag: &str) -> Digest {
        let accept = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json";
        let answer = self.request("HEAD", &format!("/v2/{repository}/manifests/{tag}"), accept, b"");
        let digest = answer.lines().find_map(|line| line.strip_prefix("Docker-Content-Digest: "));
        Digest::parse(digest.expect("the tag is there").trim()).expect("the registry knows digests")
    }

    /// The head of an answer, which must be success.
    fn request(&self, method: &str, path: &str, media_type: &str, body: &[u8]) -> String {
        let (head, length) = (format!("{method} {path} HTTP/1.0\r\nHost: {}\r\n", self.address), body.len());
        let mut stream = TcpStream::connect(self.address).expect("the registry listens");
        let types = format!("Content-Type: {media_type}\r\nAccept: {media_type}\r\n");
        let head = format!("{head}{types}Content-Length: {length}\r\n\r\n");
        stream.write_all(&[head.as_bytes(), body].concat()).expect("the registry reads");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("the registry answers");
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.get(9..10) == Some("2"), "{method} {path}: {answer}");
        answer
    }
}

fn serve(storage: &Path) -> std::io::Result<Child> {
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(storage.join("config.yml"));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
