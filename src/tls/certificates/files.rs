//! A certificate and its key from PEM files, checked against each other before anything uses them.
//!
//! A fault that makes a pair useless is an error, one that some clients refuse is a warning; each names the file and says what
//! to do. How either is handled: [`super::pairs`].

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::chain;
use super::key_type::KeyType;
use crate::config::CertificateFiles;
use crate::named_file;
use crate::tls::name::rfc4514;
use crate::types::{certificate_name_covers, normal_name};

/// A chain with its key and what the leaf says of itself.
#[derive(Debug, Clone)]
pub struct LoadedCertificate {
    pub key: Arc<CertifiedKey>,
    pub key_type: KeyType,
    /// DNS names and IP addresses of the leaf, in lower case; wildcards as `*.example.com`.
    pub names: Vec<String>,
    pub not_before: SystemTime,
    pub not_after: SystemTime,
    pub issuer: String,
    /// What some clients refuse, and what to do about it.
    pub warnings: Vec<String>,
    /// It asks for a stapled OCSP response (RFC 7633), which is never sent.
    pub must_staple: bool,
}

impl LoadedCertificate {
    pub fn is_valid(&self, now: SystemTime) -> bool {
        self.not_before <= now && now < self.not_after
    }

    /// `what`: which certificate it is.
    pub fn staple_warning(&self, what: &str) -> Option<String> {
        let advice = "edgectl sends none, so clients that heed it refuse the site; have it issued without";
        self.must_staple.then(|| format!("{what} asks for a stapled OCSP response (must-staple): {advice}"))
    }

    /// Whether one of its names is good for this one.
    pub fn covers(&self, name: &str) -> bool {
        self.names.iter().any(|own| certificate_name_covers(own, name))
    }
}

/// Why a pair of files can't be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is DER, not PEM; convert it: openssl {tool} -inform der -in {path} -out FILE.pem")]
    Der { path: PathBuf, tool: &'static str },
    #[error("{path} is not PEM: {source}; it is damaged, or was cut off: write it anew")]
    Pem { path: PathBuf, source: pem::Error },
    #[error("{path} holds no certificate; it is the file with -----BEGIN CERTIFICATE-----, the site's own first")]
    NoCertificate { path: PathBuf },
    #[error("{path} holds a private key and no certificate; are `cert` and `key` exchanged?")]
    Exchanged { path: PathBuf },
    #[error("{path}: its certificate {number} cannot be parsed; have it issued anew, or take it out")]
    Parse { path: PathBuf, number: usize },
    #[error("{path}: the certificate has no subjectAltName, without which no client takes it; have it issued anew")]
    NoNames { path: PathBuf },
    #[error("{path} holds no private key; it is the file with -----BEGIN PRIVATE KEY-----")]
    NoKey { path: PathBuf },
    #[error("{path} holds a certificate and no private key; are `cert` and `key` exchanged?")]
    CertificateAsKey { path: PathBuf },
    #[error("the key in {path} is encrypted; write it in the clear: openssl pkey -in {path} -out FILE.key")]
    Encrypted { path: PathBuf },
    #[error("the key in {key} cannot be used: {source}")]
    Key { key: PathBuf, source: rustls::Error },
    #[error("{cert} is in the wrong order: the key in {key} belongs to its certificate {number}; put that one first")]
    Order { cert: PathBuf, key: PathBuf, number: usize },
    #[error("the key in {key} does not belong to the certificate in {cert}; give the key it was issued for")]
    Mismatch { cert: PathBuf, key: PathBuf },
}

/// The two files as they are on the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    pub cert: Vec<u8>,
    pub key: Vec<u8>,
}

impl Content {
    /// Touches the disk; call it off the request path.
    pub fn read(files: &CertificateFiles) -> Result<Self, CertificateError> {
        Ok(Self { cert: read(&files.cert)?, key: read(&files.key)? })
    }
}

/// Reads, parses and matches, to find out whether the pair is good. Touches the disk.
pub fn load(files: &CertificateFiles) -> Result<LoadedCertificate, CertificateError> {
    parse(files, &Content::read(files)?)
}

/// The same from what was read; the paths are for errors.
pub fn parse(files: &CertificateFiles, content: &Content) -> Result<LoadedCertificate, CertificateError> {
    let chain = certificates(&files.cert, &content.cert)?;
    let private = private_key(&files.key, &content.key)?;
    let parsed = parse_all(&files.cert, &chain)?;
    let certified = CertifiedKey::from_der(chain.clone(), private.clone_key(), &aws_lc_rs::default_provider());
    let certified = certified.map_err(|source| match source {
        rustls::Error::InconsistentKeys(_) => mismatch(files, &parsed, &private),
        source => CertificateError::Key { key: files.key.clone(), source },
    })?;
    let leaf = &parsed[0];
    let names = names(leaf).filter(|names| !names.is_empty());
    let mut loaded = LoadedCertificate {
        key_type: KeyType::of(&*certified.key),
        key: Arc::new(certified),
        names: names.ok_or_else(|| CertificateError::NoNames { path: files.cert.clone() })?,
        not_before: time(leaf.validity().not_before.timestamp()),
        not_after: time(leaf.validity().not_after.timestamp()),
        issuer: rfc4514(leaf.issuer()),
        warnings: chain::warnings(&files.cert, &parsed, SystemTime::now()),
        must_staple: must_staple(leaf),
    };
    loaded.warnings.extend(loaded.staple_warning(&files.cert.display().to_string()));
    Ok(loaded)
}

