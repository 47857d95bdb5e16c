//! How a colour does: what was asked of it, what of that failed, how fast it answered.
//!
//! One side ([`Outcomes`]) is written by a worker alone, a store or two a request; the other ([`Totals`]) is what a reader
//! adds up, subtracts and judges by. What keeps them over time: [`super::Recent`].

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::histogram::bump;
use super::latency::{Latencies, Latency};

/// A worker's share, of one site, service and colour.
#[derive(Debug, Default)]
pub(super) struct Outcomes {
    latency: Latency,
    /// Requests that are not in `latency`: never answered, or a tunnel.
    untimed: AtomicU64,
    failed: AtomicU64,
}

impl Outcomes {
    /// From one thread at a time.
    pub fn count(&self, failed: bool, head_after: Option<Duration>) {
        match head_after {
            Some(duration) => self.latency.observe(duration),
            None => bump(&self.untimed, 1),
        }
        if failed {
            bump(&self.failed, 1);
        }
    }
}

/// What a colour has done, from the start of the process or between two moments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests that entered the colour and have ended, whatever came of them.
    pub requests: u64,
    /// Of these, those the backend failed: see [`super::Series::outcome`].
    pub failed: u64,
    latency: Latencies,
}

impl Totals {
    pub(super) fn add(&mut self, outcomes: &Outcomes) {
        self.requests += self.latency.add(&outcomes.latency) + outcomes.untimed.load(Relaxed);
        self.failed += outcomes.failed.load(Relaxed);
    }

    /// What has come to it since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            requests: self.requests.saturating_sub(earlier.requests),
            failed: self.failed.saturating_sub(earlier.failed),
            latency: self.latency.since(&earlier.latency),
        }
    }

    /// The share of requests that failed, from 0 to 1; 0 when there was none.
    pub fn error_rate(&self) -> f64 {
        if self.requests == 0 { 0.0 } else { (self.failed as f64 / self.requests as f64).min(1.0) }
    }

    /// Within which time a share `of` the answers' heads came, as `quantile(0.95)`; `None` when none has come. Wrong by an
    /// eighth at the very worst, by a few percent as a rule.
    pub fn quantile(&self, of: f64) -> Option<Duration> {
        self.latency.quantile(of)
    }
}
