//! Which roots vouch for clients: those of each `client_ca`, together with what is asked of the client, and what a client has
//! shown under them.
//!
//! Each `client_ca` has an object of its own, which stays the same over reloads as long as the roots do: a connection that was
//! let in under one that was replaced is looked at anew. A file that can't be read leaves the roots that were read before; where
//! there are none, its sites are shut. What the certificate says of its owner: [`crate::tls`].

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::digest::{Context, SHA256};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{VerifierBuilderError, WebPkiClientVerifier};

use super::roots::{RootTrouble, Roots, RootsError, mended};
use crate::config::{ClientAuth, ClientAuthMode, Config, SiteTls};

/// The roots of one `client_ca`, under what is asked of the client.
pub struct ClientRoots {
    asked: Arc<ClientAuth>,
    roots: Roots,
    verifier: Arc<dyn ClientCertVerifier>,
    digest: [u8; 32],
}

/// Why a `client_ca` can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ClientCaError {
    #[error("client_ca: {0}")]
    Roots(#[from] RootsError),
    #[error("client_ca: {path}: {source}")]
    Verifier { path: PathBuf, source: VerifierBuilderError },
}

/// Those of all sites with TLS.
#[derive(Debug, Default)]
pub struct ClientRootSet {
    /// `None`: the sites that ask it are shut.
    roots: HashMap<Arc<ClientAuth>, Option<Arc<ClientRoots>>>,
    troubles: Vec<RootTrouble>,
}

/// What a client has shown in its handshake, and by which roots it was let in. Belongs to one connection.
pub struct ClientProof {
    /// Empty: it was asked, and did without.
    chain: Box<[CertificateDer<'static>]>,
    /// The roots it was judged by last, and the verdict.
    latest: RefCell<(Arc<ClientRoots>, bool)>,
}

impl ClientRoots {
    /// Touches the disk.
    pub fn read(asked: &Arc<ClientAuth>) -> Result<Self, ClientCaError> {
        let roots = Roots::read(&asked.ca)?;
        let builder =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots.store()), Arc::new(default_provider()));
        let builder = match asked.mode {
            ClientAuthMode::Require => builder,
            ClientAuthMode::Request => builder.allow_unauthenticated(),
        };
        let verifier = builder.build();
        let verifier = verifier.map_err(|source| ClientCaError::Verifier { path: asked.ca.clone(), source })?;
        let digest = digest(asked.mode, &roots);
        Ok(Self { asked: asked.clone(), roots, verifier, digest })
    }

    /// The setting that names the file.
    pub fn asked(&self) -> &Arc<ClientAuth> {
        &self.asked
    }

    pub fn verifier(&self) -> Arc<dyn ClientCertVerifier> {
        self.verifier.clone()
    }

    /// Of the mode and the roots, in whatever order they are written: session tickets open under the same ones alone.
    pub fn digest(&self) -> [u8; 32] {
        self.digest
    }

    fn verifies(&self, chain: &[CertificateDer<'_>]) -> bool {
        match chain.split_first() {
            None => self.asked.mode == ClientAuthMode::Request,
            Some((leaf, issuers)) => self.verifier.verify_client_cert(leaf, issuers, UnixTime::now()).is_ok(),
        }
    }
}

impl fmt::Debug for ClientRoots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientRoots({:?}, {} roots)", self.asked, self.roots.certificates().len())
    }
}

/// One that is in the file twice counts once.
fn digest(mode: ClientAuthMode, roots: &Roots) -> [u8; 32] {
    let mut each: Vec<_> = roots.certificates().iter().map(|root| sha256(&[root])).collect();
    each.sort_unstable();
    each.dedup();
    let mode = format!("{mode:?}");
    sha256(&[mode.as_bytes(), &each.concat()])
}

fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut array = [0; 32];
    array.copy_from_slice(context.finish().as_ref());
    array
}

