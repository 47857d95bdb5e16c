//! What one config says otherwise than another, key by key, for those who want to read what a reload has done.
//!
//! Every field of the model has its key here, by patterns that name all of them: a new field that nobody has thought of does
//! not compile.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::model::{
    Acme, Config, HealthConfig, Limits, Log, Pools, RouteConfig, Server, ServiceConfig, SiteConfig, Switch, TlsConfig,
    UpstreamTls, Zone,
};
use super::route_path::RoutePath;

/// The keys whose fields differ.
macro_rules! differing {
    ($before:expr, $next:expr, $model:ident { $($field:ident => $key:expr),* $(,)? }) => {{
        let (before, next): (&$model, &$model) = ($before, $next);
        let $model { $($field: _),* } = before;
        let all = [$(($key, before.$field != next.$field)),*];
        all.into_iter().filter(|(_, differs)| *differs).map(|(key, _)| key).collect::<Vec<&'static str>>()
    }};
}

/// What differs, a line each: `limits.body_size changed`, `site shop.test added`. Sockets are not here: those who open and close
/// them say it.
pub fn changes(before: &Config, next: &Config) -> Vec<String> {
    let mut lines: Vec<String> = process_keys(before, next).iter().map(|key| format!("{key} changed")).collect();
    named("zone", &before.zones, &next.zones, &zone, &mut lines);
    named("service", &before.services, &next.services, &service, &mut lines);
    let by_name = |config: &Config| -> BTreeMap<Arc<str>, SiteConfig> {
        config.sites.iter().map(|site| (site.name.clone(), site.clone())).collect()
    };
    named("site", &by_name(before), &by_name(next), &site, &mut lines);
    lines
}

/// Keys that are read once, at the start of a process, and are different in `next`.
pub fn waits_for_restart(started: &Config, next: &Config) -> Vec<&'static str> {
    const ONCE: [&str; 4] = ["server.admin", "server.metrics", "server.state_dir", "server.workers"];
    let keys = process_keys(started, next).into_iter();
    keys.filter(|key| ONCE.contains(key) || key.starts_with("log.")).collect()
}

/// Of the sections that there is one of.
fn process_keys(before: &Config, next: &Config) -> Vec<&'static str> {
    // Zones, services and sites have names; listeners have lines of their own.
    let Config { server: _, limits: _, log: _, tls: _, acme: _, zones: _, services: _, sites: _ } = before;
    let server = differing!(&before.server, &next.server, Server {
        http => "", https => "", proxy_protocol => "server.proxy_protocol", trusted_proxies => "server.trusted_proxies",
        admin => "server.admin", metrics => "server.metrics", metrics_hosts => "server.metrics_hosts",
        state_dir => "server.state_dir", workers => "server.workers", shutdown_timeout => "server.shutdown_timeout",
        resolvers => "server.resolvers",
    });
    let limits = differing!(&before.limits, &next.limits, Limits {
        connections => "limits.connections", connections_per_ip => "limits.connections_per_ip",
        header_timeout => "limits.header_timeout", header_size => "limits.header_size", headers => "limits.headers",
        body_size => "limits.body_size", body_timeout => "limits.body_timeout",
        buffer_memory => "limits.buffer_memory", spool => "limits.spool_dir or spool_size", keepalive => "limits.keepalive",
        keepalive_requests => "limits.keepalive_requests", h2_streams => "limits.h2_streams",
    });
    let log = differing!(&before.log, &next.log, Log {
        level => "log.level", access => "log.access", format => "log.format", rotate_size => "log.rotate_size",
        rotate_keep => "log.rotate_keep",
    });
    let tls = differing!(&before.tls, &next.tls, TlsConfig {
        min_version => "tls.min_version", client_auth => "tls.client_ca or client_auth",
        certificates => "tls.certificate",
    });
    let acme = differing!(&before.acme, &next.acme, Acme {
        email => "acme.email", directory => "acme.directory", challenges => "acme.challenges",
        dns_hook => "acme.dns_hook", ca_file => "acme.ca_file", eab => "acme.eab_kid or eab_hmac_key",
        fallback => "acme.fallback", profile => "acme.profile",
    });
    [server, limits, log, tls, acme].concat().into_iter().filter(|key| !key.is_empty()).collect()
}

