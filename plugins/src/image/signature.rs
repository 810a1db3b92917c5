//! Signatures as cosign makes them with a key.
//!
//! They lie beside the image: at the tag `sha256-….sig`, or among what refers to the image (the referrers API,
//! or the tag `sha256-…` where there is none). Either is a manifest whose layers are signatures: a "simple
//! signing" payload with the signature in an annotation, or a Sigstore bundle with a signed in-toto statement.
//! Transparency logs and certificates are not looked at: who has the key is trusted.

use super::failure::{Failure, Reason, known};
use super::key::PublicKey;
use super::manifest::{Blob, Descriptor, Index};
use super::{Digest, Store};
use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;

/// More signatures are not looked at.
const MOST: usize = 32;

/// A layer that is a payload, and the annotation with its signature.
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIMPLE_SIGNATURE: &str = "dev.cosignproject.cosign/signature";
/// What a payload must be.
const SIMPLE_TYPE: &str = "cosign container image signature";

/// How the type of a layer that is a bundle begins, and of what refers to an image by one.
const BUNDLES: &str = "application/vnd.dev.sigstore.bundle";
/// What refers to an image by signatures that are otherwise at a tag.
const REFERRING: &str = "application/vnd.dev.cosign.artifact.sig.v1+json";
/// What a referrer says of the statement in its bundle.
const PREDICATE: &str = "dev.sigstore.bundle.predicateType";
/// What a statement must be: others say what an image is made of, or what somebody has found in it.
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";
/// What a bundle must hold.
const STATEMENT: &str = "application/vnd.in-toto+json";

/// Fails unless one of the keys has signed the digest. Returns the name of the key.
pub(super) fn verify(store: &mut dyn Store, top: &Digest, keys: &[PublicKey]) -> Result<String, Failure> {
    let mut seen = Seen { keys, top, count: 0, tampered: None };
    let mut search = || -> Result<Option<String>> {
        let tag = top.as_str().replacen(':', "-", 1);
        if let Some(manifest) = store.tagged(&format!("{tag}.sig"))?
            && let Some(key) = seen.manifest(store, &manifest)?
        {
            return Ok(Some(key));
        }
        let referrers = match store.referrers(top)? {
            None => store.tagged(&tag)?,
            found => found,
        };
        let Some(referrers) = referrers else { return Ok(None) };
        let referrers: Index = serde_json::from_slice(&referrers).context("what refers to it")?;
        for referrer in referrers.manifests.iter().filter(|referrer| may_sign(referrer)).take(MOST) {
            let manifest = store.document(&Blob::of(referrer)?)?;
            if let Some(key) = seen.manifest(store, &manifest)? {
                return Ok(Some(key));
            }
        }
        Ok(None)
    };
    let found = search().context("its signatures").map_err(Failure::or(Reason::Registry))?;
    match (found, seen.tampered, seen.count) {
        (Some(key), _, _) => Ok(key),
        (None, Some(how), _) => {
            Err(Failure::new(Reason::Tampered, format!("a signature of it is no good: {how}")))
        }
        (None, None, 0) => {
            Err(Failure::new(Reason::Unsigned, "it is not signed, but the policy requires that"))
        }
        (None, None, count) => {
            let names: Vec<&str> = keys.iter().map(|key| key.name.as_str()).collect();
            let names = names.join(", ");
            let message = match count {
                1 => format!("its signature is not by a key of the policy ({names})"),
                count => format!("none of its {count} signatures is by a key of the policy ({names})"),
            };
            Err(Failure::new(Reason::WrongKey, message))
        }
    }
}

/// What has been seen of the signatures so far.
struct Seen<'a> {
    keys: &'a [PublicKey],
    top: &'a Digest,
    count: usize,
    /// What is wrong with a signature, other than its key.
    tampered: Option<String>,
}

