//! Public keys that signatures are verified with.

use anyhow::{Context, Result, bail};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{SignatureVerificationAlgorithm, SubjectPublicKeyInfoDer};
use webpki::ring::{ECDSA_P256_SHA256, ECDSA_P384_SHA384, ED25519, RSA_PKCS1_2048_8192_SHA256};
use webpki::{Error, RawPublicKeyEntity};

/// How cosign signs, by the kind of the key.
const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] =
    &[ECDSA_P256_SHA256, ED25519, RSA_PKCS1_2048_8192_SHA256, ECDSA_P384_SHA384];

/// A public key.
#[derive(Debug)]
pub(super) struct PublicKey {
    /// What it is called in messages.
    pub(super) name: String,
    key: SubjectPublicKeyInfoDer<'static>,
}

impl PublicKey {
    /// All the public keys of a text in PEM; at least one.
    pub(super) fn read(name: &str, pem: &str) -> Result<Vec<Self>> {
        // What is wrong is not repeated: it may be a private key.
        let keys: Vec<Self> = SubjectPublicKeyInfoDer::pem_slice_iter(pem.as_bytes())
            .map(|key| Some(Self { name: name.to_owned(), key: key.ok()? }))
            .collect::<Option<_>>()
            .with_context(|| format!("{name}: its PEM is broken"))?;
        if keys.is_empty() {
            bail!("{name} holds no public key: it would begin with `-----BEGIN PUBLIC KEY-----`");
        }
        if !keys.iter().all(Self::is_known) {
            bail!("{name} holds a key that is not of ECDSA with P-256 or P-384, Ed25519, or RSA");
        }
        Ok(keys)
    }

    /// Whether this key has made the signature of the message.
    pub(super) fn has_signed(&self, message: &[u8], signature: &[u8]) -> bool {
        self.verdicts(message, signature).any(|verdict| verdict == Ok(()))
    }

    /// Whether it fits to any algorithm: then a signature can be wrong.
    fn is_known(&self) -> bool {
        self.verdicts(b"", b"").any(|verdict| verdict == Err(Error::InvalidSignatureForPublicKey))
    }

    fn verdicts(&self, message: &[u8], signature: &[u8]) -> impl Iterator<Item = Result<(), Error>> {
        ALGORITHMS.iter().map(move |algorithm| {
            RawPublicKeyEntity::try_from(&self.key)?.verify_signature(*algorithm, message, signature)
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::disallowed_methods, reason = "tests run programs")]

    use super::*;
    use crate::testing::Signer;
    use base64::Engine as _;
    use std::io::Write as _;
    use std::path::Path;
    use std::process::Command;

    fn read(pem: &str) -> Result<Vec<PublicKey>, String> {
        PublicKey::read("key", pem).map_err(|error| error.to_string())
    }

    #[test]
    fn a_key_has_signed_what_it_has_signed_and_nothing_else() {
        for signer in [Signer::ecdsa(), Signer::ed25519()] {
            let keys = read(&format!("a comment\n{}{}", signer.public(), Signer::ecdsa().public())).unwrap();
            let signature = base64::engine::general_purpose::STANDARD.decode(signer.sign(b"this")).unwrap();
            let signed =
                |message: &[u8]| keys.iter().map(|key| key.has_signed(message, &signature)).collect();
            let (this, that): (Vec<bool>, Vec<bool>) = (signed(b"this"), signed(b"that"));
            assert_eq!((this, that), (vec![true, false], vec![false, false]));
        }
    }

    #[test]
    fn keys_and_signatures_of_openssl_are_understood() {
        let dir = tempfile::tempdir().unwrap();
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).current_dir(dir.path()).output();
            output.ok().filter(|output| output.status.success()).map(|output| output.stdout)
        };
        std::fs::write(dir.path().join("message"), "message").unwrap();
        for (kind, option, hash) in [
            ("RSA", "rsa_keygen_bits:2048", "-sha256"),
            ("EC", "ec_paramgen_curve:P-256", "-sha256"),
            ("EC", "ec_paramgen_curve:P-384", "-sha384"),
        ] {
            let private = ["genpkey", "-algorithm", kind, "-pkeyopt", option, "-out", "private"];
            if openssl(&private).is_none() {
                writeln!(std::io::stderr(), "SKIPPED: keys of openssl: it is not installed").unwrap();
                return;
            }
            let public = openssl(&["pkey", "-in", "private", "-pubout"]).unwrap();
            let signature = openssl(&["dgst", hash, "-sign", "private", "message"]).unwrap();
            let keys = read(std::str::from_utf8(&public).unwrap()).unwrap();
            assert!(keys[0].has_signed(b"message", &signature), "{option}");
            assert!(!keys[0].has_signed(b"massage", &signature), "{option}");
            let private = std::fs::read_to_string(Path::new(dir.path()).join("private")).unwrap();
            let error = read(&private).unwrap_err();
            assert!(error.contains("holds no public key") && !error.contains("MI"), "{error}");
        }
    }

    #[test]
    fn what_is_no_key_for_signatures_is_refused_at_once() {
        assert!(read("").unwrap_err().contains("key holds no public key"));
        let broken = "-----BEGIN PUBLIC KEY-----\nsecret*\n-----END PUBLIC KEY-----\n";
        assert_eq!(read(broken).unwrap_err(), "key: its PEM is broken");
        let other = "-----BEGIN PUBLIC KEY-----\nc2VjcmV0\n-----END PUBLIC KEY-----\n";
        assert!(read(other).unwrap_err().contains("not of ECDSA"));
        let one_good = format!("{}{other}", Signer::ecdsa().public());
        assert!(read(&one_good).unwrap_err().contains("not of ECDSA"));
    }
}