/// Those that came, went, and say something else.
fn named<T: PartialEq>(
    kind: &str,
    before: &BTreeMap<Arc<str>, T>,
    next: &BTreeMap<Arc<str>, T>,
    differing: &dyn Fn(&T, &T) -> String,
    lines: &mut Vec<String>,
) {
    let missing = |of: &BTreeMap<Arc<str>, T>, from: &BTreeMap<Arc<str>, T>| -> Vec<Arc<str>> {
        of.keys().filter(|name| !from.contains_key(*name)).cloned().collect()
    };
    lines.extend(missing(next, before).iter().map(|name| format!("{kind} {name} added")));
    lines.extend(missing(before, next).iter().map(|name| format!("{kind} {name} removed")));
    for (name, now) in next {
        if let Some(old) = before.get(name).filter(|old| *old != now) {
            lines.push(format!("{kind} {name} changed: {}", differing(old, now)));
        }
    }
}

fn zone(before: &Arc<Zone>, next: &Arc<Zone>) -> String {
    let keys = differing!(before, next, Zone {
        name => "name", key => "key", rate => "rate", burst => "burst", delay => "delay", status => "status",
        dry_run => "dry_run", exempt => "exempt", max_keys => "max_keys",
    });
    format!("{}; its keys start anew", keys.join(", "))
}

fn service(before: &Arc<ServiceConfig>, next: &Arc<ServiceConfig>) -> String {
    let keys = differing!(before, next, ServiceConfig {
        name => "name", pools => "", initial => "initial", balance => "balance", host => "host",
        connect_timeout => "connect_timeout", response_timeout => "response_timeout",
        response_headers => "response_headers", response_header_size => "response_header_size", read_timeout => "read_timeout",
        websocket_idle_timeout => "websocket_idle_timeout", retries => "retries", failover => "failover",
        sticky => "sticky", max_in_flight => "max_in_flight", queue_timeout => "queue_timeout", health => "",
        switch => "", tls => "", keepalive => "keepalive", buffers => "buffer_requests or buffer_responses",
    });
    let health = differing!(&before.health, &next.health, HealthConfig {
        path => "health.path", interval => "health.interval", timeout => "health.timeout", rise => "health.rise",
        fall => "health.fall", status => "health.status", body => "health.body", host => "health.host",
        expect_header => "health.expect_header", send_headers => "health.send_headers", max_fails => "health.max_fails", fail_timeout => "health.fail_timeout",
    });
    let switch = differing!(&before.switch, &next.switch, Switch {
        timeout => "switch.timeout", min_healthy_percent => "switch.min_healthy", warmup => "switch.warmup",
        drain => "switch.drain", watch => "switch.watch", max_error_rate => "switch.max_error_rate",
        max_latency_ratio => "switch.max_latency_ratio", min_requests => "switch.min_requests",
    });
    let tls = differing!(&before.tls, &next.tls, UpstreamTls {
        ca => "tls_ca", server_name => "tls_server_name", verify => "tls_verify", protocol => "tls_protocol",
    });
    let all = [pools(&before.pools, &next.pools), keys, health, switch, tls].concat();
    all.into_iter().filter(|key| !key.is_empty()).collect::<Vec<_>>().join(", ")
}

fn pools(before: &Pools, next: &Pools) -> Vec<&'static str> {
    match (before, next) {
        (Pools::BlueGreen { blue, green }, Pools::BlueGreen { blue: next_blue, green: next_green }) => {
            let colors = [("blue", blue != next_blue), ("green", green != next_green)];
            colors.into_iter().filter(|(_, differs)| *differs).map(|(color, _)| color).collect()
        }
        (before, next) if before == next => Vec::new(),
        (_, Pools::BlueGreen { .. }) => vec!["blue", "green"],
        (_, Pools::Single(_)) => vec!["backends"],
    }
}

