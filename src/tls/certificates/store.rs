//! Certificates by name, and where each came from: files, authorities, the internal CA.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use parking_lot::{Mutex, MutexGuard};
use rustls::SignatureScheme;
use rustls::sign::CertifiedKey;

use super::files::LoadedCertificate;
use super::index::{CertSource, CertStatus, Index};
use super::internal_ca::{InternalCa, LEAF_LIFETIME, Root};
use super::pairs::{Pairs, Taken};
use super::survey::survey;
use super::wanted::{self, WantedCertificate};
use crate::config::Config;

/// A leaf of the internal CA is signed anew at the next look when less than half of its life is left.
const RENEW_BEFORE: Duration = Duration::from_secs(LEAF_LIFETIME.as_secs() / 2);

/// Picks by SNI; replaced as a whole when anything changes.
pub struct CertStore {
    index: ArcSwap<Index>,
    /// What an index is built from. Locked while one is built, never for a handshake.
    parts: Mutex<StoreParts>,
}

struct StoreParts {
    ca: InternalCa,
    pairs: Pairs,
    files: Vec<(PathBuf, Taken)>,
    local: Vec<Vec<String>>,
    wanted: Vec<WantedCertificate>,
    told: BTreeMap<Arc<str>, IssuedState>,
    /// Leafs of the internal CA, by their names, so that nothing is signed twice.
    signed: HashMap<Vec<String>, LoadedCertificate>,
}

/// What is known of a certificate that an authority issues.
#[derive(Debug, Clone, Default)]
pub struct IssuedState {
    pub loaded: Option<LoadedCertificate>,
    /// Certificates of other sites, for names that `loaded` does not have or no longer has.
    pub lent: Vec<LoadedCertificate>,
    pub next_renewal: Option<SystemTime>,
    /// Why the last attempt has failed.
    pub error: Option<String>,
}

impl CertStore {
    /// Empty.
    pub fn new(ca: InternalCa) -> Self {
        let parts = StoreParts {
            ca,
            pairs: Pairs::default(),
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
    ///
    /// Handshakes see it with the next [`Self::tell`], together with what is on disk of authorities' certificates. The certificates
    /// of the pairs that are other ones than before.
    #[must_use]
    pub fn load(&self, config: &Config) -> Vec<PathBuf> {
        let mut parts = self.parts();
        parts.read_files(config);
        let mut filed = Index::default();
        parts.add_files(&mut filed);
        let is_covered = |name: &str| filed.covers(name);
        parts.local = wanted::from_internal_ca(config, &is_covered);
        parts.wanted = wanted::from_authority(config, &is_covered);
        let StoreParts { told, wanted, .. } = &mut *parts;
        told.retain(|site, _| wanted.iter().any(|wanted| wanted.site == *site));
        parts.files.iter().filter(|(_, taken)| taken.is_new).map(|(path, _)| path.clone()).collect()
    }

    /// The certificates that authorities are to be asked for.
    pub fn wanted(&self) -> Vec<WantedCertificate> {
        self.parts().wanted.clone()
    }

    /// From now on new handshakes see what is told here of these sites.
    pub fn tell(&self, news: impl IntoIterator<Item = (Arc<str>, IssuedState)>) {
        let mut parts = self.parts();
        parts.told.extend(news);
        self.publish(&mut parts);
    }

    /// Notes what is wrong with one of them, for the next [`Self::tell`]; the certificate that serves goes on.
    pub fn note_error(&self, site: Arc<str>, error: String) {
        self.parts().told.entry(site).or_default().error = Some(error);
    }

    /// The internal CA's root.
    pub fn ca_root(&self) -> Root {
        self.parts().ca.root()
    }

    pub fn status(&self) -> Vec<CertStatus> {
        self.index.load().status.clone()
    }

    /// The certificate that goes first for a name in its normal form.
    pub fn find(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.index.load().find(name)
    }

    /// The certificate for a client that can verify by these schemes.
    pub fn choose(&self, name: &str, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.index.load().choose(name, schemes)
    }

    /// For a client that sends no SNI: the certificate of the address it connected to, else the first one. `None` for the schemes:
    /// it may be able to verify any.
    pub fn choose_unnamed(
        &self,
        local: Option<IpAddr>,
        schemes: Option<&[SignatureScheme]>,
    ) -> Option<Arc<CertifiedKey>> {
        self.index.load().choose_unnamed(local, schemes)
    }

    fn publish(&self, parts: &mut StoreParts) {
        let mut index = Index::default();
        parts.add_issued(&mut index, true);
        parts.add_files(&mut index);
        parts.add_issued(&mut index, false);
        index.next_round();
        for names in parts.local.clone() {
            match parts.signed(&names) {
                Ok(leaf) => index.add(&leaf, CertStatus::of(&leaf, CertSource::Internal, None)),
                Err(error) => index.miss(names, CertSource::Internal, error),
            }
        }
        parts.add_lent(&mut index);
        parts.add_rest(&mut index);
        parts.stand_in(&mut index);
        self.index.store(Arc::new(index));
    }

    fn parts(&self) -> MutexGuard<'_, StoreParts> {
        self.parts.lock()
    }
}

impl StoreParts {
    fn read_files(&mut self, config: &Config) {
        let (now, all) = (SystemTime::now(), &config.tls.certificates);
        self.pairs.retain(all);
        let mut taken: Vec<Taken> = all.iter().map(|files| self.pairs.take(files, now)).collect();
        let loaded: Vec<_> = taken.iter().map(|taken| taken.loaded.as_ref()).collect();
        let useless = survey(config, &loaded, now);
        for ((files, taken), useless) in all.iter().zip(&mut taken).zip(useless) {
            taken.warnings.extend(useless);
            self.pairs.say(files, taken);
        }
        self.files = all.iter().map(|files| files.cert.clone()).zip(taken).collect();
    }

