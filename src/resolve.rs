//! Names of backends to addresses, off the request path: at the start, again and again, and before every switch.
//!
//! A name that does not resolve stops nothing: the daemon starts without the backend and adds it once the name resolves. When a
//! later look-up fails, the last good answer is kept. Servers are those of `/etc/resolv.conf`, or `[server] resolvers`.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::rr::rdata::CAA;
use hickory_resolver::proto::rr::{RData, RecordType};

use crate::service::{Endpoint, Pool, PoolTarget};

/// How often names are looked up again.
pub const INTERVAL: Duration = Duration::from_secs(5);

/// One look-up's patience, all tries together.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Looks names up. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    inner: Option<TokioResolver>,
}

/// What DNS has of one kind under a name. It tells the kinds of nothing apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DnsRecords<T> {
    Found(Vec<T>),
    /// The name is there, without a record of this kind.
    NoRecord,
    /// NXDOMAIN.
    NoName,
    /// SERVFAIL, or no answer.
    Failed(String),
}

/// One CAA record (RFC 8659, 4.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Caa {
    pub is_critical: bool,
    pub tag: String,
    pub value: String,
}

impl Resolver {
    /// `servers` empty: what the system is configured with.
    pub fn new(servers: &[SocketAddr]) -> Self {
        let built = if servers.is_empty() { system() } else { fixed(servers) };
        let inner = built.inspect_err(|error| tracing::error!(error, "no name can be resolved")).ok();
        Self { inner }
    }

    /// Every address of `host`, in a stable order.
    pub async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let resolver = self.inner.as_ref().ok_or("no DNS server is configured")?;
        let answer = tokio::time::timeout(TIMEOUT, resolver.lookup_ip(host)).await;
        let answer = answer.map_err(|_| format!("no answer from DNS within {TIMEOUT:?}"))?;
        let mut addresses: Vec<IpAddr> = answer.map_err(|error| describe(host, &error))?.iter().collect();
        addresses.sort_unstable();
        addresses.dedup();
        if addresses.is_empty() { Err(format!("name {host:?} has no address")) } else { Ok(addresses) }
    }

    /// A records, in a stable order. No search domain is tried.
    pub async fn ipv4(&self, name: &str) -> DnsRecords<IpAddr> {
        self.records(name, RecordType::A, RData::ip_addr).await
    }

    /// AAAA records, likewise.
    pub async fn ipv6(&self, name: &str) -> DnsRecords<IpAddr> {
        self.records(name, RecordType::AAAA, RData::ip_addr).await
    }

    /// CAA records of this very name; climbing is the caller's.
    pub async fn caa(&self, name: &str) -> DnsRecords<Caa> {
        let read = |data: &RData| match data {
            RData::CAA(caa) => Some(Caa::from(caa)),
            _ => None,
        };
        self.records(name, RecordType::CAA, read).await
    }

    async fn records<T: Ord>(&self, name: &str, kind: RecordType, read: impl Fn(&RData) -> Option<T>) -> DnsRecords<T> {
        let Some(resolver) = &self.inner else { return DnsRecords::Failed("no DNS server is configured".to_owned()) };
        let absolute = format!("{}.", name.trim_end_matches('.'));
        let Ok(answer) = tokio::time::timeout(TIMEOUT, resolver.lookup(absolute, kind)).await else {
            return DnsRecords::Failed(format!("no answer from DNS within {TIMEOUT:?}"));
        };
        let mut found: Vec<T> = match answer {
            Ok(answer) => answer.answers().iter().filter_map(|record| read(&record.data)).collect(),
            Err(error) if error.is_nx_domain() => return DnsRecords::NoName,
            Err(error) if error.is_no_records_found() => return DnsRecords::NoRecord,
            Err(NetError::Dns(DnsError::ResponseCode(code))) => {
                return DnsRecords::Failed(format!("{code:?}").to_uppercase());
            }
            Err(error) => return DnsRecords::Failed(error.to_string()),
        };
        found.sort_unstable();
        found.dedup();
        if found.is_empty() { DnsRecords::NoRecord } else { DnsRecords::Found(found) }
    }

    /// Looks up every name of a pool, side by side, and tells the pool.
    pub async fn refresh(&self, pool: &Pool) {
        let targets: Vec<PoolTarget> = pool.targets().into_iter().filter(PoolTarget::needs_dns).collect();
        let lookups = targets.iter().map(|target| async {
            let answer = self.lookup(&target.addr.host).await;
            let port = target.addr.port;
            let answer = answer.map(|ips| ips.into_iter().map(|ip| Endpoint::Tcp(SocketAddr::new(ip, port))).collect());
            if let (Err(error), None) = (&answer, &target.error) {
                tracing::warn!(backend = %target.addr, error, "name not resolved");
            }
            pool.resolved(&target.addr, answer);
        });
        join_all(lookups).await;
    }
}

impl From<&CAA> for Caa {
    fn from(caa: &CAA) -> Self {
        let value = String::from_utf8_lossy(&caa.value).into_owned();
        Self { is_critical: caa.issuer_critical, tag: caa.tag.to_ascii_lowercase(), value }
    }
}

fn options(opts: &mut ResolverOpts) {
    opts.timeout = Duration::from_secs(1);
    opts.attempts = 2;
    // We ask every few seconds and need the present answer: compose gives a restarted container another address.
    opts.positive_max_ttl = Some(Duration::from_secs(1));
    opts.negative_max_ttl = Some(Duration::from_secs(1));
}

fn system() -> Result<TokioResolver, String> {
    let mut builder = TokioResolver::builder_tokio().map_err(|e| e.to_string())?;
    options(builder.options_mut());
    builder.build().map_err(|e| e.to_string())
}

fn fixed(servers: &[SocketAddr]) -> Result<TokioResolver, String> {
    let servers = servers
        .iter()
        .map(|server| {
            let mut udp = ConnectionConfig::udp();
            let mut tcp = ConnectionConfig::tcp();
            udp.port = server.port();
            tcp.port = server.port();
            NameServerConfig::new(server.ip(), true, vec![udp, tcp])
        })
        .collect();
    let config = ResolverConfig::from_parts(None, Vec::new(), servers);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    options(builder.options_mut());
    builder.build().map_err(|e| e.to_string())
}

fn describe(host: &str, error: &hickory_resolver::net::NetError) -> String {
    if error.is_nx_domain() || error.is_no_records_found() {
        format!("name {host:?} does not resolve")
    } else {
        format!("name {host:?} does not resolve: {error}")
    }
}
