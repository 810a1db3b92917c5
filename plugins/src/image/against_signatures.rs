//! Signatures in a real registry: what is not signed as the policy requires is refused, and nothing is changed.
#![allow(clippy::disallowed_methods, reason = "tests run programs and look at files from outside")]

use super::{Digest, Failure, Policy, Reason, Request, Resolved, Source, Verified, fetch, resolve, unpack};
use crate::system::Mode;
use crate::testing::{LayoutBuilder, Machine, Registry, Signer, TarBuilder, put_at_tag, put_bundle};
use std::path::Path;

/// A registry with the image `org/x:1`, and its digest.
fn registry() -> Option<(Registry, Digest)> {
    let registry = Registry::start("")?;
    push(&registry, "1");
    let digest = registry.digest("org/x", "1");
    Some((registry, digest))
}

/// Puts an image at the tag `1`.
fn push(registry: &Registry, content: &str) {
    let layout = tempfile::tempdir().unwrap();
    LayoutBuilder::new(layout.path()).image("1", &[TarBuilder::new().file("a", content).finish()]);
    registry.push(layout.path(), "1", "org/x:1", &["--format=oci"]);
}

/// A machine that requires a signature by one of the keys.
fn machine(registry: &Registry, keys: &[&Signer]) -> Machine {
    let pem: String = keys.iter().map(|key| key.public()).collect();
    let policy = format!(
        "repositories:\n- {{prefix: '{}', require: signature, keys: [/etc/cosette/keys/release.pub]}}\n",
        registry.address()
    );
    Machine::new(&format!("-- /etc/cosette/keys/release.pub\n{pem}-- /etc/cosette/policy.yaml\n{policy}"))
}

fn request(registry: &Registry) -> Request {
    let source = Source::parse(&format!("{}/org/x:1", registry.address())).unwrap();
    Request { source, platform: None, insecure: None }
}

fn resolved(machine: &Machine, registry: &Registry) -> Result<Resolved, Failure> {
    let sys = machine.system(Mode::Apply);
    resolve(&sys, &request(registry), &Policy::load(&sys)?)
}

/// Why the image is refused, resolved or unpacked; nothing is changed either way.
fn refusal(machine: &Machine, registry: &Registry) -> (Reason, String) {
    let failure = resolved(machine, registry).unwrap_err();
    let step = format!("unpack_images: [{{source: '{}/org/x:1', target: /t}}]", registry.address());
    let outcome = machine.apply(&step);
    let message = format!("{:#}", anyhow::Error::from(failure.context("")));
    assert_eq!(outcome.findings.len(), 1, "{message}");
    assert!(!machine.root().join("t").exists());
    let failure = resolved(machine, registry).unwrap_err();
    (failure.reason, message)
}

const KEY: &str = "/etc/cosette/keys/release.pub";

#[test]
fn a_signature_by_any_of_several_keys_in_either_form_is_enough() {
    let Some((registry, digest)) = registry() else { return };
    let (one, two) = (Signer::ecdsa(), Signer::ed25519());
    let machine = machine(&registry, &[&one, &two]);
    assert_eq!(refusal(&machine, &registry).0, Reason::Unsigned);
    one.sign_by_tag(&registry, "org/x", &digest);
    let found = resolved(&machine, &registry).unwrap();
    assert_eq!(found.verified, Verified::Signature(KEY.to_owned()));
    assert_eq!(found.top, Some(digest.clone()));
    let another = Signer::ecdsa();
    another.sign_by_tag(&registry, "org/x", &digest);
    assert_eq!(refusal(&machine, &registry).0, Reason::WrongKey);
    two.sign_by_bundle(&registry, "org/x", &digest);
    assert_eq!(resolved(&machine, &registry).unwrap().verified, Verified::Signature(KEY.to_owned()));
    machine.apply(&format!("unpack_images: [{{source: '{}/org/x:1', target: /t}}]", registry.address()));
    assert_eq!(std::fs::read_to_string(machine.root().join("t/a")).unwrap(), "1");
}

#[test]
fn a_signature_by_another_key_is_refused() {
    let Some((registry, digest)) = registry() else { return };
    let machine = machine(&registry, &[&Signer::ecdsa()]);
    Signer::ecdsa().sign_by_tag(&registry, "org/x", &digest);
    let (reason, message) = refusal(&machine, &registry);
    assert_eq!(reason, Reason::WrongKey);
    assert!(message.ends_with(&format!("its signature is not by a key of the policy ({KEY})")), "{message}");
    Signer::ed25519().sign_by_bundle(&registry, "org/x", &digest);
    let (reason, message) = refusal(&machine, &registry);
    assert_eq!(reason, Reason::WrongKey);
    assert!(message.contains("none of its 2 signatures is by a key"), "{message}");
}

