//! A drain: a colour that gets no traffic any more empties. At the deadline what is left is cut, spread over a few seconds.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::messages::{DrainReport, OperationEvent, millis};
use super::moves::LedgerEntry;
use super::plane::{Operation, SwitchPhase};
use crate::types::Color;

/// How often the number of exchanges is checked.
const CHECK_EVERY: Duration = Duration::from_millis(20);

/// What a cut pool may take to empty: the spread of the closes, the close handshake of a WebSocket, and a margin.
const CUT_GRACE: Duration = Duration::from_secs(8);

/// A drain that runs on by itself.
pub struct Draining {
    color: Color,
    report: watch::Receiver<Option<DrainReport>>,
}

impl Draining {
    /// Waits for its end.
    async fn ended(mut self) -> DrainReport {
        let _ = self.report.wait_for(Option::is_some).await;
        let report = self.report.borrow().clone();
        // Without a report, the drain's task was dropped with the daemon.
        report.unwrap_or(DrainReport {
            color: self.color,
            took_ms: 0,
            began_with: 0,
            cut: 0,
            deadline_ms: None,
            cut_after_ms: None,
            cancelled: true,
        })
    }
}

impl Operation {
    /// Drains `color`, which has just lost its traffic. The drain ends early if traffic comes back.
    pub fn start_drain(&self, color: Color) -> Draining {
        let deadline = self.request.options.drain.unwrap_or(self.service.config().switch.drain);
        let in_flight = self.service.pool(color).residents();
        self.tell(OperationEvent::Draining { color, in_flight, deadline_ms: millis(deadline) });
        let entry = self.ledger(|ledger| ledger.begin_drain(color));
        let (report, reported) = watch::channel(None);
        let operation = self.clone();
        // Ends by the deadline and the grace after it, or when traffic comes back.
        tokio::task::spawn_local(async move {
            let drained = operation.drain(color, deadline, entry).await;
            operation.note_drain(&drained);
            let _ = report.send(Some(drained));
        });
        Draining { color, report: reported }
    }

    /// Waits for the end of a drain, and tells the caller.
    pub async fn tell_drained(&self, draining: Draining) -> DrainReport {
        let report = draining.ended().await;
        self.tell(OperationEvent::Drained(report.clone()));
        report
    }

    /// A pool has drained when its count was zero twice in a row: a request that read the old colour just before the flip
    /// enters a moment later, sees the flip, and leaves by itself.
    async fn drain(&self, color: Color, deadline: Duration, entry: LedgerEntry) -> DrainReport {
        let pool = self.service.pool(color);
        let (started, began_with, cuts_before) = (Instant::now(), pool.residents(), pool.cuts());
        let mut zeros = 0;
        let mut cut_after = None;
        let report = |cut_after: Option<Duration>, cancelled| DrainReport {
            color,
            took_ms: millis(started.elapsed()),
            began_with,
            cut: pool.cuts() - cuts_before,
            deadline_ms: Some(millis(deadline)),
            cut_after_ms: cut_after.map(millis),
            cancelled,
        };
        loop {
            // Asked before anything else: if the deadline passes in the moment in which the traffic comes back, a cut would
            // hit the colour that serves.
            if !self.ledger(|ledger| ledger.is_draining(entry)) {
                return report(cut_after, true);
            }
            zeros = if pool.residents() == 0 { zeros + 1 } else { 0 };
            if zeros == 2 {
                break;
            }
            let elapsed = started.elapsed();
            if cut_after.is_some_and(|since| elapsed >= since + CUT_GRACE) {
                tracing::error!(%color, left = pool.residents(), "exchanges outlived the cut of their pool");
                break;
            }
            if cut_after.is_none() && elapsed >= deadline {
                cut_after = Some(elapsed);
                pool.cut();
            }
            let until_cut = deadline.checked_sub(elapsed).filter(|left| !left.is_zero());
            tokio::time::sleep(until_cut.map_or(CHECK_EVERY, |left| left.min(CHECK_EVERY))).await;
        }
        pool.uncut();
        self.ledger(|ledger| ledger.end_drain(entry));
        // While another operation holds the gate it may be warming this pool up, so its idle connections stay open.
        if !self.ledger(|ledger| ledger.is_held()) {
            self.plane.workers.forget(&pool.backends().iter().map(|b| b.id()).collect::<Vec<u64>>());
        }
        self.plane.count_phase(&self.service, SwitchPhase::Drain, started.elapsed());
        let drained = report(cut_after, false);
        let DrainReport { cut, took_ms, .. } = drained;
        tracing::info!(service = %self.name(), %color, cut, took_ms, deadline_ms = millis(deadline), "drained");
        drained
    }
}
