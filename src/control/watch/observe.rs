//! Collects what a watched colour has answered, and what it leaves unanswered, until there is a verdict.

use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};

use super::own_requests::OwnRequests;
use super::verdict::{Baseline, Bounds, WatchFigures, judge};
use crate::control::messages::{VerdictKind, WatchVerdict, millis};
use crate::control::moves::LedgerEntry;
use crate::control::plane::Operation;
use crate::metrics::Totals;
use crate::service::Pool;
use crate::types::Color;
use crate::worker::CensusQuery;

/// How often the figures are judged.
const JUDGE_EVERY: Duration = Duration::from_millis(100);

/// The old colour's p95 is taken over this time.
const BASELINE: Duration = Duration::from_mins(5);

/// Which colour is watched, by which course, for how long.
pub struct Watch {
    pub color: Color,
    pub generation: u64,
    pub course: LedgerEntry,
    pub length: Duration,
    /// What the colour had done when the watch began.
    pub before: Totals,
}

impl Operation {
    /// How a colour did in the last minutes.
    pub fn baseline(&self, color: Color) -> Baseline {
        let recents = self.plane.metrics().recents();
        let totals = recents.over(self.service.name(), Some(color), BASELINE, Instant::now());
        let quantile = |of| totals.as_ref().and_then(|totals| totals.quantile(of));
        Baseline { p95: quantile(0.95), slowest: quantile(1.0) }
    }

    /// Watches until there is a verdict.
    pub async fn watch(&self, watch: &Watch, bounds: &Bounds) -> WatchVerdict {
        let started = Instant::now();
        let own = OwnRequests::default();
        let judged = async {
            loop {
                let is_over = started.elapsed() >= watch.length;
                let observed = self.observe(watch, bounds.patience, started, &own).await;
                if !self.ledger(|ledger| ledger.is_on(watch.course)) {
                    let why = "someone moved the traffic before there was a verdict".to_owned();
                    return (observed, (VerdictKind::Ended, why));
                }
                if self.plane.leaving.is_cancelled() {
                    let why = "the daemon was shut down during the watch".to_owned();
                    return (observed, (VerdictKind::Inconclusive, why));
                }
                if let Some(verdict) = judge(&observed, bounds, is_over) {
                    return (observed, verdict);
                }
                let next = JUDGE_EVERY.min(watch.length.saturating_sub(started.elapsed()));
                self.plane.leaving.run_until_cancelled(tokio::time::sleep(next)).await;
            }
        };
        let asking =
            pin!(own.keep_asking(&self.plane.upstreams, &self.service, watch.color, watch.length, bounds.patience));
        // Only the judging ends by itself.
        let (observed, (kind, why)) = match select(pin!(judged), asking).await {
            Either::Left((judged, _)) => judged,
            Either::Right((never, _)) => match never {},
        };
        WatchVerdict {
            color: watch.color,
            generation: watch.generation,
            kind,
            requests: observed.all(),
            failed: observed.all_failed(),
            unanswered: observed.unanswered,
            max_error_rate: bounds.max_error_rate,
            min_requests: bounds.min_requests,
            p95_ms: observed.p95.map(|p95| p95.as_secs_f64() * 1e3),
            baseline_p95_ms: bounds.baseline_p95.map(|p95| p95.as_secs_f64() * 1e3),
            watched_ms: millis(started.elapsed()),
            why,
        }
    }

    async fn observe(&self, watch: &Watch, patience: Duration, started: Instant, own: &OwnRequests) -> WatchFigures {
        let pool = self.service.pool(watch.color);
        let now = self.plane.totals(&self.service, watch.color).since(&watch.before);
        let unanswered = self.unanswered(pool, started, patience, own).await;
        WatchFigures {
            requests: now.requests + own.answered(),
            failed: now.failed + own.failed(),
            p95: now.quantile(0.95),
            in_flight: pool.requests(),
            unanswered,
            is_healthy: pool.has_healthy(),
        }
    }

    /// How many requests have come since `started` and have been waiting for longer than `patience`.
    async fn unanswered(&self, pool: &Arc<Pool>, started: Instant, patience: Duration, own: &OwnRequests) -> u64 {
        let Some(late) = Instant::now().checked_sub(patience).filter(|late| *late > started) else { return 0 };
        let query = CensusQuery { pools: Arc::new([pool.clone()]), waiting_since: started..late };
        let waiting: usize = self.plane.workers.census(query).await.iter().map(|census| census.waiting).sum();
        waiting as u64 + own.waiting_since_before(late)
    }
}
