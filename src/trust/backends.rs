//! How the `https` backends of each service are verified, made of one config and the files that it names.
//!
//! A file that can't be used harms its own service alone: the roots read before go on, and where there are none its `https`
//! backends can't be reached until the file is mended. Each service has an object of its own, which stays the same over
//! reloads as long as nothing in it changes: connections made under one that was replaced are not used again.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use pingora_core::connectors::TransportConnector;

use super::connector::connector;
use super::roots::{RootTrouble, Roots, mended};
use crate::config::{self, Config};
use crate::types::{HostName, Scheme};

/// What connections to the `https` backends of one service are made with.
pub struct BackendTls {
    trusted: Result<Arc<Trusted>, String>,
    /// Asked for and verified; `None`: the backend's host.
    pub server_name: Option<HostName>,
    pub verify: bool,
    replaced: AtomicBool,
}

/// Roots, and pingora's connector that trusts them. Services that trust the same share it, and its TLS sessions.
struct Trusted {
    roots: Roots,
    connector: TransportConnector,
}

/// Where roots come from.
#[derive(Clone, PartialEq, Eq, Hash)]
enum RootSource {
    System,
    File(PathBuf),
    /// Nothing is verified.
    Nobody,
}

/// That of all services with `https` backends.
#[derive(Default)]
pub struct BackendTlsSet {
    services: BTreeMap<Arc<str>, Arc<BackendTls>>,
    trusted: HashMap<RootSource, Arc<Trusted>>,
    troubles: Vec<RootTrouble>,
}

/// Where the backends of one service find what holds now. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct BackendTlsCell(Arc<ArcSwap<BackendTls>>);

impl BackendTls {
    /// The connector, or why there is none.
    pub fn connector(&self) -> Result<&TransportConnector, &str> {
        match &self.trusted {
            Ok(trusted) => Ok(&trusted.connector),
            Err(why) => Err(why),
        }
    }

    /// Whether something else holds now: a connection made under this one is not to be used again.
    pub fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Relaxed)
    }

    fn says(&self, trusted: &Result<Arc<Trusted>, String>, tls: &config::UpstreamTls) -> bool {
        let is_same = match (&self.trusted, trusted) {
            (Ok(own), Ok(other)) => Arc::ptr_eq(own, other),
            (Err(own), Err(other)) => own == other,
            _ => false,
        };
        is_same && self.server_name == tls.server_name && self.verify == tls.verify
    }
}

impl Default for BackendTls {
    /// For a service without `https` backends.
    fn default() -> Self {
        let why = "no roots were read for it: none of its backends was https".to_owned();
        Self { trusted: Err(why), server_name: None, verify: true, replaced: AtomicBool::new(false) }
    }
}

impl fmt::Debug for BackendTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BackendTls").field("verify", &self.verify).finish_non_exhaustive()
    }
}

impl BackendTlsCell {
    pub fn load(&self) -> Arc<BackendTls> {
        self.0.load_full()
    }

    /// From here on `next` holds; `None`: there are no `https` backends any more.
    pub fn replace(&self, next: Option<&Arc<BackendTls>>) {
        let present = self.0.load();
        match next {
            Some(next) if Arc::ptr_eq(&present, next) => return,
            Some(next) => self.0.store(next.clone()),
            None => self.0.store(Arc::default()),
        }
        present.replaced.store(true, Ordering::Relaxed);
    }
}

impl BackendTlsSet {
    /// Reads the `tls_ca` files, and the system's roots where they count. Touches the disk.
    pub fn load(config: &Config, before: Option<&Self>) -> Self {
        let mut made = Self::default();
        for service in config.services.values().filter(|service| has_https(service)) {
            let trusted = made.trusted(service, before);
            let kept = before.and_then(|before| before.services.get(&service.name));
            let kept = kept.filter(|kept| kept.says(&trusted, &service.tls)).cloned();
            let tls = kept.unwrap_or_else(|| {
                let (server_name, verify) = (service.tls.server_name.clone(), service.tls.verify);
                Arc::new(BackendTls { trusted, server_name, verify, replaced: AtomicBool::new(false) })
            });
            made.services.insert(service.name.clone(), tls);
        }
        made
    }

    pub fn of(&self, service: &str) -> Option<&Arc<BackendTls>> {
        self.services.get(service)
    }

    /// What is wrong with `tls_ca` files, and what that means.
    pub fn troubles(&self) -> &[RootTrouble] {
        &self.troubles
    }

