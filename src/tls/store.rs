//! Certificates by name, and where each came from: files, authorities, the internal CA.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use rustls::sign::CertifiedKey;

use super::files::{self, Loaded};
use super::index::{CertStatus, Index, Source};
use super::internal_ca::InternalCa;
use super::wanted::{self, Wanted};
use crate::config::{CertificateFiles, Config};

/// A leaf of the internal CA is signed anew at the next look when it has less left than this.
const RENEW_BEFORE: Duration = Duration::from_hours(30 * 24);

/// Picks by SNI; replaced as a whole when anything changes.
pub struct CertStore {
    index: ArcSwap<Index>,
    /// What an index is built from. Locked while one is: never for a handshake.
    parts: Mutex<Parts>,
}

struct Parts {
    ca: InternalCa,
    files: Vec<Filed>,
    local: Vec<Vec<String>>,
    wanted: Vec<Wanted>,
    told: BTreeMap<Arc<str>, Told>,
    /// Leafs of the internal CA, by their names, so that nothing is signed twice.
    signed: HashMap<Vec<String>, Loaded>,
}

/// What a pair of files gave, and what was wrong at the last look.
struct Filed {
    path: PathBuf,
    loaded: Option<Loaded>,
    error: Option<String>,
}

/// What is known of a certificate that an authority issues.
#[derive(Debug, Clone, Default)]
pub struct Told {
    pub loaded: Option<Loaded>,
    pub next_renewal: Option<SystemTime>,
    /// Why the last attempt has failed.
    pub error: Option<String>,
}

impl CertStore {
    /// Empty.
    pub fn new(ca: InternalCa) -> Self {
        let parts = Parts {
            ca,
            files: Vec::new(),
            local: Vec::new(),
            wanted: Vec::new(),
            told: BTreeMap::new(),
            signed: HashMap::new(),
        };
        Self { index: ArcSwap::default(), parts: Mutex::new(parts) }
    }

    /// Reads every file, leaves public names to authorities and the rest to the internal CA. A file that can't be used harms
    /// its own site alone: the certificate loaded from it before stays, and the status says what is wrong.
    pub fn load(&self, config: &Config) {
        let mut parts = self.parts();
        let mut before = std::mem::take(&mut parts.files);
        parts.files = config.tls.certificates.iter().map(|files| read(files, &mut before)).collect();
        let mut filed = Index::default();
        parts.add_files(&mut filed);
        let is_covered = |name: &str| filed.covers(name);
        parts.local = wanted::from_internal_ca(config, &is_covered);
        parts.wanted = wanted::from_authority(config, &is_covered);
        let Parts { told, wanted, .. } = &mut *parts;
        told.retain(|site, _| wanted.iter().any(|wanted| wanted.site == *site));
        self.publish(&mut parts);
    }

    /// The certificates that authorities are to be asked for.
    pub fn wanted(&self) -> Vec<Wanted> {
        self.parts().wanted.clone()
    }

    /// From now on new handshakes see what is told here of these sites.
    pub fn tell(&self, news: impl IntoIterator<Item = (Arc<str>, Told)>) {
        let mut parts = self.parts();
        parts.told.extend(news);
        self.publish(&mut parts);
    }

    pub fn status(&self) -> Vec<CertStatus> {
        self.index.load().status.clone()
    }

    /// The certificate for a name in lower case.
    pub fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.index.load().find(name)
    }

    /// For a client that sends no SNI: the certificate of the address it connected to, else the first one.
    pub fn find_unnamed(&self, local: Option<IpAddr>) -> Option<Arc<CertifiedKey>> {
        self.index.load().find_unnamed(local)
    }

    fn publish(&self, parts: &mut Parts) {
        let mut index = Index::default();
        parts.add_issued(&mut index, true);
        parts.add_files(&mut index);
        parts.add_issued(&mut index, false);
        for names in parts.local.clone() {
            match parts.signed(&names) {
                Ok(leaf) => index.add(&leaf, CertStatus::of(&leaf, Source::Internal, None)),
                Err(error) => index.miss(names, Source::Internal, error),
            }
        }
        parts.stand_in(&mut index);
        self.index.store(Arc::new(index));
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parts {
    fn add_files(&self, index: &mut Index) {
        for filed in &self.files {
            let source = Source::File(filed.path.clone());
            match &filed.loaded {
                Some(loaded) => index.add(loaded, CertStatus::of(loaded, source, filed.error.clone())),
                None => index.miss(Vec::new(), source, filed.error.clone().unwrap_or_default()),
            }
        }
    }

    fn add_issued(&self, index: &mut Index, forced: bool) {
        for wanted in self.wanted.iter().filter(|wanted| wanted.is_forced == forced) {
            let Some(told) = self.told.get(&wanted.site) else { continue };
            if let Some(loaded) = &told.loaded {
                let status = CertStatus::of(loaded, Source::Acme, told.error.clone());
                index.add(loaded, CertStatus { next_renewal: told.next_renewal, ..status });
            }
        }
    }

    /// A certificate of the internal CA for what an authority has not issued yet: better a warning than no connection.
    fn stand_in(&mut self, index: &mut Index) {
        for wanted in self.wanted.clone() {
            let bare: Vec<String> = wanted.names.into_iter().filter(|name| !index.covers(name)).collect();
            if bare.is_empty() {
                continue;
            }
            let told = self.told.get(&wanted.site).cloned().unwrap_or_default();
            match self.signed(&bare) {
                Ok(leaf) => {
                    let status = CertStatus::of(&leaf, Source::StandIn, told.error);
                    index.add(&leaf, CertStatus { next_renewal: told.next_renewal, ..status });
                }
                Err(error) => index.miss(bare, Source::StandIn, error),
            }
        }
    }

    fn signed(&mut self, names: &[String]) -> Result<Loaded, String> {
        let fresh_until = SystemTime::now() + RENEW_BEFORE;
        if let Some(leaf) = self.signed.get(names).filter(|leaf| leaf.not_after > fresh_until) {
            return Ok(leaf.clone());
        }
        let leaf = self.ca.sign(names).map_err(|e| e.to_string())?;
        self.signed.insert(names.to_vec(), leaf.clone());
        Ok(leaf)
    }
}

fn read(files: &CertificateFiles, before: &mut Vec<Filed>) -> Filed {
    let path = files.cert.clone();
    match files::load(&files.cert, &files.key) {
        Ok(loaded) => Filed { path, loaded: Some(loaded), error: None },
        Err(error) => {
            tracing::error!(cert = %files.cert.display(), %error, "certificate not taken up");
            let kept = before.iter().position(|filed| filed.path == path).map(|at| before.swap_remove(at));
            Filed { path, loaded: kept.and_then(|kept| kept.loaded), error: Some(error.to_string()) }
        }
    }
}
