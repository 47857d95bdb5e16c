//! `[server]`: listeners, trusted networks, folders.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use super::listeners::{self, Claim};
use super::parse::{network, socket};
use crate::config::model::Server;
use crate::config::read::{Mistake, Table, Value};
use crate::types::ListenAddr;

/// The admin socket, when neither the config nor `--socket` says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/edgectl/admin.sock";

/// Active colours, history, certificates.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/edgectl";

pub(super) fn read(root: &mut Table<'_>) -> Server {
    let mut t = root.table("server", "server");
    let http = listeners::read(&mut t, "http", 80);
    let https = listeners::read(&mut t, "https", 443);
    let (metrics_span, admin_span) = (t.key_span("metrics"), t.key_span("admin"));
    let server = Server {
        proxy_protocol: t.list("proxy_protocol", network).unwrap_or_default(),
        trusted_proxies: t.list("trusted_proxies", network).unwrap_or_default(),
        admin: t.read("admin", DEFAULT_SOCKET.into(), admin),
        metrics: t.read("metrics", Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9145)), metrics),
        metrics_hosts: t.list("metrics_hosts", Value::parsed).unwrap_or_default(),
        state_dir: t.read("state_dir", DEFAULT_STATE_DIR.into(), Value::path),
        workers: t.read("workers", cores(), workers),
        shutdown_timeout: t.read("shutdown_timeout", Duration::from_secs(30), Value::duration),
        resolvers: t.list("resolvers", |v| socket(v, Some(53))).unwrap_or_default(),
        http: listeners::addresses(&http),
        https: listeners::addresses(&https),
    };
    if http.is_empty() && https.is_empty() {
        let span = t.key_span("https").unwrap_or_else(|| t.span());
        t.error("no listener at all", span, "give `http` or `https` an address, such as \"[::]:443\"");
    }
    let admin = ListenAddr::Unix(server.admin.clone());
    let metrics =
        server.metrics.map(|address| Claim { key: "metrics", address: ListenAddr::Tcp(address), span: metrics_span });
    let admin = Claim { key: "admin", address: admin, span: admin_span };
    let claims = http.into_iter().chain(https).chain(metrics).chain([admin]);
    listeners::report_conflicts(&t, &claims.collect::<Vec<_>>());
    server
}

fn admin(value: &Value<'_>) -> Result<PathBuf, Mistake> {
    match value.text()?.as_ref() {
        "off" => Err(Mistake::new("the admin socket can't be turned off").help(
            "without it nothing could switch, reload or drain; its mode is 0660, so the folder's owner decides who may",
        )),
        // What `sun_path` holds (unix(7)).
        path if path.len() > 107 => Err(Mistake::new("longer than the 107 bytes that a socket's path may have")),
        _ => value.path(),
    }
}

fn metrics(value: &Value<'_>) -> Result<Option<SocketAddr>, Mistake> {
    if value.text()? == "off" {
        return Ok(None);
    }
    socket(value, None).map(Some)
}

fn workers(value: &Value<'_>) -> Result<usize, Mistake> {
    match value.integer(0..=1024)? {
        0 => Ok(cores()),
        workers => Ok(workers),
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}
