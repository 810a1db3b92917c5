//! Repositories that are made to do harm, and places where there is something to be harmed.

use super::Place;
use std::os::unix::fs::{PermissionsExt, symlink};

#[test]
fn nothing_in_a_repository_runs_a_program() {
    let Some(place) = Place::new() else { return };
    let url = place.show("origin");
    place.brings_once(&url, "");
    let script = format!("#!/bin/sh\necho x >> {}\n", place.show("harm"));
    for hook in ["post-checkout", "post-merge", "reference-transaction", "post-index-change"] {
        let path = format!("clone/.git/hooks/{hook}");
        place.put(&path, &script);
        std::fs::set_permissions(place.at(&path), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let hook = place.show("clone/.git/hooks/post-merge");
    place.git("clone", &["config", "core.fsmonitor", &hook]);
    place.git("clone", &["config", "credential.helper", &format!("!{hook}")]);
    let submodule = ["submodule", "add", "-q", "./../origin", "sub"];
    place.git("work", &[&["-c", "protocol.file.allow=always"], &submodule[..]].concat());
    place.commit("file", "two\n");
    place.brings_once(&url, "");
    assert_eq!(std::fs::read_dir(place.at("clone/sub")).unwrap().count(), 0);
    assert_eq!((place.text("clone/file").unwrap(), place.text("harm")), ("two\n".into(), None));
}

#[test]
fn a_tree_that_reaches_outside_is_refused() {
    let Some(place) = Place::new() else { return };
    let blob = place.git("work", &["rev-parse", "HEAD:file"]);
    for name in [".git", "..", ".GIT/hooks"] {
        let listing = place.at("listing");
        std::fs::write(&listing, format!("100755 blob {blob}\t{}\n", name.split('/').next().unwrap()))
            .unwrap();
        let mut command = std::process::Command::new("git");
        command
            .arg("-C")
            .arg(place.at("origin"))
            .args(["mktree"])
            .stdin(std::fs::File::open(&listing).unwrap());
        let tree = String::from_utf8(command.output().unwrap().stdout).unwrap();
        if tree.is_empty() {
            continue;
        }
        let commit = place.git("work", &["-C", &place.show("origin"), "commit-tree", tree.trim(), "-m", "x"]);
        place.git("origin", &["update-ref", "refs/heads/evil", &commit]);
        let messages = place.fails(&place.show("origin"), "  branch: evil\n");
        assert!(messages.contains("invalid path"), "{messages}");
        assert!(!place.at("clone").exists());
    }
}

#[test]
fn links_in_a_repository_stay_links_and_are_not_followed() {
    let Some(place) = Place::new() else { return };
    let url = place.show("origin");
    place.put("outside/x", "mine\n");
    symlink(place.at("outside"), place.at("work/dir")).unwrap();
    place.git("work", &["add", "dir"]);
    place.commit("file", "two\n");
    place.brings_once(&url, "");
    assert!(place.at("clone/dir").is_symlink());
    // What was a link becomes a directory.
    std::fs::remove_file(place.at("work/dir")).unwrap();
    place.git("work", &["rm", "-q", "--cached", "dir"]);
    place.commit("dir/x", "theirs\n");
    place.brings_once(&url, "");
    assert_eq!(place.text("clone/dir/x").unwrap(), "theirs\n");
    assert_eq!(place.text("outside/x").unwrap(), "mine\n");
}

#[test]
fn a_broken_repository_does_not_lead_to_the_one_around_it() {
    let Some(place) = Place::new() else { return };
    let url = place.show("origin");
    // The directory of the test itself is a repository.
    place.git("", &["init", "-q", "-b", "main", "."]);
    place.put("precious", "mine\n");
    place.put("clone/.git/HEAD", "rubbish\n");
    let messages = place.fails(&url, "");
    assert!(messages.contains("it is no repository any more: remove it"), "{messages}");
    assert_eq!(place.git("", &["config", "--default", "none", "remote.origin.url"]), "none");
    assert_eq!(place.text("precious").unwrap(), "mine\n");
}

#[test]
fn locks_are_taken_away_only_from_an_update_that_was_interrupted() {
    let Some(place) = Place::new() else { return };
    let url = place.show("origin");
    place.brings_once(&url, "");
    place.commit("file", "two\n");
    place.put("clone/.git/index.lock", "");
    let messages = place.fails(&url, "");
    assert!(messages.contains("index.lock': File exists"), "{messages}");
    place.put("clone/.git/cosette-busy", "");
    place.put("clone/.git/refs/heads/main.lock", "");
    place.brings_once(&url, "  branch: main\n");
    assert_eq!(place.text("clone/file").unwrap(), "two\n");
    assert!(!place.at("clone/.git/cosette-busy").exists());
}
