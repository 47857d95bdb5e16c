//! Which site answers for which host: each host belongs to one site, and a certificate for it can be had.

use std::collections::BTreeMap;
use std::ops::Range;

use super::context::SiteContext;
use crate::config::model::{Acme, AcmeChallenge, SiteTls};
use crate::config::read::{Mistake, Table, Value};
use crate::types::HostPattern;

/// Every host that a site claims, and where it is claimed.
pub type Claims = BTreeMap<HostPattern, Range<usize>>;

/// With its place in the file.
pub type PlacedHost = (HostPattern, Range<usize>);

const EXAMPLE: &str = "hosts = [\"example.com\"], or [\"*\"] for whatever no other site claims";

/// The site's hosts and their places. Those that another site has, or that are there twice, are reported.
pub fn read(t: &mut Table<'_>, claims: &mut Claims) -> Vec<PlacedHost> {
    let read = |v: &Value<'_>| Ok((v.parsed::<HostPattern>()?, v.span()));
    if !t.has("hosts") {
        t.error("`hosts` is missing", t.span(), EXAMPLE);
    }
    let Some(hosts) = t.list("hosts", read) else {
        return Vec::new();
    };
    t.report_if_empty("hosts", EXAMPLE);
    for (host, span) in &hosts {
        if let Some(first) = claims.get(host) {
            let mistake = Mistake::new(format!("{host} is claimed twice")).related(first.clone(), "first claimed here");
            t.document().mistake(
                &t.path_of("hosts"),
                span.clone(),
                mistake.help("a host belongs to one site: join the two, or drop it here"),
            );
        } else {
            claims.insert(host.clone(), span.clone());
        }
    }
    hosts
}

/// Reports names for which no certificate can be had.
pub fn check_certificates(t: &Table<'_>, tls: SiteTls, hosts: &[PlacedHost], context: &SiteContext<'_>) {
    let acme = context.acme;
    match tls {
        SiteTls::Off => {}
        SiteTls::Auto if context.tls.has_certificates => {}
        SiteTls::Auto if acme.email.is_some() => check_authority(t, hosts.iter().filter(|(h, _)| !h.is_local()), acme),
        SiteTls::Auto => {
            let Some((host, span)) = hosts.iter().find(|(host, _)| !host.is_local()) else { return };
            t.error(
                format!("{host} is a public name and there is no certificate for it"),
                span.clone(),
                "set [acme] email = \"you@example.com\", and one is fetched and renewed; or give a [[tls.certificate]] with \
                 cert and key, or set tls = \"off\" on the site (tls = \"internal\" is for local names only)",
            );
        }
        SiteTls::Acme if acme.email.is_none() => t.error(
            "tls = \"acme\" without an account",
            t.key_span("tls").unwrap_or_else(|| t.span()),
            "set [acme] email = \"you@example.com\"",
        ),
        SiteTls::Acme => {
            check_authority(t, hosts.iter(), acme);
            check_public(t, hosts, acme);
        }
        SiteTls::Internal => {
            let Some((host, span)) = hosts.iter().find(|(host, _)| !host.is_local()) else { return };
            t.error(
                format!("{host} is a public name: the internal CA signs local names only"),
                span.clone(),
                "use tls = \"auto\" with [acme] email or a [[tls.certificate]], or a local name (localhost, *.test, \
                 *.internal, an IP address)",
            );
        }
    }
}

/// Reports names that no authority can validate by the challenges that are left.
fn check_authority<'a>(t: &Table<'_>, hosts: impl Iterator<Item = &'a PlacedHost>, acme: &Acme) {
    for (host, span) in hosts {
        let (message, help) = match host {
            HostPattern::Any => (
                "\"*\" names no host that a certificate could be asked for".to_owned(),
                "name the hosts, or give a [[tls.certificate]]",
            ),
            HostPattern::Exact(name) if name.ip().is_some() => (
                format!("{host} is an address: certificates are asked for names"),
                "give it a site of its own with tls = \"internal\"",
            ),
            HostPattern::Exact(name) if !name.as_str().contains('.') => (
                format!("{host} has no dot: no authority signs it"),
                "write the whole name, or give a [[tls.certificate]]",
            ),
            HostPattern::Wildcard(_) if !acme.challenges.contains(&AcmeChallenge::Dns01) => (
                format!("{host} needs the challenge dns-01"),
                "add \"dns-01\" to acme.challenges and a program to acme.dns_hook, or give a [[tls.certificate]]",
            ),
            _ => continue,
        };
        t.error(message, span.clone(), help);
    }
}

/// Public authorities sign public names.
fn check_public(t: &Table<'_>, hosts: &[PlacedHost], acme: &Acme) {
    let is_public = acme.directory.contains(".letsencrypt.org/");
    let local = hosts.iter().find(|(host, _)| host.is_local() && !matches!(host, HostPattern::Any));
    if let Some((host, span)) = local.filter(|_| is_public) {
        t.error(
            format!("{host} is a local name: no public authority signs it"),
            span.clone(),
            "use tls = \"auto\" or \"internal\", or a private acme.directory",
        );
    }
}
