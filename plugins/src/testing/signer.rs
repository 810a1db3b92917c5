//! Signatures of images in the forms of cosign, made without it.

use super::Registry;
use crate::image::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData as _, SigningKey as _};
use serde_json::{Value, json};

/// The type of bundles.
const BUNDLE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

/// A key that signs images.
pub struct Signer {
    key: KeyPair,
}

impl Signer {
    /// A new key of ECDSA with P-256, as `cosign generate-key-pair` makes them.
    pub fn ecdsa() -> Self {
        Self { key: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key can be made") }
    }

    /// A new key of Ed25519.
    pub fn ed25519() -> Self {
        Self { key: KeyPair::generate_for(&PKCS_ED25519).expect("a key can be made") }
    }

    /// The public key in PEM.
    pub fn public(&self) -> String {
        let text = STANDARD.encode(self.key.subject_public_key_info());
        format!("-----BEGIN PUBLIC KEY-----\n{text}\n-----END PUBLIC KEY-----\n")
    }

    /// A signature in base64.
    pub fn sign(&self, message: &[u8]) -> String {
        STANDARD.encode(self.key.sign(message).expect("the key signs"))
    }

    /// What is signed of a digest at a tag.
    pub fn payload(digest: &Digest) -> String {
        let critical = json!({
            "identity": {"docker-reference": "registry.example/signed"},
            "image": {"docker-manifest-digest": digest.as_str()},
            "type": "cosign container image signature",
        });
        json!({"critical": critical, "optional": null}).to_string()
    }

    /// A bundle with a statement about the digest.
    pub fn bundle(&self, digest: &Digest, predicate_type: &str) -> Value {
        let (algorithm, digits) = digest.as_str().split_once(':').expect("a digest has a colon");
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1",
            "subject": [{"digest": {algorithm: digits}}],
            "predicateType": predicate_type,
            "predicate": {},
        });
        let (statement, kind) = (statement.to_string(), "application/vnd.in-toto+json");
        let message = format!("DSSEv1 {} {kind} {} {statement}", kind.len(), statement.len());
        json!({
            "mediaType": BUNDLE,
            "verificationMaterial": {"publicKey": {"hint": "x"}, "tlogEntries": []},
            "dsseEnvelope": {
                "payload": STANDARD.encode(&statement),
                "payloadType": kind,
                "signatures": [{"sig": self.sign(message.as_bytes())}],
            },
        })
    }

    /// Signs what is in the registry, by a payload at a tag.
    pub fn sign_by_tag(&self, registry: &Registry, repository: &str, digest: &Digest) {
        let payload = Self::payload(digest);
        put_at_tag(registry, repository, digest, &payload, &self.sign(payload.as_bytes()));
    }

    /// Signs what is in the registry, by a bundle that refers to it.
    pub fn sign_by_bundle(&self, registry: &Registry, repository: &str, digest: &Digest) {
        let bundle = self.bundle(digest, "https://sigstore.dev/cosign/sign/v1");
        put_bundle(registry, repository, digest, &bundle);
    }
}

/// Puts a payload and its signature at the tag for signatures of the digest.
pub fn put_at_tag(registry: &Registry, repository: &str, digest: &Digest, payload: &str, signature: &str) {
    let kind = "application/vnd.dev.cosign.simplesigning.v1+json";
    let mut layer = registry.put_blob(repository, kind, payload.as_bytes());
    layer["annotations"] = json!({"dev.cosignproject.cosign/signature": signature});
    let config = registry.put_blob(repository, "application/vnd.oci.image.config.v1+json", b"{}");
    let tag = format!("{}.sig", digest.as_str().replace(':', "-"));
    registry.put_manifest(repository, &tag, &manifest(&config, &layer));
}

/// Puts a bundle there, which refers to the digest by the tag for registries that keep no lists of referrers.
pub fn put_bundle(registry: &Registry, repository: &str, digest: &Digest, bundle: &Value) {
    let layer = registry.put_blob(repository, BUNDLE, bundle.to_string().as_bytes());
    let config = registry.put_blob(repository, "application/vnd.oci.empty.v1+json", b"{}");
    let mut referrer = manifest(&config, &layer);
    referrer["artifactType"] = json!(BUNDLE);
    referrer["subject"] = json!({"mediaType": referrer["mediaType"], "digest": digest.as_str(), "size": 1});
    let digest_of_it = Digest::of(referrer.to_string().as_bytes());
    let mut entry = registry.put_manifest(repository, digest_of_it.as_str(), &referrer);
    entry["artifactType"] = json!(BUNDLE);
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [entry],
    });
    registry.put_manifest(repository, &digest.as_str().replace(':', "-"), &index);
}

fn manifest(config: &Value, layer: &Value) -> Value {
    json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
    })
}
