//! Certificates by name, and where each came from.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

use super::files::Loaded;
use super::internal_ca::{InternalCa, LEAF_LIFETIME};
use super::pairs::Pairs;
use crate::config::{CertificateFiles, Config, SiteTls};
use crate::site::Hosts;
use crate::types::HostPattern;

/// A leaf of the internal CA is signed anew at the next look when less than half of its life is left.
const RENEW_BEFORE: Duration = Duration::from_secs(LEAF_LIFETIME.as_secs() / 2);

/// Picks by SNI; replaced as a whole when anything changes.
#[derive(Default)]
pub struct CertStore {
    index: ArcSwap<Index>,
    /// Leafs of the internal CA, by their names, so that a reload does not sign anew.
    signed: Mutex<HashMap<Vec<String>, Loaded>>,
    pairs: Mutex<Pairs>,
}

#[derive(Default)]
struct Index {
    exact: HashMap<Box<str>, Arc<CertifiedKey>>,
    wildcard: HashMap<Box<str>, Arc<CertifiedKey>>,
    /// For clients that name nobody.
    default: Option<Arc<CertifiedKey>>,
    status: Vec<CertStatus>,
}

/// One certificate, or the reason why it is missing.
#[derive(Debug, Clone)]
pub struct CertStatus {
    pub names: Vec<String>,
    pub source: Source,
    pub issuer: String,
    pub not_after: Option<SystemTime>,
    pub error: Option<String>,
    /// It serves, but some clients may stumble.
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    File(PathBuf),
    Internal,
}

impl CertStore {
    /// Reads every file and signs what is left to the internal CA. A file that can't be used harms its own site alone:
    /// the certificate loaded from it before stays, and the status says what is wrong.
    pub fn load(&self, config: &Config, ca: &InternalCa) {
        let mut index = Index::default();
        let mut pairs = self.pairs.lock().unwrap_or_else(PoisonError::into_inner);
        pairs.retain(&config.tls.certificates);
        let hosts = Hosts::new(config.sites.iter().map(|site| site.hosts.as_slice()).enumerate());
        for files in &config.tls.certificates {
            index.add_files(files, &mut pairs, &hosts);
        }
        drop(pairs);
        for names in left_to_the_ca(config, &index) {
            match self.signed(&names, ca) {
                Ok(loaded) => index.add(&loaded, Source::Internal, None),
                Err(error) => index.miss(names, Source::Internal, error),
            }
        }
        self.index.store(Arc::new(index));
    }

    pub fn status(&self) -> Vec<CertStatus> {
        self.index.load().status.clone()
    }

    /// The certificate for a name in lower case: exact, then wildcard (RFC 6125: one label).
    pub fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        let index = self.index.load();
        if let Some(found) = index.exact.get(name) {
            return Some(found.clone());
        }
        let (_, parent) = name.split_once('.')?;
        index.wildcard.get(parent).cloned()
    }

    /// For a client that sends no SNI: the certificate of the address it connected to, else the first one.
    pub fn find_unnamed(&self, local: Option<std::net::IpAddr>) -> Option<Arc<CertifiedKey>> {
        let index = self.index.load();
        let by_address = local.and_then(|ip| index.exact.get(ip.to_string().as_str()).cloned());
        by_address.or_else(|| index.default.clone())
    }

    fn signed(&self, names: &[String], ca: &InternalCa) -> Result<Loaded, String> {
        let mut signed = self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh_until = SystemTime::now() + RENEW_BEFORE;
        if let Some(leaf) = signed.get(names).filter(|leaf| leaf.not_after > fresh_until) {
            return Ok(leaf.clone());
        }
        let leaf = ca.sign(names).map_err(|e| e.to_string())?;
        signed.insert(names.to_vec(), leaf.clone());
        Ok(leaf)
    }
}

/// Host sets of sites that no file covers and that the internal CA may sign.
fn left_to_the_ca(config: &Config, index: &Index) -> Vec<Vec<String>> {
    let mut seen = HashSet::new();
    let mut sets = Vec::new();
    for site in config.sites.iter().filter(|s| s.tls != SiteTls::Off) {
        let names: Vec<String> = site
            .hosts
            .iter()
            .filter_map(|host| match host {
                HostPattern::Exact(name) if name.is_local() => Some(name.as_str().to_owned()),
                HostPattern::Wildcard(suffix) if suffix.is_local() => Some(format!("*.{suffix}")),
                _ => None,
            })
            .filter(|name| site.tls == SiteTls::Internal || !index.covers(name))
            .filter(|name| seen.insert(name.clone()))
            .collect();
        if !names.is_empty() {
            sets.push(names);
        }
    }
    sets
}

