//! What a config says, as `edgectl check` prints it: every default filled in, routes in the order they are matched.

use std::fmt::Write;
use std::net::SocketAddr;

use serde_json::{Value, json};

use super::model::{
    ActionConfig, Balance, ClientAuthMode, Config, Pools, Preset, RouteConfig, ServiceConfig, SiteConfig, SiteTls,
    Zone, ZoneKey,
};
use super::route_path::RoutePath;
use crate::types::{BackendAddr, ListenAddr, show_duration, show_size};

impl Config {
    /// For people: a paragraph per kind, columns aligned, no colour.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = String::from("listeners\n");
        text += &table(self.listeners());
        for site in &self.sites {
            let _ = write!(text, "\nsite {} (tls {})\n", joined(&site.hosts), tls_name(site.tls));
            if let Some(host) = &site.canonical_host {
                let _ = writeln!(text, "  every other host is redirected to {host}");
            }
            if let Some(asked) = &site.client_auth {
                let word = match asked.mode {
                    ClientAuthMode::Require => "must",
                    ClientAuthMode::Request => "may",
                };
                let _ = writeln!(text, "  clients {word} show a certificate that {} vouches for", asked.ca.display());
            }
            text += &table(site.routes.iter().map(route_row));
        }
        for service in self.services.values() {
            let _ = write!(text, "\nservice {} ({})\n", service.name, balance_name(&service.balance));
            text += &table(service_rows(service));
        }
        if !self.zones.is_empty() {
            text += "\nzones\n";
            text += &table(self.zones.values().map(|zone| zone_row(zone)));
        }
        text
    }

    /// For `--json`: `listeners`, `sites`, `services`, `zones`.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "listeners": self.listeners().iter().map(|row| json!({ "kind": row[0], "address": row[1] })).collect::<Vec<_>>(),
            "sites": self.sites.iter().map(site_json).collect::<Vec<_>>(),
            "services": self.services.values().map(|service| service_json(service)).collect::<Vec<_>>(),
            "zones": self.zones.values().map(|zone| zone_json(zone)).collect::<Vec<_>>(),
        })
    }

    fn listeners(&self) -> Vec<Vec<String>> {
        let row = |kind: &str, address: String| vec![kind.to_owned(), address];
        let http = self.server.http.iter().map(|address| row("http", address.to_string()));
        let https = self.server.https.iter().map(|address| row("https", address.to_string()));
        let metrics = self.server.metrics.iter().map(|address: &SocketAddr| row("metrics", address.to_string()));
        let admin = ListenAddr::Unix(self.server.admin.clone());
        http.chain(https).chain(metrics).chain([row("admin", admin.to_string())]).collect()
    }
}

fn route_row(route: &RouteConfig) -> Vec<String> {
    let limits = match route.limit.as_slice() {
        [] => String::new(),
        zones => format!("limit {}", joined(zones)),
    };
    let body = format!("body {}", show_size(route.body_size));
    let who = [("allow", &route.allow), ("deny", &route.deny)];
    let who =
        who.into_iter().filter(|(_, nets)| !nets.is_empty()).map(|(word, nets)| format!("{word} {}", joined(nets)));
    let who = who.collect::<Vec<_>>().join(" ");
    let who = if route.strip_prefix { format!("{who} strip_prefix").trim_start().to_owned() } else { who };
    let changed = if route.headers.changes.is_empty() { "" } else { ", changed" };
    let headers = format!("headers {}{changed}", preset_name(route.headers.preset));
    vec![path_text(&route.path), format!("→ {}", action_text(&route.action)), body, headers, limits, who]
}

fn preset_name(preset: Preset) -> &'static str {
    match preset {
        Preset::Secure => "secure",
        Preset::Strict => "strict",
        Preset::Off => "off",
    }
}

fn service_rows(service: &ServiceConfig) -> Vec<Vec<String>> {
    let pool = |name: &str, pool: &[BackendAddr]| vec![name.to_owned(), joined(pool)];
    let mut rows = match &service.pools {
        Pools::BlueGreen { blue, green } => vec![pool("blue", blue), pool("green", green)],
        Pools::Single(backends) => vec![pool("backends", backends)],
    };
    let health = &service.health;
    rows.push(vec![
        "health".to_owned(),
        format!("{} every {}, {} in a row to pass", health.path, show_duration(health.interval), health.rise),
    ]);
    rows
}