#[test]
fn a_signature_of_something_else_is_refused() {
    let Some((registry, digest)) = registry() else { return };
    let signer = Signer::ecdsa();
    let machine = machine(&registry, &[&signer]);
    let other = Digest::of(b"another image, which is signed");
    // What was signed for another image, copied to this one.
    let payload = Signer::payload(&other);
    put_at_tag(&registry, "org/x", &digest, &payload, &signer.sign(payload.as_bytes()));
    let (reason, message) = refusal(&machine, &registry);
    assert_eq!(reason, Reason::Tampered);
    assert!(message.contains(&format!("a signature of it is no good: it is for {other}")), "{message}");
    // The digest exchanged in what was signed: only who has the key can have meant it.
    put_at_tag(&registry, "org/x", &digest, &Signer::payload(&digest), &signer.sign(payload.as_bytes()));
    assert_eq!(refusal(&machine, &registry).0, Reason::WrongKey);
    for (payload, signature) in [("{}", "AAAA"), ("no JSON", "AAAA"), (&Signer::payload(&digest), "*")] {
        put_at_tag(&registry, "org/x", &digest, payload, signature);
        assert_eq!(refusal(&machine, &registry).0, Reason::Tampered, "{payload}");
    }
}

#[test]
fn a_bundle_of_something_else_is_refused() {
    let Some((registry, digest)) = registry() else { return };
    let signer = Signer::ecdsa();
    let machine = machine(&registry, &[&signer]);
    const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
    put_bundle(&registry, "org/x", &digest, &signer.bundle(&Digest::of(b"another"), SIGNED));
    assert_eq!(refusal(&machine, &registry).0, Reason::Tampered);
    // A list of what is in it, signed by the same key, is no signature of the image.
    put_bundle(&registry, "org/x", &digest, &signer.bundle(&digest, "https://spdx.dev/Document"));
    assert_eq!(refusal(&machine, &registry).0, Reason::Unsigned);
    // The statement exchanged under the signature of another.
    let mut bundle = signer.bundle(&digest, SIGNED);
    let of_another = signer.bundle(&Digest::of(b"another"), SIGNED);
    bundle["dsseEnvelope"]["signatures"] = of_another["dsseEnvelope"]["signatures"].clone();
    put_bundle(&registry, "org/x", &digest, &bundle);
    assert_eq!(refusal(&machine, &registry).0, Reason::WrongKey);
}

#[test]
fn a_tag_that_moves_on_between_check_and_fetch_changes_nothing_of_what_is_fetched() {
    let Some((registry, digest)) = registry() else { return };
    let signer = Signer::ecdsa();
    let machine = machine(&registry, &[&signer]);
    signer.sign_by_tag(&registry, "org/x", &digest);
    let found = resolved(&machine, &registry).unwrap();
    push(&registry, "2");
    fetch(&machine.system(Mode::Apply), &found, Path::new("/checked"), &mut ()).unwrap();
    assert_eq!(std::fs::read_to_string(machine.root().join("checked/a")).unwrap(), "1");
    // And what the tag leads to now is not signed.
    assert_eq!(refusal(&machine, &registry).0, Reason::Unsigned);
}

#[test]
fn a_layer_that_was_exchanged_or_cut_in_the_registry_is_refused() {
    let Some((registry, digest)) = registry() else { return };
    let signer = Signer::ecdsa();
    let machine = machine(&registry, &[&signer]);
    signer.sign_by_tag(&registry, "org/x", &digest);
    let found = resolved(&machine, &registry).unwrap();
    let blob = registry.stored(&found.layers[0].0.digest);
    let content = std::fs::read(&blob).unwrap();
    let sys = machine.system(Mode::Apply);
    let spoil = |content: &[u8]| {
        std::fs::write(&blob, content).unwrap();
        let fetched = fetch(&sys, &found, Path::new("/f"), &mut ()).unwrap_err();
        let policy = Policy::load(&sys).unwrap();
        let unpacked = unpack(&sys, &request(&registry), &policy, Path::new("/u"), &mut ()).unwrap_err();
        assert_eq!(fetched.reason, unpacked.reason);
        fetched.reason
    };
    let mut other = content.clone();
    *other.last_mut().unwrap() ^= 1;
    assert_eq!(spoil(&other), Reason::Content);
    assert_eq!(spoil(&content[..content.len() - 1]), Reason::Content);
}
