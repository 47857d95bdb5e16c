//! CAA: whether the zone lets this authority issue (RFC 8659, RFC 8657). Pure, except for the look-ups.

use super::finding::{Check, Finding, Mark};
use crate::acme::name_of;
use crate::config::AcmeChallenge;
use crate::resolve::{Caa, DnsRecords, Resolver};

/// The records that count for a name.
pub enum CaaPolicy {
    None,
    /// At this name or the nearest one above it that has any.
    At {
        name: String,
        records: Vec<Caa>,
    },
    Failed {
        name: String,
        why: String,
    },
}

/// One issuance to be judged: the name, the authority and the account.
pub struct Issuance<'a> {
    pub name: &'a str,
    /// The directory's `caaIdentities`.
    pub identities: &'a [String],
    /// The account's URL; `None`: there is none yet.
    pub account: Option<&'a str>,
    pub challenges: &'a [AcmeChallenge],
}

/// Climbs from the name towards the root (RFC 8659, 3).
pub async fn look(resolver: &Resolver, name: &str) -> CaaPolicy {
    let mut at = name.trim_start_matches("*.");
    loop {
        match resolver.caa(at).await {
            DnsRecords::Found(records) => return CaaPolicy::At { name: at.to_owned(), records },
            DnsRecords::Failed(why) => return CaaPolicy::Failed { name: at.to_owned(), why },
            DnsRecords::NoRecord | DnsRecords::NoName => {}
        }
        match at.split_once('.') {
            Some((_, parent)) => at = parent,
            None => return CaaPolicy::None,
        }
    }
}

impl Issuance<'_> {
    pub fn judge(&self, policy: &CaaPolicy) -> Finding {
        let finding = |mark, found: String| Finding::new(Check::Caa, mark, "CAA", found);
        let (at, records) = match policy {
            CaaPolicy::None => return finding(Mark::Ok, "none: every authority may issue".to_owned()),
            CaaPolicy::Failed { name, why } => {
                return finding(Mark::Fail, format!("{name}: {why}"))
                    .advise("an authority refuses when it can't look CAA up: see the zone's name servers");
            }
            CaaPolicy::At { name, records } => (name, records),
        };
        let tags = self.tags(records);
        if let Some(unknown) = records.iter().find(|caa| caa.is_critical && !is_known(&caa.tag)) {
            return finding(Mark::Fail, format!("{at}: a critical property {:?} that nobody may ignore", unknown.tag))
                .advise("remove it, or its critical flag");
        }
        if tags.is_empty() {
            return finding(Mark::Ok, format!("{at}: nothing about this kind of name: every authority may issue"));
        }
        let shown = tags.iter().map(|caa| format!("{} {:?}", caa.tag, caa.value)).collect::<Vec<_>>().join(", ");
        let shown = format!("{at}: {shown}");
        if self.identities.is_empty() {
            return finding(Mark::Warn, format!("{shown}; the directory does not say which name is its own"))
                .advise("compare with what the authority's documentation says");
        }
        let own = self.identities.join(" or ");
        let ours: Vec<_> = tags.iter().map(|caa| CaaValue::parse(&caa.value)).filter(|v| self.is_ours(v)).collect();
        if ours.is_empty() {
            return finding(Mark::Fail, format!("{shown}; the authority is {own}")).advise(format!(
                "add to {at}: CAA 0 {} \"{}\"",
                self.tag(records),
                self.identities[0]
            ));
        }
        match ours.iter().map(|value| self.restricts(value)).min_by_key(|(mark, _)| *mark as u8) {
            Some((Mark::Ok, _)) | None => finding(Mark::Ok, format!("{shown}: allows {own}")),
            Some((mark, advice)) => finding(mark, shown).advise(advice),
        }
    }

    /// `issuewild` for a wildcard, if there is any; else `issue`.
    fn tag(&self, records: &[Caa]) -> &'static str {
        let has_wild = records.iter().any(|caa| caa.tag == "issuewild");
        if self.name.starts_with("*.") && has_wild { "issuewild" } else { "issue" }
    }

    fn tags<'c>(&self, records: &'c [Caa]) -> Vec<&'c Caa> {
        let tag = self.tag(records);
        records.iter().filter(|caa| caa.tag == tag).collect()
    }

    fn is_ours(&self, value: &CaaValue) -> bool {
        self.identities.iter().any(|own| own.eq_ignore_ascii_case(value.issuer))
    }

    /// The parameters of RFC 8657.
    fn restricts(&self, value: &CaaValue) -> (Mark, String) {
        if let Some(account) = value.parameter("accounturi") {
            match self.account {
                Some(own) if own == account => {}
                Some(own) => return (Mark::Fail, format!("accounturi names another account; this one's is {own}")),
                None => {
                    return (Mark::Warn, "accounturi: there is no account yet to compare with".to_owned());
                }
            }
        }
        if let Some(methods) = value.parameter("validationmethods") {
            let allows = |kind: &AcmeChallenge| methods.split(',').any(|method| method.trim() == name_of(*kind));
            if !self.challenges.iter().any(allows) {
                return (Mark::Fail, format!("validationmethods allows {methods} alone: see acme.challenges"));
            }
            if !self.challenges.iter().all(allows) {
                let text = format!("validationmethods allows {methods} alone: leave the others out of acme.challenges");
                return (Mark::Warn, text);
            }
        }
        (Mark::Ok, String::new())
    }
}