impl ClientRootSet {
    /// Reads the `client_ca` files. Touches the disk.
    pub fn load(config: &Config, before: Option<&Self>) -> Self {
        let mut made = Self::default();
        for asked in asked_of_clients(config) {
            if made.roots.contains_key(asked) {
                continue;
            }
            let kept = before.and_then(|before| before.of(asked)).cloned();
            let found = match ClientRoots::read(asked) {
                Ok(read) => Some(kept.filter(|kept| kept.digest == read.digest).unwrap_or_else(|| Arc::new(read))),
                Err(error) => {
                    let text = match kept {
                        Some(_) => format!("{error}; the roots read before go on"),
                        None => format!("{error}; its sites are SHUT until then"),
                    };
                    made.troubles.push(RootTrouble { path: Some(asked.ca.clone()), text });
                    kept
                }
            };
            made.roots.insert(asked.clone(), found);
        }
        made.troubles.dedup();
        made
    }

    /// `None`: the sites that ask it are shut.
    pub fn of(&self, asked: &Arc<ClientAuth>) -> Option<&Arc<ClientRoots>> {
        self.roots.get(asked)?.as_ref()
    }

    /// What is wrong with `client_ca` files, and what that means.
    pub fn troubles(&self) -> &[RootTrouble] {
        &self.troubles
    }

    /// Whether the same roots count, and the same is wrong.
    pub fn is_same(&self, other: &Self) -> bool {
        let is_kept = |(asked, roots): (&Arc<ClientAuth>, &Option<Arc<ClientRoots>>)| {
            let other = other.roots.get(asked).map(Option::as_ref);
            other.is_some_and(|other| other.map(Arc::as_ptr) == roots.as_ref().map(Arc::as_ptr))
        };
        self.troubles == other.troubles && self.roots.len() == other.roots.len() && self.roots.iter().all(is_kept)
    }

    /// A line for each file that was read before and holds other roots now, or could not be used and can be now.
    pub fn changes(&self, before: &Self) -> BTreeMap<PathBuf, String> {
        let found = self.roots.iter().filter_map(|(asked, now)| {
            let (now, then) = (now.as_ref()?, before.roots.get(asked)?.as_ref());
            if then.is_some_and(|then| Arc::ptr_eq(then, now)) {
                return None;
            }
            let then = then.map(|then| &then.roots);
            Some((asked.ca.clone(), now.roots.change(then, &format!("client_ca {}", asked.ca.display()))))
        });
        let mut lines: BTreeMap<PathBuf, String> = found.collect();
        for path in
            mended(&before.troubles, &self.troubles).filter(|path| self.roots.keys().any(|asked| asked.ca == **path))
        {
            lines.entry(path.clone()).or_insert_with(|| format!("client_ca {} is good again", path.display()));
        }
        lines
    }
}

impl ClientProof {
    /// Of a handshake that these roots have let in.
    pub fn new(roots: Arc<ClientRoots>, chain: &[CertificateDer<'static>]) -> Self {
        Self { chain: chain.into(), latest: RefCell::new((roots, true)) }
    }

    /// Whether these roots let it in, too: they vouch for the certificate. `by_name`: its handshake was for the site that has them;
    /// else they must be those of the very setting that it was asked by. Verifies once for each roots.
    pub fn satisfies(&self, roots: &Arc<ClientRoots>, by_name: bool) -> bool {
        let mut latest = self.latest.borrow_mut();
        if !Arc::ptr_eq(&latest.0, roots) {
            if !by_name && latest.0.asked != roots.asked {
                return false;
            }
            *latest = (roots.clone(), roots.verifies(&self.chain));
        }
        latest.1
    }

    /// What was asked in its handshake.
    pub fn asked(&self) -> Arc<ClientAuth> {
        self.latest.borrow().0.asked.clone()
    }
}

impl fmt::Debug for ClientProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientProof({} certificates, {:?})", self.chain.len(), self.latest.borrow())
    }
}

/// What sites with TLS ask of their clients, and `[tls]` of those without SNI.
pub fn asked_of_clients(config: &Config) -> impl Iterator<Item = &Arc<ClientAuth>> {
    let with_tls = config.sites.iter().filter(|site| site.tls != SiteTls::Off);
    with_tls.filter_map(|site| site.client_auth.as_ref()).chain(&config.tls.client_auth)
}

/// The files that [`ClientRootSet::load`] reads.
pub fn files(config: &Config) -> impl Iterator<Item = &Path> {
    asked_of_clients(config).map(|asked| asked.ca.as_path())
}
