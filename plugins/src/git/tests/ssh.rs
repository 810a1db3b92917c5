//! Repositories behind a real sshd on the loopback device.

use super::{Place, is_root, leftovers, skipped};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// An sshd that is there until it is dropped.
struct Daemon {
    child: Child,
    port: u16,
}

impl Daemon {
    fn start(place: &Place) -> Option<Self> {
        const SSHD: &str = "/usr/sbin/sshd";
        if !Path::new(SSHD).exists() {
            skipped("there is no sshd");
            return None;
        }
        for name in ["host", "user", "other"] {
            let mut command = Command::new("ssh-keygen");
            command.args(["-q", "-t", "ed25519", "-N", "", "-C", "CANARY", "-f"]).arg(place.at(name));
            assert!(command.status().unwrap().success());
        }
        let _ = std::fs::create_dir_all("/run/sshd");
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             PermitRootLogin prohibit-password\n",
            place.show("host"),
            place.show("user.pub")
        );
        place.put("sshd_config", &config);
        let mut command = Command::new(SSHD);
        command.args(["-D", "-e", "-f"]).arg(place.at("sshd_config")).stderr(Stdio::null());
        let daemon = Self { child: command.spawn().unwrap(), port };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() && started.elapsed() < Duration::from_secs(10)
        {
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(daemon)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn keys_open_the_repository_and_the_server_must_have_its_key() {
    let Some(place) = Place::new().filter(|_| is_root()) else { return };
    let Some(daemon) = Daemon::start(&place) else { return };
    let url = format!("ssh://root@127.0.0.1:{}{}", daemon.port, place.show("origin"));
    let key = |name: &str| {
        place.text(name).unwrap().lines().map(|line| format!("      {line}\n")).collect::<String>()
    };
    let auth = |private: &str, public: Option<&str>| {
        let public = public
            .map(|public| format!("    public_key: {}", place.text(public).unwrap()))
            .unwrap_or_default();
        format!("  auth:\n{public}    private_key: |\n{}", key(private))
    };
    let unknown = place.fails(&url, &auth("user", None));
    assert!(unknown.contains("give the key of the server in `auth.public_key`"), "{unknown}");
    let pretender = place.fails(&url, &auth("user", Some("other.pub")));
    assert!(pretender.contains("does not have the key that it must have"), "{pretender}");
    let stranger = place.fails(&url, &auth("other", Some("host.pub")));
    assert!(stranger.contains("Permission denied"), "{stranger}");
    for message in [unknown, pretender, stranger] {
        assert!(!message.contains("CANARY") && !message.contains("OPENSSH"), "{message}");
    }
    assert!(!place.at("clone").exists() && !leftovers(&place));

    place.brings_once(&url, &auth("user", Some("host.pub")));
    assert_eq!(place.text("clone/file").unwrap(), "one\n");
    assert!(!leftovers(&place));
    place.commit("file", "two\n");
    // The user apart, and no key of the server: with a warning.
    let url = url.replace("root@", "");
    let outcome =
        place.apply(&url, &format!("{}    insecure: true\n    username: root\n", auth("user", None)));
    assert_eq!(place.text("clone/file").unwrap(), "two\n", "{}", outcome.messages());
    assert!(outcome.messages().contains("can pretend to be it"), "{}", outcome.messages());
}
