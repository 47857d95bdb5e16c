//! Names of backends to addresses, off the request path: at the start, again and again, and before every switch.
//!
//! A name that does not resolve stops nothing: the daemon starts without the backend and adds it once the name resolves. When a
//! later look-up gets no answer, or a server's failure, the last good answer is kept; what the answer that there is no such name
//! means is decided in [`crate::service::PoolTarget`]. Servers are those of `/etc/resolv.conf`, or `[server] resolvers`. `names`
//! says when a service's names are looked up, `search` under which full names, `answer` what the answers come to.

mod answer;
mod names;
mod search;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use futures_util::future::{Either, join_all, select};
use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::CAA;
use hickory_resolver::proto::rr::{RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;

pub use answer::DnsRecords;
pub use names::NameWatch;

use crate::service::{NameAnswer, NameChange, Service};
use answer::{both, less_certain};
use search::SearchList;

/// One look-up's patience, all tries together.
const TIMEOUT: Duration = Duration::from_secs(3);

/// How much longer one family of addresses is waited for once the other has some.
const OTHER_FAMILY: Duration = Duration::from_millis(500);

/// Looks names up. Cheap to clone.
#[derive(Clone)]
pub struct Resolver {
    inner: Option<TokioResolver>,
    search: SearchList,
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
        let built = built.inspect_err(|error| tracing::error!(error, "no name can be resolved")).ok();
        let (inner, search) = built.unzip();
        Self { inner, search: search.unwrap_or_default() }
    }

    /// Every address of `host`, in a stable order.
    pub async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        match self.addresses(host).await {
            NameAnswer::Found { v4, v6 } => Ok([v4, v6].into_iter().flatten().flatten().collect()),
            NameAnswer::Nothing(why) | NameAnswer::Unknown(why) => Err(why),
        }
    }

    /// What there is under the name of a backend, in both families; search domains are tried as the system would.
    pub async fn addresses(&self, host: &str) -> NameAnswer {
        let v4 = std::pin::pin!(self.family(host, RecordType::A));
        let v6 = std::pin::pin!(self.family(host, RecordType::AAAA));
        let late = || DnsRecords::Failed(format!("no answer from DNS within {OTHER_FAMILY:?}"));
        let (v4, v6) = match select(v4, v6).await {
            Either::Left((v4 @ DnsRecords::Found(_), v6)) => {
                (v4, tokio::time::timeout(OTHER_FAMILY, v6).await.unwrap_or_else(|_| late()))
            }
            Either::Right((v6 @ DnsRecords::Found(_), v4)) => {
                (tokio::time::timeout(OTHER_FAMILY, v4).await.unwrap_or_else(|_| late()), v6)
            }
            Either::Left((v4, v6)) => (v4, v6.await),
            Either::Right((v6, v4)) => (v4.await, v6),
        };
        both(host, v4, v6)
    }

    /// The first of the names in the search list that has such records.
    async fn family(&self, host: &str, kind: RecordType) -> DnsRecords<IpAddr> {
        let tried = async {
            let mut seen = DnsRecords::NoName;
            for name in self.search.names(host) {
                match self.records(&name, kind, RData::ip_addr).await {
                    found @ DnsRecords::Found(_) => return found,
                    other => seen = less_certain(seen, other),
                }
            }
            seen
        };
        tokio::time::timeout(TIMEOUT, tried).await.unwrap_or_else(|_| no_answer())
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
            return no_answer();
        };
        let mut found: Vec<T> = match answer {
            Ok(answer) => answer.answers().iter().filter_map(|record| read(&record.data)).collect(),
            Err(NetError::Dns(DnsError::NoRecordsFound(NoRecords { response_code, .. }))) => match response_code {
                ResponseCode::NXDomain => return DnsRecords::NoName,
                ResponseCode::NoError => return DnsRecords::NoRecord,
                code => return DnsRecords::Failed(format!("{code:?}").to_uppercase()),
            },
            Err(NetError::Dns(DnsError::ResponseCode(code))) => {
                return DnsRecords::Failed(format!("{code:?}").to_uppercase());
            }
            Err(error) => return DnsRecords::Failed(error.to_string()),
        };
        found.sort_unstable();
        found.dedup();
        if found.is_empty() { DnsRecords::NoRecord } else { DnsRecords::Found(found) }
    }

    /// Looks up every name of a service.
    pub async fn refresh(&self, service: &Service) {
        self.look_up(service, service.names()).await;
    }

    /// Looks up some names of a service, side by side, and tells the service all at once.
    pub async fn look_up(&self, service: &Service, names: impl IntoIterator<Item = String>) {
        let lookups = names.into_iter().map(|host| async {
            let answer = self.addresses(&host).await;
            (host, answer)
        });
        let answers = join_all(lookups).await;
        if answers.is_empty() {
            return;
        }
        for (target, change) in service.resolved(&answers, Instant::now()) {
            let (service, backend, error) = (service.name(), &target.addr, target.error().unwrap_or_default());
            match change {
                NameChange::Lost => tracing::warn!(%service, %backend, error, "name not resolved"),
                NameChange::Dropped => {
                    tracing::warn!(%service, %backend, error, "name is gone: its addresses are dropped");
                }
                NameChange::Moved => {
                    let addresses: Vec<_> = target.endpoints.iter().map(ToString::to_string).collect();
                    tracing::info!(%service, %backend, addresses = addresses.join(", "), "name resolved");
                }
                NameChange::Same => {}
            }
        }
    }
}

fn no_answer<T>() -> DnsRecords<T> {
    DnsRecords::Failed(format!("no answer from DNS within {TIMEOUT:?}"))
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
    // We ask when we need the present answer: compose gives a restarted container another address.
    opts.cache_size = 0;
}

fn system() -> Result<(TokioResolver, SearchList), String> {
    let (config, system_options) = read_system_conf().map_err(|e| e.to_string())?;
    let domains = config.domain.iter().chain(&config.search).map(ToString::to_string);
    let search = SearchList::new(domains, system_options.ndots);
    let mut builder = TokioResolver::builder_with_config(config, TokioRuntimeProvider::default());
    *builder.options_mut() = system_options;
    options(builder.options_mut());
    Ok((builder.build().map_err(|e| e.to_string())?, search))
}

fn fixed(servers: &[SocketAddr]) -> Result<(TokioResolver, SearchList), String> {
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
    Ok((builder.build().map_err(|e| e.to_string())?, SearchList::default()))
}
