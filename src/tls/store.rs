//! Certificates by name, and where each came from.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

use super::files::{self, Loaded};
use super::internal_ca::InternalCa;
use crate::config::{CertificateFiles, Config, SiteTls};
use crate::types::HostPattern;

/// A leaf of the internal CA is signed anew at the next look when it has less left than this.
const RENEW_BEFORE: Duration = Duration::from_hours(30 * 24);

/// Picks by SNI; replaced as a whole when anything changes.
#[derive(Default)]
pub struct CertStore {
    index: ArcSwap<Index>,
    /// Leafs of the internal CA, by their names, so that a reload does not sign anew.
    signed: Mutex<HashMap<Vec<String>, Loaded>>,
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
        let before = self.index.load_full();
        let mut index = Index::default();
        for files in &config.tls.certificates {
            index.add_files(files, &before);
        }
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

impl Index {
    fn add_files(&mut self, files: &CertificateFiles, before: &Self) {
        let source = Source::File(files.cert.clone());
        match files::load(&files.cert, &files.key) {
            Ok(loaded) => self.add(&loaded, source, None),
            Err(error) => {
                tracing::error!(cert = %files.cert.display(), %error, "certificate not taken up");
                let kept = before.status.iter().find(|s| s.source == source && s.not_after.is_some());
                match kept {
                    Some(kept) => self.keep(kept, before, error.to_string()),
                    None => self.miss(Vec::new(), source, error.to_string()),
                }
            }
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
        });
    }

    fn keep(&mut self, kept: &CertStatus, before: &Self, error: String) {
        for name in &kept.names {
            if let Some(key) = before.lookup(name) {
                self.put(name, key.clone());
                self.default.get_or_insert(key);
            }
        }
        self.status.push(CertStatus { error: Some(error), ..kept.clone() });
    }

    fn miss(&mut self, names: Vec<String>, source: Source, error: String) {
        self.status.push(CertStatus { names, source, issuer: String::new(), not_after: None, error: Some(error) });
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
