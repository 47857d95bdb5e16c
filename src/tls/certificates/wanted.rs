//! Which names of a site need a certificate from where, once it is known what the files cover. Pure.

use std::collections::HashSet;
use std::sync::Arc;

use crate::config::{AcmeChallenge, Config, SiteConfig, SiteTls};
use crate::types::{HostPattern, certificate_name_covers};

/// A certificate to be had from an authority: a site's names that no file covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WantedCertificate {
    pub site: Arc<str>,
    /// As certificates write them: `*.example.com`.
    pub names: Vec<String>,
    /// `tls = "acme"`: it goes before a file that covers the same names.
    pub is_forced: bool,
}

/// One for each site that has such names.
pub(super) fn from_authority(config: &Config, is_covered: &dyn Fn(&str) -> bool) -> Vec<WantedCertificate> {
    let wanted = config.sites.iter().map(|site| WantedCertificate {
        site: site.name.clone(),
        names: public(config, site, is_covered),
        is_forced: site.tls == SiteTls::Acme,
    });
    wanted.filter(|wanted| !wanted.names.is_empty()).collect()
}

fn public(config: &Config, site: &SiteConfig, is_covered: &dyn Fn(&str) -> bool) -> Vec<String> {
    if config.acme.email.is_none() || !matches!(site.tls, SiteTls::Acme | SiteTls::Auto) {
        return Vec::new();
    }
    let is_forced = site.tls == SiteTls::Acme;
    let has_dns = config.acme.challenges.contains(&AcmeChallenge::Dns01);
    let names = site.hosts.iter().filter_map(|host| {
        let is_askable = match host {
            HostPattern::Exact(name) => name.ip().is_none() && name.as_str().contains('.'),
            HostPattern::Wildcard(_) => has_dns,
            HostPattern::Any => false,
        };
        let name = host.to_string();
        let is_left = is_forced || (!host.is_local() && !is_covered(&name));
        (is_askable && is_left).then_some(name)
    });
    without_redundant(&names.collect::<Vec<_>>())
}

/// Without names that a wildcard beside them covers: Let's Encrypt refuses an order for both.
fn without_redundant(names: &[String]) -> Vec<String> {
    let is_covered = |name: &str| names.iter().any(|other| other != name && certificate_name_covers(other, name));
    names.iter().filter(|name| !is_covered(name)).cloned().collect()
}

/// Host sets of sites that no file covers and that the internal CA may sign.
pub(super) fn from_internal_ca(config: &Config, is_covered: &dyn Fn(&str) -> bool) -> Vec<Vec<String>> {
    let mut seen = HashSet::new();
    let mut sets = Vec::new();
    for site in config.sites.iter().filter(|site| matches!(site.tls, SiteTls::Auto | SiteTls::Internal)) {
        let local = site.hosts.iter().filter(|host| host.is_local() && !matches!(host, HostPattern::Any));
        let names: Vec<String> = local
            .map(ToString::to_string)
            .filter(|name| site.tls == SiteTls::Internal || !is_covered(name))
            .filter(|name| seen.insert(name.clone()))
            .collect();
        if !names.is_empty() {
            sets.push(names);
        }
    }
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(acme: &str, sites: &str) -> Vec<Vec<String>> {
        let text = format!(
            "[acme]\n{acme}\n{sites}\n[[tls.certificate]]\ncert = \"a\"\nkey = \"b\"\n[service.app]\nbackends = [\"a:1\"]\n"
        );
        let config = crate::config::parse("edge.toml", &text, &|_| None).unwrap_or_else(|e| panic!("{e}")).config;
        let wanted = from_authority(&config, &|name| name == "covered.example.com");
        wanted.into_iter().map(|wanted| wanted.names).collect()
    }

    #[test]
    fn public_names_that_no_file_covers_are_asked_for_together() {
        let site = "[[site]]\nhosts = [\"a.example.com\", \"covered.example.com\", \"*.example.com\", \"a.test\", \"127.0.0.1\"]\nservice = \"app\"\n";
        assert_eq!(wanted("email = \"ops@example.com\"", site), [vec!["a.example.com"]]);
        assert!(wanted("", site).is_empty(), "without an account");
        let dns = "email = \"ops@example.com\"\nchallenges = [\"dns-01\"]\ndns_hook = \"/bin/true\"";
        assert_eq!(wanted(dns, site), [vec!["*.example.com"]]);
        assert!(wanted("email = \"ops@example.com\"", &format!("{site}tls = \"off\"\n")).is_empty());
    }

    #[test]
    fn what_a_wildcard_covers_is_not_asked_for_beside_it() {
        let names =
            ["example.com", "www.example.com", "*.example.com", "a.b.example.com", "*.b.example.com", "b.example.org"];
        let names = names.map(str::to_owned);
        assert_eq!(without_redundant(&names), ["example.com", "*.example.com", "*.b.example.com", "b.example.org"]);
    }
}
