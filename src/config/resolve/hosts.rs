//! Which site answers for which host: claimed once, and with a certificate to be had.

use std::collections::BTreeMap;
use std::ops::Range;

use crate::config::model::SiteTls;
use crate::config::read::{Mistake, Table, Value};
use crate::types::HostPattern;

/// Every host that a site claimed, and where.
pub(super) type Claims = BTreeMap<HostPattern, Range<usize>>;

const EXAMPLE: &str = "hosts = [\"example.com\"], or [\"*\"] for whatever no other site claims";

/// The site's hosts and their places. Those that another site has, or that are there twice, are reported.
pub(super) fn read(t: &mut Table<'_>, claims: &mut Claims) -> Vec<(HostPattern, Range<usize>)> {
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

/// Reports public names for which no certificate can be had in this version.
pub(super) fn check_certificates(
    t: &Table<'_>,
    tls: SiteTls,
    hosts: &[(HostPattern, Range<usize>)],
    has_certificates: bool,
) {
    let Some((host, span)) = hosts.iter().find(|(host, _)| !host.is_local()) else {
        return;
    };
    match tls {
        SiteTls::Off => {}
        SiteTls::Auto if has_certificates => {}
        SiteTls::Auto => t.error(
            format!("{host} is a public name and there is no certificate for it"),
            span.clone(),
            "give a [[tls.certificate]] with cert and key, or set tls = \"off\" on the site (tls = \"internal\" is for local names only)",
        ),
        SiteTls::Internal => t.error(
            format!("{host} is a public name: the internal CA signs local names only"),
            span.clone(),
            "use tls = \"auto\" with a [[tls.certificate]], or a local name (localhost, *.test, *.internal, an IP address)",
        ),
    }
}
