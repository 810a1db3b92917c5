//! Repositories behind HTTP, with and without a password.

use super::{Place, is_root, leftovers};
use crate::testing::{Answer, Authority, Identity, Received, Server, View};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What `git http-backend` answers.
fn backend(directory: &Path, received: &Received) -> Answer {
    let (path, query) = received.path.split_once('?').unwrap_or((&received.path, ""));
    let mut command = Command::new("git");
    command.arg("http-backend").env("GIT_PROJECT_ROOT", directory).env("GIT_HTTP_EXPORT_ALL", "1");
    command.env("PATH_INFO", path).env("QUERY_STRING", query).env("REQUEST_METHOD", &received.method);
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
        ("content-length", "CONTENT_LENGTH"),
    ] {
        command.env(variable, received.header(header).unwrap_or_default());
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    // It does not read what it does not need.
    _ = child.stdin.take().unwrap().write_all(&received.body);
    let output = child.wait_with_output().unwrap().stdout;
    let end = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(output.len() - 4);
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")?.get(..3)?.parse().ok());
    let mut answer = status.map_or_else(|| Answer::ok(&output[end + 4..]), Answer::status);
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        answer = answer.header(name, value);
    }
    answer
}

/// A server that wants this user and password, in base64.
fn guarded(directory: PathBuf, wanted: &'static str) -> Server {
    Server::new(move |received| match received.header("authorization") {
        Some(given) if given == format!("Basic {wanted}") => backend(&directory, received),
        _ => Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\""),
    })
}

#[test]
fn a_password_or_a_token_opens_the_repository_and_stays_secret() {
    let Some(place) = Place::new().filter(|_| is_root()) else { return };
    // ann:CANARY@:/%
    let server = guarded(place.at(""), "YW5uOkNBTkFSWUA6LyU=");
    let url = server.url("/origin");
    let messages = place.fails(&url, "");
    assert!(messages.contains("terminal prompts disabled"), "{messages}");
    for keys in [
        "  auth: {username: ann, password: CANARYwrong}\n",
        "  auth: {password: CANARYalone}\n",
        "  auth: {username: CANARYuser}\n",
    ] {
        let messages = place.fails(&url, keys);
        assert!(messages.contains("Authentication failed for 'http://127.0.0.1"), "{messages}");
        assert!(!messages.contains("CANARY"), "{messages}");
    }
    let outcome = place.apply(&url, "  auth: {username: ann, password: 'CANARY@:/%'}\n");
    assert!(!outcome.messages().contains("Error:"), "{}", outcome.messages());
    assert!(!format!("{outcome:?}").contains("CANARY"));
    assert_eq!(place.text("clone/file").unwrap(), "one\n");
    assert!(!leftovers(&place));
    std::fs::remove_dir_all(place.at("clone")).unwrap();
    // The same in the address, where it does not stay.
    place.brings_once(&url.replace("://", "://ann:CANARY%40%3A%2F%25@"), "");
    assert_eq!(place.git("clone", &["config", "remote.origin.url"]), url);
    let inside = Command::new("grep").args(["-r", "CANARY"]).arg(place.at("clone")).output().unwrap();
    assert!(inside.stdout.is_empty() && !leftovers(&place));
}

#[test]
fn a_password_goes_to_its_server_only_and_shows_in_no_process() {
    let Some(place) = Place::new().filter(|_| is_root()) else { return };
    let directory = place.at("");
    // Wants a password from everybody, and lets nobody in.
    let other = Server::new(|_| Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\""));
    let to = other.url_as("localhost", "/origin/info/refs?service=git-upload-pack");
    let moved = Server::new(move |_| Answer::redirect(to.clone()));
    let keys = "  auth: {username: ann, password: CANARY}\n";
    place.fails(&moved.url("/origin"), keys);
    let requests = other.take_requests();
    assert!(!requests.is_empty() && requests.iter().all(|request| request.header("authorization").is_none()));

    let slow = Server::new(move |received| match received.header("authorization") {
        Some(_) => backend(&directory, received).slowly(200, Duration::from_millis(100)),
        None => Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\""),
    });
    let done = std::sync::atomic::AtomicBool::new(false);
    let seen = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(std::sync::atomic::Ordering::SeqCst) {
                for entry in std::fs::read_dir("/proc").unwrap().flatten() {
                    let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
                    let line = String::from_utf8_lossy(&line).into_owned();
                    seen += usize::from(line.contains("git-remote-http") || line.contains("remote-http"));
                    assert!(!line.starts_with("git") || !line.contains("CANARY"), "{line}");
                }
                std::thread::sleep(Duration::from_millis(5));
            }
            seen
        });
        let outcome = place.apply(&slow.url("/origin"), keys);
        done.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(place.at("clone/file").exists(), "{}", outcome.messages());
        watcher.join().unwrap()
    });
    assert!(seen > 0, "nothing was seen at work");
}

