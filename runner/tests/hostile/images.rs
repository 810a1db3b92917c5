//! Registries that send too much, and being told to stop while an image comes.

use crate::machine::{Machine, command};
use cosette_plugins::testing::{Answer, LayoutBuilder, Received, Server, TarBuilder, TarEntry};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Content that does not become smaller.
fn noise(length: u32) -> Vec<u8> {
    (0..length).map(|number| (number.wrapping_mul(2_654_435_761) >> 23) as u8).collect()
}

/// An image of two layers: `first`, and `big`, which has about a megabyte.
fn image() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    let content = noise(1_000_000);
    let big = TarBuilder::new().entry(TarEntry { content: &content, ..TarEntry::new("big", b'0') });
    let layers = [TarBuilder::new().file("first", "1").finish(), big.finish()];
    LayoutBuilder::new(directory.path()).image("1", &layers);
    directory
}

/// What a registry is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    Token,
    Manifest,
    Configuration,
    Layer,
}

/// Serves the image, but for what is answered otherwise.
fn registry(
    layout: &Path,
    otherwise: impl Fn(Asked, &Received) -> Option<Answer> + Send + Sync + 'static,
) -> Server {
    let blobs: PathBuf = layout.join("blobs/sha256");
    let index: Value = serde_json::from_slice(&fs::read(layout.join("index.json")).unwrap()).unwrap();
    let manifest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    Server::new(move |received| {
        let (kind, name) = received.path.rsplit_once('/').unwrap_or_default();
        let name = if name == "1" { &manifest } else { name };
        let content = fs::read(blobs.join(name.trim_start_matches("sha256:")));
        let asked = match &content {
            _ if name.starts_with("token") => Asked::Token,
            _ if kind.ends_with("/manifests") => Asked::Manifest,
            Ok(content) if content.starts_with(b"{") => Asked::Configuration,
            _ => Asked::Layer,
        };
        otherwise(asked, received)
            .unwrap_or_else(|| Answer::file(content.unwrap_or_default(), "\"1\"", received))
    })
}

fn step(server: &Server) -> String {
    format!("- name: Image\n  unpack_images:\n  - {{source: \"{}/x:1\", target: /t}}\n", server.address())
}

/// Unpacks the image, and returns the only error.
#[track_caller]
fn refused(otherwise: impl Fn(Asked, &Received) -> Option<Answer> + Send + Sync + 'static) -> String {
    let (machine, layout) = (Machine::new(), image());
    let server = registry(layout.path(), otherwise);
    let steps = step(&server) + "- name: Good\n  hostname: good\n";
    let ended = machine.apply(&[&machine.steps("a.yaml", &steps)]);
    assert_eq!((ended.status, ended.outcome("Good").as_str()), (Some(1), "applied"), "{ended:#?}");
    assert_eq!(ended.errors("Image").len(), 1, "{ended:#?}");
    ended.errors("Image").remove(0)
}

/// An answer without end and without length. The address space of the binary has an end.
fn endless() -> Answer {
    Answer::ok(vec![b' '; 1 << 20]).unclaimed().endless()
}

#[test]
fn an_endless_answer_is_cut_off() {
    for asked in [Asked::Manifest, Asked::Configuration] {
        let error = refused(move |now, _| (now == asked).then(endless));
        assert!(error.contains("the answer is larger than "), "{error}");
    }
    let error = refused(|now, _| (now == Asked::Layer).then(endless));
    assert!(error.contains("layer 1 of 2") && error.contains("not what its digest says"), "{error}");
    let error = refused(|now, _| (now == Asked::Manifest).then(|| endless().with_status(404)));
    assert!(error.contains("the registry does not have it"), "{error}");
    let token = |now, received: &Received| {
        let host = received.header("host").unwrap_or_default();
        let challenge = format!("Bearer realm=\"http://{host}/token\"");
        Some(match now {
            Asked::Token => endless(),
            _ => endless().with_status(401).header("WWW-Authenticate", challenge),
        })
    };
    let error = refused(token);
    assert!(error.contains("the answer is larger than 1 MiB"), "{error}");
    let error = refused(move |now, received| match now {
        Asked::Token => Some(endless().with_status(403)),
        _ => token(now, received),
    });
    assert!(error.contains("the registry refuses access"), "{error}");
}

#[test]
fn a_claim_of_ten_gigabytes_is_refused_before_they_are_sent() {
    for asked in [Asked::Manifest, Asked::Configuration, Asked::Layer] {
        let error = refused(move |now, _| (now == asked).then(|| endless().claiming(10 << 30)));
        assert!(error.contains("the answer is larger than "), "{error}");
    }
}

/// Stops the runner while the second layer comes, and returns what is in the directory then.
#[track_caller]
fn stopped_in_the_middle(before: &str) -> Vec<String> {
    let (machine, layout) = (Machine::new(), image());
    let blobs = layout.path().join("blobs/sha256");
    let slow = registry(layout.path(), move |now, received| {
        let digest = received.path.rsplit_once("sha256:")?.1;
        let content = (now == Asked::Layer).then(|| fs::read(blobs.join(digest)).unwrap())?;
        Some(Answer::file(content, "\"1\"", received).slowly(32 << 10, Duration::from_millis(200)))
    });
    if !before.is_empty() {
        machine.put("/t/big", before);
    }
    let steps = step(&slow) + "- name: Second\n  files: [{path: /etc/second, content: x}]\n";
    let document = machine.steps("a.yaml", &steps);
    let root = machine.root("/");
    let started = machine.start(&mut command(&[
        "--root",
        root.to_str().unwrap(),
        "--json",
        "apply",
        "-s",
        "test",
        &document,
    ]));
    let names = || {
        let entries = fs::read_dir(machine.root("/t")).into_iter().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let begun = Instant::now();
    while names().len() < if before.is_empty() { 2 } else { 3 } {
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", names());
        std::thread::sleep(Duration::from_millis(2));
    }
    let told = Instant::now();
    let runner = started.child.id().to_string();
    assert!(Command::new("kill").args(["-s", "TERM", &runner]).status().unwrap().success());
    let ended = started.wait();
    assert!(told.elapsed() < Duration::from_secs(3), "{:?}", told.elapsed());
    assert_eq!(ended.status, Some(1), "{ended:#?}");
    assert_eq!(ended.errors("Image").len(), 1, "{ended:#?}");
    assert!(ended.errors("Image")[0].contains("stopped by SIGTERM"), "{ended:#?}");
    assert_eq!((ended.outcome("Second").as_str(), machine.text("/etc/second")), ("failed", None));
    let left = names();
    assert_eq!(machine.text("/t/big").unwrap_or_default(), before);
    // Nothing is remembered of it: the next time, all of it is unpacked.
    let good = registry(layout.path(), |_, _| None);
    let again = machine.apply(&[&machine.steps("b.yaml", &step(&good))]);
    assert_eq!((again.status, again.outcome("Image").as_str()), (Some(0), "applied"), "{again:#?}");
    assert_eq!(fs::read(machine.root("/t/big")).unwrap(), noise(1_000_000));
    assert_eq!(names(), ["big", "first"]);
    left
}

#[test]
fn a_stop_in_the_middle_of_an_image_leaves_no_half_of_a_file_and_no_record() {
    assert_eq!(stopped_in_the_middle(""), ["first"]);
    assert_eq!(stopped_in_the_middle("old"), ["big", "first"]);
}
