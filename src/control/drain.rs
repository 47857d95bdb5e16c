//! A colour that no traffic goes to any more empties, or its deadline cuts what is left, one after another.

use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::gate::millis;
use super::ledger::Entry;
use super::operation::{DrainReport, Event, Request};
use super::operator::{Events, Operator};
use crate::service::Service;
use crate::types::Color;

/// Told when a pool has drained: its idle connections can be closed.
pub type OnDrained = Box<dyn Fn(&[u64])>;

/// How often the count is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What a cut pool may take to empty: the spread of the closes, the farewell of a WebSocket, and a margin.
const CUT_GRACE: Duration = Duration::from_secs(8);

/// A drain that runs beside everything else.
pub(super) struct Draining {
    color: Color,
    report: watch::Receiver<Option<DrainReport>>,
}

impl Draining {
    /// How it went, once it has ended.
    pub async fn ended(mut self) -> DrainReport {
        let _ = self.report.wait_for(Option::is_some).await;
        let report = self.report.borrow().clone();
        // The drain's task was dropped with the daemon.
        report.unwrap_or(DrainReport { color: self.color, took_ms: 0, began_with: 0, cut: 0, cancelled: true })
    }
}

impl Operator {
    /// Drains `color`, which serves no longer. Traffic that comes back to it ends the drain.
    pub(super) fn start_drain(
        self: &Rc<Self>,
        service: &Arc<Service>,
        color: Color,
        request: &Request,
        events: &Events,
    ) -> Draining {
        let deadline = request.options.drain.unwrap_or(service.config().switch.drain);
        let in_flight = service.pool(color).residents();
        let _ = events.send(Event::Draining { color, in_flight, deadline_ms: millis(deadline) });
        let entry = self.ledger(service, |ledger| ledger.begin_drain(color));
        let (report, reported) = watch::channel(None);
        let (operator, service, actor) = (self.clone(), service.clone(), request.actor.clone());
        // Ends by the deadline and the cut's grace, or when traffic comes back.
        tokio::task::spawn_local(async move {
            let done = operator.drain(&service, color, deadline, entry).await;
            operator.note_drain(&service, &actor, &done);
            let _ = report.send(Some(done));
        });
        Draining { color, report: reported }
    }

    /// Drained means zero twice with a pause between: a request that read the old colour just before the flip counts itself
    /// in a moment later, and moves on by itself.
    async fn drain(&self, service: &Arc<Service>, color: Color, deadline: Duration, entry: Entry) -> DrainReport {
        let pool = service.pool(color);
        let (started, began_with, cuts_before) = (Instant::now(), pool.residents(), pool.cuts());
        let mut zeros = 0;
        let mut is_cut = false;
        loop {
            // Asked before anything is done: a deadline that has passed in the moment in which the traffic came back would
            // cut the colour that serves.
            if !self.ledger(service, |ledger| ledger.is_draining(entry)) {
                let cut = pool.cuts() - cuts_before;
                return DrainReport { color, took_ms: millis(started.elapsed()), began_with, cut, cancelled: true };
            }
            zeros = if pool.residents() == 0 { zeros + 1 } else { 0 };
            if zeros == 2 {
                break;
            }
            let elapsed = started.elapsed();
            if is_cut && elapsed >= deadline + CUT_GRACE {
                tracing::error!(%color, left = pool.residents(), "exchanges outlived the cut of their pool");
                break;
            }
            if !is_cut && elapsed >= deadline {
                is_cut = true;
                pool.cut();
            }
            tokio::time::sleep(LOOK).await;
        }
        pool.uncut();
        let cut = pool.cuts() - cuts_before;
        self.ledger(service, |ledger| ledger.end_drain(entry));
        // A switch back that runs has connections of this pool in its hands: it may be warming it up.
        if !self.ledger(service, |ledger| ledger.is_held()) {
            (self.cores.on_drained)(&pool.backends().iter().map(|b| b.id()).collect::<Vec<u64>>());
        }
        self.shared.metrics.service(service.name()).phase("drain", started.elapsed());
        let took_ms = millis(started.elapsed());
        tracing::info!(service = %service.name(), %color, cut, took_ms, "drained");
        DrainReport { color, took_ms, began_with, cut, cancelled: false }
    }
}
