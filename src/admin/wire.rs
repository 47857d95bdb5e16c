//! The JSON of the admin API: what is asked, what is answered. Both ends use these types, so they can't drift apart.
//!
//! Durations are text with a unit (`"30s"`) where a person writes them and milliseconds in `_ms` where a program measured
//! them; times are RFC 3339. Fields may be added; none is renamed or removed.

mod certificates;

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use super::ask::Ask;
pub use certificates::{CaRoot, CertificateSource, CertificateStatus, Certificates, Renew, Renewed};

use super::problem::Problem;
use crate::control::{Done, Event, Record};
use crate::types::Color;
use crate::worker::ExchangeKind;

/// `GET /v1/status`: everything at one moment.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Status {
    pub version: String,
    /// The file that `reload` rereads.
    pub config: PathBuf,
    pub started: Timestamp,
    pub ready: bool,
    /// Open client connections, all listeners together.
    pub connections: usize,
    pub services: Vec<ServiceStatus>,
    pub certificates: Vec<CertificateStatus>,
    /// What is wrong with `client_ca` files, and what that means for their sites.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_ca_errors: Vec<String>,
    pub listeners: Vec<ListenerStatus>,
}

/// One service. The first five are null for a service with one pool.
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
    /// `failover`: the other colour serves, because the active one has no healthy backend. `fallback`: the active one serves
    /// the canary's clients, for the same reason.
    #[serde(default)]
    pub detour: Option<String>,
    /// Until when preview links are valid.
    #[serde(default)]
    pub preview_until: Option<Timestamp>,
    pub pools: Vec<PoolStatus>,
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
    /// Requests that wait now.
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
    /// Of these, waiting for a backend that is not full.
    #[serde(default)]
    pub queued: usize,
    /// Serves no longer, and exchanges are still inside.
    pub draining: bool,
    #[serde(flatten)]
    pub traffic: Traffic,
    /// What is in flight, by kind; the kinds there are none of are left out.
    #[serde(default)]
    pub left: Vec<Left>,
    pub backends: Vec<BackendStatus>,
    /// Names whose last look-up failed. Their last good addresses, if any, are still among the backends.
    pub unresolved: Vec<Unresolved>,
}

/// How a pool does. Counts are since the daemon's start, the rest is over the last 10 s; a request counts when it has ended.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Traffic {
    pub requests: u64,
    /// Answered 5xx, by the backend or for it, or broken off by it. What the client or a drain ended is none.
    pub failed: u64,
    pub per_second: f64,
    /// Failed of all, from 0 to 1; null when nothing was asked.
    pub error_rate: Option<f64>,
    /// Until the backend's head; null when none has come.
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Left {
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
    /// Null unless it was taken out because it failed requests.
    #[serde(default)]
    pub ejected: Option<EjectedStatus>,
    pub in_flight: usize,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EjectedStatus {
    /// Until it is let in again, if its probes pass then.
    pub seconds_left: u64,
    pub why: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ProbeStatus {
    pub at: Timestamp,
    pub took_ms: u64,
    pub passed: bool,
    /// `passed`, or what was got instead: `got 503`, `connection refused`.
    pub outcome: String,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Unresolved {
    /// As configured.
    pub address: String,
    pub error: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListenerStatus {
    /// As configured.
    pub addr: String,
    /// Where it is really bound: port 0 has become a number. Null for a unix socket.
    pub local: Option<SocketAddr>,
    pub tls: bool,
}

/// `GET /v1/health`; the status is 503 while the daemon starts or leaves. A pause or a maintenance does not count here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub ready: bool,
}

/// `GET /v1/history` and `/v1/services/NAME/history`, oldest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Records {
    pub records: Vec<Record>,
}

/// Answer to `preview`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreviewLink {
    pub service: String,
    pub color: Color,
    /// On the first site that has a route to the service.
    pub url: String,
    /// On its other sites: a link holds for its own host, the token in it for all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    pub expires: Timestamp,
}

/// One line of a streamed operation. The last one is an [`End`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    End(End),
    Step(Event),
    /// A step that a newer daemon knows; passed over.
    Other(serde_json::Value),
}

/// What came of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum End {
    Result { result: Done },
    Error { problem: Problem },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reread(line: &Line) -> (String, Line) {
        let text = serde_json::to_string(line).unwrap();
        let line = serde_json::from_str(&text).unwrap();
        (text, line)
    }

    #[test]
    fn a_streamed_step_reads_back() {
        let step = Event::Flipped { from: Color::Blue, to: Color::Green, generation: 8, took_us: 312 };
        let (text, line) = reread(&Line::Step(step));
        assert_eq!(text, r#"{"event":"flipped","from":"blue","to":"green","generation":8,"took_us":312}"#);
        assert!(matches!(line, Line::Step(Event::Flipped { generation: 8, .. })), "{line:?}");
    }

    #[test]
    fn the_last_line_reads_back() {
        let problem = Problem::new(super::super::Code::ShuttingDown, "the daemon is shutting down");
        let (text, line) = reread(&Line::End(End::Error { problem: problem.clone() }));
        assert!(text.starts_with(r#"{"event":"error","problem":{"#), "{text}");
        assert!(matches!(line, Line::End(End::Error { problem: read }) if read == problem));
    }

    #[test]
    fn a_step_of_a_newer_daemon_is_no_error() {
        let line: Line = serde_json::from_str(r#"{"event":"watching","for_ms":1}"#).unwrap();
        assert!(matches!(line, Line::Other(_)), "{line:?}");
    }
}
