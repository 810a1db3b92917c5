//! Certificates, good and bad, for servers of tests.

use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// Somebody who issues certificates, and whom a host may trust.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// With what a server proves who it is, or fails to.
#[derive(Clone)]
pub struct Identity(pub(super) Arc<ServerConfig>);

impl Authority {
    /// A new one, whom nobody trusts yet.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "Authority of a test");
        let key = KeyPair::generate().expect("a key can be made");
        Self { issuer: CertifiedIssuer::self_signed(params, key).expect("a certificate can be made") }
    }

    /// Its own certificate, to be trusted, in DER.
    pub fn certificate(&self) -> Vec<u8> {
        self.issuer.der().to_vec()
    }

    /// A good certificate for a host name or address.
    pub fn issue(&self, name: &str) -> Identity {
        self.issue_for(&[name])
    }

    /// A good certificate for several.
    pub fn issue_for(&self, names: &[&str]) -> Identity {
        self.sign(params(names))
    }

    /// One that was good until 2001.
    pub fn issue_expired(&self, name: &str) -> Identity {
        let mut params = params(&[name]);
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2001, 1, 1);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate can be made");
        Identity::new(certificate.der(), &key)
    }
}

impl Identity {
    /// A certificate that nobody has issued but its owner.
    pub fn self_signed(name: &str) -> Self {
        let key = KeyPair::generate().expect("a key can be made");
        let certificate = params(&[name]).self_signed(&key).expect("a certificate can be made");
        Self::new(certificate.der(), &key)
    }

    fn new(certificate: &CertificateDer<'static>, key: &KeyPair) -> Self {
        // Fails only when it has been installed before, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let key = PrivateKeyDer::try_from(key.serialize_der()).expect("the key is well-formed");
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .expect("the certificate fits the key");
        Self(Arc::new(config))
    }
}

fn params(names: &[&str]) -> CertificateParams {
    let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    CertificateParams::new(names).expect("the names may stand in a certificate")
}
