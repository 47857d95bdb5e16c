//! A certificate and its key from PEM files, checked against each other before anything uses them.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A chain with its key and what the leaf says of itself.
#[derive(Debug, Clone)]
pub struct Loaded {
    pub key: Arc<CertifiedKey>,
    /// DNS names and IP addresses of the leaf, in lower case; wildcards as `*.example.com`.
    pub names: Vec<String>,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
    pub issuer: String,
}

/// Why a pair of files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not PEM: {source}")]
    Pem { path: PathBuf, source: pem::Error },
    #[error("{path} holds no certificate")]
    NoCertificate { path: PathBuf },
    #[error("{path} holds a certificate that cannot be parsed")]
    Parse { path: PathBuf },
    #[error("the key in {key} cannot be used: {source}")]
    Key { key: PathBuf, source: rustls::Error },
    #[error("the key in {key} does not belong to the certificate in {cert}")]
    Mismatch { cert: PathBuf, key: PathBuf },
}

/// Reads, parses and matches. Touches the disk; call it off the request path.
pub fn load(cert: &Path, key: &Path) -> Result<Loaded, CertificateError> {
    parse(cert, &read(cert)?, key, &read(key)?)
}

/// The same from what was read; the paths are for errors.
pub fn parse(cert: &Path, chain_text: &[u8], key: &Path, key_text: &[u8]) -> Result<Loaded, CertificateError> {
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_slice_iter(chain_text)
        .collect::<Result<_, _>>()
        .map_err(|source| CertificateError::Pem { path: cert.into(), source })?;
    let private =
        PrivateKeyDer::from_pem_slice(key_text).map_err(|source| CertificateError::Pem { path: key.into(), source })?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate { path: cert.into() });
    }
    let described = describe(&chain[0]).ok_or_else(|| CertificateError::Parse { path: cert.into() })?;
    let certified = CertifiedKey::from_der(chain, private, &aws_lc_rs::default_provider());
    let certified = certified.map_err(|source| match source {
        rustls::Error::InconsistentKeys(_) => CertificateError::Mismatch { cert: cert.into(), key: key.into() },
        source => CertificateError::Key { key: key.into(), source },
    })?;
    let Described { names, not_before, not_after, issuer } = described;
    Ok(Loaded { key: Arc::new(certified), names, not_before, not_after, issuer })
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    fs::read(path).map_err(|source| CertificateError::Read { path: path.into(), source })
}

/// What the leaf says of itself.
struct Described {
    names: Vec<String>,
    not_before: SystemTime,
    not_after: SystemTime,
    issuer: String,
}

fn describe(leaf: &CertificateDer<'_>) -> Option<Described> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    let alternatives = leaf.subject_alternative_name().ok()??;
    let names = alternatives.value.general_names.iter().filter_map(name_of).collect();
    let time = |at: x509_parser::time::ASN1Time| {
        let seconds = u64::try_from(at.timestamp()).ok()?;
        Some(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds))
    };
    let (not_before, not_after) = (time(leaf.validity().not_before)?, time(leaf.validity().not_after)?);
    Some(Described { names, not_before, not_after, issuer: leaf.issuer().to_string() })
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            Err(_) => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
        },
        _ => None,
    }
}