fn site(before: &SiteConfig, next: &SiteConfig) -> String {
    let keys = differing!(before, next, SiteConfig {
        name => "name", hosts => "hosts", tls => "tls", client_auth => "client_ca or client_auth",
        canonical_host => "canonical_host", routes => "",
    });
    let mut all: Vec<String> = keys.into_iter().filter(|key| !key.is_empty()).map(str::to_owned).collect();
    let find = |site: &SiteConfig, path: &RoutePath| site.routes.iter().find(|route| route.path == *path).cloned();
    for now in &next.routes {
        match find(before, &now.path) {
            None => all.push(format!("route {} added", shown(&now.path))),
            Some(old) if old != *now => all.push(route(&old, now)),
            Some(_) => {}
        }
    }
    let gone = before.routes.iter().filter(|old| find(next, &old.path).is_none());
    all.extend(gone.map(|old| format!("route {} removed", shown(&old.path))));
    // The same routes in another order are no other site.
    if all.is_empty() { "the order of its routes".to_owned() } else { all.join(", ") }
}

/// The route `/` has the keys of the site itself.
fn route(before: &RouteConfig, next: &RouteConfig) -> String {
    let keys = differing!(before, next, RouteConfig {
        path => "path", action => "what answers", limit => "limit", allow => "allow", deny => "deny",
        body_size => "body_size", body_timeout => "body_timeout", buffers => "buffer_requests or buffer_responses", headers => "headers", hsts => "hsts",
        early_hints => "early_hints", methods => "methods", cors => "cors", errors => "errors or a page in its folder", errors_intercept => "errors_intercept", strip_prefix => "strip_prefix",
    });
    match &next.path {
        RoutePath::Prefix(path) if path == "/" => keys.join(", "),
        path => format!("route {}: {}", shown(path), keys.join(", ")),
    }
}

fn shown(path: &RoutePath) -> String {
    match path {
        RoutePath::Prefix(path) => path.clone(),
        RoutePath::Exact(path) => format!("={path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"
        [server]
        workers = 2
        [service.app]
        blue = ["a:1"]
        green = ["b:1"]
        [[site]]
        hosts = ["a.test"]
        service = "app"
        [[site.route]]
        path = "/x/"
        service = "app"
    "#;

    fn config(text: &str) -> Config {
        crate::config::parse("edge.toml", text, &|_| None).unwrap().config
    }

    fn said(from: &str, to: &str) -> Vec<String> {
        let (before, next) = (config(TEXT), config(&TEXT.replace(from, to)));
        assert_eq!(changes(&before, &before), [""; 0]);
        changes(&before, &next)
    }

    #[test]
    fn each_key_is_named_where_it_differs() {
        for (from, to, line) in [
            ("workers = 2", "workers = 3", "server.workers changed"),
            ("workers = 2", "workers = 2\ntrusted_proxies = [\"10.0.0.0/8\"]", "server.trusted_proxies changed"),
            ("workers = 2", "workers = 2\nresolvers = [\"127.0.0.1:53\"]", "server.resolvers changed"),
            ("workers = 2", "workers = 2\nshutdown_timeout = \"1s\"", "server.shutdown_timeout changed"),
            ("[service.app]", "[tls]\nmin_version = \"1.3\"\n[service.app]", "tls.min_version changed"),
            ("green = [\"b:1\"]", "green = [\"b:2\"]", "service app changed: green"),
            (
                "green = [\"b:1\"]",
                "green = [\"b:1\"]\nretries = 1\nhealth.fall = 9",
                "service app changed: retries, health.fall",
            ),
            ("hosts = [\"a.test\"]", "hosts = [\"a.test\", \"b.test\"]", "site a.test changed: hosts"),
            ("path = \"/x/\"", "path = \"/x/\"\nbody_size = \"1KiB\"", "site a.test changed: route /x/: body_size"),
            ("path = \"/x/\"", "path = \"/y/\"", "site a.test changed: route /y/ added, route /x/ removed"),
        ] {
            assert_eq!(said(from, to), [line]);
        }
    }

    #[test]
    fn what_is_read_once_waits_for_the_next_start() {
        let started = config(TEXT);
        let next = config(&TEXT.replace("workers = 2", "workers = 3\n[log]\nlevel = \"warn\""));
        assert_eq!(waits_for_restart(&started, &next), ["server.workers", "log.level"]);
        assert_eq!(waits_for_restart(&started, &started), [""; 0]);
    }
}
