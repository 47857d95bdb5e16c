//! One consistent set of certificates, found by name: built as a whole, never changed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::sign::CertifiedKey;

use super::files::LoadedCertificate;
use crate::types::{parent_of, wildcard_parent};

/// One certificate, or the reason why it is missing.
#[derive(Debug, Clone)]
pub struct CertStatus {
    pub names: Vec<String>,
    pub source: CertSource,
    pub issuer: String,
    pub not_after: Option<SystemTime>,
    pub next_renewal: Option<SystemTime>,
    pub error: Option<String>,
    /// It serves, but some clients may refuse it.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertSource {
    File(PathBuf),
    Internal,
    Acme,
    /// A leaf of the internal CA, until the authority has issued a certificate.
    StandIn,
}

/// Whatever is added first has the name.
#[derive(Default)]
pub(super) struct Index {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    wildcard: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// For clients that send no SNI.
    default: Option<Arc<CertifiedKey>>,
    pub status: Vec<CertStatus>,
}

impl Index {
    pub fn add(&mut self, loaded: &LoadedCertificate, status: CertStatus) {
        self.add_for(&loaded.names, loaded, status);
    }

    /// For these names alone.
    pub fn add_for<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a String>,
        loaded: &LoadedCertificate,
        status: CertStatus,
    ) {
        self.add_names(names, loaded);
        self.default.get_or_insert_with(|| loaded.key.clone());
        self.status.push(status);
    }

    /// More names of one that is there already.
    pub fn add_names<'a>(&mut self, names: impl IntoIterator<Item = &'a String>, loaded: &LoadedCertificate) {
        for name in names {
            self.put(name, &loaded.key);
        }
    }

    pub fn miss(&mut self, names: Vec<String>, source: CertSource, error: String) {
        let (issuer, error) = (String::new(), Some(error));
        let warnings = Vec::new();
        self.status.push(CertStatus { names, source, issuer, not_after: None, next_renewal: None, error, warnings });
    }

    /// Exact, then the wildcard one label above: [`crate::types::certificate_name_covers`] as two look-ups.
    pub fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        if let Some(found) = self.exact.get(name) {
            return Some(found.clone());
        }
        self.wildcard.get(parent_of(name)?).cloned()
    }

    pub fn find_unnamed(&self, local: Option<IpAddr>) -> Option<Arc<CertifiedKey>> {
        let by_address = local.and_then(|ip| self.exact.get(ip.to_string().as_str()).cloned());
        by_address.or_else(|| self.default.clone())
    }

    pub fn covers(&self, name: &str) -> bool {
        match wildcard_parent(name) {
            Some(parent) => self.wildcard.contains_key(parent),
            None => self.find(name).is_some(),
        }
    }

    fn put(&mut self, name: &str, key: &Arc<CertifiedKey>) {
        match wildcard_parent(name) {
            Some(parent) => self.wildcard.entry(parent.into()).or_insert_with(|| key.clone()),
            None => self.exact.entry(name.into()).or_insert_with(|| key.clone()),
        };
    }
}

impl CertStatus {
    pub fn of(loaded: &LoadedCertificate, source: CertSource, error: Option<String>) -> Self {
        Self {
            names: loaded.names.clone(),
            source,
            issuer: loaded.issuer.clone(),
            not_after: Some(loaded.not_after),
            next_renewal: None,
            error,
            warnings: Vec::new(),
        }
    }
}
