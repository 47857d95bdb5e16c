//! Certificates: which there are, and the renewal of one.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One certificate, or why it is missing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificateStatus {
    pub names: Vec<String>,
    pub source: CertificateSource,
    /// The file, if the source is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    pub issuer: String,
    pub not_after: Option<Timestamp>,
    /// When an authority is asked for the next one; null if none is asked.
    #[serde(default)]
    pub next_renewal: Option<Timestamp>,
    /// Why no certificate was issued, in the authority's words, or why the file could not be loaded. A certificate that was
    /// loaded before may still be in use.
    pub error: Option<String>,
    /// It serves, but some clients may refuse it; each warning says what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateSource {
    File,
    /// The internal CA.
    Internal,
    /// An authority, by ACME.
    Acme,
    /// The internal CA, until an authority has issued one.
    StandIn,
}

/// `GET /v1/certificates`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Certificates {
    pub certificates: Vec<CertificateStatus>,
}

/// `GET /v1/ca`: the internal CA's root.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CaRoot {
    pub pem: String,
    /// Of the certificate (DER), as trust stores show it: upper case, with colons.
    pub sha256: String,
    pub not_after: Option<Timestamp>,
    /// Whether the root itself allows local names only.
    pub constrained: bool,
}

/// `POST /v1/certificates/renew`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RenewRequest {
    /// A name of the certificate.
    pub host: String,
}

/// Its answer, once the certificate serves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RenewedCertificate {
    pub names: Vec<String>,
    pub issuer: String,
    pub not_after: Timestamp,
    pub next_renewal: Timestamp,
}
