//! One consistent set of certificates, found by name: built as a whole, never changed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use super::files::LoadedCertificate;
use super::key_type::KeyType;
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

/// Certificates by name. Of several for one name, a client is shown the first that it can verify.
#[derive(Default)]
pub(super) struct Index {
    exact: HashMap<Box<str>, Vec<Candidate>>,
    wildcard: HashMap<Box<str>, Vec<Candidate>>,
    /// For clients that send no SNI: the first certificate, and a name of it, for which there may be others.
    default: Option<(Box<str>, Candidate)>,
    /// Whatever is added in an earlier round goes first.
    round: u8,
    pub status: Vec<CertStatus>,
}

/// One certificate for a name.
#[derive(Clone)]
struct Candidate {
    key: Arc<CertifiedKey>,
    /// Expired, or not valid yet: shown if there is nothing better.
    is_unfit: bool,
    round: u8,
    key_type: KeyType,
}

impl Candidate {
    /// Ahead of those with a higher one; of equal ones, the one that was added first goes first.
    fn rank(&self) -> (bool, u8, KeyType) {
        (self.is_unfit, self.round, self.key_type)
    }

    /// `None`: nothing is known of the client.
    fn suits(&self, schemes: Option<&[SignatureScheme]>) -> bool {
        schemes.is_none_or(|schemes| self.key.key.choose_scheme(schemes).is_some())
    }
}

impl Index {
    /// What is added from now on comes behind what is there, whatever its key.
    pub fn next_round(&mut self) {
        self.round += 1;
    }

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
        if self.default.is_none() {
            let name = loaded.names.first().map(String::as_str).unwrap_or_default();
            self.default = Some((name.into(), self.candidate(loaded)));
        }
        self.status.push(status);
    }

    /// More names of one that is there already.
    pub fn add_names<'a>(&mut self, names: impl IntoIterator<Item = &'a String>, loaded: &LoadedCertificate) {
        let candidate = self.candidate(loaded);
        // Most names have one certificate, and there may be many names.
        let one = || Vec::with_capacity(1);
        for name in names {
            let of_name = match wildcard_parent(name) {
                Some(parent) => self.wildcard.entry(parent.into()).or_insert_with(one),
                None => self.exact.entry(name.as_str().into()).or_insert_with(one),
            };
            let behind = of_name.partition_point(|other| other.rank() <= candidate.rank());
            of_name.insert(behind, candidate.clone());
        }
    }

    pub fn miss(&mut self, names: Vec<String>, source: CertSource, error: String) {
        let (issuer, error) = (String::new(), Some(error));
        let warnings = Vec::new();
        self.status.push(CertStatus { names, source, issuer, not_after: None, next_renewal: None, error, warnings });
    }

    /// The one that goes first.
    pub fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        suiting(self.candidates(name), None)
    }

    /// The first that a client can verify by these schemes; if it can verify none, the one that goes first.
    pub fn choose(&self, name: &str, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        suiting(self.candidates(name), Some(schemes)).or_else(|| self.find(name))
    }

    pub fn choose_unnamed(
        &self,
        local: Option<IpAddr>,
        schemes: Option<&[SignatureScheme]>,
    ) -> Option<Arc<CertifiedKey>> {
        let address = local.map(|ip| ip.to_string());
        let by_address = || address.iter().flat_map(|address| self.candidates(address));
        let by_default =
            || self.default.iter().flat_map(|(name, first)| self.candidates(name).chain(std::iter::once(first)));
        let found = suiting(by_address(), schemes).or_else(|| suiting(by_default(), schemes));
        found.or_else(|| suiting(by_address(), None)).or_else(|| suiting(by_default(), None))
    }

    pub fn covers(&self, name: &str) -> bool {
        self.candidates(name).next().is_some()
    }

    /// Exact names, then the wildcard one label above: [`crate::types::certificate_name_covers`] as two look-ups.
    fn candidates(&self, name: &str) -> impl Iterator<Item = &Candidate> {
        let (exact, parent) = match wildcard_parent(name) {
            Some(parent) => (None, Some(parent)),
            None => (self.exact.get(name), parent_of(name)),
        };
        let wildcard = parent.and_then(|parent| self.wildcard.get(parent));
        exact.into_iter().chain(wildcard).flatten()
    }

    fn candidate(&self, loaded: &LoadedCertificate) -> Candidate {
        let is_unfit = !loaded.is_valid(SystemTime::now());
        Candidate { key: loaded.key.clone(), is_unfit, round: self.round, key_type: loaded.key_type }
    }
}

/// The first that the client can verify; what has expired, even under the exact name, comes behind what has not.
fn suiting<'a>(
    candidates: impl Iterator<Item = &'a Candidate>,
    schemes: Option<&[SignatureScheme]>,
) -> Option<Arc<CertifiedKey>> {
    let suits = candidates.filter(|candidate| candidate.suits(schemes));
    suits.min_by_key(|candidate| candidate.is_unfit).map(|found| found.key.clone())
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