fn zone_row(zone: &Zone) -> Vec<String> {
    let after =
        if zone.dry_run { "dry run: refuses nobody".to_owned() } else { format!("then {}", zone.status.as_u16()) };
    let burst = format!("burst {}{}", zone.burst, if zone.delay { " delayed" } else { "" });
    vec![zone.name.to_string(), zone.rate.to_string(), format!("by {}", key_name(&zone.key)), burst, after]
}

fn site_json(site: &SiteConfig) -> Value {
    json!({
        "name": &*site.name,
        "hosts": texts(&site.hosts),
        "tls": tls_name(site.tls),
        "canonical_host": site.canonical_host.as_ref().map(ToString::to_string),
        "routes": site.routes.iter().map(route_json).collect::<Vec<_>>(),
    })
}

fn route_json(route: &RouteConfig) -> Value {
    json!({
        "path": path_text(&route.path),
        "action": action_text(&route.action),
        "service": match &route.action { ActionConfig::Service(name) => Some(&**name), _ => None },
        "limit": texts(&route.limit),
        "allow": texts(&route.allow),
        "deny": texts(&route.deny),
        "body_size": route.body_size,
        "buffer_requests": route.buffers.requests,
        "buffer_responses": route.buffers.responses,
        "methods": texts(&route.methods),
        "cors": texts(&route.cors.origins),
        "errors": route.errors.as_ref().map(|folder| folder.path.display().to_string()),
        "errors_intercept": route.errors_intercept.iter().map(http::StatusCode::as_u16).collect::<Vec<_>>(),
        "strip_prefix": route.strip_prefix,
    })
}

fn service_json(service: &ServiceConfig) -> Value {
    let pools = match &service.pools {
        Pools::BlueGreen { blue, green } => json!({ "blue": texts(blue), "green": texts(green) }),
        Pools::Single(backends) => json!({ "backends": texts(backends) }),
    };
    json!({
        "name": &*service.name,
        "pools": pools,
        "balance": balance_name(&service.balance),
        "health": { "path": service.health.path, "interval": show_duration(service.health.interval) },
    })
}

fn zone_json(zone: &Zone) -> Value {
    json!({
        "name": &*zone.name,
        "key": key_name(&zone.key),
        "rate": zone.rate.to_string(),
        "burst": zone.burst,
        "delay": zone.delay,
        "status": zone.status.as_u16(),
        "dry_run": zone.dry_run,
    })
}

fn path_text(path: &RoutePath) -> String {
    match path {
        RoutePath::Prefix(path) => path.clone(),
        RoutePath::Exact(path) => format!("={path}"),
    }
}

fn action_text(action: &ActionConfig) -> String {
    match action {
        ActionConfig::Service(name) => format!("service {name}"),
        ActionConfig::Redirect { to, status } => format!("redirect {} {to}", status.as_u16()),
        ActionConfig::Respond { status, .. } => format!("respond {}", status.as_u16()),
    }
}

fn tls_name(tls: SiteTls) -> &'static str {
    match tls {
        SiteTls::Auto => "auto",
        SiteTls::Acme => "acme",
        SiteTls::Internal => "internal",
        SiteTls::Off => "off",
    }
}

fn balance_name(balance: &Balance) -> String {
    match balance {
        Balance::LeastConn => "least-conn".to_owned(),
        Balance::RoundRobin => "round-robin".to_owned(),
        Balance::HashIp => "hash:ip".to_owned(),
        Balance::HashHeader(name) => format!("hash:header:{name}"),
        Balance::HashCookie(name) => format!("hash:cookie:{name}"),
    }
}

fn key_name(key: &ZoneKey) -> String {
    match key {
        ZoneKey::Ip => "ip".to_owned(),
        ZoneKey::IpPath => "ip+path".to_owned(),
        ZoneKey::Host => "host".to_owned(),
        ZoneKey::Header(name) => format!("header:{name}"),
        ZoneKey::Cookie(name) => format!("cookie:{name}"),
        ZoneKey::Global => "global".to_owned(),
    }
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}

fn joined<T: ToString>(items: &[T]) -> String {
    texts(items).join(", ")
}

/// Rows with their columns aligned, two blanks in front and between.
fn table(rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let rows: Vec<_> = rows.into_iter().collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell: &String| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("  {cell:<width$}"));
        text += cells.collect::<String>().trim_end();
        text.push('\n');
    }
    text
}
