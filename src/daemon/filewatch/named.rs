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

/// What these files hold now. Each is read once, however often it is named.
pub fn fingerprints<'a>(files: impl Iterator<Item = &'a Path>) -> BTreeMap<PathBuf, u64> {
    let named: BTreeSet<&Path> = files.collect();
    named.into_iter().map(|path| (path.to_owned(), fingerprint(path))).collect()
}

/// The files that `config` names: certificates, their keys, and the roots of clients, backends and authorities; and `read`, which it was read from:
/// secrets and pages.
pub fn named_files<'a>(config: &'a Config, read: &'a [PathBuf]) -> impl Iterator<Item = &'a Path> {
    let roots = trust::files(config).chain(config.acme.ca_file.as_deref());
    let pairs = config.tls.certificates.iter().flat_map(|files| [files.cert.as_path(), files.key.as_path()]);
    pairs.chain(roots).chain(read.iter().map(PathBuf::as_path))
}
