//! Repositories on the disk, and behind `git daemon`.

use super::Place;
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_repository_is_cloned_and_follows_its_branch() {
    let Some(place) = Place::new() else { return };
    let url = place.show("origin");
    place.brings_once(&url, "");
    assert_eq!(place.text("clone/file").unwrap(), "one\n");
    assert_eq!(place.git("clone", &["status", "--porcelain", "--branch"]), "## main...origin/main");
    // Changes are lost, and what git does not know stays.
    place.put("clone/file", "changed\n");
    place.put("clone/mine", "mine\n");
    place.brings_once(&url, "");
    assert_eq!(place.text("clone/file").unwrap(), "one\n");
    assert_eq!(place.text("clone/mine").unwrap(), "mine\n");
    let commit = place.commit("file", "two\n");
    place.brings_once(&url, "");
    assert_eq!(
        (place.text("clone/file").unwrap(), place.git("clone", &["rev-parse", "HEAD"])),
        ("two\n".into(), commit)
    );
    // A history that was rewritten.
    place.git("work", &["reset", "-q", "--hard", "HEAD~1"]);
    place.git("work", &["push", "-q", "--force", "origin", "main"]);
    place.brings_once(&url, "  branch: main\n");
    assert_eq!(place.text("clone/file").unwrap(), "one\n");
}

#[test]
fn branches_tags_and_commits_may_change_from_run_to_run() {
    let Some(place) = Place::new() else { return };
    let url = place.show("origin");
    let first = place.git("work", &["rev-parse", "HEAD"]);
    place.git("work", &["tag", "-a", "v1", "-m", "x"]);
    place.git("work", &["checkout", "-q", "-b", "topic/\u{e4}"]);
    let second = place.commit("file", "topic\n");
    place.brings_once(&url, "");
    place.brings_once(&url, "  branch: topic/\u{e4}\n");
    assert_eq!(place.text("clone/file").unwrap(), "topic\n");
    place.brings_once(&url, "  tag: v1\n");
    assert_eq!(place.text("clone/file").unwrap(), "one\n");
    // A tag that is moved.
    place.git("work", &["tag", "-f", "v1"]);
    place.git("work", &["push", "-q", "--force", "--tags", "origin"]);
    place.brings_once(&url, "  tag: v1\n");
    assert_eq!(place.git("clone", &["rev-parse", "HEAD"]), second);
    place.brings_once(&url, &format!("  commit: {first}\n"));
    assert_eq!(place.text("clone/file").unwrap(), "one\n");
    // What is there needs no server.
    std::fs::rename(place.at("origin"), place.at("away")).unwrap();
    assert!(!place.brings(&url, &format!("  commit: {first}\n")));
    place.brings_once(&url, &format!("  commit: {second}\n"));
    let message = place.fails(&url, "  tag: v1\n");
    assert!(message.contains("`git fetch` ended with status 128"), "{message}");
    // Another server with the same commits.
    assert!(place.brings(&place.show("away"), "  branch: main\n"));
    assert_eq!(place.git("clone", &["config", "remote.origin.url"]), place.show("away"));
}

#[test]
fn only_what_is_asked_for_is_fetched_if_so_wanted() {
    let Some(place) = Place::new() else { return };
    let url = format!("file://{}", place.show("origin"));
    let first = place.git("work", &["rev-parse", "HEAD"]);
    place.git("work", &["tag", "v1"]);
    place.git("work", &["checkout", "-q", "-b", "topic"]);
    place.commit("file", "topic\n");
    let refs = || place.git("clone", &["for-each-ref", "--format=%(refname)"]);
    place.brings_once(&url, "  branch: main\n  branch_only: true\n");
    assert_eq!(refs(), "refs/heads/main\nrefs/remotes/origin/main");
    std::fs::remove_dir_all(place.at("clone")).unwrap();
    place.brings_once(&url, &format!("  commit: {first}\n  branch_only: true\n"));
    assert_eq!(refs(), "");
    std::fs::remove_dir_all(place.at("clone")).unwrap();
    place.brings_once(&url, "");
    assert_eq!(refs(), "refs/heads/main\nrefs/remotes/origin/main\nrefs/remotes/origin/topic\nrefs/tags/v1");
}

#[test]
fn what_the_server_does_not_have_is_said() {
    let Some(place) = Place::new() else { return };
    let url = place.show("origin");
    for (keys, message) in [
        ("  branch: nowhere\n", "couldn't find remote ref refs/heads/nowhere"),
        ("  tag: nowhere\n", "couldn't find remote ref refs/tags/nowhere"),
        ("  commit: 9e1aef4d24a7d2f4e6ce2e5d1d4bb4ca6cf6a7bd\n", "not our ref 9e1aef4d"),
    ] {
        let messages = place.fails(&url, keys);
        assert!(messages.contains(message), "{messages}");
        assert!(!place.at("clone").exists());
    }
    place.git("", &["init", "-q", "--bare", "empty"]);
    let messages = place.fails(&place.show("empty"), "");
    assert!(messages.contains("the repository is empty"), "{messages}");
    let messages = place.fails(&place.show("none"), "");
    assert!(messages.contains("`git ls-remote` ended"), "{messages}");
    // An empty directory is no obstacle.
    std::fs::create_dir(place.at("clone")).unwrap();
    place.brings_once(&url, "");
}

#[test]
fn a_git_daemon_serves_its_own_protocol() {
    let Some(place) = Place::new() else { return };
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new("git");
    command.args(["daemon", "--listen=127.0.0.1", "--export-all", "--reuseaddr"]);
    command.args([&format!("--port={port}"), &format!("--base-path={}", place.show(""))]);
    let mut daemon = command.stderr(Stdio::null()).spawn().unwrap();
    let started = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() && started.elapsed() < Duration::from_secs(10) {
        std::thread::sleep(Duration::from_millis(20));
    }
    place.brings_once(&format!("git://127.0.0.1:{port}/origin"), "");
    assert_eq!(place.text("clone/file").unwrap(), "one\n");
    // git starts the daemon as a child.
    let _ = Command::new("pkill").args(["-P", &daemon.id().to_string()]).status();
    let _ = daemon.kill();
    daemon.wait().unwrap();
}
