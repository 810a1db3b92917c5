//! Images in a real registry, put there by skopeo.
#![allow(clippy::disallowed_methods, reason = "tests run programs and look at files from outside")]

use crate::testing::{LayoutBuilder, Machine, Registry, TarBuilder, TarEntry, gzip};
use base64::Engine as _;
use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const TREE: &str = "-- /t/bin/a 0755\n#!/bin/sh\n-- /t/etc/b 0600 5:6\nb\n-- /t/link -> bin/a\n";

fn layers() -> Vec<Vec<u8>> {
    let b = TarEntry { mode: 0o600, owner: (5, 6), content: b"b\n", ..TarEntry::new("etc/b", b'0') };
    let a = TarEntry { mode: 0o755, content: b"#!/bin/sh\n", ..TarEntry::new("bin/a", b'0') };
    vec![
        TarBuilder::new().file("gone", "").file("etc/b", "old").finish(),
        TarBuilder::new().entry(a).symlink("link", "bin/a").file(".wh.gone", "").entry(b).finish(),
    ]
}

#[test]
fn images_of_every_form_come_out_of_a_real_registry() {
    let Some(registry) = Registry::start("") else { return };
    let layout = tempfile::tempdir().unwrap();
    let builder = LayoutBuilder::new(layout.path()).image("1", &layers());
    let plain: Vec<_> = layers().into_iter().map(|archive| (archive.clone(), archive)).collect();
    let mut plain = builder.manifest(&plain, "amd64");
    plain["annotations"] = json!({"org.opencontainers.image.ref.name": "plain"});
    builder.entry(plain);
    for (tag, name, options) in [
        ("1", "org/oci:1", &["--format=oci"][..]),
        ("1", "docker:1", &["--format=v2s2"]),
        ("plain", "compressed", &[]),
        ("plain", "zstd", &["--format=oci", "--dest-compress-format=zstd"]),
    ] {
        registry.push(layout.path(), tag, name, options);
        let machine = Machine::new("");
        machine.check(
            &format!("unpack_images: [{{source: 'docker://{}/{name}', target: /t}}]", registry.address()),
            TREE,
        );
    }
    let machine = Machine::new("");
    let step = format!("unpack_images: [{{source: '{}/none', target: /t}}]", registry.address());
    assert!(machine.apply(&step).messages().contains("the registry does not have it"));
}

#[test]
fn the_image_for_the_platform_is_chosen_from_several() {
    let Some(registry) = Registry::start("") else { return };
    let layout = tempfile::tempdir().unwrap();
    let builder = LayoutBuilder::new(layout.path());
    let of = |architecture: &str, variant: &str| {
        let archive = TarBuilder::new().file("platform", &format!("{architecture}{variant}\n")).finish();
        let mut entry = builder.manifest(&[(gzip(&archive), archive)], architecture);
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        if !variant.is_empty() {
            entry["platform"]["variant"] = json!(variant);
        }
        entry
    };
    let entries = [of("amd64", ""), of("arm64", "v8"), of("arm", "v6")];
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": entries,
    });
    let mut entry = builder.blob("application/vnd.oci.image.index.v1+json", index.to_string().as_bytes());
    entry["annotations"] = json!({"org.opencontainers.image.ref.name": "all"});
    builder.entry(entry);
    registry.push(layout.path(), "all", "multi:1", &["--all"]);
    let from = |source: &str, platform: &str, expected: &str| {
        let machine = Machine::new("");
        let step = format!("unpack_images: [{{source: '{source}', target: /t, {platform}}}]");
        machine.check(&step, &format!("-- /t/platform\n{expected}\n"));
    };
    let source = format!("{}/multi:1", registry.address());
    from(&source, "", "amd64");
    from(&source, "platform: linux/arm64", "arm64v8");
    from(&source, "platform: linux/arm/v7", "armv6");
    let machine = Machine::new("");
    let messages = machine
        .apply(&format!("unpack_images: [{{source: '{source}', target: /t, platform: linux/s390x}}]"))
        .messages();
    assert!(
        messages.contains("it has no image for linux/s390x, only for linux/amd64, linux/arm64, linux/arm/v6")
    );
}

#[test]
fn a_login_opens_a_real_registry() {
    let storage = tempfile::tempdir().unwrap();
    let file = storage.path().join("htpasswd");
    std::fs::write(&file, "user:$2b$04$abcdefghijklmnopqrstuughE8Ev8uGFaUgY2cNEySvxngrb/Jzdm\n").unwrap();
    let more = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", file.display());
    let Some(registry) = Registry::start(&more) else { return };
    let layout = tempfile::tempdir().unwrap();
    LayoutBuilder::new(layout.path()).image("1", &layers());
    registry.push(layout.path(), "1", "x:1", &["--dest-creds=user:password"]);
    let step = format!("unpack_images: [{{source: '{}/x:1', target: /t}}]", registry.address());
    let login =
        format!("{{\"auths\": {{\"{}\": {{\"auth\": \"dXNlcjpwYXNzd29yZA==\"}}}}}}", registry.address());
    Machine::new(&format!("-- /root/.docker/config.json 0600\n{login}\n")).check(&step, TREE);
    let messages = Machine::new("").apply(&step).messages();
    assert!(messages.contains("the registry refuses access"), "{messages}");
}