fn is_known(tag: &str) -> bool {
    matches!(tag, "issue" | "issuewild" | "iodef" | "issuemail" | "contactemail" | "contactphone")
}

/// `ca.example; accounturi=https://ca.example/acct/1`.
struct CaaValue<'a> {
    issuer: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> CaaValue<'a> {
    fn parse(text: &'a str) -> Self {
        let mut parts = text.split(';').map(str::trim);
        let issuer = parts.next().unwrap_or_default();
        let parameters = parts.filter_map(|part| part.split_once('=')).map(|(k, v)| (k.trim(), v.trim())).collect();
        Self { issuer, parameters }
    }

    fn parameter(&self, name: &str) -> Option<&'a str> {
        self.parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(name: &str, records: &[(&str, &str)]) -> Mark {
        judged_with(name, records, Some("https://ca.example/acct/1"), &["ca.example".to_owned()])
    }

    fn judged_with(name: &str, records: &[(&str, &str)], account: Option<&str>, identities: &[String]) -> Mark {
        let caa = |(tag, value): &(&str, &str)| {
            let (tag, value) = ((*tag).to_owned(), (*value).to_owned());
            Caa { is_critical: tag.starts_with("must"), tag, value }
        };
        let policy = CaaPolicy::At { name: "example.com".to_owned(), records: records.iter().map(caa).collect() };
        let challenges = [AcmeChallenge::TlsAlpn01, AcmeChallenge::Http01];
        Issuance { name, identities, account, challenges: &challenges }.judge(&policy).mark
    }

    #[test]
    fn the_authority_must_be_among_those_who_may() {
        let a = "a.example.com";
        assert_eq!(judged(a, &[("issue", "ca.example")]), Mark::Ok);
        assert_eq!(judged(a, &[("issue", "other.example"), ("issue", "CA.example")]), Mark::Ok);
        assert_eq!(judged(a, &[("issue", "other.example")]), Mark::Fail);
        assert_eq!(judged(a, &[("issue", ";")]), Mark::Fail, "nobody");
        assert_eq!(judged(a, &[("iodef", "mailto:a@example.com")]), Mark::Ok);
        assert_eq!(judged(a, &[("issue", "ca.example"), ("must", "x")]), Mark::Fail, "critical and unknown");
        assert_eq!(judged_with(a, &[("issue", "ca.example")], None, &[]), Mark::Warn);
    }

    #[test]
    fn a_wildcard_has_a_property_of_its_own() {
        let both = [("issue", "other.example"), ("issuewild", "ca.example")];
        assert_eq!(judged("*.example.com", &both), Mark::Ok);
        assert_eq!(judged("a.example.com", &both), Mark::Fail);
        assert_eq!(judged("*.example.com", &[("issue", "ca.example")]), Mark::Ok);
        assert_eq!(judged("a.example.com", &[("issuewild", "other.example")]), Mark::Ok);
    }

    #[test]
    fn account_and_method_count() {
        let value = |rest: &str| format!("ca.example; {rest}");
        let judge = |rest: &str, account| {
            judged_with("a.example.com", &[("issue", &value(rest))], account, &["ca.example".to_owned()])
        };
        let own = Some("https://ca.example/acct/1");
        assert_eq!(judge("accounturi=https://ca.example/acct/1", own), Mark::Ok);
        assert_eq!(judge("accounturi=https://ca.example/acct/2", own), Mark::Fail);
        assert_eq!(judge("accounturi=https://ca.example/acct/2", None), Mark::Warn);
        assert_eq!(judge("validationmethods=dns-01", own), Mark::Fail);
        assert_eq!(judge("validationmethods=http-01", own), Mark::Warn);
        assert_eq!(judge("validationmethods=http-01,tls-alpn-01", own), Mark::Ok);
    }
}