/// What to say of a certificate that nobody will ever be shown.
fn useless(cert: &Path, names: &[String], hosts: &Hosts) -> Option<String> {
    // A wildcard fits where any one name below it does, and where a site has the very pattern.
    let fits = |name: &String| match name.strip_prefix("*.") {
        Some(parent) => hosts.is_below(parent),
        None => hosts.find(name).is_some(),
    };
    let names_of_it = || names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    (!names.iter().any(fits)).then(|| {
        format!("{}: no site has a host that fits it ({}); add one, or drop the pair", cert.display(), names_of_it())
    })
}

impl Index {
    fn add_files(&mut self, files: &CertificateFiles, pairs: &mut Pairs, hosts: &Hosts) {
        let source = Source::File(files.cert.clone());
        let useless = |loaded: &Loaded| useless(&files.cert, &loaded.names, hosts);
        let taken = pairs.take(files, SystemTime::now(), &useless);
        match taken.loaded {
            Some(loaded) => self.add(&loaded, source, taken.error),
            None => self.miss(Vec::new(), source, taken.error.unwrap_or_default()),
        }
        if let Some(status) = self.status.last_mut() {
            status.warnings = taken.warnings;
        }
    }

    fn add(&mut self, loaded: &Loaded, source: Source, error: Option<String>) {
        for name in &loaded.names {
            self.put(name, loaded.key.clone());
        }
        self.default.get_or_insert_with(|| loaded.key.clone());
        self.status.push(CertStatus {
            names: loaded.names.clone(),
            source,
            issuer: loaded.issuer.clone(),
            not_after: Some(loaded.not_after),
            error,
            warnings: Vec::new(),
        });
    }

    fn miss(&mut self, names: Vec<String>, source: Source, error: String) {
        self.status.push(CertStatus {
            names,
            source,
            issuer: String::new(),
            not_after: None,
            error: Some(error),
            warnings: Vec::new(),
        });
    }

    fn put(&mut self, name: &str, key: Arc<CertifiedKey>) {
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcard.entry(parent.into()).or_insert(key),
            None => self.exact.entry(name.into()).or_insert(key),
        };
    }

    fn lookup(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        match name.strip_prefix("*.") {
            Some(parent) => self.wildcard.get(parent).cloned(),
            None => self.exact.get(name).cloned(),
        }
    }

    fn covers(&self, name: &str) -> bool {
        self.lookup(name).is_some()
            || name.split_once('.').is_some_and(|(_, parent)| self.wildcard.contains_key(parent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn store(count: usize, ca: &InternalCa) -> CertStore {
        let key = ca.sign(&["a.test".to_owned()]).unwrap();
        let mut index = Index::default();
        for number in 0..count {
            index.put(&format!("site{number}.example"), key.key.clone());
            index.put(&format!("*.site{number}.example"), key.key.clone());
        }
        CertStore { index: ArcSwap::from_pointee(index), ..CertStore::default() }
    }

    /// The best of many rounds: what else the machine does is in the others.
    fn lookups(store: &CertStore, name: &str) -> u128 {
        let round = || {
            let begun = Instant::now();
            for _ in 0..1000 {
                assert!(store.find(std::hint::black_box(name)).is_some());
            }
            begun.elapsed().as_nanos()
        };
        (0..50).map(|_| round()).min().unwrap() / 1000
    }

    #[test]
    fn a_leaf_of_the_internal_ca_is_renewed_at_half_of_its_life() {
        let (ca, store) = (InternalCa::generate().unwrap(), CertStore::default());
        let names = ["a.test".to_owned()];
        let first = store.signed(&names, &ca).unwrap();
        assert_eq!(store.signed(&names, &ca).unwrap().not_after, first.not_after, "young");
        let old = Loaded { not_after: SystemTime::now() + LEAF_LIFETIME / 2 - Duration::from_secs(1), ..first };
        store.signed.lock().unwrap().insert(names.to_vec(), old.clone());
        assert!(store.signed(&names, &ca).unwrap().not_after > old.not_after);
    }

    #[test]
    fn a_name_is_found_among_thousands_as_among_ten() {
        let ca = InternalCa::generate().unwrap();
        let (few, many) = (store(10, &ca), store(10_000, &ca));
        for name in ["site9.example", "www.site9.example"] {
            let (few, many) = (lookups(&few, name), lookups(&many, name));
            eprintln!("{name}: {few} ns among 10, {many} ns among 10,000");
            assert!(many < few * 3 + 200, "{name}: {few} ns among 10, {many} ns among 10,000");
        }
        assert!(many.find("a.www.site9.example").is_none());
    }
}
