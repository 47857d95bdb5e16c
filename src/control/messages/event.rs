//! What happens while an operation runs.

use serde::{Deserialize, Serialize};

use super::done::DrainReport;
use super::verdict::WatchVerdict;
use crate::types::Color;

/// One step of a running operation, sent when it happens; a line of NDJSON on the admin socket.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum OperationEvent {
    GateStarted {
        service: String,
        color: Color,
        timeout_ms: u64,
    },
    /// One fresh probe of one backend.
    Probed {
        backend: String,
        passes: u32,
        of: u32,
        /// `passed`, or what came instead: `got 503`, `connection refused`.
        outcome: String,
    },
    GatePassed {
        took_ms: u64,
    },
    /// Every backend that passed has answered every warm-up path; each worker has a connection to each of them.
    WarmedUp {
        requests: usize,
        took_ms: u64,
    },
    /// A share of the clients goes to the new colour.
    Canary {
        color: Color,
        percent: u8,
        generation: u64,
    },
    /// Durable and published: every request that starts from here on sees it.
    Flipped {
        from: Color,
        to: Color,
        generation: u64,
        took_us: u64,
    },
    Watching {
        color: Color,
        for_ms: u64,
    },
    Watched(WatchVerdict),
    Draining {
        color: Color,
        in_flight: usize,
        deadline_ms: u64,
    },
    Drained(DrainReport),
    /// New requests are held; these are still in flight.
    Pausing {
        in_flight: usize,
    },
}
