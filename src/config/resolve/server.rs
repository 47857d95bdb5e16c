//! `[server]`: listeners, trusted networks, folders.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::num::NonZeroUsize;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use super::parse::{network, socket};
use crate::config::diagnostic::Diagnostic;
use crate::config::model::Server;
use crate::config::read::{Mistake, Table, Value};
use crate::types::ListenAddr;

/// The admin socket, when neither the config nor `--socket` says otherwise.
pub const DEFAULT_SOCKET: &str = "/run/edgectl/admin.sock";

/// Active colours, history, certificates.
pub const DEFAULT_STATE_DIR: &str = "/var/lib/edgectl";

/// A listener and where it was asked for; `None` when by default.
type Claim = (ListenAddr, Option<Range<usize>>);

pub(super) fn read(root: &mut Table<'_>) -> Server {
    let mut t = root.table("server", "server");
    let http = listeners(&mut t, "http", 80);
    let https = listeners(&mut t, "https", 443);
    let metrics_span = t.key_span("metrics");
    let server = Server {
        proxy_protocol: t.list("proxy_protocol", network).unwrap_or_default(),
        trusted_proxies: t.list("trusted_proxies", network).unwrap_or_default(),
        admin: t.read("admin", DEFAULT_SOCKET.into(), admin),
        metrics: t.read(
            "metrics",
            Some(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 9145)),
            metrics,
        ),
        state_dir: t.read("state_dir", DEFAULT_STATE_DIR.into(), Value::path),
        workers: t.read("workers", cores(), workers),
        shutdown_timeout: t.read("shutdown_timeout", Duration::from_secs(30), Value::duration),
        resolvers: t
            .list("resolvers", |v| socket(v, Some(53)))
            .unwrap_or_default(),
        http: http.iter().map(|(address, _)| address.clone()).collect(),
        https: https.iter().map(|(address, _)| address.clone()).collect(),
    };
    if http.is_empty() && https.is_empty() {
        let span = t.key_span("https").unwrap_or_else(|| t.span());
        t.error(
            "no listener at all",
            span,
            "give `http` or `https` an address, such as \"[::]:443\"",
        );
    }
    let metrics = server
        .metrics
        .map(|address| (ListenAddr::Tcp(address), metrics_span));
    let claims: Vec<Claim> = http.into_iter().chain(https).chain(metrics).collect();
    report_conflicts(&t, &claims);
    server
}

fn listeners(t: &mut Table<'_>, key: &'static str, port: u16) -> Vec<Claim> {
    let by_default = ListenAddr::Tcp(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port));
    t.list(key, |v| Ok((v.parsed()?, Some(v.span()))))
        .unwrap_or_else(|| vec![(by_default, None)])
}

fn admin(value: &Value<'_>) -> Result<PathBuf, Mistake> {
    match value.text()?.as_ref() {
        "off" => Err(Mistake::new("the admin socket can't be turned off")
            .help("without it nothing could switch, reload or drain; its mode is 0660, so the folder's owner decides who may")),
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

fn report_conflicts(t: &Table<'_>, claims: &[Claim]) {
    for (index, (address, span)) in claims.iter().enumerate() {
        let Some((earlier, first)) = claims[..index]
            .iter()
            .find(|(other, _)| conflict(other, address))
        else {
            continue;
        };
        // The default listener was there first, but the line to change is the one in the file.
        let Some(here) = span.clone().or_else(|| first.clone()) else {
            continue;
        };
        let message = format!("server: {address} is in the way of {earlier}");
        let found = Diagnostic::error(message)
            .at(here.clone())
            .help(way_out(earlier, address));
        let related = first.clone().filter(|first| *first != here);
        t.document().report(match related {
            Some(first) => found.related(first, "first claimed here"),
            None => found,
        });
    }
}

fn way_out(first: &ListenAddr, second: &ListenAddr) -> &'static str {
    let is_v6_wildcard = |address: &ListenAddr| matches!(address, ListenAddr::Tcp(address) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED));
    if first != second && (is_v6_wildcard(first) || is_v6_wildcard(second)) {
        "\"[::]\" takes every address, IPv4 too: leave the other out, or choose another port"
    } else {
        "choose another port, or leave one of them out"
    }
}

/// Whether both can't be bound at once. Port 0 is a free one each time.
fn conflict(a: &ListenAddr, b: &ListenAddr) -> bool {
    match (a, b) {
        (ListenAddr::Unix(a), ListenAddr::Unix(b)) => a == b,
        (ListenAddr::Tcp(a), ListenAddr::Tcp(b)) => {
            a.port() != 0 && a.port() == b.port() && overlap(a.ip(), b.ip())
        }
        _ => false,
    }
}

fn overlap(a: IpAddr, b: IpAddr) -> bool {
    let takes = |wide: IpAddr, narrow: IpAddr| match wide {
        IpAddr::V6(wide) => wide.is_unspecified(),
        IpAddr::V4(wide) => wide.is_unspecified() && narrow.is_ipv4(),
    };
    a == b || takes(a, b) || takes(b, a)
}