impl Seen<'_> {
    /// The name of the key with which one of the signatures of the manifest is right.
    fn manifest(&mut self, store: &mut dyn Store, manifest: &[u8]) -> Result<Option<String>> {
        let manifest: Manifest = serde_json::from_slice(manifest).context("their manifest")?;
        for layer in &manifest.layers {
            if self.count == MOST {
                break;
            }
            let annotation = layer.annotations.as_ref().and_then(|all| all.get(SIMPLE_SIGNATURE));
            let claim = match (layer.media_type.as_str(), annotation) {
                (SIMPLE, Some(signature)) => {
                    store.blob(&Blob::of(layer)?).and_then(|blob| Claim::simple(blob, signature).map(Some))
                }
                (kind, _) if kind.starts_with(BUNDLES) => {
                    store.blob(&Blob::of(layer)?).and_then(|blob| Claim::bundle(&blob))
                }
                _ => continue,
            };
            match claim {
                Ok(None) => continue,
                Ok(Some(claim)) => {
                    let key = self.keys.iter().find(|key| claim.is_by(key));
                    if !claim.digests.iter().any(|digest| digest == self.top.as_str()) {
                        self.tampered = Some(format!("it is for {}", claim.digests.join(", ")));
                    } else if let Some(key) = key {
                        return Ok(Some(key.name.clone()));
                    }
                }
                Err(error) if matches!(known(&error), Some(Reason::Content | Reason::Tampered)) => {
                    self.tampered = Some(format!("{error:#}"));
                }
                Err(error) => return Err(error),
            }
            self.count += 1;
        }
        Ok(None)
    }
}

/// Something that is signed, and about which digests it is.
struct Claim {
    message: Vec<u8>,
    signatures: Vec<Vec<u8>>,
    digests: Vec<String>,
}

impl Claim {
    fn is_by(&self, key: &PublicKey) -> bool {
        self.signatures.iter().any(|signature| key.has_signed(&self.message, signature))
    }

    /// A payload and the annotation with its signature.
    fn simple(message: Vec<u8>, signature: &str) -> Result<Self> {
        #[derive(Deserialize)]
        struct Payload {
            critical: Critical,
        }
        #[derive(Deserialize)]
        struct Critical {
            image: Image,
            r#type: String,
        }
        #[derive(Deserialize)]
        struct Image {
            #[serde(rename = "docker-manifest-digest")]
            digest: String,
        }
        let payload: Payload = serde_json::from_slice(&message).map_err(|_| malformed("payload"))?;
        if payload.critical.r#type != SIMPLE_TYPE {
            return Err(malformed("payload"));
        }
        let signatures = vec![decoded(signature)?];
        Ok(Self { message, signatures, digests: vec![payload.critical.image.digest] })
    }

    /// A bundle; nothing if it is not about a signature of an image.
    fn bundle(bundle: &[u8]) -> Result<Option<Self>> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Bundle {
            dsse_envelope: Option<Envelope>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Envelope {
            payload: String,
            payload_type: String,
            signatures: Vec<Signature>,
        }
        #[derive(Deserialize)]
        struct Signature {
            sig: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Statement {
            subject: Vec<Subject>,
            predicate_type: String,
        }
        #[derive(Deserialize)]
        struct Subject {
            digest: BTreeMap<String, String>,
        }
        let bundle: Bundle = serde_json::from_slice(bundle).map_err(|_| malformed("bundle"))?;
        let Some(Envelope { payload, payload_type, signatures }) = bundle.dsse_envelope else {
            return Ok(None);
        };
        if payload_type != STATEMENT {
            return Ok(None);
        }
        let payload = decoded(&payload)?;
        let statement: Statement = serde_json::from_slice(&payload).map_err(|_| malformed("statement"))?;
        if statement.predicate_type != SIGNED {
            return Ok(None);
        }
        let digests = statement.subject.iter().flat_map(|subject| &subject.digest);
        let digests = digests.map(|(algorithm, digits)| format!("{algorithm}:{digits}")).collect();
        let signatures = signatures.iter().take(MOST).map(|signature| decoded(&signature.sig));
        let signatures = signatures.collect::<Result<_>>()?;
        // What is signed of an envelope.
        let mut message =
            format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len()).into_bytes();
        message.extend_from_slice(&payload);
        Ok(Some(Self { message, signatures, digests }))
    }
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    STANDARD.decode(text).map_err(|_| Reason::Tampered.says("its base64 is broken"))
}

fn malformed(what: &str) -> anyhow::Error {
    Reason::Tampered.says(format!("its {what} is malformed"))
}

/// A manifest whose layers are signatures.
#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Descriptor>,
}

/// Whether what refers to the image can be a signature of it.
fn may_sign(referrer: &Descriptor) -> bool {
    let kind = referrer.artifact_type.as_deref().unwrap_or_default();
    let predicate = referrer.annotations.as_ref().and_then(|all| all.get(PREDICATE));
    (kind == REFERRING || kind.starts_with(BUNDLES)) && predicate.is_none_or(|predicate| predicate == SIGNED)
}
