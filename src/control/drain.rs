//! After the flip: the old pool empties, or its deadline cuts what is left, one after another.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gate::millis;
use super::operation::DrainReport;
use crate::service::Pool;
use crate::types::Color;

/// How often the count is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What a cut pool may take to empty: the spread of the closes, the farewell of a WebSocket, and a margin.
const CUT_GRACE: Duration = Duration::from_secs(8);

/// Waits until nothing is in flight, at most until `deadline`; then cuts.
///
/// Drained means zero twice with a pause between: a request that read the old colour just before the flip counts itself in
/// a moment later, and moves on by itself.
pub(super) async fn drain(pool: &Arc<Pool>, color: Color, deadline: Duration) -> DrainReport {
    let started = Instant::now();
    let (began_with, cuts_before) = (pool.in_flight(), pool.cuts());
    let report = |cut| DrainReport { color, took_ms: millis(started.elapsed()), began_with, cut, cancelled: false };
    if empties_within(pool, deadline).await {
        return report(0);
    }
    pool.cut();
    let emptied = empties_within(pool, CUT_GRACE).await;
    pool.uncut();
    if !emptied {
        tracing::error!(%color, left = pool.in_flight(), "exchanges outlived the cut of their pool");
    }
    report(pool.cuts() - cuts_before)
}

async fn empties_within(pool: &Pool, limit: Duration) -> bool {
    let emptied = async {
        let mut zeros = 0;
        loop {
            zeros = if pool.in_flight() == 0 { zeros + 1 } else { 0 };
            if zeros == 2 {
                return;
            }
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(limit, emptied).await.is_ok()
}