    fn add_files(&self, index: &mut Index) {
        index.next_round();
        for (path, taken) in &self.files {
            let (source, error) = (CertSource::File(path.clone()), taken.error().map(str::to_owned));
            match &taken.loaded {
                Some(loaded) => {
                    let status = CertStatus::of(loaded, source, error);
                    index.add(loaded, CertStatus { warnings: taken.warnings.clone(), ..status });
                }
                None => index.miss(Vec::new(), source, error.unwrap_or_default()),
            }
        }
    }

    fn add_issued(&self, index: &mut Index, forced: bool) {
        index.next_round();
        for wanted in self.wanted.iter().filter(|wanted| wanted.is_forced == forced) {
            let Some(told) = self.told.get(&wanted.site) else { continue };
            if let Some(loaded) = &told.loaded {
                let status = CertStatus::of(loaded, CertSource::Acme, told.error.clone());
                // Its other names may belong to another site by now.
                let is_over = loaded.not_after <= SystemTime::now();
                let is_lent = |name: &str| is_over && told.lent.iter().any(|lent| lent.covers(name));
                let names = wanted.names.iter().filter(|name| loaded.covers(name) && !is_lent(name));
                let names: Vec<String> = names.cloned().collect();
                let shown = if names.is_empty() { loaded.names.clone() } else { names.clone() };
                let warnings = loaded.staple_warning("the certificate").into_iter().collect();
                let status = CertStatus { names: shown, next_renewal: told.next_renewal, warnings, ..status };
                index.add_for(&names, loaded, status);
            }
        }
    }

    /// Serves names that have come to a site from another one, until the site's own certificate has them.
    fn add_lent(&self, index: &mut Index) {
        index.next_round();
        for wanted in &self.wanted {
            let Some(told) = self.told.get(&wanted.site) else { continue };
            for loaded in &told.lent {
                let bare = wanted.names.iter().filter(|name| loaded.covers(name) && !index.covers(name));
                let names: Vec<String> = bare.cloned().collect();
                if !names.is_empty() {
                    let status = CertStatus::of(loaded, CertSource::Acme, told.error.clone());
                    let status = CertStatus { names: names.clone(), next_renewal: told.next_renewal, ..status };
                    index.add_for(&names, loaded, status);
                }
            }
        }
    }

    /// Serves names that a certificate still has but its site no longer; a site that has them now comes first.
    fn add_rest(&self, index: &mut Index) {
        index.next_round();
        for loaded in self.told.values().filter_map(|told| told.loaded.as_ref()) {
            index.add_names(&loaded.names, loaded);
        }
    }

    /// A leaf of the internal CA for names that an authority has not issued yet: a warning is better than no connection.
    fn stand_in(&mut self, index: &mut Index) {
        for wanted in self.wanted.clone() {
            let bare: Vec<String> = wanted.names.into_iter().filter(|name| !index.covers(name)).collect();
            if bare.is_empty() {
                continue;
            }
            let told = self.told.get(&wanted.site).cloned().unwrap_or_default();
            match self.signed(&bare) {
                Ok(leaf) => {
                    let status = CertStatus::of(&leaf, CertSource::StandIn, told.error);
                    index.add(&leaf, CertStatus { next_renewal: told.next_renewal, ..status });
                }
                Err(error) => index.miss(bare, CertSource::StandIn, error),
            }
        }
    }

