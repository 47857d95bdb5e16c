//! Certificates of clients: which roots count, and what a verified certificate says.
//!
//! Verification is rustls's (webpki: chain, validity, `clientAuth` usage); revocation lists are not read.

use std::path::PathBuf;
use std::sync::Arc;

use http::HeaderValue;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::CertificateDer;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{ClientAuth, ClientAuthMode};
use crate::headers::ClientCert;
use crate::tls::digest::{hex, sha256};
use crate::tls::name::rfc4514;
use crate::trust::{Roots, RootsError};

/// Honest names are shorter, and every request would carry it.
const LONGEST_NAME: usize = 4096;

/// Verifies the certificates of clients.
#[derive(Clone)]
pub(super) struct ClientVerifier {
    pub verifier: Arc<dyn ClientCertVerifier>,
    /// A digest of the mode and the roots: tickets open under the same ones alone.
    pub digest: [u8; 32],
}

/// Why a `client_ca` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientCaError {
    #[error("client_ca: {0}")]
    Roots(#[from] RootsError),
    #[error("client_ca: {path}: {source}")]
    ClientVerifier { path: PathBuf, source: VerifierBuilderError },
}

/// Why a client is refused although rustls has verified its certificate.
#[derive(Debug, thiserror::Error)]
pub enum BadClientCert {
    #[error("the client's certificate cannot be parsed")]
    Parse,
    /// A resumed session is not verified again; the dates are.
    #[error("the client's certificate has expired since its session began")]
    Expired,
    #[error("the client's certificate has a name of more than {LONGEST_NAME} bytes")]
    Long,
}

/// Reads the roots. Touches the disk.
pub(super) fn load(asked: &ClientAuth) -> Result<ClientVerifier, ClientCaError> {
    let roots = Roots::read(&asked.ca)?;
    let mut rules: Vec<u8> = format!("{:?}", asked.mode).into();
    for certificate in roots.certificates() {
        rules.extend(sha256(certificate));
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots.store()), Arc::new(default_provider()));
    let builder = match asked.mode {
        ClientAuthMode::Require => builder,
        ClientAuthMode::Request => builder.allow_unauthenticated(),
    };
    let verifier =
        builder.build().map_err(|source| ClientCaError::ClientVerifier { path: asked.ca.clone(), source })?;
    Ok(ClientVerifier { verifier, digest: sha256(&rules) })
}

/// Whether the file of a `client_ca` can be used.
pub fn check_client_ca(asked: &ClientAuth) -> Result<(), ClientCaError> {
    load(asked).map(|_| ())
}

/// What the backend is told of a verified leaf.
pub(super) fn describe(leaf: &CertificateDer<'_>) -> Result<ClientCert, BadClientCert> {
    let (_, cert) = X509Certificate::from_der(leaf).map_err(|_| BadClientCert::Parse)?;
    if !cert.validity().is_valid() {
        return Err(BadClientCert::Expired);
    }
    Ok(ClientCert {
        subject: value(&rfc4514(cert.subject()))?,
        issuer: value(&rfc4514(cert.issuer()))?,
        serial: value(&hex(cert.raw_serial()).to_uppercase())?,
        sha256: value(&hex(&sha256(leaf)))?,
    })
}

fn value(text: &str) -> Result<HeaderValue, BadClientCert> {
    if text.len() > LONGEST_NAME {
        return Err(BadClientCert::Long);
    }
    HeaderValue::from_str(text).map_err(|_| BadClientCert::Parse)
}
