//! The config: whether a name is one that an authority is asked for, and if not, why. Pure.

use super::finding::{Check, Finding, Mark};
use crate::acme::name_of;
use crate::config::{AcmeChallenge, Config, SiteConfig, SiteTls};
use crate::tls::WantedCertificate;
use crate::types::{HostPattern, certificate_name_covers};

/// What is known of certificates.
pub struct NamePlans<'a> {
    pub config: &'a Config,
    pub wanted: &'a [WantedCertificate],
    /// Whether a certificate file has this name.
    pub is_filed: &'a dyn Fn(&str) -> bool,
}

impl NamePlans<'_> {
    /// Every name that is asked for, and every one that would be if nothing stood against it.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.wanted.iter().flat_map(|wanted| wanted.names.clone()).collect();
        for site in &self.config.sites {
            for host in &site.hosts {
                let name = host.to_string();
                if self.is_meant(site, host)
                    && !names.iter().any(|known| *known == name || certificate_name_covers(known, &name))
                {
                    names.push(name);
                }
            }
        }
        names
    }

    fn is_meant(&self, site: &SiteConfig, host: &HostPattern) -> bool {
        match site.tls {
            SiteTls::Acme => *host != HostPattern::Any,
            SiteTls::Auto => {
                let is_public = !host.is_local() && *host != HostPattern::Any && self.config.acme.email.is_some();
                is_public && !(self.is_filed)(&host.to_string())
            }
            SiteTls::Internal | SiteTls::Off => false,
        }
    }

    /// The name as its certificate has it, and the verdict.
    pub fn judge(&self, host: &str) -> (String, Finding) {
        let wanted = self.wanted.iter().find_map(|wanted| {
            let name = wanted.names.iter().find(|name| *name == host || certificate_name_covers(name, host))?;
            Some((wanted, name.clone()))
        });
        let finding = |mark, found: String| Finding::new(Check::Config, mark, "the config", found).of(host);
        match wanted {
            Some((wanted, name)) => {
                let (names, with) = (wanted.names.join(", "), self.challenges());
                (name, finding(Mark::Ok, format!("site {}: one certificate for {names}; {with}", wanted.site)))
            }
            None => {
                let (found, advice) = self.objection(host);
                let is_served = (self.is_filed)(host);
                let mark = if is_served { Mark::Warn } else { Mark::Fail };
                (host.to_owned(), finding(mark, found).advise(advice))
            }
        }
    }

    fn challenges(&self) -> String {
        let names: Vec<&str> = self.config.acme.challenges.iter().map(|kind| name_of(*kind)).collect();
        if names.is_empty() { "no challenge".to_owned() } else { names.join(", ") }
    }

    /// Why no authority is asked for it, and what would change that.
    fn objection(&self, host: &str) -> (String, &'static str) {
        let Some(site) = self.site(host) else {
            return ("no site has this name".to_owned(), "add it to the `hosts` of a [[site]]");
        };
        let is_wildcard = host.starts_with("*.");
        let is_local = host.parse::<HostPattern>().is_ok_and(|pattern| pattern.is_local());
        match site.tls {
            SiteTls::Off => (format!("site {} has tls = \"off\"", site.name), "set tls = \"auto\""),
            SiteTls::Internal => (format!("site {} has tls = \"internal\"", site.name), "set tls = \"auto\""),
            SiteTls::Auto if is_local => (
                "a local name: the internal CA signs it".to_owned(),
                "if the authority is a private one, set tls = \"acme\" for the site",
            ),
            _ if self.config.acme.email.is_none() => {
                ("acme.email is not set: no authority is asked for anything".to_owned(), "set email in [acme]")
            }
            _ if is_wildcard && !self.has_dns() => (
                format!("a wildcard needs dns-01; acme.challenges has {}", self.challenges()),
                "add \"dns-01\" to acme.challenges and set acme.dns_hook",
            ),
            SiteTls::Auto if (self.is_filed)(host) => (
                "a [[tls.certificate]] has this name: no authority is asked".to_owned(),
                "if that is not meant, set tls = \"acme\" for the site",
            ),
            _ => ("no authority issues for such a name".to_owned(), "use a name with a dot that is no IP address"),
        }
    }

    fn site(&self, host: &str) -> Option<&SiteConfig> {
        let pattern: HostPattern = host.parse().ok()?;
        let has = |other: &HostPattern| match &pattern {
            HostPattern::Exact(name) => other.covers(name),
            _ => *other == pattern,
        };
        let exact = self.config.sites.iter().find(|site| site.hosts.contains(&pattern));
        exact.or_else(|| self.config.sites.iter().find(|site| site.hosts.iter().any(has)))
    }

    fn has_dns(&self) -> bool {
        self.config.acme.challenges.contains(&AcmeChallenge::Dns01)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SITES: &str = "[[site]]\nhosts = [\"a.example.com\", \"*.example.com\", \"a.test\"]\nservice = \"app\"\n\
        [[site]]\nhosts = [\"off.example.org\"]\nservice = \"app\"\ntls = \"off\"\n\
        [[tls.certificate]]\ncert = \"a\"\nkey = \"b\"\n[service.app]\nbackends = [\"a:1\"]\n";

    fn judged(acme: &str, host: &str) -> (Mark, String, Vec<String>) {
        let text = format!("[acme]\n{acme}\n{SITES}");
        let config = crate::config::parse("edge.toml", &text, &|_| None).unwrap_or_else(|e| panic!("{e}")).config;
        let wanted =
            [WantedCertificate { site: "a".into(), names: vec!["a.example.com".to_owned()], is_forced: false }];
        let known = NamePlans { config: &config, wanted: &wanted, is_filed: &|name| name == "filed.example.com" };
        let (_, finding) = known.judge(host);
        (finding.mark, finding.found, known.names())
    }

    #[test]
    fn what_keeps_a_name_from_being_asked_for_is_said() {
        let email = "email = \"ops@example.com\"";
        let (mark, found, names) = judged(email, "a.example.com");
        assert_eq!((mark, names), (Mark::Ok, vec!["a.example.com".to_owned(), "*.example.com".to_owned()]));
        assert!(found.contains("tls-alpn-01, http-01"), "{found}");
        for (acme, host, why) in [
            (email, "*.example.com", "a wildcard needs dns-01"),
            (email, "b.example.net", "no site has this name"),
            (email, "off.example.org", "tls = \"off\""),
            (email, "a.test", "a local name"),
            ("", "a.test", "a local name"),
            ("", "b.example.com", "acme.email is not set"),
        ] {
            let (mark, found, _) = judged(acme, host);
            assert!(mark == Mark::Fail && found.contains(why), "{host}: {found}");
        }
        assert_eq!(judged(email, "filed.example.com").0, Mark::Warn);
    }
}
