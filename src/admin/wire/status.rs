//! The status: everything that runs, at one moment.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::certificates::CertificateStatus;
use crate::types::Color;
use crate::worker::ExchangeKind;

/// `GET /v1/status`: everything at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// The file that a reload reads.
    pub config: PathBuf,
    /// Whether that file says what runs.
    #[serde(default)]
    pub config_on_disk: ConfigOnDisk,
    pub started: Timestamp,
    pub ready: bool,
    /// Open client connections, all listeners together.
    pub connections: usize,
    pub services: Vec<ServiceStatus>,
    pub certificates: Vec<CertificateStatus>,
    /// What is wrong with `client_ca` files, and what it means for their sites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_ca_errors: Vec<String>,
    /// The same of `tls_ca` files, by service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tls_ca_errors: Vec<String>,
    pub listeners: Vec<ListenerStatus>,
}

/// How the config file compares with what runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfigOnDisk {
    pub state: ConfigState,
    /// Null: since the start.
    pub since: Option<Timestamp>,
    /// The mistakes of a broken file, the keys that differ, or why it could not be taken up.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ConfigState {
    /// What runs is what the file says.
    #[default]
    Same,
    /// The file is valid and says something else: it waits for a restart, or could not be taken up.
    Differs,
    /// The file can't be used; a restart would fail.
    Broken,
    /// A state that a newer daemon knows.
    #[serde(untagged)]
    Other(String),
}

/// One service. `active` to `since` are null for a service with one pool.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServiceStatus {
    pub name: String,
    pub active: Option<Color>,
    /// Where a rollback goes; null until the first switch.
    pub previous: Option<Color>,
    /// The colour to deploy to.
    pub idle: Option<Color>,
    pub generation: Option<u64>,
    pub since: Option<Timestamp>,
    /// The share of the clients that goes to the other colour.
    #[serde(default)]
    pub canary: Option<CanaryStatus>,
    /// New requests are held.
    #[serde(default)]
    pub paused: Option<PauseStatus>,
    /// New requests get 503.
    #[serde(default)]
    pub maintenance: Option<MaintenanceStatus>,
    /// One colour serves clients of the other, which has no healthy backend.
    #[serde(default)]
    pub detour: Option<DetourStatus>,
    /// Until when preview links are valid.
    #[serde(default)]
    pub preview_until: Option<Timestamp>,
    pub pools: Vec<PoolStatus>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DetourStatus {
    /// The other colour serves instead of the active one.
    Failover,
    /// The active colour serves the canary's clients.
    Fallback,
    /// A detour that a newer daemon knows.
    #[serde(untagged)]
    Other(String),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CanaryStatus {
    pub color: Color,
    pub percent: u8,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PauseStatus {
    pub since: Option<Timestamp>,
    /// How long one request is held.
    pub max_ms: u64,
    /// Requests that are held now.
    pub held: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct MaintenanceStatus {
    pub since: Option<Timestamp>,
    pub message: Option<String>,
    pub allow: Vec<String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Null for the one pool of a service without colours.
    pub color: Option<Color>,
    pub in_flight: usize,
    /// Of these, waiting for a backend with room.
    #[serde(default)]
    pub queued: usize,
    /// The pool gets no traffic any more, and exchanges are still in flight.
    pub draining: bool,
    #[serde(flatten)]
    pub traffic: PoolTraffic,
    /// Of those in flight, what has no end by itself.
    #[serde(default)]
    pub open: OpenExchanges,
    /// What is in flight, by kind; empty kinds are left out.
    #[serde(default)]
    pub left: Vec<LeftInFlight>,
    pub backends: Vec<BackendStatus>,
    /// Names whose last look-up failed. Addresses of an earlier look-up are still among the backends.
    pub unresolved: Vec<UnresolvedName>,
}

/// How a pool does. Counts are since the daemon's start, the other figures are over the last 10 s. A request counts when it has
/// ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PoolTraffic {
    pub requests: u64,
    /// Answered 5xx by the backend or instead of it, or broken off by it. A request that the client or a drain ended has not
    /// failed.
    pub failed: u64,
    pub per_second: f64,
    /// The same over the last second or two.
    pub per_second_now: f64,
    /// Failed requests of all, from 0 to 1; null without requests.
    pub error_rate: Option<f64>,
    /// Until the head of the backend's answer; null without answers.
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
}

/// Exchanges that may stay open for ever. Each counts as a request only when it has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OpenExchanges {
    pub websockets: usize,
    pub event_streams: usize,
    pub tunnels: usize,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct LeftInFlight {
    pub kind: ExchangeKind,
    pub count: usize,
    /// Age of the oldest.
    pub oldest_seconds: u64,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BackendStatus {
    /// As configured.
    pub address: String,
    /// What it resolved to.
    pub endpoint: String,
    pub up: bool,
    /// Null until the first probe has ended.
    pub last_probe: Option<ProbeStatus>,
    /// Null unless it is taken out because it failed requests.
    #[serde(default)]
    pub ejected: Option<EjectedStatus>,
    pub in_flight: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EjectedStatus {
    /// Until it gets requests again, if its probes pass then.
    pub seconds_left: u64,
    pub why: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeStatus {
    pub at: Timestamp,
    pub took_ms: u64,
    pub passed: bool,
    /// `passed`, or what came instead: `got 503`, `connection refused`.
    pub outcome: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UnresolvedName {
    /// As configured.
    pub address: String,
    pub error: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// As configured.
    pub addr: String,
    /// Where it is bound: for port 0, the real port. Null for a unix socket.
    pub local: Option<SocketAddr>,
    pub tls: bool,
}

/// `GET /v1/health`; the status is 503 while the daemon starts or leaves. A pause or maintenance does not matter here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthStatus {
    pub ready: bool,
}
