//! `[service.NAME]` with its `health` and `switch`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::parse::{cookie_name, header_name, host_header, is_name, own_path};
use super::process::{buffer_size, header_size};
use super::{health, pools};
use crate::config::model::{
    Balance, BufferSizes, Pools, ServiceConfig, Switch, TlsProtocol, UpstreamHost, UpstreamTls,
};
use crate::config::read::{Mistake, Named, Table, Value};
use crate::types::{Color, Scheme};

const TLS_PROTOCOLS: [(&str, TlsProtocol); 3] =
    [("auto", TlsProtocol::Auto), ("h2", TlsProtocol::H2), ("http/1.1", TlsProtocol::Http1)];

/// As much as most bodies have, and a thousand slow clients may keep.
pub(super) const BUFFERS: BufferSizes = BufferSizes { requests: 1 << 20, responses: 1 << 20 };

pub(super) type Services = BTreeMap<Arc<str>, Arc<ServiceConfig>>;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub(super) fn read(root: &mut Table<'_>) -> Services {
    let named = root.named_tables("service", "service.NAME").into_iter();
    named.map(service).map(|service| (service.name.clone(), Arc::new(service))).collect()
}

fn service(Named { name, name_span, table: mut t }: Named<'_>) -> ServiceConfig {
    if !is_name(name) {
        t.error("not a name for a service", name_span, "letters, digits, \"-\", \"_\" and \".\"");
    }
    let pools = pools::read(&mut t);
    ServiceConfig {
        name: name.into(),
        initial: initial(&mut t, &pools),
        balance: t.read("balance", Balance::LeastConn, balance),
        host: t.read("host", UpstreamHost::Preserve, host),
        connect_timeout: t.read("connect_timeout", seconds(2), Value::duration_above_zero),
        response_timeout: t.read("response_timeout", seconds(60), Value::duration_above_zero),
        response_headers: t.read("response_headers", 256, |v| v.integer(1..=10_000)),
        response_header_size: t.read("response_header_size", 256 << 10, header_size),
        read_timeout: t.read("read_timeout", Some(seconds(60)), unless_zero),
        websocket_idle_timeout: t.read("websocket_idle_timeout", seconds(3600), Value::duration_above_zero),
        retries: t.read("retries", 2, |v| v.integer(0..=10)),
        keepalive: t.read("keepalive", seconds(60), Value::duration),
        failover: failover(&mut t, &pools),
        sticky: t.read("sticky", false, |v| v.choice(&[("off", false), ("cookie", true)])),
        max_in_flight: t.read("max_in_flight", 0, |v| v.integer(0..=1_000_000)),
        queue_timeout: t.read("queue_timeout", seconds(5), Value::duration),
        tls: upstream_tls(&mut t, &pools),
        buffers: BufferSizes {
            requests: t.read("buffer_requests", BUFFERS.requests, buffer_size),
            responses: t.read("buffer_responses", BUFFERS.responses, buffer_size),
        },
        health: health::read(t.table("health", "service.NAME.health"), &pools),
        switch: switch(t.table("switch", "service.NAME.switch")),
        pools,
    }
}

fn initial(t: &mut Table<'_>, pools: &Pools) -> Color {
    if let (Pools::Single(_), Some(span)) = (pools, t.key_span("initial")) {
        t.error("`initial` without colours", span, "leave it out: `backends` is one pool");
    }
    t.read("initial", Color::Blue, Value::parsed)
}

fn failover(t: &mut Table<'_>, pools: &Pools) -> bool {
    let failover = t.read("failover", false, |value| match value.text()?.as_ref() {
        "off" => Ok(false),
        "other-color" => Ok(true),
        other => Err(Mistake::unknown(format!("{other:?} is not a way to fail over"), other, ["off", "other-color"])),
    });
    if let (Pools::Single(_), Some(span), true) = (pools, t.key_span("failover"), failover) {
        t.error("`failover` without colours", span, "leave it out: `backends` is one pool");
    }
    failover
}

fn balance(value: &Value<'_>) -> Result<Balance, Mistake> {
    let text = value.text()?;
    if let Some(name) = text.strip_prefix("hash:header:") {
        return header_name(name).map(Balance::HashHeader);
    }
    if let Some(name) = text.strip_prefix("hash:cookie:") {
        return cookie_name(name).map(Balance::HashCookie);
    }
    match text.as_ref() {
        "least-conn" => Ok(Balance::LeastConn),
        "round-robin" => Ok(Balance::RoundRobin),
        "hash:ip" => Ok(Balance::HashIp),
        other => {
            let known = ["least-conn", "round-robin", "hash:ip", "hash:header:NAME", "hash:cookie:NAME"];
            Err(Mistake::unknown(format!("{other:?} is not a way to balance"), other, known))
        }
    }
}

fn host(value: &Value<'_>) -> Result<UpstreamHost, Mistake> {
    match value.text()?.as_ref() {
        "preserve" => Ok(UpstreamHost::Preserve),
        "backend" => Ok(UpstreamHost::Backend),
        _ => host_header(value).map(UpstreamHost::Literal),
    }
}

fn unless_zero(value: &Value<'_>) -> Result<Option<Duration>, Mistake> {
    value.duration().map(|duration| (!duration.is_zero()).then_some(duration))
}

fn upstream_tls(t: &mut Table<'_>, pools: &Pools) -> UpstreamTls {
    let tls = UpstreamTls {
        ca: t.read("tls_ca", None, |v| v.unless_empty(Value::path)),
        server_name: t.read("tls_server_name", None, |v| v.unless_empty(Value::parsed)),
        verify: t.read("tls_verify", true, Value::boolean),
        protocol: t.read("tls_protocol", TlsProtocol::Auto, |v| v.choice(&TLS_PROTOCOLS)),
    };
    let backends = match pools {
        Pools::Single(pool) => pool.iter().chain(&[]),
        Pools::BlueGreen { blue, green } => blue.iter().chain(green),
    };
    let has_effect = backends.into_iter().any(|backend| backend.scheme == Scheme::Https);
    let changed = tls.ca.is_some() || tls.server_name.is_some() || !tls.verify || tls.protocol != TlsProtocol::Auto;
    let key = ["tls_ca", "tls_server_name", "tls_verify", "tls_protocol"].into_iter().find_map(|key| t.key_span(key));
    if let Some(span) = key.filter(|_| changed && !has_effect) {
        t.warn("no backend is spoken to over TLS", span, "write \"https://host:port\" for those that are");
    }
    tls
}

fn switch(mut t: Table<'_>) -> Switch {
    Switch {
        timeout: t.read("timeout", seconds(60), Value::duration_above_zero),
        min_healthy_percent: t.read("min_healthy", 100, percent),
        warmup: t.list("warmup", own_path).unwrap_or_default(),
        drain: t.read("drain", seconds(30), Value::duration),
        watch: t.read("watch", Duration::ZERO, Value::duration),
        max_error_rate: t.read("max_error_rate", 0.05, |v| v.number(0.0..=1.0)),
        max_latency_ratio: t.read("max_latency_ratio", 0.0, |v| v.number(0.0..=1000.0)),
        min_requests: t.read("min_requests", 20, |v| v.integer(1..=1_000_000)),
    }
}

fn percent(value: &Value<'_>) -> Result<u8, Mistake> {
    let text = value.text()?;
    let number = text.strip_suffix('%').and_then(|number| number.parse().ok());
    number
        .filter(|percent| (1..=100).contains(percent))
        .ok_or_else(|| Mistake::new(format!("{text:?} is not a share of the backends")).help("from \"1%\" to \"100%\""))
}
