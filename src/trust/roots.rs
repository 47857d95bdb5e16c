//! Root certificates, from a PEM file of the user or from the system.

use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::named_file;

/// Certificates each of which can be a root. Equal when they hold the same bytes in the same order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots(Vec<CertificateDer<'static>>);

/// Why a file of roots, or the system's, can't be used.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    #[error("cannot read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not PEM: {source}; it is damaged, or was cut off: write it anew")]
    Pem { path: PathBuf, source: pem::Error },
    #[error("{path} is DER, not PEM; convert it: openssl x509 -inform der -in {path} -out FILE.pem")]
    Der { path: PathBuf },
    #[error("{path} holds a private key and no certificate; it is the file with -----BEGIN CERTIFICATE-----")]
    Key { path: PathBuf },
    #[error("{path} holds no certificate; put the roots in that sign what the other side shows")]
    Empty { path: PathBuf },
    #[error("{path} holds a certificate that can't be a root: {source}; take it out")]
    Root { path: PathBuf, source: rustls::Error },
    #[error("the system has no root certificates; install ca-certificates, or name a file")]
    System,
}

/// A file of roots that can't be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RootTrouble {
    /// `None`: the system's roots.
    pub path: Option<PathBuf>,
    /// What is wrong, and what that means.
    pub text: String,
}

/// The files that could not be used before and have no trouble now.
pub(super) fn mended<'b>(before: &'b [RootTrouble], now: &[RootTrouble]) -> impl Iterator<Item = &'b PathBuf> {
    let was_broken = before.iter().filter_map(|trouble| trouble.path.as_ref());
    was_broken.filter(|path| now.iter().all(|trouble| trouble.path.as_ref() != Some(path)))
}

impl Roots {
    /// Every certificate in the file. Touches the disk.
    pub fn read(path: &Path) -> Result<Self, RootsError> {
        let text = named_file::read(path).map_err(|source| RootsError::Read { path: path.into(), source })?;
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let found = found.map_err(|source| RootsError::Pem { path: path.into(), source })?;
        if found.is_empty() {
            let path = path.into();
            return Err(match text.first() {
                // ASN.1 begins with a SEQUENCE, PEM never does.
                Some(0x30) => RootsError::Der { path },
                _ if PrivateKeyDer::from_pem_slice(&text).is_ok() => RootsError::Key { path },
                _ => RootsError::Empty { path },
            });
        }
        let mut store = RootCertStore::empty();
        for certificate in &found {
            let added = store.add(certificate.clone());
            added.map_err(|source| RootsError::Root { path: path.into(), source })?;
        }
        Ok(Self(found))
    }

    /// The system's, without those that can't be used. Touches the disk.
    pub fn system() -> Result<Self, RootsError> {
        let mut store = RootCertStore::empty();
        let found = rustls_native_certs::load_native_certs().certs;
        let usable: Vec<_> = found.into_iter().filter(|found| store.add(found.clone()).is_ok()).collect();
        if usable.is_empty() { Err(RootsError::System) } else { Ok(Self(usable)) }
    }

    /// A line about roots that have taken the place of `before`; `None`: there were none.
    pub(super) fn change(&self, before: Option<&Self>, what: &str) -> String {
        let (now, then) = (self.certificates(), before.map(Self::certificates).unwrap_or_default());
        let missing = |of: &[CertificateDer<'_>], from: &[CertificateDer<'_>]| {
            of.iter().filter(|root| !from.contains(root)).count()
        };
        let (count, taken, new) = (now.len(), missing(then, now), missing(now, then));
        let roots = if count == 1 { "root" } else { "roots" };
        format!("{what} changed: {count} {roots} ({taken} taken out, {new} new)")
    }

    pub(super) fn of(certificates: Vec<CertificateDer<'static>>) -> Self {
        Self(certificates)
    }

    pub fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }

    /// For rustls.
    pub fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(self.0.iter().cloned());
        store
    }
}
