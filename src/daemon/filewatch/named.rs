//! The files that a config is made of: itself, and those that it names. A fingerprint tells whether one of them differs.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use crate::config::Config;
use crate::named_file;
use crate::trust;

/// What the config file holds now.
pub fn config_fingerprint(path: &Path) -> u64 {
    fingerprint(std::iter::once(path))
}

/// What the files that `config` names hold now.
pub fn certificate_fingerprint(config: &Config) -> u64 {
    fingerprint(certificate_files(config))
}

/// The certificates, their keys, and the roots of clients, backends and authorities.
pub fn certificate_files(config: &Config) -> impl Iterator<Item = &Path> {
    let asked = config.sites.iter().filter_map(|site| site.client_auth.as_ref()).chain(&config.tls.client_auth);
    let cas: BTreeSet<&Path> = asked.map(|asked| asked.ca.as_path()).collect();
    let cas =
        cas.into_iter().chain(trust::files(config).collect::<BTreeSet<_>>()).chain(config.acme.ca_file.as_deref());
    config.tls.certificates.iter().flat_map(|c| [c.cert.as_path(), c.key.as_path()]).chain(cas)
}

/// What the files hold now: equal fingerprints, nothing to do.
fn fingerprint<'a>(files: impl Iterator<Item = &'a Path>) -> u64 {
    let mut hasher = DefaultHasher::new();
    for file in files {
        named_file::read(file).ok().hash(&mut hasher);
    }
    hasher.finish()
}
