//! `[[site]]` with its `[[site.route]]`.

use std::ops::Range;

use super::context::SiteContext;
use super::inherited::{self, InheritedKeys};
use super::{action, hosts};
use crate::config::diagnostic::Diagnostic;
use crate::config::model::{RouteConfig, Server, SiteConfig, SiteTls};
use crate::config::read::{Mistake, Table, Value};
use crate::config::resolve::tls;
use crate::config::route_path::RoutePath;
use crate::types::{HostName, HostPattern};

pub fn read(root: &mut Table<'_>, context: &SiteContext<'_>) -> Vec<SiteConfig> {
    let mut claims = hosts::Claims::new();
    let sites: Vec<_> = root.tables("site", "site").into_iter().map(|t| site(t, context, &mut claims)).collect();
    if sites.is_empty() && !root.has("site") {
        let found = Diagnostic::error("no [[site]]: nothing would be served");
        root.document().report(found.help("add [[site]] with hosts and a service"));
    }
    sites
}

fn site(mut t: Table<'_>, context: &SiteContext<'_>, claims: &mut hosts::Claims) -> SiteConfig {
    let hosts = hosts::read(&mut t, claims);
    let given = t.has("tls");
    let tls = t.optional("tls", site_tls).or((!given).then_some(SiteTls::Auto));
    if let Some(tls) = tls {
        hosts::check_certificates(&t, tls, &hosts, context);
        warn_if_unreachable(&t, tls, context.server);
    }
    let tls = tls.unwrap_or(SiteTls::Auto);
    let client_auth = tls::site_client_auth(&mut t, context.tls, tls);
    let canonical_host = t.read("canonical_host", None, |v| v.unless_empty(|v| canonical(v, &hosts)));
    let inherited = InheritedKeys::above(context).overlaid(&mut t, context);
    let routes = routes(&mut t, inherited, context);
    let hosts: Vec<HostPattern> = hosts.into_iter().map(|(host, _)| host).collect();
    SiteConfig { name: name(&hosts).into(), hosts, tls, client_auth, canonical_host, routes }
}

/// The first exact host, or the first pattern.
fn name(hosts: &[HostPattern]) -> String {
    let exact = hosts.iter().find(|host| matches!(host, HostPattern::Exact(_)));
    exact.or(hosts.first()).map(HostPattern::to_string).unwrap_or_default()
}

fn site_tls(value: &Value<'_>) -> Result<SiteTls, Mistake> {
    value.choice(&[
        ("auto", SiteTls::Auto),
        ("acme", SiteTls::Acme),
        ("internal", SiteTls::Internal),
        ("off", SiteTls::Off),
    ])
}

fn warn_if_unreachable(t: &Table<'_>, tls: SiteTls, server: &Server) {
    if tls == SiteTls::Off && server.http.is_empty() {
        t.warn(
            "no `http` listener: this site can't be reached",
            t.span(),
            "give server.http an address, or turn `tls` on",
        );
    }
    if tls != SiteTls::Off && server.https.is_empty() {
        t.warn(
            "no `https` listener: this site can't be reached",
            t.span(),
            "give server.https an address, or set tls = \"off\"",
        );
    }
}

fn canonical(value: &Value<'_>, hosts: &[(HostPattern, Range<usize>)]) -> Result<HostName, Mistake> {
    let host: HostName = value.parsed()?;
    if hosts.iter().any(|(pattern, _)| pattern.covers(&host)) {
        return Ok(host);
    }
    let known: Vec<String> = hosts.iter().map(|(pattern, _)| pattern.to_string()).collect();
    let mistake = Mistake::unknown(
        format!("{host} is not among the site's hosts"),
        host.as_str(),
        known.iter().map(String::as_str),
    );
    Err(if mistake.help.is_some() { mistake } else { mistake.help(format!("add {:?} to `hosts`", host.as_str())) })
}

fn routes(t: &mut Table<'_>, inherited: InheritedKeys, context: &SiteContext<'_>) -> Vec<RouteConfig> {
    let mut routes: Vec<RouteConfig> = Vec::new();
    let mut paths = Vec::new();
    let mut inherits = false;
    for mut table in t.tables("route", "site.route") {
        inherits |= !action::is_given(&table);
        let Some((path, strip_prefix)) = route_path(&mut table, &mut paths) else {
            // Its other keys are still worth a look.
            inherited.clone().overlaid(&mut table, context);
            continue;
        };
        routes.extend(inherited.clone().overlaid(&mut table, context).into_route(path, strip_prefix, context.services));
    }
    let has_root = paths.iter().any(|(path, _)| *path == RoutePath::Prefix("/".to_owned()));
    if (!has_root || inherits) && !action::is_given(t) {
        action::report_missing(t);
    }
    if !has_root {
        routes.extend(inherited.into_route(RoutePath::Prefix("/".to_owned()), false, context.services));
    }
    routes.sort_by(|a, b| specificity(&a.path).cmp(&specificity(&b.path)));
    routes
}

fn route_path(t: &mut Table<'_>, earlier: &mut Vec<(RoutePath, Range<usize>)>) -> Option<(RoutePath, bool)> {
    let strip_prefix = t.read("strip_prefix", false, Value::boolean);
    let read = |v: &Value<'_>| Ok((inherited::path(v)?, v.span()));
    let (path, span) = t.required("path", "add path = \"/api/\", or path = \"=/exact\"", read)?;
    if let Some((_, first)) = earlier.iter().find(|(other, _)| is_same(other, &path)) {
        let found = Diagnostic::error(format!("{}: this path has a route already", t.path_of("path"))).at(span.clone());
        t.document().report(found.related(first.clone(), "first here").help("join the two routes"));
    }
    earlier.push((path.clone(), span));
    Some((path, strip_prefix))
}

/// `/api` and `/api/` are the same prefix.
fn is_same(a: &RoutePath, b: &RoutePath) -> bool {
    match (a, b) {
        (RoutePath::Prefix(a), RoutePath::Prefix(b)) => a.trim_end_matches('/') == b.trim_end_matches('/'),
        (RoutePath::Exact(a), RoutePath::Exact(b)) => a == b,
        _ => false,
    }
}

/// Sorts exact before prefix, longer before shorter, and then by text, so that the order is one.
fn specificity(path: &RoutePath) -> (bool, std::cmp::Reverse<usize>, &str) {
    let (is_prefix, text) = match path {
        RoutePath::Exact(path) => (false, path.as_str()),
        RoutePath::Prefix(path) => (true, path.trim_end_matches('/')),
    };
    (is_prefix, std::cmp::Reverse(text.len()), text)
}
