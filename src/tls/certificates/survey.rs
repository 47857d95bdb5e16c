//! Which of the configured certificates no client will ever be shown, and why. Pure.
//!
//! A certificate is of use if there is one name of a site for which no other with the same type of key goes first: clients that can
//! verify the one can verify the other. The order is that of [`super::index`].

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::time::SystemTime;

use super::files::LoadedCertificate;
use crate::config::{CertificateFiles, Config, SiteConfig, SiteTls};
use crate::site::Hosts;
use crate::types::{HostPattern, parent_of, wildcard_parent};

/// Names that a line says.
const SHOWN: usize = 5;

/// A warning for each `[[tls.certificate]]` that is of no use, in their order. `loaded`: what was read of each.
pub fn survey(config: &Config, loaded: &[Option<&LoadedCertificate>], now: SystemTime) -> Vec<Option<String>> {
    let survey = Survey::new(config, loaded, now);
    (0..loaded.len()).map(|index| survey.warning(index)).collect()
}

struct Survey<'a> {
    files: &'a [CertificateFiles],
    loaded: &'a [Option<&'a LoadedCertificate>],
    now: SystemTime,
    hosts: Hosts,
    /// Those without TLS too.
    all_hosts: Hosts,
    /// Exact hosts of sites, by the name one label above.
    hosts_below: HashMap<&'a str, Vec<&'a str>>,
    exact: HashMap<&'a str, Vec<usize>>,
    wildcard: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Survey<'a> {
    fn new(config: &'a Config, loaded: &'a [Option<&'a LoadedCertificate>], now: SystemTime) -> Self {
        let with_tls = || config.sites.iter().filter(|site| site.tls != SiteTls::Off);
        let mut hosts_below: HashMap<_, Vec<_>> = HashMap::new();
        for host in with_tls().flat_map(|site| &site.hosts) {
            if let HostPattern::Exact(name) = host
                && let Some(parent) = parent_of(name.as_str())
            {
                hosts_below.entry(parent).or_default().push(name.as_str());
            }
        }
        let (mut exact, mut wildcard): (HashMap<_, Vec<_>>, HashMap<_, Vec<_>>) = Default::default();
        for (index, certificate) in loaded.iter().enumerate() {
            for name in certificate.iter().flat_map(|certificate| &certificate.names) {
                match wildcard_parent(name) {
                    Some(parent) => wildcard.entry(parent).or_default().push(index),
                    None => exact.entry(name.as_str()).or_default().push(index),
                }
            }
        }
        let files = &config.tls.certificates;
        let hosts = |sites: &mut dyn Iterator<Item = &'a SiteConfig>| {
            Hosts::new(sites.map(|site| site.hosts.as_slice()).enumerate())
        };
        let (hosts, all_hosts) = (hosts(&mut with_tls()), hosts(&mut config.sites.iter()));
        Self { files, loaded, now, hosts, all_hosts, hosts_below, exact, wildcard }
    }

    fn warning(&self, index: usize) -> Option<String> {
        let certificate = self.loaded[index]?;
        let cert = self.cert(index).display();
        let names = || certificate.names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
        let mut others = BTreeSet::new();
        let mut is_asked_for = false;
        for name in &certificate.names {
            for asked in self.asked_for(name) {
                is_asked_for = true;
                others.insert(self.ahead_of(index, asked)?);
            }
        }
        if !is_asked_for {
            let fits = |name: &String| match wildcard_parent(name) {
                Some(parent) => self.all_hosts.is_below(parent),
                None => self.all_hosts.find(name).is_some(),
            };
            return Some(match certificate.names.iter().any(fits) {
                true => format!(
                    "{cert}: only sites with tls = \"off\" have a host that fits it ({}); drop the pair",
                    names()
                ),
                false => format!("{cert}: no site has a host that fits it ({}); add one, or drop the pair", names()),
            });
        }
        let others: Vec<_> =
            others.into_iter().take(SHOWN).map(|other| self.cert(other).display().to_string()).collect();
        let (others, key) = (others.join(", "), certificate.key_type);
        Some(if self.is_over(index) {
            format!(
                "{cert}: no client is shown it: it has expired, and {others} serves its names ({}); drop the pair",
                names()
            )
        } else {
            format!(
                "{cert}: no client is shown it: {others} goes first for all of its names ({}) with the same type of key \
                 ({key}); drop one of them",
                names()
            )
        })
    }

    /// What clients may ask for that a name of a certificate is good for: names, or a wildcard for all that no site spells out.
    fn asked_for(&self, name: &'a str) -> Vec<&'a str> {
        let Some(parent) = wildcard_parent(name) else {
            return self.hosts.find(name).map(|_| name).into_iter().collect();
        };
        let mut asked = self.hosts_below.get(parent).cloned().unwrap_or_default();
        if self.hosts.find(&format!("a-name-that-no-site-spells-out.{parent}")).is_some() {
            asked.push(name);
        }
        asked
    }

    /// Another certificate with the same type of key that is shown to those who ask for this name.
    fn ahead_of(&self, index: usize, asked: &str) -> Option<usize> {
        let (exact, parent) = match wildcard_parent(asked) {
            Some(parent) => (None, Some(parent)),
            None => (self.exact.get(asked), parent_of(asked)),
        };
        let wildcard = parent.and_then(|parent| self.wildcard.get(parent));
        let key_type = self.loaded[index]?.key_type;
        let is_alike = |other: &usize| self.loaded[*other].is_some_and(|other| other.key_type == key_type);
        let same_type = exact.into_iter().chain(wildcard).flatten().copied().filter(is_alike);
        // As the index chooses: what is valid first, then in their order.
        let first = same_type.min_by_key(|other| !self.is_valid(*other))?;
        // One that is not valid yet will have its time.
        let waits = self.loaded[index].is_some_and(|certificate| certificate.not_before > self.now);
        (first != index && !waits).then_some(first)
    }

    fn is_valid(&self, index: usize) -> bool {
        self.loaded[index].is_some_and(|certificate| certificate.is_valid(self.now))
    }

    fn is_over(&self, index: usize) -> bool {
        self.loaded[index].is_some_and(|certificate| certificate.not_after <= self.now)
    }

    fn cert(&self, index: usize) -> &Path {
        &self.files[index].cert
    }
}
