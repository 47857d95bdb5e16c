//! The JSON of the admin API: what is asked, what is answered. Both ends use these types, so they can't drift apart.
//!
//! Durations are text with a unit (`"30s"`) where a person writes them and milliseconds in `_ms` where a program measured
//! them; times are RFC 3339. Fields may be added; none is renamed or removed.

use std::net::SocketAddr;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use crate::control::{Done, Event, Record};
use crate::http::Kind;
use crate::types::Color;

pub use certificates::{CaRoot, CertificateSource, CertificateStatus, Certificates, Renew, Renewed};

mod certificates;

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
    pub kind: Kind,
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

/// Body of an operation on a service; empty is `{}`. Which fields a verb takes: [`Ask::fields`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Ask {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// For the gate, else the service's `switch.timeout`; of a pause, until nothing is in flight, else `switch.drain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// Else the service's `switch.drain`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<String>,
    /// Else the service's `switch.watch`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch: Option<String>,
    /// How long a preview's link is valid, `1s` to `30d`; 1 h unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ttl: Option<String>,
    /// Shares of a canary before the flip, in per cent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<u8>,
    /// How long each step is watched; 30 s unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step_time: Option<String>,
    /// The canary's share, 0 to 100.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
    /// Ends a canary or a maintenance.
    #[serde(skip_serializing_if = "is_false")]
    pub off: bool,
    /// How long a pause holds one request; 30 s unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// For the page of a maintenance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Addresses and networks that pass a maintenance.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// Skips the gate.
    #[serde(skip_serializing_if = "is_false")]
    pub force: bool,
    /// Whether to answer only when the watch has ended and the old colour has drained. True unless said otherwise.
    #[serde(skip_serializing_if = "is_true")]
    pub wait: bool,
    /// Refused with `generation_conflict` unless this is the present one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_generation: Option<u64>,
    /// For the history.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Default for Ask {
    fn default() -> Self {
        Self {
            color: None,
            timeout: None,
            drain: None,
            watch: None,
            ttl: None,
            steps: Vec::new(),
            step_time: None,
            percent: None,
            off: false,
            max: None,
            message: None,
            allow: Vec::new(),
            force: false,
            wait: true,
            if_generation: None,
            reason: None,
        }
    }
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

impl Ask {
    /// What a verb takes: any other field would be ignored, so it is refused.
    pub fn fields(verb: &str) -> &'static [&'static str] {
        match verb {
            "switch" => &[
                "color",
                "timeout",
                "drain",
                "watch",
                "steps",
                "step_time",
                "force",
                "wait",
                "if_generation",
                "reason",
            ],
            "rollback" => &["timeout", "drain", "watch", "wait", "if_generation", "reason"],
            "gate" => &["color", "timeout"],
            "canary" => &["color", "percent", "off", "timeout", "drain", "wait", "if_generation", "reason"],
            "pause" => &["max", "timeout", "if_generation", "reason"],
            "resume" => &["if_generation", "reason"],
            "preview" => &["color", "ttl", "reason"],
            "maintenance" => &["off", "message", "allow", "if_generation", "reason"],
            _ => &[],
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_true(value: &bool) -> bool {
    *value
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

    #[test]
    fn an_empty_body_waits_and_does_not_force() {
        let ask: Ask = serde_json::from_str("{}").unwrap();
        assert!(ask.wait && !ask.force);
    }
}