#[test]
fn a_certificate_of_an_authority_that_the_root_trusts_is_taken() {
    let Some(place) = Place::new() else { return };
    let Some(view) = View::new("a git with certificates of its own", &[]) else { return };
    let authority = Authority::new();
    let text = BASE64_STANDARD.encode(authority.certificate());
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
    let mut trusted = std::fs::OpenOptions::new()
        .append(true)
        .create(true)
        .open(view.path("/etc/ssl/certs/ca-certificates.crt"));
    trusted.as_mut().unwrap().write_all(pem.as_bytes()).unwrap();
    let directory = place.at("");
    let server = Server::with_tls(authority.issue("localhost"), move |received| {
        match received.header("authorization") {
            Some("Basic YW5uOng=") => backend(&directory, received),
            _ => Answer::status(401).header("WWW-Authenticate", "Basic realm=\"x\""),
        }
    });
    let url = server.url_as("localhost", "/origin");
    let step = format!("git: {{url: '{url}', path: /srv/clone, auth: {{username: ann, password: x}}}}");
    let outcome = view.apply(&step);
    assert!(outcome.findings.is_empty(), "{}", outcome.messages());
    assert_eq!(std::fs::read_to_string(view.path("/srv/clone/file")).unwrap(), "one\n");
    let left = std::fs::read_dir(view.path("/run")).unwrap().flatten();
    assert!(left.into_iter().all(|entry| !entry.file_name().to_string_lossy().contains("cosette-git")));
}

/// Much text that cannot be made shorter.
fn noise(seed: u64) -> String {
    (0..20_000_u64)
        .map(|n| format!("{:x}\n", n.wrapping_mul(n).wrapping_mul(seed).wrapping_mul(0x9e37_79b9)))
        .collect()
}

#[test]
fn a_certificate_is_verified_whatever_is_said() {
    let Some(place) = Place::new().filter(|_| is_root()) else { return };
    let directory = place.at("");
    let server =
        Server::with_tls(Identity::self_signed("127.0.0.1"), move |received| backend(&directory, received));
    let keys = "  auth: {insecure: true, username: ann, password: CANARY}\n";
    let messages = place.fails(&server.url("/origin"), keys);
    assert!(messages.contains("`insecure` is ignored") && messages.contains("certificate"), "{messages}");
    assert!(server.take_requests().is_empty() && !messages.contains("CANARY"));
}

#[test]
fn a_connection_that_is_cut_leaves_nothing_and_is_tried_again() {
    let Some(place) = Place::new() else { return };
    place.commit("big2", &noise(104_729));
    let directory = place.at("");
    let whole = directory.clone();
    let cut = Server::new(move |received| match received.method.as_str() {
        "POST" => backend(&directory, received).cut_after(5_000),
        _ => backend(&directory, received),
    });
    let messages = place.fails(&cut.url("/origin"), "  branch: main\n");
    assert!(messages.contains("`git fetch` ended"), "{messages}");
    assert!(!place.at("clone").exists());
    // As a crash in the middle leaves it.
    place.put(".cosette-git-clone/.git/index.lock", "");
    place.put(".cosette-git-clone/.git/HEAD", "ref: rubbish\n");
    let server = Server::new(move |received| backend(&whole, received));
    place.brings_once(&server.url("/origin"), "  branch: main\n");
    assert!(place.at("clone/big2").exists() && !place.at(".cosette-git-clone").exists());
    // An update that is cut changes nothing.
    let before = place.git("clone", &["rev-parse", "HEAD"]);
    place.commit("big3", &noise(1_299_709));
    place.fails(&cut.url("/origin"), "  branch: main\n");
    assert_eq!(
        (place.git("clone", &["rev-parse", "HEAD"]), place.at("clone/big3").exists()),
        (before, false)
    );
    place.brings_once(&server.url("/origin"), "  branch: main\n");
    assert!(place.at("clone/big3").exists());
}