/// The TLS feature extension with status_request or status_request_v2 (RFC 7633, 4; RFC 6066, 8; RFC 6961).
fn must_staple(leaf: &X509Certificate<'_>) -> bool {
    const STATUS_REQUEST: [u8; 3] = [2, 1, 5];
    const STATUS_REQUEST_V2: [u8; 3] = [2, 1, 17];
    let feature = leaf.extensions().iter().find(|extension| extension.oid.to_id_string() == "1.3.6.1.5.5.7.1.24");
    feature.is_some_and(|feature| {
        feature.value.windows(3).any(|number| number == STATUS_REQUEST || number == STATUS_REQUEST_V2)
    })
}

fn read(path: &Path) -> Result<Vec<u8>, CertificateError> {
    named_file::read(path).map_err(|source| CertificateError::Read { path: path.into(), source })
}

fn certificates(path: &Path, text: &[u8]) -> Result<Vec<CertificateDer<'static>>, CertificateError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|source| CertificateError::Pem { path: path.into(), source })?;
    match found.is_empty() {
        false => Ok(found),
        true if is_der(text) => Err(CertificateError::Der { path: path.into(), tool: "x509" }),
        true if PrivateKeyDer::from_pem_slice(text).is_ok() => Err(CertificateError::Exchanged { path: path.into() }),
        true => Err(CertificateError::NoCertificate { path: path.into() }),
    }
}

fn private_key(path: &Path, text: &[u8]) -> Result<PrivateKeyDer<'static>, CertificateError> {
    let has = |words: &[u8]| memchr::memmem::find(text, words).is_some();
    match PrivateKeyDer::from_pem_slice(text) {
        Ok(key) => Ok(key),
        Err(pem::Error::NoItemsFound) if is_der(text) => Err(CertificateError::Der { path: path.into(), tool: "pkey" }),
        // PKCS #8, and the older form of OpenSSL.
        Err(_) if has(b"BEGIN ENCRYPTED PRIVATE KEY") || has(b"Proc-Type: 4,ENCRYPTED") => {
            Err(CertificateError::Encrypted { path: path.into() })
        }
        Err(pem::Error::NoItemsFound) if has(b"BEGIN CERTIFICATE") => {
            Err(CertificateError::CertificateAsKey { path: path.into() })
        }
        Err(pem::Error::NoItemsFound) => Err(CertificateError::NoKey { path: path.into() }),
        Err(source) => Err(CertificateError::Pem { path: path.into(), source }),
    }
}

/// ASN.1 begins with a SEQUENCE, PEM never does.
fn is_der(text: &[u8]) -> bool {
    text.first() == Some(&0x30)
}

fn parse_all<'a>(
    path: &Path,
    chain: &'a [CertificateDer<'static>],
) -> Result<Vec<X509Certificate<'a>>, CertificateError> {
    let parse = |(index, der): (usize, &'a CertificateDer<'static>)| {
        let parsed = X509Certificate::from_der(der).map(|(_, parsed)| parsed);
        parsed.map_err(|_| CertificateError::Parse { path: path.into(), number: index + 1 })
    };
    chain.iter().enumerate().map(parse).collect()
}

/// The key may belong to another certificate in the file: then the error says to which.
fn mismatch(files: &CertificateFiles, chain: &[X509Certificate<'_>], key: &PrivateKeyDer<'_>) -> CertificateError {
    let (cert, path) = (files.cert.clone(), files.key.clone());
    let public = aws_lc_rs::sign::any_supported_type(key).ok().and_then(|key| key.public_key().map(|k| k.to_vec()));
    let owner = chain.iter().position(|cert| Some(cert.public_key().raw) == public.as_deref());
    match owner {
        Some(index) => CertificateError::Order { cert, key: path, number: index + 1 },
        None => CertificateError::Mismatch { cert, key: path },
    }
}

fn names(leaf: &X509Certificate<'_>) -> Option<Vec<String>> {
    let alternatives = leaf.subject_alternative_name().ok()??;
    Some(alternatives.value.general_names.iter().filter_map(name_of).collect())
}

fn name_of(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some(normal_name(name).into_owned()),
        GeneralName::IPAddress(bytes) => match <[u8; 4]>::try_from(*bytes) {
            Ok(v4) => Some(std::net::Ipv4Addr::from(v4).to_string()),
            Err(_) => Some(std::net::Ipv6Addr::from(<[u8; 16]>::try_from(*bytes).ok()?).to_string()),
        },
        _ => None,
    }
}

/// A time before 1970 counts as 1970.
fn time(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}