#[test]
fn a_registry_must_prove_who_it_is() {
    let certified = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (certificate, key) = (dir.path().join("certificate.pem"), dir.path().join("key.pem"));
    let pem = |kind: &str, der: &[u8]| {
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {kind}-----\n{text}\n-----END {kind}-----\n")
    };
    std::fs::write(&certificate, pem("CERTIFICATE", certified.cert.der())).unwrap();
    std::fs::write(&key, pem("PRIVATE KEY", &certified.signing_key.serialize_der())).unwrap();
    let tls = format!("  tls: {{certificate: {}, key: {}}}\n", certificate.display(), key.display());
    let Some(registry) = Registry::start(&tls) else { return };
    let layout = tempfile::tempdir().unwrap();
    LayoutBuilder::new(layout.path()).image("1", &layers());
    registry.push(layout.path(), "1", "x:1", &[]);
    let step =
        format!("unpack_images: [{{source: '{}/x:1', target: /t, insecure: false}}]", registry.address());
    let machine = Machine::new("");
    let messages = machine.apply(&step).messages();
    assert!(messages.contains("the server does not prove that it is 127.0.0.1"), "{messages}");
    machine.host.trust(certified.cert.der().to_vec());
    machine.check(&step, TREE);
    let Some(plain) = Registry::start("") else { return };
    let step = format!("unpack_images: [{{source: '{}/x:1', target: /t, insecure: false}}]", plain.address());
    let messages = Machine::new("").apply(&step).messages();
    assert!(
        messages.contains("`insecure = true` in /etc/containers/registries.conf allows that"),
        "{messages}"
    );
}

#[test]
fn a_line_that_is_cut_again_and_again_brings_the_whole_image() {
    let Some(registry) = Registry::start("") else { return };
    let layout = tempfile::tempdir().unwrap();
    let mut content = Vec::new();
    for number in 0..400_000_u32 {
        content.extend_from_slice(&number.wrapping_mul(2_654_435_761).to_le_bytes());
    }
    let archive =
        TarBuilder::new().entry(TarEntry { content: &content, ..TarEntry::new("big", b'0') }).finish();
    LayoutBuilder::new(layout.path()).image("1", &[archive]);
    registry.push(layout.path(), "1", "x:1", &[]);
    let proxy = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = proxy.local_addr().unwrap();
    let (passed, upstream) = (Arc::new(AtomicUsize::new(0)), registry.address());
    let counted = Arc::clone(&passed);
    std::thread::spawn(move || {
        for client in proxy.incoming().flatten() {
            let counted = Arc::clone(&counted);
            std::thread::spawn(move || relay(client, upstream, 500_000, &counted));
        }
    });
    let machine = Machine::new("");
    let outcome = machine.apply(&format!("unpack_images: [{{source: '{address}/x:1', target: /t}}]"));
    assert!(outcome.findings.is_empty(), "{}", outcome.messages());
    assert!(std::fs::read(machine.root().join("t/big")).unwrap() == content);
    let passed = passed.load(Ordering::SeqCst);
    assert!(passed < content.len() * 5 / 4, "{passed} bytes for {}", content.len());
}

/// Passes on what the client asks, and at most so many bytes of what it is answered.
fn relay(client: TcpStream, upstream: SocketAddr, most: usize, counted: &AtomicUsize) -> Option<()> {
    let server = TcpStream::connect(upstream).ok()?;
    let (mut asks, mut to_server) = (BufReader::new(client.try_clone().ok()?), server.try_clone().ok()?);
    std::thread::spawn(move || {
        loop {
            let count = asks.fill_buf().ok()?.len();
            if count == 0 {
                return to_server.shutdown(std::net::Shutdown::Write).ok();
            }
            to_server.write_all(asks.buffer()).ok()?;
            asks.consume(count);
        }
    });
    let (mut left, mut server, mut client) = (most, server, client);
    let mut buffer = [0; 8192];
    while left > 0 {
        let count = server.read(&mut buffer[..left.min(8192)]).ok().filter(|count| *count > 0)?;
        client.write_all(&buffer[..count]).ok()?;
        counted.fetch_add(count, Ordering::SeqCst);
        left -= count;
    }
    client.shutdown(std::net::Shutdown::Both).ok()
}