    /// Whether the same holds for every service, and the same is wrong.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_kept = |(name, tls): (&Arc<str>, &Arc<BackendTls>)| {
            other.services.get(name).is_some_and(|other| Arc::ptr_eq(other, tls))
        };
        self.troubles == other.troubles
            && self.services.len() == other.services.len()
            && self.services.iter().all(is_kept)
    }

    /// A line for each file that was read before and holds other roots now, or could not be used and can be now.
    pub fn changes(&self, before: &Self) -> BTreeMap<PathBuf, String> {
        let found = self.trusted.iter().filter_map(|(source, now)| {
            let RootSource::File(path) = source else { return None };
            let then = before.trusted.get(source).filter(|then| !Arc::ptr_eq(then, now))?;
            Some((path.clone(), now.roots.change(Some(&then.roots), &format!("tls_ca {}", path.display()))))
        });
        let mut lines: BTreeMap<PathBuf, String> = found.collect();
        for path in mended(&before.troubles, &self.troubles) {
            if self.trusted.contains_key(&RootSource::File(path.clone())) {
                lines.entry(path.clone()).or_insert_with(|| format!("tls_ca {} is good again", path.display()));
            }
        }
        lines
    }

    fn trusted(&mut self, service: &config::ServiceConfig, before: Option<&Self>) -> Result<Arc<Trusted>, String> {
        let source = RootSource::of(&service.tls);
        if let Some(known) = self.trusted.get(&source) {
            return Ok(known.clone());
        }
        let kept = before.and_then(|before| before.trusted.get(&source));
        let found = match source.read() {
            Ok(roots) => match kept.filter(|kept| kept.roots == roots) {
                Some(kept) => Ok(kept.clone()),
                None => connector(&roots)
                    .map(|connector| Arc::new(Trusted { roots, connector }))
                    .map_err(|error| error.to_string()),
            },
            Err(error) => Err(error),
        };
        let error = match found {
            Ok(found) => {
                self.trusted.insert(source, found.clone());
                return Ok(found);
            }
            Err(error) => error,
        };
        // Those of another file, too: a mistyped path is no reason to reach no backend. They are the service's own, so they are
        // not shared with others that name the same file.
        let own = before.and_then(|before| before.services.get(&service.name)).filter(|own| own.verify);
        let kept = kept.or(own.and_then(|own| own.trusted.as_ref().ok())).cloned();
        let name = &service.name;
        let text = match kept {
            Some(_) => format!("service {name:?}: {error}; the roots read before go on"),
            None => format!("service {name:?}: {error}; its https backends are UNREACHABLE until the file is good"),
        };
        self.troubles.push(RootTrouble { path: service.tls.ca.clone(), text });
        kept.ok_or(error)
    }
}

impl RootSource {
    fn of(tls: &config::UpstreamTls) -> Self {
        match &tls.ca {
            _ if !tls.verify => Self::Nobody,
            Some(path) => Self::File(path.clone()),
            None => Self::System,
        }
    }

    fn read(&self) -> Result<Roots, String> {
        match self {
            Self::System => Roots::system().map_err(|error| format!("tls_ca: {error}")),
            Self::File(path) => Roots::read(path).map_err(|error| format!("tls_ca: {error}")),
            Self::Nobody => nobody().map_err(|error| error.to_string()),
        }
    }
}

/// pingora needs a root even if it verifies nothing: this one's key is thrown away.
fn nobody() -> Result<Roots, rcgen::Error> {
    static NOBODY: std::sync::OnceLock<Roots> = std::sync::OnceLock::new();
    if let Some(made) = NOBODY.get() {
        return Ok(made.clone());
    }
    let key = rcgen::KeyPair::generate()?;
    let certificate = rcgen::CertificateParams::new(Vec::new())?.self_signed(&key)?;
    Ok(NOBODY.get_or_init(|| Roots::of(vec![certificate.der().clone()])).clone())
}

/// The files that [`BackendTlsSet::load`] reads, without the system's.
pub fn files(config: &Config) -> impl Iterator<Item = &Path> {
    let with_https = config.services.values().filter(|service| has_https(service) && service.tls.verify);
    with_https.filter_map(|service| service.tls.ca.as_deref())
}

fn has_https(service: &config::ServiceConfig) -> bool {
    let (first, second) = match &service.pools {
        config::Pools::Single(backends) => (backends, None),
        config::Pools::BlueGreen { blue, green } => (blue, Some(green)),
    };
    first.iter().chain(second.into_iter().flatten()).any(|backend| backend.scheme == Scheme::Https)
}