    fn signed(&mut self, names: &[String]) -> Result<LoadedCertificate, String> {
        let now = SystemTime::now();
        // One from the future was signed by a clock that has been set back since.
        let is_fresh = |leaf: &&LoadedCertificate| leaf.not_before <= now && leaf.not_after > now + RENEW_BEFORE;
        if let Some(leaf) = self.signed.get(names).filter(is_fresh) {
            return Ok(leaf.clone());
        }
        let leaf = self.ca.sign(names).map_err(|e| e.to_string())?;
        self.signed.insert(names.to_vec(), leaf.clone());
        Ok(leaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

    fn store(count: usize) -> CertStore {
        let store = CertStore::new(InternalCa::generate().unwrap());
        let leaf = store.parts().ca.sign(&["a.test".to_owned()]).unwrap();
        let names = (0..count).flat_map(|number| [format!("site{number}.example"), format!("*.site{number}.example")]);
        let leaf = LoadedCertificate { names: names.collect(), ..leaf };
        let mut index = Index::default();
        index.add(&leaf, CertStatus::of(&leaf, CertSource::Internal, None));
        store.index.store(Arc::new(index));
        store
    }

    /// The best of many rounds: the others contain what else the machine did.
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
        let store = CertStore::new(InternalCa::generate().unwrap());
        let mut parts = store.parts();
        let names = ["a.test".to_owned()];
        let first = parts.signed(&names).unwrap();
        assert_eq!(parts.signed(&names).unwrap().not_after, first.not_after, "young");
        let old =
            LoadedCertificate { not_after: SystemTime::now() + LEAF_LIFETIME / 2 - Duration::from_secs(1), ..first };
        parts.signed.insert(names.to_vec(), old.clone());
        assert!(parts.signed(&names).unwrap().not_after > old.not_after);
        let ahead = LoadedCertificate { not_before: SystemTime::now() + Duration::from_hours(24), ..old };
        parts.signed.insert(names.to_vec(), ahead);
        assert!(parts.signed(&names).unwrap().not_before < SystemTime::now(), "the clock was set back");
    }

    #[test]
    fn a_site_goes_before_one_that_had_its_name() {
        let store = CertStore::new(InternalCa::generate().unwrap());
        let mut parts = store.parts();
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        for (site, wanted, has) in [
            ("a.test", ["a.test", "c.test"], ["a.test", "b.test"]),
            ("b.test", ["b.test", "d.test"], ["b.test", "d.test"]),
        ] {
            let loaded = Some(parts.ca.sign(&names(&has)).unwrap());
            parts.told.insert(site.into(), IssuedState { loaded, ..IssuedState::default() });
            parts.wanted.push(WantedCertificate { site: site.into(), names: names(&wanted), is_forced: false });
        }
        store.publish(&mut parts);
        drop(parts);
        let same = |one: &str, other: &str| Arc::ptr_eq(&store.find(one).unwrap(), &store.find(other).unwrap());
        assert!(same("b.test", "d.test") && !same("a.test", "b.test"));
        let told: Vec<_> = store.status().into_iter().map(|status| status.names).collect();
        assert_eq!(told, [names(&["a.test"]), names(&["b.test", "d.test"]), names(&["c.test"])]);
        // Until a site has it.
        let mut parts = store.parts();
        parts.wanted.pop();
        store.publish(&mut parts);
        drop(parts);
        assert_eq!(store.status().len(), 2);
    }

    #[test]
    fn one_that_has_expired_gives_way_to_one_that_is_lent() {
        let store = CertStore::new(InternalCa::generate().unwrap());
        let names = ["a.test".to_owned()];
        let sign = || store.parts().ca.sign(&names).unwrap();
        let (lent, own) =
            (sign(), LoadedCertificate { not_after: SystemTime::now() - Duration::from_secs(1), ..sign() });
        store.parts().wanted.push(WantedCertificate { site: "a.test".into(), names: names.to_vec(), is_forced: false });
        let told = IssuedState { loaded: Some(own), lent: vec![lent.clone()], ..IssuedState::default() };
        store.tell([("a.test".into(), told)]);
        assert!(Arc::ptr_eq(&store.find("a.test").unwrap(), &lent.key));
    }

    #[test]
    fn a_site_with_another_first_name_keeps_its_certificate_until_more_is_told() {
        let store = CertStore::new(InternalCa::generate().unwrap());
        let names = ["a.example.com", "b.example.com"].map(str::to_owned);
        let loaded = Some(store.parts().ca.sign(&names).unwrap());
        let told = IssuedState { loaded, ..IssuedState::default() };
        let load = |hosts: &[&str]| {
            let site = "[acme]\nemail = \"ops@example.com\"\n[[site]]\nrespond = { status = 200 }\n";
            let text = format!("{site}hosts = {hosts:?}\n");
            let _ = store.load(&crate::config::parse("edge.toml", &text, &|_| None).unwrap().config);
        };
        load(&["a.example.com", "b.example.com"]);
        store.tell([("a.example.com".into(), told.clone())]);
        let first = store.find("a.example.com").unwrap();
        load(&["b.example.com", "a.example.com"]);
        for name in &names {
            assert!(Arc::ptr_eq(&store.find(name).unwrap(), &first), "{name}: nothing is known of it yet");
        }
        store.tell([("b.example.com".into(), told)]);
        assert!(Arc::ptr_eq(&store.find("a.example.com").unwrap(), &first));
    }

    #[test]
    fn a_name_is_found_among_thousands_as_among_ten() {
        let (few, many) = (store(10), store(10_000));
        for name in ["site9.example", "www.site9.example"] {
            let (few, many) = (lookups(&few, name), lookups(&many, name));
            eprintln!("{name}: {few} ns among 10, {many} ns among 10,000");
            assert!(many < few * 3 + 200, "{name}: {few} ns among 10, {many} ns among 10,000");
        }
        assert!(many.find("a.www.site9.example").is_none());
    }
}
