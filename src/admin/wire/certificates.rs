//! What the API says of certificates.

use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// One certificate, or why it is missing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CertificateStatus {
    pub names: Vec<String>,
    pub source: CertificateSource,
    /// The file, where the source is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<PathBuf>,
    pub issuer: String,
    pub not_after: Option<Timestamp>,
    /// Why the file could not be taken up; one loaded before may still be in use.
    pub error: Option<String>,
    /// It serves, but some clients may stumble; each says what to do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CertificateSource {
    File,
    /// The internal CA.
    Internal,
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
    /// Whether the root itself forbids other names than local ones.
    pub constrained: bool,
}
