//! The files that a config is made of: itself, and those that it names. A fingerprint tells whether one of them differs.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::named_file;
use crate::trust;

/// What the files held when they were last read. Equal fingerprints, nothing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fingerprints {
    pub config: u64,
    /// Of each file that the config names.
    pub named: BTreeMap<PathBuf, u64>,
}

impl Fingerprints {
    /// The files that hold something else in `now`. A file that is named in one of the two alone is none.
    pub fn changed(&self, now: &BTreeMap<PathBuf, u64>) -> Vec<PathBuf> {
        let differs = |(path, print): &(&PathBuf, &u64)| self.named.get(*path).is_some_and(|before| before != *print);
        now.iter().filter(differs).map(|(path, _)| path.clone()).collect()
    }
}

/// What a file holds now.
pub fn fingerprint(path: &Path) -> u64 {
    let mut hasher = DefaultHasher::new();
    named_file::read(path).ok().hash(&mut hasher);
    hasher.finish()
}

/// What the files that `config` names hold now. Each is read once, however often it is named.
pub fn fingerprints_of_named(config: &Config) -> BTreeMap<PathBuf, u64> {
    let named: BTreeSet<&Path> = certificate_files(config).collect();
    named.into_iter().map(|path| (path.to_owned(), fingerprint(path))).collect()
}

/// The certificates, their keys, and the roots of clients, backends and authorities.
pub fn certificate_files(config: &Config) -> impl Iterator<Item = &Path> {
    let asked = config.sites.iter().filter_map(|site| site.client_auth.as_ref()).chain(&config.tls.client_auth);
    let cas = asked.map(|asked| asked.ca.as_path()).chain(trust::files(config)).chain(config.acme.ca_file.as_deref());
    config.tls.certificates.iter().flat_map(|c| [c.cert.as_path(), c.key.as_path()]).chain(cas)
}
