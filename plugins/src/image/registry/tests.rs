#![allow(clippy::disallowed_methods, reason = "tests look at files from outside")]

use super::server::{Manners, registry, requests};
use crate::image::{Digest, Policy, Reason, Request, Source, Verified, resolve};
use crate::system::Mode;
use crate::testing::{Answer, LayoutBuilder, Machine, Outcome, Server, Signer, TarBuilder, TarEntry};
use base64::Engine as _;
use serde_json::{Value, json};

/// Content that does not become smaller.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..length).map(|_| next()).collect()
}

/// A layout with the image `x:1` of four layers, about a quarter of a megabyte each.
fn layout() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let content = noise(250_000);
    let layer =
        |name| TarBuilder::new().entry(TarEntry { content: &content, ..TarEntry::new(name, b'0') }).finish();
    LayoutBuilder::new(dir.path()).image("1", &["a", "b", "c", "d"].map(layer));
    dir
}

fn unpack(machine: &Machine, server: &Server, name: &str) -> Outcome {
    machine.apply(&format!("unpack_images: [{{source: '{}/{name}', target: /t}}]", server.address()))
}

fn names(machine: &Machine) -> Vec<String> {
    let entries = std::fs::read_dir(machine.root().join("t"));
    let names = entries.into_iter().flatten().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

fn error(manners: Manners, name: &str) -> String {
    let layout = layout();
    let (machine, server) = (Machine::new(""), registry(layout.path(), manners));
    let outcome = unpack(&machine, &server, name);
    assert_eq!(outcome.findings.len(), 1, "{}", outcome.messages());
    outcome.messages()
}

fn good(manners: Manners) -> Vec<String> {
    let layout = layout();
    let (machine, server) = (Machine::new(""), registry(layout.path(), manners));
    let outcome = unpack(&machine, &server, "x:1");
    assert!(outcome.findings.is_empty(), "{}", outcome.messages());
    assert_eq!(names(&machine), ["a", "b", "c", "d"]);
    requests(&server)
}

#[test]
fn an_image_is_asked_for_once_and_each_part_of_it_once() {
    let layout = layout();
    let (machine, server) = (Machine::new(""), registry(layout.path(), Manners::default()));
    assert!(unpack(&machine, &server, "x:1").findings.is_empty());
    let log = requests(&server);
    assert_eq!(log.iter().filter(|line| line.contains("/blobs/")).count(), 5, "{log:#?}");
    // The same again: the tag is asked for, and what it leads to, but no layer.
    assert!(!unpack(&machine, &server, "x:1").effects.iter().any(|effect| effect.changed));
    let log = requests(&server);
    assert_eq!(log.iter().filter(|line| line.contains("/blobs/")).count(), 1, "{log:#?}");
    // With a digest, nobody is asked.
    let digest = Digest::of(&std::fs::read(manifest(layout.path())).unwrap());
    let pinned = format!("x@{digest}");
    assert!(!unpack(&machine, &server, &pinned).effects.iter().any(|effect| effect.changed));
    assert_eq!(requests(&server), Vec::<String>::new());
    let other = Machine::new("");
    assert!(unpack(&other, &server, &pinned).findings.is_empty());
    assert_eq!(names(&other), ["a", "b", "c", "d"]);
}

fn manifest(layout: &std::path::Path) -> std::path::PathBuf {
    let index: serde_json::Value =
        serde_json::from_slice(&std::fs::read(layout.join("index.json")).unwrap()).unwrap();
    layout.join("blobs").join(index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/"))
}

#[test]
fn a_connection_that_breaks_is_taken_up_where_it_broke() {
    let log = good(Manners { cut: Some(100_000), ..Manners::default() });
    let resumed: Vec<_> =
        log.iter().filter(|line| line.contains("bytes=") && !line.contains("bytes=0-")).collect();
    assert_eq!(resumed.len(), 8, "{log:#?}");
    assert!(resumed.iter().all(|line| line.ends_with("bytes=100000-") || line.ends_with("bytes=200000-")));
}

#[test]
fn a_registry_that_cannot_begin_in_the_middle_is_read_again_from_the_front() {
    let log = good(Manners { ignores_ranges: true, ..Manners::default() });
    assert_eq!(log.iter().filter(|line| line.contains("/blobs/")).count(), 5);
}

#[test]
fn a_registry_in_trouble_is_asked_again_and_not_forever() {
    good(Manners { busy: Some((503, 2)), ..Manners::default() });
    let message = error(Manners { busy: Some((429, 100)), ..Manners::default() }, "x:1");
    assert!(message.contains("after 5 tries: the server answered 429"), "{message}");
    let message = error(Manners { cut: Some(0), ..Manners::default() }, "x:1");
    assert!(message.contains("its configuration: after 5 tries: "), "{message}");
}

#[test]
fn what_is_not_there_is_said_at_once() {
    let message = error(Manners::default(), "x:2");
    assert!(message.ends_with("/x:2 into /t: the registry does not have it\n"), "{message}");
    let message = error(Manners::default(), &format!("x@{}", Digest::of(b"other")));
    assert!(message.contains("the registry does not have it"), "{message}");
}

#[test]
fn other_bytes_than_the_digest_says_are_never_an_image() {
    let message = error(Manners { lies: true, ..Manners::default() }, "x:1");
    assert!(message.contains("the content is not what its digest says"), "{message}");
    let message = error(Manners { talks_too_much: true, ..Manners::default() }, "x:1");
    assert!(message.contains("the answer is larger than"), "{message}");
}

#[test]
fn a_login_is_used_and_never_shown() {
    let layout = layout();
    let login = base64::engine::general_purpose::STANDARD.encode("user:password");
    let basic: &'static str = Box::leak(format!("Basic {login}").into_boxed_str());
    let server = registry(layout.path(), Manners { login: Some(basic), ..Manners::default() });
    let file = |login: &str| {
        format!(
            "-- /root/.docker/config.json 0600\n{{\"auths\": {{\"{}\": {{\"auth\": \"{login}\"}}}}}}\n",
            server.address()
        )
    };
    let machine = Machine::new(&file(&login));
    let outcome = unpack(&machine, &server, "x:1");
    assert!(outcome.findings.is_empty(), "{}", outcome.messages());
    let wrong = base64::engine::general_purpose::STANDARD.encode("user:hunter2");
    for machine in [Machine::new(&file(&wrong)), Machine::new("")] {
        let messages = unpack(&machine, &server, "x:1").messages();
        assert!(messages.contains("the registry refuses access"), "{messages}");
        assert!(!messages.contains("hunter2") && !messages.contains("html"), "{messages}");
    }
}

#[test]
fn another_server_than_a_registry_is_not_understood() {
    let machine = Machine::new("");
    let server = Server::new(|_| Answer::ok("<html>"));
    let messages = unpack(&machine, &server, "x:1").messages();
    assert!(messages.contains("it is no manifest of an image"), "{messages}");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let step = format!("unpack_images: [{{source: '{address}/x:1', target: /t}}]");
    let messages = machine.apply(&step).messages();
    assert!(messages.contains("after 5 tries: cannot connect to 127.0.0.1: "), "{messages}");
}

#[test]
fn a_registry_that_stands_still_is_not_waited_for() {
    for silent in ["/manifests/", "/blobs/"] {
        let layout = layout();
        let good = registry(layout.path(), Manners::default());
        let machine = Machine::new("");
        machine.host.stall(std::time::Duration::from_millis(100));
        let target = good.address();
        let server = Server::new(move |received| match received.path.contains(silent) {
            true => Answer::ok("x").unclaimed().slowly(1, std::time::Duration::from_secs(5)),
            false => Answer::redirect(format!("http://{target}{}", received.path)),
        });
        let messages = unpack(&machine, &server, "x:1").messages();
        assert!(messages.contains("after 5 tries: 127.0.0.1 has sent nothing for 0.1 s"), "{messages}");
    }
}

#[test]
fn a_signature_is_found_by_what_refers_to_the_image() {
    let layout = layout();
    let builder = LayoutBuilder::new(layout.path());
    let digest = {
        let layer = TarBuilder::new().file("a", "1").finish();
        let mut entry = builder.manifest(&[(layer.clone(), layer)], "amd64");
        let digest = Digest::parse(entry["digest"].as_str().unwrap()).unwrap();
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": "signed"});
        let _ = builder.entry(entry);
        digest
    };
    let builder = LayoutBuilder::new(layout.path());
    let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let refer = |signer: &Signer, predicate: &str, more: Value| {
        let bundle = builder.blob(kind, signer.bundle(&digest, predicate).to_string().as_bytes());
        let manifest =
            json!({"schemaVersion": 2, "artifactType": kind, "config": bundle, "layers": [bundle]});
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let mut entry = builder.blob(media_type, manifest.to_string().as_bytes());
        entry["artifactType"] = json!(kind);
        entry["annotations"] = more;
        entry
    };
    let (signer, sign) = (Signer::ed25519(), "https://sigstore.dev/cosign/sign/v1");
    let sbom = "https://spdx.dev/Document";
    let entries = [
        refer(&signer, sbom, json!({"dev.sigstore.bundle.predicateType": sbom})),
        refer(&Signer::ecdsa(), sign, json!({})),
        refer(&signer, sign, json!({"dev.sigstore.bundle.predicateType": sign})),
    ];
    let server = registry(layout.path(), Manners::default());
    let machine = Machine::new(&format!("-- /key\n{}", signer.public()));
    let resolved = |count: usize| {
        let index = json!({"schemaVersion": 2, "manifests": entries[..count]}).to_string();
        std::fs::write(layout.path().join("referrers.json"), index).unwrap();
        let source = Source::parse(&format!("{}/x@{digest}", server.address())).unwrap();
        let request = Request { source, platform: None, insecure: None };
        let policy = Policy::signed_by(vec!["/key".into()]);
        resolve(&machine.system(Mode::Apply), &request, &policy).map_err(|failure| failure.reason)
    };
    assert_eq!(resolved(1).unwrap_err(), Reason::Unsigned);
    assert_eq!(resolved(2).unwrap_err(), Reason::WrongKey);
    requests(&server);
    assert_eq!(resolved(3).unwrap().verified, Verified::Signature("/key".into()));
    // What the index says to be something else is not even asked for.
    let bundles = requests(&server).iter().filter(|line| line.contains("/blobs/")).count();
    assert_eq!(bundles, 3, "the configuration and two bundles");
}

/// A machine for which the first server is a mirror of the second.
fn mirrored(mirror: &Server, itself: &Server) -> Machine {
    Machine::new(&format!(
        "-- /etc/containers/registries.conf\n[[registry]]\nlocation = '{}'\n[[registry.mirror]]\nlocation = '{}'\n",
        itself.address(),
        mirror.address()
    ))
}

#[test]
fn a_mirror_serves_an_image_and_the_registry_is_not_asked() {
    let layout = layout();
    let (mirror, itself) =
        (registry(layout.path(), Manners::default()), Server::new(|_| Answer::status(500)));
    let machine = mirrored(&mirror, &itself);
    assert!(unpack(&machine, &itself, "x:1").findings.is_empty());
    assert_eq!(names(&machine), ["a", "b", "c", "d"]);
    assert_eq!(requests(&itself), Vec::<String>::new());
}

#[test]
fn what_a_mirror_does_not_have_or_has_otherwise_comes_from_the_registry() {
    let layout = layout();
    for bad in [
        Server::new(|_| Answer::status(404)),
        registry(layout.path(), Manners { lies: true, ..Manners::default() }),
    ] {
        let itself = registry(layout.path(), Manners::default());
        let machine = mirrored(&bad, &itself);
        let outcome = unpack(&machine, &itself, "x:1");
        assert!(outcome.findings.is_empty(), "{}", outcome.messages());
        assert_eq!(names(&machine), ["a", "b", "c", "d"]);
    }
}

#[test]
fn a_mirror_that_dies_in_the_middle_of_a_layer_is_taken_over_where_it_was() {
    let layout = layout();
    let itself = registry(layout.path(), Manners::default());
    let served = registry(layout.path(), Manners { cut: Some(100_000), ..Manners::default() });
    let target = served.address();
    // It serves the documents and the begin of each layer; whoever comes back for the rest is sent away.
    let mirror = Server::new(move |received| match received.header("range") {
        Some(_) => Answer::status(404),
        None => Answer::redirect(format!("http://{target}{}", received.path)),
    });
    let machine = mirrored(&mirror, &itself);
    let outcome = unpack(&machine, &itself, "x:1");
    assert!(outcome.findings.is_empty(), "{}", outcome.messages());
    assert_eq!(names(&machine), ["a", "b", "c", "d"]);
    let log = requests(&itself);
    assert!(log.iter().all(|line| line.ends_with("bytes=100000-")), "{log:#?}");
    assert_eq!(log.len(), 4);
}

#[test]
fn when_neither_mirror_nor_registry_serve_it_both_are_told_of() {
    let missing = || Server::new(|_| Answer::status(404));
    let (mirror, itself) = (missing(), missing());
    let machine = mirrored(&mirror, &itself);
    let messages = unpack(&machine, &itself, "x:1").messages();
    let mirror = mirror.address();
    let expected =
        format!("the registry does not have it; and of its mirrors, {mirror}: the registry does not have it");
    assert!(messages.contains(&expected), "{messages}");
}
