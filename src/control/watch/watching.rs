//! The watch after a flip, and what it does with its verdict: reports it, or flips back.

use std::time::{Duration, SystemTime};

use tokio::sync::oneshot;

use super::observe::Watch;
use super::verdict::{Baseline, Bounds};
use crate::control::drain::Draining;
use crate::control::messages::{Goal, OperationEvent, VerdictKind, WatchVerdict, micros, millis};
use crate::control::moves::{LedgerEntry, TrafficLedger, plan};
use crate::control::plane::{Operation, SwitchPhase};
use crate::service::Active;
use crate::types::{Color, show_duration};

/// A watch that runs on by itself.
pub struct Watching(oneshot::Receiver<Watched>);

/// How it ended.
pub struct Watched {
    pub verdict: WatchVerdict,
    pub rolled_back: Option<RolledBack>,
}

/// The traffic is where it was before.
pub struct RolledBack {
    pub generation: u64,
    pub draining: Draining,
}

impl Watching {
    /// `None` when the daemon is leaving.
    pub async fn ended(self) -> Option<Watched> {
        self.0.await.ok()
    }
}

impl Operation {
    /// For how long a switch is watched; `None`: not at all. A rollback is watched only if that was asked for: to leave its
    /// colour again would lead back to the colour that the operator has just left.
    pub fn watch_length(&self) -> Option<Duration> {
        let is_rollback = self.request.goal == Goal::Previous;
        let by_config = if is_rollback { Duration::ZERO } else { self.service.config().switch.watch };
        let length = self.request.options.watch.unwrap_or(by_config);
        (!length.is_zero()).then_some(length)
    }

    /// Watches the colour that the traffic has gone to, with this generation; `None` if no watch was asked for.
    pub fn start_watch(&self, from: Color, to: Color, generation: u64, baseline: Baseline) -> Option<Watching> {
        let length = self.watch_length()?;
        self.tell(OperationEvent::Watching { color: to, for_ms: millis(length) });
        let course = self.ledger(TrafficLedger::begin_course);
        let watch = Watch { color: to, generation, course, length, before: self.plane.totals(&self.service, to) };
        let (report, reported) = oneshot::channel();
        let operation = self.clone();
        // Ends with the watch's time, or when another operation moves the traffic.
        tokio::task::spawn_local(async move {
            let bounds = Bounds::new(&operation.service.config().switch, baseline, length);
            let verdict = operation.watch(&watch, &bounds).await;
            let _ = report.send(operation.conclude(from, verdict, course).await);
        });
        Some(Watching(reported))
    }

    /// Acts on the verdict of a watch after a flip.
    async fn conclude(&self, from: Color, mut verdict: WatchVerdict, course: LedgerEntry) -> Watched {
        let to = verdict.color;
        let watched = Duration::from_millis(verdict.watched_ms);
        self.plane.count_phase(&self.service, SwitchPhase::Watch, watched);
        let mut rolled_back = None;
        if verdict.kind == VerdictKind::RolledBack {
            match self.flip_back(from, to, course).await {
                Ok(generation) => rolled_back = Some(RolledBack { generation, draining: self.start_drain(to) }),
                Err(why) => verdict.fail_to_roll_back(why),
            }
        }
        self.ledger(|ledger| ledger.end_course(course));
        let (name, for_) = (self.name(), show_duration(watched));
        match verdict.kind {
            VerdictKind::RolledBack => {
                tracing::error!(service = %name, color = %to, why = verdict.why, "ROLLED BACK by the watch");
            }
            VerdictKind::Failed => {
                tracing::error!(service = %name, color = %to, why = verdict.why, "the watch has failed");
            }
            _ => tracing::info!(service = %name, color = %to, why = verdict.why, after = for_, "watch ended"),
        }
        self.note_verdict(from, &verdict);
        Watched { verdict, rolled_back }
    }

    /// Goes back at once, without a gate: the old colour has been probed all the time. Returns the new generation.
    async fn flip_back(&self, from: Color, to: Color, course: LedgerEntry) -> Result<u64, String> {
        if !self.service.pool(from).has_healthy() {
            return Err(format!("no backend of {from} is healthy"));
        }
        let flip = |now: &Active| {
            // Checked under the writer's lock: another operation may have moved the traffic since the verdict.
            self.check_course(course)?;
            plan::flip_back(self.name(), now, to, from, SystemTime::now())
        };
        let moved = self.plane.move_traffic(&self.service, Some(course), flip).await;
        let (after, took) = moved.map_err(|refused| refused.to_string())?;
        let generation = after.generation;
        self.ledger(|ledger| ledger.took_back(generation));
        self.tell(OperationEvent::Flipped { from: to, to: from, generation, took_us: micros(took) });
        Ok(generation)
    }
}
