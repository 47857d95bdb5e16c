//! What a client's verified certificate says of its owner. By which roots it is verified: [`crate::trust`].
//!
//! Verification is rustls's (webpki: chain, validity, `clientAuth` usage); revocation lists are not read.

use http::HeaderValue;
use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::headers::ClientCert;
use crate::tls::digest::{hex, sha256};
use crate::tls::name::rfc4514;

/// Honest names are shorter, and every request would carry it.
const LONGEST_NAME: usize = 4096;

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
