//! The config as the rest of the program uses it: every default filled in, every reference checked.
//!
//! Only `resolve` makes it. Past this point nothing is checked again: a service that a route names exists, a zone has a rate, a
//! path starts with `/`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method, StatusCode};
use ipnet::IpNet;

pub use super::limits::{BufferSizes, Limits, SpoolConfig};
use super::policy::cors::CorsConfig;
use super::policy::error_folder::ErrorFolder;
use super::route_path::RoutePath;
use crate::types::{BackendAddr, Color, HostName, HostPattern, ListenAddr, Rate, TlsVersion};

/// One valid `edge.toml`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub server: Server,
    pub limits: Limits,
    pub log: Log,
    pub tls: TlsConfig,
    pub acme: Acme,
    /// By name. `Arc` so that an unchanged zone can keep its state over a reload by comparing definitions.
    pub zones: BTreeMap<Arc<str>, Arc<Zone>>,
    pub services: BTreeMap<Arc<str>, Arc<ServiceConfig>>,
    pub sites: Vec<SiteConfig>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Server {
    pub http: Vec<ListenAddr>,
    pub https: Vec<ListenAddr>,
    pub proxy_protocol: Vec<IpNet>,
    pub trusted_proxies: Vec<IpNet>,
    pub admin: PathBuf,
    /// `None`: off.
    pub metrics: Option<SocketAddr>,
    /// Names that a metrics port on loopback may be asked by, beside IP addresses and localhost.
    pub metrics_hosts: Vec<HostName>,
    pub state_dir: PathBuf,
    /// Already a number: 0 in the file has become one per core.
    pub workers: usize,
    pub shutdown_timeout: Duration,
    /// DNS servers asked for backend names; empty: those of `/etc/resolv.conf`.
    pub resolvers: Vec<SocketAddr>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Log {
    /// A `tracing` filter: `info`, or `edgectl=debug,info`.
    pub level: String,
    pub access: AccessTarget,
    pub format: AccessFormat,
    pub rotate_size: u64,
    pub rotate_keep: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessTarget {
    Off,
    Stdout,
    File(PathBuf),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessFormat {
    Json,
    Combined,
    Pretty,
}

#[derive(Debug, Clone, PartialEq)]
pub struct TlsConfig {
    pub min_version: TlsVersion,
    /// What sites without a `client_ca` of their own ask of their clients.
    pub client_auth: Option<Arc<ClientAuth>>,
    pub certificates: Vec<CertificateFiles>,
}

/// Mutual TLS: which certificates of clients count, and whether one has to be shown.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClientAuth {
    /// A PEM file of roots.
    pub ca: PathBuf,
    pub mode: ClientAuthMode,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientAuthMode {
    /// No certificate, no handshake.
    Require,
    /// A client may do without; one that shows a certificate has to show a good one.
    Request,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CertificateFiles {
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// How certificates are had from an authority (RFC 8555).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acme {
    /// `None`: no certificate is asked for.
    pub email: Option<String>,
    pub directory: String,
    /// In order of preference; those that this config can't answer are left out.
    pub challenges: Vec<AcmeChallenge>,
    /// `HOOK present|cleanup FQDN VALUE`.
    pub dns_hook: Option<PathBuf>,
    /// A root for the directory's own TLS, beside the system's.
    pub ca_file: Option<PathBuf>,
    pub eab: Option<ExternalAccount>,
    pub fallback: Option<String>,
    pub profile: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcmeChallenge {
    /// RFC 8737.
    TlsAlpn01,
    Http01,
    Dns01,
}

/// RFC 8555, 7.3.4.
#[derive(Clone, PartialEq, Eq)]
pub struct ExternalAccount {
    pub kid: String,
    /// Decoded.
    pub hmac_key: Vec<u8>,
}

impl std::fmt::Debug for ExternalAccount {
    /// Without the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExternalAccount").field("kid", &self.kid).finish_non_exhaustive()
    }
}

/// A rate-limit zone, as nginx's `limit_req_zone` with its `limit_req`.
#[derive(Debug, Clone, PartialEq)]
pub struct Zone {
    pub name: Arc<str>,
    pub key: ZoneKey,
    pub rate: Rate,
    /// Requests above the rate that pass before refusing: `burst + 1` pass at once.
    pub burst: u32,
    /// Requests within the burst wait for their turn.
    pub delay: bool,
    pub status: StatusCode,
    pub dry_run: bool,
    pub exempt: Vec<IpNet>,
    pub max_keys: usize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ZoneKey {
    /// The client's address, IPv6 by /64.
    Ip,
    IpPath,
    Host,
    Header(HeaderName),
    Cookie(String),
    Global,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ServiceConfig {
    pub name: Arc<str>,
    pub pools: Pools,
    pub initial: Color,
    pub balance: Balance,
    pub host: UpstreamHost,
    pub connect_timeout: Duration,
    pub response_timeout: Duration,
    /// Fields in the head of a backend's answer.
    pub response_headers: usize,
    /// Bytes of that head.
    pub response_header_size: usize,
    /// `None`: streams without end.
    pub read_timeout: Option<Duration>,
    pub websocket_idle_timeout: Duration,
    pub retries: u32,
    /// While the colour that serves has no healthy backend, the other one stands in.
    pub failover: bool,
    /// How long a connection to a backend may be idle; zero: each carries one exchange.
    pub keepalive: Duration,
    /// A client stays with its backend, by a cookie of ours.
    pub sticky: bool,
    /// Per backend; 0: no bound.
    pub max_in_flight: usize,
    /// How long a request waits while every backend has its most.
    pub queue_timeout: Duration,
    pub health: HealthConfig,
    pub switch: Switch,
    pub tls: UpstreamTls,
    /// For the routes that do not set their own.
    pub buffers: BufferSizes,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Pools {
    BlueGreen {
        blue: Vec<BackendAddr>,
        green: Vec<BackendAddr>,
    },
    /// `backends = [...]`: one pool, nothing to switch.
    Single(Vec<BackendAddr>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Balance {
    LeastConn,
    RoundRobin,
    HashIp,
    HashHeader(HeaderName),
    HashCookie(String),
}

/// The Host header sent upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamHost {
    Preserve,
    Backend,
    Literal(HeaderValue),
}

/// How `https://` backends are verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpstreamTls {
    /// A PEM file that replaces the system's roots.
    pub ca: Option<PathBuf>,
    /// The name asked for and verified; `None`: the backend's host.
    pub server_name: Option<HostName>,
    pub verify: bool,
    pub protocol: TlsProtocol,
}

/// Which version of HTTP an `https://` backend is offered (RFC 7301).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsProtocol {
    /// Both; the backend chooses.
    Auto,
    H2,
    Http1,
}

#[derive(Debug, Clone, PartialEq)]
pub struct HealthConfig {
    pub path: String,
    pub interval: Duration,
    pub timeout: Duration,
    pub rise: u32,
    pub fall: u32,
    pub status: Vec<StatusClass>,
    /// Must be contained in the answer's body, with `$color` for the backend's own; empty: not looked at.
    pub body: String,
    /// Fields that must be in the answer, with `$color` likewise.
    pub expect_header: Vec<(HeaderName, String)>,
    /// Host header of the probe; `None`: the backend's address.
    pub host: Option<HeaderValue>,
    /// Fields of the probe beside its own; `None` leaves one of its own out.
    pub send_headers: Vec<(HeaderName, Option<HeaderValue>)>,
    /// Requests failed in a row that take a backend out; 0: never.
    pub max_fails: u32,
    /// For how long, the first time.
    pub fail_timeout: Duration,
}

impl HealthConfig {
    /// Stands for the backend's colour in what a probe's answer must have.
    pub const COLOR: &str = "$color";
}

/// `"2xx"` or `"204"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusClass {
    pub first: u16,
    pub last: u16,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Switch {
    /// For the gate.
    pub timeout: Duration,
    /// 1 to 100.
    pub min_healthy_percent: u8,
    /// Paths asked of each backend before it gets traffic.
    pub warmup: Vec<String>,
    pub drain: Duration,
    /// How long the new colour is watched after the flip; zero: not at all.
    pub watch: Duration,
    /// The share of failed answers above which the watch rolls back, 0 to 1.
    pub max_error_rate: f64,
    /// The ratio of p95 to the old colour's above which the watch rolls back; zero: not judged.
    pub max_latency_ratio: f64,
    /// Fewer answers than this are no verdict.
    pub min_requests: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SiteConfig {
    /// The first exact host, or the first pattern: the `site` label of metrics and logs.
    pub name: Arc<str>,
    pub hosts: Vec<HostPattern>,
    pub tls: SiteTls,
    /// The site's own, else that of `[tls]`; never on a site without TLS.
    pub client_auth: Option<Arc<ClientAuth>>,
    pub canonical_host: Option<HostName>,
    /// What answers paths that no route claims: the route with path `/`, always present and last.
    /// Most specific first: exact before prefix, longer before shorter.
    pub routes: Vec<RouteConfig>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SiteTls {
    /// A `[[tls.certificate]]` that fits, else ACME for public names, else the internal CA.
    Auto,
    /// Whatever the names, and whatever certificate fits.
    Acme,
    Internal,
    Off,
}

/// Strict-Transport-Security (RFC 6797, 6.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hsts {
    pub max_age: Duration,
    pub include_subdomains: bool,
    pub preload: bool,
}

/// A route with everything it inherits from its site already in it.
#[derive(Debug, Clone, PartialEq)]
pub struct RouteConfig {
    pub path: RoutePath,
    pub action: ActionConfig,
    /// Zone names, in order; all exist.
    pub limit: Vec<Arc<str>>,
    pub allow: Vec<IpNet>,
    pub deny: Vec<IpNet>,
    pub body_size: u64,
    pub body_timeout: Duration,
    pub buffers: BufferSizes,
    pub headers: HeaderPolicy,
    /// `None`: not sent.
    pub hsts: Option<Hsts>,
    /// HTTP/1.1 clients get 103 Early Hints too.
    pub early_hints: bool,
    /// Empty: all.
    pub methods: Vec<Method>,
    pub cors: CorsConfig,
    /// `None`: the built-in page.
    pub errors: Option<Arc<ErrorFolder>>,
    /// Statuses of the backend that get our page.
    pub errors_intercept: Vec<StatusCode>,
    /// The prefix is cut before the request goes to the service.
    pub strip_prefix: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub enum ActionConfig {
    /// The name of a service that exists.
    Service(Arc<str>),
    /// `to` is a path or an absolute URL. A prefix route appends what follows the prefix when `to` ends with `/`.
    Redirect { to: String, status: StatusCode },
    /// A fixed answer.
    Respond { status: StatusCode, body: String, content_type: HeaderValue },
}

/// A preset and what a `[headers.NAME]` table changes in it.
#[derive(Debug, Clone, PartialEq)]
pub struct HeaderPolicy {
    pub preset: Preset,
    /// `None`: the header is removed. `Some`: set, over what the backend sent.
    pub changes: Vec<(HeaderName, Option<HeaderValue>)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    Secure,
    Strict,
    Off,
}
